"""Lists of stop words as one hash table, and the characters that words are compared by.

Words are compared without regard to case (or, on demand, exactly), by 64-bit FNV-1a keys of their
code points.
"""

import re
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean, lean_inlined
from curation.text.unicode import FINAL_SIGMA, UPPER, char_class, decode, lower_char
from curation.text.unicode_tables import load_tables

STOP_WORDS_PER_LIST = 63
"""A list fits the bits of one (signed) number."""

LONGEST_SHORT = 8
"""Words of so many bytes are looked at in one piece."""

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_SMALL_SIGMA = 0x3C3

# Most text is ASCII: one look-up instead of two levels of tables.
_TABLES = load_tables()
ASCII_CLASSES = _TABLES.classes[_TABLES.pages[int(_TABLES.page_of[0]) * 128 + np.arange(128)]]
"""uint8[128], the class bits of ASCII."""

# FNV-1a with 64 bits, over lower-case code points; the arithmetic wraps around.
_FNV_OFFSET, FNV_PRIME = -3750763034362895579, 1099511628211


class StopTable(NamedTuple):
    """Lists of stop words as one hash table with open addressing; made by `stop_table`."""

    keys: Ints
    """int64[2**k], the key of the word in each slot."""
    bits: Ints
    """int64[2**k], the bit of the word in its list; 0 marks a free slot."""
    short: Ints
    """int64[lists], of words of up to eight ASCII letters: bits of their first letters, and from
    bit 32 on of their lengths. One number tells most words that they are none."""


def folded(token: str) -> str:
    """Returns a word without regard to case, as stop words are compared."""
    # Character by character, so that a sigma is the same at the end of a word as inside it.
    return "".join(char.lower()[0] for char in token).replace(chr(FINAL_SIGMA), chr(_SMALL_SIGMA))


def check_stop_words(words: Collection[str]) -> None:
    """Refuses a list of stop words that `stop_table` cannot hold; needs no compiled code.

    Raises:
        ValueError: The list is too long, or a word in it could never be found in a text.
    """
    for word in words:
        if not re.fullmatch(r"\w+", word):
            raise ValueError(
                f"stop word '{word}' can never be found: texts are searched by runs of letters, "
                "digits and underscores; expected one such run; give each part as a word"
            )
    if len(words) > STOP_WORDS_PER_LIST:
        raise ValueError(
            f"list of stop words has {len(words)} words; expected at most {STOP_WORDS_PER_LIST}; "
            "keep the commonest"
        )


def stop_table(lists: Sequence[Collection[str]], *, exact: bool = False) -> StopTable:
    """Builds the table for `quality`; `lists[k]` is the list of number k.

    With `exact`, case counts: "The" is another word than "the".

    Raises:
        ValueError: From `check_stop_words`.
    """
    size = 1 << (4 * sum(map(len, lists)) + 15).bit_length()
    short = np.zeros(len(lists), np.int64)
    table = StopTable(np.zeros(size, np.int64), np.zeros(size, np.int64), short)
    for number, words in enumerate(lists):
        check_stop_words(words)
        spelled = set(words) if exact else {folded(word) for word in words}
        for bit, word in enumerate(sorted(spelled)):
            key = _word_key(np.frombuffer(word.encode(), np.uint8), number, exact)
            _insert(table, key, 1 << bit)
            if len(word) <= LONGEST_SHORT and word.isascii():
                short[number] |= 1 << (ord(word[0]) & 31) | 1 << (32 + len(word))
    return table


def _insert(table: StopTable, key: int, bit: int) -> None:
    slot = _slot(key, len(table.keys))
    while table.bits[slot]:
        slot = (slot + 1) & (len(table.keys) - 1)
    table.keys[slot], table.bits[slot] = key, bit


@lean_inlined
def read_char(data: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Returns a code point, its folded lower case, its class bits, and where the next one is."""
    code = int64(data[at])
    if code < 0x80:
        bits = int64(ASCII_CLASSES[code])
        return code, code + (bits & UPPER) * 32 // UPPER, bits, at + 1
    code, after = decode(data, at, end)
    lower = lower_char(code)
    if lower == FINAL_SIGMA:
        lower = _SMALL_SIGMA
    return code, lower, char_class(code), after


@lean_inlined
def key_for_list(number: int) -> int:
    """Returns the key of a word of no characters, for the list of a number."""
    return (_FNV_OFFSET + number) * FNV_PRIME


@lean_inlined
def _slot(key: int, size: int) -> int:
    return (key ^ (key >> 29)) & (size - 1)


@lean_inlined
def find_stop(stops: StopTable, key: int) -> int:
    """Returns the bit of a stop word, 0 for any other word."""
    size = len(stops.keys)
    slot = _slot(key, size)
    while stops.bits[slot]:
        if stops.keys[slot] == key:
            return int64(stops.bits[slot])
        slot = (slot + 1) & (size - 1)
    return 0


@lean
def _word_key(data: Bytes, number: int, exact: bool) -> int:  # noqa: FBT001
    key, at = key_for_list(number), 0
    while at < len(data):
        code, lower, _, at = read_char(data, at, len(data))
        key = (key ^ (code if exact else lower)) * FNV_PRIME
    return key
