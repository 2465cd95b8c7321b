"""Arrow IPC files that are whole or not there: written beside, digested, then renamed.

Work shards are uncompressed IPC *files*, so that every later reader maps them into memory and
touches only the rows it takes. The bytes depend on the rows alone: batches are re-cut to
`ROWS_PER_BATCH` whatever sizes they came in.
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict

from curation.errors import DataError

ROWS_PER_BATCH = 1024
"""Rows of every record batch on disk; a multiple of 8, so that validity bitmaps cut at bytes."""


class FileRecord(BaseModel):
    """What a finished file must be when it is read again."""

    model_config = ConfigDict(frozen=True)

    bytes: int
    sha256: str
    rows: int


class _Digesting:
    """A binary file object that digests what is written to it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self.raw = raw
        self.sha256 = hashlib.sha256()
        self.bytes = 0
        self.closed = False

    def write(self, data: Any) -> int:
        view = memoryview(data)
        self.raw.write(view)
        self.sha256.update(view)
        self.bytes += view.nbytes
        return view.nbytes

    def flush(self) -> None:
        self.raw.flush()

    def close(self) -> None:
        self.closed = True


@contextmanager
def replacing(path: Path) -> Iterator[_Digesting]:
    """Opens a file for writing that appears under its name only once it is complete."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with open(temporary, "wb") as raw:
            sink = _Digesting(raw)
            yield sink
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


class ShardWriter:
    """Writes record batches of any size as one canonical IPC file; use as a context manager."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        """Starts the file `path`; nothing is visible there before the context ends well."""
        self.path, self.schema = path, schema
        self.rows = 0
        self.record: FileRecord | None = None
        """Set when the file is complete."""
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0

    def __enter__(self) -> "ShardWriter":
        self._context = replacing(self.path)
        self._sink = self._context.__enter__()
        self._writer = pa.ipc.new_file(pa.PythonFile(self._sink, "w"), self.schema)
        return self

    def write(self, batch: pa.RecordBatch) -> None:
        """Appends a batch of the writer's schema."""
        if not batch.num_rows:
            return
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        self.rows += batch.num_rows
        if self._waiting_rows >= ROWS_PER_BATCH:
            self._flush(everything=False)

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: Any) -> None:
        if kind is None:
            try:
                self._flush(everything=True)
                self._writer.close()
            except BaseException as failure:
                self._context.__exit__(type(failure), failure, failure.__traceback__)
                raise
        self._context.__exit__(kind, error, trace)
        if kind is None:
            self.record = FileRecord(
                bytes=self._sink.bytes, sha256=self._sink.sha256.hexdigest(), rows=self.rows
            )

    def _flush(self, *, everything: bool) -> None:
        if not self._waiting:
            return
        table = pa.Table.from_batches(self._waiting, self.schema).combine_chunks()
        whole = table.num_rows if everything else table.num_rows // ROWS_PER_BATCH * ROWS_PER_BATCH
        for start in range(0, whole, ROWS_PER_BATCH):
            # A slice is written with what its buffers hold besides it; taken rows are fresh.
            rows = np.arange(start, min(start + ROWS_PER_BATCH, whole))
            [batch] = table.take(pa.array(rows)).combine_chunks().to_batches()
            self._writer.write_batch(batch)
        rest = table.slice(whole)
        self._waiting = rest.to_batches() if rest.num_rows else []
        self._waiting_rows = rest.num_rows


def write_shard(path: Path, table: pa.Table) -> FileRecord:
    """Writes a table as one canonical IPC file and returns its record."""
    with ShardWriter(path, table.schema) as writer:
        for batch in table.to_batches():
            writer.write(batch)
    assert writer.record is not None
    return writer.record


def read_shard(path: Path, columns: list[str] | None = None) -> pa.Table:
    """Maps an IPC file into memory and returns it as a table; nothing is copied.

    Raises:
        DataError: The file is missing or is no Arrow IPC file.
    """
    try:
        with pa.memory_map(str(path)) as mapped, pa.ipc.open_file(mapped) as reader:
            table = reader.read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"shard {path}: cannot be read as Arrow IPC ({error}); run again"
        ) from error
    return table.select(columns) if columns is not None else table


def is_whole(path: Path, record: FileRecord) -> bool:
    """Says whether a file is there, byte for byte as recorded."""
    try:
        if path.stat().st_size != record.bytes:
            return False
        return file_sha256(path) == record.sha256
    except OSError:
        return False


def file_record(path: Path) -> FileRecord:
    """Returns the record of a file that is not a table of documents: its rows count as 0."""
    return FileRecord(bytes=path.stat().st_size, sha256=file_sha256(path), rows=0)


def file_sha256(path: Path) -> str:
    """Returns the SHA-256 of a file's bytes in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class MappedTexts:
    """Random access to the `text` column of upstream shards (`stage.Texts`)."""

    def __init__(self, paths: list[Path]) -> None:
        """Takes the shards' paths; only the shard that was asked for last stays mapped."""
        self._paths = paths
        self._shard = -1
        self._texts: pa.ChunkedArray | None = None

    def take(self, shard: int, rows: npt.NDArray[np.int64]) -> pa.LargeStringArray:
        """Returns the texts of some rows of a shard, in the order asked for."""
        if self._texts is None or shard != self._shard:
            self._texts = read_shard(self._paths[shard], ["text"]).column(0)
            self._shard = shard
        taken = self._texts.take(pa.array(rows))
        return taken.combine_chunks() if isinstance(taken, pa.ChunkedArray) else taken
