"""The steps of a run, in order; who executes the items of a step is the caller's choice.

`steps` is a generator: it yields a step (independent work items), is sent the records of those
items, and yields the next. A local pool, Prefect, Dask and Ray all drive the same generator, so
the order of work is written down once, here.
"""

import platform
import re
import sys
import unicodedata
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from curation import __version__
from curation.card import write_card
from curation.errors import DriftError
from curation.manifest import (
    InputEntry,
    Manifest,
    Record,
    ShardEntry,
    SourceCount,
    StageCount,
    Totals,
    damaged_files,
    fingerprint_of,
    installed_versions,
    merge_counts,
    read_manifest,
    write_json,
)
from curation.output import AuditItem, ClustersItem, GatherItem, LayoutItem
from curation.plan import Plan, Segment
from curation.removal import Removals
from curation.stage import KeyShard
from curation.work import DecideItem, Item, KeysItem, SegmentItem


@dataclass(frozen=True)
class RunOptions:
    """Where and with what a recipe runs; nothing here changes the output."""

    out: Path
    """Directory of the dataset."""
    work: Path | None = None
    """Directory of the work shards; default `<out>/work`. Recipes that share it share prefixes."""
    workers: int = 1
    batch_rows: int = 512

    @property
    def work_directory(self) -> Path:
        """Where work shards lie."""
        return self.work or self.out / "work"


class Step(NamedTuple):
    """Independent work items, to be run in any order on any machine that sees the directories."""

    name: str
    items: Sequence[Item]


Steps = Generator[Step, list[Record], Manifest]


@dataclass
class _Funnel:
    """Adds up what the steps report."""

    removals: Removals
    stages: dict[str, StageCount] = field(default_factory=dict)
    sources: dict[str, SourceCount] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_rss_bytes: int = 0

    def add(self, records: Sequence[Record]) -> None:
        for stage in merge_counts(records):
            if stage.name in self.stages:
                self.stages[stage.name].add(stage)
            else:
                self.stages[stage.name] = stage
        for record in records:
            for name, count in record.sources.items():
                self.sources.setdefault(name, SourceCount()).add(count)
            self.cpu_seconds += record.cpu_seconds
            self.wall_seconds += record.wall_seconds
            self.peak_rss_bytes = max(self.peak_rss_bytes, record.peak_rss_bytes)


def finished(plan: Plan, options: RunOptions) -> Manifest | None:
    """Returns the manifest if the dataset is there, whole, and made by this very plan.

    Raises:
        DriftError: Another dataset (of another name) lies in the directory.
    """
    if not (options.out / "manifest.json").exists():
        return None
    manifest = read_manifest(options.out)
    if manifest.name != plan.recipe.name:
        raise DriftError(
            f"{options.out}: holds dataset '{manifest.name}', the recipe makes "
            f"'{plan.recipe.name}'; choose another --out, or delete that directory first"
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
    funnel = _Funnel(Removals(plan))
    kept, rejected = yield from _segment_steps(plan, options, funnel)
    (options.out / "manifest.json").unlink(missing_ok=True)
    shards, audit = yield from _output_steps(plan, options, funnel, (kept, rejected))
    manifest = _manifest(plan, funnel, shards, audit)
    _remove_stale(options.out, manifest)
    write_card(options.out / "README.md", manifest, plan.recipe.written())
    write_json(options.out / "manifest.json", manifest)
    return manifest


class _Files(NamedTuple):
    """What a segment left: per shard the path and the digest of the record."""

    paths: tuple[Path, ...]
    digests: tuple[str, ...]


def _segment_steps(
    plan: Plan, options: RunOptions, funnel: _Funnel
) -> Generator[Step, list[Record], tuple[_Files, list[_Files]]]:
    kept = _Files((), ())
    rejected: list[_Files] = []
    upstream = ""
    for segment in plan.segments:
        decisions = yield from _decision_steps(options, funnel, segment, kept, upstream)
        items = _segment_items(plan, options, segment, kept, decisions)
        records = yield Step(segment.name, items)
        funnel.add(records)
        digests = tuple(record.digest() for record in records)
        directory = options.work_directory / segment.name
        kept = _Files(_numbered(directory, "kept", len(items)), digests)
        rejected.append(_Files(_numbered(directory, "rejected", len(items)), digests))
        funnel.removals.check(records, [files.paths for files in rejected])
        upstream = segment.fingerprint
    return kept, rejected


def _numbered(directory: Path, stem: str, count: int) -> tuple[Path, ...]:
    return tuple(directory / f"{stem}-{index:05d}.arrow" for index in range(count))


def _label(name: str, index: int, count: int) -> str:
    return f"{name} shard {index + 1} of {count}"


def _segment_items(
    plan: Plan, options: RunOptions, segment: Segment, kept: _Files, decisions: _Files
) -> list[Item]:
    items: list[Item] = []
    count = len(plan.shards)
    for index, shard in enumerate(plan.shards):
        first = segment.index == 0
        source: Any = shard.identity() if first else [kept.digests[index], decisions.digests]
        items.append(
            SegmentItem(
                label=_label(segment.name, index, count),
                directory=options.work_directory / segment.name,
                name=f"shard-{index:05d}",
                key=fingerprint_of(segment.fingerprint, index, source, __version__),
                index=index,
                segment=segment,
                score_all=plan.recipe.score_all,
                batch_rows=options.batch_rows,
                shard=shard if first else None,
                upstream=None if first else kept.paths[index],
                decisions=decisions.paths,
            )
        )
    return items


def _decision_steps(
    options: RunOptions, funnel: _Funnel, segment: Segment, kept: _Files, upstream: str
) -> Generator[Step, list[Record], _Files]:
    answers = _Files((), ())
    for position, stage in enumerate(segment.decisions):
        name = segment.decision_name(position, upstream)
        directory = options.work_directory / name
        fingerprint = segment.decision_fingerprint(position, upstream)
        items = [
            KeysItem(
                label=_label(name, index, len(kept.paths)),
                directory=directory,
                name=f"keys-{index:05d}",
                key=fingerprint_of(fingerprint, index, digest, answers.digests, __version__),
                index=index,
                stage=stage,
                upstream=path,
                decisions=answers.paths,
                batch_rows=options.batch_rows,
            )
            for index, (path, digest) in enumerate(zip(kept.paths, kept.digests, strict=True))
        ]
        records = yield Step(f"{name} keys", items)
        funnel.add(records)
        decide = DecideItem(
            label=name,
            directory=directory,
            name="decisions",
            key=fingerprint_of(fingerprint, [record.digest() for record in records], __version__),
            stage=stage,
            keys=tuple(
                KeyShard(index, directory / file)
                for index, record in enumerate(records)
                for file in record.files
            ),
            upstream=kept.paths,
            threads=options.workers,
        )
        [record] = yield Step(name, [decide])
        funnel.add([record])
        answers = _Files(
            (*answers.paths, directory / "decisions.arrow"), (*answers.digests, record.digest())
        )
    return answers


def _output_steps(
    plan: Plan, options: RunOptions, funnel: _Funnel, files: tuple[_Files, list[_Files]]
) -> Generator[Step, list[Record], tuple[list[Record], list[Record]]]:
    kept, rejected = files
    recipe, directory = plan.recipe, options.out / "work" / "output"
    seen = fingerprint_of(kept.digests, recipe.output.model_dump(mode="json"), recipe.seed)
    layout = LayoutItem("layout", directory, "layout", seen, kept.paths, recipe.output, recipe.seed)
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
            _label("audit", index, len(kept.paths)),
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
        fingerprint_of("clusters", [record.digest() for record in audited], _dedup_kinds(plan)),
        tuple(options.out / "audit" / f"documents-{i:05d}.parquet" for i in range(len(audit))),
        _dedup_kinds(plan),
        options.out,
    )
    [clustered] = yield Step("write clusters", [clusters])
    for records in ([laid], shards, audited, [clustered]):
        funnel.add(records)
    return shards, [*audited, clustered]


def _dedup_kinds(plan: Plan) -> tuple[tuple[str, str], ...]:
    near = {"exact_dedup": "exact", "minhash_dedup": "near"}
    return tuple(
        (stage.name, near[stage.kind]) for stage in plan.recipe.stages if stage.kind in near
    )


def _inputs(plan: Plan) -> list[InputEntry]:
    return [
        InputEntry(source=source, name=file.name, bytes=file.size, stamp=file.stamp)
        for source, file in plan.inputs
    ]


def _manifest(plan: Plan, funnel: _Funnel, shards: list[Record], audit: list[Record]) -> Manifest:
    recipe = plan.recipe
    sources = {
        source.name: funnel.sources.get(source.name, SourceCount()) for source in recipe.sources
    }
    totals = Totals()
    for count in sources.values():
        for name in Totals.model_fields:
            setattr(totals, name, getattr(totals, name) + getattr(count, name))
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
        inputs=_inputs(plan),
        shards=[_shard_entry(name, file) for r in shards for name, file in r.files.items()],
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
    return {
        "python": platform.python_version(),
        "unicode": unicodedata.unidata_version,
        "platform": sys.platform,
        **installed_versions(names),
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
