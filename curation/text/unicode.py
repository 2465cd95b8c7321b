"""What kernels know about characters: class bits, lower case, and UTF-8 in and out.

The tables state Unicode 14.0, the version of the oldest Python that we support. They are a file
of ours, so that the same text gives the same tokens on every Python and every numba.

Two things in `str.lower` do not fit a table and are the caller's: U+0130 becomes two code points
(`i`, U+0307), and a capital sigma is final or not depending on its neighbours; `shingles` does so.
"""

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean_inlined
from curation.text.unicode_tables import (
    ALPHA,
    ASSIGNED,
    CASE_IGNORABLE,
    CASED,
    DIGIT,
    SPACE,
    UNICODE_VERSION,
    UPPER,
    WORD,
    load_tables,
)

__all__ = [
    "ALPHA",
    "ASSIGNED",
    "CAPITAL_I_WITH_DOT",
    "CAPITAL_SIGMA",
    "CASED",
    "CASE_IGNORABLE",
    "DIGIT",
    "FINAL_SIGMA",
    "REPLACEMENT",
    "SPACE",
    "UNICODE_VERSION",
    "UPPER",
    "WORD",
    "char_class",
    "decode",
    "encode",
    "lower_char",
]

REPLACEMENT = 0xFFFD
CAPITAL_I_WITH_DOT = 0x130
CAPITAL_SIGMA = 0x3A3
FINAL_SIGMA = 0x3C2

# Module-level arrays are constants to numba: 40 kB, compiled into each kernel that looks them up.
_PAGE_OF, _PAGES, _CLASSES, _LOWER = load_tables()


@lean_inlined
def char_class(code_point: int) -> int:
    """Returns the class bits of a code point from 0 to 0x10FFFF.

    Examples:
        >>> char_class(ord("é")) & ALPHA > 0, char_class(ord("é")) & UPPER > 0
        (True, False)
    """
    page = int64(_PAGE_OF[code_point >> 7])
    return int64(_CLASSES[_PAGES[(page << 7) | (code_point & 127)]])


@lean_inlined
def lower_char(code_point: int) -> int:
    """Returns the lower case of a code point where that is one code point, else itself.

    U+0130 gives `i` (its U+0307 is the caller's to add), U+03A3 the non-final sigma.

    Examples:
        >>> chr(lower_char(ord("É"))), chr(lower_char(ord("ß")))
        ('é', 'ß')
    """
    page = int64(_PAGE_OF[code_point >> 7])
    return code_point + int64(_LOWER[_PAGES[(page << 7) | (code_point & 127)]])


@lean_inlined
def decode(data: npt.NDArray[np.uint8], at: int, end: int) -> tuple[int, int]:
    """Reads one code point of UTF-8; never reads at or after `end`.

    Bytes that are no UTF-8 give U+FFFD in the portions of `bytes.decode("utf-8", "replace")`.

    Args:
        data: uint8[n], the bytes.
        at: Position of the first byte, less than `end`.
        end: First position that is not the text's, at most n.

    Returns:
        The code point (never a surrogate), and the position after it.
    """
    first = int64(data[at])
    if first < 0x80:
        return first, at + 1
    if first < 0xE0:
        if first < 0xC2 or at + 1 >= end or not _follows(data[at + 1]):
            return REPLACEMENT, at + 1
        return ((first & 0x1F) << 6) | (int64(data[at + 1]) & 0x3F), at + 2
    if first >= 0xF5 or at + 1 >= end or not _follows_first(first, int64(data[at + 1])):
        return REPLACEMENT, at + 1
    if at + 2 >= end or not _follows(data[at + 2]):
        return REPLACEMENT, at + 2
    head = ((int64(data[at + 1]) & 0x3F) << 6) | (int64(data[at + 2]) & 0x3F)
    if first < 0xF0:
        return ((first & 0x0F) << 12) | head, at + 3
    if at + 3 >= end or not _follows(data[at + 3]):
        return REPLACEMENT, at + 3
    return ((first & 0x07) << 18) | (head << 6) | (int64(data[at + 3]) & 0x3F), at + 4


@lean_inlined
def _follows(byte: np.uint8) -> bool:
    return (int64(byte) & 0xC0) == 0x80


@lean_inlined
def _follows_first(first: int, second: int) -> bool:
    # Overlong forms, surrogates and values above U+10FFFF show in the second byte.
    low, high = 0x80, 0xBF
    if first == 0xE0:
        low = 0xA0
    elif first == 0xED:
        high = 0x9F
    elif first == 0xF0:
        low = 0x90
    elif first == 0xF4:
        high = 0x8F
    return low <= second <= high


@lean_inlined
def encode(code_point: int, data: npt.NDArray[np.uint8], at: int) -> int:
    """Writes one code point as UTF-8 at `at`, where 4 bytes must be free; returns the end."""
    if code_point < 0x80:
        data[at] = code_point
        return at + 1
    if code_point < 0x800:
        data[at] = 0xC0 | (code_point >> 6)
        data[at + 1] = 0x80 | (code_point & 0x3F)
        return at + 2
    if code_point < 0x10000:
        data[at] = 0xE0 | (code_point >> 12)
        data[at + 1] = 0x80 | ((code_point >> 6) & 0x3F)
        data[at + 2] = 0x80 | (code_point & 0x3F)
        return at + 3
    data[at] = 0xF0 | (code_point >> 18)
    data[at + 1] = 0x80 | ((code_point >> 12) & 0x3F)
    data[at + 2] = 0x80 | ((code_point >> 6) & 0x3F)
    data[at + 3] = 0x80 | (code_point & 0x3F)
    return at + 4
