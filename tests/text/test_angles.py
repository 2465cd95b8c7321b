import hashlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.angles import (
    BLOCK,
    agreement,
    cosine,
    make_hyperplanes,
    plain_cosine,
    plain_sides,
    rest_squares,
    sides,
)
from curation.text.embed import largest_number


def vectors_of(dimensions, most):
    numbers = st.lists(st.integers(-most, most), min_size=dimensions, max_size=dimensions)
    return numbers.filter(any)


def pairs(dimensions):
    most = largest_number(dimensions)
    return st.tuples(vectors_of(dimensions, most), vectors_of(dimensions, most))


@settings(deadline=None)
@given(st.sampled_from([1, 3, BLOCK, BLOCK + 1, 2 * BLOCK + 5]).flatmap(pairs), st.floats(0.01, 1))
def test_kernel_equals_the_plain_cosine_from_the_threshold_on(pair, threshold):
    expected = plain_cosine(*pair)
    found = cosine(*(np.array(vector, np.int16) for vector in pair), threshold)
    assert found == (expected if expected >= threshold else -1)


@settings(deadline=None)
@given(st.sampled_from([2, 64, 256]).flatmap(pairs))
def test_a_pair_that_just_reaches_the_threshold_is_never_lost(pair):
    expected = plain_cosine(*pair)
    if expected > 0:
        assert cosine(*(np.array(vector, np.int16) for vector in pair), expected) == expected


@pytest.mark.parametrize("dimensions", [1, 63, 64, 65, 256, 1024])
def test_the_largest_numbers_do_not_overflow(dimensions):
    most = np.full(dimensions, largest_number(dimensions), np.int16)
    assert cosine(most, most, 1.0) == 1.0
    assert rest_squares(most.reshape(1, -1))[0, 0] == dimensions * int(most[0]) ** 2
    normals = np.full((2, dimensions), 120, np.int16) * np.array([[1], [-1]], np.int16)
    assert sides(most.reshape(1, -1), normals, 2).tolist() == [[1]]


@settings(deadline=None)
@given(
    st.lists(vectors_of(5, 3000), min_size=1, max_size=4),
    st.sampled_from([(1, 7), (2, 3), (33, 2), (64, 1), (70, 2)]),
    st.integers(0, 2**32 - 1),
)
def test_bits_of_bands_are_the_plain_sides(vectors, shape, seed):
    rows, bands = shape
    normals = make_hyperplanes(rows * bands, 5, seed)
    found = sides(np.array(vectors, np.int16), normals, rows)
    words = -(-rows // 32)
    assert found.shape == (len(vectors), bands * words)
    for vector, own in zip(vectors, found.tolist(), strict=True):
        bits = [
            bool(own[band * words + row // 32] >> row % 32 & 1)
            for band in range(bands)
            for row in range(rows)
        ]
        assert bits == plain_sides(vector, normals.tolist())
        assert sum(word.bit_count() for word in own) == sum(bits)


def test_hyperplanes_are_the_same_on_every_machine():
    normals = make_hyperplanes(100, 64, 17)
    assert normals[0, :8].tolist() == [14, 17, 3, 13, -26, 8, 17, 5]
    digest = hashlib.sha256(normals.astype("<i2").tobytes()).hexdigest()
    assert digest.startswith("707194f13a0413d4")
    assert abs(normals.mean()) < 1
    assert normals.std() == pytest.approx(math.sqrt(16 * 255 / 12), rel=0.02)


@pytest.mark.parametrize("dimensions", [16, 64, 256])
@pytest.mark.parametrize("wanted", [0.5, 0.8, 0.9, 0.95, 0.99])
def test_pairs_agree_on_a_side_as_often_as_their_angle_says(dimensions, wanted):
    rng = np.random.default_rng(dimensions)
    most, planes = largest_number(dimensions), 2048
    normals = make_hyperplanes(planes, dimensions, 5)
    agreed, expected = [], []
    for _ in range(40):
        one, other = np.linalg.qr(rng.standard_normal((dimensions, 2)))[0].T
        two = wanted * one + math.sqrt(1 - wanted**2) * other
        pair = [np.rint(v / np.abs(v).max() * most).astype(np.int16) for v in (one, two)]
        bits = sides(np.array(pair), normals, 1)
        agreed.append((bits[0] == bits[1]).mean())
        expected.append(agreement(plain_cosine(*(vector.tolist() for vector in pair))))
    deviation = math.sqrt(agreement(wanted) * (1 - agreement(wanted)) / (40 * planes))
    assert np.mean(agreed) == pytest.approx(np.mean(expected), abs=5 * deviation)
