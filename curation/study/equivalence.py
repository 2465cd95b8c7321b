"""What a recipe is worth, as a factor of the other's data: by the law, and by the runs alone.

A factor of 1.5 says: the baseline needs 1.5 times the tokens for the same loss at the same size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.study.comparing import equivalence
from curation.study.costs import HOUR, Terms
from curation.study.law import FittedLaw
from curation.study.predict import Estimate, Floats, Point, told_apart


def by_law(law: FittedLaw, point: Point, baseline: str, recipe: str) -> Estimate | None:
    """Returns the factor that a law predicts; None if it does not tell both recipes apart.

    Args:
        law: That may know both recipes.
        point: Size and tokens of the recipe.
        baseline: Name of the recipe that is compared with.
        recipe: Name of the recipe whose worth is asked.
    """
    if not {baseline, recipe} <= set(told_apart(law)):
        return None
    found = equivalence(law, recipe, baseline, point.parameters, point.tokens)
    return Estimate(found.factor.mid, found.draws)


@dataclass(frozen=True)
class Worth:
    """What a recipe saves at a point, against buying the same loss with more of the baseline."""

    factor: Estimate
    device_hours: Estimate
    """Of training on the extra tokens."""
    dollars: Estimate | None
    """Those hours and the extra text; None where a price is unknown."""
    missing: tuple[str, ...]
    """The prices that are unknown."""


def worth(factor: Estimate, point: Point, terms: Terms, baseline: str) -> Worth:
    """Prices a factor of data equivalence: "this curation was worth x times the data".

    Args:
        factor: From `equivalence`, or from runs.
        point: Where the recipe stands.
        terms: Prices.
        baseline: The recipe whose text would have to be bought.
    """
    hours = 6.0 * point.parameters * point.tokens / terms.flops_per_second.mid / HOUR
    text = terms.text_price(baseline)
    curation = terms.curation_price(baseline)
    needed = {f"hour of {terms.device}": terms.hour, "text": text, "curation": curation}
    missing = tuple(name for name, price in needed.items() if price is None)
    spent = _times(factor, hours)
    if terms.hour is None or text is None or curation is None:
        return Worth(factor, spent, None, missing)
    each = terms.hour.mid * hours + (text.mid + curation.mid) * point.unique
    return Worth(factor, spent, _times(factor, each), ())


def _times(factor: Estimate, amount: float) -> Estimate:
    """Returns the amount for the extra tokens: (factor - 1) times what the present ones took."""
    return Estimate((factor.mid - 1) * amount, (factor.draws - 1) * amount)


@dataclass(frozen=True)
class Pair:
    """A cell of a recipe between cells of the baseline at the same size."""

    parameters: float
    tokens: float
    log_factor: float
    slope: float
    """Of the baseline's log loss in log tokens there: how noise becomes factor."""


def measured_pairs(runs: Sequence[Mapping[str, Any]], baseline: str, recipe: str) -> list[Pair]:
    """Returns factors of equivalence from runs alone: lines through the baseline's points.

    At each size the baseline's mean log loss is joined by lines over log tokens; the outermost
    lines are prolonged by half of their length, and what lies further out is left out.

    Args:
        runs: Rows of done runs with one epoch, one device.
        baseline: Name of the recipe that is compared with.
        recipe: Name of the other one.
    """
    curves = _mean_curves(runs, baseline)
    found = []
    for (size, tokens), loss in sorted(_means(runs, recipe).items()):
        curve = curves.get(size)
        if curve is None or len(curve[0]) < 2 or not np.all(np.diff(curve[1]) < 0):
            continue
        places, losses = curve
        at = _line(losses, places, loss)
        if at is not None:
            found.append(Pair(size, tokens, at[0] - math.log(tokens), at[1]))
    return found


def _means(runs: Sequence[Mapping[str, Any]], recipe: str) -> dict[tuple[float, float], float]:
    losses: dict[tuple[float, float], list[float]] = {}
    for run in runs:
        if run["recipe"] == recipe:
            key = (float(run["parameters"]), float(run["tokens"]))
            losses.setdefault(key, []).append(math.log(run["loss"]))
    return {key: float(np.mean(values)) for key, values in losses.items()}


def _mean_curves(
    runs: Sequence[Mapping[str, Any]], recipe: str
) -> dict[float, tuple[Floats, Floats]]:
    """Returns log tokens and mean log losses of each size, by tokens."""
    by_size: dict[float, list[tuple[float, float]]] = {}
    for (size, tokens), loss in sorted(_means(runs, recipe).items()):
        by_size.setdefault(size, []).append((math.log(tokens), loss))
    return {
        size: (np.array([x for x, _ in curve]), np.array([y for _, y in curve]))
        for size, curve in by_size.items()
    }


def _line(losses: Floats, places: Floats, loss: float) -> tuple[float, float] | None:
    """Returns where the lines meet a loss, and their slope there; None if too far out."""
    k = int(np.clip(np.searchsorted(-losses, -loss) - 1, 0, len(losses) - 2))
    slope = (losses[k + 1] - losses[k]) / (places[k + 1] - places[k])
    at = places[k] + (loss - losses[k]) / slope
    beyond = 0.5 * (places[k + 1] - places[k])
    if not places[0] - beyond <= at <= places[-1] + beyond:
        return None
    return float(at), float(slope)


def measured_equivalence(
    pairs: Sequence[Pair], noise: float | None, draws: int = 2000, seed: int = 0
) -> Estimate | None:
    """Returns the geometric mean of measured factors, with draws that resample pairs and noise.

    The noise of a factor is the seed noise of two losses over the slope of the curve. Without a
    noise floor there are no draws, so no interval: the spread over cells alone says too little.

    Args:
        pairs: From `measured_pairs`.
        noise: Standard deviation of a log loss between seeds; None: not measured.
        draws: How many.
        seed: Of the draws.
    """
    if not pairs:
        return None
    logs = np.array([pair.log_factor for pair in pairs])
    mid = float(np.exp(logs.mean()))
    if noise is None:
        return Estimate(mid)
    rng = np.random.default_rng(seed)
    spread = np.array([math.sqrt(2) * noise / abs(pair.slope) for pair in pairs])
    taken = rng.integers(0, len(pairs), (draws, len(pairs)))
    jittered = logs[taken] + rng.normal(0, 1, taken.shape) * spread[taken]
    return Estimate(mid, np.exp(jittered.mean(axis=1)))
