"""Laws as they are asked: the loss at a point, with draws, and what a law can tell at all."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class Law(Protocol):
    """A fitted or published law, as `curation.study.laws.FittedLaw` is."""

    @property
    def form(self) -> str:
        """Its form: chinchilla, tied, recipes, data-constrained ..."""

    @property
    def parameters(self) -> Mapping[str, float]:
        """Its constants; `B[raw]` where a recipe has its own."""

    @property
    def draws(self) -> Mapping[str, Floats]:
        """Draws of each parameter, of equal length; may be empty."""

    @property
    def flags(self) -> tuple[str, ...]:
        """What its data does not identify."""

    @property
    def record(self) -> Mapping[str, Any]:
        """How it was made."""

    @property
    def recipes(self) -> tuple[str, ...]:
        """Names of the recipes of its runs."""

    def loss(
        self, parameters: Any, tokens: Any, *, unique_tokens: Any = None, recipe: str | None = None
    ) -> Floats:
        """Returns the point prediction."""

    def loss_draws(
        self, parameters: Any, tokens: Any, *, unique_tokens: Any = None, recipe: str | None = None
    ) -> Floats:
        """Returns predictions with a first axis of draws."""


def count_draws(law: Law) -> int:
    """Returns how many draws a law has."""
    return min(map(len, law.draws.values()), default=0)


def told_apart(law: Law) -> tuple[str, ...]:
    """Returns the recipes that have constants of their own in a law; empty if none has."""
    own = {name.partition("[")[2].removesuffix("]") for name in law.parameters if "[" in name}
    return tuple(name for name in law.recipes if name in own)


def law_recipe(law: Law, recipe: str | None) -> str | None:
    """Returns the recipe to name to a law: by default its first one; None if it knows none."""
    known = told_apart(law)
    return (recipe or known[0]) if known else None


@dataclass(frozen=True)
class Point:
    """Where the money stands now."""

    parameters: float
    tokens: float
    """Presented, repeats included."""
    unique_tokens: float | None = None
    """None: as many as are presented."""
    recipe: str | None = None

    @property
    def unique(self) -> float:
        """Unique tokens."""
        return self.tokens if self.unique_tokens is None else self.unique_tokens

    @property
    def epochs(self) -> float:
        """Times that each token is seen."""
        return self.tokens / self.unique

    def grown(self, *, parameters: float = 0, tokens: float = 0, unique: float = 0) -> "Point":
        """Returns the point with logarithms that are larger by so much."""
        return Point(
            self.parameters * math.exp(parameters),
            self.tokens * math.exp(tokens),
            self.unique * math.exp(unique),
            self.recipe,
        )


@dataclass(frozen=True)
class Estimate:
    """A point and its draws; without draws it has no interval."""

    mid: float
    draws: Floats = field(default_factory=lambda: np.empty(0))

    def interval(self, share: float = 0.95) -> tuple[float, float] | None:
        """Returns the central interval of the draws; None if there are none."""
        usable = self.draws[~np.isnan(self.draws)]
        if not len(usable):
            return None
        tail = (1 - share) / 2
        low, high = np.quantile(usable, [tail, 1 - tail], method="inverted_cdf")
        return float(low), float(high)

    def as_json(self) -> dict[str, float | None]:
        """Returns mid, low and high (95%)."""
        found = self.interval()
        return {
            "mid": self.mid,
            "low": found[0] if found else None,
            "high": found[1] if found else None,
        }


def predict(law: Law, point: Point) -> Estimate:
    """Returns the loss at a point."""
    place = (point.parameters, point.tokens)
    recipe = law_recipe(law, point.recipe)
    mid = float(np.asarray(law.loss(*place, unique_tokens=point.unique, recipe=recipe)))
    if not count_draws(law):
        return Estimate(mid)
    draws = law.loss_draws(*place, unique_tokens=point.unique, recipe=recipe)
    return Estimate(mid, np.asarray(draws, dtype=np.float64).reshape(-1))


def knows_repeats(law: Law, point: Point) -> bool:
    """Whether the law tells repeated tokens from fresh ones."""
    fresh = replace(point, unique_tokens=point.tokens)
    repeated = replace(point, unique_tokens=point.tokens / 8)
    return predict(law, fresh).mid != predict(law, repeated).mid
