"""What the steps of a training took: wall, waiting for data, processor time; across a kill too."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from curation.manifest import canonical_json
from curation.results import DataWait, Steps
from curation.shards import replacing

SKIPPED = 10
"""Steps left out of rates at most: memory is laid out and kernels are chosen in the first ones."""

_FILE = "spent.json"


class Spent(NamedTuple):
    """What the training loop took so far, in this process or in those killed before it."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


class Timing(NamedTuple):
    """What one call of the training loop took."""

    spent: Spent
    """Since step 1, earlier processes included."""
    here: float
    """Wall seconds of the loop in this process alone."""
    steps: list[float]
    """Wall seconds of each step made here, its wait included, without saving."""
    waits: list[float]
    """Seconds that each of them waited for its batch."""
    all_waits: float
    """Seconds of waiting, of all steps made here."""


class StepClock:
    """Times a training loop step by step."""

    def __init__(self) -> None:
        """Makes a clock that stands until `begin`."""
        self._steps: list[float] = []
        self._waits: list[float] = []
        self._waited = 0.0
        self._before = Spent()
        self._begun = self._mark = time.perf_counter()
        self._cpu_begun = cpu_seconds()

    def begin(self, before: Spent) -> None:
        """Starts the clock, behind what earlier processes spent."""
        self._before = before
        self._begun = self._mark = time.perf_counter()
        self._cpu_begun = cpu_seconds()

    def timed(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Passes batches on, and counts how long each was waited for."""
        while True:
            begun = time.perf_counter()
            try:
                batch = next(batches)
            except StopIteration:
                return
            finally:
                self._waited += time.perf_counter() - begun
            yield batch

    def step(self) -> None:
        """Ends a step."""
        now = time.perf_counter()
        self._steps.append(now - self._mark)
        self._waits.append(self._waited)
        self._mark, self._waited = now, 0.0

    def resume(self) -> None:
        """Begins the next step now: what was done since the last one is no part of it."""
        self._mark = time.perf_counter()

    def spent(self) -> Spent:
        """Returns what was spent until now."""
        return Spent(
            self._before.seconds + (time.perf_counter() - self._begun),
            self._before.cpu_seconds + (cpu_seconds() - self._cpu_begun),
        )

    def read(self) -> Timing:
        """Returns all that was measured."""
        skipped = min(SKIPPED, len(self._steps) // 2)
        return Timing(
            self.spent(),
            max(time.perf_counter() - self._begun, 1e-9),
            self._steps[skipped:],
            self._waits[skipped:],
            sum(self._waits),
        )


def cpu_seconds() -> float:
    """Returns user and system time of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def write_spent(state: Path, spent: Spent) -> None:
    """Notes beside a saved state what it took to get there."""
    with replacing(state / _FILE) as file:
        file.write(canonical_json(spent._asdict()).encode())


def read_spent(state: Path | None) -> Spent:
    """Returns what a saved state took; nothing where the note is missing."""
    if state is not None:
        with suppress(OSError, ValueError, TypeError):
            return Spent(**json.loads((state / _FILE).read_bytes()))
    return Spent()


class RankTimes(NamedTuple):
    """The figures of one process that are compared with the others'."""

    median: float
    seconds: float
    """Of the steps timed."""
    waited: float
    cpu_seconds: float
    rss_bytes: float
    cuda_bytes: float
    """-1 without CUDA."""

    @classmethod
    def of(
        cls, timing: Timing, cpu_seconds: float, rss_bytes: int, cuda_bytes: int | None
    ) -> "RankTimes":
        """Sums one process up."""
        return cls(
            float(np.median(timing.steps)) if timing.steps else 0.0,
            sum(timing.steps),
            sum(timing.waits),
            cpu_seconds,
            rss_bytes,
            -1 if cuda_bytes is None else cuda_bytes,
        )


def step_times(ranks: list[RankTimes], timing: Timing, steps: int, batch_tokens: int) -> Steps:
    """Returns the steps as the slowest process saw them.

    Args:
        ranks: Of each process.
        timing: Of this process.
        steps: Made here, those left out included.
        batch_tokens: Of a step.
    """
    slowest = max(rank.seconds for rank in ranks)
    return Steps(
        timed=len(timing.steps),
        skipped=steps - len(timing.steps),
        seconds=max(rank.median for rank in ranks),
        tokens_per_second=len(timing.steps) * batch_tokens / max(slowest, 1e-9),
    )


def data_wait(ranks: list[RankTimes]) -> DataWait:
    """Returns the wait of the process that waited the largest share of its time."""
    most = max(ranks, key=lambda rank: rank.waited / max(rank.seconds, 1e-9))
    return DataWait(seconds=most.waited, share=most.waited / max(most.seconds, 1e-9))
