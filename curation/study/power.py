"""The power laws with a floor: Chinchilla's, and what others made of it.

    ln L = ln( A / N'^alpha + B_r / (D'^beta_r Q^gamma) + E_r )

N' and D' are N and D, or what is left of them where text repeats. Which constants a recipe r has
for itself, whether alpha = beta, and whether quality Q counts, make the forms.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product

import numpy as np

from curation.study.forms import Array, Columns, Facts, Form, Gradient, log_sum, pick

EXPONENTS = tuple(float(value) for value in np.geomspace(0.08, 1.6, 11))
"""Grid of alpha and of beta for variable projection."""
DECAYS = (1.0, 4.0, 15.0, 60.0, 250.0)
"""Grid of R_D and R_N."""
_FLAT = 30.0
"""Beyond exp of this a decay constant changes nothing in double precision."""


@dataclass(frozen=True)
class PowerForm(Form):
    """One of the power laws; see the module."""

    name: str
    formula: str
    source: str
    tied: bool = False
    by_recipe: tuple[str, ...] = ()
    repeats: bool = False
    """D' = U (1 + R_D (1 - exp(-(D/U - 1)/R_D))) in place of D."""
    excess: bool = False
    """The same of N beyond the best size for U tokens, with R_N."""
    quality: bool = False

    @property
    def recipes_differ(self) -> bool:  # type: ignore[override]
        """True where a recipe has constants of its own."""
        return bool(self.by_recipe)

    def constants(self) -> tuple[str, ...]:
        """Names of the constants in order."""
        chosen = {"beta": not self.tied, "R_D": self.repeats, "R_N": self.excess}
        chosen["gamma"] = self.quality
        every = ("A", "B", "E", "alpha", "beta", "R_D", "R_N", "gamma")
        return tuple(name for name in every if chosen.get(name, True))

    def derived(self, natural: Mapping[str, Array]) -> dict[str, Array]:
        """Returns beta where it is alpha."""
        return {"beta": natural["alpha"]} if self.tied else {}

    def evaluate(self, theta: Array, facts: Facts, recipes: int) -> tuple[Array, Array]:
        """Returns ln loss and its derivative by `theta`."""
        slots = self.slots(recipes)
        log = {name: pick(theta, where, facts.recipe) for name, where in slots.items()}
        log.setdefault("beta", log["alpha"])
        alpha, beta = np.exp(log["alpha"]), np.exp(log["beta"])
        tokens, by_decay = _effective_tokens(facts, log.get("R_D"))
        size, by_size = self._size(log, alpha, beta, facts)
        first, second = log["A"] - alpha * size, log["B"] - beta * tokens
        gamma = np.exp(log["gamma"]) if self.quality else None
        if gamma is not None:
            second = second - gamma * facts.quality
        first, second, floor = np.broadcast_arrays(first, second, log["E"])
        value, (of_size, of_tokens, of_floor) = log_sum((first, second, floor))
        found = Gradient(value, theta, slots, facts.recipe)
        data = "alpha" if self.tied else "beta"
        found.add("A", of_size)
        found.add("B", of_tokens)
        found.add("E", of_floor)
        found.add("alpha", -of_size * alpha * size)
        found.add(data, -of_tokens * beta * tokens)
        if self.repeats:
            found.add("R_D", -of_tokens * beta * by_decay)
        for name, derivative in by_size.items():  # of ln N' by ln of each constant
            found.add(data if name == "beta" else name, -of_size * alpha * derivative)
        if gamma is not None:
            found.add("gamma", -of_tokens * gamma * facts.quality)
        return value, found.array

    def _size(
        self, log: Mapping[str, Array], alpha: Array, beta: Array, facts: Facts
    ) -> tuple[Array, dict[str, Array]]:
        """Returns ln N' and its derivatives by the logarithms of the constants."""
        if not self.excess:
            return facts.parameters, {}
        # The best size for U tokens, where both terms of loss fall alike with compute.
        best = (log["alpha"] + log["A"] - log["beta"] - log["B"] + beta * facts.unique) / alpha
        above = facts.parameters > best
        base = np.where(above, best, facts.parameters)
        gain, by_decay, by_ratio = _decayed(facts.parameters - base, log["R_N"])
        by_best = np.where(above, 1.0 - by_ratio, 0.0)
        return base + gain, {
            "R_N": by_decay,
            "A": by_best / alpha,
            "B": -by_best / alpha,
            "alpha": by_best * (1.0 / alpha - best),
            "beta": by_best * (beta * facts.unique - 1.0) / alpha,
        }

    def bends(self) -> Iterator[dict[str, float]]:
        """Yields exponents and decays; all recipes start with the same beta."""
        decays = (DECAYS if self.repeats else (1.0,), DECAYS if self.excess else (1.0,))
        steps = EXPONENTS if not self.excess else EXPONENTS[::2]
        gammas = (0.1, 0.4) if self.quality else (1.0,)
        for alpha, beta, decay, excess, gamma in product(steps, steps, *decays, gammas):
            if self.tied and alpha != beta:
                continue
            every = {"alpha": alpha, "beta": beta, "R_D": decay, "R_N": excess, "gamma": gamma}
            yield {name: every[name] for name in self.constants() if name in every}

    def linear_columns(self, bends: Mapping[str, float], facts: Facts, recipes: int) -> Columns:
        """Returns N^-alpha, D'^-beta Q^-gamma and 1, apart by recipe where they are."""
        decay = np.log(np.array([bends["R_D"]])) if self.repeats else None
        tokens = -bends.get("beta", bends["alpha"]) * _effective_tokens(facts, decay)[0]
        tokens = tokens - bends.get("gamma", 0.0) * facts.quality
        size = -bends["alpha"] * facts.parameters
        slots = self.slots(recipes)
        columns, places = [], []
        for name, powers in (("A", size), ("B", tokens), ("E", np.zeros_like(size))):
            where = slots[name]
            for place in range(where.start, where.stop):
                mine = facts.recipe == place - where.start if name in self.by_recipe else True
                columns.append(np.where(mine, np.exp(powers), 0.0))
                places.append(place)
        return Columns(np.stack(columns, axis=1), tuple(places))


def _effective_tokens(facts: Facts, log_decay: Array | None) -> tuple[Array, Array]:
    """Returns ln D' and its derivative by ln R_D."""
    if log_decay is None:
        return facts.tokens, np.zeros(1)
    gain, by_decay, _ = _decayed(facts.tokens - facts.unique, log_decay)
    return facts.unique + gain, by_decay


def _decayed(excess: Array, log_decay: Array) -> tuple[Array, Array, Array]:
    """What repeats are worth: ln(1 + R (1 - exp(-r/R))) for r = exp(excess) - 1 repeats.

    Returns:
        That, its derivative by ln R, and by `excess`.
    """
    log_decay = np.clip(log_decay, -_FLAT, _FLAT)
    decay, repeats = np.exp(log_decay), np.expm1(np.maximum(excess, 0.0))
    share = repeats / decay
    used = -np.expm1(-share)
    total = 1.0 + decay * used
    inside = np.abs(log_decay) < _FLAT
    # used - share exp(-share) as it stands loses all digits where share is small.
    series = share**2 * (0.5 - share / 3 + share**2 / 8)
    tail = np.where(share < 1e-3, series, used - share * np.exp(-share))
    by_decay = np.where(inside, decay * tail / total, 0.0)
    return np.log(total), by_decay, np.exp(-share) * (1.0 + repeats) / total
