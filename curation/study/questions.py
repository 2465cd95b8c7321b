"""The question of the next dollar: to data or to GPUs?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace

from curation.errors import CurationError
from curation.study.costs import Terms
from curation.study.flips import Flip, flip
from curation.study.ground import PRICED, RECIPE_SURE, Ground, deciding, ground_conditions
from curation.study.marginal import Return, ratio, returns, ways
from curation.study.predict import Estimate, Law, Point, predict
from curation.study.verdict import (
    HARD,
    Condition,
    Deciding,
    Status,
    Verdict,
    forms_condition,
    identified_conditions,
    interval_conditions,
    interval_text,
    status_of,
)
from curation.study.words import number, short


def next_dollar(
    laws: Mapping[str, Law],
    chosen: str,
    point: Point,
    terms: Terms,
    ground: Ground,
    recipes: Mapping[str, Status] | None = None,
) -> tuple[Verdict, list[Return]]:
    """Answers whether the next dollar should go to data or to GPUs.

    Args:
        laws: Form -> law; all of them are asked for the side, the chosen one for figures.
        chosen: Form whose figures count.
        point: Where the money stands.
        terms: Prices and limits.
        ground: Runs that the laws were fitted to.
        recipes: Recipe -> how sure it is that it beats the present one. One of which that is not
            decided is no way to spend, however well the law thinks of it; None: not asked.

    Returns:
        The verdict, and the returns of every way under the chosen law.
    """
    found = returns(ways(laws[chosen], point, terms))
    sure = [one for one in found if _may_be_bought(one, recipes)]
    data, gpu = _best(sure, "data"), _best(sure, "gpu")
    priced = _priced_condition(found)
    if data is None or gpu is None or data.per_dollar is None or gpu.per_dollar is None:
        return _unpriced(found, point, priced, ground), found
    compared = ratio(data.per_dollar, gpu.per_dollar)
    mids = form_ratios(laws, point, terms, (data.name, gpu.name))
    repeats = "epochs" in gpu.name or "GPUs" in gpu.name
    conditions = [
        priced,
        *interval_conditions(compared),
        *identified_conditions(laws[chosen].flags, repeats=repeats),
        forms_condition(mids),
        *_recipe_condition(data, recipes),
        *ground_conditions(ground, law_rests=True),
    ]
    verdict = _dollar_verdict((data, gpu), compared, conditions, (point, ground, found))
    return verdict, found


def _may_be_bought(one: Return, recipes: Mapping[str, Status] | None) -> bool:
    recipe = one.way.recipe
    return recipe is None or recipes is None or recipes.get(recipe) in ("leaning", "decided")


def _recipe_condition(data: Return, recipes: Mapping[str, Status] | None) -> list[Condition]:
    """A step to a recipe is no surer than that the recipe is the better one."""
    if data.way.recipe is None:
        return []
    status = (recipes or {}).get(data.way.recipe, "not decided")
    return [Condition(RECIPE_SURE, "full", status == "decided", status, "decided")]


def _best(found: Sequence[Return], side: str) -> Return | None:
    """Returns the way of a side that returns most; one without a known return cannot be it."""
    usable = [one for one in found if one.way.side == side and one.per_dollar is not None]
    return max(usable, key=_mid, default=None)


def _mid(one: Return) -> float:
    return one.per_dollar.mid if one.per_dollar is not None else -math.inf


def _priced_condition(found: Sequence[Return]) -> Condition:
    """Ways that the law can judge must have their prices: an unpriced one might be the best."""
    missing = [f"{one.name}: {one.why}" for one in found if one.way.gain and one.way.missing()]
    text = next(one for one in found if one.name == "more text")
    return Condition(
        PRICED,
        "must" if text.way.missing() else "full",
        not missing,
        "; ".join(missing) or "all that are needed",
        "a price for text, curation and device-hours",
    )


def _text_and_model(found: Sequence[Return]) -> tuple[Return, Return]:
    by_name = {one.name: one for one in found}
    return by_name["more text"], by_name["a bigger model"]


def flips_of(first: Return, second: Return) -> tuple[Flip, ...]:
    """Returns the prices that would flip the choice between two ways."""
    found = [flip(first.way, second.way, price) for price in ("hour", "text", "curation")]
    return tuple(one for one in found if one is not None)


def _unpriced(found: list[Return], point: Point, priced: Condition, ground: Ground) -> Verdict:
    text, model = _text_and_model(found)
    flips = flips_of(text, model)
    wanted = [
        f"{one.sentence()}"
        for one in flips
        if one.price in model.way.missing() + text.way.missing()
    ]
    must = replace(priced, weight="must", met=False)
    action = "say the prices that are unknown"
    sentence = (
        f"At {where(point)} it is not decided whether the next dollar should go to data or to "
        f"GPUs: {priced.found}."
    )
    if wanted:
        sentence += f" As it stands, {' and '.join(wanted)}."
    return Verdict(
        QUESTION, "none", None, "not decided", f"{priced.name}: {priced.found}", sentence, flips,
        (must, *ground_conditions(ground, law_rests=True)), Deciding(action),
    )  # fmt: skip


QUESTION = "Where should the next dollar go: to data or to GPUs?"


def where(point: Point) -> str:
    """Says a point: "1.2B parameters and 20B tokens"."""
    epochs = f" ({point.epochs:.3g} epochs)" if point.epochs > 1.005 else ""
    recipe = f" of {point.recipe}" if point.recipe else ""
    return f"{short(point.parameters)} parameters and {short(point.tokens)} tokens{recipe}{epochs}"


def form_ratios(
    laws: Mapping[str, Law], point: Point, terms: Terms, names: tuple[str, str]
) -> dict[str, float]:
    """Returns the ratio of two ways by each law that can judge both, the additive one aside."""
    found = {}
    for form, law in laws.items():
        unsure = any(flag.startswith(HARD) for flag in law.flags)
        if law.form == "additive" or unsure or not _can_judge(law, point):
            continue
        priced = {one.name: one.per_dollar for one in returns(ways(law, point, terms))}
        first, second = (priced.get(name) for name in names)
        if first is not None and second is not None:
            found[form] = ratio(first, second).mid
    return found


def _can_judge(law: Law, point: Point) -> bool:
    try:
        return math.isfinite(predict(law, point).mid)
    except CurationError:
        return False  # it does not know the recipe, or needs more than a point has


def _dollar_verdict(
    pair: tuple[Return, Return],
    compared: Estimate,
    conditions: Sequence[Condition],
    stand: tuple[Point, Ground, Sequence[Return]],
) -> Verdict:
    data, gpu = pair
    point, ground, found = stand
    dollars = percent_dollars(found)
    status, why = status_of(conditions)
    flips = flips_of(data, gpu)
    better, worse = (data, gpu) if compared.mid >= 1 else (gpu, data)
    sentence = (
        f"At {where(point)}, the next ${number(dollars)} (1% of what that cost) lower the loss by "
        f"{_for(better, dollars)} in {better.name}, by {_for(worse, dollars)} in {worse.name}; "
        f"data to GPUs is {number(compared.mid)} "
        f"({interval_text(compared)}): {status}."
    )
    said = [f"{one.sentence()}" for one in flips if math.isfinite(one.at.mid)]
    if said:
        sentence += f" It flips with prices: {'; '.join(said)}."
    return Verdict(
        QUESTION, better.name, compared, status, why, sentence, flips, tuple(conditions),
        None if status == "decided" else deciding(conditions, compared, ground),
        {"data": data.name, "gpu": gpu.name},
    )  # fmt: skip


def percent_dollars(found: Sequence[Return]) -> float:
    """Returns 1% of what the point cost: its text, its curation, its training; never 0."""
    spent = [
        one.way.dollars({name: price.mid for name, price in one.way.prices.items() if price})
        for one in found
        if one.name in ("more text", "a bigger model") and not one.way.missing()
    ]
    return max(0.01 * max(spent, default=1.0), 1e-6)


def _for(one: Return, dollars: float) -> str:
    scaled = one.bought(dollars)
    assert scaled is not None
    return f"{number(scaled.mid)} ({interval_text(scaled)})"
