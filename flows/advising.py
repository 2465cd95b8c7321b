"""The command `curate advise`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import AsJson, UsageError, app, print_json

if TYPE_CHECKING:
    from curation.study.advise import Advice, Curation
    from curation.study.costs import Terms
    from curation.study.law import FittedLaw
    from curation.study.prices import Catalogue
    from curation.study.spending import Ask

LAW = "law.json of a study, or a published law: epoch, hoffmann, muennighoff."
PRICE = "US$ per {}: a number, or low:mid:high. Default: unknown."


@app.command("advise")
def advise(
    budget: Annotated[float, typer.Option(min=0.01, help="US$ for all of it.")],
    gpu: Annotated[str, typer.Option(help="Device, by its name in the catalogue.")] = "h100",
    law: Annotated[str, typer.Option(help=LAW, metavar="LAW")] = "epoch",
    gpu_price: Annotated[
        str | None, typer.Option(help="US$ per device-hour, or low:mid:high.", metavar="US$")
    ] = None,
    text_price: Annotated[
        str | None, typer.Option(help=PRICE.format("million tokens"), metavar="US$")
    ] = None,
    unique_tokens: Annotated[
        float | None, typer.Option(help="Tokens that can be had at most, e.g. 2e9.")
    ] = None,
    recipe: Annotated[str | None, typer.Option(help="Recipe of the law to start from.")] = None,
    curation_gain: Annotated[
        str | None,
        typer.Option(help="Tokens that a curated token is worth, or low:mid:high.", metavar="X"),
    ] = None,
    curation_price: Annotated[
        str | None, typer.Option(help=PRICE.format("million tokens kept"), metavar="US$")
    ] = None,
    curated: Annotated[
        Path | None,
        typer.Option("--dataset", help="Take curation's price from this dataset.", metavar="DIR"),
    ] = None,
    bytes_per_token: Annotated[float, typer.Option(min=0.1, help="For --dataset.")] = 4.0,
    kept: Annotated[float, typer.Option(help="Share of text that curation keeps.")] = 1.0,
    reuse: Annotated[float, typer.Option(min=1, help="Trainings that share a curation.")] = 1.0,
    served_tokens_per_day: Annotated[float, typer.Option(min=0, help="Generated for users.")] = 0.0,
    served_days: Annotated[float, typer.Option(min=0, help="Days of service to pay for.")] = 365.0,
    serving_batch: Annotated[float, typer.Option(min=1, help="Sequences served at once.")] = 32.0,
    deadline_hours: Annotated[float | None, typer.Option(help="Training ends by then.")] = None,
    devices: Annotated[int | None, typer.Option(min=1, help="At most, with a deadline.")] = None,
    parameters: Annotated[
        float | None, typer.Option(help="Of a model that you have: where goes its next dollar?")
    ] = None,
    tokens: Annotated[float | None, typer.Option(help="That it was trained on.")] = None,
    shrink_factor: Annotated[
        float | None, typer.Option(help="Cost of a token of a distilled or quantised model.")
    ] = None,
    shrink_cost: Annotated[
        str | None, typer.Option(help="US$ of making that model, or low:mid:high.", metavar="US$")
    ] = None,
    mfu: Annotated[
        str | None, typer.Option(help="Share of the peak, or low:mid:high.", metavar="SHARE")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Price catalogue of your own.", metavar="FILE.toml")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Split a budget between text, curation, model size and GPU-hours, and say what flips it.

    Example: `curate advise --budget 500 --gpu h100 --law epoch --text-price 0.002`

    From a study of your own: `--law data/out/study/law.json`
    """
    from curation.study.advise import advise as find
    from curation.study.prices import load_catalogue
    from curation.study.spending import Ask

    chosen = find_law(law)
    catalogue = load_catalogue(prices)
    options = {
        "gpu": gpu, "gpu_price": gpu_price, "text_price": text_price, "mfu": mfu,
        "curation_price": curation_price, "kept": kept, "reuse": reuse,
        "served": served_tokens_per_day * served_days, "deadline_hours": deadline_hours,
        "devices": devices, "dataset": curated, "bytes_per_token": bytes_per_token,
    }  # fmt: skip
    terms = _terms(catalogue, options, chosen, recipe)
    ask = Ask(budget, terms, unique_tokens, recipe, devices)
    advice = find(chosen, ask, _curation(curation_gain, options, catalogue))
    serving = _serving(advice, catalogue, options, (served_tokens_per_day, serving_batch))
    extra = {
        "serving": serving and serving_json(serving),
        "next_dollar": _next_dollar(chosen, law, ask, (parameters, tokens)),
        "shrinking": _shrinking(serving, shrink_factor, shrink_cost),
    }
    if as_json:
        print_json(advice_json(advice) | extra)
    else:
        from flows import advice_tables

        advice_tables.show(advice, serving, law, extra)


ALIASES = {
    "epoch": "chinchilla-epoch",
    "hoffmann": "chinchilla-hoffmann",
    "chinchilla": "chinchilla-epoch",
    "muennighoff": "data-constrained",
}


def find_law(name: str) -> "FittedLaw":
    """Returns a published law by name, or the law of a file.

    Raises:
        UsageError: The name is neither.
    """
    from curation.errors import unknown_name
    from curation.study.lawfile import read_law
    from curation.study.laws import PUBLISHED

    found = PUBLISHED.get(ALIASES.get(name, name))
    if found is not None:
        return found
    if name.endswith(".json") or Path(name).exists():
        return read_law(Path(name))
    known = unknown_name("law", name, [*PUBLISHED, *ALIASES])
    raise UsageError(f"{known}; or give the path of a law.json")


def _range(text: str | None, option: str) -> Any:
    from curation.study.prices import parse_range

    return None if text is None else parse_range(text, option)


def _scaled(text: str | None, option: str, factor: float) -> Any:
    found = _range(text, option)
    return None if found is None else found * factor


def _terms(
    catalogue: "Catalogue", options: dict[str, Any], law: "FittedLaw", recipe: str | None
) -> "Terms":
    from curation.study.costs import Terms
    from curation.study.predict import told_apart
    from curation.study.prices import Range

    device = catalogue.device(options["gpu"])
    hour = _range(options["gpu_price"], "--gpu-price") or device.range()
    if hour is None:
        raise UsageError(f"{device.name}: {device.source}; give --gpu-price")
    if device.peak_flops is None:
        raise UsageError(
            f"{device.name}: its peak FLOP/s is not in the catalogue; give peak_flops in a file of "
            "your own (--prices)"
        )
    utilisation = _range(options["mfu"], "--mfu") or catalogue.rate("training")
    if utilisation.low <= 0 or utilisation.high > 1:
        raise UsageError("--mfu: expected shares above 0, at most 1")
    known = told_apart(law)
    price = _curation_price(options, catalogue)
    start = recipe or (known[0] if known else None)
    curation = {name: Range.exact(0.0) if name == start else price for name in known}
    return Terms(
        hour, utilisation * device.peak_flops, options["gpu"],
        text=_scaled(options["text_price"], "--text-price", 1e-6),
        kept={name: options["kept"] for name in known if name != start},
        curation=curation, reuse=options["reuse"], served_tokens=options["served"],
        serving_flops_per_second=catalogue.rate("serving") * device.peak_flops,
        deadline_hours=options["deadline_hours"], devices=options["devices"] or 1,
        scaling=catalogue.rate("scaling"),
    )  # fmt: skip


def _curation_price(options: dict[str, Any], catalogue: "Catalogue") -> Any:
    """Returns US$ per token kept: as given, or from the CPU seconds of a dataset."""
    given = _scaled(options["curation_price"], "--curation-price", 1e-6)
    if given is not None or options["dataset"] is None:
        return given
    from curation.manifest import read_manifest
    from curation.study.costs import curation_cost

    cost = curation_cost(read_manifest(options["dataset"]), catalogue.device("cpu").range())
    each = cost.per_gigabyte().range()
    return None if each is None else each * (options["bytes_per_token"] / 1e9)


def _curation(
    gain: str | None, options: dict[str, Any], catalogue: "Catalogue"
) -> "Curation | None":
    from curation.study.advise import Curation

    factor = _range(gain, "--curation-gain")
    if factor is None:
        return None
    return Curation(factor, _curation_price(options, catalogue), options["kept"])


def _serving(
    advice: "Advice", catalogue: "Catalogue", options: dict[str, Any], load: tuple[float, float]
) -> Any:
    """Returns the daily cost of serving the advised model; None where nothing is served."""
    from curation.study.inference import Served, daily_cost

    tokens, batch = load
    if not tokens:
        return None
    served = Served(advice.plan.point.parameters, batch=batch)
    device = catalogue.device(options["gpu"])
    return daily_cost(served, tokens, device, catalogue.rate("serving"), advice.ask.terms.hour)


def _next_dollar(
    law: "FittedLaw", name: str, ask: "Ask", place: tuple[float | None, float | None]
) -> dict[str, Any] | None:
    """Returns the verdict on the next dollar for a model that is there; None if none was named."""
    from curation.study.ground import Ground
    from curation.study.predict import Point, law_recipe
    from curation.study.questions import next_dollar

    parameters, tokens = place
    if parameters is None and tokens is None:
        return None
    if not (parameters and tokens and parameters > 0 and tokens > 0):
        raise UsageError("--parameters and --tokens go together; expected two numbers above 0")
    unique = None if ask.unique_tokens is None else min(tokens, ask.unique_tokens)
    point = Point(parameters, tokens, unique, law_recipe(law, ask.recipe))
    ground = Ground(None, None, law_name=name)
    return next_dollar({law.form: law}, law.form, point, ask.terms, ground)[0].as_json()


def _shrinking(serving: Any, factor: float | None, cost: str | None) -> dict[str, Any] | None:
    """Returns after how many days of service a smaller model has paid for its making."""
    from curation.study.inference import break_even_days

    once = _range(cost, "--shrink-cost")
    if factor is None and once is None:
        return None
    if factor is None or once is None or serving is None or serving.busy_dollars is None:
        raise UsageError(
            "--shrink-factor and --shrink-cost go together, and need --served-tokens-per-day"
        )
    days = break_even_days(once, serving.busy_dollars, factor)
    return {
        "factor": factor,
        "days": days and {"low": days.low, "mid": days.mid, "high": days.high},
    }


def advice_json(advice: "Advice") -> dict[str, Any]:
    """Returns what `--json` prints; what is unknown is null."""
    plan, record = advice.plan, advice.law.record
    parts = {"text": plan.text, "curation": plan.curation, "training": plan.training,
             "serving": plan.serving}  # fmt: skip
    return {
        "budget": advice.ask.budget,
        "status": advice.status,
        "law": {"form": advice.law.form, "source": record.get("source"),
                "unit": record.get("unit"), "published": bool(record.get("published")),
                "flags": list(advice.law.flags)},
        "device": advice.ask.terms.device,
        "recipe": plan.point.recipe,
        "figures": {name: one.as_json() for name, one in advice.spread.items()},
        "devices": plan.devices,
        "dollars": {
            name: {"mid": part.known.mid if part.complete else None, "unknown": list(part.unknown)}
            for name, part in parts.items()
        },
        "flips": [
            {"price": one.price, "unit": one.unit, "at": one.at, "now": one.now, "says": one.says}
            for one in advice.flips
        ],
        "curation": [
            {"name": one.name, "status": one.status,
             "pays_below_per_million_tokens": one.pays_below,
             "loss_saved": one.saved and one.saved.as_json()}
            for one in advice.curated
        ],
        "caveats": advice.caveats,
    }  # fmt: skip


def serving_json(day: Any) -> dict[str, Any]:
    """Returns the daily cost of serving."""
    each = {"busy": day.busy_dollars, "held": day.held_dollars}
    dollars = {
        name: cost and {"low": cost.low, "mid": cost.mid, "high": cost.high}
        for name, cost in each.items()
    }
    return {
        "tokens_per_day": day.tokens_per_day,
        "device_hours_per_day": day.busy_hours.mid,
        "devices": day.devices,
        "bound": day.speed.bound,
        "dollars_per_day": dollars,
    }
