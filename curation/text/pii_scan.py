"""Finds the places in a text where personal data can begin, in one walk over its bytes.

A place is cheap to name and costly to check, so the walk leaves out what cannot pass: numbers
without the groups of digits of some format, numbers without a word such as "Tel." before them where
their format needs one, `@` without a name, words that are no prefix of a key. The patterns that
decide are tried at these places only; that none is missed is tested against trying them everywhere.
"""

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel
from curation.text.pii_context import WINDOW, WORDS
from curation.text.pii_keys import KEYS

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_UPPER, _LOWER, _DIGIT, _HEX, _WORD = 1, 2, 4, 8, 16
_SLOTS, _START = 1024, 5381
_PLACE, _WORD_MARK = 1, 2
_GROUPS, _LEAST_DIGITS = 5, 7
_LONG = 51  # the shortest key that may start with a digit


def _classes() -> Bytes:
    table = np.zeros(256, np.uint8)
    table[65:91] |= _UPPER | _WORD
    table[97:123] |= _LOWER | _WORD
    table[48:58] |= _DIGIT | _WORD | _HEX
    table[ord("_")] |= _WORD
    table[list(b"abcdefABCDEF")] |= _HEX
    return table


def _words() -> Ints:
    """The words of `pii_context` as a table with open addressing; 0 marks a free slot."""
    table = np.zeros(_SLOTS, np.int64)
    for word in WORDS:
        key = _START
        for byte in word:
            key = (key * 33 ^ byte) & 0xFFFFFFFF
        slot = key & (_SLOTS - 1)
        while table[slot] not in (0, key):
            slot = (slot + 1) & (_SLOTS - 1)
        table[slot] = key
    return table


def _prefixes() -> tuple[Bytes, Ints]:
    """The prefixes of keys, one a row; those of one letter are known by their length instead."""
    texts = sorted({key.prefix[:8] for key in KEYS if len(key.prefix) > 1} | {b"eyJ"})
    rows = np.zeros((len(texts), 8), np.uint8)
    first = np.zeros(257, np.int64)
    for number, text in enumerate(texts):
        rows[number, : len(text)] = np.frombuffer(text, np.uint8)
        first[text[0] + 1 :] = number + 1
    return rows, first


_CLASSES, _TABLE = _classes(), _words()
_PREFIXES, _FIRST = _prefixes()


@inlined
def _is(byte: np.uint8, bits: int) -> bool:
    return (int64(_CLASSES[byte]) & bits) != 0


def places(offsets: Ints, data: Bytes, *, assignments: bool) -> tuple[Ints, Ints]:
    """Returns the places in all texts of an Arrow string column where something may begin.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.
        assignments: Whether the `=` and `:` of assignments are places, too.

    Returns:
        int64[n + 1], where each text's places begin in the second array; int64[p], the places in
        `data`, ascending.
    """
    first = offsets[0]
    marks = np.zeros(offsets[-1] - first + 1, np.uint8)
    _mark(offsets - first, data[first : offsets[-1]], marks, int(assignments))
    marks &= _PLACE
    found = np.flatnonzero(marks.view(np.bool_)) + first
    return np.searchsorted(found, offsets), found


@kernel
def _mark(offsets: Ints, data: Bytes, marks: Bytes, assignments: int) -> None:
    for row in range(len(offsets) - 1):
        _mark_words(data, offsets[row], offsets[row + 1], marks)
        _mark_places(data, offsets[row], offsets[row + 1], marks, assignments)


@kernel
def _mark_words(data: Bytes, start: int, end: int, marks: Bytes) -> None:
    """Marks the first byte of each word that says what the number after it is."""
    at, begin, key = start, -1, _START
    while at < end:
        byte = int64(data[at])
        pair = 0xC3 <= byte <= 0xDF and at + 1 < end and (data[at + 1] & 0xC0) == 0x80
        if pair or _is(data[at], _UPPER | _LOWER):
            begin = at if begin < 0 else begin
            key = _mixed(key, byte if pair else byte | 0x20)
            if pair:
                key = _mixed(key, int64(data[at + 1]))
            at += 2 if pair else 1
            continue
        if begin >= 0:
            marks[begin] |= _WORD_MARK * _is_known(key)
            begin, key = -1, _START
        if 0xE0 <= byte <= 0xED and at + 6 <= end:
            marks[at] |= _WORD_MARK * _is_known(_two(data, at))
        at += 1


@kernel
def _mark_places(data: Bytes, start: int, end: int, marks: Bytes, assignments: int) -> None:
    """Marks where something may begin; a known word counts for the window after it."""
    at, said = start, start - WINDOW
    while at < end:
        if not _is(data[at], _WORD):
            said += data[at] == 0x3E  # what was found counts as no bytes
            said = at + WINDOW if marks[at] & _WORD_MARK else said
            marks[at] |= _PLACE * _is_sign(data, start, end, at, assignments)
            at += 1
            continue
        begin = at
        while at < end and _is(data[at], _WORD):
            said = at + WINDOW if marks[at] & _WORD_MARK else said
            at += 1
        number = _is(data[begin], _DIGIT)
        if number:
            _mark_number(data, start, end, begin, marks, begin <= said)
        if not number or at - begin >= _LONG:
            marks[begin] |= _PLACE * _is_code(data, end, begin, at)


@kernel
def _is_known(key: int) -> bool:
    slot = key & (_SLOTS - 1)
    while _TABLE[slot]:
        if _TABLE[slot] == key:
            return True
        slot = (slot + 1) & (_SLOTS - 1)
    return False


@inlined
def _mixed(key: int, byte: int) -> int:
    return ((key * 33) ^ byte) & 0xFFFFFFFF


@inlined
def _two(data: Bytes, at: int) -> int:
    """Returns the key of two characters of three bytes each."""
    key = _START
    for k in range(6):
        key = _mixed(key, int64(data[at + k]))
    return key


@inlined
def _is_sign(data: Bytes, start: int, end: int, at: int, assignments: int) -> bool:
    """Says whether an address, a block, or the value of an assignment may stand around a sign."""
    byte = int64(data[at])
    if byte == 0x40:
        before = at > start and (_is(data[at - 1], _WORD) or data[at - 1] >= 0x25)
        after = at + 3 < end and (_is(data[at + 1], _WORD) or data[at + 1] >= 0x80)
        return before and after and data[at - 1] != 0x40
    if byte == 0x2D:
        return at + 7 < end and data[at + 1] == 0x2D and data[at + 5] == 0x42
    if byte == 0x3A and at + 2 < end and data[at + 1] == 0x3A and _is(data[at + 2], _HEX):
        return at == start or not _is(data[at - 1], _WORD)
    return assignments != 0 and byte in (0x3A, 0x3D) and _is_assigned(data, start, end, at)


@kernel
def _is_assigned(data: Bytes, start: int, end: int, at: int) -> bool:
    """Says whether a name like password can end before `at`, and ten characters stand after it."""
    p = at
    while p > start and at - p < 3 and int64(data[p - 1]) in (0x20, 0x22, 0x27):
        p -= 1
    if p == start or int64(data[p - 1]) | 0x20 not in (0x64, 0x65, 0x6C, 0x6E, 0x73, 0x74, 0x79):
        return False
    p = at + 1
    while p < end and p - at < 6 and int64(data[p]) in (0x20, 0x22, 0x27, 0x3A, 0x3D, 0x3E, 0x60):
        p += 1
    first = p
    while p < end and p - first < 10 and 0x21 <= data[p] <= 0x7E:
        p += 1
    return p - first == 10


@kernel
def _has_prefix(data: Bytes, end: int, at: int) -> bool:
    """Says whether the prefix of a key (or its first eight bytes) stands at `at`."""
    for row in range(_FIRST[data[at]], _FIRST[int64(data[at]) + 1]):
        k = 0
        while k < 8 and _PREFIXES[row, k] and at + k < end and data[at + k] == _PREFIXES[row, k]:
            k += 1
        if k == 8 or not _PREFIXES[row, k]:
            return True
    return False


@kernel
def _is_code(data: Bytes, end: int, at: int, stop: int) -> bool:
    """Says whether the word from `at` to `stop` may be a key or a code of letters and digits."""
    size = stop - at
    if _has_prefix(data, end, at) or size in (51, 52, 64, 66):
        return True
    if size <= 4 and _is(data[at], _HEX) and _is_ipv6(data, end, at):
        return True
    if not _is(data[at], _UPPER):
        return False
    if 0x58 <= data[at] <= 0x5A and size != 2:
        return size in (8, 9) or (size == 1 and at + 1 < end and data[at + 1] == 0x2D)
    if size == 2:  # AB 12 34 56 C, with some blank
        after = at + 3 if at + 2 < end and data[at + 2] == 0x20 else at + 4
        return after < end and (_is(data[after], _DIGIT) or data[at + 2] == 0xE2)
    numbered = size >= 4 and _is(data[at + 2], _DIGIT) and _is(data[at + 3], _DIGIT)
    return numbered or (size == 16 and _is(data[at + 15], _UPPER))


@inlined
def _is_ipv6(data: Bytes, end: int, at: int) -> bool:
    """Says whether eight groups, or some and `::`, begin here."""
    groups, size = 0, 0
    while at < end and size < 5:
        if data[at] == 0x3A:
            groups, size = groups + 1, 0
            if groups == 7 or (at + 1 < end and data[at + 1] == 0x3A):
                return True
        elif _is(data[at], _HEX):
            size += 1
        else:
            return False
        at += 1
    return False


@inlined
def _separator(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Returns the last of up to three signs that can part groups of digits, and where it ends."""
    last = 0
    for _ in range(3):
        if at >= end:
            return last, at
        byte = int64(data[at])
        if byte in (0x20, 0x2D, 0x2E, 0x2F, 0x28, 0x29):
            last, at = byte, at + 1
        elif byte == 0xC2 and at + 1 < end:
            last, at = 0x20, at + 2
        elif byte == 0xE2 and at + 2 < end:
            last, at = (0x20 if data[at + 2] in (0x87, 0x89, 0xAF) else 0x2D), at + 3
        else:
            return last, at
    return last, at


@kernel
def _mark_number(data: Bytes, start: int, end: int, at: int, marks: Bytes, said: int) -> None:
    """Marks the number at `at`, or a `+` or `(` before it, if a format has groups like these."""
    before = int64(data[at - 1]) if at > start else 0
    stop = at
    while stop < end and _is(data[stop], _DIGIT):
        stop += 1
    alone = stop >= end or not _may_follow(int64(data[stop]))
    if alone and stop - at < _LEAST_DIGITS and before != 0x2B:
        return
    sizes, signs = np.zeros(_GROUPS, np.int64), np.zeros(_GROUPS, np.int64)
    p, n = at, 0
    while n < _GROUPS and p < end and _is(data[p], _DIGIT):
        first = p
        while p < end and _is(data[p], _DIGIT):
            p += 1
        sizes[n] = p - first
        signs[n], p = _separator(data, p, end)
        n += 1
    named = said and sizes.sum() >= _LEAST_DIGITS
    closed = n > 1 and data[stop] == 0x29
    if before == 0x2B or (before == 0x28 and (closed or named)):
        marks[at - 1] |= _PLACE
    formed = named or _has_form(data, end, at, stop, sizes, signs)
    marks[at] |= _PLACE * (formed or (sizes[0] <= 4 and _is_ipv6(data, end, at)))


@inlined
def _may_follow(byte: int) -> bool:
    """Says whether a byte after digits can part them from others, or is in an IPv6 address."""
    return byte in (0x20, 0x2D, 0x2E, 0x2F, 0x28, 0x29, 0x3A, 0xC2, 0xE2) or (byte | 0x20) in (
        0x61, 0x62, 0x63, 0x64, 0x65, 0x66,
    )  # fmt: skip


@kernel
def _has_form(data: Bytes, end: int, at: int, stop: int, sizes: Ints, signs: Ints) -> bool:
    """Says whether groups of digits, the first from `at` to `stop`, look like a number with a form.

    Those of cards, ids, IP addresses, and telephone numbers that need no word before them.
    """
    a, b, c, d = sizes[:4]
    first = int64(data[at])
    dots = signs[0] == 0x2E and signs[1] == 0x2E
    if a == 4:
        return c >= 4 and ((b == 4 and d == 4) or (b == 6 and c <= 5)) and 0x32 <= first <= 0x36
    if a == 8:  # a Spanish number, whose letter follows
        after = stop + (stop < end and data[stop] == 0x2D)
        return after < end and _is(data[after], _UPPER)
    if (dots and d > 0 and max(a, b, c) <= 3) or 13 <= a <= 19:
        return True  # an IP address, or a Brazilian number; a card
    if a == 3 and c == 4 and b in (2, 3):
        return bool(signs[0] != 0x20 or b == 2)
    return _has_short_form(first, sizes)


@inlined
def _has_short_form(first: int, sizes: Ints) -> bool:
    """Numbers that begin with one digit, or with 0."""
    a, b, c, d, e = sizes
    if a == 1:
        french = b == 2 and c == 2 and d == 2 and e == 3
        return french or (first == 0x31 and b == 3 and d == 4)
    pairs = a == 2 and b == 2 and c == 2 and d == 2 and e == 2
    return bool(first == 0x30 and (pairs or (a <= 3 and b == 4 and c == 4)))
