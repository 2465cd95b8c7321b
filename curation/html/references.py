"""Character references: `&amp;`, `&#8212;`, `&#x2014;`, and those without a semicolon.

Source: WHATWG HTML Standard, 13.2.5.72 to 13.2.5.80 (the states of a character reference in text)
and 13.5 (the names). A name need not end in a semicolon if it is one of 106 old ones; the longest
name counts, so `&notit;` is `¬it;`. Numbers from 128 to 159 are read as windows-1252.
"""

from html.entities import html5

import numpy as np
import numpy.typing as npt

from curation.html.names import FNV_START, encoded, hash_step, look_up, name_table
from curation.text.jit import int64, lean, lean_inlined, read_only

Bytes = npt.NDArray[np.uint8]

_SINGLE = 0x110000
_PAIRS = sorted({text for text in html5.values() if len(text) == 2})
PAIRS = read_only(np.array([[ord(char) for char in pair] for pair in _PAIRS], np.int32))
"""int32[93, 2]: what the references to two characters stand for."""


def _value(text: str) -> int:
    """Returns the code point, or from 0x110000 on the place in `PAIRS`."""
    return ord(text) if len(text) == 1 else _SINGLE + _PAIRS.index(text)


CLOSED = name_table(encoded({n[:-1]: _value(text) for n, text in html5.items() if n[-1] == ";"}))
"""Names that end in a semicolon."""
OPEN = name_table(encoded({name: _value(text) for name, text in html5.items() if name[-1] != ";"}))
"""Names that need none."""
_LONGEST_OPEN = max(len(name) for name in html5 if name[-1] != ";")
_LONGEST = max(map(len, html5))

_C1 = np.array([ord(bytes([byte]).decode("cp1252", "replace")) for byte in range(128, 160)])
WINDOWS = read_only(np.where(_C1 == 0xFFFD, np.arange(128, 160), _C1).astype(np.int32))
"""int32[32]: what the numbers from 128 to 159 stand for."""

_REPLACEMENT = 0xFFFD


@lean_inlined
def _is_alphanumeric(byte: int) -> bool:
    return 48 <= byte <= 57 or 97 <= (byte | 32) <= 122


@lean_inlined
def _digit(byte: int, base: int) -> int:
    """Returns the value of a digit, or -1."""
    if 48 <= byte <= 57:
        return int64(byte) - 48
    if base == 16 and 97 <= (byte | 32) <= 102:
        return int64(byte | 32) - 87
    return -1


@lean
def _numeric(page: Bytes, at: int, end: int) -> tuple[int, int]:
    """Reads what follows `&#`; returns the code point, or -1, and where reading goes on."""
    base = 16 if at < end and (page[at] | 32) == 120 else 10
    at += base == 16
    first, value = at, 0
    while at < end:
        digit = _digit(int64(page[at]), base)
        if digit < 0:
            break
        value = min(value * base + digit, 0x110000)
        at += 1
    if at == first:
        return -1, at
    if at < end and page[at] == 59:
        at += 1
    if 128 <= value < 160:
        value = int64(WINDOWS[value - 128])
    if value in (0, 0x110000) or 0xD800 <= value < 0xE000:
        value = _REPLACEMENT
    return value, at


@lean
def _named(page: Bytes, at: int, end: int) -> tuple[int, int]:
    """Reads what follows `&`; returns the value of the longest name, or -1, and where it ends."""
    found, found_end = -1, at
    key, first = FNV_START, at
    while at < end and at - first < _LONGEST and _is_alphanumeric(int64(page[at])):
        key = hash_step(key, page[at])
        at += 1
        if at - first <= _LONGEST_OPEN:
            value = look_up(OPEN, key)
            if value >= 0:
                found, found_end = value, at
    if at < end and page[at] == 59:
        value = look_up(CLOSED, key)
        if value >= 0:
            return value, at + 1
    return found, found_end


@lean
def read_reference(page: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Reads a character reference in text.

    Args:
        page: uint8[n], UTF-8.
        at: Where an `&` is.
        end: Where the text ends, at most n.

    Returns:
        The code point, a second one or -1, and the position after the reference; a first one of
        -1 where the `&` is just that.
    """
    if at + 1 < end and page[at + 1] == 35:
        value, after = _numeric(page, at + 2, end)
    else:
        value, after = _named(page, at + 1, end)
    if value < 0:
        return -1, -1, at
    if value >= _SINGLE:
        return int64(PAIRS[value - _SINGLE, 0]), int64(PAIRS[value - _SINGLE, 1]), after
    return value, -1, after
