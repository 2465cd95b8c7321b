"""A budget, split: so much text, this model, these device-hours, for the least predicted loss.

The best split among all that cost no more than the budget is found on a grid; again under every
draw of the law and at the ends of the prices. The interval of each figure holds what came out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from curation.errors import RecipeError
from curation.study.costs import HOUR, Dollars, Terms
from curation.study.marginal import effective_hour
from curation.study.predict import (
    Estimate,
    Floats,
    Law,
    Point,
    count_draws,
    knows_repeats,
    law_recipe,
)
from curation.study.prices import Range

EPOCHS = (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
LEAST_TOKENS = 1000
"""Fewer are no training."""


@dataclass(frozen=True)
class Ask:
    """What the user has and wants."""

    budget: float
    """US$ for text, curation, training and serving together."""
    terms: Terms
    unique_tokens: float | None = None
    """That can be had at most; None: as many as the budget buys."""
    recipe: str | None = None
    """Of the law; None: its first one."""
    devices: int | None = None
    """At most, under a deadline; None: as many as it takes."""

    def __post_init__(self) -> None:
        given = {"budget": self.budget, "unique tokens": self.unique_tokens}
        given["deadline"] = self.terms.deadline_hours
        for name, value in given.items():
            if value is not None and not 0 < value < math.inf:
                raise RecipeError(f"{name}: found {value:g}; expected a number above 0")

    def token_price(self) -> float:
        """Returns US$ per unique token at mid; a price that is unknown is left out (and said)."""
        text, curation = self.terms.text_price(self.recipe), self.terms.curation_price(self.recipe)
        return sum(price.mid for price in (text, curation) if price is not None)

    def at(self, name: str, price: float | Range) -> "Ask":
        """Returns the same with another price of "hour", "text" or "curation"."""
        known = price if isinstance(price, Range) else Range.exact(price)
        if name == "curation":
            prices = {**self.terms.curation, self.recipe or "": known * self.terms.reuse}
            return replace(self, terms=replace(self.terms, curation=prices))
        if name == "text":
            return replace(self, terms=replace(self.terms, text=known))
        return replace(self, terms=replace(self.terms, hour=known))


@dataclass(frozen=True)
class Plan:
    """One split of a budget."""

    point: Point
    loss: float
    hours: float
    """Device-hours of training, losses of working together included."""
    devices: int
    text: Dollars
    curation: Dollars
    training: Dollars
    serving: Dollars

    @property
    def total(self) -> Dollars:
        """All parts; a part without a price stays unknown."""
        return self.text + self.curation + self.training + self.serving

    @property
    def data_share(self) -> float:
        """Share of text and curation in the dollars that are known."""
        data = self.text.known.mid + self.curation.known.mid
        return data / max(self.total.known.mid, 1e-300)


@dataclass(frozen=True)
class _Grid:
    """Splits that spend the budget: arrays of equal shape."""

    sizes: Floats
    tokens: Floats
    unique: Floats


def _prices(ask: Ask, slowdown: float) -> tuple[float, float, float]:
    """Returns US$ per token of text, per FLOP of training, per parameter of serving."""
    hour = effective_hour(ask.terms)
    if hour is None:
        raise RecipeError(
            f"the hour of {ask.terms.device} has no price, so the budget cannot be split; give one"
        )
    flop = hour.mid / (ask.terms.flops_per_second.mid * HOUR)
    rate = (ask.terms.serving_flops_per_second or ask.terms.flops_per_second).mid
    serve = 2.0 * ask.terms.served_tokens / rate / HOUR * hour.mid
    return ask.token_price(), flop * slowdown, serve


def _flop_limit(ask: Ask) -> float:
    """Returns the FLOPs that the devices do before the deadline; infinite without one."""
    terms = ask.terms
    if terms.deadline_hours is None or ask.devices is None:
        return math.inf
    together: float = ask.devices ** (1 + math.log2(terms.scaling.mid))
    return together * terms.flops_per_second.mid * terms.deadline_hours * HOUR


def _grid(ask: Ask, sizes: Floats, epochs: Sequence[float], slowdown: float) -> _Grid:
    """Returns for each size and number of epochs the tokens that spend what is left."""
    token, flop, serve = _prices(ask, slowdown)
    size = sizes[:, None]
    left = np.maximum(ask.budget - serve * size, 0.0)
    often = np.array([epochs])
    limit = _flop_limit(ask)
    unique = left / (token + 6.0 * size * often * flop)
    unique = np.minimum(unique, limit / (6.0 * size * often))
    if ask.unique_tokens is not None:
        unique = np.minimum(unique, ask.unique_tokens)
    tokens = unique * often
    if len(epochs) > 1 and ask.unique_tokens is not None:
        # All of the text that there is, as often as the rest of the budget allows.
        rest = np.maximum(left - token * ask.unique_tokens, 0.0) / (6.0 * size * flop)
        again = np.minimum(rest, limit / (6.0 * size))
        unique = np.concatenate([unique, np.minimum(again, ask.unique_tokens)], axis=1)
        tokens = np.concatenate([tokens, again], axis=1)
    return _Grid(
        np.broadcast_to(size, tokens.shape), np.maximum(tokens, 1.0), np.maximum(unique, 1.0)
    )


def _losses(law: Law, ask: Ask, grid: _Grid, *, draws: bool = False) -> Floats:
    find = law.loss_draws if draws else law.loss
    recipe = law_recipe(law, ask.recipe)
    found = find(grid.sizes, grid.tokens, unique_tokens=grid.unique, recipe=recipe)
    return np.asarray(found, dtype=np.float64)


def epochs_of(law: Law) -> tuple[float, ...]:
    """Returns how often a plan may present its text: once if the law does not know repeats."""
    return EPOCHS if knows_repeats(law, Point(1e8, 1e9)) else (1.0,)


def best_plan(law: Law, ask: Ask) -> Plan:
    """Returns the split with the least predicted loss.

    Args:
        law: Predicts it.
        ask: Budget, prices and limits. A price of text or curation that is unknown is left out of
            the split, and unknown in the plan.

    Raises:
        RecipeError: The device's hour has no price, or the budget buys nothing.
    """
    slowdown, plan = 1.0, split(law, ask, 1.0)
    for _ in range(3):  # more devices waste more, which changes the best split a little
        slowdown = plan.devices ** -math.log2(ask.terms.scaling.mid)
        plan = split(law, ask, slowdown)
    return plan


def split(law: Law, ask: Ask, slowdown: float = 1.0) -> Plan:
    """Returns the best split if working together takes `slowdown` times the device-hours."""
    epochs = epochs_of(law)
    point, loss = _least(law, ask, np.logspace(3, 14, 221), (epochs, slowdown))
    for zoom in (0.05, 0.005):
        around = math.log10(point.parameters)
        sizes = np.logspace(around - zoom, around + zoom, 41)
        point, loss = _least(law, ask, sizes, (epochs, slowdown))
    if point.tokens < LEAST_TOKENS:
        raise RecipeError(
            f"budget: ${ask.budget:g} buys {point.tokens:,.0f} tokens; expected enough for a run"
        )
    return _plan(ask, point, loss, slowdown)


def _least(
    law: Law, ask: Ask, sizes: Floats, how: tuple[Sequence[float], float]
) -> tuple[Point, float]:
    grid = _grid(ask, sizes, *how)
    losses = _losses(law, ask, grid)
    place = np.unravel_index(int(losses.argmin()), losses.shape)
    size, tokens, unique = (float(part[place]) for part in (grid.sizes, grid.tokens, grid.unique))
    return Point(size, tokens, unique, ask.recipe), float(losses[place])


def _plan(ask: Ask, point: Point, loss: float, slowdown: float) -> Plan:
    terms = ask.terms
    alone = 6.0 * point.parameters * point.tokens / terms.flops_per_second.mid / HOUR
    hours = alone * slowdown
    devices = 1
    if terms.deadline_hours is not None:
        spread = 1 + math.log2(terms.scaling.mid)
        devices = max(1, math.ceil((alone / terms.deadline_hours) ** (1 / spread) - 1e-6))
    hour = effective_hour(terms)
    rate = (terms.serving_flops_per_second or terms.flops_per_second).mid
    served = 2.0 * point.parameters * terms.served_tokens / rate / HOUR
    return Plan(
        point, loss, hours, devices,
        Dollars.of("text", point.unique, terms.text_price(ask.recipe)),
        Dollars.of("curation", point.unique, terms.curation_price(ask.recipe)),
        Dollars.of("device-hours", hours, hour),
        Dollars.of("serving", served, hour),
    )  # fmt: skip


def _scenarios(ask: Ask) -> list[Ask]:
    """Returns the question at the ends of each price, the others at mid."""
    found = [ask]
    terms = ask.terms
    prices = {"hour": effective_hour(terms), "text": terms.text}
    for name, price in prices.items():
        if price is not None and price.low != price.high:
            found += [ask.at(name, max(end, 1e-300)) for end in (price.low, price.high)]
    return found


def spread_of(law: Law, ask: Ask, plan: Plan) -> dict[str, Estimate]:
    """Returns each figure with its draws: the best split under each draw, at each end of prices."""
    slowdown = plan.devices ** -math.log2(ask.terms.scaling.mid)
    mid = _figures(plan)
    drawn: dict[str, list[Floats]] = {name: [] for name in mid}
    if count_draws(law):
        around = math.log10(plan.point.parameters)
        sizes = np.logspace(max(around - 2, 2), around + 2, 81)
        for scenario in _scenarios(ask):
            for name, values in _drawn_figures(law, scenario, sizes, slowdown).items():
                drawn[name].append(values)
    return {
        name: Estimate(mid[name], np.concatenate(values) if values else np.empty(0))
        for name, values in drawn.items()
    }


def _figures(plan: Plan) -> dict[str, float]:
    return {
        "loss": plan.loss,
        "parameters": plan.point.parameters,
        "tokens": plan.point.tokens,
        "unique_tokens": plan.point.unique,
        "epochs": plan.point.epochs,
        "hours": plan.hours,
        "text": plan.text.known.mid,
        "curation": plan.curation.known.mid,
        "training": plan.training.known.mid,
        "serving": plan.serving.known.mid,
    }


def _drawn_figures(law: Law, ask: Ask, sizes: Floats, slowdown: float) -> dict[str, Floats]:
    grid = _grid(ask, sizes, epochs_of(law), slowdown)
    losses = _losses(law, ask, grid, draws=True)
    flat = losses.reshape(len(losses), -1)
    best = flat.argmin(axis=1)
    size, tokens, unique = (part.ravel()[best] for part in (grid.sizes, grid.tokens, grid.unique))
    _, flop, serve = _prices(ask, slowdown)
    text, curation = ask.terms.text_price(ask.recipe), ask.terms.curation_price(ask.recipe)
    rate = ask.terms.flops_per_second.mid
    return {
        "loss": flat[np.arange(len(flat)), best],
        "parameters": size,
        "tokens": tokens,
        "unique_tokens": unique,
        "epochs": tokens / unique,
        "hours": 6.0 * size * tokens / rate / HOUR * slowdown,
        "text": unique * (text.mid if text else 0.0),
        "curation": unique * (curation.mid if curation else 0.0),
        "training": 6.0 * size * tokens * flop,
        "serving": serve * size,
    }
