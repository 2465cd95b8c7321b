from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.fold import fold_words, plain_fold
from tests.text.strategies import texts


def folded(rows, *, ignore_digits):
    offsets, data = fold_words(*text_buffers(pa.array(rows, pa.large_string())), ignore_digits)
    return [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]


@settings(deadline=None, max_examples=60)
@given(st.lists(texts, max_size=4), st.booleans())
def test_kernel_equals_the_plain_one(rows, ignore_digits):
    expected = [plain_fold(row, ignore_digits=ignore_digits) for row in rows]
    assert folded(rows, ignore_digits=ignore_digits) == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("The  END,\nof 1999!", "the end of 1999"),
        ("", ""),
        ("...", "..."),
        ("\u039f\u0394\u039f\u03a3 \u03a3", "\u03bf\u03b4\u03bf\u03c2 \u03c3"),
        ("don't", "don t"),
        ("Ⱥ" * 1000, "ⱥ" * 1000),
    ],
)
def test_what_is_left_of_a_text(text, words):
    assert folded(["before", text], ignore_digits=False)[1] == words


def test_bytes_that_are_no_utf8_are_never_read_past_their_end():
    array = pa.array([b"a\xff\xf0", b"\xe2\x82", b"x"], pa.large_binary()).view(pa.large_string())
    offsets, data = fold_words(*text_buffers(array), False)
    assert bytes(data[offsets[2] :]) == b"x"
