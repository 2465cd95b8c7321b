"""The steps of a run up to its last segment: what is read, decided and scored, in which order.

Each segment is one step of an item for each shard. Before it come the steps of the global stages
that it applies, one stage after the other: keys, groups where the stage is partitioned, decision.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from curation import __version__
from curation.deciding import (
    DecideItem,
    GroupItem,
    KeysItem,
    decisions_file,
    hashes_file,
    key_shard,
)
from curation.manifest import Record, SourceCount, StageCount, fingerprint_of, merge_counts
from curation.plan import Plan, Segment, record_name
from curation.ranges import part_count
from curation.removal import Removals
from curation.stage import KeyShard, Part, Scratch
from curation.work import Item, SegmentItem


@dataclass(frozen=True)
class RunOptions:
    """Where and with what a recipe runs; nothing here changes the output."""

    out: Path
    """Directory of the dataset."""
    work: Path | None = None
    """Directory of the work shards; default `<out>/work`. Recipes that share it share prefixes."""
    workers: int = 1
    batch_rows: int = 512
    memory_bytes: int = 2 << 30
    """What a decision over all documents may take; what is more goes to the disk."""
    partitions: int | None = None
    """Ranges of hashes that duplicates are grouped in; default: as memory and workers ask for."""

    @property
    def work_directory(self) -> Path:
        """Where work shards lie."""
        return self.work or self.out / "work"


class Step(NamedTuple):
    """Independent work items, to be run in any order on any machine that sees the directories."""

    name: str
    items: Sequence[Item]


@dataclass
class Funnel:
    """Adds up what the steps report."""

    removals: Removals
    stages: dict[str, StageCount] = field(default_factory=dict)
    sources: dict[str, SourceCount] = field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_rss_bytes: int = 0

    def add(self, records: Sequence[Record]) -> None:
        """Adds the records of a step."""
        for stage in merge_counts(records):
            if stage.name in self.stages:
                self.stages[stage.name].add(stage)
            else:
                self.stages[stage.name] = stage
        for record in records:
            for name, found in record.sources.items():
                self.sources.setdefault(name, SourceCount()).add(found)
            self.cpu_seconds += record.cpu_seconds
            self.wall_seconds += record.wall_seconds
            self.peak_rss_bytes = max(self.peak_rss_bytes, record.peak_rss_bytes)


class Files(NamedTuple):
    """What a segment left: per shard the path and the digest of the record."""

    paths: tuple[Path, ...]
    digests: tuple[str, ...]


class _Answer(NamedTuple):
    """What a global stage decided about one shard."""

    path: Path
    sha256: str


Answers = list[list[_Answer]]
"""Per shard, what each global stage of the segment so far decided about it."""


def segment_steps(
    plan: Plan, options: RunOptions, funnel: Funnel
) -> Generator[Step, list[Record], tuple[Files, list[Files]]]:
    """Yields the steps of all segments; returns what the last kept, and what each rejected."""
    kept = Files((), ())
    rejected: list[Files] = []
    upstream = ""
    for segment in plan.segments:
        answers: Answers = [[] for _ in plan.shards]
        for position in range(len(segment.decisions)):
            decision = _Decision(plan, options, segment, position, upstream)
            yield from decision.steps(funnel, kept, answers)
        records = yield Step(segment.name, _segment_items(plan, options, segment, kept, answers))
        funnel.add(records)
        digests = tuple(record.digest() for record in records)
        directory = options.work_directory / segment.name
        kept = Files(_named(directory, "kept", plan), digests)
        rejected.append(Files(_named(directory, "rejected", plan), digests))
        funnel.removals.check(records, [files.paths for files in rejected])
        upstream = segment.fingerprint
    return kept, rejected


def _named(directory: Path, stem: str, plan: Plan) -> tuple[Path, ...]:
    return tuple(directory / f"{stem}-{shard.name}.arrow" for shard in plan.shards)


def label_of(name: str, index: int, total: int) -> str:
    """Returns how people see the work on one shard."""
    return f"{name} shard {index + 1} of {total}"


def _segment_items(
    plan: Plan, options: RunOptions, segment: Segment, kept: Files, answers: Answers
) -> list[Item]:
    items: list[Item] = []
    for index, shard in enumerate(plan.shards):
        first = segment.index == 0
        decided = [answer.sha256 for answer in answers[index]]
        source: Any = shard.identity() if first else [kept.digests[index], decided]
        items.append(
            SegmentItem(
                label=label_of(segment.name, index, len(plan.shards)),
                directory=options.work_directory / segment.name,
                name=record_name(shard),
                key=fingerprint_of(segment.fingerprint, source, __version__),
                shard_name=shard.name,
                segment=segment,
                score_all=plan.recipe.score_all,
                batch_rows=options.batch_rows,
                shard=shard if first else None,
                upstream=None if first else kept.paths[index],
                decisions=tuple(answer.path for answer in answers[index]),
            )
        )
    return items


class _Decision:
    """The steps of one global stage: keys, groups where it is partitioned, the decision."""

    def __init__(
        self, plan: Plan, options: RunOptions, segment: Segment, position: int, upstream: str
    ) -> None:
        self.plan, self.options = plan, options
        self.stage = segment.decisions[position]
        self.name = segment.decision_name(position, upstream)
        self.directory = options.work_directory / self.name
        self.fingerprint = segment.decision_fingerprint(position, upstream)

    def steps(
        self, funnel: Funnel, kept: Files, answers: Answers
    ) -> Generator[Step, list[Record], None]:
        """Yields the steps and adds the answers to those of earlier stages."""
        items = [*self._own_keys(kept, answers), *self._reference_keys(len(kept.paths))]
        records = yield Step(f"{self.name} keys", items)
        funnel.add(records)
        keyed = [key_shard(*found) for found in zip(count(), items, records, strict=False)]
        keys = tuple(shard for shard in keyed if shard is not None)
        # The names, too: recipes that share this directory may have other shards with equal keys.
        names = [shard.name for shard in self.plan.shards]
        seen = fingerprint_of(self.fingerprint, names, [r.digest() for r in records], __version__)
        groups = self._groups(keys, records, seen)
        if groups:
            funnel.add((yield Step(f"{self.name} groups", groups)))
        shards = self.plan.shards
        decide = DecideItem(
            label=self.name,
            directory=self.directory,
            name="decisions",
            key=seen,
            stage=self.stage,
            keys=keys,
            shard_names=tuple(shard.name for shard in shards),
            upstream=tuple(item.upstream for item in items),
            scratch=self._scratch(groups),
        )
        [record] = yield Step(self.name, [decide])
        funnel.add([record])
        for shard, decided in zip(shards, answers, strict=True):
            name = decisions_file(shard.name)
            decided.append(_Answer(self.directory / name, record.files[name].sha256))

    def _scratch(self, groups: Sequence[GroupItem]) -> Scratch:
        paths = tuple(item.path for item in groups)
        return Scratch(self.directory, self.options.memory_bytes, self.options.workers, paths)

    def _own_keys(self, kept: Files, answers: Answers) -> Iterator[KeysItem]:
        for index, shard in enumerate(self.plan.shards):
            decided = [answer.sha256 for answer in answers[index]]
            yield KeysItem(
                label=label_of(self.name, index, len(self.plan.shards)),
                directory=self.directory,
                name=f"keys-{shard.name}",
                key=fingerprint_of(self.fingerprint, kept.digests[index], decided, __version__),
                stage=self.stage,
                upstream=kept.paths[index],
                batch_rows=self.options.batch_rows,
                decisions=tuple(answer.path for answer in answers[index]),
            )

    def _reference_keys(self, first: int) -> Iterator[KeysItem]:
        references = self.stage.references()
        for index, reference in enumerate(references):
            yield KeysItem(
                label=f"{self.name} against {index + 1} of {len(references)}",
                directory=self.directory,
                name=f"keys-against-{first + index}-{reference.sha256[:16]}",
                key=fingerprint_of(self.fingerprint, reference.sha256, __version__),
                stage=self.stage,
                upstream=reference.path,
                batch_rows=self.options.batch_rows,
                reference=reference,
            )

    def _groups(
        self, keys: tuple[KeyShard, ...], records: Sequence[Record], seen: str
    ) -> list[GroupItem]:
        if self.stage.hashed is None:
            return []
        files = [file for record in records for file in record.files.items()]
        hashes = sum(file.rows for name, file in files if name.endswith(hashes_file("")))
        options = self.options
        parts = options.partitions or part_count(hashes, options.memory_bytes, options.workers)
        return [
            GroupItem(
                label=f"{self.name} range {index + 1} of {parts}",
                directory=self.directory,
                name=f"group-{index:03d}-of-{parts:03d}",
                key=fingerprint_of(seen, index, parts),
                stage=self.stage,
                keys=keys,
                part=Part(index, parts),
                memory_bytes=options.memory_bytes,
            )
            for index in range(parts)
        ]
