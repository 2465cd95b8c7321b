import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text.plain_statistics import is_kind, plain_statistics
from curation.text.statistics_tables import COUNTED, DEFINITIONS, flag_table
from curation.text.text_statistics import BOILERPLATE, Statistics, measure
from curation.text.unicode import ASSIGNED, char_class
from tests.text.strategies import characters

HARD = """http:// https://a.b/c?d=e%20f%zz,(x) xhttps://y hhttp://http://z : // ftp://a
    terms of use PRIVACY Policy cookies cookie policy uses cookies lorem ipsum Lorem . ! ? … ” ' "
    ( ) [ ] { } ⟨ ⟩ a1 Éa Ⅷ Ⓐ ǅ 数 ٣ ² ½ 😀 ー 一 _ - # \ufffd \x00"""
BLANKS = " \t\n\r\x08\x0b\x1c\x85\xa0\u2028\u3000"
hostile = st.lists(
    st.sampled_from(
        [*HARD.split(), "\n\n", "\r\n", " use cookies ", " lorem ipsum ", *BLANKS, *" " * 9]
    ),
    max_size=40,
).map("".join) | st.text(characters, max_size=60)
definitions = st.sampled_from(sorted(DEFINITIONS))


def _measure(raw, definition, before=b""):
    data = np.frombuffer(before + raw + b"p://x.org\n\nuse cookies.", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    return {
        name: values[0].item()
        for name, values in measure(offsets, data, definition)._asdict().items()
    }


def _same(found, expected):
    assert list(found) == list(Statistics._fields)
    assert found == pytest.approx(expected, rel=1e-12, nan_ok=True)


@settings(deadline=None, max_examples=300)  # the first call may compile
@given(hostile, definitions, st.sampled_from([b"", b"htt", b"\xe2\x80"]))
@example("", "data_juicer", b"")
@example("\n", "data_juicer", b"")
@example("\r\n\r", "data_juicer", b"")
@example("a\n\n\nb\n\n", "curator", b"")
@example("http://a:http://b", "unicode", b"")
@example("we use cookies", "unicode", b"")
def test_kernel_equals_plain_python_on_any_text(text, definition, before):
    _same(_measure(text.encode(), definition, before), plain_statistics(text, definition))


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.binary(max_size=40), definitions)
def test_malformed_bytes_are_counted_but_never_read_beyond(raw, definition):
    found = _measure(raw, definition)
    assert found["chars"] <= len(raw)
    assert _measure(raw, definition, b"\xe2\x80") == pytest.approx(found, nan_ok=True)


@settings(deadline=None, max_examples=30)  # the first call may compile
@given(st.lists(hostile, max_size=6), st.integers(0, 6), definitions)
def test_texts_of_a_column_do_not_see_each_other(texts, start, definition):
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)[start:]
    if not len(offsets):
        return
    found = measure(offsets, np.frombuffer(b"".join(raw), np.uint8), definition)
    for row, text in enumerate(raw[start:]):
        alone = {name: values[row].item() for name, values in found._asdict().items()}
        assert alone == pytest.approx(_measure(text, definition), nan_ok=True)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_kinds_of_every_assigned_code_point_are_those_of_python(definition):
    table = flag_table(definition)
    shared = [
        code
        for code in range(sys.maxunicode + 1)
        if char_class(code) & ASSIGNED or definition == "data_juicer"
    ]
    for bit, kind in enumerate(COUNTED):
        if kind in ("letter", "upper"):
            continue
        expected = [is_kind(chr(code), kind, definition) for code in shared]
        assert ((table[shared] >> bit) & 1).tolist() == expected, kind


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("abc 12", "chars", 6),
        ("One, two.", "words", 2),
        ("One extraordinary", "longest_word_chars", 13),
        ("a\n \nb", "lines", 2),
        ("abcd\n\nab", "mean_line_chars", 3),
        ("abcd\n\nab", "longest_line_chars", 4),
        ("ab-- ", "alphanumeric_ratio", 0.4),
        ("ab12٣", "digit_ratio", 0.6),
        ("ABcd 12", "upper_ratio", 0.5),
        ("ab \n", "white_space_ratio", 0.5),
        ("a+b.", "special_ratio", 0.5),
        ("(ab)", "parenthesis_ratio", 0.5),
        ("at http://a.b or", "url_ratio", 10 / 16),
        ("So.\nHome\n“Yes.”", "no_end_mark_ratio", 1 / 3),
        ("We use cookies.\n\nSo it is.", "boilerplate_ratio", 0.5),
    ],
)
def test_each_statistic_has_its_meaning(text, name, value):
    assert _measure(text.encode(), "unicode")[name] == value


@pytest.mark.parametrize("phrase", BOILERPLATE)
def test_every_phrase_is_found(phrase):
    text = f"Here are\nour {phrase.upper()} for you.\n\nSo it goes."
    assert _measure(text.encode(), "curator")["boilerplate_ratio"] == 0.5


@pytest.mark.parametrize("unit", ["a", "a ", "http://", "cookie ", "\n", "\n\n", "数", "%20"])
def test_a_huge_text_takes_time_by_its_length(unit):
    raw = (unit * (600_000 // len(unit))).encode()
    for definition in DEFINITIONS:
        assert _measure(raw, definition)["chars"] == 600_000 // len(unit) * len(unit)
