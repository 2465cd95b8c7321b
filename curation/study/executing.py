"""The cells of a study, run by whoever is told to: what is done is found, caps hold, rows are kept.

runs.parquet is written after every cell, so that a study that is killed leaves a table.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from curation.study.cells import (
    CellStoppedError,
    PlacedCell,
    Row,
    join_trunks,
    unfinished_row,
)
from curation.study.cells import run_cell as run_one
from curation.study.grid import Cell
from curation.study.planning import Forecast, StudyPlan
from curation.study.prices import Range
from curation.study.runs import make_runs, write_runs
from curation.study.spec import BudgetSpec

RunOne = Callable[[PlacedCell], Row]
Execute = Callable[[Sequence[PlacedCell], RunOne, int], Iterator[tuple[PlacedCell, Row]]]
"""Runs cells, so many at a time, and yields each with its row as it ends."""


class CellEvent(NamedTuple):
    """What a listener is told when a cell ends."""

    cell: Cell
    row: Row
    reused: bool
    done: int
    total: int
    seconds_left: float
    """Predicted, of wall time."""


Listener = Callable[[CellEvent], None]


@dataclass
class Stop:
    """Set from outside, it ends the cells that are running; they are run again next time."""

    flag: threading.Event = field(default_factory=threading.Event)

    def check(self, _: Mapping[str, Any]) -> None:
        """Ends the training that reports progress.

        Raises:
            CellStoppedError: The study was stopped.
        """
        if self.flag.is_set():
            raise CellStoppedError


STOP = Stop()
"""Ends the cells of this process."""


class _Spending:
    """What has been spent, against the caps; minutes count from the first cell of this run."""

    def __init__(
        self, budget: BudgetSpec, price: Range | None, forecasts: Mapping[str, Forecast]
    ) -> None:
        self._budget, self._price, self._forecasts = budget, price, forecasts
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._flops = self._seconds = 0.0

    def refuse(self, one: PlacedCell) -> str | None:
        """Says why a cell may not begin, or None and counts it as begun."""
        budget = self._budget
        flops, seconds = self._predicted(one)
        with self._lock:
            minutes = (time.monotonic() - self._begun + seconds) / 60
            hours = (self._seconds + seconds) / 3600
            dollars = hours * self._price.mid if self._price else 0.0
            for name, needed, cap in (
                ("FLOP", self._flops + flops, budget.flops),
                ("minutes", minutes, budget.minutes),
                ("dollars", dollars, budget.dollars),
            ):
                if cap is not None and needed > cap:
                    return f"budget: would take {needed:.3g} {name} in all, the cap is {cap:.3g}"
            self._flops += flops
            self._seconds += seconds
        return None

    def settle(self, one: PlacedCell, seconds: float) -> None:
        """Puts what a cell took in the place of what was predicted."""
        with self._lock:
            self._seconds += seconds - self._predicted(one)[1]

    def _predicted(self, one: PlacedCell) -> tuple[float, float]:
        casts = [self._forecasts[part.key] for part in (one, *one.shorter)]
        return sum(cast.flops for cast in casts), sum(cast.seconds for cast in casts)


def run_cells(
    placed: Sequence[PlacedCell],
    plan: StudyPlan,
    budget: BudgetSpec,
    path: Path,
    execute: Execute,
    listen: Listener,
) -> list[Row]:
    """Runs the cells that are not done, within the caps, and returns all rows in their order.

    Args:
        placed: All cells of the plan, in its order.
        plan: What they were predicted to take.
        budget: Caps; cells beyond them are skipped, with the reason in their rows.
        path: Of runs.parquet, written after every cell.
        execute: Runs cells; timing cells come to it last, one at a time.
        listen: Is told of each cell that ends or was found.
    """
    forecasts = {one.key: cast for one, cast in zip(placed, plan.forecasts, strict=True)}
    spending = _Spending(budget, plan.price, forecasts)
    table = _Table(placed, plan, path, listen)
    for one in placed:
        found = one.finished()
        if found is not None:
            table.add(one, found, reused=True)
    waiting = join_trunks([one for one in placed if one.key not in table.rows])

    def run(one: PlacedCell) -> Row:
        refused = spending.refuse(one)
        if refused is not None:
            return unfinished_row(one, "skipped", refused)
        begun = time.monotonic()
        row = run_one(one, STOP.check)
        spending.settle(one, time.monotonic() - begun)
        return row

    for alone, width in ((False, plan.parallel), (True, 1)):
        part = [one for one in waiting if (one.cell.group == "timing") == alone]
        if part:
            for one, row in execute(part, run, width):
                table.take(one, row)
    return table.write()


def _like(short: PlacedCell, row: Row) -> Row:
    """Returns the row of a shorter cell that its longer one's training did not come to."""
    status = "failed" if row["status"] == "done" else row["status"]
    return unfinished_row(short, status, row["reason"] or "its branch left no result")


class _Table:
    """The rows so far; written after every cell, so that a killed study leaves a table."""

    def __init__(
        self, placed: Sequence[PlacedCell], plan: StudyPlan, path: Path, listen: Listener
    ) -> None:
        self.rows: dict[str, Row] = {}
        self._placed, self._path, self._listen = placed, path, listen
        self._price, self._parallel = plan.price, plan.parallel
        self._forecasts = {one.key: cast for one, cast in zip(placed, plan.forecasts, strict=True)}
        self._begun = time.monotonic()
        self._predicted = 0.0

    def take(self, one: PlacedCell, row: Row) -> None:
        """Takes a cell that has been run, and the shorter ones that it had with it."""
        for short in one.shorter:
            self.add(short, short.finished() or _like(short, row), reused=False)
        self.add(one, row, reused=False)

    def add(self, one: PlacedCell, row: Row, *, reused: bool) -> None:
        self.rows[one.key] = {**row, **_dollars(row, self._price)}
        if not reused:
            self._predicted += self._forecasts[one.key].seconds
            self.write()
        done, total = len(self.rows), len(self._placed)
        self._listen(CellEvent(one.cell, row, reused, done, total, self._seconds_left()))

    def write(self) -> list[Row]:
        rows = [self.rows[one.key] for one in self._placed if one.key in self.rows]
        write_runs(self._path, make_runs(rows))
        return rows

    def _seconds_left(self) -> float:
        """Scales what is predicted of the rest by how the prediction has held so far."""
        left = sum(cast.seconds for key, cast in self._forecasts.items() if key not in self.rows)
        if not self._predicted:
            return left / self._parallel
        return left * (time.monotonic() - self._begun) / self._predicted


def _dollars(row: Row, price: Range | None) -> Row:
    seconds = row.get("seconds_total")
    if price is None or seconds is None:
        return {}
    hours = seconds / 3600 * row["devices"]
    return {
        "dollars_low": hours * price.low,
        "dollars_mid": hours * price.mid,
        "dollars_high": hours * price.high,
    }
