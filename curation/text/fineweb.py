r"""The rules that FineWeb adds to Gopher's and C4's: how much a page looks like running text.

Source: Penedo et al. 2024, "The FineWeb Datasets", arXiv 2406.17557, section 3.6; the definitions
are those of the code that made it, FineWebQualityFilter of datatrove 0.10:

- *Lines* end at U+000A; lines of white space alone do not count.
- `line_punct_ratio`: share of lines whose last character is one of `END_CHARS`. White space behind
  the mark hides it, and quotation marks are none of the characters.
- `short_line_ratio`: share of lines of at most `short` characters.
- `char_dup_ratio`: characters of the lines that repeat an earlier line, over all characters but
  line feeds.
- `list_ratio`: line feeds (of all lines, empty ones too) per word. datatrove counts the tokens of
  a tokenizer for each language; the nearest that needs none is the tokens of
  `curation.text.word_breaks`.

A text without lines has no ratios (NaN), one without words has no `list_ratio`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chars import (
    char_at,
    char_before,
    code_points,
    count_chars,
    count_words,
    skip_space,
)
from curation.text.jit import int64, kernel, lean, lean_inlined
from curation.text.word_breaks import count_in, plain_segments
from curation.text.xxh64 import xxh64

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_END_RANGES = """
    0021 002e 003f 0589 061d-061f 06d4 0700-0702 07f9 0837 0839 083d-083e 0964-0965 104a-104b
    1362 1367-1368 166e 1735-1736 17d4-17d6 17d9-17da 1803 1809 1944-1945 1aa8-1aab 1b5a-1b5b
    1b5e-1b5f 1b7d-1b7e 1c3b-1c3c 1c7e-1c7f 203c-203d 2047-2049 2e2e 2e3c 2e53-2e54 3002 a4ff
    a60e-a60f a6f3 a6f7 a876-a877 a8ce-a8cf a92f a9c8-a9c9 aa5d-aa5f aaf0-aaf1 abeb fe52
    fe56-fe57 ff01 ff0e ff1f ff61 10a56-10a57 10f55-10f59 10f86-10f89 11047-11048 110be-110c1
    11141-11143 111c5-111c6 111cd 111de-111df 11238-11239 1123b-1123c 112a9 1144b-1144c
    115c2-115c3 115c9-115d7 11641-11642 1173c-1173e 11944 11946 11a42-11a43 11a9b-11a9c
    11c41-11c42 11ef7-11ef8 11f43-11f44 16a6e-16a6f 16af5 16b37-16b38 16b44 16e98 1bc9f 1da88
"""

BY_SPACE = -1
"""Words are the runs between white space; else the kind of segment of `word_breaks`."""


END_CHARS = "".join(map(chr, code_points(_END_RANGES)))
"""Characters that end a sentence in any script: datatrove's list, in the order of code points."""


class Measures(NamedTuple):
    """The statistics of n texts, one array of n each."""

    lines: Ints
    """int64[n], lines that are not blank."""
    line_punct_ratio: Floats
    """float64[n], 0 to 1; NaN without lines."""
    short_line_ratio: Floats
    """float64[n], 0 to 1; NaN without lines."""
    char_dup_ratio: Floats
    """float64[n], 0 to less than 1; NaN without lines."""
    words: Ints
    """int64[n]."""
    list_ratio: Floats
    """float64[n], 0 or more; NaN without words."""


_COLUMNS = ("lines", "ended", "short", "repeated_chars", "chars", "newlines", "words")
_LINES, _ENDED, _SHORT, _REPEATED, _CHARS, _NEWLINES, _WORDS = range(len(_COLUMNS))
_LF, _BLANK, _DELETE = 0x0A, 0x20, 0x7F


def measure(offsets: Ints, data: Bytes, ends: str, short: int, kind: int) -> Measures:
    """Measures every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.
        ends: The characters that a line should end with.
        short: Most characters of a short line.
        kind: What a word is: `BY_SPACE`, or `TOKENS` or `WORDS` of `word_breaks`.
    """
    marks = np.array(sorted({ord(char) for char in ends}), np.int64)
    counts = _count(offsets, data, marks, short, kind)
    lines, words = counts[:, _LINES], counts[:, _WORDS]
    return Measures(
        lines=lines,
        line_punct_ratio=_ratio(counts[:, _ENDED], lines),
        short_line_ratio=_ratio(counts[:, _SHORT], lines),
        char_dup_ratio=_ratio(counts[:, _REPEATED], np.where(lines > 0, counts[:, _CHARS], 0)),
        words=words,
        list_ratio=_ratio(counts[:, _NEWLINES], words),
    )


def measure_of_text(text: str, ends: str, short: int, kind: int) -> dict[str, float]:
    r"""Says in plain Python what `measure` means: the statistics of one text, by name.

    Examples:
        >>> measure_of_text("One.\nTwo\nOne.", END_CHARS, 30, BY_SPACE)["char_dup_ratio"]
        0.36363636363636365
    """
    lines = [line for line in text.split("\n") if line.strip()]
    repeated = [line for at, line in enumerate(lines) if line in lines[:at]]
    words = len(text.split() if kind == BY_SPACE else plain_segments(text, kind))
    parts = {
        "line_punct_ratio": (sum(line.endswith(tuple(ends)) for line in lines), len(lines)),
        "short_line_ratio": (sum(len(line) <= short for line in lines), len(lines)),
        "char_dup_ratio": (sum(map(len, repeated)), len(text.replace("\n", "")) if lines else 0),
        "list_ratio": (text.count("\n"), words),
    }
    ratios = {name: part / whole if whole else np.nan for name, (part, whole) in parts.items()}
    return {"lines": len(lines), "words": words, **ratios}


def _ratio(part: Ints, whole: Ints) -> Floats:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


class _Job(NamedTuple):
    """What is the same for all texts."""

    marks: Ints
    """Code points that a line should end with, ascending."""
    is_mark: npt.NDArray[np.bool_]
    """bool[128]: the same of ASCII, where most lines are decided."""
    short: int
    seen: Ints
    """int64[2**k]: a hash table with open addressing of the distinct lines of the text at hand.

    A slot holds where a line starts, plus one; what lies before the text is of an earlier text.
    """


@kernel
def _count(offsets: Ints, data: Bytes, marks: Ints, short: int, kind: int) -> Ints:
    rows = len(offsets) - 1
    counts = np.zeros((rows, len(_COLUMNS)), np.int64)
    is_mark = np.zeros(128, np.bool_)
    for mark in marks:
        if mark < 128:
            is_mark[mark] = True
    job = _Job(marks, is_mark, short, _make_seen(offsets, data))
    for row in range(rows):
        start, end = offsets[row], offsets[row + 1]
        count, at = counts[row], start
        if kind == BY_SPACE:
            count[_WORDS] = count_words(data, at, end)
        else:
            count[_WORDS] = count_in(data, at, end, kind)
        while at < end:
            stop = at
            while stop < end and data[stop] != _LF:
                stop += 1
            count[_NEWLINES] += stop < end
            _line(data, at, stop, start, job, count)
            at = stop + 1
    return counts


@kernel
def _make_seen(offsets: Ints, data: Bytes) -> Ints:
    """Makes a table twice as large as the text with the most lines needs."""
    most = 0
    for row in range(len(offsets) - 1):
        lines = 1
        for at in range(offsets[row], offsets[row + 1]):
            lines += data[at] == _LF
        most = max(most, lines)
    size = 16
    while size < 2 * most:
        size *= 2
    return np.zeros(size, np.int64)


@lean
def _line(data: Bytes, at: int, stop: int, start: int, job: _Job, count: Ints) -> None:
    """Counts one line of the text that starts at `start`."""
    chars = count_chars(data, at, stop)
    count[_CHARS] += chars
    plain = at < stop and _BLANK < data[at] < _DELETE
    if not plain and skip_space(data, at, stop) == stop:
        return
    count[_LINES] += 1
    count[_SHORT] += chars <= job.short
    last = int64(data[stop - 1])
    if last < 0x80:
        count[_ENDED] += job.is_mark[last]
    else:
        last = char_at(data, char_before(data, at, stop), stop)[0]
        place = np.searchsorted(job.marks, last)
        count[_ENDED] += place < len(job.marks) and job.marks[place] == last
    if not _is_new(data, at, stop, start, job.seen):
        count[_REPEATED] += chars


@lean_inlined
def _is_new(data: Bytes, at: int, stop: int, start: int, seen: Ints) -> bool:
    """Looks a line up among those of its text, and enters it if it is not there."""
    mask = len(seen) - 1
    slot = np.int64(xxh64(data, at, stop, np.uint64(0)) >> np.uint64(16)) & mask
    while seen[slot] > start:
        if _same_line(data, seen[slot] - 1, at, stop):
            return False
        slot = (slot + 1) & mask
    seen[slot] = at + 1
    return True


@lean_inlined
def _same_line(data: Bytes, other: int, at: int, stop: int) -> bool:
    """Says whether the earlier line that starts at `other` is the one of `at` and `stop`."""
    if data[other + stop - at] != _LF:
        return False
    for k in range(stop - at):  # noqa: SIM110 - numba has no all()
        if data[at + k] != data[other + k]:
            return False
    return True
