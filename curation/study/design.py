"""Is a grid worth its money? What it can tell, before anything is spent.

The Jacobian of ln loss at prior constants and the noise of one run give the covariance that a fit
to the grid would have (delta method), and with it the interval of the marginal ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.errors import RecipeError
from curation.study.forms import Array, Facts
from curation.study.identify import COLLINEAR, collinearity
from curation.study.law import FittedLaw, form_named
from curation.study.points import Points, make_points
from curation.study.ratio import NO_ANSWER, marginal

_Z = 1.959964
_STEP = 1e-5
_MOST_ADDED = 6


@dataclass(frozen=True)
class GridCell:
    """One cell of a planned grid."""

    parameters: float
    tokens: float
    unique_tokens: float | None = None
    """Default: all."""
    seeds: int = 1
    recipe: str = ""


@dataclass(frozen=True)
class Design:
    """What a grid can tell."""

    runs: int
    condition: float
    """Of the Jacobian, columns of length 1; infinite where a constant does not matter."""
    ratio: float
    """Marginal ratio of data to model at `at`, by the prior law."""
    ratio_low: float
    ratio_high: float
    """Ends of the interval that a fit to this grid would have, at 95 %."""
    log_sd: float
    """Of ln ratio."""
    spread: dict[str, float]
    """Predicted standard deviation of ln of each constant."""
    at: tuple[float, float]
    """N and D where the ratio is taken: the largest run."""
    refused: bool
    """True where the grid cannot answer whatever its runs say."""
    message: str
    """One line for people: what it can tell, or what to add."""


def check_design(
    cells: Sequence[GridCell],
    law: FittedLaw,
    *,
    noise: float,
    at: tuple[float, float] | None = None,
) -> Design:
    """Predicts what a grid will tell of the marginal ratio of data to model.

    Args:
        cells: The grid.
        law: Prior constants: a published law, or a fit of an earlier study.
        noise: Standard deviation of ln loss over seeds, e.g. 0.003.
        at: N and D of the question; default: the largest run.

    Raises:
        RecipeError: There are no cells, or the noise is not above 0.
    """
    if not cells or not noise > 0:
        raise RecipeError(
            f"design: {len(cells)} cells, noise {noise}; expected cells, and a noise above 0"
        )
    points = _points(cells, law)
    weights = np.array([max(1, cell.seeds) for cell in cells], float)
    place = int(np.argmax(points.compute)) if at is None else -1
    where = (float(cells[place].parameters), float(cells[place].tokens)) if at is None else at
    jacobian = _jacobian(law, points)
    condition = _condition(jacobian)
    covariance = _covariance(jacobian, weights, noise)
    log_sd = _log_sd(law, covariance, where, cells[place].recipe)
    ratio = marginal(law, *where, recipe=_recipe(law, cells[place])).ratio.mid
    refused = collinearity(points.facts) > COLLINEAR or not log_sd <= NO_ANSWER
    reach = float(np.exp(min(_Z * log_sd, 700.0)))
    names = form_named(law.form).names(law.recipes)
    spread = dict(zip(names, np.sqrt(np.diag(covariance)).tolist(), strict=True))
    found = Design(
        int(weights.sum()), condition, ratio, ratio / reach, ratio * reach, log_sd, spread,
        where, refused, "",
    )  # fmt: skip
    message = _advice(cells, law, noise, found, points.facts) if refused else _praise(found)
    return Design(**{**found.__dict__, "message": message})


def _recipe(law: FittedLaw, cell: GridCell) -> str | None:
    return cell.recipe if form_named(law.form).recipes_differ else None


def _points(cells: Sequence[GridCell], law: FittedLaw) -> Points:
    found = make_points(
        [1.0] * len(cells),
        [cell.parameters for cell in cells],
        [cell.tokens for cell in cells],
        unique_tokens=[min(cell.tokens, cell.unique_tokens or cell.tokens) for cell in cells],
    )
    places = np.array([law.place_of(_recipe(law, cell)) for cell in cells], np.int64)
    facts = Facts(**{**found.facts.__dict__, "recipe": places})
    return Points(found.cells, law.recipes, facts, found.loss)


def _jacobian(law: FittedLaw, points: Points) -> Array:
    form = form_named(law.form)
    theta = form.internal(law.parameters, law.recipes)
    return form.evaluate(theta, points.facts, len(law.recipes))[1]


def _condition(jacobian: Array) -> float:
    length = np.linalg.norm(jacobian, axis=0)
    if (length < 1e-12).any() or len(jacobian) < jacobian.shape[1]:
        return float("inf")
    return float(np.linalg.cond(jacobian / length))


def _covariance(jacobian: Array, weights: Array, noise: float) -> Array:
    information = (jacobian * weights[:, None]).T @ jacobian / noise**2
    # A direction that the grid does not see gets a huge variance, not an error.
    values, vectors = np.linalg.eigh(information)
    return np.asarray(vectors / np.maximum(values, 1e-12 * values.max()) @ vectors.T)


def _log_sd(law: FittedLaw, covariance: Array, where: tuple[float, float], recipe: str) -> float:
    """Returns the standard deviation of ln ratio, by its derivative by `theta`."""
    form = form_named(law.form)
    theta = form.internal(law.parameters, law.recipes)
    moved = np.concatenate([theta + _STEP * np.eye(len(theta)), theta - _STEP * np.eye(len(theta))])
    draws = form.natural(moved, law.recipes)
    around = FittedLaw(law.form, law.parameters, draws, recipes=law.recipes)
    found = marginal(around, *where, recipe=recipe if form.recipes_differ else None)
    logs = np.log(found.token_draws / found.parameter_draws)
    slope = (logs[: len(theta)] - logs[len(theta) :]) / (2 * _STEP)
    return float(np.sqrt(max(0.0, float(slope @ covariance @ slope))))


def _praise(found: Design) -> str:
    return (
        f"design: {found.runs} runs would tell the marginal ratio of data to model within a factor "
        f"{found.ratio_high / found.ratio:.2f} (95 %)"
    )


def _advice(
    cells: Sequence[GridCell], law: FittedLaw, noise: float, found: Design, facts: Facts
) -> str:
    """Says why the grid cannot answer, and which cells to add."""
    sizes, tokens = {cell.parameters for cell in cells}, {cell.tokens for cell in cells}
    if len(sizes) == 1 or len(tokens) == 1:
        one = "model size" if len(sizes) == 1 else "amount of data"
        return (
            f"design refused: all cells have one {one}; expected 3 or more of both; "
            "add cells with other values of it, 3 times apart"
        )
    each, share = np.exp(facts.tokens - facts.parameters), collinearity(facts)
    what = f"ln of the marginal ratio would have a standard deviation of {found.log_sd:.2g}"
    if share > COLLINEAR:
        what = (
            f"N and D move together (squared correlation {share:.3f}, {each.min():.3g} to "
            f"{each.max():.3g} tokens a parameter), so data cannot be told from model size"
        )
    new, better = _additions(cells, law, noise, found)
    said = "; ".join(f"N {one.parameters:.3g} with D {one.tokens:.3g}" for one in new)
    return (
        f"design refused: {what}; add {said} "
        f"(standard deviation of ln ratio: {found.log_sd:.2g} now, {better:.2g} then)"
    )


def _additions(
    cells: Sequence[GridCell], law: FittedLaw, noise: float, found: Design
) -> tuple[list[GridCell], float]:
    """Returns the cells of the product grid that help most, one by one, and ln ratio's spread."""
    sizes, tokens = (
        np.quantile(sorted({getattr(cell, name) for cell in cells}), np.linspace(0, 1, 5))
        for name in ("parameters", "tokens")
    )
    offered = [
        GridCell(float(size), float(many), recipe=cells[0].recipe)
        for size in sizes
        for many in tokens
    ]
    new: list[GridCell] = []
    best = found.log_sd
    while len(new) < 2 or (best > NO_ANSWER / 2 and len(new) < _MOST_ADDED):
        tried = [(_spread([*cells, *new, one], law, noise, found.at), one) for one in offered]
        best, cell = min(tried, key=lambda pair: pair[0])
        new.append(cell)
    return new, best


def _spread(
    cells: Sequence[GridCell], law: FittedLaw, noise: float, at: tuple[float, float]
) -> float:
    weights = np.array([max(1, cell.seeds) for cell in cells], float)
    covariance = _covariance(_jacobian(law, _points(cells, law)), weights, noise)
    return _log_sd(law, covariance, at, cells[0].recipe)
