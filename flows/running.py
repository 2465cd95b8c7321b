"""What `curate run` and `curate finetune` do: with Prefect or without, with progress on stderr."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from curation.errors import CurationError
from curation.local import Listener, run_plan
from curation.local import Progress as Done
from curation.passes import RunOptions
from curation.plan import Plan
from flows.display import ERR

OnTrain = Callable[[Mapping[str, Any]], None]

if TYPE_CHECKING:
    from curation.job import Job
    from curation.manifest import Manifest
    from curation.results import RunResult
    from curation.worker import WorkerPool


class RunRequest(NamedTuple):
    """One `curate run`."""

    recipe: Path
    overrides: tuple[str, ...]
    plan: Plan
    options: RunOptions
    runner: str
    job: Path | None
    pool: "WorkerPool | None" = None
    """Workers that are on their way already; for a run without Prefect."""


def run_request(
    request: RunRequest, *, prefect: bool, quiet: bool
) -> "tuple[Manifest, RunResult | None]":
    """Makes the dataset, and the model if a job is named; one Prefect flow does both."""
    if request.job is not None:
        _checked_job(request.job)
    with _progress(quiet=quiet) as (listen, on_train):
        if prefect:
            return _with_prefect(request, listen, on_train)
        manifest = run_plan(request.plan, request.options, listen, request.pool)
        result = None
        if request.job is not None:
            result = _finetune(request.options.out, request.job, None, on_train)
    return manifest, result


def run_finetune(
    dataset: Path, job: Path, out: Path | None, *, prefect: bool, quiet: bool
) -> "RunResult":
    """Fine-tunes on a finished dataset."""
    from curation.manifest import read_manifest

    _checked_job(job)
    read_manifest(dataset)
    with _progress(quiet=quiet) as (_, on_train):
        if not prefect:
            return _finetune(dataset, job, out, on_train)
        prefect_or_say()
        from flows.finetune import run_finetuning

        return run_finetuning(dataset.absolute(), job.absolute(), out, on_train)


def model_directory(dataset: Path, job: Path, out: Path | None = None) -> Path:
    """Returns where a job's model goes: `out`, or a place of its own beside the shards."""
    return (out or dataset / "models" / _checked_job(job).name).absolute()


def _checked_job(job: Path) -> "Job":
    from curation.job import load_job

    return load_job(job)


def _finetune(dataset: Path, job: Path, out: Path | None, on_train: OnTrain) -> "RunResult":
    from curation.handoff import prepare_job
    from curation.results import run_job

    target = model_directory(dataset, job, out)
    return run_job(prepare_job(_checked_job(job), dataset.absolute(), target), on_progress=on_train)


def _with_prefect(
    request: RunRequest, listen: Listener, on_train: OnTrain
) -> "tuple[Manifest, RunResult | None]":
    prefect_or_say()
    from flows.curate import run_curation

    return run_curation(request, listen, on_train)


def prefect_or_say() -> None:
    """Raises CurationError, in one line, where Prefect is not installed."""
    from flows.settings import use_prefect

    use_prefect()
    try:
        import prefect  # noqa: F401
    except ImportError as error:
        raise CurationError(
            f"Prefect is not installed ({error}); install it with pip install 'curation[flows]', "
            "or add --no-prefect"
        ) from error


@contextmanager
def _progress(*, quiet: bool) -> Iterator[tuple[Listener, OnTrain]]:
    """Yields a listener for work items and one for training events; both draw on stderr."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=ERR, disable=quiet, transient=False) as bars:
        tasks: dict[str, Any] = {}

        def listen(done: Done) -> None:
            name = done.step.name
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=len(done.step.items), note="")
            if done.item is not None:
                reused = done.record is not None and done.record.reused
                bars.update(tasks[name], advance=1, note="reused" if reused else "")

        def on_train(event: Mapping[str, Any]) -> None:
            total = event.get("total_steps")
            if "train" not in tasks:
                tasks["train"] = bars.add_task("fine-tune", total=total, note="")
            loss, rate = event.get("loss"), event.get("tokens_per_second")
            note = f"loss {loss:.3f}" if loss is not None else str(event.get("event", ""))
            note += f", {rate:,.0f} tokens/s" if rate else ""
            bars.update(tasks["train"], completed=event.get("step"), total=total, note=note)

        yield listen, on_train
