"""Intervals of a law's constants: the fit again and again to resampled runs."""

from dataclasses import dataclass

import numpy as np

from curation.study.fit import PointFit
from curation.study.forms import Array
from curation.study.solver import TOLERANCE, Objective, minimise_all

_CHUNK = 4_000_000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A number with its interval; without draws both ends are NaN."""

    mid: float
    """By the point estimate."""
    low: float
    high: float

    @property
    def known(self) -> bool:
        """True where there is an interval."""
        return bool(np.isfinite(self.low) | np.isfinite(self.high))


def interval(mid: float, draws: Array, level: float = LEVEL) -> Interval:
    """Returns the percentile interval of draws, around a point estimate."""
    values = np.asarray(draws, float)
    values = values[~np.isnan(values)]
    if not len(values):
        return Interval(float(mid), float("nan"), float("nan"))
    edge = (1 - level) / 2
    low, high = np.quantile(values, [edge, 1 - edge], method="inverted_cdf")
    return Interval(float(mid), float(low), float(high))


def resample(fit: PointFit, draws: int, seed: int) -> tuple[Array, int]:
    """Fits resampled runs, each time from the best constants of all.

    Runs are drawn with replacement, as many of each recipe as there are: this covers better than
    drawing residuals (docs/scaling-laws.md). Draws are then spread out around the estimate by
    sqrt(n / (n - k)), as the variance of residuals is: k constants have used up as many runs.

    Args:
        fit: The fit to all runs.
        draws: How many.
        seed: Of the drawing.

    Returns:
        `theta` `[draws, p]`, and how many draws did not converge.
    """
    points, free = fit.points, fit.free
    counts = _counts(fit, draws, seed)
    size = max(1, _CHUNK // (len(points) * max(1, len(fit.theta))))
    start, found, stuck = fit.theta[free], [], 0
    for place in range(0, draws, size):
        part = counts[place : place + size]
        objective = Objective(fit.form, points, fit.delta, fit.theta, free, part)
        minimum = minimise_all(objective, np.repeat(start[None], len(part), axis=0))
        found.append(minimum.constants)
        stuck += int((minimum.decrease > 1e4 * TOLERANCE).sum())
    constants = np.concatenate(found) if found else np.empty((0, len(free)))
    spread = np.sqrt(len(points) / max(1, len(points) - len(free)))
    theta = np.repeat(fit.theta[None], draws, axis=0)
    theta[:, free] = start + spread * (constants - start)
    return theta, stuck


def _counts(fit: PointFit, draws: int, seed: int) -> Array:
    """Returns how often each run is in each sample, `[draws, n]`."""
    random = np.random.default_rng(seed)
    counts = np.zeros((draws, len(fit.points)))
    for recipe in range(len(fit.points.recipes)):
        mine = np.flatnonzero(fit.points.facts.recipe == recipe)
        if len(mine):
            drawn = random.multinomial(len(mine), np.full(len(mine), 1 / len(mine)), size=draws)
            counts[:, mine] = drawn
    return counts
