"""Lines and paragraphs: kernels against their plain twins, and rule by rule."""

import hashlib
import time
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.cuts import Runs, cut_units, plain_cut
from curation.text.units import Fold, find_units, plain_fold, plain_units
from tests.text.strategies import characters

HARD = (
    "ab AB\n\n\n\t \r\u0085\u2028\u3000\u03a3\u03c3\u03c2\u0130\u00df09\u0662\u00b2\u4e00\U0001f600"
)
texts = st.text(st.sampled_from(HARD), max_size=60) | st.text(characters, max_size=40)
folds = st.builds(Fold, st.booleans(), st.booleans())


def _buffers(rows):
    return text_buffers(pa.array(rows, pa.large_string()))


CASE = Fold(case=True, digits=False)


def _find(rows, fold=CASE, limits=(1, 1), *, paragraphs=False):
    persons = np.zeros((len(rows), 2), np.uint64)
    persons[:, 0] = np.arange(len(rows)) % 2
    return find_units(*_buffers(rows), persons, tuple(fold), limits, paragraphs=paragraphs)


def _cut(rows, cuts, *, paragraphs=False):
    """Cuts sets of units; neighbours make one run."""
    bounds, first, last = [0], [], []
    for cut in cuts:
        for unit in sorted(cut):
            if unit - 1 in cut:
                last[-1] = unit
            else:
                first.append(unit)
                last.append(unit)
        bounds.append(len(first))
    runs = Runs(np.array(bounds), np.array(first, np.int32), np.array(last, np.int32), paragraphs)
    found = cut_units(*_buffers(rows), runs)
    offsets = found.offsets.tolist()
    data = found.data.tobytes()
    new = [data[a:b].decode() for a, b in pairwise(offsets)]
    return new, found, runs


def _contents(text, *, paragraphs):
    return [unit.text.strip() for unit in plain_units(text, paragraphs=paragraphs)]


@settings(deadline=None)
@given(st.lists(texts, max_size=4), folds, st.integers(0, 6), st.integers(0, 3), st.booleans())
@example(["", " \n\u2028\n", "a\n \nb", "\na"], Fold(case=False, digits=True), 1, 1, True)
def test_units_and_digests_equal_plain_python(rows, fold, min_chars, min_words, paragraphs):
    found = _find(rows, fold, (min_chars, min_words), paragraphs=paragraphs)
    for row, text in enumerate(rows):
        contents = _contents(text, paragraphs=paragraphs)
        assert found.total[row] == sum(map(len, contents))
        expected = [
            (place, len(content), _digest(plain_fold(content, fold), row % 2))
            for place, content in enumerate(contents)
            if len(content) >= min_chars and len(content.split()) >= min_words
        ]
        part = slice(found.bounds[row], found.bounds[row + 1])
        columns = (found.place[part], found.chars[part], found.high[part], found.low[part])
        triples = [
            (p, c, (h, low)) for p, c, h, low in zip(*map(np.ndarray.tolist, columns), strict=True)
        ]
        assert triples == expected


def _digest(content, person):
    digest = hashlib.blake2b(
        content.encode(), digest_size=16, person=person.to_bytes(16, "little")
    ).digest()
    return int.from_bytes(digest[:8], "little"), int.from_bytes(digest[8:], "little")


@settings(deadline=None)
@given(st.lists(texts, max_size=4), st.booleans(), st.data())
def test_cut_texts_equal_plain_python(rows, paragraphs, data):
    contents = [_contents(text, paragraphs=paragraphs) for text in rows]
    cuts = [
        data.draw(st.sets(st.integers(0, len(units) - 1))) if units else set() for units in contents
    ]
    new, found, runs = _cut(rows, cuts, paragraphs=paragraphs)
    assert new == [
        plain_cut(text, cut, paragraphs=paragraphs) for text, cut in zip(rows, cuts, strict=True)
    ]
    for row, (units, cut) in enumerate(zip(contents, cuts, strict=True)):
        lost = [units[unit] for unit in sorted(cut)]
        assert (found.units[row], found.chars[row]) == (len(lost), sum(map(len, lost)))
        assert found.total[row] == sum(map(len, units))
        left = [unit for number, unit in enumerate(units) if number not in cut]
        assert _contents(new[row], paragraphs=paragraphs) == left
        spans = found.spans[runs.bounds[row] : runs.bounds[row + 1]].tolist()
        shown = [rows[row][start:end] for start, end in spans]
        assert "".join("".join(shown).split()) == "".join("".join(lost).split())


@pytest.mark.parametrize(
    ("text", "cut", "expected"),
    [
        ("a\nb\nc", {1}, "a\nc"),
        ("a\n\nb\nc", {1}, "a\n\nc"),
        ("a\nb\n\nc", {1}, "a\n\nc"),
        ("a\n\nb\n\nc", {1}, "a\n\nc"),
        ("  a \n\n  b\r\nc\n", {0}, "  b\r\nc\n"),
        ("\n a\nb\n\n", {1}, "\n a"),
        ("a\nb", {0, 1}, ""),
        ("\n a\nb\n\n", set(), "\n a\nb\n\n"),
        ("\n \n", set(), "\n \n"),
    ],
)
def test_lines_leave_the_widest_gap(text, cut, expected):
    assert _cut([text], [cut])[0] == [expected]


def test_paragraphs_lie_between_blank_lines():
    text = " One\ntwo.\n \t\nThree.\n\n\nFour\n"
    assert [unit.text for unit in plain_units(text, paragraphs=True)] == [
        " One\ntwo.",
        "Three.",
        "Four",
    ]
    assert _cut([text], [{1}], paragraphs=True)[0] == [" One\ntwo.\n\n\nFour\n"]


@pytest.mark.parametrize(
    ("one", "other", "case", "digits", "same"),
    [
        ("Next  page", " next\tPAGE ", True, False, True),
        ("Next page", "next page", False, False, False),
        ("Page 3 of 12", "page 14 of 150", True, True, True),
        ("Page 3 of 12", "page 4 of 12", True, False, False),
        ("Page 3", "Page", True, True, False),
        ("\u039f\u0394\u039f\u03a3", "\u03bf\u03b4\u03bf\u03c2", True, False, True),
        ("next page", "nextpage", True, True, False),
    ],
)
def test_what_does_not_count_when_units_are_compared(one, other, case, digits, same):
    rows = [one, "", other]  # texts 0 and 2 have the same name
    found = _find(rows, Fold(case, digits))
    assert ((found.low[0], found.high[0]) == (found.low[1], found.high[1])) is same


def test_texts_of_other_names_share_no_digest():
    found = _find(["same line", "same line"])
    assert found.low[0] != found.low[1]
    assert found.high[0] != found.high[1]


@pytest.mark.parametrize("text", ["x" * 3_000_000, "x\n" * 1_500_000, "\n" * 3_000_000])
def test_huge_lines_and_many_take_time_in_proportion(text):
    _find(["warm"])
    _cut(["warm"], [{0}])
    begin = time.process_time()
    found = _find([text])
    _cut([text], [set(found.place[:1000].tolist())])
    assert time.process_time() - begin < 2
    assert found.total[0] == len(text.replace("\n", ""))


def test_bytes_that_are_no_utf8_are_read_within_bounds():
    data = np.frombuffer(b"a\xe2\x82\nb\xf0\nok\xff", np.uint8)
    offsets = np.array([0, 3, 6, 10], np.int64)
    found = find_units(
        offsets, data, np.zeros((3, 2), np.uint64), (True, False), (1, 1), paragraphs=False
    )
    assert found.bounds.tolist() == [0, 1, 2, 3]
    runs = Runs(np.array([0, 0, 1, 1]), np.zeros(1, np.int32), np.zeros(1, np.int32), False)
    assert cut_units(offsets, data, runs).data.tobytes() == b"a\xe2\x82\nok\xff"
