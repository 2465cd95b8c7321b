"""The simulated study of docs/data/simulated-runs.csv: two recipes, repeats, seeds, known truth."""

import csv
import io
from pathlib import Path

import numpy as np

from curation.study.laws import FittedLaw

CSV = Path(__file__).resolve().parents[2] / "docs" / "data" / "simulated-runs.csv"
WORTH = 1.6
"""The curated recipe is worth so many times the data of the raw one."""
TRUTH = {
    "A": 60.0, "E": 1.1, "alpha": 0.35, "beta": 0.4, "R_D": 12.0,
    "B[curated]": 260.0 * WORTH**-0.4, "B[raw]": 260.0,
}  # fmt: skip
LAW = FittedLaw("recipes-repeats", TRUTH, recipes=("curated", "raw"))
NOISE = 0.004


def cells():
    """Yields recipe, parameters, tokens, unique tokens and seed of every run."""
    sizes = [100_000, 300_000, 1_000_000, 3_000_000]
    for recipe in LAW.recipes:
        for size in sizes:
            for tokens in [500_000, 1_000_000, 2_000_000, 4_000_000, 8_000_000]:
                for seed in range(3 if tokens == 2_000_000 else 1):
                    yield recipe, size, tokens, tokens, seed
    for size in (1_000_000, 3_000_000):
        for share in (2, 4, 8, 16):
            yield "curated", size, 8_000_000, 8_000_000 // share, 0


def text():
    """Returns the file, made anew."""
    random = np.random.default_rng(7)
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(["recipe", "parameters", "tokens", "unique_tokens", "seed", "loss"])
    for recipe, size, tokens, unique, seed in cells():
        true = float(LAW.loss(size, tokens, unique_tokens=unique, recipe=recipe))
        loss = true * np.exp(random.normal(0, NOISE))
        writer.writerow([recipe, size, tokens, unique, seed, f"{loss:.5f}"])
    return out.getvalue()
