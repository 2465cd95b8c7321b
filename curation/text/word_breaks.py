"""Words of any script: the default word boundaries of Unicode, from one walk over UTF-8 bytes.

Source: Unicode Standard Annex #29, "Unicode Text Segmentation", section 4, the default rules WB3
to WB999 without tailoring; the data are those of Unicode 14.0 (`word_break_tables`).

Boundaries cut a text into *segments*, white space included. Of the segments,

- `TOKENS` are those with a character that is no white space: words, numbers, and each punctuation
  mark by itself;
- `WORDS` are those with a letter or a digit.

"Don't pay $3.50." has the tokens `Don't pay $ 3.50 .` and the words `Don't pay 3.50`. A language
that puts no spaces between words needs a dictionary, which the default rules do not have: each
Chinese character, kana of Hiragana, and Thai letter is a word by itself. No rule looks back over a
boundary, so every segment is found from where it starts.
"""

from functools import reduce
from operator import or_
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel
from curation.text.unicode import decode
from curation.text.word_break_tables import (
    CLASS_NAMES,
    LETTER_OR_DIGIT,
    PICTURE,
    VISIBLE,
    load_breaks,
)
from curation.text.xxh64 import xxh64

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

SEGMENTS, TOKENS, WORDS = 0, VISIBLE, LETTER_OR_DIGIT
"""What to count or list: the bit that a segment must have."""

_BLANK = 0x20
_CLASS = 31
_WIDTH = 32
(
    _OTHER,
    _CR,
    _LF,
    _NEWLINE,
    _EXTEND,
    _FORMAT,
    _ZWJ,
    _FLAG,
    _KATAKANA,
    _HEBREW,
    _LETTER,
    _SINGLE,
    _DOUBLE,
    _MID_NUM_LET,
    _MID_LETTER,
    _MID_NUM,
    _NUMERIC,
    _JOINER,
    _SPACE,
) = range(len(CLASS_NAMES))
_FLAGS = len(CLASS_NAMES)  # a state, no class: two regional indicators, which are one flag

_BREAK, _JOIN, _ATTACH, _IF_LETTER, _IF_NUMERIC, _IF_HEBREW = range(6)

_PAGE_OF, _PAGES = load_breaks()
_ASCII = _PAGES[int(_PAGE_OF[0]) * 128 + np.arange(128)]
# Letters, digits and the underscore go together in any order (WB5, WB8 to WB10, WB13a, WB13b).
_ASCII_WORD: Bytes = np.zeros(256, np.uint8)
_ASCII_WORD[:128] = np.where(np.isin(_ASCII & _CLASS, (_LETTER, _NUMERIC, _JOINER)), _ASCII, 0)


def _table() -> Bytes:
    """Returns what to do at a character of each class after each state: uint8[state * 32 + class].

    The state is the class of the last character that is not skipped by WB4.
    """
    table = np.zeros((_WIDTH, _WIDTH), np.uint8)
    letters = (_LETTER, _HEBREW)
    words = (*letters, _NUMERIC, _JOINER)
    table[np.ix_(words, words)] = _JOIN  # WB5, WB8 to WB10, WB13a, WB13b
    table[_KATAKANA, [_KATAKANA, _JOINER]] = _JOIN  # WB13, WB13a
    table[_JOINER, _KATAKANA] = _JOIN  # WB13b
    table[np.ix_(letters, [_MID_LETTER, _MID_NUM_LET, _SINGLE])] = _IF_LETTER  # WB6, WB7
    table[_HEBREW, _DOUBLE] = _IF_HEBREW  # WB7b, WB7c
    table[_NUMERIC, [_MID_NUM, _MID_NUM_LET, _SINGLE]] = _IF_NUMERIC  # WB11, WB12
    table[_FLAG, _FLAG] = _JOIN  # WB15, WB16
    table[_SPACE, _SPACE] = _JOIN  # WB3d
    table[:, [_EXTEND, _FORMAT, _ZWJ]] = _ATTACH  # WB4
    table[[_CR, _LF, _NEWLINE]] = _BREAK  # WB3a
    table[_CR, _LF] = _JOIN  # WB3
    return table.ravel()


_TABLE = _table()
# By state and byte: whether a segment may go on there. Bytes over 127 are to be decoded first.
_MAY_GO_ON = np.ones(_WIDTH * 256, np.bool_)
_MAY_GO_ON.reshape(_WIDTH, 256)[:, :128] = (
    _TABLE.reshape(_WIDTH, _WIDTH)[:, _ASCII & _CLASS] != _BREAK
)


class Spans(NamedTuple):
    """Where the segments of n texts lie, all texts in one list."""

    bounds: Ints
    """int64[n + 1]: text k has the spans from `bounds[k]` to `bounds[k + 1]`."""
    starts: Ints
    """int64[m]: where each starts in the data."""
    ends: Ints
    """int64[m]: where each ends."""


@inlined
def _read(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Returns the byte of the table for the character at `at`, and where the next one is."""
    code = int64(data[at])
    if code < 0x80:
        return int64(_ASCII[code]), at + 1
    code, after = decode(data, at, end)
    return int64(_PAGES[(int64(_PAGE_OF[code >> 7]) << 7) | (code & 127)]), after


@inlined
def segment_end(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Finds the end of the segment that starts at `at` (for kernels).

    Most segments are a word of ASCII, a mark, or spaces: those end by one look at a table.

    Args:
        data: uint8, UTF-8; what is malformed counts as U+FFFD, as `bytes.decode` replaces it.
        at: A boundary less than `end`: where the text starts, or an earlier segment ends.
        end: Where the text ends.

    Returns:
        The next boundary, and the bits of the segment's characters (of `TOKENS` and `WORDS`).
    """
    if data[at] >= 0x80:
        found, at = _read(data, at, end)
        return _rest(data, at, end, found & _CLASS, found)
    last = bits = int64(_ASCII[data[at]])
    at += 1
    if last & _CLASS == _SPACE:
        while at < end and data[at] == _BLANK:
            at += 1
    elif _ASCII_WORD[data[at - 1]]:
        while at < end and _ASCII_WORD[data[at]]:
            last = int64(_ASCII_WORD[data[at]])
            bits |= last
            at += 1
    if at < end and _MAY_GO_ON[((last & _CLASS) << 8) | int64(data[at])]:
        return _rest(data, at, end, last & _CLASS, bits)
    return at, bits & (VISIBLE | LETTER_OR_DIGIT)


@kernel
def _rest(data: Bytes, at: int, end: int, state: int, bits: int) -> tuple[int, int]:
    """Goes on with a segment after the characters that left this state and these bits."""
    joiner = state == _ZWJ
    while at < end:
        found, after = _read(data, at, end)
        kind = found & _CLASS
        action = int64(_TABLE[state * _WIDTH + kind])
        if action == _ATTACH:
            joiner = kind == _ZWJ
            state = _OTHER if state == _SPACE else state  # WB3d wants neighbours
        elif action == _JOIN or (joiner and found & PICTURE):  # WB3c
            joiner = False
            state = _FLAGS if state == kind == _FLAG else kind
        elif action == _BREAK:
            break
        else:
            ahead, beyond = _ahead(data, after, end, action)
            if ahead:
                kind, after = ahead & _CLASS, beyond
            elif state != _HEBREW or kind != _SINGLE:  # WB7a
                break
            found |= ahead
            joiner, state = False, kind
        bits |= found
        at = after
    return at, bits & (VISIBLE | LETTER_OR_DIGIT)


@inlined
def _ahead(data: Bytes, at: int, end: int, action: int) -> tuple[int, int]:
    """Looks behind what WB4 skips for what the action wants; returns it, or 0, and its end."""
    while at < end:
        found, at = _read(data, at, end)
        kind = found & _CLASS
        if _EXTEND <= kind <= _ZWJ:
            continue
        hebrew, letter = kind == _HEBREW, kind in (_LETTER, _HEBREW)
        wanted = (
            (action == _IF_LETTER and letter)
            or (action == _IF_HEBREW and hebrew)
            or (action == _IF_NUMERIC and kind == _NUMERIC)
        )
        return (found, at) if wanted else (0, at)
    return 0, at


@kernel
def count_segments(offsets: Ints, data: Bytes, kind: int) -> Ints:
    """Counts the segments, tokens or words of n texts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        kind: `SEGMENTS`, `TOKENS` or `WORDS`.

    Returns:
        int64[n].
    """
    counts = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(counts)):
        counts[row] = count_in(data, offsets[row], offsets[row + 1], kind)
    return counts


@kernel
def count_in(data: Bytes, at: int, end: int, kind: int) -> int:
    """Counts the segments, tokens or words of one text (for other kernels)."""
    count = 0
    while at < end:
        at, bits = segment_end(data, at, end)
        count += (bits & kind) == kind
    return count


@kernel
def segment_spans(offsets: Ints, data: Bytes, kind: int) -> Spans:
    """Finds where the segments, tokens or words of n texts start and end.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        kind: `SEGMENTS`, `TOKENS` or `WORDS`.
    """
    bounds = np.zeros(len(offsets), np.int64)
    bounds[1:] = np.cumsum(count_segments(offsets, data, kind))
    starts, ends = np.empty(bounds[-1], np.int64), np.empty(bounds[-1], np.int64)
    fill = 0
    for row in range(len(offsets) - 1):
        at = offsets[row]
        while at < offsets[row + 1]:
            after, bits = segment_end(data, at, offsets[row + 1])
            if (bits & kind) == kind:
                starts[fill], ends[fill] = at, after
                fill += 1
            at = after
    return Spans(bounds, starts, ends)


@kernel
def span_hashes(data: Bytes, spans: Spans) -> npt.NDArray[np.uint64]:
    """Returns the XXH64 (seed 0) of the bytes of each span: uint64[m]."""
    hashes = np.empty(len(spans.starts), np.uint64)
    for k in range(len(hashes)):
        hashes[k] = xxh64(data, spans.starts[k], spans.ends[k], np.uint64(0))
    return hashes


def plain_segments(text: str, kind: int = SEGMENTS) -> list[str]:
    """Cuts a text by the rules as the annex states them: the meaning of the kernels.

    Examples:
        >>> plain_segments("Don't pay $3.50.", WORDS)
        ["Don't", 'pay', '3.50']
    """
    found = [plain_class(char) for char in text]
    classes = [byte & _CLASS for byte in found]
    cuts = [at for at in range(1, len(text)) if _is_boundary(classes, found, at)]
    segments = []
    for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True):
        bits = reduce(or_, found[start:end], 0)
        if end > start and bits & kind == kind:
            segments.append(text[start:end])
    return segments


def plain_class(char: str) -> int:
    """Returns the byte of the table for a character: its class, and what it is besides."""
    code = ord(char)
    return int(_PAGES[(int(_PAGE_OF[code >> 7]) << 7) | (code & 127)])


def _is_boundary(classes: list[int], found: list[int], at: int) -> bool:
    """Says whether there is a boundary before the character `at` (which is not the first)."""
    before, after = classes[at - 1], classes[at]
    ends, skipped = (_CR, _LF, _NEWLINE), (_EXTEND, _FORMAT, _ZWJ)
    if before in ends or after in ends:  # WB3, WB3a, WB3b
        return (before, after) != (_CR, _LF)
    if before == _ZWJ and found[at] & PICTURE:  # WB3c
        return False
    if after in skipped or (before == after == _SPACE):  # WB3d, WB4
        return False
    # WB4: what is skipped belongs to the character before, unless there is none to belong to.
    starts = [
        k
        for k in range(at)
        if classes[k] not in skipped or k == 0 or classes[k - 1] in (_CR, _LF, _NEWLINE)
    ]
    left = [classes[k] for k in starts]
    right = [kind for kind in classes[at:] if kind not in skipped][:2]
    return not _joins(left, right)


def _joins(left: list[int], right: list[int]) -> bool:
    """Says whether WB5 to WB16 join the last of `left` and the first of `right`."""
    letter, middle = (_LETTER, _HEBREW), (_MID_LETTER, _MID_NUM_LET, _SINGLE)
    a, b = left[-1], right[0]
    earlier = left[-2] if len(left) > 1 else _OTHER
    later = right[1] if len(right) > 1 else _OTHER
    word = (*letter, _NUMERIC, _JOINER)
    numeric = (_MID_NUM, _MID_NUM_LET, _SINGLE)
    flags = next((k for k, kind in enumerate(reversed(left)) if kind != _FLAG), len(left))
    return (
        (a in word and b in word)  # WB5, WB8 to WB10, WB13a, WB13b
        or (a in letter and b in middle and later in letter)  # WB6
        or (earlier in letter and a in middle and b in letter)  # WB7
        or (a == _HEBREW and b == _SINGLE)  # WB7a
        or (a == _HEBREW and b == _DOUBLE and later == _HEBREW)  # WB7b
        or (earlier == _HEBREW and a == _DOUBLE and b == _HEBREW)  # WB7c
        or (earlier == _NUMERIC and a in numeric and b == _NUMERIC)  # WB11
        or (a == _NUMERIC and b in numeric and later == _NUMERIC)  # WB12
        or (a == b == _KATAKANA)  # WB13
        or (a == _KATAKANA and b == _JOINER)  # WB13a
        or (a == _JOINER and b == _KATAKANA)  # WB13b
        or (a == b == _FLAG and flags % 2 == 1)  # WB15, WB16
    )
