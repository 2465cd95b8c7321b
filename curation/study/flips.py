"""Prices that flip a choice between two ways to spend."""

import math
from dataclasses import dataclass

import numpy as np

from curation.study.marginal import Way
from curation.study.predict import Estimate, Floats
from curation.study.prices import Range
from curation.study.words import number

UNITS = {
    "hour": "device-hour",
    "text": "million tokens of text",
    "curation": "million tokens of curation",
}


@dataclass(frozen=True)
class Flip:
    """The price at which two ways return the same."""

    price: str
    """Name of the price."""
    unit: str
    at: Estimate
    """US$ per unit; infinite in draws in which no price flips the choice."""
    now: Range | None
    above: str
    """The better way when the price is higher."""
    below: str

    def sentence(self) -> str:
        """Says it."""
        if not math.isfinite(self.at.mid):
            return f"no price of a {self.unit} flips it"
        return f"{self.above} is better if a {self.unit} costs more than ${number(self.at.mid)}"


def flip(first: Way, second: Way, price: str) -> Flip | None:
    """Returns the price at which two ways return the same; None if it cannot be known.

    Both cost `fixed + uses x price`, so that the equation of their returns is linear in the price.
    Other prices are at mid.
    """
    if first.gain is None or second.gain is None:
        return None
    others = {*first.missing(), *second.missing()} - {price}
    if others or (not first.uses.get(price) and not second.uses.get(price)):
        return None
    scale = 1e6 if price in ("text", "curation") else 1.0
    solved = [
        _solve(one, other, first, second, price)
        for one, other in (
            (np.array([first.gain.mid]), np.array([second.gain.mid])),
            (first.gain.draws, second.gain.draws),
        )
    ]
    at = Estimate(float(solved[0][0]) * scale, solved[1] * scale)
    now = first.prices.get(price) or second.prices.get(price)
    dearer = _uses_more(first, second, price)
    above, below = (second.name, first.name) if dearer else (first.name, second.name)
    return Flip(price, UNITS[price], at, now and now * scale, above, below)


def _fixed(way: Way, price: str) -> float:
    """Returns the dollars that do not depend on a price."""
    return sum(
        used * known.mid
        for name, used in way.uses.items()
        if name != price and used and (known := way.prices[name]) is not None
    )


def _solve(one: Floats, other: Floats, first: Way, second: Way, price: str) -> Floats:
    top = other * _fixed(first, price) - one * _fixed(second, price)
    bottom = one * second.uses.get(price, 0.0) - other * first.uses.get(price, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = top / bottom
    return np.where(np.isfinite(found) & (found > 0), found, np.inf)


def _uses_more(first: Way, second: Way, price: str) -> bool:
    """Whether a rise of the price hurts the first more: by its share of the dollars."""
    return first.uses.get(price, 0.0) * _fixed(second, price) > second.uses.get(
        price, 0.0
    ) * _fixed(first, price)
