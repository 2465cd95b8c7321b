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
from curation.study.evidence import t95
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


def worth(
    factor: Estimate, point: Point, terms: Terms, baseline: str, ended: Sequence[str] = ()
) -> Worth:
    """Prices a factor of data equivalence: "this curation was worth x times the data".

    Args:
        factor: From `equivalence`, or from runs.
        point: Where the recipe stands.
        terms: Prices.
        baseline: The recipe whose text would have to be bought.
        ended: Recipes that have no more text there. What they repeat costs no text, and what other
            text would do is not known: there are no dollars then.
    """
    hours = 6.0 * point.parameters * point.tokens / terms.flops_per_second.mid / HOUR
    text = terms.text_price(baseline)
    curation = terms.curation_price(baseline)
    needed = {f"hour of {terms.device}": terms.hour, "text": text, "curation": curation}
    unknown = (name for name, price in needed.items() if price is None)
    missing = (*(f"text beyond all of {name}'s" for name in ended), *unknown)
    spent = _times(factor, hours)
    if ended or terms.hour is None or text is None or curation is None:
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
    """Returns factors of equivalence from runs alone: curves through the baseline's points.

    At each size a monotone curve runs through the baseline's mean log losses over log tokens; it is
    prolonged by half of an interval, and what lies further out is left out. It ends where the loss
    no longer falls: text that is repeated too often makes it rise.

    Args:
        runs: Rows of done runs on one device.
        baseline: Name of the recipe that is compared with.
        recipe: Name of the other one.
    """
    curves = mean_curves(runs, baseline)
    found = []
    for (size, tokens), loss in sorted(_means(runs, recipe).items()):
        places, losses = _falling(*curves.get(size, (np.empty(0), np.empty(0))))
        if len(places) < 2:
            continue
        at = meeting(losses, places, loss)
        if at is not None:
            found.append(Pair(size, tokens, at[0] - math.log(tokens), at[1]))
    return found


def _falling(places: Floats, losses: Floats) -> tuple[Floats, Floats]:
    rises = np.flatnonzero(np.diff(losses) >= 0)
    end = rises[0] + 1 if len(rises) else len(losses)
    return places[:end], losses[:end]


def _means(
    runs: Sequence[Mapping[str, Any]], recipe: str | None
) -> dict[tuple[float, float], float]:
    losses: dict[tuple[float, float], list[float]] = {}
    for run in runs:
        if (run["recipe"] or None) == recipe:
            key = (float(run["parameters"]), float(run["tokens"]))
            losses.setdefault(key, []).append(math.log(run["loss"]))
    return {key: float(np.mean(values)) for key, values in losses.items()}


def mean_curves(
    runs: Sequence[Mapping[str, Any]], recipe: str | None
) -> dict[float, tuple[Floats, Floats]]:
    """Returns log tokens and mean log losses of each size, by tokens."""
    by_size: dict[float, list[tuple[float, float]]] = {}
    for (size, tokens), loss in sorted(_means(runs, recipe).items()):
        by_size.setdefault(size, []).append((math.log(tokens), loss))
    return {
        size: (np.array([x for x, _ in curve]), np.array([y for _, y in curve]))
        for size, curve in by_size.items()
    }


def meeting(losses: Floats, places: Floats, loss: float) -> tuple[float, float] | None:
    """Returns where a falling curve through points meets a loss, and its slope there.

    A monotone cubic (Fritsch and Carlson 1980) through all points; beyond the last ones a line.

    Args:
        losses: `[n]`, strictly falling, two or more.
        places: `[n]`, rising.
        loss: That is to be met.

    Returns:
        The place and the slope; None if it lies beyond the points by more than half of an interval.
    """
    x, y = losses[::-1], places[::-1]  # the place as a function of the loss
    steps, slopes = np.diff(x), np.diff(y) / np.diff(x)
    tangents = _tangents(steps, slopes)
    k = int(np.clip(np.searchsorted(x, loss) - 1, 0, len(steps) - 1))
    t = (loss - x[k]) / steps[k]
    if not 0 <= t <= 1:
        end = k if t < 0 else k + 1
        at, tangent = y[end] + tangents[end] * (loss - x[end]), tangents[end]
        return (
            (float(at), float(1 / tangent))
            if abs(at - y[end]) <= abs(y[k + 1] - y[k]) / 2
            else None
        )
    left, right = tangents[k] * steps[k], tangents[k + 1] * steps[k]
    rise = y[k + 1] - y[k]
    bend, twist = 3 * rise - 2 * left - right, left + right - 2 * rise
    at = y[k] + t * (left + t * (bend + t * twist))
    tangent = (left + t * (2 * bend + 3 * t * twist)) / steps[k]
    return float(at), float(1 / tangent)


def _tangents(steps: Floats, slopes: Floats) -> Floats:
    """Returns the tangents: harmonic means inside, three-point formulas at the ends."""
    if len(slopes) == 1:
        return np.repeat(slopes, 2)
    before, after = 2 * steps[1:] + steps[:-1], steps[1:] + 2 * steps[:-1]
    inside = (before + after) / (before / slopes[:-1] + after / slopes[1:])
    ends = [
        ((2 * h + g) * d - h * c) / (h + g)
        for h, g, d, c in (
            (steps[0], steps[1], slopes[0], slopes[1]),
            (steps[-1], steps[-2], slopes[-1], slopes[-2]),
        )
    ]
    # All slopes are below 0; an end must not turn, nor be steeper than three times its neighbour.
    first, last = (
        float(np.clip(end, 3 * d, d / 3)) for end, d in zip(ends, slopes[[0, -1]], strict=True)
    )
    return np.array([first, *inside, last])


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
    noisy = (rng.normal(0, 1, taken.shape) * spread[taken]).mean(axis=1)
    moved = (logs[taken].mean(axis=1) - logs.mean()) * _few(len(logs))
    return Estimate(mid, mid * np.exp(moved + noisy))


def _few(count: int) -> float:
    """Returns by how much a bootstrap of so many values is too narrow (a t interval's width)."""
    return t95(count - 1) / 1.96 * math.sqrt(count / (count - 1)) if count >= 4 else 1.0
