r"""Lengths of a text and the shares of its kinds of character, from a few walks over UTF-8 bytes.

What a letter, a special character, a word or a line is depends on the definition
(`curation.text.statistics_tables`); the rest is the same for all:

- *Addresses* are `http://` or `https://` and what RFC 3986 lets follow, as NeMo Curator's pattern
  has it; of their characters, not their number, the share is told.
- Lines *without an end mark* are told by their last character that is no white space.
- *Paragraphs* lie between two line feeds; *boilerplate* ones hold one of `BOILERPLATE` (without
  regard to the case of ASCII letters), and one with "lorem ipsum" makes all of them so. Differs
  from NeMo Curator: the start of its long sentences is enough.

Shares of characters are of all characters, `upper_ratio` of the letters. Without a denominator
they are NaN.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.c4_phrases import LOREM_IPSUM, contains
from curation.text.chars import char_at, char_before, space_start
from curation.text.jit import int64, lean, lean_inlined
from curation.text.scan import count_chars, newline_at
from curation.text.statistics_tables import (
    BREAK,
    COUNTED,
    DEFINITIONS,
    END_MARK,
    LINE_END,
    MEANT,
    Flags,
    flag_table,
)

__all__ = ["BOILERPLATE", "DEFINITIONS", "Statistics", "measure"]

BOILERPLATE = (
    "terms of use",
    "privacy policy",
    "privacy overview",
    "privacy & cookies policy",
    "privacy and cookies policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
    "necessary cookies are absolutely essential for the website to function properly",
    "any cookies that may not be particularly necessary for the website to function",
    "if you continue to browse this site without changing your cookie settings",
)
"""Phrases of terms of use and cookie notices: NeMo Curator's, the last three cut short."""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]


class Statistics(NamedTuple):
    """The statistics of n texts, one array of n each."""

    chars: Ints
    """int64[n], characters (code points)."""
    words: Ints
    """int64[n]."""
    longest_word_chars: Ints
    """int64[n], characters of the longest word; 0 without words."""
    lines: Ints
    """int64[n]."""
    mean_line_chars: Floats
    """float64[n]; NaN without lines."""
    longest_line_chars: Ints
    """int64[n], characters of the longest line, without its end; 0 without lines."""
    alphanumeric_ratio: Floats
    """float64[n], 0 to 1; NaN without characters, like those that follow."""
    digit_ratio: Floats
    """float64[n], decimal digits of any script."""
    upper_ratio: Floats
    """float64[n], upper-case letters by letters; NaN without letters."""
    white_space_ratio: Floats
    """float64[n]."""
    special_ratio: Floats
    """float64[n]."""
    parenthesis_ratio: Floats
    """float64[n], brackets of four kinds."""
    url_ratio: Floats
    """float64[n], characters of addresses."""
    no_end_mark_ratio: Floats
    """float64[n], lines without an end mark by lines; NaN without lines."""
    boilerplate_ratio: Floats
    """float64[n], paragraphs with boilerplate by paragraphs."""


_KINDS = len(COUNTED)
_COLUMNS = ("words", "longest_word", "lines", "line_chars", "longest_line", "no_end", "url")
_WORDS, _LONGEST_WORD, _LINES, _LINE_CHARS, _LONGEST_LINE, _NO_END, _URL = range(
    _KINDS, _KINDS + len(_COLUMNS)
)
_CHARS = _URL + 1
_PARAGRAPHS, _BOILERPLATE, _WIDTH = range(_CHARS + 1, _CHARS + 4)

_LF, _CR, _COLON, _SLASH, _PERCENT = 0x0A, 0x0D, 0x3A, 0x2F, 0x25
_CASE = 0x20  # sets ASCII letters apart by case
_PHRASES = np.frombuffer("\n".join(BOILERPLATE).encode(), np.uint8)
_HTTP, _HTTPS = (np.frombuffer(name.encode(), np.uint8) for name in ("http", "https"))

_STEP = 255
"""Characters that counters of eight bits can hold."""


def _counters() -> npt.NDArray[np.uint64]:
    """Returns the low bits of each of 128 numbers, one to a byte: to count all kinds at once."""
    spread = np.zeros(1 << _KINDS, np.uint64)
    for bit in range(_KINDS):
        spread[np.arange(len(spread)) >> bit & 1 > 0] += np.uint64(1 << (8 * bit))
    return spread


def _url_bytes() -> npt.NDArray[np.bool_]:
    allowed = np.zeros(256, np.bool_)
    for code in range(0x21, 0x7F):
        allowed[code] = chr(code).isalnum() or chr(code) in "$-_@.&+/:=?#~!*(),"
    return allowed


_COUNTERS, _URL_BYTES = _counters(), _url_bytes()
# The bytes that part paragraphs, or may stand in a phrase; all others are passed over.
_WATCHED = np.array([chr(code) in "\nkKvVmM" for code in range(256)], np.bool_)
_HEX = np.array([chr(code) in "0123456789abcdefABCDEF" for code in range(256)], np.bool_)


def measure(offsets: Ints, data: Bytes, definition: str) -> Statistics:
    """Measures every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.
        definition: One of `DEFINITIONS`.
    """
    how = DEFINITIONS[definition]
    counts = np.zeros((len(offsets) - 1, _WIDTH), np.int64)
    _count(offsets, data, flag_table(definition), int(how.all_lines), counts)
    chars, lines = counts[:, _CHARS], counts[:, _LINES]
    kinds = {name: counts[:, k] for k, name in enumerate(COUNTED)}
    letters = kinds.pop("letter")
    upper = kinds.pop("upper")
    return Statistics(
        chars=chars,
        words=counts[:, _WORDS],
        longest_word_chars=counts[:, _LONGEST_WORD],
        lines=lines,
        mean_line_chars=_ratio(chars if how.all_lines else counts[:, _LINE_CHARS], lines),
        longest_line_chars=counts[:, _LONGEST_LINE],
        upper_ratio=_ratio(upper, letters),
        url_ratio=_ratio(counts[:, _URL], chars),
        no_end_mark_ratio=_ratio(counts[:, _NO_END], lines),
        boilerplate_ratio=_ratio(counts[:, _BOILERPLATE], counts[:, _PARAGRAPHS]),
        **{f"{name}_ratio": _ratio(found, chars) for name, found in kinds.items()},
    )


def _ratio(part: Ints, whole: Ints) -> Floats:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


@lean
def _count(offsets: Ints, data: Bytes, table: Flags, all_lines: int, counts: Ints) -> None:
    for row in range(len(counts)):
        at, end, found = offsets[row], offsets[row + 1], counts[row]
        _count_chars(data, at, end, table, found)
        _count_lines(data, at, end, table, all_lines, found)
        _count_url_chars(data, at, end, found)
        _count_paragraphs(data, at, end, found)


@lean
def _count_chars(data: Bytes, at: int, end: int, table: Flags, found: Ints) -> None:
    """Counts characters by kind, and words."""
    size, meant = 0, 0
    while at < end:
        stop, counters, chars = min(at + _STEP, end), np.uint64(0), 0
        while at < stop:
            bits, at = _bits(data, at, end, table)
            counters += _COUNTERS[bits & ((1 << _KINDS) - 1)]
            chars += 1
            if not bits & BREAK:
                size += 1
                meant |= bits & MEANT
            elif size > 0:
                _end_word(size, meant, found)
                size, meant = 0, 0
        found[_CHARS] += chars
        for kind in range(_KINDS):
            found[kind] += int64((counters >> np.uint64(8 * kind)) & np.uint64(_STEP))
    _end_word(size, meant, found)


@lean_inlined
def _bits(data: Bytes, at: int, end: int, table: Flags) -> tuple[int, int]:
    """Returns the flags of the character at `at`, and where the next one is."""
    if data[at] < 0x80:
        return int64(table[data[at]]), at + 1
    code, after = char_at(data, at, end)
    return int64(table[code]), after


@lean_inlined
def _end_word(size: int, meant: int, found: Ints) -> None:
    if meant:
        found[_WORDS] += 1
        found[_LONGEST_WORD] = max(found[_LONGEST_WORD], size)


@lean
def _count_lines(data: Bytes, at: int, end: int, table: Flags, all_lines: int, found: Ints) -> None:
    while at < end:
        stop, after = _line_end(data, at, end, table, all_lines)
        last = space_start(data, at, stop)
        if all_lines or last > at:
            chars = count_chars(data, at, stop)
            found[_LINES] += 1
            found[_LINE_CHARS] += chars
            found[_LONGEST_LINE] = max(found[_LONGEST_LINE], chars)
            before = char_before(data, at, last) if last > at else last
            found[_NO_END] += last == at or _bits(data, before, last, table)[0] & END_MARK == 0
        at = after


@lean
def _line_end(data: Bytes, at: int, end: int, table: Flags, all_lines: int) -> tuple[int, int]:
    """Returns where a line ends, and where the next one starts."""
    if not all_lines:
        at = newline_at(data, at, end)
        return at, at + 1
    while at < end:
        bits, after = _bits(data, at, end, table)
        if bits & LINE_END:
            crlf = data[at] == _CR and after < end and data[after] == _LF
            return at, after + crlf
        at = after
    return end, end


@lean
def _count_url_chars(data: Bytes, at: int, end: int, found: Ints) -> None:
    first = at
    while at < end:
        if data[at] != _COLON or not _is_scheme(data, first, at, end):
            at += 1
            continue
        start = at - 4 - (data[at - 1] == _HTTPS[-1])
        begin = at = at + 3
        while at < end and _url_step(data, at, end) > 0:
            at += _url_step(data, at, end)
        if at > begin:
            found[_URL] += at - start
            first = at  # what an address has taken is no part of the next


@lean
def _is_scheme(data: Bytes, first: int, at: int, end: int) -> bool:
    """Says whether a colon stands between `http` or `https` and `//`."""
    if at + 2 >= end or data[at + 1] != _SLASH or data[at + 2] != _SLASH:
        return False
    return _stands_before(data, first, at, _HTTP) or _stands_before(data, first, at, _HTTPS)


@lean_inlined
def _stands_before(data: Bytes, first: int, at: int, word: Bytes) -> bool:
    start = at - len(word)
    if start < first:
        return False
    for k in range(len(word)):  # noqa: SIM110 - numba has no all()
        if data[start + k] != word[k]:
            return False
    return True


@lean_inlined
def _url_step(data: Bytes, at: int, end: int) -> int:
    """Returns the bytes of what may be in an address at `at`; 0 for what may not."""
    if _URL_BYTES[data[at]]:
        return 1
    coded = data[at] == _PERCENT and at + 2 < end and _HEX[data[at + 1]] and _HEX[data[at + 2]]
    return 3 if coded else 0


@lean
def _count_paragraphs(data: Bytes, at: int, end: int, found: Ints) -> None:
    while at <= end:
        start, maybe = at, False
        while at < end:
            if _WATCHED[data[at]]:
                if data[at] == _LF and at + 1 < end and data[at + 1] == _LF:
                    break
                maybe |= _is_hint(data, start, at, end)
            at += 1
        found[_PARAGRAPHS] += 1
        if maybe and contains(data, start, at, LOREM_IPSUM):
            found[_BOILERPLATE] = found[_PARAGRAPHS] = 1
            return
        found[_BOILERPLATE] += maybe and contains(data, start, at, _PHRASES)
        at += 2


@lean_inlined
def _is_hint(data: Bytes, start: int, at: int, end: int) -> bool:
    """Says whether a letter stands in "okie", "ivac", "erms" or "rem ": each phrase has one."""
    if at < start + 2 or at + 2 >= end:
        return False
    letter, before, after = data[at] | _CASE, data[at - 1] | _CASE, data[at + 1] | _CASE
    if letter == 0x6B:
        return bool(before == 0x6F and after == 0x69 and data[at + 2] | _CASE == 0x65)
    if letter == 0x76:
        return bool(before == 0x69 and after == 0x61 and data[at + 2] | _CASE == 0x63)
    first = data[at - 2] | _CASE
    terms = first == 0x65 and before == 0x72 and after == 0x73
    return bool(terms or (first == 0x72 and before == 0x65 and after == _CASE))
