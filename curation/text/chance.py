"""Chance that depends on nothing but a key and a count: the n-th draw of a key is always the same.

The finalizer of SplitMix64 mixes the key plus n times an odd constant. There is no state, so draws
can be taken in any order, on any machine, by the kernel or by its twin.

Source: Steele, Lea and Flood 2014, "Fast splittable pseudorandom number generators"; the constants
are those of Stafford's variant 13.
"""

import hashlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean_inlined

Keys = npt.NDArray[np.uint64]

_STEP, _FIRST, _SECOND = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB
_ALL = (1 << 64) - 1

_STEP64, _FIRST64, _SECOND64 = np.uint64(_STEP), np.uint64(_FIRST), np.uint64(_SECOND)
_30, _27, _31, _32, _ONE = (np.uint64(number) for number in (30, 27, 31, 32, 1))


@lean_inlined
def draw(key: np.uint64, count: int) -> np.uint64:
    """Returns 64 random bits: draw number `count`, 0 or more, of a key."""
    mixed = key + (np.uint64(count) + _ONE) * _STEP64
    mixed = (mixed ^ (mixed >> _30)) * _FIRST64
    mixed = (mixed ^ (mixed >> _27)) * _SECOND64
    return np.uint64(mixed ^ (mixed >> _31))


@lean_inlined
def below(bits: np.uint64, number: int) -> int:
    """Returns a number from 0, below `number` (at most 2**31), of random bits.

    Source: Lemire 2019, "Fast random integer generation in an interval"; the bias, below 2**-32 of
    a share, is left in.
    """
    return int64(((bits >> _32) * np.uint64(number)) >> _32)


def plain_draw(key: int, count: int) -> int:
    """Returns what `draw` does, in plain Python.

    Examples:
        >>> plain_draw(0, 0) == 0xE220A8397B1DCDAF  # the first output of SplitMix64 with seed 0
        True
    """
    mixed = (key + (count + 1) * _STEP) & _ALL
    mixed = ((mixed ^ (mixed >> 30)) * _FIRST) & _ALL
    mixed = ((mixed ^ (mixed >> 27)) * _SECOND) & _ALL
    return mixed ^ (mixed >> 31)


def plain_below(bits: int, number: int) -> int:
    """Returns what `below` does, in plain Python."""
    return ((bits >> 32) * number) >> 32


def keys_of(seed: int, names: Sequence[str], purpose: str) -> Keys:
    """Returns a key for each name: uint64[n], from seed, name and purpose alone.

    Args:
        seed: Of the recipe or the stage, 0 or more, below 2**63.
        names: n names, such as doc_ids.
        purpose: What is drawn for; other purposes have other keys.
    """
    start = hashlib.blake2b(digest_size=8, key=seed.to_bytes(8, "little"))
    start.update(purpose.encode() + b"\0")
    keys = bytearray()
    for name in names:
        digest = start.copy()
        digest.update(name.encode())
        keys += digest.digest()
    return np.frombuffer(bytes(keys), "<u8").astype(np.uint64)


def bounds_of(rates: Sequence[float]) -> Keys:
    """Returns below which bits each of several things happens: uint64[n], cumulative.

    A draw of at least the last bound means that nothing does.

    Args:
        rates: Probabilities, whose sum is at most 1.
    """
    sums = np.cumsum(np.array(rates, np.float64))
    return np.array([min(int(float(one) * 2.0**64), _ALL) for one in sums], np.uint64)


@lean_inlined
def chosen(bits: np.uint64, bounds: Keys) -> int:
    """Returns the first thing whose bound lies above the bits; the bits are below the last."""
    place = 0
    while bits >= bounds[place]:
        place += 1
    return place
