import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.phrases import count_phrases, phrase_table, plain_phrases
from tests.text.strategies import texts

LIST = ["bad", "bad word", "Bäd", "性", "x-y", "!", "\u017ft", "a", " spaced ", ""]
TABLE = phrase_table(LIST)
hostile = (
    st.lists(
        st.sampled_from([*LIST, "BAD", "BÄD", "badly", "_", "é", "-", ".", "\u0130", "A", "\n"]),
        max_size=16,
    ).map("".join)
    | texts
)


def _count(raw, table, anywhere, before=b""):
    data = np.frombuffer(before + raw + b"bad", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    return count_phrases(offsets, data, table, anywhere).item()


@settings(deadline=None)  # the first call may compile
@given(hostile, st.booleans(), st.sampled_from([b"", b"x", b"\xe6\x80"]))
def test_kernel_equals_plain_python_on_any_text(text, anywhere, before):
    expected = plain_phrases(text, LIST, anywhere=anywhere)
    assert _count(text.encode(), TABLE, anywhere, before) == expected


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Bad!", 1),
        ("Bad !", 2),
        ("badly bad_ 2bad", 0),
        ("a BAD WORD", 2),
        ("(x-Y)", 1),
        ("spaced", 1),
        ("", 0),
    ],
)
def test_phrases_stand_between_other_characters(text, count):
    assert _count(text.encode(), TABLE, False) == count


def test_phrases_stand_anywhere_in_languages_without_spaces():
    assert _count("女性的".encode(), TABLE, True) == 1
    assert _count("女性的".encode(), TABLE, False) == 0


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.binary(max_size=30))
def test_malformed_bytes_are_counted_without_reading_beyond(raw):
    assert _count(raw, TABLE, False) == _count(raw, TABLE, False, b"\xe6")


def test_empty_list_is_refused():
    with pytest.raises(ValueError, match=r"has no words; expected one word or phrase a line"):
        phrase_table(["", "  "])
