"""The questions of a study and their conditions: the next dollar, and the worth of a recipe."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from curation.errors import CurationError
from curation.study.costs import Terms
from curation.study.evidence import LEAST_SEEDS, LEAST_STEPS, Gap, Health, Noise
from curation.study.flips import Flip, flip
from curation.study.marginal import Return, ratio, returns, ways
from curation.study.predict import Estimate, Law, Point, predict
from curation.study.prices import Range
from curation.study.verdict import (
    IDENTIFIED,
    Condition,
    Deciding,
    Verdict,
    forms_condition,
    identified_conditions,
    interval_conditions,
    interval_text,
    more_runs,
    number,
    status_of,
)

LEAST_GRID, GOOD_GRID = 2, 3
"""Values of N and of D below which nothing, and below which no full decision, is possible."""


@dataclass(frozen=True)
class Ground:
    """What a verdict stands on besides the law."""

    health: Health | None
    """None: no runs of one's own (a published law)."""
    noise: Noise | None
    preset: str = ""
    run_dollars: Range | None = None
    """Of one run; None: unknown."""
    law_name: str = ""

    @property
    def own(self) -> bool:
        """Whether the law was fitted to runs of one's own."""
        return self.health is not None


def ground_conditions(ground: Ground, *, law_rests: bool) -> list[Condition]:
    """Returns the conditions on runs that every question shares.

    Args:
        ground: Runs and noise.
        law_rests: Whether the answer rests on a fitted law (and so on the grid's shape).
    """
    if ground.health is None:
        said = f"{ground.law_name or 'a published law'}: other data, other models"
        name, wanted = "the law is of your own data", "a study of your own"
        return [Condition(name, "full", met=False, found=said, expected=wanted)]
    health, noise = ground.health, ground.noise
    found = [
        Condition("the study is more than a smoke test", "must", ground.preset != "smoke",
                  ground.preset or "no preset named", "any preset but smoke"),
        Condition("cells that are done", "must", health.done >= 4, str(health.done), "4 or more"),
        Condition("noise between seeds is measured", "must", noise is not None,
                  f"sd {noise.sd:.2%} of the loss" if noise else "no cell has two seeds",
                  "a cell with two seeds or more"),
        Condition("seeds of a cell", "full", noise is not None and noise.most_seeds >= LEAST_SEEDS,
                  str(noise.most_seeds if noise else 1), f"{LEAST_SEEDS} or more"),
        Condition("failed cells", "full", 4 * health.failed <= health.done + health.failed,
                  str(health.failed), "a quarter of the cells at most"),
    ]  # fmt: skip
    return found + (_grid_conditions(health) if law_rests else [])


def _grid_conditions(health: Health) -> list[Condition]:
    grid = f"{health.sizes} sizes, {health.amounts} amounts of text"
    least = min(health.sizes, health.amounts)
    steps = "not known" if health.least_steps is None else f"{health.least_steps:,}"
    return [
        Condition("the grid spans sizes and amounts", "must", least >= LEAST_GRID, grid,
                  f"{LEAST_GRID} or more of each"),
        Condition("the grid is large enough to decide", "full", least >= GOOD_GRID, grid,
                  f"{GOOD_GRID} or more of each"),
        Condition("steps of the shortest cell", "full",
                  None if health.least_steps is None else not health.few_steps, steps,
                  f"{LEAST_STEPS:,} or more, or tokens are confused with steps"),
    ]  # fmt: skip


def next_dollar(
    laws: Mapping[str, Law], chosen: str, point: Point, terms: Terms, ground: Ground
) -> tuple[Verdict, list[Return]]:
    """Answers whether the next dollar should go to data or to GPUs.

    Args:
        laws: Form -> law; all of them are asked for the side, the chosen one for figures.
        chosen: Form whose figures count.
        point: Where the money stands.
        terms: Prices and limits.
        ground: Runs that the laws were fitted to.

    Returns:
        The verdict, and the returns of every way under the chosen law.
    """
    found = returns(ways(laws[chosen], point, terms))
    data, gpu = _best(found, "data"), _best(found, "gpu")
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
        *ground_conditions(ground, law_rests=True),
    ]
    return _dollar_verdict((data, gpu), compared, conditions, (point, ground)), found


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
        "prices are known",
        "must" if text.way.missing() else "full",
        not missing,
        "; ".join(missing) or "all that are needed",
        "a price for text, curation and device-hours",
    )


def _text_and_model(found: Sequence[Return]) -> tuple[Return, Return]:
    by_name = {one.name: one for one in found}
    return by_name["more text"], by_name["bigger model"]


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
    action = f"say the prices that are unknown ({priced.found})"
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


def short(value: float) -> str:
    """Returns a count with a letter for its thousands.

    Examples:
        >>> short(1.23e9), short(20e9), short(512), short(3.6e5)
        ('1.23B', '20B', '512', '360k')
    """
    for unit, letter in ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= unit * 0.9995:
            return f"{value / unit:.3g}{letter}"
    return f"{value:.3g}"


def form_ratios(
    laws: Mapping[str, Law], point: Point, terms: Terms, names: tuple[str, str]
) -> dict[str, float]:
    """Returns the ratio of two ways by each law that can judge both, the additive one aside."""
    found = {}
    for form, law in laws.items():
        if law.form == "additive" or not _can_judge(law, point):
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
    stand: tuple[Point, Ground],
) -> Verdict:
    data, gpu = pair
    point, ground = stand
    status, why = status_of(conditions)
    flips = flips_of(data, gpu)
    better, worse = (data, gpu) if compared.mid >= 1 else (gpu, data)
    sentence = (
        f"At {where(point)}, $1,000 in {better.name} lower the loss by {_thousand(better)} against "
        f"{_thousand(worse)} in {worse.name}; data to GPUs is {number(compared.mid)} "
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


def _thousand(one: Return) -> str:
    assert one.per_dollar is not None
    scaled = Estimate(one.per_dollar.mid * 1000, one.per_dollar.draws * 1000)
    return f"{number(scaled.mid)} ({interval_text(scaled)})"


def deciding(
    conditions: Sequence[Condition], compared: Estimate | None, ground: Ground
) -> Deciding:
    """Returns what would decide: the first thing that stands in the way, with its cost."""
    lacking = [one for one in conditions if one.met is not True and one.weight != "note"]
    names = {one.name for one in lacking}
    each = ground.run_dollars

    def runs(action: str, count: int) -> Deciding:
        return Deciding(action, count, None if each is None else each * count)

    if "prices are known" in names and any(one.weight == "must" for one in lacking):
        return Deciding("say the prices that are unknown")
    if IDENTIFIED in names or "the grid spans sizes and amounts" in names:
        return runs("cells at other ratios of tokens to parameters, ten times apart", 8)
    if not ground.own:
        return Deciding("run a study of your own (curate study): this law is of other data")
    if names & {"noise between seeds is measured", "seeds of a cell"}:
        return runs("two more seeds of the largest cell of each recipe", 4)
    if "the grid is large enough to decide" in names:
        return runs("a third size or amount of text", 4)
    done = ground.health.done if ground.health else 0
    return more_runs(compared, done, each)


@dataclass(frozen=True)
class RecipeEvidence:
    """What is known of a recipe against a baseline."""

    measured: Estimate | None
    """Factor of data by the runs alone."""
    by_law: Estimate | None
    gap: Gap | None
    documents: Estimate | None
    """Bits per byte saved on paired held-out documents at the largest cell."""


def recipe_worth(baseline: str, recipe: str, evidence: RecipeEvidence, ground: Ground) -> Verdict:
    """Answers whether a recipe is better than a baseline, as a factor of data.

    Args:
        baseline: Name of the recipe that is compared with.
        recipe: Name of the other one.
        evidence: By runs, law, seeds and documents.
        ground: The runs as a whole.
    """
    factor = evidence.measured or evidence.by_law
    conditions = [
        *interval_conditions(factor),
        _gap_condition(evidence.gap, factor),
        _law_condition(evidence.by_law, factor),
        _documents_condition(evidence.documents, factor),
        *ground_conditions(ground, law_rests=False),
    ]
    status, why = status_of(conditions)
    better = recipe if factor is not None and factor.mid >= 1 else baseline
    return Verdict(
        f"Is {recipe} better than {baseline}?",
        better if factor is not None else "none",
        factor,
        status,
        why,
        _recipe_sentence(baseline, recipe, evidence, status),
        (),
        tuple(conditions),
        None if status == "decided" else deciding(conditions, factor, ground),
        {"baseline": baseline, "recipe": recipe, "by": "runs" if evidence.measured else "law"},
    )


def _recipe_sentence(baseline: str, recipe: str, evidence: RecipeEvidence, status: str) -> str:
    factor, gap = evidence.measured or evidence.by_law, evidence.gap
    if factor is None:
        return f"{recipe} against {baseline}: no factor could be measured: {status}."
    said = (
        f"A token of {recipe} is worth {number(factor.mid)} tokens of {baseline} "
        f"({interval_text(factor)})"
    )
    if gap is not None:
        width = f" ± {gap.half_width:.2%}" if math.isfinite(gap.half_width) else ", noise unknown"
        said += (
            f"; at {short(gap.parameters)} parameters and {short(gap.tokens)} tokens its loss is "
            f"{gap.log_ratio:+.2%} lower{width}"
        )
    return f"{said}: {status}."


def _same_side(one: float, other: float) -> bool:
    return one != 0 and other != 0 and (one > 0) == (other > 0)


def _log(factor: Estimate | None) -> float:
    if factor is None or factor.mid <= 0:
        return 0.0 if factor is None else -math.inf
    return math.log(factor.mid)


def _gap_condition(gap: Gap | None, factor: Estimate | None) -> Condition:
    name, wanted = "gap of the largest cells beyond the noise", "clear, and on the factor's side"
    if gap is None:
        return Condition(name, "must", None, "no cell that both recipes have", wanted)
    met = gap.clear and _same_side(gap.log_ratio, _log(factor))
    width = f"± {gap.half_width:.2%}" if math.isfinite(gap.half_width) else "no noise floor"
    return Condition(name, "must", met, f"{gap.log_ratio:+.2%} {width}", wanted)


def _law_condition(by_law: Estimate | None, factor: Estimate | None) -> Condition:
    name, wanted = "the fitted law agrees", "a factor on the same side of 1"
    if by_law is None:
        return Condition(name, "full", None, "no law knows both recipes", wanted)
    met = _same_side(_log(by_law), _log(factor))
    return Condition(name, "full", met, f"{number(by_law.mid)} ({interval_text(by_law)})", wanted)


def _documents_condition(saved: Estimate | None, factor: Estimate | None) -> Condition:
    name = "held-out documents agree, in pairs"
    wanted = "an interval on the factor's side of 0"
    found = saved.interval() if saved is not None else None
    if saved is None or found is None:
        return Condition(name, "full", None, "no bits by document", wanted)
    met = not found[0] <= 0 <= found[1] and _same_side(saved.mid, _log(factor))
    return Condition(
        name,
        "full",
        met,
        f"{saved.mid:+.4f} bits per byte ({found[0]:+.4f} to {found[1]:+.4f})",
        wanted,
    )
