"""The `curate` command: thin; it parses, calls flows or curation, and prints.

Results go to standard output, progress and errors to standard error. Exit code 0: done; 1: the
run failed or was stopped; 2: wrong usage, recipe or job.
"""

import json
import os
import sys
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
import typer.core

from curation.errors import CurationError

if TYPE_CHECKING:
    from curation.manifest import Manifest
    from curation.results import RunResult


class StoppedError(CurationError):
    """Ctrl-C."""


class _Commands(typer.core.TyperGroup):
    """The commands; a stopped one says what becomes of its work, not just "Aborted"."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise StoppedError(
                "stopped; what is finished is kept: give the same command again to resume"
            ) from None


app = typer.Typer(
    name="curate",
    cls=_Commands,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    help="Raw web and domain text to explained Arrow shards and a fine-tuned model.",
)


class Runner(StrEnum):
    """Who runs the work items."""

    local = "local"
    dask = "dask"
    ray = "ray"


Recipe = Annotated[Path, typer.Argument(help="Recipe file (TOML).", metavar="RECIPE")]
Dataset = Annotated[Path, typer.Argument(help="Directory of a finished run.", metavar="DIR")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
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
        _print_json(cast.as_json(loaded_plan))
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
    """
    from flows.running import RunRequest, model_directory, run_request

    _need_out(out, recipe)
    loaded_plan, options = _plan_and_options(
        recipe, set_, out=out, work=work, workers=workers or _cpus(), batch_rows=batch_rows
    )
    if no_prefect and runner is not Runner.local:
        raise UsageError(f"--runner {runner.value} needs Prefect; leave --no-prefect out")
    request = RunRequest(recipe, tuple(set_ or ()), loaded_plan, options, runner.value, finetune)
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


@app.command()
def stats(
    directory: Dataset,
    by_source: Annotated[bool, typer.Option("--sources", help="Per source, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the funnel: in, out, per reason and seconds, per stage and source.

    Example: `curate stats data/out/demo --sources`
    """
    from curation.manifest import read_manifest
    from flows import display

    manifest = read_manifest(directory)
    if as_json:
        _print_json(manifest.model_dump(mode="json", exclude={"recipe", "rules", "inputs"}))
        return
    display.OUT.print(display.funnel(manifest))
    if by_source:
        display.OUT.print(display.sources(manifest))


@app.command()
def trace(
    directory: Dataset,
    document: Annotated[str, typer.Argument(metavar="DOC_ID|URL", help="Which document.")],
    as_json: AsJson = False,
) -> None:
    """Print the route of a document: every stage, score, bound, and the kept twin.

    Example: `curate trace data/out/demo https://www.debian.org/doc/manuals/debian-faq/`
    """
    from curation import audit
    from flows import display

    routes = audit.trace(directory, document)
    if as_json:
        _print_json([{**r._asdict(), "hops": [hop._asdict() for hop in r.hops]} for r in routes])
        return
    for route in routes:
        display.OUT.print(display.route(route))


@app.command()
def show(
    directory: Dataset,
    sample: Annotated[int, typer.Option(min=1, help="How many documents.")] = 3,
    rejected: Annotated[
        str | None,
        typer.Option(help='Rejects of a reason ("any": of all) instead.', metavar="REASON"),
    ] = None,
    chars: Annotated[int, typer.Option(min=1, help="Characters of text shown.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows others.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read kept or rejected documents in the terminal.

    Example: `curate show data/out/demo --rejected near_duplicate --sample 2`
    """
    from curation import audit
    from flows import display

    documents = audit.sample(directory, sample, rejected=rejected, seed=seed)
    if as_json:
        _print_json(documents)
        return
    for document in documents:
        display.OUT.print(display.document_panel(document, chars=chars))


@app.command()
def verify(directory: Dataset, as_json: AsJson = False) -> None:
    """Recompute digests and check that every document is accounted for.

    Example: `curate verify data/out/demo`
    """
    from curation import audit

    broken = audit.verify(directory)
    if as_json:
        _print_json({"whole": not broken, "broken": broken})
    else:
        typer.echo("\n".join(broken) if broken else f"{directory}: whole; every promise holds")
    if broken:
        raise typer.Exit(1)


@app.command()
def diff(
    dir_a: Annotated[Path, typer.Argument(metavar="DIR_A")],
    dir_b: Annotated[Path, typer.Argument(metavar="DIR_B")],
    as_json: AsJson = False,
) -> None:
    """Compare two datasets: settings, counts and documents that differ.

    Example: `curate diff data/out/demo data/out/demo-strict`
    """
    from curation import audit
    from flows import display

    found = audit.diff(dir_a, dir_b)
    if as_json:
        _print_json(found._asdict())
    else:
        display.OUT.print(display.difference(found))


class UsageError(CurationError):
    """Options that do not go together."""

    exit_code = 2


def _need_out(out: Path | None, recipe: Path) -> None:
    if out is None:
        raise UsageError(
            f"curate run needs --out DIR, e.g. curate run {recipe} --out data/out/{recipe.stem}"
        )


def _plan_and_options(recipe: Path, overrides: list[str] | None, **options: Any) -> Any:
    from curation.passes import RunOptions
    from curation.plan import make_plan
    from curation.recipe import load_recipe

    out = (options.pop("out") or Path("data/out") / recipe.stem).absolute()
    work = options.pop("work")
    loaded = make_plan(load_recipe(recipe, overrides or ()))
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
        _print_json(values)
        return
    if manifest is not None:
        display.OUT.print(display.funnel(manifest))
        display.OUT.print(display.places(out, manifest))
    if result is not None and model is not None:
        display.OUT.print(display.training(result, model))


def _print_json(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1, default=str)
    sys.stdout.write(text.encode("utf-8", "replace").decode() + "\n")


def _fail(message: str, code: int) -> NoReturn:
    from flows.display import plain

    line = " ".join(plain(message).split())
    sys.stderr.write(f"error: {line}\n")
    sys.stderr.flush()
    raise SystemExit(code)


def _guarded(command: Callable[[], None]) -> None:
    try:
        command()
    except CurationError as error:
        _fail(str(error), error.exit_code)
    except BrokenPipeError:
        sys.stderr.close()
        raise SystemExit(1) from None
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        _fail(f"{error.strerror or error}{where}; mend that, then run again to resume", 1)


def main() -> None:
    """Entry point of the `curate` command."""
    _guarded(app)


if __name__ == "__main__":
    main()
