import math
import unicodedata

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text import gopher, stop_words
from curation.text import unicode as u

ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
OTHER = ("ἡ", "Ὀδυσσεύς", "and", "и", "straße", "x²", "snake_case", "的")
TABLE = stop_words.stop_table([ENGLISH, OTHER])
SAME_UNICODE = unicodedata.unidata_version == u.UNICODE_VERSION
SYMBOLS = "# ##tag ... .. .... … …… .… ….. - * *b* • \u2043 ・ — \u2019 _ \x00 \ufffd \u200b \ufeff"
WORDS = """the THE and be, (of) x² snake_case Σ ς \u03c3 ΟΔΟΣ İ ß ǅ é e\u0301 \U0001d400 \U0010ffff
    😀 👩\u200d👩 שלום مرحبا 的 ไทย ก็ १२ ²"""
BLANKS = " \t\n\r\x0b\x1c\x85\xa0\u2028\u2029\u3000"
BEFORE = (b"..", "…".encode(), b"\xe2\x80", b"\xe2", b"th")
PIECES = [*SYMBOLS.split(" "), *WORDS.split(), *BLANKS, "\n- ", "\n* ", "\n• ", "...\n", "… \n\n"]


def _measure(raw, number):
    """The kernel on one text that lies among other bytes, of which the answer is free."""
    found = {repr(_measure_after(before, raw, number)) for before in BEFORE}
    assert len(found) == 1
    return _measure_after(b"", raw, number)


def _measure_after(before, raw, number):
    data = np.frombuffer(before + raw + b"...# the", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    found = gopher.quality(offsets, data, TABLE, np.array([number], np.int64))
    return {name: values[0].item() for name, values in found._asdict().items()}


def _assert_equal(found, expected):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert found[name] == value or (math.isnan(found[name]) and math.isnan(value)), name


def _known(char):
    return SAME_UNICODE or bool(u.char_class(ord(char)) & u.ASSIGNED)


hostile = st.lists(
    st.sampled_from(PIECES) | st.text(st.characters(exclude_categories=["Cs"]).filter(_known)),
    max_size=40,
).map("".join)


@settings(deadline=None)  # the first call may compile
@given(hostile, st.sampled_from([(0, ENGLISH), (1, OTHER), (-1, ())]))
@example("", (0, ENGLISH))
@example(".", (0, ENGLISH))
@example("…", (0, ENGLISH))
def test_kernel_equals_plain_python_on_any_text(text, stops):
    number, words = stops
    _assert_equal(_measure(text.encode(), number), gopher.quality_of_text(text, words))


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.binary(max_size=6) | st.sampled_from([b"..", b"\xe2\x80\xa6", b"\n- "])))
@example([b"\xe2\x80"])
@example([b"\x80\xa6"])
@example([b"\xa6"])
def test_kernel_reads_malformed_bytes_as_replacement_characters(parts):
    raw = b"".join(parts)
    text = raw.decode("utf-8", "replace")
    if SAME_UNICODE or all(map(_known, text)):
        _assert_equal(_measure(raw, 0), gopher.quality_of_text(text, ENGLISH))


@settings(deadline=None, max_examples=30)  # the first call may compile
@given(st.lists(hostile, max_size=8), st.integers(0, 8))
def test_texts_of_a_column_do_not_see_each_other(texts, start):
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)[start:]
    data = np.frombuffer(b"".join(raw), np.uint8)
    if not len(offsets):
        return
    found = gopher.quality(offsets, data, TABLE, np.zeros(len(offsets) - 1, np.int64))
    for row, text in enumerate(raw[start:]):
        alone = _measure(text, 0)
        _assert_equal({name: value[row].item() for name, value in found._asdict().items()}, alone)


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("one two\u3000three\n\tfour", "words", 4),
        ("ab cde 日本", "mean_word_chars", 7 / 3),
        ("#tag # ## x", "hash_ratio", 4 / 4),
        ("wait... what…", "ellipsis_ratio", 2 / 2),
        ("Contents .......... 3", "ellipsis_ratio", 1 / 3),
        ("so . . . no .. well", "ellipsis_ratio", 0.0),
        ("沉默……", "ellipsis_ratio", 1.0),
        ("• a\n\n \n- b\n* c\nd", "bullet_lines", 3 / 4),
        ("-5 degrees\n--all\n**bold**\n-\n*", "bullet_lines", 2 / 5),
        ("a...\nb… \nc..\n...d", "ellipsis_lines", 2 / 4),
        ("x1 22 -- é", "alpha_words", 2 / 4),
        ("The (the) AND", "stop_words", 2),
        ("other bathe withe thee", "stop_words", 0),
        ("a1 é 的 ก็ ²", "letters", 4),
    ],
)
def test_statistic_of_a_small_text(text, name, value):
    assert _measure(text.encode(), 0)[name] == pytest.approx(value, abs=1e-15)


@pytest.mark.parametrize("text", ["", " \n\t\u2003"])
def test_text_without_words_has_no_ratios(text):
    found = _measure(text.encode(), 0)
    assert found["words"] == found["stop_words"] == found["letters"] == 0
    assert all(
        math.isnan(found[name]) for name in found if name.endswith(("ratio", "lines", "chars"))
    )


def test_text_of_a_list_is_searched_for_the_words_of_that_list_only():
    assert _measure("и the 的".encode(), 1)["stop_words"] == 2
    assert _measure("и the 的".encode(), 0)["stop_words"] == 1
    assert _measure("и the 的".encode(), -1)["stop_words"] == 0


@pytest.mark.parametrize(
    "text", ["Ὀδυσσεύς", "ὈΔΥΣΣΕΎΣ", "ὀδυσσεύσ", "STRAßE", "X²", "(Snake_Case)"]
)
def test_stop_word_is_found_in_any_case(text):
    assert _measure(text.encode(), 1)["stop_words"] == 1


def test_one_endless_word_and_endless_line_are_counted():
    word, line = b"x" * 5_000_000, "é ".encode() * 1_000_000
    assert _measure(word, 0)["mean_word_chars"] == 5_000_000
    assert _measure(line, 0)["words"] == 1_000_000


def test_full_list_of_stop_words_is_counted_word_by_word():
    words = [f"w{number}" for number in range(stop_words.STOP_WORDS_PER_LIST)]
    table = stop_words.stop_table([words])
    data = np.frombuffer(" ".join([*words, *words]).encode(), np.uint8)
    found = gopher.quality(np.array([0, len(data)]), data, table, np.zeros(1, np.int64))
    assert found.stop_words.tolist() == [63]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["and so"], r"stop word 'and so' can never be found"),
        ([""], r"stop word '' can never be found"),
        ([str(number) for number in range(64)], r"has 64 words; expected at most 63"),
    ],
)
def test_impossible_stop_words_are_refused(words, message):
    with pytest.raises(ValueError, match=message):
        stop_words.stop_table([words])
