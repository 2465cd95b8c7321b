"""Which slices of a text are equal, and which runs of them repeat: exact, and without objects.

Equal slices are found by a hash table with open addressing, and compared byte by byte, so that no
collision can change a score. A run of n slices can only repeat where the runs of n - 1 at its two
ends do: each length looks only at what repeated at the length before, so real text, where little
repeats, costs hardly more than its single words.

Work is bounded for every byte: a search looks at `MOST_PROBES` places at most. A longer way there
is met only by a text made to collide, and its slice then counts as one that does not repeat.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, lean, lean_inlined
from curation.text.memory import word64
from curation.text.scan import short_bytes

MOST_PROBES = 512
"""At half load, the longest way among 10^7 honest entries is about 100."""

LONGEST_TEXT = (1 << 31) - 16
"""Bytes of the longest text that the positions here can address."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Keys = npt.NDArray[np.uint64]

_P1, _P2 = np.uint64(0x9E3779B185EBCA87), np.uint64(0xC2B2AE3D27D4EB4F)
_R32, _R56 = np.uint64(32), np.uint64(56)
_ZERO, _ONE, _HASHED = np.uint64(0), np.uint64(1), np.uint64(1 << 63)


class Slices(NamedTuple):
    """Room for the slices of one text: words, lines or paragraphs."""

    starts: Ints
    """int32[s], first byte of each."""
    stops: Ints
    """int32[s], position after the last byte of each."""
    keys: Keys
    """uint64[s], equal for equal slices; made by `key_of`."""
    like: Ints
    """int32[s], number of the first slice that equals it; made by `group_slices`."""
    times: Ints
    """int32[s], at such a first slice: how many equal it, itself included; else 0."""


class Runs(NamedTuple):
    """Room for the places where runs of slices repeat, in the order of the text."""

    at: Ints
    """int32[s], number of the slice that a repeated run starts with."""
    like: Ints
    """int32[s], where the first equal run starts."""


class Groups(NamedTuple):
    """What `group_runs` works with."""

    slots: Keys
    """uint64[2**k, 2], the hash table: keys (0: free) and numbers; `table_size` says how long."""
    begun: Ints
    """int32[s], the candidates: places in the list of shorter runs."""
    like: Ints
    """int32[s], number of the first candidate that equals each."""
    times: Ints
    """int32[s], at such a first candidate: how many equal it."""


@inlined
def make_slices(most: int) -> Slices:
    """Makes room for `most` slices."""
    size = most + 2
    return Slices(
        np.empty(size, np.int32),
        np.empty(size, np.int32),
        np.empty(size, np.uint64),
        np.empty(size, np.int32),
        np.empty(size, np.int32),
    )


@inlined
def make_runs(most: int) -> Runs:
    """Makes room for `most` repeated runs."""
    return Runs(np.empty(most + 2, np.int32), np.empty(most + 2, np.int32))


@inlined
def make_groups(most: int) -> Groups:
    """Makes the table and lists for `most` entries."""
    slots = np.empty((1 << _bits_for(most + 2), 2), np.uint64)
    size = most + 2
    return Groups(
        slots, np.empty(size, np.int32), np.empty(size, np.int32), np.empty(size, np.int32)
    )


@lean_inlined
def _bits_for(entries: int) -> int:
    bits = 4
    while (1 << bits) < 2 * entries:
        bits += 1
    return bits


@lean_inlined
def key_of(text: Bytes, start: int, stop: int) -> np.uint64:
    """Returns a number that is equal for equal slices, and never 0.

    Up to seven bytes are their own key, with their number in the top byte; longer slices have a
    hash, marked by the top bit, and need a comparison.
    """
    size = stop - start
    if size < 8:
        return short_bytes(text, start, stop) | np.uint64(size + 1) << _R56
    value = np.uint64(size) * _P2
    for at in range(start, stop - 8, 8):
        value = (value ^ word64(text, at)) * _P1
        value ^= value >> _R32
    value = (value ^ word64(text, stop - 8)) * _P1
    return (value ^ (value >> _R32)) | _HASHED


@lean_inlined
def _same(text: Bytes, starts: Ints, stops: Ints, one: int, other: int) -> bool:
    """Says whether two slices of eight bytes or more are equal."""
    first, second = int64(starts[one]), int64(starts[other])
    size = int64(stops[one]) - first
    if int64(stops[other]) - second != size:
        return False
    for at in range(0, size - 8, 8):
        if word64(text, first + at) != word64(text, second + at):
            return False
    return bool(word64(text, first + size - 8) == word64(text, second + size - 8))


@lean
def group_slices(text: Bytes, slices: Slices, number: int, slots: Keys) -> None:
    """Finds which of the first `number` slices of a text are equal: fills `like` and `times`.

    Args:
        text: uint8, the text.
        slices: With starts, stops and keys.
        number: How many slices there are.
        slots: uint64[2**k, 2], at least twice as long as `number`.
    """
    # Taken out of the tuple once: inside of a loop each look would count references.
    starts, stops, keys, like, times = slices
    bits = _bits_for(number)
    mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
    slots[: mask + 1] = _ZERO
    for k in range(number):
        key = keys[k]
        slot, found = int64(key * _P1 >> shift), k
        for _ in range(MOST_PROBES):
            there = slots[slot, 0]
            if there == key:
                other = int64(slots[slot, 1])
                if key < _HASHED or _same(text, starts, stops, k, other):
                    found = other
                    break
            elif there == _ZERO:
                slots[slot, 0] = key
                slots[slot, 1] = np.uint64(k)
                break
            slot = (slot + 1) & mask
        like[k] = found
        times[k] = 0
        times[found] += 1


@lean_inlined
def repeated_slices(slices: Slices, number: int, runs: Runs) -> int:
    """Lists the slices that stand more than once, as runs of one; returns how many there are."""
    (_, _, _, like, times), (at, first) = slices, runs
    found = 0
    for k in range(number):
        # Always written, kept by the sum: half of all words repeat, so a branch would be a guess.
        at[found] = k
        first[found] = like[k]
        found += times[like[k]] > 1
    return found


@lean
def group_runs(shorter: Runs, number: int, groups: Groups) -> int:
    """Finds which runs of n slices are equal, where the repeated ones of n - 1 are known.

    Args:
        shorter: The repeated runs of n - 1 slices.
        number: How many those are.
        groups: Gets the candidates, and which of them are equal.

    Returns:
        How many candidates there are.
    """
    (at, alike), (slots, begun, like, times) = shorter, groups
    found = 0
    for k in range(number - 1):
        begun[found] = k
        found += at[k + 1] == at[k] + 1
    bits = _bits_for(found)
    mask, shift = (1 << bits) - 1, np.uint64(64 - bits)
    slots[: mask + 1] = _ZERO
    for c in range(found):
        k = begun[c]
        # The two shorter runs that make a run tell it from any other: nothing to compare.
        key = (np.uint64(alike[k]) << _R32 | np.uint64(alike[k + 1])) + _ONE
        slot, first = int64(key * _P1 >> shift), c
        for _ in range(MOST_PROBES):
            there = slots[slot, 0]
            if there == key:
                first = int64(slots[slot, 1])
                break
            if there == _ZERO:
                slots[slot, 0] = key
                slots[slot, 1] = np.uint64(c)
                break
            slot = (slot + 1) & mask
        like[c] = first
        times[c] = 0
        times[first] += 1
    return found


@lean_inlined
def repeated_runs(shorter: Runs, number: int, groups: Groups, longer: Runs) -> int:
    """Lists the candidates that stand more than once; returns how many.

    Args:
        shorter: The runs that the candidates begin with.
        number: How many candidates there are.
        groups: What `group_runs` found.
        longer: Gets the list.
    """
    (_, begun, like, times), at, (to, first_at) = groups, shorter.at, longer
    found = 0
    for c in range(number):
        first = like[c]
        to[found] = at[begun[c]]
        first_at[found] = at[begun[first]]
        found += times[first] > 1
    return found
