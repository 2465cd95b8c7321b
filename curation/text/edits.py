"""Edit distance of long texts: exact, 64 cells at a time, only as wide a band as is needed.

The distance of Levenshtein: insertions, deletions and replacements of characters (or of words). A
column of the matrix is kept as differences in the bits of machine words; what lies farther from the
diagonal than the distance can be is not computed. The band starts where the caller guesses and
doubles until the distance fits into it.

Sources: Myers 1999, "A fast bit-vector algorithm for approximate string matching based on dynamic
programming", in blocks as in Hyyro 2003; the band is Ukkonen's (1985).
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curation.text.chars import char_at, skip_space, skip_word
from curation.text.jit import int64, kernel, lean
from curation.text.xxh64 import xxh64

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

UNKNOWN = -1
"""Distance of texts whose comparison would have taken more than was allowed."""

_BITS = 64
_FIRST_BAND = 32
_ZERO, _ONE, _ALL = np.uint64(0), np.uint64(1), np.uint64(0xFFFFFFFFFFFFFFFF)
_TOP = np.uint64(63)


@kernel
def distance(left: Keys, right: Keys, guess: int, most_steps: int) -> int:
    """Returns the edit distance of two sequences, or `UNKNOWN`.

    Args:
        left: uint64[n], what is compared: code points, or hashes of words.
        right: uint64[m].
        guess: What the distance may be at most; a wrong guess costs time alone.
        most_steps: Blocks of 64 cells that may be computed in all.
    """
    first = 0
    while first < min(len(left), len(right)) and left[first] == right[first]:
        first += 1
    end, stop = len(left), len(right)
    while end > first and stop > first and left[end - 1] == right[stop - 1]:
        end -= 1
        stop -= 1
    left, right = left[first:end], right[first:stop]
    if len(left) == 0 or len(right) == 0:
        return max(len(left), len(right))
    numbers = _numbered(left, right)
    blocks = (len(left) + _BITS - 1) // _BITS
    peq = np.zeros((numbers.max() + 1) * blocks, np.uint64)
    for k in range(len(left)):
        peq[numbers[k] * blocks + k // _BITS] |= _ONE << np.uint64(k % _BITS)
    ups, downs = np.empty(blocks, np.uint64), np.empty(blocks, np.uint64)
    scores = np.empty(blocks, np.int64)
    band = max(guess, _FIRST_BAND, abs(len(left) - len(right)))
    while True:
        band = min(band, max(len(left), len(right)))
        most_steps -= len(right) * (min(2 * band // _BITS + 2, blocks))
        if most_steps < 0:
            return UNKNOWN
        found = _banded(peq, numbers[len(left) :], len(left), band, ups, downs, scores)
        if found <= band:
            return found
        band *= 2


@kernel
def _numbered(left: Keys, right: Keys) -> Ints:
    """Returns small numbers for the items of both sequences, equal ones for equal items."""
    slots = 16
    while slots < 2 * (len(left) + len(right)):
        slots *= 2
    table = np.full(slots, -1, np.int64)
    seen = np.empty(len(left) + len(right), np.uint64)
    numbers = np.empty(len(left) + len(right), np.int64)
    mask = np.uint64(slots - 1)
    count = 0
    for k in range(len(numbers)):
        item = left[k] if k < len(left) else right[k - len(left)]
        slot = (item * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(17)) & mask
        while table[slot] >= 0 and seen[table[slot]] != item:
            slot = (slot + _ONE) & mask
        if table[slot] < 0:
            table[slot] = count
            seen[count] = item
            count += 1
        numbers[k] = table[slot]
    return numbers


@lean
def _banded(  # noqa: PLR0913 - a kernel
    peq: Keys, right: Ints, rows: int, band: int, ups: Keys, downs: Keys, scores: Ints
) -> int:
    """Returns the distance if it is within the band, else something larger."""
    blocks = len(ups)
    last = min(blocks - 1, band // _BITS)
    for block in range(last + 1):
        ups[block], downs[block] = _ALL, _ZERO
        scores[block] = (block + 1) * _BITS
    for column in range(len(right)):
        first = max(0, column + 1 - band - 1) // _BITS
        if first >= blocks:
            return band + 1 + rows
        wanted = min(blocks - 1, (column + 1 + band) // _BITS)
        while last < wanted:
            last += 1
            ups[last], downs[last] = _ALL, _ZERO
            scores[last] = scores[last - 1] + _BITS
        carry = 1
        for block in range(first, last + 1):
            carry = _advance(peq, right[column] * blocks + block, block, carry, ups, downs)
            scores[block] += carry
    if last < blocks - 1:
        return band + 1 + rows
    found = int64(scores[blocks - 1])
    for bit in range(rows - (blocks - 1) * _BITS, _BITS):
        found -= int64((ups[blocks - 1] >> np.uint64(bit)) & _ONE)
        found += int64((downs[blocks - 1] >> np.uint64(bit)) & _ONE)
    return found


@lean
def _advance(peq: Keys, place: int, block: int, carry: int, ups: Keys, downs: Keys) -> int:
    """Computes a block of a column; returns the difference at its last row to the column before."""
    up, down, equal = ups[block], downs[block], peq[place]
    above = _ONE if carry < 0 else _ZERO
    vertical = equal | down
    equal |= above
    horizontal = (((equal & up) + up) ^ up) | equal
    rise = down | ~(horizontal | up)
    fall = up & horizontal
    out = int64(rise >> _TOP) - int64(fall >> _TOP)
    rise = (rise << _ONE) | (_ONE if carry > 0 else _ZERO)
    fall = (fall << _ONE) | above
    ups[block] = fall | ~(vertical | rise)
    downs[block] = rise & vertical
    return out


@kernel
def _characters(data: Bytes, at: int, end: int) -> Keys:
    found = np.empty(end - at, np.uint64)
    count = 0
    while at < end:
        code, at = char_at(data, at, end)
        found[count] = code
        count += 1
    return found[:count]


@kernel
def _hashed_words(data: Bytes, at: int, end: int) -> Keys:
    found = np.empty((end - at) // 2 + 1, np.uint64)
    count = 0
    at = skip_space(data, at, end)
    while at < end:
        stop = skip_word(data, at, end)
        found[count] = xxh64(data, at, stop, _ZERO)
        count += 1
        at = skip_space(data, stop, end)
    return found[:count]


@kernel
def text_distances(
    offsets: Ints, data: Bytes, other_offsets: Ints, other_data: Bytes, guesses: Ints,
    most_steps: int,
) -> Ints:  # fmt: skip
    """Compares n texts with n others, by characters and by words.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        other_offsets: int64[n + 1], of the others.
        other_data: uint8, UTF-8.
        guesses: int64[n], what each distance may be at most; a wrong guess costs time alone.
        most_steps: Blocks of 64 cells that a comparison may take.

    Returns:
        int64[n, 4]: distance and length in characters, distance and length in words; lengths are
        those of the texts. A distance is `UNKNOWN` where it would have taken more.
    """
    rows = len(offsets) - 1
    found = np.empty((rows, 4), np.int64)
    for row in range(rows):
        start, end = offsets[row], offsets[row + 1]
        begin, stop = other_offsets[row], other_offsets[row + 1]
        chars, words = _characters(data, start, end), _hashed_words(data, start, end)
        found[row, 1], found[row, 3] = len(chars), len(words)
        others = _characters(other_data, begin, stop)
        found[row, 0] = distance(chars, others, guesses[row], most_steps)
        others = _hashed_words(other_data, begin, stop)
        found[row, 2] = distance(words, others, guesses[row], most_steps)
    return found


def plain_distance(left: Sequence[object], right: Sequence[object]) -> int:
    """Returns the edit distance in plain Python: the meaning of the kernel.

    Examples:
        >>> plain_distance("kitten", "sitting")
        3
    """
    costs = list(range(len(right) + 1))
    for row, one in enumerate(left, 1):
        before, costs[0] = costs[0], row
        for column, other in enumerate(right, 1):
            before, costs[column] = costs[column], min(
                costs[column] + 1, costs[column - 1] + 1, before + (one != other)
            )  # fmt: skip
    return costs[-1]
