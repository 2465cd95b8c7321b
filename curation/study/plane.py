"""The plane of data dollars and GPU dollars: what each pair can reach, and the cheapest path.

A pair of sums buys unique tokens and FLOPs; the loss of the pair is that of the best model size for
them. A law that does not know repeats may not present a token twice: there, FLOPs beyond one epoch
can only go into a larger model.
"""

from dataclasses import dataclass

import numpy as np

from curation.study.costs import Terms
from curation.study.predict import Floats, Law, Point, knows_repeats, law_recipe

SIZES = 160
"""Model sizes that are tried for each pair, evenly in their logarithm."""
REACH = 3.0
"""Decades around the present point that sizes and sums span, each way."""


@dataclass(frozen=True)
class Plane:
    """Losses over a grid of two sums."""

    data: Floats
    """[columns] US$ of unique text and its curation; tokens where `in_tokens`."""
    compute: Floats
    """[rows] US$ of devices; FLOPs where `in_flops`."""
    loss: Floats
    """[rows, columns] the least loss that a pair buys."""
    present: tuple[float, float]
    """Where the point stands."""
    path: Floats
    """[budgets, 2] the cheapest pair for each budget; empty where the axes are not dollars."""
    in_tokens: bool
    in_flops: bool
    reach: float
    """The least loss that the sums of the present point buy."""
    cheapest: tuple[float, float] | None
    """The cheapest pair that reaches as low; None where the axes are not dollars."""

    @property
    def in_dollars(self) -> bool:
        """Whether both axes are US$, so that sums can be compared."""
        return not (self.in_tokens or self.in_flops)


def best_losses(law: Law, point: Point, owned: Floats, flops: Floats) -> Floats:
    """Returns the least loss over model sizes for unique tokens and FLOPs of equal shape."""
    sizes = point.parameters * np.logspace(-REACH, REACH, SIZES)
    spent = np.asarray(flops, dtype=np.float64)[..., None]
    fresh = np.broadcast_to(np.asarray(owned, dtype=np.float64)[..., None], (*spent.shape[:-1], 1))
    tokens = spent / (6.0 * sizes)
    if not knows_repeats(law, point):
        tokens = np.minimum(tokens, fresh)
    grid = np.broadcast_to(sizes, tokens.shape)
    unique = np.minimum(fresh, tokens)
    losses = law.loss(grid, tokens, unique_tokens=unique, recipe=law_recipe(law, point.recipe))
    least: Floats = np.asarray(losses, dtype=np.float64).min(axis=-1)
    return least


def plane(law: Law, point: Point, terms: Terms, steps: int = 40) -> Plane:
    """Returns the plane around a point.

    An axis without a price, or of something that is free, counts tokens or FLOPs instead.

    Args:
        law: Predicts the loss.
        point: Where the money stands; a recipe's curation counts as data dollars.
        terms: Prices, at their mid values.
        steps: Of each axis.
    """
    token, in_tokens = _price(terms, point)
    flop = terms.flop_price()
    in_flops = flop is None or flop.mid == 0
    dollar_per_flop = 1.0 if flop is None or in_flops else flop.mid
    flops = 6.0 * point.parameters * point.tokens
    present = (point.unique * token, flops * dollar_per_flop)
    span = np.logspace(-REACH / 2, REACH / 2, steps)
    data, compute = present[0] * span, present[1] * span
    columns, rows = np.meshgrid(data / token, compute / dollar_per_flop)
    loss = best_losses(law, point, columns, rows)
    reach = float(best_losses(law, point, np.array(point.unique), np.array(flops)))
    path, cheapest = np.empty((0, 2)), None
    if not (in_tokens or in_flops):
        path, cheapest = _cheapest(law, point, (token, dollar_per_flop), (sum(present), reach))
    return Plane(data, compute, loss, present, path, in_tokens, in_flops, reach, cheapest)


def _price(terms: Terms, point: Point) -> tuple[float, bool]:
    """Returns US$ per unique token, or 1 and that tokens have no price above 0."""
    text, curation = terms.text_price(point.recipe), terms.curation_price(point.recipe)
    if text is None or curation is None or text.mid + curation.mid == 0:
        return 1.0, True
    return text.mid + curation.mid, False


def _cheapest(
    law: Law, point: Point, prices: tuple[float, float], now: tuple[float, float]
) -> tuple[Floats, tuple[float, float] | None]:
    """Returns the best split of each budget, and the cheapest pair as good as the present one."""
    budgets = now[0] * np.logspace(-REACH / 2, REACH / 2, 61)
    shares = 1 / (1 + np.exp(-np.linspace(-7, 7, 141)))
    data = budgets[:, None] * shares
    compute = budgets[:, None] * (1 - shares)
    loss = best_losses(law, point, data / prices[0], compute / prices[1])
    best = loss.argmin(axis=1)
    rows = np.arange(len(budgets))
    path = np.stack([data[rows, best], compute[rows, best]], axis=1)
    least = np.minimum.accumulate(loss[rows, best])
    reached = np.flatnonzero(least <= now[1])
    if not len(reached):
        return path, None
    first = int(reached[0])
    if first == 0:
        return path, (float(path[0, 0]), float(path[0, 1]))
    # Between two budgets: where the line through their losses meets the loss that is wanted.
    part = (least[first - 1] - now[1]) / (least[first - 1] - least[first])
    pair = np.exp(np.log(path[first - 1]) * (1 - part) + np.log(path[first]) * part)
    return path, (float(pair[0]), float(pair[1]))
