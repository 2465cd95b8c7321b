"""BLAKE2b with digests of 128 bits, for kernels: where equal digests must mean equal bytes.

A hash such as XXH64 groups honest text; somebody who wants two lines to collide can make them do
so. Where a group decides what is cut out of a text, that must be out of reach. `hashlib.blake2b(
data, digest_size=16, person=person)` gives the same digests.

Source: RFC 7693, Saarinen and Aumasson 2015. Without keys, salts and trees.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, kernel

BLOCK_BYTES = 128
_IN_BLOCK = BLOCK_BYTES - 1

_SIGMA_ROWS = """
0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15
14 10 4 8 9 15 13 6 1 12 0 2 11 7 5 3
11 8 12 0 5 2 15 13 10 14 3 6 7 1 9 4
7 9 3 1 13 12 11 14 2 6 5 10 4 0 15 8
9 0 5 7 2 4 10 15 14 1 11 12 6 8 3 13
2 12 6 10 0 11 8 3 4 13 7 5 15 14 1 9
12 5 1 15 14 13 4 10 0 7 6 3 9 2 8 11
13 11 7 14 12 1 3 9 5 0 15 4 8 6 2 10
6 15 14 9 11 3 0 8 12 2 13 7 1 4 10 5
10 2 8 4 7 6 1 5 15 11 9 14 3 12 13 0
"""
_SIGMA = np.array([row.split() for row in _SIGMA_ROWS.split("\n") if row], np.uint8)
_SIGMA = np.concatenate([_SIGMA, _SIGMA[:2]])  # twelve rounds; the last two repeat the first two

_IV = (
    0x6A09E667F3BCC908,
    0xBB67AE8584CAA73B,
    0x3C6EF372FE94F82B,
    0xA54FF53A5F1D36F1,
    0x510E527FADE682D1,
    0x9B05688C2B3E6C1F,
    0x1F83D9ABFB41BD6B,
    0x5BE0CD19137E2179,
)
_IV0, _IV1, _IV2, _IV3, _IV4, _IV5, _IV6, _IV7 = (np.uint64(word) for word in _IV)
# Fan-out 1, depth 1, no key, digests of 16 bytes.
_START = np.array([_IV[0] ^ 0x01010010, *_IV[1:]], np.uint64)

_R16, _R24, _R32, _R63 = (np.uint64(by) for by in (16, 24, 32, 63))
_BITS = np.uint64(64)
_LAST = np.uint64(0xFFFFFFFFFFFFFFFF)

Words = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]


class Hasher(NamedTuple):
    """The state of one running digest; `words` and `block` are the same 128 bytes of input."""

    state: Words
    """uint64[8]; once finished, the digest is the first two words, each little-endian."""
    words: Words
    """uint64[16]."""
    block: Bytes
    """uint8[128]."""


@inlined
def make_hasher() -> Hasher:
    """Returns a hasher to be used again and again."""
    words = np.zeros(BLOCK_BYTES // 8, np.uint64)
    return Hasher(np.zeros(8, np.uint64), words, words.view(np.uint8))


@inlined
def start(hasher: Hasher, person_0: np.uint64, person_1: np.uint64) -> None:
    """Begins a digest in a domain of its own, named by 16 bytes (as two little-endian words)."""
    for k in range(8):  # numba takes seconds to compile the assignment of a slice
        hasher.state[k] = _START[k]
    hasher.state[6] ^= person_0
    hasher.state[7] ^= person_1


@inlined
def add_byte(hasher: Hasher, byte: int, size: int) -> int:
    """Adds a byte to a digest of `size` bytes so far; returns the new size.

    A full block waits for the next byte, because the last block is compressed differently.
    """
    place = size & _IN_BLOCK
    if place == 0 and size > 0:
        compress(hasher, np.uint64(size), np.uint64(0))
    hasher.block[place] = byte
    return size + 1


@inlined
def finish(hasher: Hasher, size: int) -> None:
    """Ends a digest of `size` bytes; it then stands in `hasher.state[:2]`."""
    begin = size & _IN_BLOCK
    if begin > 0 or size == 0:
        for at in range(begin, BLOCK_BYTES):
            hasher.block[at] = 0
    compress(hasher, np.uint64(size), _LAST)


@inlined
def _rotate(value: np.uint64, by: np.uint64) -> np.uint64:
    return (value >> by) | (value << (_BITS - by))


@inlined
def _mix(
    column: tuple[np.uint64, np.uint64, np.uint64, np.uint64], one: np.uint64, two: np.uint64
) -> tuple[np.uint64, np.uint64, np.uint64, np.uint64]:
    a, b, c, d = column
    a = a + b + one
    d = _rotate(d ^ a, _R32)
    c = c + d
    b = _rotate(b ^ c, _R24)
    a = a + b + two
    d = _rotate(d ^ a, _R16)
    c = c + d
    return a, _rotate(b ^ c, _R63), c, d


@kernel
def compress(hasher: Hasher, size: np.uint64, last: np.uint64) -> None:
    """Takes the block into the state; `size` counts the bytes so far, `last` is 0 or all ones."""
    state, m, _ = hasher
    v0, v1, v2, v3 = state[0], state[1], state[2], state[3]
    v4, v5, v6, v7 = state[4], state[5], state[6], state[7]
    v8, v9, v10, v11 = _IV0, _IV1, _IV2, _IV3
    v12, v13, v14, v15 = _IV4 ^ size, _IV5, _IV6 ^ last, _IV7
    for turn in range(12):
        s = _SIGMA[turn]
        v0, v4, v8, v12 = _mix((v0, v4, v8, v12), m[s[0]], m[s[1]])
        v1, v5, v9, v13 = _mix((v1, v5, v9, v13), m[s[2]], m[s[3]])
        v2, v6, v10, v14 = _mix((v2, v6, v10, v14), m[s[4]], m[s[5]])
        v3, v7, v11, v15 = _mix((v3, v7, v11, v15), m[s[6]], m[s[7]])
        v0, v5, v10, v15 = _mix((v0, v5, v10, v15), m[s[8]], m[s[9]])
        v1, v6, v11, v12 = _mix((v1, v6, v11, v12), m[s[10]], m[s[11]])
        v2, v7, v8, v13 = _mix((v2, v7, v8, v13), m[s[12]], m[s[13]])
        v3, v4, v9, v14 = _mix((v3, v4, v9, v14), m[s[14]], m[s[15]])
    for k, word in enumerate((v0 ^ v8, v1 ^ v9, v2 ^ v10, v3 ^ v11)):
        state[k] ^= word
    for k, word in enumerate((v4 ^ v12, v5 ^ v13, v6 ^ v14, v7 ^ v15)):
        state[4 + k] ^= word


@kernel
def blake2b_rows(
    offsets: npt.NDArray[np.int64], data: Bytes, person: Words
) -> npt.NDArray[np.uint64]:
    """Returns uint64[n, 2], the digests of n texts (`data[offsets[k] : offsets[k + 1]]`).

    Args:
        offsets: int64[n + 1].
        data: uint8.
        person: uint64[2], the name of the domain.
    """
    digests = np.empty((len(offsets) - 1, 2), np.uint64)
    hasher = make_hasher()
    for row in range(len(digests)):
        start(hasher, person[0], person[1])
        size = 0
        for at in range(offsets[row], offsets[row + 1]):
            size = add_byte(hasher, data[at], size)
        finish(hasher, size)
        digests[row, 0], digests[row, 1] = hasher.state[0], hasher.state[1]
    return digests
