import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text import repetition as r
from curation.text.definitions import DEFINITIONS
from curation.text.plain_repetition import repetition_of_text
from tests.text.strategies import HARD, texts

WORDS = [
    "a",
    "b",
    "the",
    "word.",
    "internationalisation",
    "é",
    "的",
    "x-y",
    "U.S.",
    "it's",
    "...",
    "DON\u2019T",
    "'ll's",
    "x©─y.",
    "n't",
]
BREAKS = [" ", " ", " ", "  ", "\n", "\n\n", "\n\n\n", " \n", "\n ", "\t", "\u2003", "\u2028"]
pairs = st.tuples(st.sampled_from(WORDS) | st.text(HARD, max_size=3), st.sampled_from(BREAKS))
repeated = st.lists(pairs, max_size=60).map(lambda parts: "".join(map("".join, parts)))


def measure(texts, definition="paper"):
    raw = [text if isinstance(text, bytes) else text.encode() for text in texts]
    offsets = np.cumsum([3, *map(len, raw)]).astype(np.int64)
    data = np.frombuffer(b"\n a" + b"".join(raw) + b" b\n", np.uint8)
    return r.repetition(offsets, data, definition)


def assert_equal(row, expected):
    found = dict(zip(r.STATISTICS, row.tolist(), strict=True))
    for name, value in expected.items():
        same = math.isclose(found[name], value, rel_tol=1e-12)
        assert same or (math.isnan(found[name]) and math.isnan(value)), (name, found[name], value)


@pytest.mark.parametrize("definition", DEFINITIONS)
@settings(deadline=None, max_examples=60)  # the first call may compile
@given(st.lists(repeated | texts, min_size=1, max_size=4))
@example([""])
@example(["\n\n\n\n"])
@example(["a b", " \n \n\n ", "a\n\na\n\na b"])
def test_kernel_equals_plain_python_on_any_text(definition, rows):
    found = measure(rows, definition)
    for row, text in zip(found, rows, strict=True):
        assert_equal(row, repetition_of_text(text, definition))


@pytest.mark.parametrize("definition", DEFINITIONS)
@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=5) | st.sampled_from([b"a b ", b"\n\n", b"\xe2\x80", b"\xc2"])))
def test_malformed_bytes_are_measured_without_the_neighbours(definition, parts):
    raw = b"".join(parts)
    alone, after = measure([raw], definition), measure([b"\xe2", raw, b"\x80"], definition)
    assert np.array_equal(alone[0], after[1], equal_nan=True)
    assert not np.isinf(alone).any()


@settings(deadline=None, max_examples=40)
@given(repeated)
def test_shares_of_the_paper_are_shares(text):
    values = measure([text])[0]
    assert (np.isnan(values) | ((values >= 0) & (values <= 1))).all()


@settings(deadline=None, max_examples=40)
@given(repeated, st.sampled_from(["paper", "dclm"]))
def test_longer_ngrams_repeat_no_more_than_shorter_ones(text, definition):
    values = measure([text], definition)[0][-6:]
    assert np.isnan(values).all() or (np.diff(values) <= 1e-12).all()


@pytest.mark.parametrize("definition", ["paper", "datatrove", "curator"])
def test_one_word_repeated_without_end_is_measured(definition):
    values = measure([b"spam " * 1_000_000], definition)[0]
    assert (values[4:] > 0.79).all()


def test_many_distinct_lines_are_measured():
    lines = "\n".join(map(str, range(500_000))).encode()
    assert measure([lines, lines + b"\n1"])[:, :2].tolist() == [
        [0, 0],
        [1 / 500_001, 1 / (len(lines) - 499_999 + 1)],
    ]


def test_words_that_collide_cost_no_more_than_the_bound():
    # Multiples of a power of two in the upper bytes meet in few slots of the table.
    words = b" ".join(b"%c%c%c%c%c%c%c" % (65, 65, 65, 65, 65, k % 26 + 65, k // 26 + 33)
                      for k in range(2000))  # fmt: skip
    assert measure([words + b" " + words])[0][-1] == pytest.approx(0.5, abs=0.01)


def test_text_beyond_the_addresses_is_refused():
    offsets = np.array([0, r.LONGEST_TEXT + 1], np.int64)
    with pytest.raises(ValueError, match=r"a text has \d+ bytes; expected at most"):
        r.repetition(offsets, np.zeros(1, np.uint8))
