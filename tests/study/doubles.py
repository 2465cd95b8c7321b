"""A law with known constants, so that every figure can be worked out by hand."""

from dataclasses import dataclass, field

import numpy as np

EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.817, "alpha": 0.348, "beta": 0.366}


@dataclass(frozen=True)
class PlainLaw:
    """E + A/N^alpha + B_r/D'^beta, with D' = U (1 + 15 (1 - exp(-(D/U - 1)/15))) if it repeats."""

    parameters: dict = field(default_factory=lambda: dict(EPOCH))
    draws: dict = field(default_factory=dict)
    recipes: tuple = ()
    repeats: bool = False
    flags: tuple = ()
    form: str = "chinchilla"
    record: dict = field(default_factory=lambda: {"unit": "nats per token", "source": "a double"})

    def _loss(self, values, parameters, tokens, unique_tokens=None, recipe=None, **_):
        fresh = np.asarray(tokens, dtype=float)
        if self.repeats and unique_tokens is not None:
            unique = np.asarray(unique_tokens, dtype=float)
            again = np.maximum(fresh / unique - 1, 0)
            fresh = unique * (1 + 15 * (1 - np.exp(-again / 15)))
        if self.recipes and recipe not in self.recipes:
            raise ValueError(f"recipe {recipe!r}")
        b = values[f"B[{recipe}]"] if self.recipes else values["B"]
        beta = values[f"beta[{recipe}]"] if self.recipes else values["beta"]
        size = np.asarray(parameters, dtype=float)
        return values["E"] + values["A"] / size ** values["alpha"] + b / fresh**beta

    def loss(self, parameters, tokens, **options):
        return self._loss(self.parameters, parameters, tokens, **options)

    def loss_draws(self, parameters, tokens, **options):
        shape = np.broadcast_shapes(np.shape(parameters), np.shape(tokens))
        values = {
            name: np.asarray(draws).reshape((-1,) + (1,) * len(shape))
            for name, draws in self.draws.items()
        }
        return np.asarray(self._loss(values, parameters, tokens, **options))


def drawn(parameters, spread=0.02, count=200, seed=1):
    """Draws around constants, each with a relative spread."""
    rng = np.random.default_rng(seed)
    return {name: value * np.exp(rng.normal(0, spread, count)) for name, value in parameters.items()}


def epoch_law(spread=0.02, **changes):
    return PlainLaw(draws=drawn(EPOCH, spread), **changes)


def recipe_law(factor=0.8, spread=0.02, count=200):
    """Two recipes: the coefficient of "clean" is `factor` times that of "raw"."""
    shared = {name: EPOCH[name] for name in ("A", "E", "alpha")}
    parameters = {
        **shared,
        **{"B[raw]": EPOCH["B"], "B[clean]": EPOCH["B"] * factor},
        **{f"beta[{name}]": EPOCH["beta"] for name in ("raw", "clean")},
    }
    draws = drawn(parameters, 0.005, count)
    rng = np.random.default_rng(2)
    draws["B[clean]"] = draws["B[raw]"] * factor * np.exp(rng.normal(0, spread, count))
    draws["beta[clean]"] = draws["beta[raw]"]
    return PlainLaw(parameters, draws, recipes=("raw", "clean"), form="recipes")
