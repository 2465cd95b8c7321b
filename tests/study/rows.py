"""Rows of runs made by a law with known constants and known noise."""

import numpy as np

from curation.study.runs import make_runs

SIZES = (30_000, 110_000, 360_000)
TOKENS = (500_000, 1_000_000, 2_000_000, 4_000_000)


def study_rows(
    factors=None, noise=0.005, seeds=1, sizes=SIZES, tokens=TOKENS, seed=0, beta=0.5, **more
):
    """Done runs; a recipe's tokens count `factors[recipe]` times those of the baseline."""
    rng = np.random.default_rng(seed)
    rows = []
    for recipe, factor in (factors or {"raw": 1.0, "clean": 1.5}).items():
        for size in sizes:
            for amount in tokens:
                for number in range(seeds if amount == tokens[-1] else 1):
                    clean = 1.5 + 60 / size**0.45 + 900 / (factor * amount) ** beta
                    rows.append(
                        {
                            "recipe": recipe,
                            "parameters": size,
                            "tokens": amount,
                            "unique_tokens": amount,
                            "epochs": 1.0,
                            "seed": number,
                            "devices": 1,
                            "steps": amount // 512,
                            "batch_tokens": 512,
                            "loss": clean * float(np.exp(rng.normal(0, noise))),
                            "loss_se": 0.004 * clean,
                            "flops": 6.0 * size * amount,
                            "seconds_train": 6.0 * size * amount / 3e10,
                            "cpu_seconds": 6.0 * size * amount / 3e10,
                            "tokens_per_second": 3e10 / (6 * size),
                            "data_wait_share": 0.01,
                            "dollars_mid": 6.0 * size * amount / 3e10 / 3600 * 0.04,
                            "device": "AMD EPYC",
                            "precision": "fp32",
                            **more,
                        }
                    )
    return rows


def study(*args, **options):
    return make_runs(study_rows(*args, **options))
