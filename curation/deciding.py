"""The work items of a global stage: keys shard by shard, groups range by range, one decision.

What they leave is named after the shards, not after the shards' numbers: a file or a source more
leaves the work on all others as it was.
"""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.answers import alive_rows
from curation.errors import DriftError
from curation.manifest import Record, StageCount
from curation.ranges import split_hashes, write_hashes
from curation.schema import DECISION
from curation.segment import applies_to, opened
from curation.shards import FileRecord, MappedTexts, file_sha256, read_shard, write_shard
from curation.stage import GlobalStage, KeyShard, Part, Reference, Scratch
from curation.work import Item


class _Clock:
    """Counts what a stage takes, for its row of the funnel."""

    def __init__(self, stage: GlobalStage) -> None:
        self.stage, self.wall, self.cpu = stage, perf_counter(), process_time()

    def count(self) -> StageCount:
        return StageCount(
            name=self.stage.name,
            kind=self.stage.kind,
            cpu_seconds=process_time() - self.cpu,
            wall_seconds=perf_counter() - self.wall,
        )


@dataclass(frozen=True)
class KeysItem(Item):
    """The keys that a global stage needs of one shard; its files are named after `name`."""

    stage: GlobalStage
    upstream: Path
    batch_rows: int
    decisions: tuple[Path, ...] = ()
    """Answers of earlier global stages of the same segment: what they rejected has no keys."""
    reference: Reference | None = None
    """The shard is one of a finished dataset: all of its texts take part."""

    def work(self) -> Record:
        """Writes one key row for each document that the stage looks at, and its hashes apart."""
        if self.reference is not None and file_sha256(self.upstream) != self.reference.sha256:
            raise DriftError(
                f"stage {self.stage.name}: {self.upstream} of dataset '{self.reference.dataset}' "
                "is not what its manifest says; restore it, or make that dataset again"
            )
        table = read_shard(self.upstream)
        alive = alive_rows(self.decisions, table.num_rows)
        clock = _Clock(self.stage)
        batches = list(self._key_batches(table, alive))
        files = self._write(pa.Table.from_batches(batches)) if batches else {}
        return Record(key=self.key, files=files, stages=[clock.count()])

    def _write(self, keys: pa.Table) -> dict[str, FileRecord]:
        files = {}
        if self.stage.hashed is not None:
            keys, hashes = split_hashes(keys, self.stage.hashed)
            name = hashes_file(self.name)
            files[name] = write_hashes(self.directory / name, hashes)
        name = f"{self.name}.arrow"
        return {name: write_shard(self.directory / name, keys), **files}

    def _key_batches(
        self, table: pa.Table, alive: npt.NDArray[np.bool_]
    ) -> Iterator[pa.RecordBatch]:
        start = 0
        for batch in table.to_batches(max_chunksize=self.batch_rows):
            rows = np.flatnonzero(self._looks_at(batch) & alive[start : start + batch.num_rows])
            part = batch if len(rows) == batch.num_rows else batch.take(pa.array(rows))
            columns: dict[str, Any] = {
                "row": pa.array((rows + start).astype(np.int32)),
                "doc_id": part.column("doc_id"),
            }
            keys = opened(self.stage)(part) if len(rows) else {}
            columns |= {
                name: values if isinstance(values, pa.Array) else pa.array(values)
                for name, values in keys.items()
            }
            start += batch.num_rows
            if len(rows):
                yield pa.RecordBatch.from_pydict(columns)

    def _looks_at(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        if self.reference is None:
            return applies_to(self.stage, batch)
        valid: npt.NDArray[np.bool_] = batch.column("text").is_valid().to_numpy(False)  # noqa: FBT003
        return valid


def hashes_file(name: str) -> str:
    """Returns the name of the file with the hashes of a KeysItem's name."""
    return f"{name}.hashes.arrow"


def key_shard(index: int, item: KeysItem, record: Record) -> KeyShard | None:
    """Returns what a KeysItem left, for the decision; None where no document has keys."""
    if not record.files:
        return None
    hashes = item.directory / hashes_file(item.name) if item.stage.hashed is not None else None
    path = item.directory / f"{item.name}.arrow"
    return KeyShard(index, path, hashes, item.reference is not None)


@dataclass(frozen=True)
class GroupItem(Item):
    """What the keys of all shards say about one range of hashes."""

    stage: GlobalStage
    keys: tuple[KeyShard, ...]
    part: Part
    memory_bytes: int

    @property
    def path(self) -> Path:
        """The table that the item writes."""
        return self.directory / f"{self.name}.arrow"

    def work(self) -> Record:
        """Writes the stage's `group` of the range."""
        clock = _Clock(self.stage)
        scratch = _scratch(self.directory, self.name)
        table = self.stage.group(self.keys, self.part, Scratch(scratch, self.memory_bytes, 1))
        shutil.rmtree(scratch)
        record = write_shard(self.path, table)
        return Record(key=self.key, files={self.path.name: record}, stages=[clock.count()])


@dataclass(frozen=True)
class DecideItem(Item):
    """A global stage's answer from the keys of all shards."""

    stage: GlobalStage
    keys: tuple[KeyShard, ...]
    shard_names: tuple[str, ...]
    """Names of the shards that are decided about; the numbers of references come after them."""
    upstream: tuple[Path, ...]
    """Where the texts of all shards lie, those of references last."""
    scratch: Scratch
    """Memory, threads and groups; its directory is made for the item."""

    def work(self) -> Record:
        """Writes `decisions-<shard>.arrow` for each shard, also where nothing was decided."""
        directory = _scratch(self.directory, "scratch")
        clock = _Clock(self.stage)
        scratch = self.scratch._replace(directory=directory)
        answer = self.stage.decide(self.keys, MappedTexts(list(self.upstream)), scratch)
        more = [field for field in answer.schema if field.name not in DECISION.names]
        schema = pa.schema([*DECISION, *more])
        answer = answer.select(schema.names).cast(schema)
        answer = answer.sort_by([("shard", "ascending"), ("row", "ascending")])
        count = clock.count()
        shutil.rmtree(directory)
        files = dict(self._write(answer))
        return Record(key=self.key, files=files, stages=[count])

    def _write(self, answer: pa.Table) -> Iterator[tuple[str, FileRecord]]:
        cuts = np.searchsorted(answer.column("shard").to_numpy(), range(len(self.shard_names) + 1))
        answer = answer.drop_columns(["shard"])
        for index, shard_name in enumerate(self.shard_names):
            name = decisions_file(shard_name)
            mine = answer.slice(cuts[index], cuts[index + 1] - cuts[index])
            yield name, write_shard(self.directory / name, mine)


def decisions_file(shard_name: str) -> str:
    """Returns the name of the file with the decisions on a shard."""
    return f"decisions-{shard_name}.arrow"


def _scratch(directory: Path, name: str) -> Path:
    scratch = directory / f"scratch-{name}"
    shutil.rmtree(scratch, ignore_errors=True)  # of a process that was killed
    scratch.mkdir()
    return scratch
