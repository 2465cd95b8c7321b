"""What the runs say by themselves, before any law: noise, gaps, failed cells, traps."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.study.predict import Estimate

Run = Mapping[str, Any]
LEAST_STEPS = 1000
"""Below so many optimiser steps a data axis is an axis of step counts (the batch trap)."""
LEAST_SEEDS = 3
FRESH = 1.05
"""Epochs up to which a run counts as one that sees its tokens once."""
_T95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23)
"""Two-sided 95% quantiles of Student's t for 1 to 10 degrees of freedom."""


def t95(degrees: int) -> float:
    """Returns the two-sided 95% quantile of Student's t, to 2%; infinite without a degree."""
    if degrees < 1:
        return math.inf
    return _T95[degrees - 1] if degrees <= len(_T95) else 1.96 + 2.7 / degrees


@dataclass(frozen=True)
class Health:
    """How many cells can be used, and what speaks against those that can."""

    done: int
    failed: int
    skipped: int
    reasons: tuple[tuple[str, int], ...]
    """Of failed and skipped cells, the most common first."""
    least_steps: int | None
    sizes: int
    amounts: int

    @property
    def few_steps(self) -> bool:
        """Whether a cell is so short that steps, not data, decide its loss."""
        return self.least_steps is not None and self.least_steps < LEAST_STEPS


def usable(runs: pa.Table) -> list[dict[str, Any]]:
    """Returns the rows of runs that are done and have a loss, size and tokens."""
    return [
        row
        for row in runs.to_pylist()
        if row["status"] == "done" and row["loss"] and row["parameters"] and row["tokens"]
    ]


def health(runs: pa.Table) -> Health:
    """Counts the cells of a table of runs."""
    rows, good = runs.to_pylist(), usable(runs)
    statuses = Counter(row["status"] for row in rows)
    reasons = Counter(row["reason"] or "no reason given" for row in rows if row["status"] != "done")
    steps = [row["steps"] for row in good if row["steps"]]
    return Health(
        len(good),
        len(rows) - len(good) - statuses["skipped"],
        statuses["skipped"],
        tuple(sorted(reasons.items(), key=lambda item: (-item[1], item[0]))),
        min(steps, default=None),
        len({row["parameters"] for row in good}),
        len({row["tokens"] for row in good}),
    )


@dataclass(frozen=True)
class Noise:
    """How much a loss differs between seeds of the same cell."""

    sd: float
    """Standard deviation of the log loss, pooled over cells."""
    degrees: int
    most_seeds: int
    """Of a cell."""
    cells: int
    """With two seeds or more."""


def noise_floor(runs: Sequence[Run]) -> Noise | None:
    """Returns the noise between seeds; None if no cell was run with two."""
    groups: dict[tuple[Any, ...], dict[Any, float]] = {}
    for run in runs:
        seeds = tuple(run[name] for name in _SEEDS)
        groups.setdefault(_cell(run), {})[seeds] = math.log(run["loss"])
    several = [list(group.values()) for group in groups.values() if len(group) > 1]
    if not several:
        return None
    squares = sum(float(np.var(group)) * len(group) for group in several)
    degrees = sum(len(group) - 1 for group in several)
    return Noise(math.sqrt(squares / degrees), degrees, max(map(len, several)), len(several))


_SEEDS = ("seed", "seed_init", "seed_order", "seed_sampling")


def _cell(run: Run) -> tuple[Any, ...]:
    names = (
        "recipe",
        "parameters",
        "tokens",
        "unique_tokens",
        "devices",
        "batch_tokens",
        "precision",
    )
    return tuple(run[name] for name in names)


@dataclass(frozen=True)
class Gap:
    """The loss of one recipe against another where both were run largest."""

    parameters: float
    tokens: float
    seeds: tuple[int, int]
    log_ratio: float
    """Mean log loss of the baseline less that of the recipe: above 0 the recipe is better."""
    half_width: float
    """Of its 95% interval, from the noise between seeds; infinite without one."""

    @property
    def clear(self) -> bool:
        """Whether the interval excludes 0."""
        return abs(self.log_ratio) > self.half_width


def largest_gap(runs: Sequence[Run], baseline: str, recipe: str, noise: Noise | None) -> Gap | None:
    """Returns the gap at the largest size that both have, at the most tokens there.

    Args:
        runs: Done runs.
        baseline: Name of a recipe.
        recipe: Name of another.
        noise: Between seeds.
    """
    cells = [_losses_by_place(runs, name) for name in (baseline, recipe)]
    common = sorted(cells[0].keys() & cells[1].keys())
    if not common:
        return None
    before, after = (cell[common[-1]] for cell in cells)
    width = math.inf
    if noise is not None:
        each = math.sqrt(1 / len(before) + 1 / len(after))
        # The largest cells may be noisier than the pool: the larger of both counts.
        width = t95(noise.degrees) * max(noise.sd, _own_sd(before, after)) * each
    gap = float(np.mean(before) - np.mean(after))
    size, tokens = common[-1][:2]
    return Gap(size, tokens, (len(before), len(after)), gap, width)


def _own_sd(*groups: Sequence[float]) -> float:
    """Returns the standard deviation within groups of three or more; 0 where there are fewer."""
    if min(map(len, groups)) < LEAST_SEEDS:
        return 0.0
    squares = sum(float(np.var(group)) * len(group) for group in groups)
    return math.sqrt(squares / sum(len(group) - 1 for group in groups))


def _losses_by_place(runs: Sequence[Run], recipe: str) -> dict[tuple[float, ...], list[float]]:
    found: dict[tuple[float, ...], list[float]] = {}
    for run in runs:
        if run["recipe"] == recipe:
            place = (float(run["parameters"]), float(run["tokens"]), float(run["devices"] or 1))
            found.setdefault(place, []).append(math.log(run["loss"]))
    return found


def one_device(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs that a law of data may see: those on one device, or all if none is."""
    single = [run for run in runs if (run["devices"] or 1) == 1]
    return single or list(runs)


def is_fresh(run: Run) -> bool:
    """Says whether a run sees (nearly) each token once; one that does not say is taken to."""
    return run["epochs"] is None or run["epochs"] <= FRESH


def fresh_runs(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs that see (nearly) each token once."""
    return [run for run in runs if is_fresh(run)]


def whole_text_runs(runs: Sequence[Run]) -> list[Run]:
    """Returns the runs that may see all the text of their recipe, as far as their tokens go.

    They see a token twice only where the recipe has no more text: then repeating is what the
    recipe comes to at that size. Runs that were given less, to measure repeats, are left out: where
    `given_tokens` says so, and where others of the recipe saw more.
    """
    most: dict[Any, float] = {}
    for run in runs:
        if run["unique_tokens"]:
            most[run["recipe"]] = max(most.get(run["recipe"], 0.0), run["unique_tokens"])
    return [
        run
        for run in runs
        if run["given_tokens"] is None
        and (
            not run["unique_tokens"]
            or run["unique_tokens"] * FRESH >= min(run["tokens"], most[run["recipe"]])
        )
    ]


@dataclass(frozen=True)
class Agreement:
    """Whether the better recipe at a smaller size is the better one at the largest."""

    parameters: float
    """The smaller size."""
    right: int
    pairs: int


def rank_agreement(runs: Sequence[Run]) -> list[Agreement]:
    """Returns, for each smaller size, how many pairs of recipes it ranks as the largest does.

    At each size the most tokens that all its recipes share. The plain baseline of DataDecide
    (arXiv 2504.11393), which no law has beaten yet.
    """
    sizes = sorted({float(run["parameters"]) for run in runs})
    tables = {size: _ranking(runs, size) for size in sizes}
    if len(sizes) < 2:
        return []
    last = tables[sizes[-1]]
    found = []
    for size in sizes[:-1]:
        pairs = list(combinations(sorted(tables[size].keys() & last.keys()), 2))
        right = sum((tables[size][a] < tables[size][b]) == (last[a] < last[b]) for a, b in pairs)
        found.append(Agreement(size, right, len(pairs)))
    return found


def _ranking(runs: Sequence[Run], size: float) -> dict[str, float]:
    losses: dict[float, dict[str, list[float]]] = {}
    for run in runs:
        if float(run["parameters"]) == size and run["recipe"]:
            at = losses.setdefault(float(run["tokens"]), {})
            at.setdefault(run["recipe"], []).append(run["loss"])
    most = max((len(at) for at in losses.values()), default=0)
    full = [tokens for tokens, at in losses.items() if len(at) == most]
    if not full:
        return {}
    return {name: float(np.mean(values)) for name, values in losses[max(full)].items()}


def paired_documents(
    baseline: Path, recipe: Path, draws: int = 1000, seed: int = 0
) -> Estimate | None:
    """Returns how many bits per byte a recipe saves, resampling the held-out documents in pairs.

    Args:
        baseline: `held_out.parquet` of a run: doc_id, bytes, bits_after.
        recipe: The same of the other run.
        draws: Of the bootstrap.
        seed: Of the bootstrap.

    Returns:
        The difference; None if a file cannot be read or they share no document.
    """
    try:
        tables = [
            pq.read_table(path, columns=["doc_id", "bytes", "bits_after"])
            for path in (baseline, recipe)
        ]
    except (OSError, pa.ArrowException):
        return None
    rows = [
        {row["doc_id"]: (row["bytes"], row["bits_after"]) for row in table.to_pylist()}
        for table in tables
    ]
    shared = sorted(rows[0].keys() & rows[1].keys())
    sizes = np.array([rows[0][name][0] for name in shared], dtype=np.float64)
    if not sizes.sum():
        return None
    saved = np.array([rows[0][name][1] - rows[1][name][1] for name in shared], dtype=np.float64)
    taken = np.random.default_rng(seed).integers(0, len(shared), (draws, len(shared)))
    return Estimate(
        float(saved.sum() / sizes.sum()), saved[taken].sum(axis=1) / sizes[taken].sum(axis=1)
    )
