"""Advice on a budget: its best split, what curation adds, and the prices that would change it."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curation.errors import RecipeError
from curation.study.marginal import effective_hour
from curation.study.predict import Estimate, Floats, Law, Point, count_draws, told_apart
from curation.study.prices import Range
from curation.study.spending import Ask, Plan, best_plan, epochs_of, split, spread_of

PRICE_SPAN = 1e4
"""Prices up to so many times higher and lower are searched for flips."""
Changed = Callable[[Plan], bool]


@dataclass(frozen=True)
class FlipPrice:
    """A price at which the advice changes."""

    price: str
    """"hour" or "text"."""
    unit: str
    """With its article."""
    at: float | None
    """None: no price within 10,000 times of the present one does."""
    now: float | None
    says: str
    """What changes there."""

    def sentence(self) -> str:
        """Says it."""
        return f"{self.says}: {self.at_text()}"

    def at_text(self) -> str:
        """Returns the price with its unit."""
        return (
            f"at no price of {self.unit}" if self.at is None else f"at ${self.at:.3g} {self.unit}"
        )


@dataclass(frozen=True)
class Curation:
    """A recipe that the user knows a gain of, for laws that know no recipes."""

    gain: Range
    """Tokens of uncurated text that a curated one is worth."""
    price: Range | None = None
    """US$ per token kept; None: unknown."""
    kept: float = 1.0
    """Share of the text that is kept."""

    def __post_init__(self) -> None:
        if self.gain.low <= 0:
            raise RecipeError(f"gain of curation: found {self.gain.low:g}; expected above 0")
        if not 0 < self.kept <= 1:
            raise RecipeError(f"share kept by curation: found {self.kept:g}; expected 0 to 1")


@dataclass(frozen=True)
class Curated:
    """What a recipe would do with the same budget."""

    name: str
    plan: Plan | None
    """None while its price is unknown."""
    saved: Estimate | None
    """Loss of the plain plan less that of this one."""
    pays_below: float | None
    """US$ per million tokens kept; None: it does not pay even for free."""
    supposed: bool = False
    """Whether its gain is an example, for want of a measured one."""

    @property
    def status(self) -> str:
        """Says whether it pays."""
        found = self.saved.interval() if self.saved is not None else None
        if self.supposed:
            return "an example: no gain is known"
        if self.plan is None:
            return "not decided: its price is unknown"
        if found is None:
            return "not decided: no interval"
        if found[0] > 0:
            return "pays"
        return "does not pay" if found[1] < 0 else "not decided: the interval holds 0"


@dataclass(frozen=True)
class Advice:
    """The split of a budget, with intervals, flips and caveats."""

    ask: Ask
    law: Law
    plan: Plan
    spread: dict[str, Estimate]
    """Of parameters, tokens, unique tokens, epochs, loss, hours, and the dollars of each part."""
    curated: list[Curated]
    flips: list[FlipPrice]
    caveats: list[str]
    status: str
    """"split", or "not decided" where a price or the law's interval is missing."""


def advise(law: Law, ask: Ask, curation: Curation | None = None) -> Advice:
    """Splits a budget: with the recipe that pays by its whole interval, or as the question has it.

    Args:
        law: Predicts the loss.
        ask: Budget, prices, limits.
        curation: A known gain, where the law does not know recipes.

    Raises:
        RecipeError: The device's hour has no price, or the budget buys nothing.
    """
    plan = best_plan(law, ask)
    spread = spread_of(law, ask, plan)
    options = _options(law, ask, curation)
    curated = [_curated(option, (plan, spread)) for option in options]
    paying = [
        (one.plan.loss, place)
        for place, one in enumerate(curated)
        if one.plan is not None and one.status == "pays"
    ]
    if paying:
        option = options[min(paying)[1]]
        law, ask = option.law, option.ask
        plan = best_plan(law, ask)
        spread = spread_of(law, ask, plan)
    return _advice(law, ask, (plan, spread), curated)


def _advice(
    law: Law, ask: Ask, found: tuple[Plan, dict[str, Estimate]], curated: list[Curated]
) -> Advice:
    plan, spread = found
    caveats = law_caveats(law, plan.point)
    unknown = plan.total.unknown
    if unknown:
        names = " and ".join(unknown)
        caveats.insert(
            0, f"the price of {names} is unknown: the split leaves it out, it is not free"
        )
    ready = not unknown and spread["loss"].interval() is not None
    status = "split" if ready else "not decided"
    return Advice(ask, law, plan, spread, curated, _flips(law, ask, plan), caveats, status)


@dataclass(frozen=True)
class ScaledLaw:
    """A law of text of which each token counts as several."""

    law: Law
    factor: float

    @property
    def form(self) -> str:
        """Of the law."""
        return self.law.form

    @property
    def parameters(self) -> Mapping[str, float]:
        """Of the law."""
        return self.law.parameters

    @property
    def draws(self) -> Mapping[str, Floats]:
        """Of the law."""
        return self.law.draws

    @property
    def flags(self) -> tuple[str, ...]:
        """Of the law."""
        return self.law.flags

    @property
    def record(self) -> Mapping[str, Any]:
        """Of the law."""
        return self.law.record

    @property
    def recipes(self) -> tuple[str, ...]:
        """Of the law."""
        return self.law.recipes

    def loss(
        self, parameters: Any, tokens: Any, *, unique_tokens: Any = None, recipe: str | None = None
    ) -> Floats:
        """Returns the loss of so many times the tokens."""
        unique = None if unique_tokens is None else self.factor * np.asarray(unique_tokens)
        return self.law.loss(
            parameters, self.factor * np.asarray(tokens), unique_tokens=unique, recipe=recipe
        )

    def loss_draws(
        self, parameters: Any, tokens: Any, *, unique_tokens: Any = None, recipe: str | None = None
    ) -> Floats:
        """Returns the losses of so many times the tokens."""
        unique = None if unique_tokens is None else self.factor * np.asarray(unique_tokens)
        return self.law.loss_draws(
            parameters, self.factor * np.asarray(tokens), unique_tokens=unique, recipe=recipe
        )


@dataclass(frozen=True)
class _Option:
    name: str
    law: Law
    ask: Ask
    ends: tuple[Law, ...] = ()
    """The law at the ends of a gain's range."""
    supposed: bool = False


EXAMPLE_GAIN = 1.5
CURATED = "curated"


def _options(law: Law, ask: Ask, curation: Curation | None) -> list[_Option]:
    known = told_apart(law)
    now = ask.recipe or (known[0] if known else None)
    if curation is None and len(known) > 1:
        return [_Option(name, law, replace(ask, recipe=name)) for name in known if name != now]
    given = curation or Curation(Range.exact(EXAMPLE_GAIN))
    terms = replace(
        ask.terms,
        curation={**ask.terms.curation, CURATED: given.price},
        kept={**ask.terms.kept, CURATED: given.kept},
    )
    gain = given.gain
    ends = tuple(ScaledLaw(law, end) for end in (gain.low, gain.high) if end != gain.mid)
    name = f"curation worth {gain.mid:g} times the data"
    changed = replace(ask, terms=terms, recipe=CURATED)
    return [_Option(name, ScaledLaw(law, gain.mid), changed, ends, curation is None)]


def _curated(option: _Option, now: tuple[Plan, dict[str, Estimate]]) -> Curated:
    plan, spread = now
    free = best_plan(option.law, option.ask.at("curation", 0.0))
    below = None
    if free.loss < plan.loss:
        start = 0.001 * plan.total.known.mid / plan.point.unique
        below = _search(option.law, option.ask, "curation", start, lambda one: one.loss > plan.loss)
    million = None if below is None else below * 1e6
    if option.ask.terms.curation_price(option.ask.recipe) is None:
        return Curated(option.name, None, None, million, option.supposed)
    best = best_plan(option.law, option.ask)
    drawn = [
        spread["loss"].draws - spread_of(one, option.ask, best)["loss"].draws
        for one in (option.law, *option.ends)
    ]
    saved = Estimate(plan.loss - best.loss, np.concatenate(drawn))
    return Curated(option.name, best, saved, million)


def _flips(law: Law, ask: Ask, plan: Plan) -> list[FlipPrice]:
    found = []
    terms = ask.terms
    hour = effective_hour(terms)
    assert hour is not None  # the plan has one
    larger = plan.data_share > 0.5
    unit = f"an hour of {terms.device}"
    if terms.text is not None and terms.text.mid > 0:
        says = "most of the budget goes to GPUs" if larger else "most of the budget goes to data"
        at = _search(law, ask, "hour", hour.mid, lambda p: (p.data_share > 0.5) != larger)
        found.append(FlipPrice("hour", unit, at, hour.mid, says))
    half = plan.point.parameters / 2
    at = _search(law, ask, "hour", hour.mid, lambda p: p.point.parameters <= half, up=True)
    found.append(FlipPrice("hour", unit, at, hour.mid, "the best model is half as large"))
    found += _text_flips(law, ask, plan, larger=larger)
    return found


def _text_flips(law: Law, ask: Ask, plan: Plan, *, larger: bool) -> list[FlipPrice]:
    """Returns the prices of text at which it is most of the budget, and at which repeats pay."""
    text = ask.terms.text
    start = text.mid if text is not None and text.mid > 0 else _even_price(plan)
    now = None if text is None else text.mid * 1e6
    says = "most of the budget goes to GPUs" if larger else "most of the budget goes to data"
    at = _search(law, ask, "text", start, lambda p: (p.data_share > 0.5) != larger)
    found = [FlipPrice("text", _MILLION, at and at * 1e6, now, says)]
    if len(epochs_of(law)) > 1 and plan.point.epochs < 1.25:
        at = _search(law, ask, "text", start, lambda p: p.point.epochs >= 1.25, up=True)
        says = "repeating text beats buying more of it"
        found.append(FlipPrice("text", _MILLION, at and at * 1e6, now, says))
    return found


_MILLION = "a million tokens"


def _even_price(plan: Plan) -> float:
    """Returns the price of text at which its dollars would be those of training."""
    return plan.training.known.mid / plan.point.unique


def _search(
    law: Law, ask: Ask, name: str, start: float, changed: Changed, *, up: bool | None = None
) -> float | None:
    """Returns the price nearest to `start` at which the plan changes; None if none does.

    Args:
        law: Of the plan.
        ask: Its question.
        name: Of the price.
        start: Where to look from.
        changed: Whether a plan is another one.
        up: Look at higher prices only, or at lower ones only; None: both ways.
    """
    ways: Iterable[float] = (PRICE_SPAN, 1 / PRICE_SPAN)
    if up is not None:
        ways = (PRICE_SPAN,) if up else (1 / PRICE_SPAN,)
    found = [_bisect(law, ask, name, (start, start * way), changed) for way in ways]
    near = [at for at in found if at is not None]
    return min(near, key=lambda at: abs(math.log(at / start)), default=None)


def _bisect(
    law: Law, ask: Ask, name: str, span: tuple[float, float], changed: Changed
) -> float | None:
    def at(price: float) -> bool:
        try:
            return bool(changed(split(law, ask.at(name, price))))
        except RecipeError:  # the price is so high that the budget buys nothing
            return False

    near, far = map(math.log, span)
    steps = np.linspace(near, far, 13)
    states = [at(math.exp(step)) for step in steps]
    if True not in states:
        return None
    first = states.index(True)
    if first == 0:
        return math.exp(near)
    low, high = steps[first - 1], steps[first]
    for _ in range(12):
        middle = (low + high) / 2
        low, high = (low, middle) if at(math.exp(middle)) else (middle, high)
    return float(math.exp(high))


def law_caveats(law: Law, point: Point) -> list[str]:
    """Returns what a reader must know of a law before trusting a plan at a point."""
    record, found = law.record, []
    if record.get("published"):
        found.append(
            "the law is of others' data, models and held-out text; a study of your own decides"
        )
    if not count_draws(law):
        found.append("the law comes without draws, so nothing here has an interval")
    found += [f"flag of the law: {flag}" for flag in law.flags]
    spans = record.get("range") or {}
    for name, value in (("parameters", point.parameters), ("tokens", point.tokens)):
        span = spans.get(name)
        if span and not span[0] <= value <= span[1]:
            found.append(
                f"{value:.3g} {name} lie outside of the law's runs ({span[0]:.3g} to {span[1]:.3g})"
            )
    return found
