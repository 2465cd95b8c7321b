import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.jaccard import (
    jaccard,
    plain_jaccard,
    plain_shingle_set,
    put_rarest_first,
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


def renamed(sets):
    """The sets after `put_rarest_first`, in the order in which they lie."""
    flat = np.concatenate([as_array(values) for values in sets])
    sizes = np.array([len(values) for values in sets])
    put_rarest_first(flat, np.cumsum(sizes) - sizes, sizes)
    return [part.tolist() for part in np.split(flat, np.cumsum(sizes)[:-1])]


@settings(deadline=None)
@given(st.lists(st.sets(st.integers(0, 60), min_size=1), min_size=2, max_size=6))
def test_rarest_first_changes_no_similarity(small_sets):
    sets = [{plain_xxh64(bytes([value])) for value in values} for values in small_sets]
    names = renamed(sets)
    for one, own in zip(sets, names, strict=True):
        assert own == sorted(set(own))
        for two, other in zip(sets, names, strict=True):
            assert plain_jaccard(set(own), set(other)) == plain_jaccard(one, two)


def test_rarest_first_puts_what_all_share_last():
    hashes = [plain_xxh64(bytes([k % 256, k // 256])) for k in range(303)]
    names = renamed([{*hashes[:3], own} for own in hashes[3:]])
    assert len({tuple(own[1:]) for own in names}) == 1
    assert len({own[0] for own in names}) == 300
    assert {own[0] >> 61 for own in names} == {0}
    assert {name >> 61 for name in names[0][1:]} == {7}
