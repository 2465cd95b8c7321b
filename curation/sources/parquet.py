"""Parquet files, row by row; cut at row groups."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import Field

from curation.errors import RecipeError, unknown_name
from curation.source import InputFile, Record, Source, Split
from curation.sources.hygiene import replace_bad_deep
from curation.sources.opening import RawFile
from curation.sources.rows import Fields, RowPlace, record_of

_BATCH_ROWS = 128
"""Few, so that rows of a megabyte do not fill the memory."""
_DAMAGE = (pa.ArrowException, OSError, ValueError, EOFError)


class ParquetSource(Source):
    """Parquet files."""

    kind: Literal["parquet"]
    fields: Fields = Fields()
    """Which column holds what; dots lead into structs."""
    max_record_bytes: int = Field(default=32 << 20, ge=1 << 10)
    """Longest text in bytes; longer ones become "record_too_large"."""

    def can_cut(self, file: InputFile) -> bool:
        """Says yes: the end of the file says where its row groups lie."""
        return file.size > self.split_bytes

    def read(self, split: Split, skipped: Counter[str]) -> Iterator[Record]:  # noqa: ARG002
        """Yields the rows of the row groups that begin in a split, in file order.

        Raises:
            RecipeError: A column that the recipe names is not there.
        """
        with RawFile(split.file) as raw:
            try:
                parquet = pq.ParquetFile(raw.seekable_handle())
            except _DAMAGE as error:
                if split.start == 0 and split.file.size:
                    yield _failed(split.file.name, 0, split.file.size, error)
                return
            self._check_columns(split.file.name, parquet.schema_arrow.names)
            first_row = 0
            for group in range(parquet.metadata.num_row_groups):
                about = parquet.metadata.row_group(group)
                place = _place(about, split.file.size)
                if split.start <= place[0] < split.end:
                    yield from self._group(parquet, group, place, split.file.name, first_row)
                first_row += about.num_rows

    def _check_columns(self, file: str, names: list[str]) -> None:
        for field in ("text", *sorted(self.fields.model_fields_set)):
            column = getattr(self.fields, field)
            if column and column not in names and column.split(".")[0] not in names:
                what = f"{field} column of {file}"
                raise RecipeError(f"source '{self.name}': {unknown_name(what, column, names)}")

    def _group(
        self, parquet: Any, group: int, place: tuple[int, int], file: str, row: int
    ) -> Iterator[Record]:
        offset, length = place
        try:
            batches = parquet.iter_batches(_BATCH_ROWS, row_groups=[group], use_threads=False)
            for batch in batches:
                for values in _rows(batch):
                    yield self._record(values, RowPlace(f"{file}:row{row}", offset, length))
                    row += 1
        except _DAMAGE as error:
            yield _failed(f"{file}:row{row}", offset, length, error)

    def _record(self, values: dict[str, Any], place: RowPlace) -> Record:
        clean, replaced = replace_bad_deep(_json(values))
        record = record_of(clean, self.fields, place, self.max_record_bytes)
        return (
            record._replace(meta={**(record.meta or {}), "replaced": replaced})
            if replaced
            else record
        )


def _place(about: Any, size: int) -> tuple[int, int]:
    """Returns where a row group begins, and how many bytes one of its rows takes on average."""
    columns = [about.column(i) for i in range(about.num_columns)]
    starts = [
        min(c.data_page_offset, c.dictionary_page_offset or c.data_page_offset) for c in columns
    ]
    # Clamped, so that the footer of a damaged file cannot place a group outside of all splits.
    offset = min(max(0, min(starts, default=0)), max(0, size - 1))
    total = sum(max(0, c.total_compressed_size) for c in columns)
    return offset, total // max(1, about.num_rows)


def _failed(record_id: str, offset: int, length: int, error: BaseException) -> Record:
    detail = " ".join(str(error).split())[:200]
    return Record(record_id, None, offset, length, error="bad_parquet", detail=detail)


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any]]:
    names = batch.schema.names
    for values in zip(*map(_values, batch.columns), strict=True):
        yield dict(zip(names, values, strict=True))


def _values(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):
        # Nanoseconds have no Python type of their own.
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.binary()).to_pylist()
        return [value and value.decode("utf-8", "replace") for value in values]
    return values


def _json(value: Any) -> Any:
    """Returns a value as JSON knows it; bytes are named by their number."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json(item) for item in value]
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if value is None or isinstance(value, str | int):
        return value
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    return value.total_seconds() if isinstance(value, timedelta) else str(value)
