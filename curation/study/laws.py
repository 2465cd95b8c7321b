"""Laws: all forms, what was fitted, and those that others published."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from curation.study.forms import Array
from curation.study.law import FORMS, FittedLaw, form_named

__all__ = ["FORMS", "PUBLISHED", "FittedLaw", "form_named"]

_NATS = "nats per token"
_DRAWS = 1000

_EPOCH_NAMES = ("A", "B", "E", "alpha", "beta")
_EPOCH_SPREAD = (
    (0.260536, 0.000000, 0.000000, 0.000000, 0.000000),
    (-0.104119, 0.399708, 0.000000, 0.000000, 0.000000),
    (0.008649, 0.010777, 0.002994, 0.000000, 0.000000),
    (0.045061, -0.000646, 0.000929, 0.001816, 0.000000),
    (-0.013892, 0.052086, 0.001906, -0.001772, 0.002039),
)
"""Cholesky factor of the covariance of ln A, ln B, ln E, ln alpha, ln beta: 1,000 resamples of the
240 points by `curate fit`. The published standard errors alone would not do: A and alpha, B and
beta move together (correlation above 0.99), and drawn one by one they predict nonsense."""


def _record(source: str, **more: Any) -> dict[str, Any]:
    return {"unit": _NATS, "source": source, "published": True, **more}


def _epoch_draws(mid: Mapping[str, float]) -> dict[str, Array]:
    random = np.random.default_rng(0)
    normal = random.standard_normal((_DRAWS, len(_EPOCH_NAMES)))
    moves = normal @ np.array(_EPOCH_SPREAD).T
    return {name: mid[name] * np.exp(moves[:, place]) for place, name in enumerate(_EPOCH_NAMES)}


_EPOCH = {"A": 482.01, "B": 2085.43, "E": 1.8172, "alpha": 0.3478, "beta": 0.3658}

PUBLISHED: Mapping[str, FittedLaw] = {
    "chinchilla-epoch": FittedLaw(
        "chinchilla",
        _EPOCH,
        _epoch_draws(_EPOCH),
        (),
        _record(
            "Besiroglu et al. 2024, arXiv 2404.10102: 240 runs read off a figure of Hoffmann's",
            convention="as the source counts",
            range={"parameters": [5.7e7, 1.6e10], "tokens": [8.2e8, 3.2e11]},
            intervals_from="1,000 resamples of the 240 runs, by curate fit",
        ),
    ),
    "chinchilla-hoffmann": FittedLaw(
        "chinchilla",
        {"A": 406.4, "B": 410.7, "E": 1.69, "alpha": 0.33917, "beta": 0.28491},
        {},
        ("published intervals are too narrow to be true: none is given here",),
        _record(
            "Hoffmann et al. 2022, arXiv 2203.15556, approach 3",
            convention="as the source counts",
            range={"parameters": [5.7e7, 1.6e10], "tokens": [8.2e8, 3.2e11]},
        ),
    ),
    "data-constrained": FittedLaw(
        "data-constrained",
        {
            "A": float(np.exp(6.255414)),
            "B": float(np.exp(7.3049974)),
            "E": float(np.exp(0.6254804)),
            "alpha": 0.3526596,
            "beta": 0.3526596,
            "R_D": 15.387756,
            "R_N": 5.309743,
        },
        {},
        ("unidentified: R_D", "unidentified: R_N"),
        _record(
            "Muennighoff et al. 2023, arXiv 2305.16264: 182 runs on C4, two-stage fit",
            convention="as the source counts",
            range={"parameters": [7e6, 9e9], "tokens": [1e8, 9e11]},
            intervals={"R_D": [6.6, None], "R_N": [0.28, 14.0]},
            intervals_from="bootstrap of their runs by us; R_D is flat from 15 to 300",
        ),
    ),
}
"""Laws of others by name; losses in nats per token, not in bits per byte."""
