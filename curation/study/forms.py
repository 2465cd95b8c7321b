"""Scaling laws as functions of their constants, with analytic gradients.

A form maps the constants of a law and the facts of runs to the logarithm of loss. Constants are
fitted in an unbounded space of their own (`theta`: logarithms of what must be positive); people and
files see them in natural units. All arrays broadcast: constants are `[..., p]`, facts `[..., n]` or
`[n]`, values `[..., n]`, gradients `[..., n, p]`, so one call evaluates all draws of a bootstrap.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]
Places = npt.NDArray[np.int64]


_FAR = 600.0
"""A constant whose logarithm drifts farther does nothing; e to this is still a number."""


@dataclass(frozen=True)
class Facts:
    """What a law knows of runs; logarithms are natural, arrays are `[n]` or `[draws, n]`."""

    parameters: Array
    """ln of the parameters."""
    tokens: Array
    """ln of the tokens presented."""
    unique: Array
    """ln of the tokens presented at least once."""
    quality: Array
    """ln of the known quality, in (-inf, 0]."""
    resources: Array
    """ln of the devices."""
    recipe: Places
    """Place of the run's recipe in the law's list, `[n]`."""

    def take(self, rows: Places) -> "Facts":
        """Returns the facts of some runs."""
        return Facts(*(getattr(self, name)[rows] for name in self.__dataclass_fields__))


class Form(ABC):
    """A family of laws: its constants, its formula, its gradient."""

    name: str
    formula: str
    source: str
    by_recipe: tuple[str, ...] = ()
    """Constants that each recipe has for itself."""
    positive = True
    """True where all constants are above 0, and `theta` has their logarithms."""
    recipes_differ = False
    """True where the form can tell recipes apart."""

    @abstractmethod
    def constants(self) -> tuple[str, ...]:
        """Names of the constants in order, each once."""

    def names(self, recipes: Sequence[str]) -> tuple[str, ...]:
        """Names of all fitted constants in the order of `theta`, `B[raw]` for one of a recipe."""
        found: list[str] = []
        for name in self.constants():
            own = name in self.by_recipe
            found += [f"{name}[{recipe}]" for recipe in recipes] if own else [name]
        return tuple(found)

    def slots(self, recipes: int) -> dict[str, slice]:
        """Places in `theta` of each constant."""
        found, start = {}, 0
        for name in self.constants():
            width = recipes if name in self.by_recipe else 1
            found[name] = slice(start, start + width)
            start += width
        return found

    @abstractmethod
    def evaluate(self, theta: Array, facts: Facts, recipes: int) -> tuple[Array, Array]:
        """Returns ln loss `[..., n]` and its derivative by `theta` `[..., n, p]`."""

    def natural(self, theta: Array, recipes: Sequence[str]) -> dict[str, Array]:
        """Returns constants in natural units, each `[...]`."""
        names = self.names(recipes)
        safe = np.exp(np.clip(theta, -_FAR, _FAR))
        return {name: safe[..., place] for place, name in enumerate(names)}

    def internal(self, natural: Mapping[str, Array | float], recipes: Sequence[str]) -> Array:
        """Returns `theta` `[..., p]` for constants in natural units."""
        values = [np.log(np.asarray(natural[name], float)) for name in self.names(recipes)]
        return np.stack(np.broadcast_arrays(*values), axis=-1)

    def derived(self, natural: Mapping[str, Array]) -> dict[str, Array]:
        """Returns constants that follow from others, for readers of a law file."""
        del natural
        return {}

    @abstractmethod
    def linear_columns(self, bends: Mapping[str, float], facts: Facts, recipes: int) -> "Columns":
        """Returns the parts of loss that are linear once the constants of `bends` are fixed."""

    @abstractmethod
    def bends(self) -> Iterator[dict[str, float]]:
        """Yields the grid of constants in which loss is not linear, for variable projection."""


@dataclass(frozen=True)
class Columns:
    """Loss is `base + matrix @ factors`; each factor belongs to a place of `theta`."""

    matrix: Array
    """`[n, k]`."""
    places: tuple[int, ...]
    """Of each column."""
    positive: bool = True
    """Factors must not be negative, and `theta` has their logarithm."""
    divisors: tuple[float, ...] = ()
    """What factors are divided by before they enter `theta`; empty: nothing."""


def log_sum(terms: Sequence[Array]) -> tuple[Array, list[Array]]:
    """Returns ln of the sum of exponentials, and the share of each term in the sum."""
    highest = np.maximum.reduce(list(terms))
    parts = [np.exp(term - highest) for term in terms]
    total = sum(parts[1:], parts[0])
    return highest + np.log(total), [part / total for part in parts]


class Gradient:
    """Collects derivatives by `theta` for a form with constants of recipes."""

    def __init__(
        self, value: Array, theta: Array, slots: Mapping[str, slice], recipe: Places
    ) -> None:
        """Starts at zero for values `[..., n]`."""
        self.array = np.zeros((*value.shape, theta.shape[-1]))
        self._slots, self._rows, self._recipe = slots, np.arange(len(recipe)), recipe

    def add(self, name: str, derivative: Array) -> None:
        """Adds a derivative `[..., n]` by a constant; each run counts for its recipe's."""
        where = self._slots[name]
        if where.stop - where.start == 1:
            self.array[..., where.start] += derivative
        else:
            self.array[..., self._rows, where.start + self._recipe] += derivative


def pick(theta: Array, where: slice, recipe: Places) -> Array:
    """Returns a constant for each run: `[..., 1]` of all, or `[..., n]` by recipe."""
    values = theta[..., where]
    return values if values.shape[-1] == 1 else values[..., recipe]
