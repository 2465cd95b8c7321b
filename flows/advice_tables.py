"""What `curate advise` prints for people."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from rich import box
from rich.table import Table
from rich.text import Text

from curation.study.costs import Dollars, money
from curation.study.predict import Estimate
from curation.study.words import number, short
from flows.display import OUT, one_line

if TYPE_CHECKING:
    from curation.study.advise import Advice


def show(advice: "Advice", serving: Any, law: str, extra: Mapping[str, Any]) -> None:
    """Prints the split, the flips, what it stands on and what to beware of."""
    OUT.print(_table(advice))
    OUT.print(Text(one_line(_sentence(advice))))
    for one in advice.flips:
        OUT.print(Text(f"  {one_line(one.sentence())}"))
    for option in advice.curated:
        OUT.print(Text(f"  {one_line(_option(option))}"))
    if serving is not None:
        OUT.print(Text(f"  {one_line(_serving(serving))}"))
    if extra["shrinking"] is not None:
        OUT.print(Text(f"  {one_line(_shrinking(extra['shrinking']))}"))
    if extra["next_dollar"] is not None:
        OUT.print(Text(one_line(extra["next_dollar"]["sentence"]), style="bold"))
        OUT.print(Text(f"  why: {one_line(extra['next_dollar']['why'])}"))
    record = advice.law.record
    source = record.get("source", "a study of your own")
    OUT.print(Text(one_line(f"law: {law} ({advice.law.form}; {source}), loss in {_unit(advice)}")))
    for caveat in advice.caveats:
        OUT.print(Text(f"! {one_line(caveat)}", style="yellow"))


def _unit(advice: "Advice") -> str:
    return str(advice.law.record.get("unit", "bits per byte"))


def _table(advice: "Advice") -> Table:
    plan, spread = advice.plan, advice.spread
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("what", style="bold")
    table.add_column("how much")
    table.add_column("US$", justify="right")
    table.add_column("95% interval", justify="right")
    table.add_column("share", justify="right")
    table.add_column("flips")
    amounts = {
        "text": f"{_both(spread['unique_tokens'])} unique tokens",
        "curation": one_line(plan.point.recipe or "none"),
        "training": f"{_both(spread['hours'], plain=True)} {advice.ask.terms.device} hours",
        "serving": f"{short(advice.ask.terms.served_tokens)} tokens",
    }
    for name, part in _parts(advice).items():
        table.add_row(name, Text(amounts[name]), *_dollars(advice, name, part))
    table.add_row(
        "model", f"{_both(spread['parameters'])} parameters", "", "", "", _flip(advice, "half")
    )
    table.add_row(
        "epochs", f"{_both(spread['epochs'], plain=True)}", "", "", "", _flip(advice, "repeating")
    )
    table.add_row("loss", f"{_both(spread['loss'], plain=True)} {_unit(advice)}", "", "", "", "")
    return table


def _parts(advice: "Advice") -> dict[str, Dollars]:
    plan = advice.plan
    parts = {"text": plan.text, "curation": plan.curation, "training": plan.training}
    return parts | ({"serving": plan.serving} if advice.ask.terms.served_tokens else {})


def _dollars(advice: "Advice", name: str, part: Dollars) -> tuple[str, str, str, str]:
    flip = _flip(advice, {"text": "text", "training": "hour"}.get(name, "-"))
    if not part.complete:
        return "unknown", "unknown", "unknown", flip
    found = advice.spread[name].interval()
    spread = "no interval" if found is None else f"{found[0]:,.2f} to {found[1]:,.2f}"
    share = part.known.mid / advice.ask.budget
    return f"{part.known.mid:,.2f}", spread, f"{share:.0%}", flip


def _flip(advice: "Advice", which: str) -> str:
    """Returns the price of the flip that belongs to a row."""
    for one in advice.flips:
        by_price = which == one.price and "most" in one.says
        if by_price or which in one.says.split():
            return one.at_text() if one.at is not None else "at no price"
    return ""


def _both(one: Estimate, *, plain: bool = False) -> str:
    found = one.interval()
    say = number if plain else short
    spread = "no interval" if found is None else f"{say(found[0])} to {say(found[1])}"
    return f"{say(one.mid)} ({spread})"


def _sentence(advice: "Advice") -> str:
    plan = advice.plan
    if plan.total.unknown:
        names = " and ".join(plan.total.unknown)
        return (
            f"Not decided: the price of {names} is unknown; the split above spends "
            f"{money(plan.total.known).split(' ')[0]} on what has a price."
        )
    ratio = plan.point.tokens / plan.point.parameters
    devices = f" on {plan.devices} devices" if advice.ask.terms.deadline_hours else ""
    return (
        f"${advice.ask.budget:,.2f}: {plan.data_share:.0%} for data, the rest for GPUs{devices}; "
        f"{number(ratio)} tokens for each parameter."
    )


def _option(option: Any) -> str:
    below = "it does not pay even for free"
    if option.pays_below is not None:
        below = f"it pays below ${option.pays_below:.3g} a million tokens kept"
    return f"{option.name}: {option.status}; {below}"


def _serving(day: Any) -> str:
    return (
        f"serving {short(day.tokens_per_day)} tokens a day: {money(day.busy_dollars)} a day for "
        f"worked hours, {money(day.held_dollars)} for {day.devices} held day and night; "
        f"bound by {day.speed.bound}"
    )


def _shrinking(found: Mapping[str, Any]) -> str:
    days = found["days"]
    if days is None:
        return "the smaller model never pays for its making: its tokens are not cheaper"
    spread = f"{number(days['low'])} to {number(days['high'])}"
    return f"the smaller model has paid for its making after {number(days['mid'])} days ({spread})"
