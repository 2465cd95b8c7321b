"""A hash table of 64-bit keys that kernels look up: open addressing, no Python object per key.

A million keys take 24 MB at most. Keys are hashes already, so their low bits choose the slot.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel, subroutine
from curation.text.xxh64 import xxh64

ABSENT = -1
_FULLEST = 0.7
"""Share of slots in use, at most: a look-up of what is not there reads about six of them."""

_NONE, _ONE = np.uint64(0), np.uint64(1)


class KeyTable(NamedTuple):
    """Keys and a number for each; made by `make_table`."""

    keys: npt.NDArray[np.uint64]
    """uint64[2**k]; 0 marks a free slot."""
    values: npt.NDArray[np.int32]
    """int32[2**k], 0 or more where a slot is taken."""


def make_table(keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int32]) -> KeyTable:
    """Builds a table; of equal keys the first one's value counts.

    Args:
        keys: uint64[n], hashes that spread evenly.
        values: int32[n], 0 or more.
    """
    slots = 16
    while slots * _FULLEST < len(keys):
        slots *= 2
    table = KeyTable(np.zeros(slots, np.uint64), np.zeros(slots, np.int32))
    _fill(table, keys, values)
    return table


@kernel
def _fill(table: KeyTable, keys: npt.NDArray[np.uint64], values: npt.NDArray[np.int32]) -> None:
    mask = np.uint64(len(table.keys) - 1)
    for at in range(len(keys)):
        key = max(keys[at], _ONE)
        slot = key & mask
        while table.keys[slot] != _NONE and table.keys[slot] != key:
            slot = (slot + _ONE) & mask
        if table.keys[slot] == _NONE:
            table.keys[slot] = key
            table.values[slot] = values[at]


@inlined
def find(table: KeyTable, key: np.uint64) -> int:
    """Returns the value of a key, or `ABSENT`."""
    mask = np.uint64(len(table.keys) - 1)
    wanted = max(key, _ONE)
    slot = wanted & mask
    while table.keys[slot] != _NONE:
        if table.keys[slot] == wanted:
            return int64(table.values[slot])
        slot = (slot + _ONE) & mask
    return ABSENT


@subroutine
def look_up(table: KeyTable, data: npt.NDArray[np.uint8], at: int, end: int, seed: int) -> int:
    """Returns the value under the XXH64 of `data[at:end]`, or `ABSENT`."""
    return find(table, xxh64(data, at, end, np.uint64(seed)))
