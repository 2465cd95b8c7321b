"""The line-wise corrections of RefinedWeb as kernels: a line is read, judged, copied and edited.

What they mean is said in plain Python in `curation.text.refinedweb`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chars import class_at, skip_space, strip_in_place
from curation.text.jit import int64, kernel, lean
from curation.text.refinedweb_phrases import cut_anywhere, cut_end, cut_start, is_counter
from curation.text.scan import newline_at
from curation.text.unicode import DIGIT, SPACE, UPPER, WORD

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class LineRules(NamedTuple):
    """Which lines go and what is edited out of others; numbers and bytes, for the kernels.

    Lists of phrases are uint8: in lower case (of ASCII), parted by line feeds; empty: none.
    """

    max_upper: float
    """Largest share of upper-case characters in a line."""
    visible_only: int
    """1: white space counts neither in that share nor in a line of digits."""
    digits: int
    """1: lines of nothing but digits are cut."""
    counters: Bytes
    """What is counted in lines like "3 likes"."""
    min_words: int
    """Fewest words of a line."""
    short_words: int
    """Most words of a line that may be edited."""
    anywhere: Bytes
    """Phrases to cut out of short lines."""
    ends: Bytes
    """Phrases to cut off the end of short lines."""
    starts: Bytes
    """Phrases to cut off the start of short lines."""
    wild_dots: int
    """1: a full stop in a phrase stands for any character."""
    all_words: int
    """1: words for the page's share are all words; 0: fastText's tokens, without punctuation."""
    whole_lines: int
    """1: all words of an edited line count as removed; 0: those that went."""


COLUMNS = (
    "lines",
    "upper_lines",
    "digit_lines",
    "counter_lines",
    "few_word_lines",
    "edits_anywhere",
    "edits_at_end",
    "edits_at_start",
    "words",
    "removed_words",
)
"""Columns of the matrix that `correct_rows` fills."""
(
    _LINES,
    _UPPER_LINES,
    _DIGIT_LINES,
    _COUNTER_LINES,
    _FEW_WORD_LINES,
    _ANYWHERE,
    _AT_END,
    _AT_START,
    _WORDS,
    _REMOVED,
) = range(len(COLUMNS))

_TAB, _LF, _CR, _BLANK, _LOW_LINE = 0x09, 0x0A, 0x0D, 0x20, 0x5F


class _Line(NamedTuple):
    """What is counted in one line."""

    start: int
    """Where its first word starts."""
    stop: int
    """Where it ends, white space included."""
    chars: int
    visible: int
    """Characters that are no white space."""
    upper: int
    digits: int
    words: int
    tokens: int
    """What starts with a letter or digit after the white space of ASCII, or U+0000."""


@lean
def _read_line(data: Bytes, at: int, end: int) -> _Line:
    start = at
    chars = visible = upper = digits = words = tokens = 0
    inside, fresh = False, True
    while at < end:
        byte = data[at]
        bits, after = class_at(data, at, end)
        chars += 1
        tokens += fresh and (bits & WORD) > 0 and byte != _LOW_LINE
        fresh = byte in (_BLANK, 0) or _TAB <= byte <= _CR
        if bits & SPACE:
            inside = False
        else:
            if not inside:
                start = at if words == 0 else start
                words += 1
            inside = True
            visible += 1
            upper += (bits & UPPER) > 0
            digits += (bits & DIGIT) > 0
        at = after
    return _Line(start, at, chars, visible, upper, digits, words, tokens)


@lean
def _judge(data: Bytes, line: _Line, rules: LineRules, counts: Ints) -> bool:
    """Says whether a line with something visible stays, and counts why not."""
    chars = line.visible if rules.visible_only else line.chars
    if line.upper > 0 and line.upper / chars > rules.max_upper:
        counts[_UPPER_LINES] += 1
        return False
    one_run = rules.visible_only or line.words == 1
    if rules.digits and line.digits == line.visible and one_run:
        counts[_DIGIT_LINES] += 1
        return False
    if len(rules.counters) > 0 and is_counter(data, line.start, line.stop, rules.counters):
        counts[_COUNTER_LINES] += 1
        return False
    counts[_FEW_WORD_LINES] += line.words < rules.min_words
    return line.words >= rules.min_words


@lean
def _edit(new: Bytes, at: int, end: int, rules: LineRules, counts: Ints) -> int:
    """Edits a short line; returns where it ends, `at` where nothing visible is left."""
    stop = cut_anywhere(new, at, end, rules.anywhere, rules.wild_dots)
    if stop < end:
        counts[_ANYWHERE] += 1
        if skip_space(new, at, stop) == stop:
            return at
    end, stop = stop, cut_end(new, at, stop, rules.ends, rules.wild_dots)
    if stop < end:
        counts[_AT_END] += 1
        if skip_space(new, at, stop) == stop:
            return at
    end, stop = stop, cut_start(new, at, stop, rules.starts, rules.wild_dots)
    counts[_AT_START] += stop < end
    return at if stop < end and skip_space(new, at, stop) == stop else stop


@lean
def _take(new: Bytes, line: _Line, at: int, rules: LineRules, counts: Ints) -> int:
    """Corrects a line that lies in the new text from `at` on; returns its end, -1 if it goes."""
    words = line.words if rules.all_words else line.tokens
    counts[_LINES] += 1
    counts[_WORDS] += words
    if not _judge(new, line, rules, counts):
        counts[_REMOVED] += words
        return -1
    if line.words > rules.short_words:
        return line.stop
    end = _edit(new, at, line.stop, rules, counts)
    if end < line.stop:
        left = _read_line(new, at, end)
        stays = 0 if rules.whole_lines else left.words if rules.all_words else left.tokens
        counts[_REMOVED] += words - stays
    return end if end > at else -1


@lean
def _correct(
    data: Bytes, span: tuple[int, int], rules: LineRules, new: Bytes, fill: int, counts: Ints
) -> int:
    """Writes what stays of one text; returns where it ends."""
    at, end = span
    first, kept = fill, False
    while at <= end:
        after = newline_at(data, at, end)
        start = fill + kept
        for k in range(after - at):
            new[start + k] = data[at + k]
        line = _read_line(new, start, start + after - at)
        at = after + 1
        stop = line.stop
        if line.words > 0:
            # What the first line starts with goes at last, so it is no part of the line.
            stop = _take(new, line, start if kept else line.start, rules, counts)
        if stop < 0 or (line.words == 0 and (stop > start or not kept)):
            continue
        if kept:
            new[fill] = _LF
        fill, kept = stop, True
    return strip_in_place(new, first, fill)


@kernel
def correct_rows(offsets: Ints, data: Bytes, rules: LineRules) -> tuple[Ints, Bytes, Ints]:
    """Applies the corrections to n texts; see `curation.text.refinedweb.correct`."""
    rows = len(offsets) - 1
    counts = np.zeros((rows, len(COLUMNS)), np.int64)
    new_offsets = np.zeros(rows + 1, np.int64)
    new = np.empty(offsets[rows] - offsets[0] + 1, np.uint8)
    fill = int64(0)  # a literal would compile the callees twice
    for row in range(rows):
        fill = _correct(data, (offsets[row], offsets[row + 1]), rules, new, fill, counts[row])
        new_offsets[row + 1] = fill
    return new_offsets, new[:fill], counts
