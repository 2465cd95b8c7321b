"""The line rules of C4 as kernels: one walk cuts a text into lines, a second judges each line.

What they mean is said in plain Python in `curation.text.c4`. A line is copied to the new text
first, without its citation marks, and judged there; if a rule takes it, the next line is written
over it.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.c4_phrases import (
    JAVASCRIPT,
    LOREM_IPSUM,
    POLICY_PHRASES,
    contains,
    copy_without_citations,
)
from curation.text.chars import (
    char_at,
    class_of,
    count_chars,
    count_words,
    skip_space,
    space_start,
    strip_in_place,
)
from curation.text.jit import int64, kernel, lean, lean_inlined
from curation.text.sentences import sentences_in
from curation.text.unicode import SPACE

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class LineRules(NamedTuple):
    """How lines are found, and which go; numbers only, for the kernels."""

    all_line_ends: int
    """1: lines end where `str.splitlines` ends them; 0: at U+000A only."""
    strip: int
    """1: white space at the ends of a line is removed."""
    strip_text: int
    """1: white space at the ends of the new text is removed."""
    keep_blank: int
    """1: empty lines stay."""
    flags_first: int
    """1: what a document is rejected for is looked for in all lines, 0: in lines not cut so far."""
    words_after_citations: int
    """1: words are counted after citation marks were removed."""
    citations: int
    """1: citation marks are removed."""
    end_marks: int
    """Bits of the marks a line may end with, in the order of `END_MARKS`; 0: all lines may."""
    ellipsis: int
    """1: a line that ends in "..." is cut; 2: in "…", too."""
    space_after_mark: int
    """1: white space may follow the mark."""
    min_words: int
    """Fewest words of a line."""
    max_word_chars: int
    """Most characters of a word; -1: any number."""
    javascript: int
    """1: lines with "javascript" are cut."""
    policy: int
    """1: lines with a phrase of `POLICY` are cut."""


END_MARKS = (".", "?", "!", '"', "'", "…")

# Columns of the matrix that `clean_rows` fills.
COLUMNS = (
    "lines",
    "long_word_lines",
    "no_end_mark_lines",
    "few_word_lines",
    "javascript_lines",
    "policy_lines",
    "citations",
    "lorem_ipsum",
    "curly_brackets",
    "javascript",
    "sentences",
)
(
    _LINES,
    _LONG_WORD,
    _NO_END_MARK,
    _FEW_WORDS,
    _JAVASCRIPT_LINES,
    _POLICY_LINES,
    _CITATIONS,
    _LOREM,
    _CURLY,
    _JAVASCRIPT,
    _SENTENCES,
) = range(len(COLUMNS))

_LF, _CR, _BLANK, _DOT, _OPEN = 0x0A, 0x0D, 0x20, 0x2E, 0x5B
_NEXT_LINE, _LINE_SEPARATOR, _PARAGRAPH_SEPARATOR = 0x85, 0x2028, 0x2029

# What the first walk notices: other bytes are passed over. A phrase is looked for only where its
# rarest part stands: "ja", "oki", "erms", "em " and "iva", told by one letter and its neighbours.
_PLAIN, _WHITE, _WIDE, _BRACKET, _CURLY_BRACKET, _J, _K, _M, _V = range(9)
_HAS_BRACKET, _HAS_CURLY, _HAS_JAVA, _HAS_PHRASE, _HAS_LOREM = 1, 2, 4, 8, 16


def _kinds() -> Bytes:
    kinds = np.zeros(256, np.uint8)
    kinds[[0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x1C, 0x1D, 0x1E, 0x1F, 0x20]] = _WHITE
    kinds[[0xC2, 0xE1, 0xE2, 0xE3]] = _WIDE  # all white space beyond ASCII starts with these
    kinds[_OPEN], kinds[ord("{")] = _BRACKET, _CURLY_BRACKET
    for kind, letter in ((_J, "jJ"), (_K, "kK"), (_M, "mM"), (_V, "vV")):
        kinds[[ord(char) for char in letter]] = kind
    return kinds


def _marks() -> Bytes:
    marks = np.zeros(256, np.uint8)
    for bit, mark in enumerate(END_MARKS[:-1]):
        marks[ord(mark)] = 1 << bit
    return marks


_KINDS, _MARKS = _kinds(), _marks()
_ELLIPSIS_BIT = 1 << (len(END_MARKS) - 1)


class _Line(NamedTuple):
    """One line, as the first walk leaves it."""

    begin: int
    """Where it starts, white space included."""
    start: int
    """Where its first word starts."""
    end: int
    """Where its last word ends."""
    stop: int
    """Where it ends, white space included."""
    after: int
    """Where the next line starts."""
    words: int
    notes: int
    """What may be in it: bits of `_HAS_BRACKET` and so on."""
    long_word: bool


@lean
def _read_line(data: Bytes, at: int, end: int, rules: LineRules) -> _Line:
    first = start = last = at
    words = notes = 0
    long_word = False
    while at < end:
        if data[at] == _BLANK:
            at += 1
            continue
        after = _white_end(data, at, end)
        if after > 0:
            if _ends_line(data, at, after, rules.all_line_ends):
                crlf = data[at] == _CR and after < end and data[after] == _LF
                return _Line(first, start, last, at, after + crlf, words, notes, long_word)
            at = after
            continue
        begin = at
        at, found = _read_word(data, at, end)
        start = begin if words == 0 else start
        words, last = words + 1, at
        notes |= found
        if at - begin > rules.max_word_chars >= 0:
            long_word |= count_chars(data, begin, at) > rules.max_word_chars
    return _Line(first, start, last, end, end + 1, words, notes, long_word)


@lean_inlined
def _white_end(data: Bytes, at: int, end: int) -> int:
    """Returns where a character of white space at `at` ends; 0 if there is none."""
    kind = int64(_KINDS[data[at]])
    if kind == _WIDE:
        code, after = char_at(data, at, end)
        return after if class_of(code) & SPACE else 0
    return at + 1 if kind == _WHITE else 0


@lean_inlined
def _ends_line(data: Bytes, at: int, after: int, every: int) -> bool:
    if data[at] == _LF or not every:
        return bool(data[at] == _LF)
    if after == at + 1:
        return bool(_LF < data[at] <= _CR or 0x1C <= data[at] <= 0x1E)
    code = char_at(data, at, after)[0]
    return code in (_NEXT_LINE, _LINE_SEPARATOR, _PARAGRAPH_SEPARATOR)


@lean_inlined
def _read_word(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Returns where a word ends, and what may be in it."""
    notes = 0
    while at < end:
        kind = int64(_KINDS[data[at]])
        if kind == _PLAIN:
            at += 1
            continue
        if kind <= _WIDE:
            if _white_end(data, at, end) > 0:
                break
        elif kind == _BRACKET:
            notes |= _HAS_BRACKET
        elif kind == _CURLY_BRACKET:
            notes |= _HAS_CURLY
        else:
            notes |= _letter(data, at, end, kind)
        at += 1
    return at, notes


@lean_inlined
def _letter(data: Bytes, at: int, end: int, kind: int) -> int:
    """Returns what the letter at `at` may be a part of, by its neighbours."""
    before = int64(data[at - 1]) | _BLANK if at > 0 else 0
    after = int64(data[at + 1]) | _BLANK if at + 1 < end else 0
    if kind == _J:
        return _HAS_JAVA if after == 0x61 else 0
    if kind == _K:
        return _HAS_PHRASE if before == 0x6F and after == 0x69 else 0
    if kind == _V:
        return _HAS_PHRASE if before == 0x69 and after == 0x61 else 0
    if before == 0x72 and after == 0x73:
        return _HAS_PHRASE if at > 1 and int64(data[at - 2]) | _BLANK == 0x65 else 0
    return _HAS_LOREM if before == 0x65 and after == _BLANK else 0


@lean
def _may_end(data: Bytes, at: int, end: int, rules: LineRules) -> bool:
    """Says whether a line ends with one of the marks, and not with an ellipsis."""
    if rules.space_after_mark:
        end = space_start(data, at, end)
    wide = end - 3 >= at and data[end - 3] == 0xE2 and data[end - 2] == 0x80
    wide = wide and data[end - 1] == 0xA6
    dots = end - 3 >= at and data[end - 1] == _DOT
    dots = dots and data[end - 2] == _DOT and data[end - 3] == _DOT
    if (dots and rules.ellipsis > 0) or (wide and rules.ellipsis > 1):
        return False
    bit = int64(_MARKS[data[end - 1]]) if end > at else 0
    return ((_ELLIPSIS_BIT if wide else bit) & rules.end_marks) > 0


@lean
def _flags(data: Bytes, at: int, end: int, notes: int, counts: Ints) -> None:
    """Counts what a document is rejected for."""
    counts[_LOREM] += (notes & _HAS_LOREM) > 0 and contains(data, at, end, LOREM_IPSUM)
    counts[_CURLY] += (notes & _HAS_CURLY) > 0
    counts[_JAVASCRIPT] += (notes & _HAS_JAVA) > 0 and contains(data, at, end, JAVASCRIPT)


@lean
def _judge(
    new: Bytes, span: tuple[int, int], line: _Line, rules: LineRules, counts: Ints, marks: int
) -> bool:
    """Says whether a line stays that now lies in `new`, and counts why not."""
    at, end = span
    notes = line.notes | (-1 - _HAS_CURLY if marks > 0 else 0)  # letters may have met
    if rules.flags_first:
        _flags(new, at, end, notes, counts)
    if line.long_word:
        counts[_LONG_WORD] += 1
        return False
    if rules.end_marks and not _may_end(new, at, end, rules):
        counts[_NO_END_MARK] += 1
        return False
    words = count_words(new, at, end) if marks > 0 and rules.words_after_citations else line.words
    if words < rules.min_words:
        counts[_FEW_WORDS] += 1
        return False
    has_java = (notes & _HAS_JAVA) > 0 and contains(new, at, end, JAVASCRIPT)
    if not rules.flags_first:
        counts[_LOREM] += (notes & _HAS_LOREM) > 0 and contains(new, at, end, LOREM_IPSUM)
        counts[_JAVASCRIPT] += has_java
    if has_java and rules.javascript:
        counts[_JAVASCRIPT_LINES] += 1
        return False
    counts[_CURLY] += not rules.flags_first and (notes & _HAS_CURLY) > 0
    if rules.policy and notes & _HAS_PHRASE and contains(new, at, end, POLICY_PHRASES):
        counts[_POLICY_LINES] += 1
        return False
    return True


@lean
def _clean(
    data: Bytes, span: tuple[int, int], rules: LineRules, new: Bytes, fill: int, counts: Ints
) -> int:
    """Writes the lines of one text that stay; returns where they end."""
    at, end = span
    first, kept = fill, 0
    while at <= end:
        line = _read_line(data, at, end, rules)
        at = line.after
        start = fill + (kept > 0)
        stop = start
        if line.words > 0:
            stop = _take(data, line, rules, new, start, counts)
        elif not rules.keep_blank or line.stop > line.begin:
            stop = -1
        if stop < 0:
            continue
        if kept > 0:
            new[fill] = _LF
        fill = stop
        kept += 1
    if skip_space(new, first, fill) == fill:
        return first
    return strip_in_place(new, first, fill) if rules.strip_text else fill


@lean
def _take(data: Bytes, line: _Line, rules: LineRules, new: Bytes, start: int, counts: Ints) -> int:
    """Writes a line to `start` of the new text if it stays; returns where it ends, -1 if not."""
    begin, stop = (line.start, line.end) if rules.strip else (line.begin, line.stop)
    counts[_LINES] += 1
    if rules.citations and line.notes & _HAS_BRACKET:
        end, marks = copy_without_citations(data, begin, stop, new, start)
        counts[_CITATIONS] += marks
    else:
        for k in range(stop - begin):  # a slice assignment takes seconds to compile
            new[start + k] = data[begin + k]
        end, marks = start + stop - begin, 0
    if not _judge(new, (start, end), line, rules, counts, marks):
        return -1
    counts[_SENTENCES] += sentences_in(new, start, end)
    return end


@kernel
def clean_rows(offsets: Ints, data: Bytes, rules: LineRules) -> tuple[Ints, Bytes, Ints]:
    """Applies the line rules to n texts; see `curation.text.c4.clean`."""
    rows = len(offsets) - 1
    counts = np.zeros((rows, len(COLUMNS)), np.int64)
    new_offsets = np.zeros(rows + 1, np.int64)
    new = np.empty(offsets[rows] - offsets[0] + 1, np.uint8)
    fill = int64(0)  # a literal would compile the callees twice
    for row in range(rows):
        fill = _clean(data, (offsets[row], offsets[row + 1]), rules, new, fill, counts[row])
        new_offsets[row + 1] = fill
    return new_offsets, new[:fill], counts
