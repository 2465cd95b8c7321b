"""Fitting a law to runs: starts by variable projection or as published, then descent.

Given its exponents a law is linear in the rest, so a coarse grid of exponents with a non-negative
least squares fit at each point is a better set of starts than any grid in all constants (variable
projection, as in arXiv 2603.22339). The best of them are followed to their minima, and the best of
those is polished by BFGS with analytic gradients; the gradient that is left is recorded.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np

from curation.errors import DataError, RecipeError, unknown_name
from curation.study.forms import Array, Form, Places
from curation.study.points import Points
from curation.study.solver import TOLERANCE, Objective, minimise_all, minimise_one, scipy_parts

DEFAULT_DELTA = 1e-3
"""As Hoffmann et al. have it, where seeds did not tell the noise."""
_DELTA_OF_NOISE = 1.3
_FOLLOWED = 64
_CHUNK = 4_000_000
"""Numbers in a gradient at once: 32 MB."""

Starts = Literal["projection", "published"]


@dataclass(frozen=True)
class FitSettings:
    """How laws are fitted."""

    delta: float | None = None
    """Bound of the Huber loss in ln loss; None: 1.3 times the noise of seeds, or 0.001."""
    starts: Starts = "projection"
    """`published`: the 4,500 of Hoffmann et al., for the forms that have just its constants."""
    fixed: Mapping[str, float] = field(default_factory=dict)
    """Constants that are not fitted, in natural units."""
    draws: int = 1000
    """Of the bootstrap; 0: none."""
    seed: int = 0
    """Of the bootstrap."""
    unit: str = "bits per byte"
    """Of loss, for the record."""
    convention: str = "parameters in matrix products, output head included"
    """How N was counted, for the record."""


@dataclass(frozen=True)
class PointFit:
    """The best constants of a form for some runs."""

    form: Form
    points: Points
    theta: Array
    """`[p]`."""
    free: Places
    delta: float
    objective: float
    """Summed Huber loss."""
    gradient: float
    """Greatest derivative of it that is left."""
    decrease: float
    """What a further step promises, as a share of the objective."""
    starts: int
    """Tried."""
    agreeing: int
    """Of those followed to the end (at most 64), how many came to the same minimum."""

    @property
    def converged(self) -> bool:
        """True where no further step would help, or the law meets the runs exactly."""
        exact = self.objective <= 1e-12 * len(self.points) * self.delta**2
        return exact or self.decrease <= 100 * TOLERANCE

    @property
    def residuals(self) -> Array:
        """Observed minus predicted ln loss."""
        recipes = len(self.points.recipes)
        value, _ = self.form.evaluate(self.theta, self.points.facts, recipes)
        return np.asarray(np.log(self.points.loss) - value)


def seed_noise(points: Points) -> tuple[float, int]:
    """Returns the standard deviation of ln loss over runs that differ by seed alone.

    Returns:
        Pooled over all such groups, and its degrees of freedom; (0, 0) where there are none.
    """
    facts = points.facts
    keys = np.stack(
        (facts.parameters, facts.tokens, facts.unique, facts.quality, facts.resources), axis=1
    )
    groups: dict[tuple[float, ...], list[float]] = {}
    for key, recipe, loss in zip(keys.tolist(), facts.recipe.tolist(), points.loss, strict=True):
        groups.setdefault((*key, recipe), []).append(float(np.log(loss)))
    several = [np.array(group) for group in groups.values() if len(group) > 1]
    freedom = sum(len(group) - 1 for group in several)
    if not freedom:
        return 0.0, 0
    squares = sum(float(((group - group.mean()) ** 2).sum()) for group in several)
    return float(np.sqrt(squares / freedom)), freedom


def chosen_delta(points: Points, settings: FitSettings) -> tuple[float, str]:
    """Returns the bound of the Huber loss and where it is from."""
    if settings.delta is not None:
        if not 0 < settings.delta < np.inf:
            raise RecipeError(f"delta {settings.delta}: expected a number above 0")
        return settings.delta, "given"
    noise, freedom = seed_noise(points)
    if freedom >= 3 and noise > 0:
        return (
            _DELTA_OF_NOISE * noise,
            f"1.3 times the noise of seeds, {freedom} degrees of freedom",
        )
    return DEFAULT_DELTA, "default: too few repeated seeds to measure noise"


def fit_point(
    form: Form, points: Points, settings: FitSettings, *, polish: bool = True
) -> PointFit:
    """Fits a form to runs.

    Args:
        form: What to fit.
        points: The runs.
        settings: How.
        polish: Follow the best start by scipy to the last digit as well.

    Raises:
        DataError: There are fewer runs than constants.
        RecipeError: A fixed constant is not one of the form's; scipy is missing.
    """
    names = form.names(points.recipes)
    base, free = _held(form, points, settings.fixed)
    if len(points) < len(free):
        raise DataError(
            f"form {form.name}: {len(points)} runs for {len(free)} constants "
            f"({', '.join(names[place] for place in free)}); add runs, or choose a form with fewer"
        )
    delta, _ = chosen_delta(points, settings)
    objective = Objective(form, points, delta, base, free, np.ones(len(points)))
    starts = _starts(form, points, settings, base, free)
    if not len(free):
        return _nothing_to_fit(objective)
    best = _best_starts(objective, starts)
    found = minimise_all(objective, best)
    agreeing = int((found.value <= found.value.min() * (1 + 1e-6)).sum())
    constants = found.constants[int(np.argmin(found.value))]
    if polish:
        constants, _ = minimise_one(objective, constants)
    last = minimise_all(objective, constants[None])  # says what a further step would bring
    constants, value = last.constants[0], float(last.value[0]) * delta**2
    if not np.isfinite(value):
        raise DataError(
            f"form {form.name}: no constants bring it near these runs (losses from "
            f"{points.loss.min():.3g} to {points.loss.max():.3g}); leave it out, or mend the runs"
        )
    gradient = float(np.abs(objective(constants[None])[1]).max()) * delta**2
    return PointFit(
        form, points, objective.whole(constants), free, delta, value, gradient,
        float(last.decrease[0]), len(starts), agreeing,
    )  # fmt: skip


def _held(form: Form, points: Points, fixed: Mapping[str, float]) -> tuple[Array, Places]:
    """Returns `theta` with the fixed constants, and the places of the free ones."""
    names = form.names(points.recipes)
    for name in fixed:
        if name not in names:
            raise RecipeError(unknown_name(f"constant of form {form.name}", name, names))
    natural = {name: fixed.get(name, 1.0) for name in names}
    free = np.array([place for place, name in enumerate(names) if name not in fixed], np.int64)
    return form.internal(natural, points.recipes), free


def _nothing_to_fit(objective: Objective) -> PointFit:
    value = float(objective(np.empty((1, 0)))[0][0]) * objective.delta**2
    return PointFit(
        objective.form, objective.points, objective.base, objective.free, objective.delta, value,
        0.0, 0.0, 1, 1,
    )  # fmt: skip


def _starts(form: Form, points: Points, settings: FitSettings, base: Array, free: Places) -> Array:
    """Returns starts `[starts, p]` with the fixed constants in place."""
    published = settings.starts == "published" and form.name in ("chinchilla", "tied")
    found = _published(form) if published else _projected(form, points)
    starts = np.array(list(found))
    held = np.setdiff1d(np.arange(len(base)), free)
    starts[:, held] = base[held]
    return starts


def _projected(form: Form, points: Points) -> Iterator[Array]:
    """Yields a start for each point of the form's grid, linear constants by least squares."""
    nnls = scipy_parts()[0].nnls
    names = form.names(points.recipes)
    target = np.ones(len(points))
    for bends in form.bends():
        natural = {name: bends.get(name.partition("[")[0], 1.0) for name in names}
        theta = form.internal(natural, points.recipes)
        columns = form.linear_columns(bends, points.facts, len(points.recipes))
        matrix = columns.matrix / points.loss[:, None]  # residuals as shares of loss
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-300)
        if columns.positive:
            factors = np.maximum(nnls(matrix / scale, target)[0], 1e-3) / scale
        else:
            factors = np.linalg.lstsq(matrix / scale, target, rcond=1e-10)[0] / scale
        factors = factors / (np.array(columns.divisors) if columns.divisors else 1.0)
        theta[list(columns.places)] = np.log(factors) if columns.positive else factors
        yield theta


def _published(form: Form) -> Iterator[Array]:
    """Yields the starts of Hoffmann et al.; 0.02 for their exponents of 0."""
    exponents = [np.log(max(value, 0.02)) for value in np.arange(0, 2.1, 0.5)]
    steps = [float(value) for value in range(0, 30, 5)]
    for a, b, e, alpha in product(steps, steps, np.arange(-1, 1.1, 0.5), exponents):
        if form.name == "tied":
            yield np.array([a, b, e, alpha])
            continue
        for beta in exponents:
            yield np.array([a, b, e, alpha, beta])


def _best_starts(objective: Objective, starts: Array) -> Array:
    """Returns the free constants of the starts that are worth following, `[k, free]`."""
    unique = np.unique(starts[:, objective.free], axis=0)
    size = max(1, _CHUNK // (len(objective.points) * max(1, starts.shape[1])))
    parts = [unique[place : place + size] for place in range(0, len(unique), size)]
    if len(starts) > 2000:  # a grid in all constants: few starts are near anything
        parts = [minimise_all(objective, part, iterations=40).constants for part in parts]
    values = np.concatenate([objective(part)[0] for part in parts])
    order = np.argsort(values, kind="stable")[:_FOLLOWED]
    return np.concatenate(parts)[order]
