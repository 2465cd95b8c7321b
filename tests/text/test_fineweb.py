import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text.fineweb import BY_SPACE, END_CHARS, measure, measure_of_text
from curation.text.word_breaks import TOKENS, WORDS
from tests.text.strategies import characters

HARD = ". ! ? 。 … ” ' a bb. 数 é \U00011944"
PIECES = [*HARD.split(), " ", "\n", "\n", "\n\n", "\u3000", "x.\n", "x."]
hostile = st.lists(st.sampled_from(PIECES), max_size=30).map("".join) | st.text(
    characters, max_size=60
)
KINDS = [BY_SPACE, TOKENS, WORDS]


def _measure(raw, kind=TOKENS, short=3, before=b"x.\n"):
    data = np.frombuffer(before + raw + b".\nx.", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    found = measure(offsets, data, END_CHARS, short, kind)
    return {name: values[0].item() for name, values in found._asdict().items()}


def _assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == value or (math.isnan(found[name]) and math.isnan(value)), name


@settings(deadline=None)  # the first call may compile
@given(hostile, st.sampled_from(KINDS), st.sampled_from([b"", b"x.\n", b"\xe3\x80"]))
@example("x.\nx.\nx.", TOKENS, b"x.\n")
def test_kernel_equals_plain_python_on_any_text(text, kind, before):
    expected = measure_of_text(text, END_CHARS, 3, kind)
    _assert_equal(_measure(text.encode(), kind, before=before), expected)


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.binary(max_size=40), st.sampled_from(KINDS))
def test_malformed_bytes_are_measured_without_reading_beyond(raw, kind):
    _assert_equal(_measure(raw, kind), _measure(raw, kind, before=b"\xe3\x80"))


@settings(deadline=None, max_examples=30)  # the first call may compile
@given(st.lists(hostile, max_size=6))
def test_texts_of_a_column_do_not_see_each_other(texts):
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)
    found = measure(offsets, np.frombuffer(b"".join(raw), np.uint8), END_CHARS, 3, TOKENS)
    for row, text in enumerate(raw):
        alone = {name: values[row].item() for name, values in found._asdict().items()}
        _assert_equal(alone, _measure(text))


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("One.\n\nTwo\nThree!\n \nFour. ", "line_punct_ratio", 2 / 4),
        ("One。\nTwo\uff1f\nThree”", "line_punct_ratio", 2 / 3),
        ("abc\nabcd\n日本語\n", "short_line_ratio", 2 / 3),
        ("same\nsame\nother\nsame", "char_dup_ratio", 8 / 17),
        ("same\nsame \n", "char_dup_ratio", 0.0),
        ("a b\nc, d.\n\n", "list_ratio", 3 / 6),
        ("", "lines", 0),
    ],
)
def test_statistic_of_a_small_text(text, name, value):
    assert _measure(text.encode())[name] == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("text", ["", " \n\t\n\u3000"])
def test_text_without_lines_has_no_ratios(text):
    found = _measure(text.encode())
    assert found["lines"] == found["words"] == 0
    assert all(math.isnan(found[name]) for name in found if name.endswith("ratio"))


def test_many_lines_and_one_endless_line_are_measured():
    found = _measure(b"ab\n" * 300_000)
    assert found["char_dup_ratio"] == pytest.approx(1 - 1 / 300_000)
    assert _measure(b"x" * 2_000_000)["lines"] == 1
    distinct = "\n".join(map(str, range(100_000))).encode()
    assert _measure(distinct)["char_dup_ratio"] == 0
