r"""How often listed words and phrases stand in texts, without regard to case.

A phrase is found where nothing of `\w` touches it on either side, or, for languages that put no
spaces between words, anywhere. Case is folded character by character (`unicode.lower_char`).
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chars import char_at, class_of
from curation.text.jit import inlined, int64, kernel
from curation.text.unicode import WORD, encode, lower_char

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class PhraseTable(NamedTuple):
    """Phrases in lower case and in the order of their bytes; made by `phrase_table`."""

    data: Bytes
    """uint8, all phrases one after another."""
    offsets: Ints
    """int64[m + 1]: phrase k is `data[offsets[k] : offsets[k + 1]]`."""
    first: Ints
    """int64[257]: phrases whose first byte is b have the numbers `first[b]` to `first[b + 1]`."""


def phrase_table(phrases: Iterable[str]) -> PhraseTable:
    """Builds the table for `count_phrases`; empty phrases, and white space around them, go.

    Raises:
        ValueError: There is no phrase.
    """
    lowered = sorted({_lowered(phrase.strip()).encode() for phrase in phrases} - {b""})
    if not lowered:
        raise ValueError("the list has no words; expected one word or phrase a line")
    offsets = np.cumsum([0, *map(len, lowered)]).astype(np.int64)
    starts = np.array([phrase[0] for phrase in lowered], np.int64)
    first = np.searchsorted(starts, np.arange(257)).astype(np.int64)
    return PhraseTable(np.frombuffer(b"".join(lowered), np.uint8), offsets, first)


def plain_phrases(text: str, phrases: Iterable[str], *, anywhere: bool) -> int:
    """Counts in plain Python where a phrase stands in a text: the meaning of `count_phrases`.

    Examples:
        >>> plain_phrases("An ass, a class, an ASS.", ["ass"], anywhere=False)
        2
    """
    listed = {_lowered(phrase.strip()) for phrase in phrases} - {""}
    pattern = "|".join(map(re.escape, listed))
    if not anywhere:
        pattern = rf"(?<!\w)(?:{pattern})(?!\w)"
    return len(re.findall(f"(?={pattern})", _lowered(text)))


def _lowered(text: str) -> str:
    return "".join(char.lower()[0] for char in text)


@kernel
def count_phrases(offsets: Ints, data: Bytes, table: PhraseTable, anywhere: bool) -> Ints:  # noqa: FBT001 - kernels have no keywords
    """Counts the places of n texts where a phrase starts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        table: The phrases.
        anywhere: They may stand inside words.

    Returns:
        int64[n].
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    # Lower case makes three bytes of two at most, what is malformed three of one.
    lower = np.empty(3 * longest + 4, np.uint8)
    counts = np.zeros(len(offsets) - 1, np.int64)
    for row in range(len(counts)):
        end = _write_lower(data, offsets[row], offsets[row + 1], lower)
        counts[row] = _count(lower, end, table, anywhere)
    return counts


@kernel
def _write_lower(data: Bytes, at: int, end: int, lower: Bytes) -> int:
    """Writes a text in lower case; returns where it ends."""
    fill = 0
    while at < end:
        code = int64(data[at])
        if code < 0x80:
            lower[fill] = code + 0x20 if 0x41 <= code <= 0x5A else code
            fill += 1
            at += 1
            continue
        code, at = char_at(data, at, end)
        fill = encode(lower_char(code), lower, fill)
    return fill


@kernel
def _count(lower: Bytes, end: int, table: PhraseTable, anywhere: bool) -> int:  # noqa: FBT001
    count = 0
    inside = False
    at = int64(0)
    while at < end:
        byte = int64(lower[at])
        if (anywhere or not inside) and table.first[byte] < table.first[byte + 1]:
            count += _stands(lower, at, end, table, anywhere)
        code, at = (byte, at + 1) if byte < 0x80 else char_at(lower, at, end)
        inside = (class_of(code) & WORD) > 0
    return count


@inlined
def _stands(lower: Bytes, at: int, end: int, table: PhraseTable, anywhere: bool) -> bool:  # noqa: FBT001
    """Says whether one of the phrases with the byte at `at` stands there."""
    for phrase in range(table.first[lower[at]], table.first[int64(lower[at]) + 1]):
        start, length = table.offsets[phrase], table.offsets[phrase + 1] - table.offsets[phrase]
        if at + length > end:
            continue
        k = 1
        while k < length and lower[at + k] == table.data[start + k]:
            k += 1
        if k < length:
            continue
        after = at + length
        if anywhere or after == end or not class_of(char_at(lower, after, end)[0]) & WORD:
            return True
    return False
