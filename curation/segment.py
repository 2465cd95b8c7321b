"""One batch through the stages of a segment: stages score, rules decide, the batch is split.

A rejected document keeps all its scores, and (unless `score_all` is off) later stages of the
segment score it too, so the audit can name every bound that it broke, not only the first.
"""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import CurationError, SchemaError, StageError
from curation.families import MADE, children, interleaved, may_have_children, parents, widened
from curation.guard import children_cpu_seconds
from curation.manifest import StageCount, canonical_json
from curation.recipe import identity
from curation.schema import DOCUMENT, LANGUAGE_LABEL
from curation.stage import (
    BatchFunction,
    BatchStage,
    Columns,
    ExpandStage,
    GlobalStage,
    Rule,
    Stage,
)
from curation.verdicts import Break, Mask, Verdicts

ROW = pa.field("row", pa.int32(), nullable=False)
"""Place of a document in its shard of the first segment: the order of the audit."""


_OPENED: dict[str, BatchFunction] = {}


def opened(stage: BatchStage | ExpandStage | GlobalStage) -> BatchFunction:
    """Returns the stage's batch function, loaded once per process for equal settings."""
    key = canonical_json([type(stage).__name__, identity(stage)])
    if key not in _OPENED:
        _OPENED[key] = stage.keys() if isinstance(stage, GlobalStage) else stage.open()
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
    """The batch and expand stages of one segment, with the counts of what they did."""

    def __init__(
        self, stages: Sequence[BatchStage | ExpandStage], *, score_all: bool = True
    ) -> None:
        """Opens nothing yet: a stage is loaded when its first batch comes."""
        self.stages, self.score_all = stages, score_all
        self.counts = {stage.name: StageCount(name=stage.name, kind=stage.kind) for stage in stages}

    def run(self, batch: pa.RecordBatch, verdicts: Verdicts) -> pa.RecordBatch:
        """Scores a batch and notes in `verdicts` what the rules reject.

        Returns:
            All rows, each child behind its parent; the verdicts are about these rows then.
        """
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
            before = batch.num_rows
            batch, mask, failures = _work(stage, batch, verdicts, mask)
            rejects = _rejects(stage, batch, verdicts, mask, failures)
            made = batch.num_rows - before
            count.add(
                StageCount(
                    name=stage.name,
                    kind=stage.kind,
                    documents_in=alive,
                    documents_made=made,
                    documents_out=alive + made - sum(rejects.values()),
                    rejects=rejects,
                    cpu_seconds=time.process_time() + children_cpu_seconds() - cpu,
                    wall_seconds=time.perf_counter() - wall,
                )
            )
        return batch


def _work(
    stage: BatchStage | ExpandStage, batch: pa.RecordBatch, verdicts: Verdicts, mask: Mask
) -> tuple[pa.RecordBatch, Mask, list[Break]]:
    """Runs a stage; returns all rows, those that its rules are for, and what it failed on."""
    if isinstance(stage, ExpandStage):
        return expand_rows(stage, batch, verdicts, mask)
    batch, failures = score_rows(stage, batch, mask)
    return batch, mask, [failures]


def _rejects(
    stage: Stage, batch: pa.RecordBatch, verdicts: Verdicts, mask: Mask, failures: Sequence[Break]
) -> dict[str, int]:
    """Notes what a stage failed on and what its rules reject; returns how many are new."""
    newly: Counter[str] = Counter()
    for found in failures:
        newly[found.reason] += verdicts.add(found)
    for rule in stage.rules():
        newly[rule.reason] += verdicts.add(broken_rows(stage.name, rule, batch, mask))
    return {reason: number for reason, number in newly.items() if number}


def expand_rows(
    stage: ExpandStage, batch: pa.RecordBatch, verdicts: Verdicts, mask: Mask
) -> tuple[pa.RecordBatch, Mask, list[Break]]:
    """Has a stage make children of the masked rows that may have some.

    Args:
        stage: The stage.
        batch: n documents.
        verdicts: About them; goes over to the rows that there are afterwards.
        mask: bool[n], the rows in the stage's scope.

    Returns:
        Parents and children; bool, which rows are the new children; and of them those that could
        not be made, by reason.
    """
    batch = widened(stage, batch)
    rows = np.flatnonzero(mask & ~verdicts.rejected & may_have_children(stage, batch))
    part = parents(stage, batch, rows)
    made, failed = _guarded(stage, part, None) if part.num_rows else (_no_columns(stage), {})
    found = children(stage, part, made, failed)
    batch, old, new = interleaved(batch, found)
    verdicts.spread(old, batch.num_rows)
    young = np.zeros(batch.num_rows, np.bool_)
    young[new] = True
    breaks = []
    for reason in sorted({error for error in found.errors if error is not None}):
        where = [row for row, error in enumerate(found.errors) if error == reason]
        details = [found.details[row] for row in where]
        breaks.append(Break(stage.name, reason, new[where], details=details))
    return batch, young, breaks


def _no_columns(stage: Stage) -> dict[str, pa.Array]:
    return {field.name: pa.nulls(0, field.type) for field in _answers(stage)}


def _answers(stage: Stage) -> pa.Schema:
    """Returns the columns that a stage's function answers with."""
    return pa.schema([*MADE, *stage.writes()]) if isinstance(stage, ExpandStage) else stage.writes()


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
    stage: BatchStage | ExpandStage | GlobalStage,
    part: pa.RecordBatch,
    function: BatchFunction | None,
) -> tuple[dict[str, pa.Array], dict[int, str]]:
    """Calls a stage; where it raises, finds the rows at fault by halving."""
    try:
        return _checked(stage, part, (function or opened(stage))(part)), {}
    except (CurationError, MemoryError):
        raise
    except Exception as error:
        if part.num_rows == 1:
            nulls = {field.name: pa.nulls(1, field.type) for field in _answers(stage)}
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
    schema = _answers(stage)
    if isinstance(stage, ExpandStage):
        columns = _with_optional(columns, part.num_rows)
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


def _with_optional(columns: Columns, rows: int) -> Columns:
    optional = {field.name: pa.nulls(rows, field.type) for field in MADE if field.name != "text"}
    found: Mapping[str, Any] = {**optional, **columns}
    return found


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
