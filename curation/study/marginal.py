"""What the next dollar buys: lower loss per dollar of each way to spend it, with intervals.

All ways are described alike: what the loss gains, and which quantities with a price it takes, both
per unit of the logarithm of what grows (so that nothing depends on the units of N and D). Returns,
ratios and the prices at which a choice flips then follow for each draw of the law.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curation.study.costs import HOUR, Terms
from curation.study.predict import (
    Estimate,
    Floats,
    Law,
    Point,
    knows_repeats,
    predict,
    told_apart,
)
from curation.study.prices import Range

STEP = 0.01
"""Of a logarithm, for central differences: their error is below 1e-5 of a power law's slope."""


@dataclass(frozen=True)
class Way:
    """A way to spend: what it gains and takes, for one unit of a logarithm (or one step)."""

    name: str
    side: str
    """"data" or "gpu"."""
    gain: Estimate | None
    """By how much the loss falls; None: the law cannot say."""
    uses: Mapping[str, float]
    """Quantities by name of price: device-hours (at mid speed), tokens."""
    prices: Mapping[str, Range | None]
    why: str = ""
    """Where it has no return: the reason."""
    recipe: str | None = None
    """Of a step to another recipe: that one. A step can be bought once, the rest without end."""

    def missing(self) -> tuple[str, ...]:
        """Names the prices that it needs and that are unknown."""
        return tuple(name for name, used in self.uses.items() if used and self.prices[name] is None)

    def dollars(self, prices: Mapping[str, Any]) -> Any:
        """Returns the dollars of its uses at some prices."""
        return sum(used * prices[name] for name, used in self.uses.items() if used)


@dataclass(frozen=True)
class Return:
    """How much a dollar lowers the loss in one way."""

    way: Way
    per_dollar: Estimate | None
    """Law and prices vary; None: unknown, and `why` says for what reason."""
    at_mid_prices: Estimate | None
    """The law varies, prices are at mid."""
    why: str = ""

    @property
    def name(self) -> str:
        """Of its way."""
        return self.way.name

    def bought(self, dollars: float) -> Estimate | None:
        """Returns by how much some dollars lower the loss; a step gives no more than all of it."""
        if self.per_dollar is None or self.way.gain is None:
            return None
        draws = self.per_dollar.draws * dollars
        if self.way.recipe is None:
            return Estimate(self.per_dollar.mid * dollars, draws)
        whole = self.way.gain
        return Estimate(
            _nearer(self.per_dollar.mid * dollars, whole.mid), _nearer(draws, whole.draws)
        )


def _nearer(one: Any, whole: Any) -> Any:
    """Returns the value that is nearer to 0, the sign kept."""
    return np.where(np.abs(one) < np.abs(whole), one, whole)


def _slope(law: Law, down: Point, up: Point, factor: float = 1.0) -> Estimate:
    """Returns by how much the loss falls from one point to the other, per unit of logarithm."""
    low, high = predict(law, down), predict(law, up)
    scale = factor / (2 * STEP)
    draws = (low.draws - high.draws) * scale if len(low.draws) else low.draws
    return Estimate((low.mid - high.mid) * scale, draws)


def _along(law: Law, point: Point, factor: float = 1.0, **growth: float) -> Estimate:
    shrink = {name: -STEP * value for name, value in growth.items()}
    grow = {name: STEP * value for name, value in growth.items()}
    return _slope(law, point.grown(**shrink), point.grown(**grow), factor)


def _hours(flops: float, rate: Range) -> float:
    return flops / rate.mid / HOUR


def effective_hour(terms: Terms) -> Range | None:
    """Returns US$ per device-hour of mid speed: a slow device makes its hour dearer."""
    if terms.hour is None:
        return None
    speed = terms.flops_per_second
    hour = terms.hour
    return Range.around(
        hour.low * speed.mid / speed.high, hour.mid, hour.high * speed.mid / speed.low
    )


def prices_of(terms: Terms, recipe: str | None) -> dict[str, Range | None]:
    """Returns the prices by name: device-hour, unique token of text, curation of one token."""
    return {
        "hour": effective_hour(terms),
        "text": terms.text_price(recipe),
        "curation": terms.curation_price(recipe),
    }


def ways(law: Law, point: Point, terms: Terms, better: str | None = None) -> list[Way]:
    """Returns every way to spend at a point.

    Args:
        law: Predicts the loss.
        point: Where the money stands.
        terms: Prices and limits.
        better: Recipe that the way "curation" changes to; None: the law's best other one here.
    """
    return [
        _text(law, point, terms),
        _curation(law, point, terms, better),
        _model(law, point, terms),
        _epochs(law, point, terms),
        _devices(law, point, terms),
    ]


def _training_hours(point: Point, terms: Terms) -> float:
    return _hours(6.0 * point.parameters * point.tokens, terms.flops_per_second)


def _text(law: Law, point: Point, terms: Terms) -> Way:
    uses = {
        "text": point.unique,
        "curation": point.unique if point.recipe else 0.0,
        "hour": _training_hours(point, terms),
    }
    gain = _along(law, point, tokens=1, unique=1)
    return Way("more text", "data", gain, uses, prices_of(terms, point.recipe))


def _model(law: Law, point: Point, terms: Terms) -> Way:
    serving = terms.serving_flops_per_second or terms.flops_per_second
    served = _hours(2.0 * point.parameters * terms.served_tokens, serving)
    uses = {"hour": _training_hours(point, terms) + served}
    gain = _along(law, point, parameters=1)
    return Way("a bigger model", "gpu", gain, uses, prices_of(terms, point.recipe))


def _epochs(law: Law, point: Point, terms: Terms) -> Way:
    uses = {"hour": _training_hours(point, terms)}
    prices = prices_of(terms, point.recipe)
    if not knows_repeats(law, point):
        why = "this law does not tell repeated tokens from fresh ones"
        return Way("more epochs", "gpu", None, uses, prices, why)
    # One-sided at one epoch: fewer tokens than one epoch would be fewer unique ones.
    if point.epochs <= 1 + STEP:
        up = point.grown(tokens=2 * STEP)
        gain = _slope(law, point, up)
    else:
        gain = _along(law, point, tokens=1)
    return Way("more epochs", "gpu", gain, uses, prices)


def _devices(law: Law, point: Point, terms: Terms) -> Way:
    """More devices present more tokens before the deadline; without one they change time alone."""
    name, prices = "more GPUs", prices_of(terms, point.recipe)
    if terms.deadline_hours is None:
        why = "no deadline: at the same tokens and batch more devices change the time, not the loss"
        return Way(name, "gpu", None, {}, prices, why)
    spread = 1 + math.log2(terms.scaling.mid)
    speed = terms.flops_per_second.mid * terms.devices**spread
    needed = 6.0 * point.parameters * point.tokens / speed / HOUR
    if needed < 0.999 * terms.deadline_hours:
        why = (
            f"{terms.devices} finish in {needed:.3g} h, before the deadline of "
            f"{terms.deadline_hours:g} h: more of them would change the time, not the loss"
        )
        return Way(name, "gpu", None, {}, prices, why)
    uses = {"hour": terms.devices * terms.deadline_hours}
    if knows_repeats(law, point):
        return Way(name, "gpu", _along(law, point, spread, tokens=1), uses, prices)
    uses |= {
        "text": spread * point.unique,
        "curation": spread * point.unique if point.recipe else 0.0,
    }
    return Way(name, "gpu", _along(law, point, spread, tokens=1, unique=1), uses, prices)


def best_recipe(law: Law, point: Point) -> str | None:
    """Returns the recipe with the least loss at a point among the law's others; None: no other."""
    known = told_apart(law)
    others = [name for name in known if name != (point.recipe or known[0])]
    return min(
        others, key=lambda name: (predict(law, replace(point, recipe=name)).mid, name), default=None
    )


def _curation(law: Law, point: Point, terms: Terms, better: str | None) -> Way:
    """A step from the present recipe to another: the gain of all of it over all its dollars."""
    better = better or best_recipe(law, point)
    if better is None:
        why = "this law does not tell recipes apart"
        return Way("curation", "data", None, {}, {}, why)
    before, after = predict(law, point), predict(law, replace(point, recipe=better))
    draws = before.draws - after.draws if len(before.draws) else before.draws
    now = point.recipe or told_apart(law)[0]
    prices = {"curation": _step_price(terms, now, better)}
    gain = Estimate(before.mid - after.mid, draws)
    name = f"curation ({now} to {better})"
    uses = {"curation": point.unique}
    return Way(name, "data", gain, uses, prices, recipe=better)


def _step_price(terms: Terms, now: str, better: str) -> Range | None:
    """Returns what a token of another recipe costs more: curation, and text that is thrown away.

    Text without a price cancels out where both recipes keep the same share of it.
    """
    prices = [terms.curation_price(name) for name in (now, better)]
    if terms.text is not None:
        prices = [
            _plus(price, terms.text_price(name))
            for price, name in zip(prices, (now, better), strict=True)
        ]
    elif terms.kept.get(now, 1.0) != terms.kept.get(better, 1.0):
        return None
    less, more = prices
    if less is None or more is None:
        return None
    mid = max(0.0, more.mid - less.mid)
    return Range.around(max(0.0, more.low - less.low), mid, more.high - less.high)


def _plus(one: Range | None, other: Range | None) -> Range | None:
    return None if one is None or other is None else one + other


def price_draws(prices: Mapping[str, Range | None], count: int) -> dict[str, Floats]:
    """Returns `count` values of each known price, spread evenly over its range.

    A low-discrepancy sequence (powers of the generalised golden ratio): no random state, and the
    same values for the same ranges.
    """
    known = {name: price for name, price in sorted(prices.items()) if price is not None}
    root = 2.0
    for _ in range(40):
        root = (1 + root) ** (1 / (len(known) + 1))
    places = np.arange(1, count + 1)
    return {
        name: price.at((0.5 + places * root ** -(axis + 1.0)) % 1.0)
        for axis, (name, price) in enumerate(known.items())
    }


def returns(found: list[Way]) -> list[Return]:
    """Returns what a dollar buys in each way."""
    return [_return(way) for way in found]


def _return(way: Way) -> Return:
    if way.gain is None:
        return Return(way, None, None, way.why)
    missing = way.missing()
    if missing:
        names = " and ".join(f"the price of {_PRICE_NAMES[name]}" for name in missing)
        return Return(way, None, None, f"{names} {'is' if len(missing) == 1 else 'are'} unknown")
    mid = way.dollars({name: price.mid for name, price in way.prices.items() if price})
    if mid <= 0:
        return Return(way, None, None, "costs nothing more at these prices")
    draws = way.gain.draws
    varied = way.dollars(price_draws(way.prices, len(draws)))
    point = way.gain.mid / mid
    return Return(way, Estimate(point, draws / varied), Estimate(point, draws / mid))


_PRICE_NAMES = {"hour": "a device-hour", "text": "text", "curation": "curation"}


def ratio(first: Estimate, second: Estimate) -> Estimate:
    """Returns first over second, draw by draw; a negative return counts as none.

    Where neither returns anything the ratio is 1: there is nothing to choose.
    """
    mid = _quotient(np.array([first.mid]), np.array([second.mid]))[0]
    return Estimate(float(mid), _quotient(first.draws, second.draws))


def _quotient(first: Floats, second: Floats) -> Floats:
    top, bottom = np.maximum(first, 0.0), np.maximum(second, 0.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        found = top / bottom
    return np.where((top == 0) & (bottom == 0), 1.0, found)
