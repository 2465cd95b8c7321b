import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import sentences as s
from tests.text.strategies import characters

HARD = """Mr. St. p.m. e.g. U.S. NASA. A. a. end. End.Next a.B http://x.y.Z 3. 3.5 .. ... …
    ! ? ?! " ' ) ( [1] - — “ ” 。 \uff01 ؟ ¿ é. É. 的。 的 x <b>. 5%. +. . \u0301. \ufffd"""
PIECES = HARD.split()
hostile = st.lists(
    st.sampled_from([*PIECES, " ", " ", " ", "\n", "\u3000", "\xa0"]), max_size=20
).map("".join) | st.text(characters, max_size=40)


def _count(raw, before=b"x."):
    data = np.frombuffer(before + raw + b". X", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    return s.count_sentences(offsets, data).item()


@settings(deadline=None)  # the first call may compile
@given(hostile, st.sampled_from([b"", b"x.", b"\xe3\x80", b"A"]))
def test_kernel_equals_plain_python_on_any_text(text, before):
    assert _count(text.encode(), before) == s.plain_sentences(text)


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.lists(st.binary(max_size=4) | st.sampled_from([b". ", b"a", b"\xe3\x80"])).map(b"".join))
def test_malformed_bytes_count_as_what_replaces_them(raw):
    assert _count(raw) == s.plain_sentences(raw.decode("utf-8", "replace"))


@pytest.mark.parametrize(
    ("line", "count"),
    [
        ("", 0),
        (" \t", 0),
        ("no end", 1),
        ("One. Two! Three? Four", 4),
        ("Mr. Hill met Dr. Jones in St. Louis at 5 p.m. today.", 1),
        ("He lives in the U.S. now. She does not.", 2),
        ("Plan B. is off.", 1),
        ("NASA. No.", 2),
        ('"Why?" he asked. (It was late.) [Then.]', 4),
        ("Wait... what .. now", 1),
        ("It broke.Then it worked. See http://example.org/a.Html now.", 3),
        ("1. First. 2. Second.", 4),
        ("What?! — No. — Yes", 3),
        ("这是一句。 这是两句。", 2),
        ("?", 1),
        (". . .", 1),
    ],
)
def test_sentences_of_a_line(line, count):
    assert s.plain_sentences(line) == count
    assert _count(line.encode()) == count


@pytest.mark.parametrize("unit", [".", "a.", "a. ", "! ", "A.", "é", ".A", "。", "'"])
def test_a_huge_line_takes_time_by_its_length(unit):
    text = unit * (1_000_000 // len(unit))
    assert 1 <= _count(text.encode()) <= len(text)


@given(hostile)
def test_spans_are_as_many_as_are_counted_and_leave_out_white_space_alone(line):
    spans = s.plain_sentence_spans(line)
    assert len(spans) == s.plain_sentences(line)
    covered = {at for start, end in spans for at in range(start, end)}
    assert sum(end - start for start, end in spans) == len(covered)
    assert all(line[at].isspace() for at in range(len(line)) if at not in covered)
