"""The curation flow: a recipe in, a dataset out, every shard of every step a task of its own."""
# ruff: noqa: E402 - the environment is set before Prefect is imported, which reads it once

from pathlib import Path
from typing import TYPE_CHECKING

from flows.settings import use_prefect

use_prefect()

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.events import emit_event
from prefect.logging import get_run_logger
from prefect.utilities.annotations import quote

from curation.local import Listener, exclusive
from curation.manifest import Manifest, read_manifest
from curation.passes import RunOptions
from curation.plan import Plan, make_plan
from curation.recipe import load_recipe
from curation.runner import drive, finished, steps
from curation.shards import file_sha256
from flows.artifacts import CurationProgress, publish_dataset
from flows.params import Dataset, OptionsParams, RecipeParams
from flows.server import prefect_server
from flows.tasks import LISTENER, completed, failing_in_one_line, open_runner

if TYPE_CHECKING:
    from curation.results import RunResult
    from flows.finetune import TrainListener
    from flows.running import RunRequest

READY_EVENT = "curation.dataset.ready"


@flow(name="curate", flow_run_name="{recipe.name}", persist_result=False)
@failing_in_one_line
def curate_flow(recipe: RecipeParams, options: OptionsParams) -> Dataset:
    """Makes a dataset from a recipe, or finds it made; what earlier runs finished is reused.

    Says that it is there with the event `curation.dataset.ready`.
    """
    dataset = make_dataset(recipe, options)
    announce(dataset)
    return dataset


def make_dataset(recipe: RecipeParams, options: OptionsParams) -> Dataset:
    """Runs a recipe inside the current flow run and publishes its artifacts.

    Raises:
        CurationError: With one line that says what to do; finished work is kept.
    """
    return make_planned(make_plan(load_recipe(Path(recipe.path), recipe.overrides)), options)


def make_planned(plan: Plan, options: OptionsParams) -> Dataset:
    """Runs a plan inside the current flow run and publishes its artifacts.

    Raises:
        CurationError: With one line that says what to do; finished work is kept.
    """
    run_options = options.run_options()
    with exclusive(run_options):
        found = look_for_dataset(quote(plan), run_options, return_state=True).result()
        manifest = found or _run(plan, options, run_options)
        publish_dataset(manifest, run_options.out)
        return _reference(manifest, run_options.out, reused=found is not None)


@task(name="look", task_run_name="look for dataset", cache_policy=NO_CACHE, persist_result=False)
@failing_in_one_line
def look_for_dataset(plan: Plan, options: RunOptions) -> Manifest | None:
    """Returns the manifest of a whole dataset made by this very plan; `Reused` if there is one."""
    manifest = finished(plan, options)
    return manifest and completed(manifest, reused=True, message="finished, and every file whole")


def _run(plan: Plan, options: OptionsParams, run_options: RunOptions) -> Manifest:
    progress = CurationProgress(plan)
    with open_runner(options) as execute:
        execute.listen(progress)
        manifest = drive(steps(plan, run_options), execute)
    progress.finish()
    totals = manifest.totals
    get_run_logger().info(
        "%d of %d documents kept, %d rejected; %.1f CPU seconds",
        totals.documents_kept,
        totals.documents_in,
        totals.documents_rejected,
        manifest.cpu_seconds,
    )
    return manifest


def _reference(manifest: Manifest, out: Path, *, reused: bool) -> Dataset:
    return Dataset(
        name=manifest.name,
        version=manifest.version,
        directory=str(out),
        fingerprint=manifest.fingerprint,
        manifest_sha256=file_sha256(out / "manifest.json"),
        documents_in=manifest.totals.documents_in,
        documents_kept=manifest.totals.documents_kept,
        documents_rejected=manifest.totals.documents_rejected,
        text_bytes_kept=manifest.totals.text_bytes_kept,
        reused=reused,
    )


def announce(dataset: Dataset, *, job: str = "", model: str = "") -> None:
    """Emits the event that a dataset is ready.

    Args:
        dataset: The dataset; its fields are the event's payload.
        job: Absolute path of the job file that the fine-tuning deployment should run on it; where
            one is given, the resource's label `curation.hand-off` is "finetune", for which the
            deployment's trigger waits, else "none".
        model: Absolute path of the directory for that job's model.
    """
    emit_event(
        READY_EVENT,
        resource={
            "prefect.resource.id": f"curation.dataset.{dataset.name}",
            "prefect.resource.name": dataset.name,
            "curation.hand-off": "finetune" if job else "none",
        },
        payload={**dataset.model_dump(), "job": job, "model": model},
    )


def run_curation(
    request: "RunRequest", listen: Listener, on_train: "TrainListener"
) -> "tuple[Manifest, RunResult | None]":
    """Runs the flow of `curate run`, with fine-tuning where a job is named.

    Args:
        request: What the command line asked for.
        listen: Told of each step and item, in this thread.
        on_train: Told of each progress event of the training, in this thread.

    Raises:
        CurationError: With one line that says what to do.
    """
    recipe = RecipeParams(path=str(request.recipe.absolute()), overrides=list(request.overrides))
    options = OptionsParams.of(request.options, request.runner)
    token = LISTENER.set(listen)
    try:
        with prefect_server():
            if request.job is None:
                curate_flow(recipe, options)
                result = None
            else:
                from flows.finetune import run_chain

                result = run_chain(recipe, options, request.job, on_train)
    finally:
        LISTENER.reset(token)
    return read_manifest(request.options.out), result
