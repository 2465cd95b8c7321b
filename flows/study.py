"""The study flow: recipes are curated, then every cell that is not done is a task of its own.

What a cell is, and when it is done, is the library's (`curation.study`); a second run of the flow
finds all cells by their keys and runs none.
"""
# ruff: noqa: E402 - the environment is set before Prefect is imported, which reads it once

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from flows.settings import use_prefect

use_prefect()

from prefect import flow, task
from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_table_artifact,
)
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.futures import PrefectFuture, as_completed
from prefect.logging import get_run_logger
from prefect.states import Completed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from curation.manifest import Manifest, read_manifest
from curation.plan import Plan
from curation.study.cells import PlacedCell, Row
from curation.study.conclude import Conclusion
from curation.study.concluding import conclude_study
from curation.study.executing import STOP, CellEvent, Listener, RunOne
from curation.study.running import (
    Outcome,
    exclusive_study,
    prepare_study,
    run_study,
)
from curation.study.spec import load_study
from flows.artifacts import ProgressBar, artifact_key
from flows.curate import make_planned
from flows.finetune import GPU_LIMIT
from flows.params import OptionsParams, StudyParams, StudyResult
from flows.server import prefect_server
from flows.tasks import failing_in_one_line

ON_CELL: ContextVar[Listener] = ContextVar("ON_CELL", default=lambda _: None)
"""Who is told of cells in this process, besides the server."""
ON_END: ContextVar[Callable[[Outcome, Conclusion], None]] = ContextVar(
    "ON_END", default=lambda *_: None
)
"""Who gets the rows and what follows from them in this process."""


@flow(name="study", flow_run_name="{study.name}", persist_result=False)
@failing_in_one_line
def study_flow(study: StudyParams) -> StudyResult:
    """Runs a trade-off study, or what is left of it: datasets, cells, runs.parquet.

    Args:
        study: The study file, and where it goes.
    """
    out = Path(study.out).absolute()
    preset = Path(study.preset) if study.preset else None
    loaded = load_study(Path(study.path), study.overrides, preset)
    with exclusive_study(out):
        prepared = prepare_study(loaded, out, parallel=study.parallel)
        cells = _Cells(loaded.study.name, gpu=prepared.probes.hardware["kind"] == "cuda")
        make = _maker(out, study.workers)
        outcome = run_study(prepared, make, cells.execute, listen=cells.listen)
        cells.finish()
        hardware = prepared.probes.hardware
        conclusion = conclude_study(loaded.study, out, outcome.datasets, hardware)
    ON_END.get()(outcome, conclusion)
    _publish(outcome, conclusion, out)
    get_run_logger().info("%d of %d cells done", outcome.count("done"), len(outcome.rows))
    counts = {name: outcome.count(name) for name in ("done", "failed", "skipped")}
    return StudyResult(name=loaded.study.name, directory=str(out), **counts)


class CellTask:
    """One cell. A class without fields, so that Prefect does not look in for futures."""

    def __init__(self, one: PlacedCell, run: RunOne, fence: AbstractContextManager[object]) -> None:
        """Takes the cell, what runs it, and what it waits for."""
        self.one, self.run, self.fence = one, run, fence
        self.label = one.cell.label


@task(name="cell", task_run_name="{cell.label}", cache_policy=NO_CACHE, persist_result=False)
@failing_in_one_line
def run_cell_task(cell: CellTask) -> Row:
    """Runs one cell; the state says so where it came to no number."""
    with cell.fence:
        row = cell.run(cell.one)
    if row["status"] == "done":
        message = f"{row['loss']:.4f} bits per byte"
        return Completed(message=message, data=row)  # type: ignore[return-value]
    name, message = str(row["status"]).capitalize(), str(row["reason"])
    return Completed(name=f"{name}Cell", message=message, data=row)  # type: ignore[return-value]


class _Cells:
    """Runs cells as tasks and shows how far they are."""

    def __init__(self, name: str, *, gpu: bool) -> None:
        self._gpu = gpu
        self._bar = ProgressBar(artifact_key("study", name), name)
        self._listener = ON_CELL.get()

    def execute(
        self, cells: Sequence[PlacedCell], run: RunOne, width: int
    ) -> Iterator[tuple[PlacedCell, Row]]:
        threads: TaskRunner[Any] = ThreadPoolTaskRunner(max_workers=width)
        with threads as runner:
            try:
                tasks = [CellTask(one, run, self._fence()) for one in cells]
                futures = [_submit(runner, one) for one in tasks]
                places = {id(future): one for future, one in zip(futures, cells, strict=True)}
                for future in as_completed(futures):
                    yield places[id(future)], future.result()
            except BaseException:
                STOP.flag.set()
                raise

    def listen(self, event: CellEvent) -> None:
        self._listener(event)
        note = f"{event.done} of {event.total} cells, {event.seconds_left / 60:.0f} min left"
        self._bar.show(min(event.done / event.total, 0.99), note)

    def finish(self) -> None:
        self._bar.show(1.0, "all cells have a row")

    def _fence(self) -> AbstractContextManager[object]:
        return concurrency(GPU_LIMIT, occupy=1) if self._gpu else nullcontext()


def _submit(runner: TaskRunner[Any], cell: CellTask) -> PrefectFuture[Any]:
    future: PrefectFuture[Any] = runner.submit(run_cell_task, {"cell": cell})
    return future


def _maker(out: Path, workers: int) -> Callable[[Plan, Path], Manifest]:
    def make(plan: Plan, directory: Path) -> Manifest:
        options = OptionsParams(out=str(directory), work=str(out / "work"), workers=workers)
        make_planned(plan, options)
        return read_manifest(directory)

    return make


def _publish(outcome: Outcome, conclusion: Conclusion, out: Path) -> None:
    shown = ("recipe", "depth", "tokens", "unique_tokens", "seed", "devices", "status", "loss")
    create_table_artifact(
        [{name: row.get(name) for name in (*shown, "reason")} for row in outcome.rows],
        key=artifact_key("cells", outcome.record.name),
        description=outcome.record.question,
    )
    said = [f"- **{one.status}**: {one.sentence}" for one in conclusion.verdicts]
    create_markdown_artifact(
        "\n".join([f"# {outcome.record.question}", "", *said, "", *conclusion.states]),
        key=artifact_key("verdict", outcome.record.name),
        description=conclusion.verdicts[0].sentence,
    )
    create_link_artifact(
        out.as_uri(),
        key=artifact_key("study-files", outcome.record.name),
        link_text=str(out),
        description="runs.parquet, study.json, law.json, verdict.json",
    )


def run_study_flow(params: StudyParams, listen: Listener) -> tuple[Outcome, Conclusion]:
    """Runs the flow of `curate study`.

    Args:
        params: What the command line asked for, with absolute paths.
        listen: Told of each cell that ends, in this thread.

    Raises:
        CurationError: With one line that says what to do.
    """
    found: list[tuple[Outcome, Conclusion]] = []
    tokens = ON_CELL.set(listen), ON_END.set(lambda *ended: found.append(ended))
    try:
        with prefect_server():
            study_flow(params)
    finally:
        ON_CELL.reset(tokens[0])
        ON_END.reset(tokens[1])
    return found[0]
