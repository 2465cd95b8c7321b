"""Finding similar sets in a crowd without comparing each pair: an index of their rarest members.

Two sets that share `a` members or more, both written with the rarest members first, share one of
the first `len - a + 1` of each. How many must be shared follows from the threshold and both sizes,
so the index has a list for each member and class of sizes: a text made from a template that a
thousand others share looks up what is its own, finds nothing there, and meets none of them. And
where two sets share a member for the first time, what follows it in both bounds what they share.

Source: Chaudhuri, Ganti and Kaushik 2006, "A primitive operator for similarity joins in data
cleaning"; lists by size as in Xiao et al. 2008, "Efficient similarity joins for near duplicate
detection", and its bound by position. Differs: members count as rare by a table of a fixed size,
which is exact all the same, because any order of the members will do.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jaccard import needed_overlap
from curation.text.jit import inlined, int64, kernel, subroutine

_MOST_SLOTS = 1 << 28
_MIX = np.uint64(0x9E3779B97F4A7C15)


class PrefixIndex(NamedTuple):
    """Sets by their rarest members; made by `make_index`."""

    counts: npt.NDArray[np.uint16]
    """uint16[2^k]: how often the members of each slot occur."""
    heads: npt.NDArray[np.int32]
    """int32[2^k]: the last entry of each list; -1 for none."""
    before: npt.NDArray[np.int32]
    """int32[p]: the entry before each entry."""
    documents: npt.NDArray[np.int32]
    """int32[p]: whose entry it is."""
    members: npt.NDArray[np.uint64]
    """uint64[p]: the member."""
    positions: npt.NDArray[np.int32]
    """int32[p]: how many members of the document are rarer."""
    filled: npt.NDArray[np.int64]
    """int64[1]: how many entries there are."""
    classes: npt.NDArray[np.int64]
    """int64[c]: the smallest size of each class of sizes, ascending from 1."""
    keys: npt.NDArray[np.uint64]
    """uint64[largest size]: written over by each set."""


def size_classes(largest: int) -> npt.NDArray[np.int64]:
    """Returns the smallest sizes of classes that each span a twentieth, up to a largest size."""
    sizes = [1]
    while sizes[-1] <= largest:
        sizes.append(max(sizes[-1] + 1, sizes[-1] * 21 // 20))
    return np.array(sizes, np.int64)


def make_index(
    sets: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    threshold: float,
) -> PrefixIndex:
    """Makes an empty index for some sets, with room for all of them.

    Args:
        sets: uint64[m], in which the sets lie.
        starts: int64[n], where each starts.
        sizes: int64[n], the members of each.
        threshold: Jaccard similarity that is looked for.
    """
    members, entries = int(sizes.sum()), int(np.ceil(sizes * (1 - threshold) + 4).sum())
    counts = np.zeros(_slots(2 * members), np.uint16)
    _count_members(sets, starts, sizes, counts)
    largest = int(sizes.max(initial=1))
    return PrefixIndex(
        counts,
        np.full(_slots(2 * entries), -1, np.int32),
        np.empty(entries, np.int32),
        np.empty(entries, np.int32),
        np.empty(entries, np.uint64),
        np.empty(entries, np.int32),
        np.zeros(1, np.int64),
        size_classes(largest),
        np.empty(largest, np.uint64),
    )


def _slots(least: int) -> int:
    return min(1 << max(least - 1, 1).bit_length(), _MOST_SLOTS)


@kernel
def _count_members(
    sets: npt.NDArray[np.uint64],
    starts: npt.NDArray[np.int64],
    sizes: npt.NDArray[np.int64],
    counts: npt.NDArray[np.uint16],
) -> None:
    mask = np.uint64(len(counts) - 1)
    for k in range(len(starts)):
        for value in sets[starts[k] : starts[k] + sizes[k]]:
            if counts[value & mask] < 0xFFFF:
                counts[value & mask] += np.uint16(1)


@subroutine
def put_rarest_first(own: npt.NDArray[np.uint64], index: PrefixIndex) -> None:
    """Writes the members of a set into `index.keys`, as numbers that are smaller if rarer.

    Members that become the same number count as one; that only adds sets to look at.
    """
    mask = np.uint64(len(index.counts) - 1)
    for k in range(len(own)):
        count = np.uint64(index.counts[own[k] & mask])
        index.keys[k] = (count << np.uint64(48)) | (own[k] >> np.uint64(16))
    index.keys[: len(own)].sort()


@inlined
def class_of(size: int, index: PrefixIndex) -> int:
    """Returns the class of sizes that a size is in."""
    found = 0
    while found + 1 < len(index.classes) and index.classes[found + 1] <= size:
        found += 1
    return found


@inlined
def smallest_partner(size: int, threshold: float) -> int:
    """Returns a size below which no set can be similar to one of a given size."""
    return max(1, int64(math.ceil(size * threshold)) - 1)


@inlined
def slot_of(key: np.uint64, size_class: int, index: PrefixIndex) -> int:
    """Returns in which list the sets of a class of sizes are that have a member."""
    mixed = (key ^ (np.uint64(size_class) * np.uint64(0xD6E8FEB86659FD93))) * _MIX
    return int64((mixed >> np.uint64(32)) & np.uint64(len(index.heads) - 1))


@subroutine
def insert_set(
    document: int, own: npt.NDArray[np.uint64], threshold: float, index: PrefixIndex
) -> None:
    """Adds a set to the index, under those of its members by which a similar one can meet it."""
    put_rarest_first(own, index)
    size = len(own)
    size_class = class_of(size, index)
    shared = needed_overlap(size, smallest_partner(size, threshold), threshold)
    for position in range(min(size, size - shared + 1)):
        slot = slot_of(index.keys[position], size_class, index)
        entry = index.filled[0]
        index.before[entry] = index.heads[slot]
        index.documents[entry] = document
        index.members[entry] = index.keys[position]
        index.positions[entry] = position
        index.heads[slot] = entry
        index.filled[0] += 1
