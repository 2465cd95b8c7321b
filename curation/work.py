"""Work items: what one process does to one shard, skipped when its record says it is done.

An item is a small frozen dataclass that pickles; `run` does the work, writes its files and
returns its record, which lies beside them as JSON. The same items run in a local worker, a
Prefect task, Dask or Ray.
"""

import resource
import sys
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.answers import Applying
from curation.families import FAMILY
from curation.guard import children_cpu_seconds
from curation.manifest import Record, SourceCount, StageCount, read_record, write_json
from curation.plan import InputShard, Segment
from curation.schema import DOCUMENT
from curation.segment import ROW, SegmentRun
from curation.shards import ShardWriter
from curation.source import read_batches
from curation.stage import ExpandStage
from curation.verdicts import VERDICT, Break, Verdicts


@dataclass(frozen=True)
class Item(ABC):
    """One piece of work with its own record file."""

    label: str
    """How people see it: "00-read-to-language shard 3 of 7"."""
    directory: Path
    name: str
    """Stem of the record's file name."""
    key: str
    """Digest of all that decides the output."""

    @property
    def record_path(self) -> Path:
        """Where the record lies once the item is done."""
        return self.directory / f"{self.name}.json"

    def done(self) -> Record | None:
        """Returns the record if the work is done and its files are whole."""
        record = read_record(self.record_path, self.key)
        return None if record is None else record.model_copy(update={"reused": True})

    def run(self) -> Record:
        """Does the work, writes the record last and returns it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            self.record_path.unlink()
        wall, cpu = time.perf_counter(), time.process_time() + children_cpu_seconds()
        record = self.work()
        record = record.model_copy(
            update={
                "cpu_seconds": time.process_time() + children_cpu_seconds() - cpu,
                "wall_seconds": time.perf_counter() - wall,
                "peak_rss_bytes": peak_rss_bytes(),
            }
        )
        write_json(self.record_path, record)
        return record

    @abstractmethod
    def work(self) -> Record:
        """Writes the item's files and returns its record without the times."""


def peak_rss_bytes() -> int:
    """Returns the largest resident memory that this process has had."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


@dataclass(frozen=True)
class SegmentItem(Item):
    """One shard through one segment: leaves `kept-*` and `rejected-*` files."""

    shard_name: str
    segment: Segment
    score_all: bool
    batch_rows: int
    shard: InputShard | None = None
    """What the first segment reads."""
    upstream: Path | None = None
    """The kept file of the segment before."""
    decisions: tuple[Path, ...] = ()
    """What each global stage that this segment applies says of the shard."""

    def work(self) -> Record:
        """Reads, scores, decides and splits the shard, batch by batch."""
        run = SegmentRun(self.segment.stages, score_all=self.score_all)
        entry = self._entry()
        kept_path = self.directory / f"kept-{self.shard_name}.arrow"
        rejected_path = self.directory / f"rejected-{self.shard_name}.arrow"
        schema = self._schema(entry.schema)
        with (
            ShardWriter(kept_path, schema) as kept,
            ShardWriter(rejected_path, pa.schema([*schema, *VERDICT])) as rejected,
        ):
            for batch, verdicts in entry:
                scored = run.run(batch, verdicts).select(schema.names)
                kept.write(scored.filter(pa.array(~verdicts.rejected)).cast(schema))
                rejected.write(_with_verdicts(scored.cast(schema), verdicts))
        assert kept.record is not None
        assert rejected.record is not None
        return Record(
            key=self.key,
            files={kept_path.name: kept.record, rejected_path.name: rejected.record},
            stages=[*entry.counts(), *run.counts.values()],
            sources=entry.sources(),
        )

    def _entry(self) -> "_Reading | Applying":
        if self.shard is not None:
            return _Reading(self.shard, self.batch_rows)
        assert self.upstream is not None
        decided = list(zip(self.segment.decisions, self.decisions, strict=True))
        return Applying(self.upstream, decided, self.batch_rows)

    def _schema(self, start: pa.Schema) -> pa.Schema:
        """The kept columns after this segment: what comes in, then scores in stage order."""
        fields = {field.name: field for field in start}
        for stage in (*self.segment.decisions, *self.segment.stages):
            more = FAMILY if isinstance(stage, ExpandStage) else ()
            for field in (*more, *stage.writes()):
                fields.setdefault(field.name, field)
        return pa.schema(list(fields.values()))


def _with_verdicts(scored: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
    part = scored.filter(pa.array(verdicts.rejected))
    for name, values in verdicts.table().items():
        part = part.append_column(VERDICT.field(name), values)
    return part


class _Reading:
    """Entry of the first segment: raw records become documents or rejects."""

    schema = DOCUMENT.append(ROW)

    def __init__(self, shard: InputShard, batch_rows: int) -> None:
        self.shard, self.batch_rows = shard, batch_rows
        self.count = StageCount(name="read", kind="read")
        self.source = SourceCount()
        self.skipped: Counter[str] = Counter()

    def __iter__(self) -> Iterator[tuple[pa.RecordBatch, Verdicts]]:
        batches = read_batches(
            self.shard.source, self.shard.splits, self.skipped, batch_rows=self.batch_rows
        )
        row = 0
        while True:
            wall, cpu = time.perf_counter(), time.process_time()
            batch = next(batches, None)
            if batch is None:
                return
            verdicts = self._judge(batch)
            rows = pa.array(np.arange(row, row + batch.num_rows, dtype=np.int32))
            row += batch.num_rows
            self.count.cpu_seconds += time.process_time() - cpu
            self.count.wall_seconds += time.perf_counter() - wall
            yield batch.select(DOCUMENT.names).append_column(ROW, rows), verdicts

    def _judge(self, batch: pa.RecordBatch) -> Verdicts:
        verdicts = Verdicts(batch.num_rows)
        reasons = batch.column("read_error").to_pylist()
        details = batch.column("read_detail").to_pylist()
        for reason in sorted({reason for reason in reasons if reason is not None}):
            rows = np.flatnonzero([found == reason for found in reasons])
            verdicts.add(Break("read", reason, rows, details=[details[row] for row in rows]))
            self.count.rejects[reason] = self.count.rejects.get(reason, 0) + len(rows)
        self.count.documents_in += batch.num_rows
        self.count.documents_out += batch.num_rows - int(verdicts.rejected.sum())
        self.source.documents_in += batch.num_rows
        self.source.bytes_in += int(
            sum(length or 0 for length in batch.column("origin").field("length").to_pylist())
        )
        return verdicts

    def counts(self) -> list[StageCount]:
        return [self.count]

    def sources(self) -> dict[str, SourceCount]:
        self.source.skipped = dict(self.skipped)
        return {self.shard.source.name: self.source}
