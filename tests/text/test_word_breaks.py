import gzip
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import word_break_tables as tables
from curation.text import word_breaks as w
from curation.text.unicode import UNICODE_VERSION
from curation.text.xxh64 import plain_xxh64

OFFICIAL = Path(__file__).with_name("word_break_test.txt.gz")
TIMES = "\u00d7"
UCD = Path("/usr/share/unicode")
# One character of each class, those that need a look ahead twice; and joined emoji.
HARD = """a b é あ ア 的 ก 1 ٣ _ ' " . , : ; · ‧ \u2019 א ב 🇩 🇪 🙂 \u2139 Ⓜ \u0301 \u200d \u00ad
    \u2060 $ - ! a'a 1,1 א"ב 🙂\u200d🙂"""
PIECES = [*HARD.split(), *"\r\n\t\v \u2028\u3000\u202f", "  "]
hostile = st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=30
)


def _segments(raw, kind=w.SEGMENTS, before=b""):
    data = np.frombuffer(before + raw + b"a1", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    found = w.segment_spans(offsets, data, kind)
    assert w.count_segments(offsets, data, kind).tolist() == [len(found.starts)]
    spans = zip(found.starts, found.ends, strict=True)
    return [data[start:end].tobytes() for start, end in spans]


def _official():
    with gzip.open(OFFICIAL, "rt", encoding="utf-8") as lines:
        for line in lines:
            if not line.startswith("#"):
                parts = line.strip().strip("÷").split("÷")
                yield ["".join(chr(int(code, 16)) for code in part.split(TIMES)) for part in parts]


def test_boundaries_are_those_of_the_official_test():
    cases = list(_official())
    assert len(cases) == 1823
    for expected in cases:
        text = "".join(expected)
        assert w.plain_segments(text) == expected
        assert [part.decode() for part in _segments(text.encode())] == expected


@settings(deadline=None)  # the first call may compile
@given(hostile, st.sampled_from([w.SEGMENTS, w.TOKENS, w.WORDS]))
def test_kernel_equals_the_rules_on_any_text(text, kind):
    expected = [segment.encode() for segment in w.plain_segments(text, kind)]
    for before in (b"", "a\u0301".encode(), b"\xe3\x80"):
        assert _segments(text.encode(), kind, before) == expected


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(
    st.lists(st.binary(max_size=4) | st.sampled_from([b"a", b"\xf0\x9f", b"\xcc"])).map(b"".join)
)
def test_segments_of_malformed_bytes_are_those_of_what_replaces_them(raw):
    text = raw.decode("utf-8", "replace")
    found = _segments(raw)
    assert b"".join(found) == raw
    assert len(found) == len(w.plain_segments(text))


@pytest.mark.parametrize(
    ("text", "tokens", "words"),
    [
        ("Don't pay $3.50.", 5, 3),
        ("snake_case x-ray e.g. 1,000", 7, 5),
        ("這是中文", 4, 4),
        ("👩\u200d👩\u200d👦 🇩🇪🇫🇷!", 4, 0),
        ("-- ... __", 6, 0),
        ("", 0, 0),
        (" \n\t\u3000", 0, 0),
    ],
)
def test_tokens_and_words_of_a_small_text(text, tokens, words):
    assert len(_segments(text.encode(), w.TOKENS)) == tokens
    assert len(_segments(text.encode(), w.WORDS)) == words


def test_hash_of_a_word_is_that_of_its_bytes():
    raw = "Straße, don't!".encode()
    data = np.frombuffer(raw, np.uint8)
    spans = w.segment_spans(np.array([0, len(raw)]), data, w.WORDS)
    expected = [plain_xxh64("Straße".encode()), plain_xxh64(b"don't")]
    assert w.span_hashes(data, spans).tolist() == expected


def test_texts_of_a_column_do_not_see_each_other():
    parts = ["a", "'", "b", "", "\u0301", "c"]
    data = np.frombuffer("".join(parts).encode(), np.uint8)
    offsets = np.cumsum([0, *(len(part.encode()) for part in parts)])
    assert w.count_segments(offsets, data, w.SEGMENTS).tolist() == [1, 1, 1, 0, 1, 1]


@pytest.mark.parametrize("unit", ["a", "'", "a'\u0301", "\u200d", "🇩", " ", "\u0301"])
def test_a_huge_text_takes_time_by_its_length(unit):
    text = unit * (300_000 // len(unit.encode()))
    found = _segments(text.encode(), w.SEGMENTS)
    assert sum(map(len, found)) == len(text.encode())


@pytest.mark.skipif(not (UCD / "auxiliary").is_dir(), reason="no Unicode Character Database here")
def test_committed_table_is_the_one_that_the_script_makes():
    made, committed = tables.make_breaks(UCD), tables.load_breaks()
    assert tables.KNOWN == UNICODE_VERSION
    np.testing.assert_array_equal(made.page_of, committed.page_of)
    np.testing.assert_array_equal(made.pages, committed.pages)


def test_script_reads_property_files(tmp_path):
    for name, text in (
        ("auxiliary/WordBreakProperty.txt", "0041..005A ; ALetter # letters\n\n11F04 ; ALetter\n"),
        ("emoji/emoji-data.txt", "24C2 ; Emoji # no\n24C2 ; Extended_Pictographic# yes\n"),
    ):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    made = tables.make_breaks(tmp_path)

    def byte(code):
        return int(made.pages[int(made.page_of[code >> 7]) * 128 + (code & 127)])

    letter = tables.CLASS_NAMES.index("ALetter")
    assert byte(0x41) == letter | tables.LETTER_OR_DIGIT | tables.VISIBLE
    assert byte(0x24C2) == tables.PICTURE | tables.VISIBLE
    assert byte(0x11F04) == tables.VISIBLE  # of Unicode 15
    assert byte(0x20) == 0
