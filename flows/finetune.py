"""The fine-tuning flow, and the flow that curates and then fine-tunes.

The training itself is a child process that knows nothing of Prefect (`curation.results.run_job`).
"""
# ruff: noqa: E402 - the environment is set before Prefect is imported, which reads it once

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from flows.settings import use_prefect

use_prefect()

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE
from prefect.client.orchestration import get_client
from prefect.concurrency.sync import concurrency
from prefect.exceptions import ObjectNotFound
from prefect.logging import get_run_logger

from curation.errors import RecipeError
from curation.manifest import read_manifest
from curation.results import RunResult, load_job, prepare_job, read_result, run_job
from flows import running
from flows.artifacts import ProgressBar, artifact_key, publish_model
from flows.curate import announce, make_dataset
from flows.params import (
    CuratedAndFinetuned,
    HandOff,
    JobParams,
    Model,
    OptionsParams,
    RecipeParams,
)
from flows.server import prefect_server
from flows.tasks import completed, failing_in_one_line

GPU_LIMIT = "gpu"
"""Name of the global concurrency limit; without one of that name on the server nothing waits."""
FINETUNE_DEPLOYMENT = "finetune/gpu"

TrainListener = Callable[[dict[str, Any]], None]

ON_TRAIN: ContextVar[TrainListener] = ContextVar("ON_TRAIN", default=lambda _: None)
"""Who is told of training progress in this process, besides the server."""


@flow(name="finetune", flow_run_name="{job.name}", persist_result=False)
@failing_in_one_line
def finetune_flow(dataset: str, job: JobParams) -> Model:
    """Fine-tunes a model on a finished dataset, or finds it trained.

    Args:
        dataset: Directory of a finished dataset, relative to the working directory.
        job: The job file, and where the model goes.
    """
    directory = Path(dataset).absolute()
    out = model_directory(directory, job)
    read_manifest(directory)
    with concurrency(GPU_LIMIT, occupy=1):
        result = train(str(directory), job.path, str(out), return_state=True).result()
    publish_model(result, out)
    return _reference(result, out)


@task(name="train", task_run_name="train {job}", cache_policy=NO_CACHE, persist_result=False)
@failing_in_one_line
def train(dataset: str, job: str, out: str) -> RunResult:
    """Trains in a child process; the state is `Reused` where that was done before."""
    loaded = load_job(Path(job))
    bar = ProgressBar(artifact_key("training", loaded.name), loaded.name)
    listen = ON_TRAIN.get()

    def on_progress(event: Mapping[str, Any]) -> None:
        listen(dict(event))
        total = event.get("total_steps") or 0
        if total and event.get("step"):
            loss = event.get("loss")
            note = f"step {event['step']} of {total}" + (f", loss {loss:.3f}" if loss else "")
            bar.show(min(event["step"] / total, 0.99), note)

    result = run_job(prepare_job(loaded, Path(dataset), Path(out)), on_progress=on_progress)
    bar.show(1.0, f"{result.tokens_per_second:,.0f} tokens/s")
    return completed(result, reused=result.reused)


def model_directory(dataset: Path, job: JobParams) -> Path:
    """Returns the absolute path of a job's model; reads the job file for its name.

    Raises:
        RecipeError: The job file cannot be used as it is written.
    """
    return running.model_directory(dataset, Path(job.path), Path(job.out) if job.out else None)


def _reference(result: RunResult, out: Path) -> Model:
    bits = result.bits_per_byte
    return Model(
        name=result.name,
        directory=str(out),
        dataset=result.corpus.name,
        bits_per_byte_before=bits.before if bits else None,
        bits_per_byte_after=bits.after if bits else None,
        tokens_per_second=result.tokens_per_second,
        reused=result.reused,
    )


@flow(name="curate-and-finetune", flow_run_name="{recipe.name}", persist_result=False)
@failing_in_one_line
def curate_and_finetune(
    recipe: RecipeParams, options: OptionsParams, job: JobParams, hand_off: HandOff = "auto"
) -> CuratedAndFinetuned:
    """Makes a dataset from a recipe, then fine-tunes a model on it.

    Args:
        recipe: What the dataset is made from.
        options: Where and with what.
        job: How the model is trained.
        hand_off: "direct" trains here, as a subflow. "event" ends here: the event of the finished
            dataset starts the fine-tuning deployment, whose queue lets one run at a time have the
            GPU. "auto" takes the event in a run that a worker picked up, if the fine-tuning
            deployment is there, and else trains here.
    """
    out = model_directory(options.run_options().out, job)  # a bad job stops before the long part
    by_event = _by_event(hand_off)
    dataset = make_dataset(recipe, options)
    if by_event:
        announce(dataset, job=str(Path(job.path).absolute()), model=str(out))
        get_run_logger().info("event emitted: %s takes %s over", FINETUNE_DEPLOYMENT, dataset.name)
        return CuratedAndFinetuned(dataset=dataset, model=None)
    announce(dataset)
    return CuratedAndFinetuned(dataset=dataset, model=finetune_flow(dataset.directory, job))


def _by_event(hand_off: HandOff) -> bool:
    """Decides who trains.

    Nobody would hear an event on a temporary server, and a person who starts the flow in their own
    terminal waits for the model there; a run of a deployment has a server and workers.
    """
    if hand_off == "direct" or (hand_off == "auto" and not runtime.deployment.id):
        return False
    with get_client(sync_client=True) as client:
        try:
            client.read_deployment_by_name(FINETUNE_DEPLOYMENT)
        except ObjectNotFound as error:
            if hand_off == "auto":
                return False
            raise RecipeError(
                f"hand_off event: the server has no deployment {FINETUNE_DEPLOYMENT} to hear it; "
                "run prefect deploy --all, or choose hand_off direct"
            ) from error
    return True


def run_finetuning(
    dataset: Path, job: Path, out: Path | None, on_train: TrainListener
) -> RunResult:
    """Runs the flow of `curate finetune`.

    Args:
        dataset: Directory of a finished dataset.
        job: Job file.
        out: Directory of the model; None: in the dataset's.
        on_train: Told of each progress event of the training.

    Raises:
        CurationError: With one line that says what to do.
    """
    params = JobParams(path=str(job.absolute()), out=str(out.absolute()) if out else None)
    token = ON_TRAIN.set(on_train)
    try:
        with prefect_server():
            return _whole_result(finetune_flow(str(dataset.absolute()), params))
    finally:
        ON_TRAIN.reset(token)


def run_chain(
    recipe: RecipeParams, options: OptionsParams, job: Path, on_train: TrainListener
) -> RunResult:
    """Runs the flow of `curate run --finetune`: both parts in this process, on one server."""
    params = JobParams(path=str(job.absolute()))
    token = ON_TRAIN.set(on_train)
    try:
        made = curate_and_finetune(recipe, options, params, hand_off="direct")
        assert made.model is not None
        return _whole_result(made.model)
    finally:
        ON_TRAIN.reset(token)


def _whole_result(model: Model) -> RunResult:
    result = read_result(Path(model.directory) / "result.json")
    return result.model_copy(update={"reused": model.reused})
