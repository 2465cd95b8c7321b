"""What every verdict of a study stands on, and what would mend what is lacking."""

from collections.abc import Sequence
from dataclasses import dataclass

from curation.study.evidence import LEAST_SEEDS, LEAST_STEPS, Health, Noise
from curation.study.predict import Estimate
from curation.study.prices import Range
from curation.study.verdict import IDENTIFIED, Condition, Deciding, more_runs

LEAST_GRID, GOOD_GRID = 2, 3
"""Values of N and of D below which nothing, and below which no full decision, is possible."""


@dataclass(frozen=True)
class Ground:
    """What a verdict stands on besides the law."""

    health: Health | None
    """None: no runs of one's own (a published law)."""
    noise: Noise | None
    preset: str = ""
    run_dollars: Range | None = None
    """Of one run; None: unknown."""
    law_name: str = ""

    @property
    def own(self) -> bool:
        """Whether the law was fitted to runs of one's own."""
        return self.health is not None


def ground_conditions(ground: Ground, *, law_rests: bool) -> list[Condition]:
    """Returns the conditions on runs that every question shares.

    Args:
        ground: Runs and noise.
        law_rests: Whether the answer rests on a fitted law (and so on the grid's shape).
    """
    if ground.health is None:
        said = f"{ground.law_name or 'a published law'}: other data, other models"
        name, wanted = "the law is of your own data", "a study of your own"
        return [Condition(name, "full", met=False, found=said, expected=wanted)]
    health, noise = ground.health, ground.noise
    found = [
        Condition("the study is more than a smoke test", "must", ground.preset != "smoke",
                  ground.preset or "no preset named", "any preset but smoke"),
        Condition("cells that are done", "must", health.done >= 4, str(health.done), "4 or more"),
        Condition("noise between seeds is measured", "must", noise is not None,
                  f"sd {noise.sd:.2%} of the loss" if noise else "no cell has two seeds",
                  "a cell with two seeds or more"),
        Condition("seeds of a cell", "full", noise is not None and noise.most_seeds >= LEAST_SEEDS,
                  str(noise.most_seeds if noise else 1), f"{LEAST_SEEDS} or more"),
        Condition("failed cells", "full", 4 * health.failed <= health.done + health.failed,
                  str(health.failed), "a quarter of the cells at most"),
    ]  # fmt: skip
    return found + (_grid_conditions(health) if law_rests else [])


def _grid_conditions(health: Health) -> list[Condition]:
    grid = f"{health.sizes} sizes, {health.amounts} amounts of text"
    least = min(health.sizes, health.amounts)
    steps = "not known" if health.least_steps is None else f"{health.least_steps:,}"
    return [
        Condition("the grid spans sizes and amounts", "must", least >= LEAST_GRID, grid,
                  f"{LEAST_GRID} or more of each"),
        Condition("the grid is large enough to decide", "full", least >= GOOD_GRID, grid,
                  f"{GOOD_GRID} or more of each"),
        Condition("steps of the shortest cell", "full",
                  None if health.least_steps is None else not health.few_steps, steps,
                  f"{LEAST_STEPS:,} or more, or tokens are confused with steps"),
    ]  # fmt: skip


PRICED = "prices are known"
RECIPE_SURE = "the recipe is better by its own runs"
GAP = "gap of the largest cells beyond the noise"
_REMEDIES: tuple[tuple[str, str, int | None], ...] = (
    (IDENTIFIED, "cells at other ratios of tokens to parameters, ten times apart", 8),
    ("the grid spans sizes and amounts", "cells at two sizes and two amounts of text or more", 8),
    ("noise between seeds is measured", "two more seeds of the largest cell of each recipe", 4),
    ("seeds of a cell", "two more seeds of the largest cell of each recipe", 4),
    ("the grid is large enough to decide", "a third size or amount of text", 4),
    ("steps of the shortest cell", "cells of 1,000 steps or more in place of the shortest", 4),
    ("held-out documents agree, in pairs", "bits by document of the largest cells", 2),
    ("the fitted law agrees", "more sizes and amounts, for a law that knows both recipes", 8),
    ("every constant of the law is sure", "more sizes and amounts of text, further apart", 8),
    ("all forms of the law agree", "larger cells, where the forms of the law differ most", 4),
    (RECIPE_SURE, "what decides whether the recipe is better, below", None),
)
"""Condition -> what would meet it, and with how many runs; the first that is lacking counts."""


def deciding(
    conditions: Sequence[Condition], compared: Estimate | None, ground: Ground
) -> Deciding:
    """Returns what would decide: the first thing that stands in the way, with its cost.

    Args:
        conditions: Of a verdict.
        compared: Its ratio.
        ground: The runs, and what one costs.
    """
    lacking = {
        weight: {one.name for one in conditions if one.met is not True and one.weight == weight}
        for weight in ("must", "full")
    }
    if PRICED in lacking["must"] | lacking["full"]:
        return Deciding("say the prices that are unknown")
    if ground.health is None:
        return Deciding("run a study of your own (curate study): this law is of other data")
    for names in lacking.values():
        remedy = next((one for one in _REMEDIES if one[0] in names), None)
        if remedy is not None:
            return _mended(remedy, ground.run_dollars)
        if names:
            break  # what is left is the width of an interval
    return more_runs(compared, ground.health.done, ground.run_dollars)


def _mended(remedy: tuple[str, str, int | None], each: Range | None) -> Deciding:
    _, action, count = remedy
    if count is None:
        return Deciding(action)
    return Deciding(action, count, None if each is None else each * count)
