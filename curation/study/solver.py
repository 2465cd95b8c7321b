"""The objective of all fits, and two minimisers: many problems at once, and one to the end.

The objective is Hoffmann et al.'s (2022, arXiv 2203.15556): the sum over runs of the Huber loss of
the residual in ln loss. It is summed, not averaged, and minimised in units of delta squared: with
the mean of tiny numbers a minimiser meets its tolerance long before the minimum (Besiroglu et al.
2024, arXiv 2404.10102, found that this is what went wrong in the original fit).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.study.forms import Array, Form, Places
from curation.study.points import Points

TOLERANCE = 1e-10
"""A fit has converged where a further step promises less than this share of the objective."""
_LONGEST = 3.0
"""Longest step in any constant; most are logarithms."""
_RIDGE = 1e-9
_HOPELESS = 1e20
_TURNS = 5
"""Times that it starts anew with fresh curvature; in a valley without a floor it ends here."""


@dataclass(frozen=True)
class Objective:
    """Summed Huber loss of ln loss, in units of delta squared, for constants `[draws, k]`."""

    form: Form
    points: Points
    delta: float
    base: Array
    """`theta` `[p]`; what is not free stays so."""
    free: Places
    """Places in `theta` that are fitted, `[k]`."""
    weights: Array
    """How often each run counts: `[n]`, or `[draws, n]` with a row for each row of constants."""

    def residuals(self, constants: Array) -> tuple[Array, Array]:
        """Returns (predicted - observed ln loss) / delta and its gradient `[draws, n, k]`."""
        value, gradient = self.form.evaluate(
            self.whole(constants), self.points.facts, len(self.points.recipes)
        )
        residual = (value - np.log(self.points.loss)) / self.delta
        return residual, gradient[..., self.free] / self.delta

    def whole(self, constants: Array) -> Array:
        """Returns `theta` `[draws, p]` with the fixed constants in their places."""
        theta: Array = np.empty((*constants.shape[:-1], len(self.base)))
        theta[...] = self.base
        theta[..., self.free] = constants
        return theta

    def rows(self, draws: Places) -> "Objective":
        """Returns the objective of some draws."""
        if self.weights.ndim == 1:
            return self
        return Objective(
            self.form, self.points, self.delta, self.base, self.free, self.weights[draws]
        )

    def __call__(self, constants: Array) -> tuple[Array, Array]:
        """Returns values `[draws]` and gradients `[draws, k]`."""
        with np.errstate(all="ignore"):  # a wild trial step is no error; the search refuses it
            residual, gradient = self.residuals(constants)
            size = np.abs(residual)
            huber = np.where(size <= 1.0, 0.5 * residual**2, size - 0.5)
            value = (self.weights * huber).sum(-1)
            pull = self.weights * np.clip(residual, -1.0, 1.0)
            slope = np.einsum("...n,...nk->...k", pull, gradient)
        return np.where(np.isfinite(value), value, np.inf), slope

    def curvature(self, constants: Array) -> Array:
        """Returns the Gauss-Newton curvature `[draws, k, k]`, an upper bound of Huber's."""
        residual, gradient = self.residuals(constants)
        weights = self.weights / np.maximum(1.0, np.abs(residual))
        found = np.einsum("...n,...nj,...nk->...jk", weights, gradient, gradient)
        return np.asarray(found)


@dataclass(frozen=True)
class Minimum:
    """Where a minimiser stopped, for each draw."""

    constants: Array
    """`[draws, k]`."""
    value: Array
    """In units of delta squared, `[draws]`."""
    decrease: Array
    """What a further step promises, as a share of the value, `[draws]`."""


def minimise_all(objective: Objective, start: Array, iterations: int = 150) -> Minimum:
    """Minimises for many starts or weights at once by BFGS, started from Gauss-Newton curvature.

    Args:
        objective: With weights `[n]`, or a row for each start.
        start: `[draws, k]`.
        iterations: Most steps.

    Returns:
        The best that each draw reached.
    """
    state = _Descent(objective, np.array(start, float))
    for _ in range(iterations):
        if not state.step():
            break
    return Minimum(state.x, state.value, state.decrease)


class _Descent:
    """BFGS with backtracking for many problems; finished ones are no longer evaluated."""

    def __init__(self, objective: Objective, start: Array) -> None:
        self.objective, self.x = objective, start
        self.value, self.slope = objective(start)
        self.decrease = np.full(len(start), np.inf)
        self.inverse = _inverse(objective, start)
        self.fresh = np.ones(len(start), bool)
        self.active = np.flatnonzero(np.isfinite(self.value))

    def step(self) -> bool:
        """Takes one step in every problem that is not done; returns whether any is left."""
        if not len(self.active):
            return False
        rows = self.active
        towards = -np.einsum("rjk,rk->rj", self.inverse[rows], self.slope[rows])
        gain = np.einsum("rk,rk->r", towards, self.slope[rows])
        self.decrease[rows] = np.abs(gain) / np.maximum(self.value[rows], 1e-300)
        going = (gain < 0) & (self.decrease[rows] > TOLERANCE)
        rows, towards, gain = rows[going], towards[going], gain[going]
        towards *= np.minimum(1.0, _LONGEST / np.abs(towards).max(-1, initial=1e-300))[:, None]
        moved = self._search(rows, towards, gain)
        # Where no step helps with what was learnt of the curvature, it is learnt anew, once.
        stuck = rows[~moved & ~self.fresh[rows]]
        if len(stuck):
            self.inverse[stuck] = _inverse(self.objective.rows(stuck), self.x[stuck])
            self.fresh[stuck] = True
        self.active = np.sort(np.concatenate([rows[moved], stuck]))
        return bool(len(self.active))

    def _search(self, rows: Places, towards: Array, gain: Array) -> Any:
        """Halves the step until it pays; updates place, slope and curvature where it does."""
        moved, length = np.zeros(len(rows), bool), np.ones(len(rows))
        for _ in range(30):
            left = np.flatnonzero(~moved)
            if not len(left):
                break
            places = rows[left]
            trial = self.x[places] + length[left, None] * towards[left]
            value, slope = self.objective.rows(places)(trial)
            pays = value <= self.value[places] + 1e-4 * length[left] * gain[left]
            pays &= np.isfinite(slope).all(-1)
            took = places[pays]
            self._update(took, trial[pays] - self.x[took], slope[pays] - self.slope[took])
            self.x[took], self.value[took], self.slope[took] = trial[pays], value[pays], slope[pays]
            moved[left[pays]] = True
            length[left[~pays]] *= 0.5
        return moved

    def _update(self, rows: Places, step: Array, change: Array) -> None:
        """The BFGS update of the inverse curvature, where the curvature is positive."""
        along = np.einsum("rk,rk->r", step, change)
        size = np.linalg.norm(step, axis=-1) * np.linalg.norm(change, axis=-1)
        good = along > 1e-10 * size
        rows, step, change, along = rows[good], step[good], change[good], along[good]
        inverse = self.inverse[rows]
        pulled = np.einsum("rjk,rk->rj", inverse, change)
        factor = (1.0 + np.einsum("rk,rk->r", change, pulled) / along) / along
        inverse += factor[:, None, None] * step[:, :, None] * step[:, None, :]
        cross = pulled[:, :, None] * step[:, None, :]
        self.inverse[rows] = inverse - (cross + cross.swapaxes(1, 2)) / along[:, None, None]
        self.fresh[rows] = False


def _inverse(objective: Objective, constants: Array) -> Array:
    with np.errstate(all="ignore"):
        curvature = np.nan_to_num(objective.curvature(constants), posinf=1e12, neginf=-1e12)
    size = constants.shape[-1]
    scale = np.trace(curvature, axis1=-2, axis2=-1)[..., None, None] / size + 1e-12
    return np.linalg.inv(curvature + _RIDGE * scale * np.eye(size))


def minimise_one(objective: Objective, start: Array) -> tuple[Array, float]:
    """Minimises from one start by scipy's BFGS, in coordinates where the curvature is round.

    Not by its L-BFGS: that of scipy 1.17.1 (in C) did not come back from runs whose losses differed
    by a factor of 10,000, whatever its limits. With ten constants both keep the whole curvature.

    Args:
        objective: With weights `[n]`.
        start: `[k]`.

    Returns:
        Constants `[k]`, and their value in units of delta squared.

    Raises:
        RecipeError: scipy is not installed.
    """
    optimize, _ = scipy_parts()
    best, value = np.array(start, float), np.inf
    for _ in range(_TURNS):
        first, slope = objective(best[None])
        turn = _square_root(_inverse(objective, best[None])[0])
        # Where squares of these would be no numbers, there is nothing to polish.
        sound = first[0] < _HOPELESS and np.abs(turn.T @ slope[0]).max() < _HOPELESS
        if not sound or np.abs(turn).max() > _HOPELESS:
            return best, float(first[0])
        function = _turned(objective, best, turn, 1e3 * (1.0 + float(first[0])))
        found = optimize.minimize(
            function, np.zeros(len(start)), jac=True, method="BFGS",
            options={"maxiter": 200, "gtol": 1e-9},
        )  # fmt: skip
        step, last = turn @ found.x, value
        best, value = best + step, float(found.fun)
        if last - value <= 1e-13 * abs(value):
            break
    return best, value


def _turned(
    objective: Objective, centre: Array, turn: Array, highest: float
) -> Callable[[Array], tuple[float, Array]]:
    def function(turned: Array) -> tuple[float, Array]:
        value, slope = objective((centre + turn @ turned)[None])
        towards = turn.T @ slope[0]
        if value[0] < highest and np.isfinite(towards).all():
            return float(value[0]), towards
        return highest, np.zeros(len(turned))  # so wild a step is taken back

    return function


def _square_root(matrix: Array) -> Array:
    values, vectors = np.linalg.eigh((matrix + matrix.T) / 2)
    return np.asarray(vectors * np.sqrt(np.maximum(values, 1e-12)))


def scipy_parts() -> tuple[Any, Any]:
    """Imports what fits need of scipy: its minimisers and its special functions.

    Raises:
        RecipeError: scipy is not installed.
    """
    try:
        from scipy import optimize, special
    except ImportError as error:
        raise RecipeError(
            f"fitting laws needs scipy, which cannot be imported ({error}); "
            "run: pip install 'curation[study]'"
        ) from error
    return optimize, special
