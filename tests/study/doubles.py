"""Laws with known constants, so that every figure can be worked out by hand."""

import numpy as np

from curation.study.law import FittedLaw

EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.817, "alpha": 0.348, "beta": 0.366}
RECORD = {"unit": "nats per token", "source": "constants of a test"}


def plain_law(parameters=None, draws=None, *, form="chinchilla", flags=(), recipes=("",)):
    """A law with these constants."""
    values = dict(EPOCH if parameters is None else parameters)
    if form == "repeats":
        values["R_D"] = 15.0
        draws = draws and draws | {"R_D": np.full(len(draws["A"]), 15.0)}
    return FittedLaw(form, values, draws or {}, flags, dict(RECORD), recipes)


def drawn(parameters, spread=0.02, count=200, seed=1):
    """Draws around constants, each with a relative spread."""
    rng = np.random.default_rng(seed)
    return {
        name: value * np.exp(rng.normal(0, spread, count)) for name, value in parameters.items()
    }


def epoch_law(spread=0.02, **changes):
    """The constants of Epoch's refit, with draws."""
    return plain_law(EPOCH, drawn(EPOCH, spread), **changes)


def tied_law(spread=0.02):
    """Nearly the same curve with one exponent."""
    values = {"A": 482.01, "B": 1650.0, "E": 1.817, "alpha": 0.355}
    return plain_law(values, drawn(values, spread), form="tied")


def recipe_law(factor=0.8, spread=0.02, count=200):
    """Two recipes: the coefficient of "clean" is `factor` times that of "raw"."""
    shared = {name: EPOCH[name] for name in ("A", "E", "alpha")}
    parameters = {
        **shared,
        "B[raw]": EPOCH["B"],
        "B[clean]": EPOCH["B"] * factor,
        "beta[raw]": EPOCH["beta"],
        "beta[clean]": EPOCH["beta"],
    }
    draws = drawn(parameters, 0.005, count)
    rng = np.random.default_rng(2)
    draws["B[clean]"] = draws["B[raw]"] * factor * np.exp(rng.normal(0, spread, count))
    draws["beta[clean]"] = draws["beta[raw]"]
    return plain_law(parameters, draws, recipes=("raw", "clean"), form="recipes")
