"""Grouping by key over all shards, within bounded memory: what the global stages share.

Most keys of a corpus occur once. `Repeats` finds in two linear passes which may occur twice, in a
fixed number of bits, and only those go to DuckDB, which groups and sorts them exactly and spills.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.errors import DataError
from curation.schema import DECISION
from curation.stage import KeyShard, Scratch
from curation.text.jit import kernel

if TYPE_CHECKING:
    import duckdb

_BITS_PER_KEY = 16
_LEAST_BITS = 1 << 16


@contextmanager
def open_database(scratch: Scratch) -> "Iterator[duckdb.DuckDBPyConnection]":
    """Opens a database in memory that spills into a directory of its own, gone afterwards.

    It takes half of the memory of `scratch`; the other half is for arrays.

    Raises:
        DataError: Memory and disk are full.
    """
    import duckdb  # late: its extension module complains at the end of a process that ran Prefect

    spill = scratch.directory / "duckdb"
    settings: dict[str, str | bool | int | float | list[str]] = {
        "threads": str(scratch.threads),
        "memory_limit": f"{max(scratch.memory_bytes // 2 >> 20, 64)}MiB",
        "temp_directory": str(spill),
        "preserve_insertion_order": "false",  # costs memory; every answer here is ordered
        "autoinstall_known_extensions": "false",  # nothing is fetched at run time
    }
    connection = duckdb.connect(":memory:", config=settings)
    try:
        yield connection
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise DataError(
            f"grouping of keys in {scratch.directory}: {str(error).splitlines()[0]}; expected room "
            f"to spill what does not fit into {settings['memory_limit']}; free some disk space"
        ) from error
    finally:
        connection.close()
        shutil.rmtree(spill, ignore_errors=True)


def read_keys(shard: KeyShard) -> pa.Table:
    """Returns the keys of one shard as they lie on the disk, memory-mapped.

    Raises:
        DataError: The file is missing or is no Arrow file.
    """
    try:
        return pa.ipc.open_file(pa.memory_map(str(shard.path))).read_all()
    except (OSError, pa.ArrowInvalid) as error:
        raise DataError(
            f"keys of shard {shard.shard}: cannot read {shard.path} ({error}); "
            f"expected an Arrow IPC file; delete it and run again"
        ) from error


def document_numbers(shard: int, rows: npt.NDArray[np.int32]) -> npt.NDArray[np.int64]:
    """Returns one number for each document of a shard, from which `place_of` reads it back."""
    return (np.int64(shard) << 32) | rows.astype(np.int64)


def place_of(
    documents: npt.NDArray[np.int64],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """Returns the shards, int32[n], and the rows in them, int64[n], of document numbers."""
    return (documents >> 32).astype(np.int32), documents & 0xFFFFFFFF


def insert(connection: "duckdb.DuckDBPyConnection", table: str, columns: Mapping[str, Any]) -> None:
    """Appends columns, by position, to a table of the database."""
    connection.register("arriving", pa.table(dict(columns)))
    connection.execute(f"INSERT INTO {table} SELECT * FROM arriving")  # noqa: S608 - our own name
    connection.unregister("arriving")


class Repeats:
    """Says of 64-bit keys that were counted whether they may occur more than once.

    A key that occurs twice is always told; one that occurs once is told too where it shares a bit
    with another, seldom while there are `_BITS_PER_KEY` bits for each key.
    """

    def __init__(self, keys: int, memory_bytes: int) -> None:
        """Makes room for a number of keys in at most a quarter of the memory."""
        most = max(memory_bytes // 4 * 8 // 2, _LEAST_BITS)
        bits = _LEAST_BITS
        while bits < keys * _BITS_PER_KEY and bits * 2 <= most:
            bits *= 2
        self._once = np.zeros(bits // 8, np.uint8)
        self._twice = np.zeros(bits // 8, np.uint8)

    def count(self, keys: npt.NDArray[np.uint64]) -> None:
        """Counts keys, of any shape, one way or the other evenly spread."""
        _count_keys(keys.reshape(-1), self._once, self._twice)

    def told(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Returns a boolean array of the shape of `keys`: may each occur more than once?"""
        return _told_keys(keys.reshape(-1), self._twice).reshape(keys.shape)


@kernel
def _count_keys(
    keys: npt.NDArray[np.uint64], once: npt.NDArray[np.uint8], twice: npt.NDArray[np.uint8]
) -> None:
    mask = np.uint64(len(once) * 8 - 1)
    for key in keys:
        place = key & mask
        byte, bit = place >> np.uint64(3), np.uint8(1 << (place & np.uint64(7)))
        if once[byte] & bit:
            twice[byte] |= bit
        else:
            once[byte] |= bit


@kernel
def _told_keys(keys: npt.NDArray[np.uint64], twice: npt.NDArray[np.uint8]) -> npt.NDArray[np.bool_]:
    mask = np.uint64(len(twice) * 8 - 1)
    told = np.empty(len(keys), np.bool_)
    for k in range(len(keys)):
        place = keys[k] & mask
        told[k] = (twice[place >> np.uint64(3)] >> (place & np.uint64(7))) & np.uint8(1)
    return told


def insert_repeats(
    database: "duckdb.DuckDBPyConnection",
    shards: Sequence[KeyShard],
    keys_of: Callable[[pa.Table], npt.NDArray[np.uint64]],
    columns: tuple[str, Sequence[str]],
    memory_bytes: int,
) -> None:
    """Inserts the documents of all shards whose key may occur more than once.

    Args:
        database: Where the table is.
        shards: The key files.
        keys_of: Returns the key of each row of such a file, uint64[n].
        columns: Name of the table, and of its columns that the files have; its first column is
            `document`, the document number.
        memory_bytes: What the stage may use; a quarter is taken.
    """
    table, names = columns
    repeats = Repeats(sum(read_keys(shard).num_rows for shard in shards), memory_bytes)
    for shard in shards:
        repeats.count(keys_of(read_keys(shard)))
    for shard in shards:
        found = read_keys(shard)
        found = found.filter(pa.array(repeats.told(keys_of(found))))
        numbers = document_numbers(shard.shard, found.column("row").to_numpy())
        values = {name: found.column(name) for name in names}
        insert(database, table, {"document": pa.array(numbers)} | values)


def decisions(table: pa.Table, **constants: Any) -> pa.Table:
    """Returns a DECISION table from the columns that a stage found and those that are constant."""
    columns = [
        table.column(field.name)
        if field.name in table.column_names
        else pa.repeat(pa.scalar(constants.get(field.name), field.type), table.num_rows)
        for field in DECISION
    ]
    return pa.table(columns, names=DECISION.names).cast(DECISION)
