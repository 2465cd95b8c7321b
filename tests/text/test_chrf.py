import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.chrf import Column, chrf, plain_chrf
from tests.text.strategies import texts

sacrebleu = pytest.importorskip("sacrebleu.metrics")

FEW = st.text(st.sampled_from("ab \n数é\u2003\x1c"), max_size=40)
"""Few characters, so that n-grams meet; with white space of `str.split` beyond ASCII."""


def column(values):
    return Column(*text_buffers(pa.array(values, pa.large_string())))


@settings(deadline=None, max_examples=200)  # the first call may compile
@given(st.lists(st.tuples(texts | FEW, texts | FEW), min_size=1, max_size=4))
@example([("", ""), ("a", ""), ("", "a"), (" ", " "), ("a b", "ab")])
@example([("aaaaaaaaaa", "aaaaaaa"), ("abcabc", "cabcab")])
def test_kernel_plain_python_and_sacrebleu_agree_to_the_last_digit(pairs):
    mine, theirs = zip(*pairs, strict=True)
    found = chrf(column(mine), column(theirs))
    assert found.tolist() == [plain_chrf(*pair) for pair in pairs]
    oracle = sacrebleu.CHRF()
    assert found.tolist() == [oracle.sentence_score(one, [two]).score for one, two in pairs]


def test_a_column_that_is_a_slice_and_other_alphabets_per_row():
    rows = ["left out", "Ein Satz.", "数学の本", "Ein Satz!", "and out"]
    sliced = Column(*text_buffers(pa.array(rows, pa.large_string()).slice(1, 3)))
    found = chrf(sliced, column(["Ein Satz.", "数字の本", "Zwei Sätze!"]))
    assert found[0] == 100
    assert found.tolist() == [
        plain_chrf(one, two)
        for one, two in zip(rows[1:4], ["Ein Satz.", "数字の本", "Zwei Sätze!"], strict=True)
    ]


@settings(deadline=None, max_examples=30)  # the first call may compile
@given(st.binary(max_size=40), st.binary(max_size=40))
def test_malformed_bytes_are_never_read_beyond(one, two):
    def padded(raw):
        data = np.frombuffer(b"\xe2\x80" + raw + b"\xa8x", np.uint8)
        return Column(np.array([2, 2 + len(raw)], np.int64), data)

    [found] = chrf(padded(one), padded(two))
    decoded = [raw.decode("utf-8", "replace") for raw in (one, two)]
    assert found == plain_chrf(*decoded)
