"""A study from its file to runs.parquet: probe, plan, datasets, cells; who runs the cells is told.

Everything lies in the study's directory:

    probes/       a short training of each size, on made-up text
    held-out/     the dataset that every model is scored on
    datasets/     one for each recipe
    work/         what recipes share while they are made
    tokenizer/    the one tokenizer of all cells
    cells/KEY/    job, result, bits by document, cell.json
    runs.parquet  one row for each cell
    study.json    what was asked, planned and left out
"""

import fcntl
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from curation import __version__
from curation.errors import CurationError
from curation.handoff import prepare_job
from curation.manifest import write_json
from curation.results import run_job
from curation.study.cells import (
    CellStoppedError,
    Place,
    PlacedCell,
    Row,
    place_cell,
    unfinished_row,
)
from curation.study.cells import run_cell as run_one
from curation.study.corpora import Dataset, MakeDataset, make_corpora
from curation.study.grid import Cell, cells_of, job_of
from curation.study.planning import Forecast, StudyPlan, device_price, plan_study
from curation.study.prices import Range
from curation.study.probe import Probes, probe_sizes
from curation.study.runs import make_runs, write_runs
from curation.study.spec import LoadedStudy, Study

THREADS = 1
"""Of a cell: one thread each on as many cells as there are cores beats the reverse, and a number
that is always the same gives the same sums."""
_LIMITED = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip

Tell = Callable[[str], None]
RunOne = Callable[[PlacedCell], Row]
Execute = Callable[[Sequence[PlacedCell], RunOne, int], Iterator[tuple[PlacedCell, Row]]]
"""Runs cells, so many at a time, and yields each with its row as it ends."""


class Prepared(NamedTuple):
    """A study that is planned: nothing but probes has run."""

    loaded: LoadedStudy
    out: Path
    probes: Probes
    plan: StudyPlan

    @property
    def study(self) -> Study:
        """What its author wrote."""
        return self.loaded.study


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


class StudyRecord(BaseModel):
    """study.json: what was asked for, what was planned, and what was left out."""

    name: str
    question: str
    study: dict[str, Any]
    package_version: str = __version__
    hardware: dict[str, Any]
    held_out: dict[str, Any]
    datasets: dict[str, dict[str, Any]]
    dropped: list[str]
    warnings: list[str]
    cells: dict[str, dict[str, Any]]
    """By key: label and group."""


class Outcome(NamedTuple):
    """A study whose cells have run."""

    rows: list[Row]
    record: StudyRecord
    held_out: Dataset
    datasets: list[Dataset]

    def count(self, status: str) -> int:
        """Returns how many cells have a status."""
        return sum(row["status"] == status for row in self.rows)


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


def prepare_study(
    loaded: LoadedStudy,
    out: Path,
    *,
    parallel: int | None = None,
    tell: Tell = lambda _: None,
) -> Prepared:
    """Probes the sizes of a study and plans its cells; no recipe is run.

    Args:
        loaded: The study.
        out: Its directory.
        parallel: Cells at a time; default: one a core, on a GPU one.
        tell: Is told what is being done.

    Raises:
        CurationError: There is no trainer, or the plan is above a cap.
    """
    with few_threads():
        probes = probe_sizes(loaded.study, out, tell)
    width = parallel or (1 if probes.hardware["kind"] == "cuda" else _cores())
    cells = cells_of(loaded.study)
    cost = device_price(loaded.study, probes.hardware)
    plan = plan_study(loaded.study, cells, probes.speeds, parallel=width, price=cost)
    return Prepared(loaded, out, probes, plan)


def run_study(
    prepared: Prepared,
    make: MakeDataset,
    execute: Execute,
    *,
    listen: Listener = lambda _: None,
    tell: Tell = lambda _: None,
) -> Outcome:
    """Makes the datasets, runs the cells that are not done, and writes runs.parquet.

    Args:
        prepared: The planned study.
        make: Makes a dataset, or finds it made.
        execute: Runs cells.
        listen: Is told of each cell that ends.
        tell: Is told what is being done.

    Raises:
        CurationError: A dataset cannot be made. A cell that fails is a row.
    """
    study, out = prepared.study, prepared.out
    STOP.flag.clear()
    with few_threads():
        held_out, datasets = make_corpora(prepared.loaded, out, make)
        by_name = {dataset.name: dataset for dataset in datasets}
        tell("tokenizer")
        tokenizer = _tokenizer(study, by_name[study.reference], held_out, out)
        hardware = prepared.probes.hardware
        place = Place(study, out, tokenizer, held_out.directory, hardware, THREADS)
        placed = [place_cell(cell, by_name[cell.recipe], place) for cell in prepared.plan.cells]
        record = _record(prepared, held_out, datasets, placed)
        write_json(out / "study.json", record)
        rows = _run_cells(prepared, placed, execute, listen)
    return Outcome(rows, record, held_out, datasets)


@contextmanager
def exclusive_study(out: Path) -> Iterator[None]:
    """Holds a study's directory for one run; the lock goes with the process that holds it.

    Raises:
        CurationError: Another run holds it.
    """
    out.mkdir(parents=True, exist_ok=True)
    with open(out / ".lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CurationError(
                f"{out}: another study runs there; wait for it to end, or choose another --out"
            ) from error
        yield


class _Spending:
    """What has been spent, against the caps; minutes count from the first cell of this run."""

    def __init__(self, prepared: Prepared, forecasts: Mapping[str, Forecast]) -> None:
        self._budget, self._price = prepared.study.budget, prepared.plan.price
        self._forecasts = forecasts
        self._begun = time.monotonic()
        self._lock = threading.Lock()
        self._flops = self._seconds = 0.0

    def refuse(self, key: str) -> str | None:
        """Says why a cell may not begin, or None and counts it as begun."""
        cast, budget = self._forecasts[key], self._budget
        with self._lock:
            minutes = (time.monotonic() - self._begun + cast.seconds) / 60
            hours = (self._seconds + cast.seconds) / 3600
            dollars = hours * self._price.mid if self._price else 0.0
            for name, needed, cap in (
                ("FLOP", self._flops + cast.flops, budget.flops),
                ("minutes", minutes, budget.minutes),
                ("dollars", dollars, budget.dollars),
            ):
                if cap is not None and needed > cap:
                    return f"budget: would take {needed:.3g} {name} in all, the cap is {cap:.3g}"
            self._flops += cast.flops
            self._seconds += cast.seconds
        return None

    def settle(self, key: str, row: Row) -> None:
        """Puts what a cell took in the place of what was predicted."""
        taken = row.get("seconds_total")
        if taken is not None:
            with self._lock:
                self._seconds += taken - self._forecasts[key].seconds


def _run_cells(
    prepared: Prepared, placed: Sequence[PlacedCell], execute: Execute, listen: Listener
) -> list[Row]:
    forecasts = {one.key: cast for one, cast in zip(placed, prepared.plan.forecasts, strict=True)}
    spending = _Spending(prepared, forecasts)
    table = _Table(prepared, placed, forecasts, listen)
    for one in placed:
        found = one.finished()
        if found is not None:
            table.add(one, found, reused=True)
    waiting = [one for one in placed if one.key not in table.rows]

    def run(one: PlacedCell) -> Row:
        refused = spending.refuse(one.key)
        if refused is not None:
            return unfinished_row(one, "skipped", refused)
        row = run_one(one, STOP.check)
        spending.settle(one.key, row)
        return row

    for alone, width in ((False, prepared.plan.parallel), (True, 1)):
        part = [one for one in waiting if (one.cell.group == "timing") == alone]
        if part:
            for one, row in execute(part, run, width):
                table.add(one, row, reused=False)
    return table.write()


STOP = Stop()
"""Ends the cells of this process."""


class _Table:
    """The rows so far; written after every cell, so that a killed study leaves a table."""

    def __init__(
        self,
        prepared: Prepared,
        placed: Sequence[PlacedCell],
        forecasts: Mapping[str, Forecast],
        listen: Listener,
    ) -> None:
        self.rows: dict[str, Row] = {}
        self._placed, self._forecasts, self._listen = placed, forecasts, listen
        self._path, self._price = prepared.out / "runs.parquet", prepared.plan.price
        self._parallel = prepared.plan.parallel
        self._begun = time.monotonic()
        self._predicted = 0.0

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


def _tokenizer(study: Study, baseline: Dataset, held_out: Dataset, out: Path) -> Path:
    """Trains the tokenizer of all cells on the baseline's text: a job that ends at its first step.

    Returns:
        Its tokenizer.json.
    """
    size = min(study.grid.sizes, key=lambda one: (one.depth, one.width or 0))
    tokens = study.training.batch_tokens
    cell = Cell("grid", "tokenizer", size, tokens, None, study.grid.seeds[0], study.grid.seeds[0])
    job = job_of(cell, study, tokenizer=None, held_out=str(held_out.directory))
    data = job.data.model_copy(update={"eval_documents": 1})
    path = prepare_job(job.model_copy(update={"data": data}), baseline.directory, out / "tokenizer")
    run_job(path, on_progress=STOP.check)
    return out.resolve() / "tokenizer" / "model" / "tokenizer.json"


def _record(
    prepared: Prepared, held_out: Dataset, datasets: Sequence[Dataset], placed: Sequence[PlacedCell]
) -> StudyRecord:
    study, plan = prepared.study, prepared.plan
    return StudyRecord(
        name=study.name,
        question=study.question,
        study=study.model_dump(mode="json"),
        hardware=dict(prepared.probes.hardware),
        held_out=_facts(held_out),
        datasets={dataset.name: _facts(dataset) for dataset in datasets},
        dropped=list(plan.dropped),
        warnings=list(plan.warnings),
        cells={one.key: {"label": one.cell.label, "group": one.cell.group} for one in placed},
    )


def _facts(dataset: Dataset) -> dict[str, Any]:
    manifest = dataset.manifest
    return {
        "directory": str(dataset.directory),
        "fingerprint": manifest.fingerprint,
        "documents": manifest.totals.documents_kept,
        "text_bytes": manifest.totals.text_bytes_kept,
        "cpu_seconds": manifest.cpu_seconds,
        "leaks": dataset.leaks,
    }


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@contextmanager
def few_threads() -> Iterator[None]:
    """Gives the trainings that are started, and libraries that are loaded, inside one thread each.

    On a busy machine scipy with a thread for each core took 6 ms for a step that needs 0.1.
    """
    before = {name: os.environ.get(name) for name in _LIMITED}
    os.environ.update(dict.fromkeys(_LIMITED, str(THREADS)))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def first_failure(rows: Sequence[Row]) -> str | None:
    """Returns the reason of the first failed cell, or None."""
    return next((row["reason"] for row in rows if row["status"] == "failed"), None)


def check_some_done(outcome: Outcome, name: str, out: Path) -> None:
    """Refuses to go on where no cell has a number.

    Raises:
        CurationError: All failed, or were left out.
    """
    if outcome.count("done"):
        return
    failed, skipped = outcome.count("failed"), outcome.count("skipped")
    reason = first_failure(outcome.rows) or "the budget left room for none"
    raise CurationError(
        f"study {name}: all {failed + skipped} cells failed or were skipped; the first says: "
        f"{reason}; rows are in {out / 'runs.parquet'}; mend that and run again"
    )
