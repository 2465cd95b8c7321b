"""What global stages decided, applied to a shard as the next segment reads it."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.manifest import SourceCount, StageCount
from curation.schema import SHARD_DECISION
from curation.segment import applies_to, broken_rows, score_rows
from curation.shards import read_shard
from curation.stage import Columns, GlobalStage
from curation.verdicts import Break, Mask, Verdicts

_ANSWER = "__answer__"


class Applying:
    """Entry of every segment but the first: rows of the shard before, and what became of them."""

    def __init__(
        self,
        upstream: Path,
        decided: Sequence[tuple[GlobalStage, Path]],
        batch_rows: int,
    ) -> None:
        """Maps the shard and reads what was decided about it.

        Args:
            upstream: The kept file of the segment before.
            decided: The global stages in order, each with the file of its decisions on the shard.
            batch_rows: Documents in a batch.
        """
        self.batch_rows = batch_rows
        self.table = read_shard(upstream)
        self.schema = self.table.schema
        self._answers = [
            (stage, spread_decisions(path, self.table.num_rows)) for stage, path in decided
        ]
        self._counts = [StageCount(name=stage.name, kind=stage.kind) for stage, _ in decided]

    def __iter__(self) -> Iterator[tuple[pa.RecordBatch, Verdicts]]:
        """Yields batches with the stages' columns, and what the decisions and rules reject."""
        start = 0
        for batch in self.table.to_batches(max_chunksize=self.batch_rows):
            verdicts = Verdicts(batch.num_rows)
            for (stage, answer), count in zip(self._answers, self._counts, strict=True):
                part = answer.slice(start, batch.num_rows)
                batch = _apply(stage, part, batch, verdicts, count)  # noqa: PLW2901
            start += batch.num_rows
            yield batch, verdicts

    def counts(self) -> list[StageCount]:
        """Returns the funnel of the decisions."""
        return self._counts

    def sources(self) -> dict[str, SourceCount]:
        """Returns nothing: sources are counted where they are read."""
        return {}


def _apply(
    stage: GlobalStage,
    answer: pa.RecordBatch,
    batch: pa.RecordBatch,
    verdicts: Verdicts,
    count: StageCount,
) -> pa.RecordBatch:
    wall, cpu = time.perf_counter(), time.process_time()
    count.documents_in += int((~verdicts.rejected).sum())
    mask = applies_to(stage, batch) & ~verdicts.rejected
    for found in _decided(stage, answer):
        _count(count, found.reason, verdicts.add(found))
    batch, failures = _with_answer(stage, answer, batch, mask)
    _count(count, failures.reason, verdicts.add(failures))
    for rule in stage.rules():
        _count(count, rule.reason, verdicts.add(broken_rows(stage.name, rule, batch, mask)))
    count.documents_out += int((~verdicts.rejected).sum())
    count.cpu_seconds += time.process_time() - cpu
    count.wall_seconds += time.perf_counter() - wall
    return batch


def _count(count: StageCount, reason: str, documents: int) -> None:
    if documents:
        count.rejects[reason] = count.rejects.get(reason, 0) + documents


def _decided(stage: GlobalStage, answer: pa.RecordBatch) -> Iterator[Break]:
    """Yields the rows that a decision rejects, by reason."""
    rejected = answer.column("rejected").fill_null(fill_value=False)
    rows = np.flatnonzero(rejected.to_numpy(zero_copy_only=False))
    taken = answer.select(SHARD_DECISION.names).take(pa.array(rows)).to_pydict()
    reasons = np.array(taken["reason"], dtype=object)
    for reason in sorted(set(taken["reason"])):
        of_reason = np.flatnonzero(reasons == reason)
        yield Break(
            stage.name,
            reason,
            rows[of_reason],
            np.array([taken["similarity"][i] for i in of_reason], np.float64),
            np.array([taken["bound"][i] for i in of_reason], np.float64),
            [taken["other_id"][i] for i in of_reason],
        )


def _with_answer(
    stage: GlobalStage, answer: pa.RecordBatch, batch: pa.RecordBatch, mask: Mask
) -> tuple[pa.RecordBatch, Break]:
    """Writes the stage's columns; the answer goes along as a column, so that rows stay together."""

    def apply(part: pa.RecordBatch) -> Columns:
        answer_part = pa.RecordBatch.from_struct_array(part.column(_ANSWER))
        return stage.apply(part.select(batch.schema.names), answer_part)

    joined = batch.append_column(_ANSWER, answer.to_struct_array())
    scored, failures = score_rows(stage, joined, mask, apply)
    return scored.drop_columns([_ANSWER]), failures


def spread_decisions(path: Path, rows: int) -> pa.RecordBatch:
    """Returns the decisions on one shard, one row per upstream row; null where there is none."""
    table = read_shard(path).combine_chunks()
    places = np.full(rows, -1, dtype=np.int64)
    places[table.column("row").to_numpy()] = np.arange(table.num_rows)
    spread = table.take(pa.array(places, mask=places < 0)).combine_chunks()
    nullable = pa.schema([field.with_nullable(True) for field in spread.schema])  # noqa: FBT003
    return pa.RecordBatch.from_arrays(
        [_one_chunk(column) for column in spread.columns], schema=nullable
    )


def alive_rows(decisions: Sequence[Path], rows: int) -> npt.NDArray[np.bool_]:
    """Returns bool[rows]: which rows of a shard no decision in these files rejects."""
    alive = np.ones(rows, dtype=np.bool_)
    for path in decisions:
        rejected = spread_decisions(path, rows).column("rejected").fill_null(fill_value=False)
        alive &= ~rejected.to_numpy(zero_copy_only=False)
    return alive


def _one_chunk(column: pa.ChunkedArray) -> pa.Array:
    return pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], column.type)
