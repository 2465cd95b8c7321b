"""Edit distance in blocks against the textbook's, and against what is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.edits import UNKNOWN, distance, plain_distance, text_distances
from tests.text.strategies import texts
from tests.text.test_noise import buffers

ROOMY = 1 << 40


def codes(text: str) -> np.ndarray:
    return np.array([ord(char) for char in text], np.uint64)


def found(left: str, right: str, guess: int = 0) -> int:
    return distance(codes(left), codes(right), guess, ROOMY)


repetitive = st.text("ab", max_size=300) | st.text("abcdef ", max_size=400)


@settings(deadline=None)
@given(texts | repetitive, texts | repetitive, st.integers(0, 500))
def test_distance_is_the_textbooks(left: str, right: str, guess: int) -> None:
    assert found(left, right, guess) == plain_distance(left, right)


@settings(deadline=None)
@given(st.text("abc", min_size=60, max_size=300), st.data())
def test_distance_of_edited_texts(left: str, data: st.DataObject) -> None:
    right = list(left)
    for at in data.draw(st.lists(st.integers(0, len(left) - 1), max_size=40)):
        right[at] = data.draw(st.sampled_from(["", "x", "ab"]))
    assert found(left, "".join(right)) == plain_distance(left, "".join(right))


@pytest.mark.parametrize("size", [63, 64, 65, 127, 128, 129, 1000])
def test_sizes_at_the_edges_of_blocks(size: int) -> None:
    text = "ab" * size
    assert found(text[:size], "c" * size) == size
    assert found("", text[:size]) == size
    assert found("x" + text[:size], text[:size] + "y") == 2


@settings(deadline=None)
@given(texts, texts, texts)
def test_distance_is_a_metric(one: str, two: str, three: str) -> None:
    assert found(one, two) == found(two, one)
    assert (found(one, two) == 0) == (one == two)
    assert found(one, three) <= found(one, two) + found(two, three)


def test_what_takes_too_long_is_unknown() -> None:
    left, right = "ab" * 5000, "ba" * 2500 + "c" * 5000
    assert distance(codes(left), codes(right), 0, 1000) == UNKNOWN
    assert distance(codes(left), codes(right), 0, ROOMY) > 0


def test_texts_are_compared_by_characters_and_words() -> None:
    left, right = ["na\u00efve  cat sat", "", "same"], ["naive cat  sat down", "x", "same"]
    guesses = np.zeros(3, np.int64)
    rows = text_distances(*buffers(left), *buffers(right), guesses, ROOMY)
    assert rows.tolist() == [[8, 14, 2, 3], [1, 0, 1, 0], [0, 4, 0, 1]]
    assert plain_distance(left[0], right[0]) == 8
