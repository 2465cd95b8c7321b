"""Angles between vectors of whole numbers: which pairs may be close, and how close they are.

A random hyperplane separates two vectors with the probability angle / pi. So the sides on which two
vectors lie of some hyperplanes are a signature, cut into bands like those of MinHash, in which a
row agrees with the probability 1 - angle / pi. All of it is whole numbers, hyperplanes included,
up to the last square root: the same everywhere.

Source: Charikar 2002, "Similarity estimation techniques from rounding algorithms"; the bound by
what is left of two vectors is the inequality of Cauchy and Schwarz.
"""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, kernel, lean_inlined

BLOCK = 64
"""After so many numbers of two vectors it is asked whether they can still be close."""
_DIGITS = 16


def agreement(cosine: float) -> float:
    """Returns the probability that two vectors lie on the same side of a random hyperplane.

    Examples:
        >>> round(agreement(0.95), 4)
        0.8989
    """
    return 1 - math.acos(cosine) / math.pi


def make_hyperplanes(count: int, dimensions: int, seed: int) -> npt.NDArray[np.int16]:
    """Draws normals of hyperplanes, int16[count, dimensions], from -120 to 120.

    Each number is a sum of sixteen digits from 0 to 15, less their mean: as good as normally
    distributed, and the same on every machine, where logarithms need not be.

    Args:
        count: How many.
        dimensions: Of the vectors.
        seed: From 0 to 2^32 - 1.
    """
    draw = np.random.RandomState(seed)
    normals = np.full((count, dimensions), -_DIGITS * 15 // 2, np.int16)
    for _ in range(_DIGITS):
        normals += draw.randint(0, 16, (count, dimensions), dtype=np.uint8)
    return normals


@lean_inlined
def _product(one: npt.NDArray[np.int16], two: npt.NDArray[np.int16]) -> int:
    # In 32 bits: `largest_number` sees to it that it fits, and the loop becomes vector code.
    found = np.int32(0)
    for k in range(len(one)):
        found += np.int32(np.int32(one[k]) * np.int32(two[k]))
    return int64(found)


@kernel
def sides(
    vectors: npt.NDArray[np.int16], normals: npt.NDArray[np.int16], rows: int
) -> npt.NDArray[np.uint32]:
    """Returns on which sides of some hyperplanes n vectors lie, as bits.

    Args:
        vectors: int16[n, d].
        normals: int16[p, d] of `make_hyperplanes`.
        rows: Hyperplanes in a band; p is a multiple of it.

    Returns:
        uint32[n, bands * words], with `words` of 32 bits for each band.
    """
    words = (rows + 31) // 32
    bits = np.zeros((len(vectors), len(normals) // rows * words), np.uint32)
    for row in range(len(vectors)):
        for plane in range(len(normals)):
            if _product(vectors[row], normals[plane]) > 0:
                band, place = divmod(plane, rows)
                bits[row, band * words + place // 32] |= np.uint32(1) << np.uint32(place % 32)
    return bits


@kernel
def rest_squares(vectors: npt.NDArray[np.int16]) -> npt.NDArray[np.int32]:
    """Returns int32[n, blocks]: sums of squares from the start of each `BLOCK` to the end.

    The first one is the square of a vector's length.
    """
    squares = np.zeros((len(vectors), (vectors.shape[1] + BLOCK - 1) // BLOCK), np.int32)
    for row in range(len(vectors)):
        left = 0
        for block in range(squares.shape[1] - 1, -1, -1):
            own = vectors[row, block * BLOCK : (block + 1) * BLOCK]
            left += _product(own, own)
            squares[row, block] = left
    return squares


@lean_inlined
def cosine_from(
    one: npt.NDArray[np.int16],
    two: npt.NDArray[np.int16],
    rest_one: npt.NDArray[np.int32],
    rest_two: npt.NDArray[np.int32],
    threshold: float,
) -> float:
    """Returns the cosine of two vectors, or -1 as soon as it must be below a threshold.

    Args:
        one: int16[d], not all 0.
        two: int16[d], not all 0.
        rest_one: int32[blocks], the row of `rest_squares` for `one`.
        rest_two: int32[blocks], the row for `two`.
        threshold: Above 0, at most 1.
    """
    lengths = math.sqrt(float(rest_one[0]) * float(rest_two[0]))
    # Less than one unit is what rounding could do to a product of whole numbers.
    needed = threshold * lengths - 1.0
    product = 0
    for block in range(len(rest_one)):
        if product + math.sqrt(float(rest_one[block]) * float(rest_two[block])) < needed:
            return -1.0
        begin = block * BLOCK
        product += _product(one[begin : begin + BLOCK], two[begin : begin + BLOCK])
    cosine = min(1.0, product / lengths)
    return cosine if cosine >= threshold else -1.0


@kernel
def cosine(one: npt.NDArray[np.int16], two: npt.NDArray[np.int16], threshold: float) -> float:
    """Is `cosine_from` for Python; see there."""
    rest_one, rest_two = rest_squares(one.reshape(1, -1)), rest_squares(two.reshape(1, -1))
    return cosine_from(one, two, rest_one[0], rest_two[0], threshold)


def plain_sides(vector: Sequence[int], normals: Sequence[Sequence[int]]) -> list[bool]:
    """Returns whether a vector lies on the positive side of each hyperplane: what `sides` means.

    Examples:
        >>> plain_sides([2, -1], [[1, 1], [0, 3], [1, 2]])
        [True, False, False]
    """
    return [sum(a * b for a, b in zip(vector, normal, strict=True)) > 0 for normal in normals]


def plain_cosine(one: Sequence[int], two: Sequence[int]) -> float:
    """Returns the cosine of two vectors that are not 0: what the kernel means.

    Examples:
        >>> plain_cosine([3, 4], [4, 3])
        0.96
    """
    product = sum(a * b for a, b in zip(one, two, strict=True))
    lengths = math.sqrt(float(sum(a * a for a in one)) * float(sum(b * b for b in two)))
    return min(1.0, product / lengths)
