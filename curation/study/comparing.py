"""What a recipe is worth: so many times the data of another, and where two recipes cross."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from curation.errors import RecipeError
from curation.study.bootstrap import Interval, interval
from curation.study.forms import Array, Facts
from curation.study.law import FittedLaw, form_named

Side = Literal["recipe", "baseline"]

_REACH = float(np.log(1e6))
"""A factor of data beyond a million, or below a millionth, is none: no amount of data is enough."""


@dataclass(frozen=True)
class Equivalence:
    """How many times the tokens of `baseline` do what `recipe` does, at one point."""

    recipe: str
    baseline: str
    parameters: float
    tokens: float
    """Of the one that was held."""
    held: Side
    """Whose tokens were given; the other's were found."""
    factor: Interval
    """Above 1: the recipe is worth that many times the data. Infinite: no amount is enough."""
    draws: Array

    @property
    def decided(self) -> bool:
        """True where the interval excludes 1."""
        return bool(self.factor.low > 1 or self.factor.high < 1)


def equivalence(
    law: FittedLaw,
    recipe: str,
    baseline: str,
    parameters: float,
    tokens: float,
    *,
    held: Side = "recipe",
) -> Equivalence:
    """Returns the factor of the baseline's data that makes up for a recipe.

    With the recipe's tokens held, the baseline's are found, which for a better recipe lie beyond
    what was measured; with the baseline's held, one reads off how much less the recipe needs. The
    factor is baseline over recipe either way.

    Args:
        law: One that tells recipes apart.
        recipe: The one that is judged.
        baseline: The one whose tokens are counted.
        parameters: N of both.
        tokens: D of the one that is held, all unique.
        held: Which one that is.

    Raises:
        RecipeError: The law does not tell recipes apart, or does not know one of them.
    """
    _check(law)
    pair = (recipe, baseline) if held == "recipe" else (baseline, recipe)
    mid = _factors(law, pair, parameters, tokens, draws=False)
    drawn = np.empty(0)
    if law.draws:
        drawn = _factors(law, pair, parameters, tokens, draws=True)
    if held == "baseline":
        with np.errstate(divide="ignore"):
            mid, drawn = 1 / mid, 1 / drawn
    factor = interval(float(mid[0]), drawn)
    return Equivalence(recipe, baseline, float(parameters), float(tokens), held, factor, drawn)


@dataclass(frozen=True)
class Crossing:
    """Where two recipes have the same loss, at one model size."""

    tokens: Interval
    """D of the crossing; NaN where they do not cross within the range."""
    share: float
    """Of the draws that cross within the range; NaN without draws."""
    better_below: str
    """The recipe with less loss at the low end of the range, by the point estimate."""
    better_above: str
    """The same at the high end."""


def crossing(
    law: FittedLaw,
    recipe: str,
    baseline: str,
    parameters: float,
    between: tuple[float, float],
) -> Crossing:
    """Finds where two recipes cross as data grows.

    Args:
        law: One that tells recipes apart.
        recipe: One recipe.
        baseline: The other.
        parameters: N.
        between: Least and greatest D to look at.

    Raises:
        RecipeError: The law does not tell recipes apart, or does not know one of them.
    """
    _check(law)
    low, high = between
    tokens = np.linspace(np.log(low), np.log(high), 400)
    mid = _gap(law, (recipe, baseline), parameters, tokens, draws=False)
    drawn = _gap(law, (recipe, baseline), parameters, tokens, draws=True) if law.draws else None
    where = _zero(tokens, mid[None])[0]
    names = (recipe, baseline)
    below, above = names[int(mid[0] > 0)], names[int(mid[-1] > 0)]
    if drawn is None:
        return Crossing(interval(where, np.empty(0)), float("nan"), below, above)
    places = _zero(tokens, drawn)
    share = float(np.isfinite(places).mean())
    return Crossing(interval(where, places), share, below, above)


def _check(law: FittedLaw) -> None:
    if not form_named(law.form).recipes_differ:
        raise RecipeError(
            f"law {law.form}: does not tell recipes apart; expected a form that does, as "
            "recipes-shared or recipes; fit one: --form recipes"
        )


def _facts(law: FittedLaw, recipe: str, parameters: float, tokens: Array) -> Facts:
    """Facts of one recipe at ln tokens `[n]` or `[draws, n]`."""
    place = law.place_of(recipe)
    none = np.zeros(1)
    return Facts(
        np.log(np.array([parameters], float)),
        tokens,
        tokens,
        none,
        none,
        np.full(tokens.shape[-1], place, np.int64),
    )


def _factors(
    law: FittedLaw, recipes: tuple[str, str], parameters: float, tokens: float, *, draws: bool
) -> Array:
    """Solves loss(second, factor x tokens) = loss(first, tokens) by halving, `[draws]`."""
    recipe, baseline = recipes
    start = np.log(np.array([[tokens]], float))
    wanted = law.log_loss(_facts(law, recipe, parameters, start[0]), draws=draws).reshape(-1, 1)
    low, high = np.full_like(wanted, -_REACH), np.full_like(wanted, _REACH)
    for _ in range(60):
        middle = (low + high) / 2
        facts = _facts(law, baseline, parameters, start + middle)
        short = law.log_loss(facts, draws=draws) > wanted  # more data is needed
        low, high = np.where(short, middle, low), np.where(short, high, middle)
    found = ((low + high) / 2)[:, 0]
    found = np.where(found > _REACH - 1e-6, np.inf, np.where(found < 1e-6 - _REACH, -np.inf, found))
    return np.asarray(np.exp(found))


def _gap(
    law: FittedLaw, recipes: tuple[str, str], parameters: float, tokens: Array, *, draws: bool
) -> Array:
    """Returns ln loss of the first recipe minus that of the second, `[n]` or `[draws, n]`."""
    one, two = (
        law.log_loss(_facts(law, name, parameters, tokens), draws=draws) for name in recipes
    )
    return one - two


def _zero(tokens: Array, gaps: Array) -> Array:
    """Returns D of the first change of sign in each row, NaN where there is none."""
    signs = gaps[:, :-1] * gaps[:, 1:] < 0
    place = np.argmax(signs, axis=1)
    rows = np.arange(len(gaps))
    left, right = gaps[rows, place], gaps[rows, place + 1]
    with np.errstate(all="ignore"):  # rows without a change of sign are dropped below
        share = left / (left - right)
        where = np.exp(tokens[place] + share * (tokens[place + 1] - tokens[place]))
    return np.where(signs.any(axis=1), where, np.nan)
