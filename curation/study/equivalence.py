"""What a recipe is worth, as a factor of the other's data: by the law, and by the runs alone.

A factor of 1.5 says: the baseline needs 1.5 times the tokens for the same loss at the same size.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.study.costs import HOUR, Terms
from curation.study.marginal import Estimate, Floats, Law, Point, count_draws

GRID = 401
DECADES = 3.0
"""Factors outside of 1/1000 to 1000 are given as 0 or infinity."""


def _curves(law: Law, point: Point, recipe: str, tokens: Floats) -> Floats:
    """Returns losses [1 + draws, tokens] of a recipe at the point's size; the first row is mid."""
    options = {"recipe": recipe, "unique_tokens": tokens}
    sizes = np.full_like(tokens, point.parameters)
    mid = np.asarray(law.loss(sizes, tokens, **options))[None]
    if not count_draws(law):
        return mid
    return np.concatenate([mid, np.asarray(law.loss_draws(sizes, tokens, **options))])


def equivalence(law: Law, point: Point, baseline: str, recipe: str) -> Estimate:
    """Returns by what factor the baseline's tokens must grow to match a recipe, by a law.

    Args:
        law: Knows both recipes.
        point: Size and tokens of the recipe.
        baseline: Name of the recipe that is compared with.
        recipe: Name of the recipe whose worth is asked.
    """
    factors = np.logspace(-DECADES, DECADES, GRID)
    curves = _curves(law, point, baseline, point.tokens * factors)
    targets = _curves(law, point, recipe, np.array([point.tokens]))[:, 0]
    found = np.array([_meet(factors, c, t) for c, t in zip(curves, targets, strict=True)])
    return Estimate(float(found[0]), found[1:])


def _meet(factors: Floats, losses: Floats, target: float) -> float:
    """Returns where a curve that falls from left to right meets a loss."""
    if target < losses[-1]:
        return math.inf
    if target > losses[0]:
        return 0.0
    logs = np.interp(target, losses[::-1], np.log(factors)[::-1])
    return float(np.exp(logs))


@dataclass(frozen=True)
class Crossing:
    """Where two recipes change places at one model size."""

    recipes: tuple[str, str]
    tokens: Estimate
    """Infinite in draws in which they do not cross within the span."""
    share: float
    """Of the draws in which they cross; of the point alone where there are no draws."""
    first: str
    """The better one at fewer tokens."""


def crossing(law: Law, point: Point, pair: tuple[str, str], span: float = 2.0) -> Crossing | None:
    """Returns where two recipes cross, within `span` decades of the point's tokens each way.

    None if they cross neither at the point estimate nor in one of twenty draws.
    """
    tokens = point.tokens * np.logspace(-span, span, GRID)
    gaps = _curves(law, point, pair[0], tokens) - _curves(law, point, pair[1], tokens)
    found = np.array([_sign_change(tokens, gap) for gap in gaps])
    share = float(np.isfinite(found[1:] if len(found) > 1 else found).mean())
    if not math.isfinite(found[0]) and share < 0.05:
        return None
    first = pair[0] if gaps[0, 0] < 0 else pair[1]
    return Crossing(pair, Estimate(float(found[0]), found[1:]), share, first)


def _sign_change(tokens: Floats, gap: Floats) -> float:
    places = np.flatnonzero(np.sign(gap[1:]) * np.sign(gap[:-1]) < 0)
    if not len(places):
        return math.inf
    k = int(places[0])
    part = gap[k] / (gap[k] - gap[k + 1])
    return float(np.exp(np.log(tokens[k]) * (1 - part) + np.log(tokens[k + 1]) * part))


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


def measured_pairs(
    runs: Sequence[Mapping[str, Any]], baseline: str, recipe: str
) -> list[Pair]:
    """Returns factors of equivalence from runs alone: lines through the baseline's points.

    At each size the baseline's mean log loss is joined by lines over log tokens; the outermost lines
    are prolonged by half of their length, and what lies further out is left out.

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

    The noise of a factor is the seed noise of two losses over the slope of the curve. Without a noise
    floor there are no draws, so no interval: the spread over cells alone says too little.

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
