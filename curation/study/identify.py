"""Can these runs answer the question at all? What of a law they leave open, as flags.

A grid on which N and D move together predicts loss along its line very well and says nothing of
what one of them alone would do: neither residuals nor held-out error can tell. The spread of the
draws, the conditioning of the Jacobian and the collinearity of the grid can.
"""

from collections.abc import Mapping

import numpy as np

from curation.study.bootstrap import interval
from curation.study.fit import PointFit
from curation.study.forms import Array, Facts
from curation.study.solver import Objective, minimise_all, scipy_parts

COLLINEAR = 0.98
"""Squared correlation of ln N and ln D from which they are one."""
FEW_RUNS = 15
"""Below this percentile intervals of a bootstrap are too narrow to rely on."""
ILL_CONDITIONED = 1e5
_WIDE = 1.0
"""Width of an interval, as a share of the estimate, from which a constant is not identified."""
_WIDE_FACTORS = 100.0
"""The same of factors (A, B, C), as ratio of the ends: they swing with their exponents."""
_SILENT = 1e-5
"""A constant that changes ln loss by less than this, while it grows by a factor e, says nothing."""
_FACTORS = ("A", "B", "C", "span", "a", "b", "e")


def collinearity(facts: Facts) -> float:
    """Returns the squared correlation of ln N and ln D; 1 where one of them does not vary."""
    size, tokens = facts.parameters, facts.tokens
    if np.ptp(size) < 1e-9 or np.ptp(tokens) < 1e-9:
        return 1.0
    return float(np.corrcoef(size, tokens)[0, 1] ** 2)


def grid_flags(facts: Facts) -> tuple[str, ...]:
    """Returns what stands against a grid of runs, whatever their losses."""
    found = []
    for name, values in (("parameters", facts.parameters), ("tokens", facts.tokens)):
        count = len(np.unique(np.round(values, 6)))
        if count < 3:
            found.append(f"few values: {name} take {count}, a curve needs 3 or more")
    if collinearity(facts) > COLLINEAR:
        found.append("collinear: parameters and tokens")
    return tuple(found)


def _columns(fit: PointFit) -> Array:
    """Returns the derivatives of ln loss by the free constants, `[n, free]`."""
    objective = Objective(
        fit.form, fit.points, fit.delta, fit.theta, fit.free, np.ones(len(fit.points))
    )
    return np.asarray(objective.residuals(fit.theta[fit.free][None])[1][0] * fit.delta)


def condition(fit: PointFit) -> float:
    """Returns the condition number of the Jacobian of ln loss by the free constants.

    Constants are logarithms (of factors, exponents, floor) and columns have length 1, so the number
    does not depend on units. Infinite where a constant does not matter at all.
    """
    columns = _columns(fit)
    length = np.linalg.norm(columns, axis=0)
    if not len(length) or (length < 1e-12).any():
        return float("inf") if len(length) else 1.0
    return float(np.linalg.cond(columns / length))


def law_flags(
    fit: PointFit, natural: Mapping[str, float], draws: Mapping[str, Array]
) -> tuple[str, ...]:
    """Returns the flags of one fitted law.

    Args:
        fit: The fit to all runs.
        natural: Its constants in natural units.
        draws: Their bootstrap.
    """
    found = list(grid_flags(fit.points.facts))
    names = fit.form.names(fit.points.recipes)
    free = [names[place] for place in fit.free]
    reach = np.sqrt(np.mean(_columns(fit) ** 2, axis=0))
    for name, far in zip(free, reach, strict=True):
        if far < _SILENT or _open(name, natural[name], draws):
            found.append(f"unidentified: {name}")
    if condition(fit) > ILL_CONDITIONED:
        found.append(f"ill-conditioned: a Jacobian of {condition(fit):.0e}")
    if not fit.converged:
        found.append(f"not converged: a step further promises {fit.decrease:.0e} of the objective")
    if len(fit.points) < max(FEW_RUNS, len(free) + 3):
        found.append(f"few runs: {len(fit.points)} for {len(free)} constants")
    return tuple(found)


def _open(name: str, value: float, draws: Mapping[str, Array]) -> bool:
    if name not in draws or not len(draws[name]):
        return False
    found = interval(value, draws[name])
    low, high = found.low, found.high
    if not np.isfinite([low, high]).all():
        return True
    if name.partition("[")[0] in _FACTORS:
        return bool(low <= 0 <= high or max(high / low, low / high) > _WIDE_FACTORS)
    return bool(high - low > _WIDE * abs(value))


def profile_interval(fit: PointFit, name: str) -> tuple[float | None, float | None]:
    """Returns the likelihood interval (95 %) of one constant: all others are fitted anew around it.

    It holds for few runs, too, where a bootstrap does not. None at an end that is not reached
    within a factor 20.

    Args:
        fit: The fit to all runs, of a form whose constants are above 0.
        name: The constant.
    """
    names = fit.form.names(fit.points.recipes)
    place = names.index(name)
    freedom = max(1, len(fit.points) - len(fit.free))
    scale = 2 * fit.objective / freedom
    bound = fit.objective + 0.5 * scale * float(scipy_parts()[1].stdtrit(freedom, 0.975) ** 2)
    ends = [_profile_end(fit, place, bound, sign) for sign in (-1.0, 1.0)]
    return ends[0], ends[1]


def _profile_end(fit: PointFit, place: int, bound: float, sign: float) -> float | None:
    """Walks away from the estimate until the objective exceeds the bound, then halves."""
    free = fit.free[fit.free != place]
    weights, unit = np.ones(len(fit.points)), fit.delta**2
    start = fit.theta[free]

    def excess(move: float) -> float:
        nonlocal start
        base = fit.theta.copy()
        base[place] += sign * move
        objective = Objective(fit.form, fit.points, fit.delta, base, free, weights)
        found = minimise_all(objective, start[None])
        start = found.constants[0]
        return float(found.value[0]) * unit - bound

    low, high = 0.0, 0.02
    while excess(high) < 0:
        low, high = high, high * 1.6
        if high > np.log(20):
            return None
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (middle, high) if excess(middle) < 0 else (low, middle)
    return float(np.exp(fit.theta[place] + sign * high))
