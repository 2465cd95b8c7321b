"""The normalization kernel against its plain twin, rule by rule and on arbitrary texts."""

# ruff: noqa: RUF001 - texts in other scripts

import re
import time
import unicodedata
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from curation.text.normalize import (
    MOST_MARKS,
    Options,
    char_table,
    compose,
    normalize_rows,
    plain_normalize,
)

ZWSP, ZWNJ, ZWJ = "\u200b", "\u200c", "\u200d"
WOMAN_SCIENTIST = "\U0001f469\u200d\U0001f52c"
PERSIAN = "می\u200cخواهم"
KHMER = "ភាសា\u200bខ្មែរ"

# Dense where rules meet: all kinds of white space, joiners with the characters that they join,
# what NFC composes, decomposes and reorders, and what it moves to another block.
HARD = (
    "ab \t\n\r\x0b\x0c\x00\x1f\x7f\x85\x9f\xa0\xad\u2028\u2029\u3000\u2003\u1680"
    "\u200b\u200c\u200d\u2060\ufeff\u0628\u0915\u0958\u0e01\u1780\u1100\u1161\u11a8"
    "e\u0301\u0323\u0344\u212a\u2329\u2000\u2764\ufe0f\U0001f469\U0001f3fd\U00011131\U00011127"
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text(
    st.sampled_from(HARD), max_size=40
)
options = st.builds(Options, st.booleans(), st.booleans(), st.booleans())


DEFAULT = Options()


def run(*rows: str, options: Options = DEFAULT) -> list[str]:
    data = [row.encode() for row in rows]
    offsets = np.cumsum([0, *map(len, data)]).astype(np.int64)
    new_offsets, new_data, _ = normalize_rows(
        offsets,
        np.frombuffer(b"".join(data), np.uint8),
        char_table(plain_spaces=options.plain_spaces),
        (options.collapse_spaces, options.keep_indentation),
    )
    return [new_data[start:end].tobytes().decode() for start, end in pairwise(new_offsets)]


RULES = {
    "carriage return and line feed": ("a\r\nb", "a\nb"),
    "carriage return": ("a\rb", "a\nb"),
    "two carriage returns": ("a\r\rb", "a\n\nb"),
    "carriage return after line feed": ("a\n\rb", "a\n\nb"),
    "vertical tab": ("a\x0bb", "a\nb"),
    "form feed": ("a\x0cb", "a\nb"),
    "next line": ("a\x85b", "a\nb"),
    "line separator": ("a\u2028b", "a\nb"),
    "paragraph separator": ("a\u2029b", "a\nb"),
    "null": ("a\x00b", "ab"),
    "escape": ("a\x1b[0mb", "a[0mb"),
    "delete": ("a\x7fb", "ab"),
    "C1 control": ("don\x92t", "dont"),
    "soft hyphen": ("har\xadvest", "harvest"),
    "byte order mark": ("\ufeffa\ufeffb", "ab"),
    "word joiner": ("a\u2060b", "ab"),
    "control within a line end": ("a\r\x00\nb", "a\n\nb"),
    "zero-width space in Latin": (f"a{ZWSP}b", "ab"),
    "zero-width space in Khmer": (KHMER, KHMER),
    "zero-width space at a border": (f"ខ{ZWSP}a{ZWSP}ខ", "ខaខ"),
    "zero-width space in Arabic": (f"ب{ZWSP}ب", "بب"),
    "non-joiner in Persian": (PERSIAN, PERSIAN),
    "non-joiner in Latin": (f"auf{ZWNJ}lage", "auflage"),
    "non-joiner at a word's end": (f"می{ZWNJ} می", "می می"),
    "joiner in Devanagari": (f"क्{ZWJ}ष", f"क्{ZWJ}ष"),
    "joiner in emoji": (WOMAN_SCIENTIST, WOMAN_SCIENTIST),
    "joiner after an emoji": (f"\U0001f469{ZWJ}a", "\U0001f469a"),
    "joiner before the end": (f"क्{ZWJ}", "क्"),
    "non-joiner in emoji": (f"\U0001f469{ZWNJ}\U0001f52c", "\U0001f469\U0001f52c"),
    "run of joiners": (f"ب{ZWNJ}{ZWNJ}{ZWJ}ب", f"ب{ZWNJ}ب"),
    "joiners with a control between": (f"ب{ZWNJ}\x00{ZWJ}ب", f"ب{ZWNJ}ب"),
    "marks of direction": ("a\u200eb\u200fc", "a\u200eb\u200fc"),
    "non-breaking space": ("a\xa0b", "a b"),
    "ideographic space": ("日\u3000本", "日 本"),
    "thin spaces": ("1\u2009000\u202f000", "1 000 000"),
    "run of spaces": ("a   b \xa0 c", "a b c"),
    "run with a tab": ("a \t  b\t\tc", "a\tb\tc"),
    "space between control characters": ("a \x00 b", "a b"),
    "spaces at the end of a line": ("a  \nb\t\nc", "a\nb\nc"),
    "indentation": ("a\n    b\n\tc\n \xa0d", "a\n    b\n\tc\n  d"),
    "one empty line": ("a\n\nb", "a\n\nb"),
    "three empty lines": ("a\n\n\n\nb", "a\n\nb"),
    "lines of spaces": ("a\n  \n\t\n \n  b", "a\n\n  b"),
    "ends": (" \n\t a b \n\n", "a b"),
    "nothing visible": (f" \n\x00\ufeff{ZWJ}\t", ""),
    "nothing": ("", ""),
}


@pytest.mark.parametrize(("text", "expected"), RULES.values(), ids=RULES)
def test_each_rule_by_kernel_and_twin(text, expected):
    assert plain_normalize(text, Options()) == expected
    assert run(text) == [expected]


@pytest.mark.parametrize(
    ("options", "text", "expected"),
    [
        (Options(plain_spaces=False), "a\xa0\xa0b \u3000", "a\xa0\xa0b \u3000"),
        (Options(collapse_spaces=False), "a  b \t c\u2003 d  ", "a  b \t c  d"),
        (Options(keep_indentation=False), "a\n    b\n\tc", "a\nb\nc"),
        (Options(collapse_spaces=False, keep_indentation=False), "a\n  b  c", "a\nb  c"),
    ],
)
def test_each_option_turns_its_rule_off(options, text, expected):
    assert plain_normalize(text, options) == expected
    assert run(text, options=options) == [expected]


@given(st.lists(texts, max_size=4), options)
@example(["a\r", "\nb", "\u200d", "\U0001f469"], Options())
def test_kernel_and_twin_agree_on_any_texts(rows, options):
    assert run(*rows, options=options) == [plain_normalize(row, options) for row in rows]


@given(texts, options)
def test_a_second_pass_changes_nothing(text, options):
    once = compose(plain_normalize(text, options))
    assert compose(plain_normalize(once, options)) == once


@given(texts)
def test_the_result_is_nfc_without_controls_and_heaps_of_space(text):
    new = compose(run(text)[0])
    assert unicodedata.is_normalized("NFC", new)
    assert new == new.strip(" \t\n")
    assert not re.search(r"[^\S \t\n]|[ \t]\n|\n{3}|\S[ \t]{2}|[\x00-\x08\x0b-\x1f\x7f-\x9f]", new)


@given(texts)
def test_what_the_kernel_does_not_mark_is_composed_already(text):
    data = np.frombuffer(text.encode(), np.uint8)
    table = char_table(plain_spaces=True)
    _, new, marked = normalize_rows(np.array([0, len(data)]), data, table, (True, True))
    new_text = new.tobytes().decode()
    assert marked[0] or compose(new_text) == new_text


def test_every_character_that_nfc_may_change_is_marked():
    """Against Unicode's own composition pairs: the second of each, and what is not NFC itself."""
    table = char_table(plain_spaces=False)
    for code_point in [*range(0x80, 0xD800), *range(0xE000, 0x30000)]:
        char = chr(code_point)
        if unicodedata.normalize("NFC", char) != char or unicodedata.combining(char):
            assert table[code_point] & 64, hex(code_point)
        parts = unicodedata.normalize("NFD", char)
        if unicodedata.normalize("NFC", parts) == char and len(parts) > 1:
            assert all(table[ord(part)] & 64 for part in parts[1:]), hex(code_point)


def test_a_slice_of_a_buffer_is_read_where_it_lies():
    data = np.frombuffer(b"xx a  b yy", np.uint8)
    offsets, new, _ = normalize_rows(
        np.array([2, 5, 8]), data, char_table(plain_spaces=True), (True, True)
    )
    assert (offsets.tolist(), new.tobytes()) == ([0, 1, 2], b"ab")


def test_heaps_of_marks_are_cut_and_cost_no_time():
    """Sorting 400,000 marks on one letter would take Python minutes."""
    started = time.process_time()
    text = compose("a" + "\u0301\u0323" * 200_000 + "b")
    assert time.process_time() - started < 2
    assert len(text) <= MOST_MARKS + 2
    assert text.endswith("b")


def test_a_letter_with_the_most_marks_keeps_them():
    text = "q" + "\u0301" * MOST_MARKS
    assert compose(text) == text


@pytest.mark.parametrize("piece", [" ", "\n", "\t ", "a ", "\u200d", "\r", "\xa0", "\u0301", "🂡"])
def test_long_runs_take_linear_time(piece):
    started = time.process_time()
    run(piece * (1_000_000 // len(piece.encode())) + "x")
    assert time.process_time() - started < 1
