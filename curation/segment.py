"""One batch through the stages of a segment: stages score, rules decide, the batch is split.

A rejected document keeps all its scores, and (unless `score_all` is off) later stages of the
segment score it too, so the audit can name every bound that it broke, not only the first.
"""

import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import CurationError, SchemaError, StageError
from curation.guard import children_cpu_seconds
from curation.manifest import StageCount, canonical_json
from curation.recipe import identity
from curation.schema import DOCUMENT, LANGUAGE_LABEL
from curation.stage import BatchFunction, BatchStage, Columns, GlobalStage, Rule, Stage

Mask = npt.NDArray[np.bool_]

BROKEN = pa.struct(
    [
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("bound", pa.float64()),
    ]
)
VERDICT = pa.schema(
    [
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("bound", pa.float64()),
        pa.field("broken", pa.list_(BROKEN)),
        pa.field("other_id", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
"""Appended to rejected rows: the first broken bound, all broken bounds, the kept twin, and in
`detail` what was found where a record could not be read or a stage failed on it."""

ROW = pa.field("row", pa.int32(), nullable=False)
"""Place of a document in its shard of the first segment: the order of the audit."""


class Break(NamedTuple):
    """The rows of a batch that broke one rule."""

    stage: str
    reason: str
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64] | None = None
    bounds: npt.NDArray[np.float64] | None = None
    other_ids: Sequence[str] | None = None
    details: Sequence[str | None] | None = None

    def at(self, index: int) -> dict[str, Any]:
        """Returns what one of the rows broke, as a BROKEN value."""
        return {
            "stage": self.stage,
            "reason": self.reason,
            "value": None if self.values is None else float(self.values[index]),
            "bound": None if self.bounds is None else float(self.bounds[index]),
        }


class Verdicts:
    """What was decided about each row of a batch, in the order of the stages."""

    def __init__(self, rows: int) -> None:
        """Starts with every row kept."""
        self.rejected: Mask = np.zeros(rows, dtype=np.bool_)
        self.breaks: list[Break] = []

    def add(self, found: Break) -> int:
        """Notes broken rows; returns how many of them had been kept so far."""
        if not len(found.rows):
            return 0
        newly = int((~self.rejected[found.rows]).sum())
        self.rejected[found.rows] = True
        self.breaks.append(found)
        return newly

    def table(self) -> dict[str, pa.Array]:
        """Returns the VERDICT columns of the rejected rows, in row order."""
        rows = np.flatnonzero(self.rejected)
        place = {int(row): index for index, row in enumerate(rows)}
        cells: list[dict[str, Any]] = [{"broken": []} for _ in rows]
        for found in self.breaks:
            for index, row in enumerate(found.rows):
                cell = cells[place[int(row)]]
                broken = found.at(index)
                if not cell["broken"]:
                    cell.update(broken)
                cell["broken"].append(broken)
                if found.other_ids is not None and found.other_ids[index] is not None:
                    cell.update(other_id=found.other_ids[index], similarity=broken["value"])
                if found.details is not None:
                    cell["detail"] = found.details[index]
        return {
            field.name: pa.array([cell.get(field.name) for cell in cells], field.type)
            for field in VERDICT
        }


_OPENED: dict[str, BatchFunction] = {}


def opened(stage: BatchStage | GlobalStage) -> BatchFunction:
    """Returns the stage's batch function, loaded once per process for equal settings."""
    key = canonical_json([type(stage).__name__, identity(stage)])
    if key not in _OPENED:
        _OPENED[key] = stage.open() if isinstance(stage, BatchStage) else stage.keys()
    return _OPENED[key]


def applies_to(stage: Stage, batch: pa.RecordBatch) -> Mask:
    """Returns which rows a stage looks at: those with a text, of its sources and languages."""
    mask = _as_mask(batch.column("text").is_valid())
    if stage.sources is not None:
        mask &= _is_in(batch.column("source"), stage.sources)
    if stage.languages is not None:
        mask &= _is_in(batch.column(LANGUAGE_LABEL), stage.languages)
    if stage.except_languages:
        mask &= ~_is_in(batch.column(LANGUAGE_LABEL), stage.except_languages)
    return mask


def _is_in(values: pa.Array, names: Sequence[str]) -> Mask:
    return _as_mask(pc.is_in(values, pa.array(names, values.type)))


def _as_mask(values: pa.BooleanArray) -> Mask:
    mask: Mask = np.array(values.to_numpy(zero_copy_only=False))
    return mask


class SegmentRun:
    """The batch stages of one segment, with the counts of what they did."""

    def __init__(self, stages: Sequence[BatchStage], *, score_all: bool = True) -> None:
        """Opens nothing yet: a stage is loaded when its first batch comes."""
        self.stages, self.score_all = stages, score_all
        self.counts = {stage.name: StageCount(name=stage.name, kind=stage.kind) for stage in stages}

    def run(self, batch: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
        """Scores a batch and notes in `verdicts` what the rules reject; returns all rows."""
        met: set[str] = set()
        for stage in self.stages:
            count = self.counts[stage.name]
            # Stages of one name share a row of the funnel: other sources, other bounds.
            alive = 0 if stage.name in met else int((~verdicts.rejected).sum())
            met.add(stage.name)
            wall, cpu = time.perf_counter(), time.process_time() + children_cpu_seconds()
            mask = applies_to(stage, batch)
            if not self.score_all:
                mask &= ~verdicts.rejected
            count.text_bytes_in += _text_bytes(batch, mask)
            batch, failures = score_rows(stage, batch, mask)
            newly = {f"{stage.name}_error": verdicts.add(failures)} if len(failures.rows) else {}
            for rule in stage.rules():
                newly[rule.reason] = newly.get(rule.reason, 0) + verdicts.add(
                    broken_rows(stage.name, rule, batch, mask)
                )
            rejects = {reason: number for reason, number in newly.items() if number}
            count.add(
                StageCount(
                    name=stage.name,
                    kind=stage.kind,
                    documents_in=alive,
                    documents_out=alive - sum(rejects.values()),
                    rejects=rejects,
                    cpu_seconds=time.process_time() + children_cpu_seconds() - cpu,
                    wall_seconds=time.perf_counter() - wall,
                )
            )
        return batch


def score_rows(
    stage: BatchStage | GlobalStage,
    batch: pa.RecordBatch,
    mask: Mask,
    function: BatchFunction | None = None,
) -> tuple[pa.RecordBatch, Break]:
    """Runs a stage on the masked rows; other rows get null scores and keep their text.

    Args:
        stage: The stage.
        batch: n documents.
        mask: bool[n], the rows to run it on.
        function: Makes the columns; default: the batch function that the stage opens.

    Returns:
        The batch with the columns in `stage.writes()`, and the rows on which the stage raised.
    """
    rows = np.flatnonzero(mask)
    everything = len(rows) == batch.num_rows
    part = batch if everything else batch.take(pa.array(rows))
    columns, failed = _guarded(stage, part, function) if len(rows) else ({}, {})
    for field in stage.writes():
        values = columns.get(field.name)
        old = batch.column(field.name) if field.name in batch.schema.names else None
        if values is None:
            new = old if old is not None else pa.nulls(batch.num_rows, field.type)
        elif everything:
            new = values
        else:
            new = _scatter(values, rows, batch.num_rows, old)
        batch = _put(batch, field, new)
    if failed:
        batch = _put(batch, batch.schema.field("text"), _nulled(batch, rows[list(failed)]))
    where = rows[list(failed)]
    return batch, Break(stage.name, f"{stage.name}_error", where, details=list(failed.values()))


def _guarded(
    stage: BatchStage | GlobalStage, part: pa.RecordBatch, function: BatchFunction | None
) -> tuple[dict[str, pa.Array], dict[int, str]]:
    """Calls a stage; where it raises, finds the rows at fault by halving."""
    try:
        return _checked(stage, part, (function or opened(stage))(part)), {}
    except (CurationError, MemoryError):
        raise
    except Exception as error:
        if part.num_rows == 1:
            nulls = {field.name: pa.nulls(1, field.type) for field in stage.writes()}
            return nulls, {0: f"{type(error).__name__}: {error}"}
        half = part.num_rows // 2
        left, failed = _guarded(stage, part.slice(0, half), function)
        right, failed_right = _guarded(stage, part.slice(half), function)
        failed |= {half + row: message for row, message in failed_right.items()}
        if len(failed) > max(10, part.num_rows // 4):
            raise StageError(
                f"stage {stage.name} failed on {len(failed)} of {part.num_rows} documents; "
                f"the last error is {failed[max(failed)]}; correct its settings or report it"
            ) from error
        return {name: pa.concat_arrays([left[name], right[name]]) for name in left}, failed


def _checked(stage: Stage, part: pa.RecordBatch, columns: Columns) -> dict[str, pa.Array]:
    schema = stage.writes()
    if set(columns) != set(schema.names):
        raise SchemaError(
            f"stage {stage.name} gave columns {sorted(columns)}; it declares {sorted(schema.names)}"
        )
    checked = {}
    for field in schema:
        values = columns[field.name]
        array = values if isinstance(values, pa.Array) else pa.array(values)
        if array.type != field.type:
            array = array.cast(field.type)
        if len(array) != part.num_rows:
            raise SchemaError(
                f"stage {stage.name} gave {len(array)} values of {field.name} "
                f"for {part.num_rows} documents"
            )
        checked[field.name] = array
    return checked


def _scatter(
    values: pa.Array, rows: npt.NDArray[np.int64], total: int, old: pa.Array | None
) -> pa.Array:
    """Spreads the values of some rows over all; the others keep `old`, or are null."""
    places = np.full(total, -1, dtype=np.int64)
    places[rows] = np.arange(len(rows))
    spread = values.take(pa.array(places, mask=places < 0))
    if old is None:
        return spread
    return pc.if_else(pa.array(places >= 0), spread, old.cast(values.type))


def _put(batch: pa.RecordBatch, field: pa.Field, values: pa.Array) -> pa.RecordBatch:
    index = batch.schema.get_field_index(field.name)
    if index < 0:
        return batch.append_column(field, values)
    kept = batch.schema.field(index) if field.name in DOCUMENT.names else field
    return batch.set_column(index, kept, values)


def _nulled(batch: pa.RecordBatch, rows: npt.NDArray[np.int64]) -> pa.Array:
    failed = np.zeros(batch.num_rows, dtype=np.bool_)
    failed[rows] = True
    text = batch.column("text")
    return pc.if_else(pa.array(failed), pa.scalar(None, text.type), text)


def broken_rows(stage: str, rule: Rule, batch: pa.RecordBatch, mask: Mask) -> Break:
    """Returns the masked rows whose score lies outside a rule's bounds; null scores lie inside."""
    column = batch.column(rule.column)
    values = column.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
    low = -np.inf if rule.low is None else rule.low
    high = np.inf if rule.high is None else rule.high
    rows = np.flatnonzero(mask & ((values < low) | (values > high)))
    bounds = np.where(values[rows] < low, low, high)
    return Break(stage, rule.reason, rows, values[rows], bounds)


def _text_bytes(batch: pa.RecordBatch, mask: Mask) -> int:
    lengths = pc.binary_length(batch.column("text")).fill_null(0).to_numpy(zero_copy_only=False)
    return int(lengths[mask].sum())
