"""XXH64, the 64-bit hash behind shingles, bands and exact sets.

It is a published function of bytes with a fixed seed, so whatever we store can be checked with any
other implementation: `xxhash.xxh64_intdigest(data, seed)` gives the same number.

Source: Yann Collet, xxHash fast digest algorithm, https://github.com/Cyan4973/xxHash.
"""

import struct
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, kernel
from curation.text.memory import peek, word32, word64

_MASK = (1 << 64) - 1
_PRIMES = (
    0x9E3779B185EBCA87,
    0xC2B2AE3D27D4EB4F,
    0x165667B19E3779F9,
    0x85EBCA77C2B2AE63,
    0x27D4EB2F165667C5,
)

# numba keeps uint64 arithmetic exact only where no operand is a plain (signed) integer.
_P1, _P2, _P3, _P4, _P5 = (np.uint64(prime) for prime in _PRIMES)
_R1, _R7, _R11, _R12, _R18 = (np.uint64(by) for by in (1, 7, 11, 12, 18))
_R23, _R27, _R29, _R31, _R32, _R33 = (np.uint64(by) for by in (23, 27, 29, 31, 32, 33))
_BITS = np.uint64(64)


@inlined
def _rotate(value: np.uint64, by: np.uint64) -> np.uint64:
    return (value << by) | (value >> (_BITS - by))


@inlined
def _round(lane: np.uint64, word: np.uint64) -> np.uint64:
    return _rotate(lane + word * _P2, _R31) * _P1


@inlined
def _merge(state: np.uint64, lane: np.uint64) -> np.uint64:
    return (state ^ _round(np.uint64(0), lane)) * _P1 + _P4


@inlined
def _stripes(data: npt.NDArray[np.uint8], begin: int, end: int, seed: np.uint64) -> np.uint64:
    one, two, three, four = seed + _P1 + _P2, seed + _P2, seed, seed - _P1
    for at in range(begin, end - 31, 32):
        one = _round(one, word64(data, at))
        two = _round(two, word64(data, at + 8))
        three = _round(three, word64(data, at + 16))
        four = _round(four, word64(data, at + 24))
    state = _rotate(one, _R1) + _rotate(two, _R7) + _rotate(three, _R12) + _rotate(four, _R18)
    return _merge(_merge(_merge(_merge(state, one), two), three), four)


@inlined
def xxh64(data: npt.NDArray[np.uint8], begin: int, end: int, seed: np.uint64) -> np.uint64:
    """Returns the XXH64 of `data[begin:end]`.

    Args:
        data: uint8[n].
        begin: First byte.
        end: Position after the last byte, at most n.
        seed: uint64.
    """
    size = end - begin
    at = begin
    if size >= 32:
        state = _stripes(data, begin, end, seed)
        at += size & ~31
    else:
        state = seed + _P5
    state += np.uint64(size)
    while at + 8 <= end:
        state = _rotate(state ^ _round(np.uint64(0), word64(data, at)), _R27) * _P1 + _P4
        at += 8
    if at + 4 <= end:
        state = _rotate(state ^ (word32(data, at) * _P1), _R23) * _P2 + _P3
        at += 4
    while at < end:
        state = _rotate(state ^ (np.uint64(peek(data, at)) * _P5), _R11) * _P1
        at += 1
    state = (state ^ (state >> _R33)) * _P2
    state = (state ^ (state >> _R29)) * _P3
    return state ^ (state >> _R32)


@kernel
def xxh64_rows(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], seed: int
) -> npt.NDArray[np.uint64]:
    """Returns uint64[n], the XXH64 of each of n texts (`data[offsets[k] : offsets[k + 1]]`)."""
    hashes = np.empty(len(offsets) - 1, np.uint64)
    for row in range(len(hashes)):
        hashes[row] = xxh64(data, offsets[row], offsets[row + 1], np.uint64(seed))
    return hashes


def plain_xxh64(data: bytes, seed: int = 0) -> int:
    """Returns the XXH64 of some bytes: what the kernel means, in plain Python.

    Examples:
        >>> hex(plain_xxh64(b""))
        '0xef46db3751d8e999'
    """
    one, two, three, four, five = _PRIMES
    at = len(data) & ~31
    state = _plain_stripes(data[:at], seed) if at else seed + five
    state += len(data)
    for (word,) in struct.iter_unpack("<Q", data[at : len(data) & ~7]):
        state = _plain_rotate(state ^ _plain_round(0, word), 27) * one + four
    at = len(data) & ~7
    if len(data) & 4:
        state ^= struct.unpack_from("<I", data, at)[0] * one & _MASK
        state = _plain_rotate(state, 23) * two + three
        at += 4
    for byte in data[at:]:
        state = _plain_rotate(state ^ (byte * five), 11) * one
    for shift, prime in ((33, two), (29, three)):
        state = ((state & _MASK) ^ ((state & _MASK) >> shift)) * prime
    return (state & _MASK) ^ ((state & _MASK) >> 32)


def _plain_rotate(value: int, by: int) -> int:
    value &= _MASK
    return (value << by | value >> (64 - by)) & _MASK


def _plain_round(lane: int, word: int) -> int:
    return _plain_rotate(lane + word * _PRIMES[1], 31) * _PRIMES[0] & _MASK


def _plain_stripes(data: bytes, seed: int) -> int:
    one, two = _PRIMES[:2]
    lanes = [seed + one + two, seed + two, seed, seed - one]
    for words in struct.iter_unpack("<4Q", data):
        lanes = [_plain_round(lane, word) for lane, word in zip(lanes, words, strict=True)]
    state: Any = sum(map(_plain_rotate, lanes, (1, 7, 12, 18)))
    for lane in lanes:
        state = (state ^ _plain_round(0, lane)) * one + _PRIMES[3] & _MASK
    return int(state)
