"""Laws that are no sum of powers with a floor: bounded, multiplicative, and the additive one."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np

from curation.study.forms import Array, Columns, Facts, Form, log_sum

_STEPS = tuple(float(value) for value in np.geomspace(0.08, 1.6, 7))
_REFERENCES = (float(np.log(1e6)), float(np.log(1e8)), 0.0)
"""ln of N, D and R where the internal constants of the additive law are read: one device."""
_STEEPEST = 4.0
"""A power beyond this is a step between two values; where a term does nothing, its power drifts."""
_LEAST = 1e-3
"""Below this the additive law has no logarithm worth the name; it goes on along its tangent."""


def _column(theta: Array, place: int) -> Array:
    return theta[..., place : place + 1]


@dataclass(frozen=True)
class MultiplicativeForm(Form):
    """L = A / (N^alpha D^beta) + E."""

    name: str = "fine-tuning"
    formula: str = "L = A / (N^alpha D^beta) + E"
    source: str = "Zhang et al. 2024, arXiv 2402.17193"

    def constants(self) -> tuple[str, ...]:
        """Names of the constants in order."""
        return ("A", "E", "alpha", "beta")

    def evaluate(self, theta: Array, facts: Facts, recipes: int) -> tuple[Array, Array]:
        """Returns ln loss and its derivative by `theta`."""
        del recipes
        log_a, floor, alpha, beta = (_column(theta, place) for place in range(4))
        alpha, beta = np.exp(alpha), np.exp(beta)
        power = log_a - alpha * facts.parameters - beta * facts.tokens
        power, floor = np.broadcast_arrays(power, floor)
        value, (of_power, of_floor) = log_sum((power, floor))
        by_alpha = -of_power * alpha * facts.parameters
        by_beta = -of_power * beta * facts.tokens
        return value, np.stack((of_power, of_floor, by_alpha, by_beta), axis=-1)

    def bends(self) -> Iterator[dict[str, float]]:
        """Yields exponents; they are small where a trained model is tuned further."""
        steps = [float(value) for value in np.geomspace(0.01, 1.0, 10)]
        for alpha, beta in product(steps, steps):
            yield {"alpha": alpha, "beta": beta}

    def linear_columns(self, bends: Mapping[str, float], facts: Facts, recipes: int) -> Columns:
        """Returns N^-alpha D^-beta and 1."""
        del recipes
        power = -bends["alpha"] * facts.parameters - bends["beta"] * facts.tokens
        # Tiny numbers: the factor that goes with them is as large.
        return Columns(np.stack((np.exp(power), np.ones_like(power)), axis=1), (0, 1))


@dataclass(frozen=True)
class BoundedForm(Form):
    """L = E + (L0 - E) h / (1 + h): from the loss of knowing nothing to the floor."""

    name: str
    formula: str
    source: str
    overfits: bool = False
    """h has a third term, which grows with N where unique text is short."""

    def constants(self) -> tuple[str, ...]:
        """Names of the constants in order; `span` is L0 - E."""
        base = ("E", "span", "A", "alpha", "B", "beta")
        return (*base, "C", "gamma", "delta") if self.overfits else base

    def derived(self, natural: Mapping[str, Array]) -> dict[str, Array]:
        """Returns L0, the loss before training."""
        return {"L0": natural["E"] + natural["span"]}

    def evaluate(self, theta: Array, facts: Facts, recipes: int) -> tuple[Array, Array]:
        """Returns ln loss and its derivative by `theta`."""
        del recipes
        floor, span, log_a, alpha, log_b, beta = (_column(theta, place) for place in range(6))
        alpha, beta = np.exp(alpha), np.exp(beta)
        terms = [log_a - alpha * facts.parameters, log_b - beta * facts.tokens]
        inner: list[tuple[int, int, Array | float]]
        inner = [(2, 0, 1.0), (3, 0, -alpha * facts.parameters)]
        inner += [(4, 1, 1.0), (5, 1, -beta * facts.tokens)]
        if self.overfits:
            log_c, gamma, delta = (_column(theta, place) for place in range(6, 9))
            gamma, delta = np.exp(gamma), np.exp(delta)
            terms.append(log_c + gamma * facts.parameters - delta * facts.unique)
            inner += [(6, 2, 1.0), (7, 2, gamma * facts.parameters)]
            inner += [(8, 2, -delta * facts.unique)]
        log_h, shares = log_sum(np.broadcast_arrays(*terms))
        above = span + log_h - np.logaddexp(0.0, log_h)
        above, floor = np.broadcast_arrays(above, floor)
        value, (of_above, of_floor) = log_sum((above, floor))
        by_h = of_above / (1.0 + np.exp(np.minimum(log_h, 700.0)))
        gradient = np.zeros((*value.shape, theta.shape[-1]))
        gradient[..., 0], gradient[..., 1] = of_floor, of_above
        for place, term, factor in inner:
            gradient[..., place] = by_h * shares[term] * factor
        return value, gradient

    def bends(self) -> Iterator[dict[str, float]]:
        """Yields exponents and spans, those of nats or bits."""
        for alpha, beta, span in product(_STEPS, _STEPS, (4.0, 12.0, 60.0)):
            base = {"alpha": alpha, "beta": beta, "span": span}
            yield base | ({"C": 1e-3, "gamma": 0.4, "delta": 0.4} if self.overfits else {})

    def linear_columns(self, bends: Mapping[str, float], facts: Facts, recipes: int) -> Columns:
        """Returns the powers for small h, where the law is a sum; the fit finds the rest."""
        del recipes
        columns = [-bends["alpha"] * facts.parameters, -bends["beta"] * facts.tokens]
        powers = [np.zeros_like(facts.parameters), *columns]
        divisors = (1.0, bends["span"], bends["span"])
        return Columns(np.exp(np.stack(powers, axis=1)), (0, 2, 4), divisors=divisors)


@dataclass(frozen=True)
class AdditiveForm(Form):
    """L = E - (a N^(1-g) + b D^d + e R^eps), signs free: performance is -L.

    Inside, each term is u ((x/x0)^q - 1)/q: the same curves, but smooth at q = 0, where they are
    logarithms.
    """

    positive = False
    name: str = "additive"
    formula: str = "L = E - (a N^(1-g) + b D^d + e R^eps)"
    source: str = "the articles that this project answers; a candidate like all others"

    def constants(self) -> tuple[str, ...]:
        """Names of the constants in order."""
        return ("E", "a", "g", "b", "d", "e", "eps")

    def natural(self, theta: Array, recipes: Sequence[str]) -> dict[str, Array]:
        """Returns the constants as the formula has them."""
        del recipes
        found, floor = {}, theta[..., 0]
        names = (("a", "g"), ("b", "d"), ("e", "eps"))
        for term, (factor, power) in enumerate(names):
            slope, bend = theta[..., 1 + 2 * term], theta[..., 2 + 2 * term]
            bend = np.clip(np.where(np.abs(bend) < 1e-9, 1e-9, bend), -_STEEPEST, _STEEPEST)
            found[factor] = slope / bend * np.exp(-bend * _REFERENCES[term])
            found[power] = 1.0 - bend if power == "g" else bend
            floor = floor + slope / bend
        return {"E": floor} | found

    def internal(self, natural: Mapping[str, Array | float], recipes: Sequence[str]) -> Array:
        """Returns `theta` for the constants of the formula."""
        del recipes
        value = {name: np.asarray(natural[name], float) for name in self.constants()}
        floor, columns = value["E"], []
        bends = (1.0 - value["g"], value["d"], value["eps"])
        for factor, bend, reference in zip("abe", bends, _REFERENCES, strict=True):
            scaled = value[factor] * np.exp(bend * reference)
            floor = floor - scaled
            columns += [scaled * bend, bend]
        return np.stack(np.broadcast_arrays(floor, *columns), axis=-1)

    def evaluate(self, theta: Array, facts: Facts, recipes: int) -> tuple[Array, Array]:
        """Returns ln loss and its derivative by `theta`."""
        del recipes
        value, derivatives = _column(theta, 0), [np.ones(1)]
        known = (facts.parameters, facts.tokens, facts.resources)
        for term, (log, reference) in enumerate(zip(known, _REFERENCES, strict=True)):
            slope = _column(theta, 1 + 2 * term)
            bend = _column(theta, 2 + 2 * term)
            curve, by_bend = _box_cox(log - reference, np.clip(bend, -_STEEPEST, _STEEPEST))
            by_bend = np.where(np.abs(bend) < _STEEPEST, by_bend, 0.0)
            value = value - slope * curve
            derivatives += [-curve, -slope * by_bend]
        gradient = np.stack(np.broadcast_arrays(*derivatives, value)[:-1], axis=-1)
        safe = np.maximum(value, _LEAST)
        return np.log(safe) + (value - safe) / safe, gradient / safe[..., None]

    def bends(self) -> Iterator[dict[str, float]]:
        """Yields powers of both signs, in the names of the formula."""
        powers = (-1.0, -0.5, -0.25, -0.1, 0.1, 0.3)
        for by_size, by_tokens in product(powers, powers):
            yield {"g": 1.0 - by_size, "d": by_tokens, "eps": 0.5}

    def linear_columns(self, bends: Mapping[str, float], facts: Facts, recipes: int) -> Columns:
        """Returns 1 and the three curves, without a sign."""
        del recipes
        powers = (1.0 - bends["g"], bends["d"], bends["eps"])
        known = (facts.parameters, facts.tokens, facts.resources)
        columns = [np.ones_like(facts.parameters)]
        for log, reference, power in zip(known, _REFERENCES, powers, strict=True):
            columns.append(-_box_cox(log - reference, np.array([power]))[0])
        return Columns(np.stack(columns, axis=1), (0, 1, 3, 5), positive=False)


def _box_cox(log: Array, power: Array) -> tuple[Array, Array]:
    """Returns (x^q - 1)/q for ln x, and its derivative by q."""
    reach = power * log
    small = np.abs(reach) < 1e-4
    bounded = np.where(small, 1.0, np.minimum(reach, 300.0))
    safe = np.where(np.abs(power) < 1e-12, 1e-12, power)
    curve = np.where(small, log * (1 + reach / 2 + reach**2 / 6), np.expm1(bounded) / safe)
    exact = (np.exp(bounded) * (bounded - 1.0) + 1.0) / safe**2
    return curve, np.where(small, log**2 * (0.5 + reach / 3), exact)
