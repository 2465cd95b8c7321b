"""The command `curate study`: plan, run and conclude a trade-off study, with Prefect or without."""

import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import AsJson, UsageError, app, print_json

if TYPE_CHECKING:
    from curation.manifest import Manifest
    from curation.plan import Plan
    from curation.study.cells import PlacedCell, Row
    from curation.study.conclude import Conclusion
    from curation.study.executing import CellEvent, RunOne
    from curation.study.running import Outcome, Prepared
    from flows.params import StudyParams

_ROOT = Path(__file__).resolve().parents[1]
SHIPPED = _ROOT / "curation" / "study" / "presets_shipped"
"""The presets in an installed package, without recipes or text; a checkout has them in PRESETS."""
PRESETS = _ROOT / "data" / "studies"


@app.command("study")
def study(
    study_file: Annotated[
        Path | None, typer.Argument(metavar="STUDY.toml", help="Default: the preset's own.")
    ] = None,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Directory of the study.")] = None,
    preset: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Grid, training and caps of a study in data/studies."),
    ] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Show the plan and stop.")] = False,
    workers: Annotated[int | None, typer.Option(min=1, max=1024, help="For curation.")] = None,
    parallel: Annotated[int | None, typer.Option(min=1, help="Cells at a time.")] = None,
    no_prefect: Annotated[
        bool, typer.Option("--no-prefect", help="Plain threads and processes, no flow, no server.")
    ] = False,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", help="Override a setting: key=value.", metavar="KEY=VALUE"),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run a trade-off study: data or GPUs? Cells that are done are not run again.

    Example: `curate study data/studies/smoke.toml --out data/out/smoke`

    Other text: `--set 'sources.web.paths=["/crawl/*.warc.gz"]'`
    """
    from curation.study.running import check_some_done, exclusive_study, prepare_study
    from curation.study.spec import load_study
    from flows.params import StudyParams

    path, preset_path = _files(study_file, preset)
    target = _needed_out(out, path)
    loaded = load_study(path, set_ or (), preset_path)
    with exclusive_study(target):
        prepared = prepare_study(loaded, target, parallel=parallel, tell=_tell)
    _print_plan(prepared, as_json=as_json and plan)
    if plan:
        return
    params = StudyParams.model_validate(
        {
            "path": str(path.absolute()),
            "out": str(target),
            "preset": str(preset_path) if preset_path else None,
            "overrides": list(set_ or ()),
            "parallel": parallel,
            **({"workers": workers} if workers else {}),
        }
    )
    outcome, conclusion = _run(params, prepared, prefect=not no_prefect)
    check_some_done(outcome, loaded.study.name, target)
    _report(outcome, conclusion, target, as_json=as_json)


def _files(study_file: Path | None, preset: str | None) -> tuple[Path, Path | None]:
    found = _preset(preset) if preset else None
    if study_file is not None:
        return study_file, found
    if found is None:
        raise UsageError("curate study needs a STUDY.toml or --preset NAME; see curate study -h")
    if found.parent == SHIPPED:
        raise UsageError(
            f"--preset {preset}: an installed package has its grid, but no text; name a STUDY.toml "
            "with your recipes, or run it in a checkout of the repository"
        )
    return found, None


def _preset(name: str) -> Path:
    from curation.errors import unknown_name

    directory = SHIPPED if SHIPPED.exists() else PRESETS
    known = sorted(path.stem for path in directory.glob("*.toml"))
    if name not in known:
        raise UsageError(f"--preset: {unknown_name('preset', name, known)}")
    return directory / f"{name}.toml"


def _needed_out(out: Path | None, path: Path) -> Path:
    if out is None:
        raise UsageError(
            f"curate study needs --out DIR, e.g. curate study {path} --out data/out/{path.stem}"
        )
    return out.absolute()


def _run(
    params: "StudyParams", prepared: "Prepared", *, prefect: bool
) -> "tuple[Outcome, Conclusion]":
    if prefect:
        from flows.running import prefect_or_say

        prefect_or_say()
        from flows.study import run_study_flow

        return run_study_flow(params, _show)
    from curation.study.concluding import conclude_study
    from curation.study.running import exclusive_study, run_study

    out, hardware = prepared.out, prepared.probes.hardware
    with exclusive_study(out):
        make = _maker(out, params.workers)
        outcome = run_study(prepared, make, run_in_threads, listen=_show, tell=_tell)
        _tell("laws and verdicts")
        return outcome, conclude_study(prepared.study, out, outcome.datasets, hardware)


def _maker(out: Path, workers: int) -> Any:
    from curation.local import run_plan
    from curation.passes import RunOptions

    def make(plan: "Plan", directory: Path) -> "Manifest":
        _tell(f"dataset {directory.name}")
        return run_plan(plan, RunOptions(out=directory, work=out / "work", workers=workers))

    return make


def run_in_threads(
    cells: Sequence["PlacedCell"], run: "RunOne", width: int
) -> Iterator[tuple["PlacedCell", "Row"]]:
    """Runs cells in so many threads, each before a training process of its own.

    Whatever ends the caller (Ctrl-C) ends the trainings too.
    """
    from curation.study.executing import STOP

    with ThreadPoolExecutor(width) as pool:
        futures = {pool.submit(run, one): one for one in cells}
        try:
            for future in as_completed(futures):
                yield futures[future], future.result()
        except BaseException:
            STOP.flag.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _tell(what: str) -> None:
    from flows.display import ERR, one_line

    ERR.print(one_line(what), highlight=False, markup=False, soft_wrap=True)


def _show(event: "CellEvent") -> None:
    row = event.row
    what = f"{row['loss']:.4f} bits per byte" if row["status"] == "done" else row["status"]
    why = f": {row['reason']}" if row["reason"] else ""
    end = time.strftime("%H:%M", time.localtime(time.time() + event.seconds_left))
    left = f", ends about {end}" if event.done < event.total else ""
    reused = " (reused)" if event.reused else ""
    _tell(f"{event.done}/{event.total}  {event.cell.label}  {what}{reused}{why}{left}")


def _print_plan(prepared: "Prepared", *, as_json: bool) -> None:
    from flows import display, plans

    if as_json:
        print_json(plans.plan_values(prepared))
        return
    display.ERR.print(plans.plan_table(prepared))
    display.note([*prepared.plan.warnings, *(f"left out: {x}" for x in prepared.plan.dropped)])


def _report(outcome: "Outcome", conclusion: "Conclusion", out: Path, *, as_json: bool) -> None:
    from curation.study.running import first_failure
    from flows import display

    counts = {name: outcome.count(name) for name in ("done", "failed", "skipped")}
    if as_json:
        verdicts = [one.as_json() for one in conclusion.verdicts]
        print_json({"study": str(out), "cells": counts, "verdicts": verdicts})
        return
    said = ", ".join(f"{count} {name}" for name, count in counts.items() if count)
    lines = [f"cells    {said}", f"runs     {out / 'runs.parquet'}"]
    page = [f"report   {out / 'report.html'}"] if (out / "report.html").exists() else []
    lines += [f"verdict  {out / 'verdict.json'}", *page, *conclusion.states]
    lines += [f"{one.status.upper()}: {one.sentence}" for one in conclusion.verdicts]
    for line in lines:
        display.OUT.print(display.plain(line), markup=False, soft_wrap=True)
    failure = first_failure(outcome.rows)
    if failure:
        display.note([f"{counts['failed']} cells failed, the first: {failure}"])
