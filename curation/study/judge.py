"""The yardstick for all forms: how well they predict the largest runs, then AICc."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.errors import DataError
from curation.study.fit import FitSettings, PointFit, fit_point
from curation.study.forms import Array, Form
from curation.study.points import Points
from curation.study.solver import scipy_parts

HELD_OUT = 0.2
"""Share of the runs that the largest held out are."""
REPEATED = 1.01
"""Tokens over unique tokens from which text counts as repeated."""
EQUAL = 0.1
"""Forms whose error is at most this share above the best are equal, and AICc chooses."""


@dataclass(frozen=True)
class HeldOut:
    """Errors on the largest runs of a fit to all others."""

    runs: int
    error: float
    """Root mean square of ln loss."""
    bias: float
    """Mean of observed minus predicted ln loss; below 0: predicted too high."""


def leave_largest_out(form: Form, points: Points, settings: FitSettings) -> HeldOut | None:
    """Fits all but the runs with the largest N D and predicts those.

    A fifth of the runs is held out, those of equal N D together (`largest`). None where too few are
    left for the form's constants.
    """
    held = largest(points)
    rest = points.take(np.flatnonzero(~held))
    if len(set(rest.facts.recipe.tolist())) < len(points.recipes):
        return None
    free = len(form.names(points.recipes)) - len(settings.fixed)
    if len(rest) <= free or not held.any():
        return None
    try:
        fit = fit_point(form, rest, settings, polish=False)
    except DataError:
        return None
    out = points.take(np.flatnonzero(held))
    value, _ = form.evaluate(fit.theta, out.facts, len(points.recipes))
    residual = np.log(out.loss) - value
    return HeldOut(len(out), float(np.sqrt(np.mean(residual**2))), float(np.mean(residual)))


def largest(points: Points) -> "np.ndarray[tuple[int], np.dtype[np.bool_]]":
    """Marks the largest fifth by N D, and all that are as large; of each recipe by itself.

    Runs with repeats are a group of their own: were all of them held out, no law could have learnt
    what a repeat is worth.
    """
    compute = np.round(points.compute, 6)
    repeated = points.facts.tokens - points.facts.unique > np.log(REPEATED)
    group = 2 * points.facts.recipe + repeated
    held = np.zeros(len(points), bool)
    for one in np.unique(group):
        mine = np.flatnonzero(group == one)
        wanted = round(HELD_OUT * len(mine))
        if wanted:
            held[mine] = compute[mine] >= np.sort(compute[mine])[-wanted]
    return held


def aicc(fit: PointFit) -> tuple[float, float]:
    """Returns AICc of a fit, and the noise that its likelihood finds.

    The density whose logarithm is the Huber loss: normal up to delta, exponential beyond; its
    scale is one more constant, at its best value. Infinite where runs do not exceed constants by
    two.
    """
    count, constants = len(fit.points), len(fit.free) + 1
    scale, value = _best_scale(fit.residuals, fit.delta)
    if count - constants - 1 <= 0:
        return float("inf"), scale
    penalty = 2 * constants + 2 * constants * (constants + 1) / (count - constants - 1)
    return 2 * value + penalty, scale


def _best_scale(residuals: Array, delta: float) -> tuple[float, float]:
    """Returns the scale with the least negative logarithm of likelihood, and that."""
    optimize, special = scipy_parts()
    size = np.abs(residuals)
    huber = np.where(size <= delta, 0.5 * size**2, delta * (size - 0.5 * delta)).sum()

    def negative(log_scale: float) -> float:
        scale = np.exp(log_scale)
        bend = delta / scale
        # Both ends in one: far tails of a tiny scale are no longer a number.
        tails = np.exp(-0.5 * min(bend, 35.0) ** 2) * 2 / bend
        width = np.sqrt(2 * np.pi) * special.erf(bend / np.sqrt(2)) + tails
        return float(len(residuals) * (log_scale + np.log(width)) + huber / scale**2)

    typical = float(np.log(np.sqrt(np.mean(residuals**2)) + 1e-12))
    found = optimize.minimize_scalar(
        negative, bounds=(typical - 6, typical + 4), method="bounded", options={"xatol": 1e-10}
    )
    return float(np.exp(found.x)), float(found.fun)


@dataclass(frozen=True)
class Candidate:
    """What choosing needs of a form."""

    form: str
    error: float | None
    """On the largest runs; None: not measured."""
    aicc: float


def choose(candidates: Sequence[Candidate], noise: float = 0.0) -> tuple[str, str]:
    """Returns the chosen form, and why.

    The least error on the largest runs counts first. Forms within a tenth of it, or below the noise
    of seeds, are equal, and among these AICc decides. Where no form could be judged so, AICc does.

    Raises:
        DataError: There is no candidate.
    """
    if not candidates:
        raise DataError("no form could be fitted; add runs, or name a form with fewer constants")
    judged = [one for one in candidates if one.error is not None]
    if not judged:
        best = min(candidates, key=lambda one: one.aicc)
        return best.form, "least AICc; too few runs to hold the largest out"
    least = min(one.error for one in judged if one.error is not None)
    bound = max(least * (1 + EQUAL), noise)
    equal = [one for one in judged if one.error is not None and one.error <= bound]
    best = min(equal, key=lambda one: (one.aicc, one.error or 0.0))
    if len(equal) == 1:
        return best.form, f"least error on the largest runs, {least:.2%}"
    others = ", ".join(one.form for one in equal if one is not best)
    return (
        best.form,
        f"least AICc of those with an error up to {bound:.2%} ({others} are the others)",
    )
