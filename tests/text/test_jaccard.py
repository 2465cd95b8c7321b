from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.jaccard import (
    jaccard,
    least_difference,
    parity_maps,
    plain_jaccard,
    plain_shingle_set,
    shingle_sets,
)
from curation.text.xxh64 import plain_xxh64
from tests.text.strategies import texts

hash_sets = st.sets(st.integers(0, 40) | st.integers(2**64 - 20, 2**64 - 1), min_size=1)


def sets_of(rows, ngram):
    sets, bounds = shingle_sets(*text_buffers(pa.array(rows, pa.large_string())), ngram)
    return [part.tolist() for part in np.split(sets, bounds[1:-1])] if rows else []


def as_array(values):
    return np.array(sorted(values), np.uint64)


@settings(deadline=None)
@given(st.lists(texts, max_size=5), st.integers(1, 6))
def test_sets_equal_the_plain_ones(rows, ngram):
    assert sets_of(rows, ngram) == [plain_shingle_set(row, ngram) for row in rows]


@pytest.mark.parametrize(
    "text",
    [
        " ".join(f"w{k}" for k in range(5000)),
        "again " * 5000,
        " ".join(f"w{k % 100}" for k in range(5000)),
        " ".join(f"w{k}" for k in range(64)) + " x" * 200,
    ],
    ids=["distinct", "one word", "a hundred words", "distinct and one"],
)
def test_sets_of_long_texts_equal_the_plain_ones(text):
    assert sets_of([text, "tail"], 1) == [plain_shingle_set(text, 1), plain_shingle_set("tail", 1)]


@settings(deadline=None)
@given(hash_sets, hash_sets, st.floats(0.01, 1))
def test_similarity_equals_the_plain_one_where_it_reaches_the_threshold(one, two, threshold):
    expected = plain_jaccard(one, two)
    found = jaccard(as_array(one), as_array(two), threshold)
    assert found == (expected if expected >= threshold else -1)


@settings(deadline=None)
@given(hash_sets, hash_sets)
def test_similarity_that_equals_the_threshold_reaches_it(one, two):
    expected = plain_jaccard(one, two)
    if expected:
        assert jaccard(as_array(one), as_array(two), expected) == expected


@pytest.mark.parametrize("shared", range(1, 60))
def test_four_fifths_reach_the_threshold_of_080(shared):
    one, two = set(range(shared + 3)), {*range(shared), -1, -2}
    expected = len(one & two) / len(one | two)
    found = jaccard(as_array(one), as_array({v % 2**64 for v in two}), 0.8)
    assert found == (expected if expected >= 0.8 else -1)


def maps_of(sets):
    sets = list(sets)
    flat = np.concatenate([np.empty(0, np.uint64), *map(as_array, sets)])
    bounds = np.cumsum([0, *map(len, sets)])
    maps, starts = parity_maps(flat, bounds)
    return np.split(maps, starts[1:-1])


def plain_map(values, words):
    """The map, bit by bit: each member turns one over."""
    bits = Counter(value % (64 * words) for value in values)
    return [
        sum(1 << bit for bit in range(64) if bits[64 * word + bit] % 2) for word in range(words)
    ]


def hashed(numbers):
    return {plain_xxh64(number.to_bytes(4, "little")) for number in numbers}


number_sets = st.sets(st.integers(0, 300), min_size=1, max_size=200)


@settings(deadline=None, max_examples=60)
@given(st.lists(number_sets, min_size=1, max_size=4))
def test_maps_equal_the_plain_ones(sets):
    for values, found in zip(map(hashed, sets), maps_of(map(hashed, sets)), strict=True):
        assert 32 * len(found) >= len(values) > 16 * (len(found) - 1)
        assert found.tolist() == plain_map(values, len(found))


@settings(deadline=None, max_examples=60)
@given(number_sets, number_sets)
def test_maps_never_differ_in_more_than_the_sets_do(one, two):
    one, two = hashed(one), hashed(two)
    first, second = maps_of([one, two])
    assert least_difference(first, second) <= len(one ^ two)
    assert least_difference(second, first) == least_difference(first, second)
    assert least_difference(first, first) == 0


def test_maps_tell_apart_what_shares_a_template():
    template = hashed(range(1_000))
    one, two = template | hashed(range(2_000, 2_200)), template | hashed(range(3_000, 3_200))
    assert least_difference(*maps_of([one, two])) > 320  # of 400
