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
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel

from curation import __version__
from curation.errors import CurationError
from curation.handoff import prepare_job
from curation.manifest import write_json
from curation.results import run_job
from curation.study.cells import Place, PlacedCell, Row, place_cell
from curation.study.corpora import Dataset, MakeDataset, make_corpora
from curation.study.executing import STOP, Execute, Listener, run_cells
from curation.study.grid import Cell, cells_of, job_of
from curation.study.planning import StudyPlan, device_price, plan_study
from curation.study.probe import Probes, probe_sizes
from curation.study.spec import LoadedStudy, Study

THREADS = 1
"""Of a cell: one thread each on as many cells as there are cores beats the reverse, and a number
that is always the same gives the same sums."""
_LIMITED = (
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS",
)  # fmt: skip

Tell = Callable[[str], None]


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
        rows = run_cells(placed, prepared.plan, study.budget, out / "runs.parquet", execute, listen)
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
