"""Groups of words in attributes and short texts, against plain Python."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.html.hints import ATTRIBUTES, TEXTS, find_hints, make_automaton, plain_hints
from curation.html.words import ATTRIBUTE_GROUPS, TEXT_GROUPS

WORDS = sorted({word for group in ATTRIBUTE_GROUPS.values() for word in group})
TEXT_WORDS = sorted({word for group in TEXT_GROUPS.values() for word in group})
NOISE = [" ", "-", "_", "x", "nav", "7", "É", "评", "\n", "Foo", ":"]


def found(text: str, automaton, begin: int = 0) -> int:
    data = np.frombuffer(text.encode(), np.uint8)
    return int(find_hints(data, begin, len(data), automaton))


def named(bits: int, groups) -> set[str]:
    return {name for bit, name in enumerate(groups) if bits >> bit & 1}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("comment-list", {"comments", "list"}),
        ("COMMENT", {"comments"}),
        ("main-navigation", {"navigation", "content"}),
        ("unavailable", set()),  # " nav" begins a word
        ("col-right", {"sidebar"}),
        ("", set()),
    ],
)
def test_words_of_attributes_name_their_groups(text: str, expected: set[str]) -> None:
    assert named(found(text, ATTRIBUTES), ATTRIBUTE_GROUPS) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Kommentare (12)", {"comments"}),
        ("Комментарии", {"comments"}),
        ("关联阅读 相关新闻", {"related"}),
        ("© 2020 All rights reserved", {"rights"}),
        ("Photo: somebody", {"credit"}),
    ],
)
def test_words_of_texts_name_their_groups(text: str, expected: set[str]) -> None:
    assert named(found(text, TEXTS), TEXT_GROUPS) >= expected


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from(WORDS + NOISE), max_size=6).map("".join))
def test_attributes_are_read_as_plain_python_reads_them(text: str) -> None:
    assert found(text, ATTRIBUTES) == plain_hints(text.encode(), ATTRIBUTE_GROUPS.values())


@settings(deadline=None)  # the first call may compile
@given(
    st.lists(st.sampled_from(TEXT_WORDS + NOISE), max_size=4).map("".join) | st.text(max_size=30)
)
def test_texts_are_read_as_plain_python_reads_them(text: str) -> None:
    data = text.encode("utf-8", "replace").decode()
    assert found(data, TEXTS) == plain_hints(data.encode(), TEXT_GROUPS.values())


def test_a_word_within_another_is_found_too() -> None:
    automaton = make_automaton([["abcd"], ["bc"], ["cd "]])
    assert found("xabcdx", automaton) == 0b011
    assert found("abcd", automaton) == 0b111
