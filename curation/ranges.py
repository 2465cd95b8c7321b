"""The hashes of a corpus, range by range: grouping by hash without all hashes in one place.

Each shard's hashes lie in a file of their own, put in order by their first byte. So a range of
first bytes is one run of each file, a range of all files is one piece of work, and no process ever
needs more of the hashes than those of one first byte.
"""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import DataError
from curation.shards import FileRecord, read_shard, replacing
from curation.shuffle import Repeats, document_numbers, insert, place_of, read_keys
from curation.stage import GlobalStage, KeyShard, Part, Scratch
from curation.text.jit import int64, kernel

if TYPE_CHECKING:
    import duckdb

HASH, ROW, DOCUMENT = "hash", "row", "document"
_BOUNDS = b"bounds"
_TOGETHER = 1 << 20  # hashes that are grouped at once: their filter stays in the cache

Hashes = npt.NDArray[np.uint64]


def part_count(hashes: int, memory_bytes: int, workers: int) -> int:
    """Returns into how many ranges the hashes of a corpus are cut; no answer depends on it.

    Each takes a quarter of the memory at most, and each worker gets one if it is worth a process.
    """
    needed = -(-hashes * 32 // max(memory_bytes // 4, 1))
    return max(1, min(256, max(needed, min(workers, hashes // _TOGETHER))))


def split_hashes(keys: pa.Table, column: str) -> tuple[pa.Table, pa.RecordBatch]:
    """Takes the hashes out of a shard's keys.

    Args:
        keys: With the columns `row` and `column`: uint64, or lists of them of one length; a null
            has no hash.
        column: Name of the hashes.

    Returns:
        The keys, without lists of hashes; and `hash` and `row`, in order of the first bytes.
    """
    valid = keys.filter(pc.is_valid(keys.column(column)))
    hashes, rows = valid.column(column).combine_chunks(), valid.column(ROW).to_numpy()
    if isinstance(hashes, pa.ChunkedArray):
        hashes = pa.concat_arrays(hashes.chunks) if hashes.num_chunks else pa.array([], pa.uint64())
    lists = pa.types.is_fixed_size_list(hashes.type)
    flat = hashes.flatten() if lists else hashes
    each = len(flat) // len(rows) if len(rows) else 1
    ordered, places, bounds = _by_first_byte(flat.to_numpy(), rows, each)
    metadata = {_BOUNDS: json.dumps(bounds.tolist())}
    schema = pa.schema([(HASH, pa.uint64()), (ROW, pa.int32())], metadata=metadata)
    batch = pa.RecordBatch.from_arrays([pa.array(ordered), pa.array(places)], schema=schema)
    return keys.drop_columns([column]) if lists else keys, batch


@kernel
def _by_first_byte(
    hashes: npt.NDArray[np.uint64], rows: npt.NDArray[np.int32], each: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    bounds = np.zeros(257, np.int64)
    for value in hashes:
        bounds[int64(value >> np.uint64(56)) + 1] += 1
    bounds = np.cumsum(bounds)
    ordered, places = np.empty_like(hashes), np.empty(len(hashes), np.int32)
    fill = bounds.copy()
    for k in range(len(hashes)):
        first = int64(hashes[k] >> np.uint64(56))
        ordered[fill[first]] = hashes[k]
        places[fill[first]] = rows[k // each]
        fill[first] += 1
    return ordered, places, bounds


def write_hashes(path: Path, batch: pa.RecordBatch) -> FileRecord:
    """Writes what `split_hashes` took out as one batch, so that a range is read in one piece."""
    with replacing(path) as sink, pa.ipc.new_file(pa.PythonFile(sink, "w"), batch.schema) as writer:
        writer.write_batch(batch)
    return FileRecord(bytes=sink.bytes, sha256=sink.sha256.hexdigest(), rows=batch.num_rows)


class _Mapped:
    """The hashes of one shard, mapped."""

    def __init__(self, shard: KeyShard) -> None:
        self.shard = shard.shard
        path = shard.hashes
        try:
            batch = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
            self.bounds: list[int] = json.loads(batch.schema.metadata[_BOUNDS])
        except (OSError, pa.ArrowInvalid, KeyError, TypeError) as error:
            raise DataError(
                f"hashes of shard {self.shard}: cannot read {path} ({error}); "
                "expected what a run wrote there; delete it and run again"
            ) from error
        self.hashes: Hashes = batch.column(0).to_numpy()
        self.rows: npt.NDArray[np.int32] = batch.column(1).to_numpy()

    def of(self, first_bytes: range) -> slice:
        return slice(self.bounds[first_bytes.start], self.bounds[first_bytes.stop])


def repeated(shards: Sequence[KeyShard], part: Part) -> pa.Table:
    """Returns which documents share a hash of one range, as `hash` and `document`, by hash.

    Each hash in it occurs twice or more; `document` is a document number.
    """
    mapped = [_Mapped(shard) for shard in shards]
    found = [pair for run in _runs(mapped, part) for pair in _repeated_in(mapped, run)]
    hashes = np.concatenate([np.empty(0, np.uint64), *(pair[0] for pair in found)])
    documents = np.concatenate([np.empty(0, np.int64), *(pair[1] for pair in found)])
    return pa.table({HASH: hashes, DOCUMENT: documents})


def _runs(mapped: Sequence[_Mapped], part: Part) -> Iterator[range]:
    """Cuts a range of first bytes into runs of about `_TOGETHER` hashes."""
    begin, waiting = part.first_bytes.start, 0
    for byte in part.first_bytes:
        size = sum(one.bounds[byte + 1] - one.bounds[byte] for one in mapped)
        if waiting and waiting + size > _TOGETHER:
            yield range(begin, byte)
            begin, waiting = byte, 0
        waiting += size
    if waiting:
        yield range(begin, part.first_bytes.stop)


def _repeated_in(
    mapped: Sequence[_Mapped], run: range
) -> Iterator[tuple[Hashes, npt.NDArray[np.int64]]]:
    size = sum(one.bounds[run.stop] - one.bounds[run.start] for one in mapped)
    repeats = Repeats(size, size * 64)  # memory for all the bits that it likes to have
    for one in mapped:
        repeats.count(one.hashes[one.of(run)])
    hashes, documents = [np.empty(0, np.uint64)], [np.empty(0, np.int64)]
    for one in mapped:
        here = one.hashes[one.of(run)]
        told = repeats.told(here)
        hashes.append(here[told])
        documents.append(document_numbers(one.shard, one.rows[one.of(run)][told]))
    told_hashes = np.concatenate(hashes)
    order = np.argsort(told_hashes, kind="stable")
    ordered = told_hashes[order]
    twice = np.zeros(len(ordered), np.bool_)
    twice[1:] = ordered[1:] == ordered[:-1]
    twice[:-1] |= twice[1:]
    yield ordered[twice], np.concatenate(documents)[order[twice]]


def grouped(stage: GlobalStage, shards: Sequence[KeyShard], scratch: Scratch) -> Iterator[pa.Table]:
    """Yields what the stage's `group` found in each range; it is called here if it was not yet."""
    for path in scratch.groups:
        yield read_shard(path)
    if not scratch.groups:
        yield stage.group(shards, Part(0, 1), scratch)


def repeated_documents(groups: Iterable[pa.Table]) -> npt.NDArray[np.int64]:
    """Returns the document numbers in what `repeated` found, ascending, each once."""
    found = [table.column(DOCUMENT).to_numpy() for table in groups]
    return np.unique(np.concatenate([np.empty(0, np.int64), *found]))


def insert_documents(
    database: "duckdb.DuckDBPyConnection",
    shards: Sequence[KeyShard],
    documents: npt.NDArray[np.int64],
    columns: tuple[str, Sequence[str]],
) -> None:
    """Inserts what the keys say of some documents into a table of the database.

    Args:
        database: Where the table is.
        shards: The keys of all shards.
        documents: int64[n], document numbers, ascending.
        columns: Name of the table, and the names of its columns that the keys have; its columns
            are `document`, `fixed` (of an earlier dataset), and these.
    """
    table, names = columns
    for shard in shards:
        first = np.searchsorted(documents, np.array([shard.shard, shard.shard + 1]) << 32)
        mine = documents[first[0] : first[1]]
        if not len(mine):
            continue
        keys = read_keys(shard)
        at = np.searchsorted(keys.column(ROW).to_numpy(), place_of(mine)[1])
        found = keys.select(list(names)).take(pa.array(at))
        values = {name: found.column(name) for name in names}
        fixed = pa.repeat(pa.scalar(shard.fixed), len(mine))
        insert(database, table, {"document": pa.array(mine), "fixed": fixed} | values)
