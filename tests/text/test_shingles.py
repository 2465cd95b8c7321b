from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.shingles import plain_shingle_hashes, plain_shingles, shingle_hashes
from curation.text.xxh64 import plain_xxh64
from tests.text.strategies import texts


def hashes_of(rows, ngram):
    hashes, bounds = shingle_hashes(*text_buffers(pa.array(rows, pa.large_string())), ngram)
    return [hashes[a:b].tolist() for a, b in pairwise(bounds)]


@settings(deadline=None, max_examples=400)
@given(st.lists(texts, max_size=5), st.integers(1, 6))
def test_kernel_equals_the_plain_hashes(rows, ngram):
    assert hashes_of(rows, ngram) == [plain_shingle_hashes(row, ngram) for row in rows]


@pytest.mark.parametrize(
    ("text", "ngram", "shingles"),
    [
        ("", 5, []),
        (" .,!-\u0301 \U0001f600", 5, []),
        ("one two", 5, ["one two"]),
        ("a b c d e", 5, ["a b c d e"]),
        ("a b c d e f", 5, ["a b c d e", "b c d e f"]),
        ("Snake_Case-42", 1, ["snake_case", "42"]),
        ("a a a", 2, ["a a", "a a"]),
        ("\u0130stanbul", 1, ["i", "stanbul"]),  # the lower case of U+0130 is i and a mark
        ("\u039f\u0394\u039f\u03a3 \u03a3\u0391", 1, ["\u03bf\u03b4\u03bf\u03c2", "\u03c3\u03b1"]),
        ("A\u03a3'", 1, ["a\u03c2"]),
        ("A\u03a3'A", 1, ["a\u03c3", "a"]),
        ("\u03a3", 1, ["\u03c3"]),
        ("\u023a\u212a", 1, ["\u2c65k"]),
        ("\U00010400x", 1, ["\U00010428x"]),
        ("\u4e00\u4e8c \u4e09", 2, ["\u4e00\u4e8c \u4e09"]),
        ("x\u00b2 \u00bd", 2, ["x\u00b2 \u00bd"]),
        ("cafe\u0301s", 1, ["cafe", "s"]),
    ],
)
def test_shingles_of_one_text(text, ngram, shingles):
    expected = [shingle.encode() for shingle in shingles]
    assert plain_shingles(text, ngram) == expected
    assert hashes_of([text], ngram) == [[plain_xxh64(shingle) for shingle in expected]]


def test_a_sigma_never_looks_into_the_neighbour_text():
    assert hashes_of(["A", "\u03a3", "A"], 1)[1] == [plain_xxh64("\u03c3".encode())]
    assert hashes_of(["A\u03a3", "A"], 1)[0] == [plain_xxh64("a\u03c2".encode())]


def test_slices_and_nulls_of_a_column_are_read_at_their_offsets():
    column = pa.array(["x y", None, "b c", "d"], pa.string()).slice(1, 2)
    hashes, bounds = shingle_hashes(*text_buffers(column), 1)
    assert bounds.tolist() == [0, 0, 2]
    assert hashes.tolist() == [plain_xxh64(b"b"), plain_xxh64(b"c")]


def test_bytes_that_are_no_utf8_become_no_word_and_nothing_is_read_beyond():
    data = np.frombuffer(b"ab\xff cd\xe2\x82", np.uint8)
    hashes, _ = shingle_hashes(np.array([0, 8], np.int64), data, 1)
    assert hashes.tolist() == [plain_xxh64(b"ab"), plain_xxh64(b"cd")]


@pytest.mark.parametrize("unit", ["a ", "\u023a", "\u023a ", "\u03a3' ", "'\u03a3", "\U00010400"])
def test_long_hostile_texts_fit_the_workspace(unit):
    text = unit * 3000
    assert hashes_of([text], 2) == [plain_shingle_hashes(text, 2)]
