from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.linear import plain_tokens, plain_word_line, word_lines
from tests.text.strategies import texts


def lines_of(rows):
    offsets, data = word_lines(*text_buffers(pa.array(rows, pa.large_string())))
    return [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]


@settings(deadline=None, max_examples=60)
@given(st.lists(texts, max_size=4))
def test_word_lines_equal_the_plain_ones(rows):
    assert lines_of(rows) == [plain_word_line(row) for row in rows]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", ""),
        (" \n\t\u2003", ""),
        ("One two", "one two "),
        ("Don't -- stop.", "don ' t - - stop . "),
        ("__label__HQ </s>", "__label__hq < / s > "),
        ("\u0130\u03a3 \u03a3\u0391\u03a3", "i\u03c3 \u03c3\u03b1\u03c3 "),
        ("caf\u00e9\u0301\u65e5\u672c\u3002", "caf\u00e9 \u0301 \u65e5\u672c \u3002 "),
    ],
)
def test_word_lines_of_one_text(text, line):
    assert plain_word_line(text) == line
    assert lines_of(["x", text, "y"]) == ["x ", line, "y "]


@pytest.mark.parametrize("unit", [b"\xff", b"\xe2\x82", b"!", b"a!", "Ⱥ".encode(), b"\xf0\x9f"])
def test_hostile_bytes_fit_the_lines(unit):
    data = np.frombuffer(unit * 4000, np.uint8)
    bounds, lines = word_lines(np.array([0, len(data)], np.int64), data)
    assert bytes(lines).decode() == plain_word_line(bytes(data).decode("utf-8", "replace"))
    assert bounds[-1] == len(lines)


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (b"", []),
        (b" \0\t\r\n\v\f", []),
        (b"a\0b\x1fc", [b"a", b"b\x1fc"]),
        (b"x </s> y__label__ __label__ __label__z", [b"x", b"y__label__"]),
        ("\u2003a\u00a0b".encode(), ["\u2003a\u00a0b".encode()]),
    ],
)
def test_tokens_are_what_fasttext_would_read(text, tokens):
    assert list(plain_tokens(text)) == tokens
