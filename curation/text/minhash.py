"""MinHash signatures and the bands by which likely near-duplicates are found.

A signature holds, for each of p permutations of the 32-bit numbers, the smallest permuted hash of
a document's shingles; two documents agree in one of them with the probability of their Jaccard
similarity. Signatures are those of datasketch 2, bit for bit:

    MinHash(num_perm, seed, scheme="affine32", hashfunc=shingle_value)

Source: Broder 1997, "On the resemblance and containment of documents"; bands: Leskovec, Rajaraman
and Ullman, "Mining of Massive Datasets", section 3.4; permutations: datasketch 2.0.
"""

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, kernel
from curation.text.shingles import hash_shingles, make_workspace, plain_shingles
from curation.text.xxh64 import plain_xxh64, xxh64

LARGEST = 0xFFFFFFFF
"""The value of every minimum of a document without shingles."""


class Permutations(NamedTuple):
    """The maps h -> a * h + b modulo 2^32, each a bijection because a is odd."""

    a: npt.NDArray[np.uint32]
    b: npt.NDArray[np.uint32]


class Banding(NamedTuple):
    """How a signature is cut: two documents meet if they agree in all rows of one band."""

    bands: int
    rows: int

    @property
    def permutations(self) -> int:
        """The minima that a signature needs."""
        return self.bands * self.rows

    def recall(self, similarity: float) -> float:
        """Returns the probability that two documents of a Jaccard similarity meet.

        Examples:
            >>> round(Banding(14, 8).recall(0.8), 3)
            0.924
        """
        return 1 - (1 - similarity**self.rows) ** self.bands


def choose_banding(threshold: float, recall: float, permutations: int) -> Banding | None:
    """Returns the banding with most rows that reaches a recall within a number of permutations.

    Recall comes first: with a fixed banding, or one that weighs missed against false pairs, as
    many as two thirds of the pairs at the threshold are never looked at. More rows only save work,
    because fewer pairs below the threshold meet and have to be verified.

    Args:
        threshold: Jaccard similarity from which pairs are wanted, above 0, at most 1.
        recall: Smallest probability that a pair at the threshold meets, above 0, below 1.
        permutations: How many minima a signature may have.

    Returns:
        The banding, with the fewest bands that reach the recall, or None where even one row to a
        band needs more permutations.

    Examples:
        >>> choose_banding(0.8, 0.99, 128)
        Banding(bands=16, rows=6)
    """
    found = None
    for rows in range(1, permutations + 1):
        bands = fewest_bands(threshold**rows, recall)
        if bands * rows > permutations:
            break
        found = Banding(bands, rows)
    return found


def fewest_bands(agreement: float, recall: float) -> int:
    """Returns the fewest bands of which one agrees with a probability of `recall` or more.

    Args:
        agreement: Probability that one band agrees, above 0, at most 1.
        recall: Above 0, below 1.
    """
    if agreement >= recall:
        return 1
    bands = math.ceil(math.log1p(-recall) / math.log1p(-agreement))
    # Rounding of the logarithms can be one off either way.
    while 1 - (1 - agreement) ** bands < recall:
        bands += 1
    return bands


def make_permutations(count: int, seed: int) -> Permutations:
    """Draws the permutations that datasketch draws for the same seed.

    Args:
        count: How many.
        seed: From 0 to 2^32 - 1.
    """
    draw = np.random.RandomState(seed)
    half = draw.randint(0, 1 << 31, count, dtype=np.uint32)
    b = draw.randint(0, 1 << 32, count, dtype=np.uint32)
    return Permutations(half * np.uint32(2) + np.uint32(1), b)


@inlined
def _premix(hashed: np.uint64) -> np.uint32:
    mixed = np.uint32(hashed)
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(16))) * np.uint32(0x85EBCA6B))
    mixed = np.uint32((mixed ^ (mixed >> np.uint32(13))) * np.uint32(0xC2B2AE35))
    return np.uint32(mixed ^ (mixed >> np.uint32(16)))


@inlined
def _lower_minima(
    values: npt.NDArray[np.uint32],
    count: int,
    a: npt.NDArray[np.uint32],
    b: npt.NDArray[np.uint32],
    minima: npt.NDArray[np.uint32],
) -> None:
    # Four values at a time, so that a, b and the minima are loaded once for four; the loop over k
    # becomes vector code. Repeats of the last value, which change no minimum, fill the last four.
    for k in range(count, (count + 3) & ~3):
        values[k] = values[count - 1]
    for at in range(0, count, 4):
        h0, h1, h2, h3 = values[at], values[at + 1], values[at + 2], values[at + 3]
        for k in range(len(minima)):
            v0 = min(np.uint32(a[k] * h0 + b[k]), np.uint32(a[k] * h1 + b[k]))
            v1 = min(np.uint32(a[k] * h2 + b[k]), np.uint32(a[k] * h3 + b[k]))
            minima[k] = min(minima[k], v0, v1)


@kernel
def sign(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    ngram: int,
    a: npt.NDArray[np.uint32],
    b: npt.NDArray[np.uint32],
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    """Returns the signatures of n texts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        ngram: Tokens in a shingle, 1 or more.
        a: uint32[p], the factors of the permutations.
        b: uint32[p], the summands of the permutations.

    Returns:
        uint32[n, p], the minima, all `LARGEST` where there is no shingle; and int64[n], how many
        shingles there are, repeats counted.
    """
    room = make_workspace(offsets)
    values = np.empty(len(room.hashes) + 4, np.uint32)
    signatures = np.full((len(offsets) - 1, len(a)), np.uint32(LARGEST), np.uint32)
    shingles = np.empty(len(offsets) - 1, np.int64)
    for row in range(len(shingles)):
        count = hash_shingles(data[offsets[row] : offsets[row + 1]], ngram, room)
        for k in range(count):
            values[k] = _premix(room.hashes[k])
        _lower_minima(values, count, a, b, signatures[row])
        shingles[row] = count
    return signatures, shingles


@kernel
def band_keys(signatures: npt.NDArray[np.uint32], bands: int) -> npt.NDArray[np.uint64]:
    """Returns uint64[n, bands]: the XXH64 of the bytes of each band, its number as the seed.

    Args:
        signatures: uint32[n, p], of which the first `bands * (p // bands)` columns are used.
        bands: How many bands to cut a signature into.
    """
    keys = np.empty((len(signatures), bands), np.uint64)
    size = signatures.shape[1] // bands * 4
    for row in range(len(signatures)):
        data = signatures[row].view(np.uint8)
        for band in range(bands):
            keys[row, band] = xxh64(data, band * size, (band + 1) * size, np.uint64(band))
    return keys


def shingle_value(shingle: bytes) -> int:
    """Returns the 32-bit value that MinHash permutes: the low half of the XXH64 of a shingle.

    Examples:
        >>> shingle_value(b"to be or not to")
        890237577
    """
    return plain_xxh64(shingle) & LARGEST


def plain_signature(text: str, ngram: int, permutations: Permutations) -> list[int]:
    """Returns the signature of a text: what the kernel means."""
    minima = [LARGEST] * len(permutations.a)
    for shingle in plain_shingles(text, ngram):
        value = _plain_premix(shingle_value(shingle))
        for k, (a, b) in enumerate(zip(*map(list, permutations), strict=True)):
            minima[k] = min(minima[k], (int(a) * value + int(b)) & LARGEST)
    return minima


def _plain_premix(value: int) -> int:
    value = (value ^ (value >> 16)) * 0x85EBCA6B & LARGEST
    value = (value ^ (value >> 13)) * 0xC2B2AE35 & LARGEST
    return value ^ (value >> 16)


def plain_band_keys(signature: list[int], bands: int) -> list[int]:
    """Returns the band keys of one signature: what the kernel means."""
    rows = len(signature) // bands
    cut = [signature[band * rows : (band + 1) * rows] for band in range(bands)]
    return [plain_xxh64(np.array(c, "<u4").tobytes(), band) for band, c in enumerate(cut)]
