"""The `curate` command: thin; it parses, calls flows or curation, and prints.

Results go to standard output, progress and errors to standard error. Exit code 0: done; 1: the
run failed or was stopped; 2: wrong usage, recipe or job.
"""

import os
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

import flows.advising
import flows.extractor
import flows.laws
import flows.quality
import flows.questions
import flows.studies  # noqa: F401 - they add their commands
from curation.errors import CurationError
from curation.worker import WorkerPool
from flows.command import AsJson, Dataset, UsageError, app, print_json

if TYPE_CHECKING:
    from curation.manifest import Manifest
    from curation.results import RunResult


class Runner(StrEnum):
    """Who runs the work items."""

    local = "local"
    dask = "dask"
    ray = "ray"


Recipe = Annotated[Path, typer.Argument(help="Recipe file (TOML).", metavar="RECIPE")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", help="Override a setting: key=value. Repeatable.", metavar="KEY=VALUE"),
]
Out = Annotated[Path | None, typer.Option(help="Directory of the dataset.", metavar="DIR")]
Work = Annotated[
    Path | None, typer.Option(help="Directory of work shards, to share them.", metavar="DIR")
]
Workers = Annotated[
    int | None, typer.Option(min=1, max=1024, help="Worker processes.", show_default="all cores")
]


def _cpus() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@app.command()
def plan(
    recipe: Recipe,
    out: Out = None,
    work: Work = None,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Show segments, fingerprints, what is done already and what the rest will cost.

    Example: `curate plan data/recipes/demo.toml --out data/out/demo`
    """
    from curation.forecast import forecast
    from flows import display

    loaded_plan, options = _plan_and_options(recipe, set_, out=out, work=work)
    cast = forecast(loaded_plan, options)
    if as_json:
        print_json(cast.as_json(loaded_plan))
        return
    display.OUT.print(display.plan_table(loaded_plan, cast.progress))
    display.OUT.print(cast.sentence())


@app.command()
def run(
    recipe: Recipe,
    out: Out = None,
    work: Work = None,
    workers: Workers = None,
    runner: Annotated[Runner, typer.Option(help="Who runs the work items.")] = Runner.local,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="Plain worker processes, no flow, no server.")
    ] = False,
    finetune: Annotated[
        Path | None, typer.Option(help="Then fine-tune with this job file.", metavar="JOB.toml")
    ] = None,
    batch_rows: Annotated[int, typer.Option(min=1, help="Documents in memory at once.")] = 512,
    set_: Set = None,
    as_json: AsJson = False,
) -> None:
    """Run a recipe: raw text in, shards, audit and card out; finished work is reused.

    Example: `curate run data/recipes/demo.toml --out data/out/demo --workers 2`

    With other settings: `--set seed=3 --set stages.minhash_dedup.threshold=0.7`
    """
    out = _needed_out(out, recipe)
    if no_prefect and runner is not Runner.local:
        raise UsageError(f"--runner {runner.value} needs Prefect; leave --no-prefect out")
    with WorkerPool(workers or _cpus()) as pool:
        if no_prefect and not (out / "manifest.json").exists():
            pool.start()  # first of all: it takes as long as what follows
        from flows.running import RunRequest, model_directory, run_request

        loaded_plan, options = _plan_and_options(
            recipe, set_, out=out, work=work, workers=pool.workers, batch_rows=batch_rows
        )
        request = RunRequest(
            recipe, tuple(set_ or ()), loaded_plan, options, runner.value, finetune, pool
        )
        manifest, result = run_request(request, prefect=not no_prefect, quiet=as_json)
    model = model_directory(options.out, finetune) if finetune is not None else None
    _report(options.out, manifest, result, model, as_json=as_json)


@app.command()
def finetune(
    directory: Dataset,
    job: Annotated[Path, typer.Option(help="Job file.", metavar="JOB.toml")],
    out: Annotated[
        Path | None, typer.Option(help="Default: DIR/models/<job name>.", metavar="DIR")
    ] = None,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="A plain child process, no flow, no server.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fine-tune on a dataset; prints loss, bits per byte and tokens/s.

    Example: `curate finetune data/out/demo --job data/jobs/demo.toml`
    """
    from flows.running import model_directory, run_finetune

    result = run_finetune(directory, job, out, prefect=not no_prefect, quiet=as_json)
    _report(directory, None, result, model_directory(directory, job, out), as_json=as_json)


def _needed_out(out: Path | None, recipe: Path) -> Path:
    if out is None:
        raise UsageError(
            f"curate run needs --out DIR, e.g. curate run {recipe} --out data/out/{recipe.stem}"
        )
    return out


def _plan_and_options(recipe: Path, overrides: list[str] | None, **options: Any) -> Any:
    from curation.passes import RunOptions
    from curation.plan import make_plan
    from curation.recipe import load_recipe
    from flows import display

    out = (options.pop("out") or Path("data/out") / recipe.stem).absolute()
    work = options.pop("work")
    loaded = make_plan(load_recipe(recipe, overrides or ()))
    display.note(note for stage in loaded.recipe.stages for note in stage.notes())
    return loaded, RunOptions(out=out, work=work and work.absolute(), **options)


def _report(
    out: Path,
    manifest: "Manifest | None",
    result: "RunResult | None",
    model: Path | None,
    *,
    as_json: bool,
) -> None:
    from flows import display

    if as_json:
        values: dict[str, Any] = {"dataset": str(out), "model": model and str(model)}
        if manifest is not None:
            values["manifest"] = manifest.model_dump(mode="json", exclude={"recipe", "rules"})
        if result is not None:
            values["result"] = result.model_dump(mode="json")
        print_json(values)
        return
    if manifest is not None:
        display.OUT.print(display.funnel(manifest))
        display.OUT.print(display.places(out, manifest))
        display.warn(manifest)
    if result is not None and model is not None:
        display.OUT.print(display.training(result, model))


def _fail(message: str, code: int, details: Sequence[str] = ()) -> NoReturn:
    from flows.display import one_line

    lines = [f"error: {one_line(message)}", *map(one_line, details)]
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    sys.stderr.flush()
    raise SystemExit(code)


def _guarded(command: Callable[[], None]) -> None:
    try:
        command()
    except CurationError as error:
        _fail(str(error), error.exit_code, getattr(error, "details", ()))
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{where}; mend that, then run again to resume", 1)


def main() -> None:
    """Entry point of the `curate` command."""
    _guarded(lambda: app(prog_name="curate"))


if __name__ == "__main__":
    main()
