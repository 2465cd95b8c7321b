"""Exact Jaccard similarity of documents, as sets of 64-bit shingle hashes in ascending order."""

import math

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel
from curation.text.shingles import hash_shingles, make_workspace, plain_shingle_hashes

_SMALL = 64
_MOST_SLOTS = 1 << 28


@inlined
def _insertion_sort(values: npt.NDArray[np.uint64]) -> None:
    for k in range(1, len(values)):
        value = values[k]
        at = k
        while at > 0 and values[at - 1] > value:
            values[at] = values[at - 1]
            at -= 1
        values[at] = value


@inlined
def _sort_hashes(
    hashes: npt.NDArray[np.uint64],
    spread: npt.NDArray[np.uint64],
    counts: npt.NDArray[np.int64],
) -> None:
    """Sorts hashes into `spread`: by their leading bits, as hashes spread evenly, then in place.

    Three times as fast as a comparison sort. Groups that chance would not make so large (repeats,
    or a text written to collide) are sorted by comparison, so that it never becomes quadratic.
    """
    bits = 0
    while (2 << bits) < len(hashes):
        bits += 1
    shift = np.uint64(63 - bits)
    groups = 2 << bits
    counts[: groups + 1] = 0
    for value in hashes:
        counts[int64(value >> shift) + 1] += 1
    for group in range(groups):
        counts[group + 1] += counts[group]
    for value in hashes:
        group = int64(value >> shift)
        spread[counts[group]] = value
        counts[group] += 1
    begin = 0
    for group in range(groups):
        end = counts[group]
        if end - begin > _SMALL:
            spread[begin:end].sort()
        elif end - begin > 1:
            _insertion_sort(spread[begin:end])
        begin = end


@inlined
def _drop_repeats(values: npt.NDArray[np.uint64]) -> int:
    kept = min(1, len(values))
    for k in range(1, len(values)):
        if values[k] != values[k - 1]:
            values[kept] = values[k]
            kept += 1
    return kept


@kernel
def shingle_sets(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], ngram: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Returns the sets of shingle hashes of n texts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        ngram: Tokens in a shingle, 1 or more.

    Returns:
        uint64[m], the sets one after another, each ascending and without repeats; and
        int64[n + 1], where each starts.
    """
    room = make_workspace(offsets)
    counts = np.empty(2 * len(room.hashes) + 2, np.int64)
    sets = np.empty((offsets[-1] - offsets[0]) // 2 + len(offsets), np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    for row in range(len(offsets) - 1):
        count = hash_shingles(data[offsets[row] : offsets[row + 1]], ngram, room)
        begin = bounds[row]
        if count:
            _sort_hashes(room.hashes[:count], sets[begin : begin + count], counts)
        bounds[row + 1] = begin + _drop_repeats(sets[begin : begin + count])
    return sets[: bounds[-1]].copy(), bounds


@inlined
def _count_members(sets: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint8]:
    """Returns how often each hash occurs, up to 255; hashes that share a slot count together."""
    slots = 1 << 16
    while slots < 4 * len(sets) and slots < _MOST_SLOTS:
        slots *= 2
    mask = np.uint64(slots - 1)
    counts = np.zeros(slots, np.uint8)
    for value in sets:
        if counts[value & mask] < 255:
            counts[value & mask] += np.uint8(1)
    return counts


@inlined
def _name(value: np.uint64, count: np.uint8) -> np.uint64:
    rarity = np.uint64(0)
    while count > 1:
        count >>= np.uint8(1)
        rarity += np.uint64(1)
    return (rarity << np.uint64(61)) | (value >> np.uint64(3))


@kernel
def put_rarest_first(
    sets: npt.NDArray[np.uint64], starts: npt.NDArray[np.int64], sizes: npt.NDArray[np.int64]
) -> None:
    """Renames the members of all sets, in place, so that rare ones come first in ascending order.

    The three leading bits of a name become the logarithm of how many sets have the member, and
    the other 61 are those of its hash: equal members stay equal, and no others become so but for
    chance. Two documents that share a template but nothing else then differ in the members that
    `similarity_from` reads first, and are told apart in a fifth of the set.

    Args:
        sets: uint64[m], the sets, each ascending and without repeats.
        starts: int64[n], where each starts.
        sizes: int64[n], the members of each.
    """
    counts = _count_members(sets)
    mask = np.uint64(len(counts) - 1)
    spare = np.empty(sizes.max() if len(sizes) else 0, np.uint64)
    for document in range(len(starts)):
        own = sets[starts[document] : starts[document] + sizes[document]]
        for k in range(len(own)):
            spare[k] = _name(own[k], counts[own[k] & mask])
        filled = 0
        for rarity in range(8):  # names of one rarity are in ascending order already
            for name in spare[: len(own)]:
                if name >> np.uint64(61) == np.uint64(rarity):
                    own[filled] = name
                    filled += 1


@inlined
def similarity_from(
    one: npt.NDArray[np.uint64], two: npt.NDArray[np.uint64], threshold: float
) -> float:
    """Returns the Jaccard similarity of two sets, or -1 as soon as it must be below a threshold.

    Args:
        one: uint64[m], ascending, without repeats, not empty.
        two: uint64[n], like `one`.
        threshold: Above 0, at most 1.
    """
    # One less than what is needed, so that rounding here cannot lose a pair that just reaches it.
    needed = int64(math.ceil((len(one) + len(two)) * threshold / (1 + threshold))) - 1
    spare_one, spare_two = len(one) - needed, len(two) - needed
    if spare_one < 0 or spare_two < 0:
        return -1.0
    i = j = both = 0
    while i < len(one) and j < len(two):
        a, b = one[i], two[j]
        i += a <= b
        j += b <= a
        both += a == b
        if i - both > spare_one or j - both > spare_two:
            return -1.0
    similarity = both / (len(one) + len(two) - both)
    return similarity if similarity >= threshold else -1.0


@kernel
def jaccard(one: npt.NDArray[np.uint64], two: npt.NDArray[np.uint64], threshold: float) -> float:
    """Is `similarity_from` for Python; see there."""
    return similarity_from(one, two, threshold)


def plain_shingle_set(text: str, ngram: int) -> list[int]:
    """Returns the set of shingle hashes of one text, ascending: what the kernel means."""
    return sorted(set(plain_shingle_hashes(text, ngram)))


def plain_jaccard(one: set[int], two: set[int]) -> float:
    """Returns the share of two sets' members that are in both; 0 where both are empty.

    Examples:
        >>> plain_jaccard({1, 2, 3}, {2, 3, 4})
        0.5
    """
    union = len(one | two)
    return len(one & two) / union if union else 0.0
