r"""How DCLM and datatrove cut text into words, in rules that are cheap.

Both work on *flags*, one number for each character, so that they neither decode nor look up twice.

`SEGMENTED`: DCLM takes uniseg's words and keeps those that start with a letter or digit. Here, a
word is a run of letters, digits, underscores and the marks on them; one `'`, `.` or `:` and the
like binds two letters, one `'`, `.` or `,` two digits; each character of Thai, Lao, Khmer, Myanmar,
of Hiragana and of the ideographs is a word. Differs: Katakana binds with other letters, vowel signs
that take space (Indic) part words, flags and emoji are none.

`PUNCTUATED`: datatrove takes spaCy's tokens. Here a whitespace word loses the `EDGE_SIGNS` at both
ends, one by one, a row of full stops as one, `HEAD_SIGNS` at its start, a full stop at its end
unless it makes an initial ("J."), and the ends `'s`, `'d`, `'m`, `'ll`, `'re`, `'ve`, `n't`.
Inside, it is parted by full stops in a row, `…`, pictures and box-drawing signs, by a dash or one
of `JOINTS` after a letter or digit and before a letter, by a comma between letters, and by a full
stop between a small and a capital letter. Differs: no units ("5km"), abbreviations ("e.g."),
emoticons, web addresses, and only most signs of category So.

Source: Unicode Standard Annex 29, section 4; spaCy 3.8, language data for English.
"""

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from curation.text.jit import lean, lean_inlined
from curation.text.unicode import ALPHA, CASE_IGNORABLE, DIGIT, SPACE, UPPER, WORD
from curation.text.unicode_tables import load_tables

WHITESPACE, SEGMENTED, PUNCTUATED = range(3)

EDGE_SIGNS = (
    "…,:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪"  # noqa: RUF001 - signs of many scripts
    "'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉—–"  # noqa: RUF001
)
HEAD_SIGNS, DASHES, JOINTS = "§%=+$£€¥", "-–—~", ":<>=/"  # noqa: RUF001
BIND_BOTH, BIND_LETTERS, BIND_DIGITS = ".'‘’․", ":··‧", ",;"  # noqa: RUF001
LONE_RANGES = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3041, 0x309F),
    (0x3400, 0x9FFF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Code points of scripts without spaces, in which each character counts as a word."""

ICON_RANGES = (
    (0xA6, 0xA6), (0xA9, 0xA9), (0xAE, 0xAE), (0xB0, 0xB0), (0x2300, 0x23FF), (0x2500, 0x25FF),
    (0x2600, 0x27BF), (0x2800, 0x28FF), (0xFFFD, 0xFFFD), (0x1F000, 0x1FAFF),
)  # fmt: skip
"""Most of the code points that are pictures; `PUNCTUATED` parts words at them."""

Flags = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int32]

_LETTER, _DIGIT, _UPPER, _SPACE, _MARK, _LONE, _LINE = (1 << bit for bit in range(7))
_EDGE, _HEAD, _DASH, _JOINT, _DOT, _COMMA = (1 << bit for bit in range(7, 13))
_APOSTROPHE, _ALONE, _BIND_LETTERS, _BIND_DIGITS = (1 << bit for bit in range(13, 17))
_WORD = _LETTER | _DIGIT | _LINE
# From here on the flags hold which ASCII letter it is, 1 to 26, without regard to case.
_NAME = 20
_D, _E, _L, _M, _N, _R, _S, _T, _V = (ord(letter) - 96 for letter in "delmnrstv")

_SIGNS = (
    (EDGE_SIGNS, _EDGE), (HEAD_SIGNS, _HEAD), (DASHES, _DASH), (JOINTS, _JOINT), (".", _DOT),
    (",", _COMMA), ("'’", _APOSTROPHE), ("…", _ALONE), ("_", _LINE),  # noqa: RUF001
    (BIND_BOTH + BIND_LETTERS, _BIND_LETTERS), (BIND_BOTH + BIND_DIGITS, _BIND_DIGITS),
)  # fmt: skip


@lru_cache(maxsize=1)
def flag_table() -> Flags:
    """Returns uint32[0x110000], the flags of every code point; made once, in about 20 ms."""
    page_of, pages, classes, _ = load_tables()
    records = pages.reshape(-1, 128)[page_of].ravel()
    bits = classes[records].astype(np.uint32)
    table = np.zeros(len(bits), np.uint32)
    for source, flag in ((ALPHA, _LETTER), (DIGIT, _DIGIT), (UPPER, _UPPER), (SPACE, _SPACE)):
        table[bits & source > 0] |= np.uint32(flag)
    marks = (bits & CASE_IGNORABLE > 0) & (bits & WORD == 0)
    marks[:0x300] = False
    for first, last in LONE_RANGES:
        lone = table[first : last + 1]
        marks[first : last + 1] |= bits[first : last + 1] & WORD == 0
        lone[:] = np.where(bits[first : last + 1] & WORD, np.uint32(_LONE | _LETTER), lone)
    table[marks] |= np.uint32(_MARK)
    for first, last in ICON_RANGES:
        table[first : last + 1] |= np.uint32(_EDGE | _ALONE)
    for letter in range(1, 27):
        table[[64 + letter, 96 + letter]] |= np.uint32(letter << _NAME)
    for signs, flag in _SIGNS:
        codes = np.array([ord(sign) for sign in signs])
        table[codes] |= np.uint32(flag)
        table[codes] &= np.uint32(~_MARK & 0xFFFFFFFF)
    return table


@lean
def cut_tokens(flags: Flags, size: int, splitter: int, starts: Ints, stops: Ints) -> int:
    """Cuts a text into words.

    Args:
        flags: uint32, of each character, and a 0 after the last one.
        size: How many characters there are.
        splitter: `SEGMENTED` or `PUNCTUATED`.
        starts: int32[size + 1], gets the number of the first character of each word.
        stops: int32[size + 1], gets the number after the last character of each word.

    Returns:
        How many words there are.
    """
    if splitter == SEGMENTED:
        return _segments(flags, size, starts, stops)
    number = at = 0
    while at < size:
        if flags[at] & _SPACE:
            at += 1
            continue
        stop = at
        while stop < size and not flags[stop] & _SPACE:
            stop += 1
        number = _punctuated(flags, at, stop, number, starts, stops)
        at = stop
    return number


@lean
def _segments(flags: Flags, size: int, starts: Ints, stops: Ints) -> int:
    number = at = 0
    while at < size:
        kind = flags[at]
        if not kind & _WORD:
            at += 1
            continue
        starts[number] = at
        at += 1
        while at < size:
            now = flags[at]
            if now & _MARK:
                at += 1
                continue
            if (kind | now) & _LONE:
                break
            if not now & _WORD:
                bound = now & _BIND_LETTERS and kind & flags[at + 1] & _LETTER
                bound = bound or (now & _BIND_DIGITS and kind & flags[at + 1] & _DIGIT)
                if not bound or flags[at + 1] & _LONE:
                    break
                now = kind
                at += 1
            kind = now
            at += 1
        stops[number] = at
        number += not flags[starts[number]] & _LINE
    return number


@lean_inlined
def _add(start: int, stop: int, number: int, starts: Ints, stops: Ints) -> int:
    starts[number], stops[number] = start, stop
    return number + 1


@lean_inlined
def _dots(flags: Flags, at: int, stop: int) -> int:
    """Returns the length of the row of full stops at a position; 0 for fewer than two."""
    end = at
    while end < stop and flags[end] & _DOT:
        end += 1
    return end - at if end > at + 1 else 0


@lean
def _punctuated(flags: Flags, start: int, stop: int, number: int, starts: Ints, stops: Ints) -> int:
    """Adds the words of one run between whitespace; returns how many there are then."""
    while start < stop:
        width = _dots(flags, start, stop) or (flags[start] & (_EDGE | _HEAD) > 0) * 1
        if not width:
            break
        number = _add(start, start + width, number, starts, stops)
        start += width
    end = stop
    while end > start:
        width = _tail(flags, start, end)
        if not width:
            break
        end -= width
    number = _inner(flags, start, end, number, starts, stops)
    while end < stop:
        width = _dots(flags, end, stop) or _ending(flags, end, stop)
        number = _add(end, end + width, number, starts, stops)
        end += width
    return number


@lean_inlined
def _tail(flags: Flags, start: int, end: int) -> int:
    """Returns how many characters can be taken off the end of a word as one."""
    last = flags[end - 1]
    if last & _DOT:
        first = end - 1
        while first > start and flags[first - 1] & _DOT:
            first -= 1
        if end - first > 1:
            return end - first
        if end - 1 == start:
            return 0
        initial = flags[end - 2] & _UPPER and not (end - 2 > start and flags[end - 3] & _UPPER)
        return 0 if initial else 1
    if last & _EDGE:
        return 1
    for width in (2, 3):
        if end - width > start and _ending(flags, end - width, end) == width:
            return width
    return 0


@lean_inlined
def _ending(flags: Flags, at: int, stop: int) -> int:
    """Returns the characters of the shortened word ("'ll") at a position; 1 if there is none."""
    first = flags[at] >> _NAME
    second = flags[at + 1] >> _NAME if at + 1 < stop else first & 0
    third = flags[at + 2] >> _NAME if at + 2 < stop else first & 0
    if first == _N and at + 1 < stop and flags[at + 1] & _APOSTROPHE and third == _T:
        return 3
    if not flags[at] & _APOSTROPHE:
        return 1
    if second in (_S, _D, _M):
        return 2
    two = (second == _L and third == _L) or (second in (_R, _V) and third == _E)
    return 3 if two else 1


@lean_inlined
def _inner(flags: Flags, start: int, stop: int, number: int, starts: Ints, stops: Ints) -> int:
    """Adds the parts of what is left between the edges of a word."""
    at = start
    while at < stop:
        width = _dots(flags, at, stop)
        if not width and (flags[at] & _ALONE or (at > start and _parts(flags, at, stop))):
            width = 1
        if width:
            if at > start:
                number = _add(start, at, number, starts, stops)
            number = _add(at, at + width, number, starts, stops)
            start = at + width
        at += max(width, 1)
    if stop > start:
        number = _add(start, stop, number, starts, stops)
    return number


@lean_inlined
def _parts(flags: Flags, at: int, stop: int) -> bool:
    """Says whether a sign inside a word parts it, by the characters on both sides."""
    now, left = flags[at], flags[at - 1]
    right = flags[at + 1] if at + 1 < stop else now & 0
    if now & _DOT:
        return bool(left & _LETTER > 0 and not left & _UPPER and right & _UPPER > 0)
    if now & _COMMA:
        return bool(left & right & _LETTER > 0)
    beside = left & (_LETTER | _DIGIT) > 0 and right & _LETTER > 0
    return bool(now & (_DASH | _JOINT) > 0 and beside)
