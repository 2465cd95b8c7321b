from itertools import pairwise

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import chars
from tests.text.strategies import texts


def _data(text, beyond="\u3000 "):
    return np.frombuffer((text + beyond).encode(), np.uint8), len(text.encode())


@settings(deadline=None)  # the first call may compile
@given(texts)
def test_counts_equal_plain_python(text):
    data, end = _data(text)
    assert chars.count_words(data, 0, end) == len(text.split())
    assert chars.count_chars(data, 0, end) == len(text)
    lines = sum(len(line) >= 3 for line in text.split("\n"))
    assert chars.count_long_lines(np.array([0, end]), data, 3).tolist() == [lines]


@settings(deadline=None)  # the first call may compile
@given(texts)
def test_white_space_is_skipped_from_both_ends(text):
    data, end = _data(text)
    start, stop = chars.skip_space(data, 0, end), chars.space_start(data, 0, end)
    assert data[start:end].tobytes().decode() == text.lstrip()
    assert data[:stop].tobytes().decode() == text.rstrip()
    word = chars.skip_word(data, start, end)
    assert data[start:word].tobytes().decode() == (text.split() or [""])[0]


@settings(deadline=None)  # the first call may compile
@given(st.binary(min_size=1, max_size=12))
def test_steps_back_are_the_steps_forward(raw):
    data = np.frombuffer(raw, np.uint8)
    forward = [0]
    while forward[-1] < len(raw):
        forward.append(chars.char_at(data, forward[-1], len(raw))[1])
    for before, at in pairwise(forward):
        assert chars.char_before(data, before, at) == before
