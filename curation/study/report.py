"""The report of a study: one HTML page that needs nothing else, PNG files, verdict.json.

Plain language first, figures next, method last. All text is escaped by the template, pictures are
data URIs, and the page forbids scripts and outside sources for itself.
"""

import base64
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from curation.errors import RecipeError
from curation.shards import replacing
from curation.study.canvas import Picture
from curation.study.conclude import Conclusion, RecipeWorth, prices_table
from curation.study.costs import cents
from curation.study.equivalence import Worth
from curation.study.flips import Flip
from curation.study.ground import PRICED
from curation.study.marginal import Return
from curation.study.predict import Estimate
from curation.study.questions import QUESTION, percent_dollars, where
from curation.study.repeats import Repeat
from curation.study.verdict import Verdict, interval_text, write_verdict
from curation.study.words import number, short

REPORT, VERDICT = "report.html", "verdict.json"
_CAPTIONS = {
    "loss": "Loss against tokens at each size: marks are runs, hollow where a recipe's text had "
    "ended and was repeated; lines the chosen law for fresh text, bands its 95% interval.",
    "returns": "What the same money buys in each way (circles: data, squares: GPUs), with 95% "
    "intervals. Ways without a known return say why.",
    "plane": "Lines of equal loss: all points of a line are as good, so the cheapest is the "
    "one to buy. Thick: the loss that the present sums can buy.",
    "crossing": "Loss that a recipe saves against the baseline. Where a band meets 0, they cannot "
    "be told apart; where a line does, they change places.",
    "scaling": "Speed of each of several devices against a single one; 1 is perfect.",
    "wait": "How long devices wait for data, median and range over runs.",
    "residuals": "What the chosen law leaves unexplained. A trend is something it does not know.",
}


def write_report(out: Path, conclusion: Conclusion) -> list[Path]:
    """Writes `report.html`, its pictures as PNG and `verdict.json`, each whole or not at all.

    Args:
        out: A directory; made if it is not there.
        conclusion: What to say.

    Returns:
        The files, the page first.

    Raises:
        RecipeError: matplotlib or Jinja are not installed.
    """
    from curation.study.charts import figures

    pictures = figures(conclusion)
    page = render(conclusion, pictures)
    out.mkdir(parents=True, exist_ok=True)
    files = [out / REPORT]
    for name, picture in pictures.items():
        files.append(out / f"{name}.png")
        with replacing(files[-1]) as file:
            file.write(picture.png)
    write_verdict(out / VERDICT, conclusion.verdicts)
    with replacing(out / REPORT) as file:
        file.write(page.encode("utf-8", "backslashreplace"))
    return [*files, out / VERDICT]


def render(conclusion: Conclusion, pictures: Mapping[str, Picture]) -> str:
    """Returns the page.

    Args:
        conclusion: What to say.
        pictures: By name, as `charts.figures` returns them.

    Raises:
        RecipeError: Jinja is not installed.
    """
    try:
        from jinja2 import Environment, StrictUndefined
    except ImportError as error:
        raise RecipeError(
            "a report needs jinja2, which is not installed here; run: pip install 'curation[study]'"
        ) from error
    source = Path(__file__).with_name("report.html.j2").read_text(encoding="utf-8")
    made = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    return made.from_string(source).render(_values(conclusion, pictures))


def _values(conclusion: Conclusion, pictures: Mapping[str, Picture]) -> dict[str, Any]:
    setting, point = conclusion.setting, conclusion.point
    recipes = sorted({str(run["recipe"]) for run in conclusion.runs if run["recipe"]})
    dollars = percent_dollars(conclusion.returns)
    return {
        "title": f"{setting.name}: data or GPUs?",
        "name": setting.name,
        "question": setting.question,
        "states": conclusion.states,
        "verdicts": [_verdict(one) for one in _by_money(conclusion.verdicts)],
        "where": where(point) if point else "",
        "dollars": f"${_cents(dollars)}",
        "returns": _returns(conclusion.returns, dollars),
        "flips": [_flip(one) for verdict in conclusion.verdicts for one in verdict.flips],
        "worths": [_worth(one) for one in conclusion.recipes],
        "repeats": [_repeat(one) for one in conclusion.repeats if one.share is not None],
        "beyond": sum(one.share is None for one in conclusion.repeats),
        "figures": [_figure(name, picture) for name, picture in pictures.items()],
        "catalogue": setting.catalogue,
        "reuse": setting.terms.reuse,
        "prices": prices_table(setting.terms, recipes),
        "counts": _counts(conclusion),
        "reasons": conclusion.health.reasons,
        "agreement": [
            {"size": short(one.parameters), "right": one.right, "pairs": one.pairs}
            for one in conclusion.agreement
            if one.pairs
        ],
        "failures": conclusion.failures,
        "unit": setting.unit,
        **_scaling(conclusion),
        **_laws(conclusion),
    }


def _by_money(verdicts: Sequence[Verdict]) -> list[Verdict]:
    """Puts the question of the next dollar first: it is the one of who pays."""
    return sorted(verdicts, key=lambda one: one.question != QUESTION)


_CSS = {"decided": "decided", "leaning": "leaning", "not decided": "undecided"}


def _verdict(one: Verdict) -> dict[str, Any]:
    return {
        "question": one.question,
        "status": one.status,
        "css": _CSS[one.status],
        "answer": answer(one),
        "sentence": one.sentence,
        "why": "" if one.status == "decided" else one.why,
        "would": one.would_decide.sentence() if one.would_decide else "",
        "conditions": [
            {
                "name": c.name, "weight": c.weight, "met": c.met is True, "state": c.state,
                "found": c.found, "expected": c.expected,
            }
            for c in one.conditions
        ],
    }  # fmt: skip


def answer(one: Verdict) -> str:
    """Returns a verdict in a few words, for somebody who reads one line."""
    recipe = "recipe" in one.facts
    if one.status == "decided":
        return f"{one.choice} is the better one." if recipe else f"Spend it on {one.choice}."
    if one.ratio is None and PRICED in {c.name for c in one.conditions if c.met is not True}:
        return "Prices are missing: say them, and this page can answer."
    if one.status == "leaning":
        return f"Probably {one.choice}; not proven."
    return "These runs cannot tell. Do not pay for either on their account."


def _interval(one: Estimate | None) -> str:
    return interval_text(one)


def _cents(value: float) -> str:
    return cents(value) if value >= 0.01 else number(value)


def _returns(found: Sequence[Return], dollars: float) -> list[dict[str, Any]]:
    known = [one.per_dollar.mid for one in found if one.per_dollar is not None]
    rows = []
    for one in found:
        best = one.per_dollar is not None and one.per_dollar.mid == max(known)
        scaled = one.bought(dollars)
        rows.append(
            {
                "name": one.name,
                "mid": "unknown" if scaled is None else number(scaled.mid),
                "interval": "unknown" if scaled is None else _interval(scaled),
                "note": one.why or _note(one, best=best),
                "best": best,
            }
        )
    return rows


def _note(one: Return, *, best: bool) -> str:
    said = ["returns most"] if best else []
    price = one.way.prices.get("curation")
    if one.way.recipe is not None and price is not None:
        said.append(f"one step: all of it costs ${_cents(one.way.uses['curation'] * price.mid)}")
    return "; ".join(said)


def _flip(one: Flip) -> dict[str, str]:
    flips = math.isfinite(one.at.mid)
    return {
        "unit": f"a {one.unit}",
        "now": "unknown" if one.now is None else f"${_cents(one.now.mid)}",
        "at": f"${_cents(one.at.mid)}" if flips else "never",
        "interval": _interval(one.at),
        "then": f"above it {one.above}, below it {one.below}" if flips else "",
    }


def _worth(one: RecipeWorth) -> dict[str, str]:
    found = one.worth
    said = "no factor could be measured." if found is None else _worth_sentence(found)
    meet = one.crossing
    if meet is not None and math.isfinite(meet.tokens.mid):
        said += (
            f" They change places at {short(meet.tokens.mid)} tokens "
            f"({_span(meet.tokens.low)} to {_span(meet.tokens.high)}): with less text "
            f"{meet.better_below} is better, with more {meet.better_above}."
        )
    return {"recipe": one.recipe, "baseline": one.baseline, "sentence": said}


def _span(value: float) -> str:
    return short(value) if math.isfinite(value) else "unknown"


def _worth_sentence(found: Worth) -> str:
    hours, dollars = found.device_hours, found.dollars
    said = (
        f"it was worth {number(found.factor.mid)} times the data ({_interval(found.factor)}), "
        f"{number(hours.mid)} device-hours ({_interval(hours)}) of training on the text that would "
        "otherwise be needed"
    )
    if dollars is None:
        return f"{said}; in dollars unknown: no price of {' and '.join(found.missing)}."
    return f"{said}, ${dollars.mid:,.3g} ({_interval(dollars)}) with that text."


def _repeat(one: Repeat) -> dict[str, str]:
    share = one.share
    assert share is not None
    return {
        "recipe": one.recipe or "runs",
        "size": short(one.parameters),
        "unique": short(one.unique_tokens),
        "epochs": number(one.epochs),
        "mid": number(share.mid),
        "interval": _interval(share),
    }


def _figure(name: str, picture: Picture) -> dict[str, str]:
    def uri(data: bytes) -> str:
        return "data:image/svg+xml;base64," + base64.b64encode(data).decode("ascii")

    caption = _CAPTIONS[name]
    return {
        "light": uri(picture.light),
        "dark": uri(picture.dark),
        "alt": caption.partition(".")[0].partition(":")[0],
        "caption": caption,
    }


def _counts(conclusion: Conclusion) -> list[tuple[str, str]]:
    found, noise = conclusion.health, conclusion.noise
    said = "not measured"
    if noise is not None:
        said = f"{noise.sd:.2%} of the loss, from {noise.cells} cells with up to {noise.most_seeds}"
    steps = "unknown" if found.least_steps is None else f"{found.least_steps:,}"
    return [
        ("cells done, failed, skipped", f"{found.done}, {found.failed}, {found.skipped}"),
        ("model sizes, amounts of text", f"{found.sizes}, {found.amounts}"),
        ("steps of the shortest cell", steps),
        ("noise between seeds", said),
    ]


def _scaling(conclusion: Conclusion) -> dict[str, Any]:
    rows = [
        {
            "kind": one.kind,
            "devices": one.devices,
            "mid": f"{min(one.efficiency.mid, 1.0):.0%}",
            "interval": _interval(one.efficiency),
            "speed": f"{one.tokens_per_second:,.0f}",
            "loss": _loss_gap(one.loss_gap, same=one.loss_same),
            "note": one.state,
        }
        for one in conclusion.efficiencies
    ]
    law = conclusion.scalability
    said = "A scalability law needs four device counts: not identifiable here."
    if law is not None:
        said = (
            f"Universal Scalability Law: contention {law.sigma:.3g}, coherence {law.kappa:.3g} "
            "for each pair of devices."
        )
    return {"scaling": rows, "scalability": said}


def _loss_gap(gap: float | None, *, same: bool | None) -> str:
    if gap is None:
        return "other work"
    state = {True: "the same within noise", False: "NOT the same", None: "noise unknown"}[same]
    return f"{gap:+.2%}, {state}"


def _laws(conclusion: Conclusion) -> dict[str, Any]:
    laws = conclusion.laws
    if laws is None:
        return {"laws": [], "chosen": "", "chosen_why": "", "constants": []}
    return {
        "laws": [_law(form, conclusion) for form in laws.laws],
        "chosen": laws.chosen,
        "chosen_why": laws.why,
        "constants": [
            {
                "name": name,
                "mid": number(value),
                "interval": _interval(_constant(value, laws.law.draws.get(name))),
            }
            for name, value in laws.law.parameters.items()
        ],
    }


def _constant(value: float, draws: Any) -> Estimate:
    return Estimate(value) if draws is None else Estimate(value, draws)


def _law(form: str, conclusion: Conclusion) -> dict[str, Any]:
    laws = conclusion.laws
    assert laws is not None
    law = laws.laws[form]
    held = law.record.get("leave_largest_out")
    criterion = law.record.get("aicc")
    return {
        "form": form,
        "chosen": form == laws.chosen,
        "error": f"{held['error']:.2%}" if held else "unknown",
        "aicc": "unknown" if criterion is None else f"{criterion:,.1f}",
        "ratio": _ratio(law.record.get("marginal_ratio")),
        "flags": "; ".join(law.flags) or "none",
    }


def _ratio(found: Any) -> str:
    """Returns the elasticity of data over that of size that a law's record holds."""
    if not found:
        return "unknown"
    first = next(iter(found.values()))
    mid, low, high = (first.get(name) for name in ("mid", "low", "high"))
    if mid is None:
        return "unknown"
    spread = "no interval" if low is None or high is None else f"{number(low)} to {number(high)}"
    return f"{number(mid)} ({spread})"
