"""What repeated text is worth, by the runs alone: how many fresh tokens do the same."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from curation.study.equivalence import mean_curves, meeting
from curation.study.evidence import Noise, Run, fresh_runs, is_fresh
from curation.study.predict import Estimate


@dataclass(frozen=True)
class Repeat:
    """Some unique tokens, presented several times."""

    recipe: str
    parameters: float
    unique_tokens: float
    tokens: float
    """Presented."""
    share: Estimate | None
    """Of the presented tokens, what fresh ones would do the same: 1 is as good as fresh. None: the
    fresh runs at this size do not reach the loss."""

    @property
    def epochs(self) -> float:
        """Times that each token was presented."""
        return self.tokens / self.unique_tokens


def measured_repeats(runs: Sequence[Run], noise: Noise | None, draws: int = 1000) -> list[Repeat]:
    """Returns the worth of each cell with repeats, read off the curve of fresh runs beside it.

    The interval is that of seed noise on both sides; without a noise floor there is none.

    Args:
        runs: Done runs on one device.
        noise: Between seeds.
        draws: Of each interval.
    """
    cells: dict[tuple[str, float, float, float], list[float]] = {}
    for run in runs:
        if not is_fresh(run) and run["unique_tokens"]:
            place = (float(run["parameters"]), float(run["unique_tokens"]), float(run["tokens"]))
            cells.setdefault((run["recipe"] or "", *place), []).append(math.log(run["loss"]))
    fresh = fresh_runs(runs)
    return [
        Repeat(*place, _share(fresh, place, losses, (noise, draws)))
        for place, losses in sorted(cells.items())
    ]


def _share(
    fresh: Sequence[Run],
    place: tuple[str, float, float, float],
    losses: Sequence[float],
    how: tuple[Noise | None, int],
) -> Estimate | None:
    recipe, size, _, tokens = place
    noise, draws = how
    curve = mean_curves(fresh, recipe or None).get(size)
    if curve is None or len(curve[0]) < 2 or not np.all(np.diff(curve[1]) < 0):
        return None
    at = meeting(curve[1], curve[0], float(np.mean(losses)))
    if at is None:
        return None
    mid = math.exp(at[0]) / tokens
    if noise is None:
        return Estimate(mid)
    spread = noise.sd * math.sqrt(1 + 1 / len(losses)) / abs(at[1])
    random = np.random.default_rng(0).normal(0, spread, draws)
    return Estimate(mid, mid * np.exp(random))
