"""Bytes looked at eight at a time: where a run of plain ones ends, and what a short word is.

Source of the arithmetic: Mycroft's test for a byte below a bound; see Warren, "Hacker's Delight",
section 6-1.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
from numba import types
from numba.extending import intrinsic

from curation.text.jit import int64, lean, lean_inlined
from curation.text.memory import word64

Bytes = npt.NDArray[np.uint8]

_HIGH_BITS = np.uint64(0x8080808080808080)
_LOW_BITS = np.uint64(0x7F7F7F7F7F7F7F7F)
_ABOVE_SPACE = np.uint64(0x5F5F5F5F5F5F5F5F)
_NEWLINE = np.uint64(0x0A)
_ALL = np.uint64(0xFFFFFFFFFFFFFFFF)
_ONES = np.uint64(0x0101010101010101)
_ZERO, _EIGHT = np.uint64(0), np.uint64(8)

_ASCII_SPACE = np.array([chr(code).isspace() for code in range(128)], np.uint8)


def _trailing_zeros(_: Any, value: Any) -> tuple[Any, Any]:
    def generate(context: Any, builder: Any, _: Any, values: Any) -> Any:
        flag = context.get_constant(types.boolean, False)  # noqa: FBT003 - 0 gives 64
        return builder.cttz(values[0], flag)

    return types.uint64(value), generate


trailing_zeros: Any = intrinsic(_trailing_zeros)
"""uint64 to uint64: how many of the low bits are 0; 64 where all are."""


@lean_inlined
def plain_end(text: Bytes, at: int, end: int) -> int:
    """Returns the first position from `at` on that holds no byte from 0x21 to 0x7F, or `end`.

    Args:
        text: uint8[n].
        at: Where to begin.
        end: Where to stop, at most n.
    """
    while at + 8 <= end:
        eight = word64(text, at)
        # Below 0x80 no addition carries; from there on the byte is found by its own high bit.
        plain = ((eight & ~_HIGH_BITS) + _ABOVE_SPACE) & ~eight & _HIGH_BITS
        if plain != _HIGH_BITS:
            return at + int64(trailing_zeros(plain ^ _HIGH_BITS) >> np.uint64(3))
        at += 8
    while at < end and 0x20 < text[at] < 0x80:
        at += 1
    return at


@lean_inlined
def short_bytes(text: Bytes, start: int, stop: int) -> np.uint64:
    """Returns one to eight bytes of a text as a number, the first byte lowest.

    Args:
        text: uint8[n].
        start: First byte.
        stop: Position after the last byte, at most n and at most 8 bytes later.
    """
    if start + 8 <= len(text):
        return word64(text, start) & (_ALL >> (np.uint64(8 - (stop - start)) * _EIGHT))
    value = _ZERO
    for k in range(stop - start):
        value |= np.uint64(text[start + k]) << (np.uint64(k) * _EIGHT)
    return value


@lean_inlined
def byte_at(text: Bytes, at: int, end: int, byte: np.uint64) -> int:
    """Returns the position of the first such byte from `at` on, or `end`.

    Args:
        text: uint8[n].
        at: Where to begin.
        end: Where to stop, at most n.
        byte: What to look for.
    """
    eight = byte * _ONES
    while at + 8 <= end:
        other = word64(text, at) ^ eight
        zero = ~(((other & _LOW_BITS) + _LOW_BITS) | other | _LOW_BITS)
        if zero:
            return at + int64(trailing_zeros(zero) >> np.uint64(3))
        at += 8
    while at < end and text[at] != byte:
        at += 1
    return at


@lean_inlined
def newline_at(text: Bytes, at: int, end: int) -> int:
    """Returns the position of the first U+000A from `at` on, or `end`; likewise."""
    return byte_at(text, at, end, _NEWLINE)


@lean_inlined
def chars_in(eight: np.uint64) -> int:
    """Returns how many of eight bytes start a character: all but those of the form 10xxxxxx."""
    first = ((~eight >> np.uint64(7)) | (eight >> np.uint64(6))) & _ONES
    return int64(first * _ONES >> np.uint64(56))


@lean
def count_chars(text: Bytes, at: int, end: int) -> int:
    """Returns how many characters (code points) of UTF-8 start in a slice.

    Args:
        text: uint8[n], UTF-8.
        at: First byte.
        end: Position after the last byte, at most n.
    """
    chars = 0
    while at + 8 <= end:
        chars += chars_in(word64(text, at))
        at += 8
    while at < end:
        chars += (text[at] & 0xC0) != 0x80
        at += 1
    return chars


@lean_inlined
def blank_width(text: Bytes, at: int, end: int) -> int:
    """Returns the bytes of the whitespace character (`str.isspace`) at `at`; 0 for any other.

    Args:
        text: uint8[n], UTF-8.
        at: A position before `end`.
        end: Position after the last byte, at most n.
    """
    byte = int64(text[at])
    if byte < 0x80:
        return int64(_ASCII_SPACE[byte])
    return _wide_blank(text, at, end, byte)


@lean
def _wide_blank(text: Bytes, at: int, end: int, byte: int) -> int:
    second = int64(text[at + 1]) if at + 1 < end else 0
    if byte == 0xC2:
        return 2 * (second in (0x85, 0xA0))
    third = int64(text[at + 2]) if at + 2 < end else 0
    if byte == 0xE2 and second == 0x80:
        return 3 * (0x80 <= third <= 0x8A or third in (0xA8, 0xA9, 0xAF))
    if byte == 0xE2:
        return 3 * (second == 0x81 and third == 0x9F)
    if byte == 0xE1:
        return 3 * (second == 0x9A and third == 0x80)
    return 3 * (byte == 0xE3 and second == 0x80 and third == 0x80)
