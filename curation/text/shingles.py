r"""Shingles: the sets of word n-grams by which near-duplicates are told.

Tokens are the runs of `\w` of the lower-cased text, a shingle is n consecutive tokens joined by
one space, and a document is the set of its shingles. A document of fewer than n tokens is one
shingle of all its tokens; one without tokens is the empty set. A shingle is known by the XXH64
(seed 0) of its UTF-8 bytes.

Source: Broder 1997, "On the resemblance and containment of documents", with words as tokens.
"""

import re
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel, subroutine
from curation.text.memory import peek, poke, word64
from curation.text.unicode import (
    CAPITAL_I_WITH_DOT,
    CAPITAL_SIGMA,
    CASE_IGNORABLE,
    CASED,
    FINAL_SIGMA,
    WORD,
    char_class,
    decode,
    encode,
    lower_char,
)
from curation.text.xxh64 import plain_xxh64, xxh64

_SPACE = 0x20
_SIZES = 128  # of a shingle, in bytes; longer ones are one class
_NOT_ASCII = np.uint64(0x8080808080808080)


def _ascii_words() -> npt.NDArray[np.uint8]:
    """Returns for each ASCII character: its lower case if words hold it, else a space."""
    table = np.empty(128, np.uint8)
    for byte in range(128):
        char = chr(byte)
        table[byte] = ord(char.lower()) if char.isalnum() or char == "_" else _SPACE
    return table


_ASCII_WORDS = _ascii_words()


@inlined
def _cased_before(text: npt.NDArray[np.uint8], at: int) -> bool:
    while at > 0:
        at -= 1
        while at > 0 and (text[at] & 0xC0) == 0x80:
            at -= 1
        bits = char_class(decode(text, at, len(text))[0])
        if not bits & CASE_IGNORABLE:
            return bits & CASED > 0
    return False


@inlined
def _cased_after(text: npt.NDArray[np.uint8], at: int) -> bool:
    while at < len(text):
        code_point, at = decode(text, at, len(text))
        bits = char_class(code_point)
        if not bits & CASE_IGNORABLE:
            return bits & CASED > 0
    return False


@inlined
def is_final_sigma(text: npt.NDArray[np.uint8], at: int, after: int) -> bool:
    """Says whether a capital sigma between two positions ends a word, as `str.lower` asks.

    Args:
        text: uint8[n], UTF-8.
        at: Where the sigma starts.
        after: Where it ends.
    """
    return _cased_before(text, at) and not _cased_after(text, after)


@inlined
def _lower_in(text: npt.NDArray[np.uint8], at: int) -> tuple[int, int]:
    code_point, after = decode(text, at, len(text))
    lower = lower_char(code_point)
    if code_point == CAPITAL_SIGMA and is_final_sigma(text, at, after):
        lower = FINAL_SIGMA
    # The dot that U+0130 leaves behind is a mark: it ends the word, and is told by the sign.
    return (-lower if code_point == CAPITAL_I_WITH_DOT else lower), after


@inlined
def _write(
    byte: np.uint8,
    words: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    count: int,
    fill: int,
    inside: int,
) -> tuple[int, int, int]:
    """Writes a byte of a word, or the space that ends one; `inside` is 1 after a byte of a word.

    Without a branch, which the processor would guess wrongly at the end of every word: a space is
    written over until it ends a word, and so is the start of the word to come.
    """
    word = int64(byte != _SPACE)
    poke(words, fill, byte)
    fill += word | inside
    poke(starts, count + 1, fill)
    return count + (inside & ~word), fill, word


@subroutine
def lower_words(
    text: npt.NDArray[np.uint8],
    words: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
) -> int:
    """Writes the lower-cased words, a space after each, and where each starts; returns how many.

    `starts` gets one more entry: where the next word would start.
    """
    count = fill = at = inside = 0
    starts[0] = 0
    while at < len(text):
        if at + 8 <= len(text) and not word64(text, at) & _NOT_ASCII:
            for ahead in range(8):
                byte = _ASCII_WORDS[peek(text, at + ahead) & 0x7F]
                count, fill, inside = _write(byte, words, starts, count, fill, inside)
            at += 8
            continue
        byte = peek(text, at)
        if byte < 0x80:
            byte = _ASCII_WORDS[byte]
            at += 1
        else:
            lower, at = _lower_in(text, at)
            if lower < 0 or char_class(lower) & WORD:
                fill = encode(abs(lower), words, fill)
                inside = 1
                if lower > 0:
                    continue
            byte = np.uint8(_SPACE)
        count, fill, inside = _write(byte, words, starts, count, fill, inside)
    if inside:
        count += 1
        starts[count] = fill + 1
    return count


class Workspace(NamedTuple):
    """What the hashing of one text after another writes over; made by `make_workspace`."""

    words: npt.NDArray[np.uint8]
    starts: npt.NDArray[np.int64]
    hashes: npt.NDArray[np.uint64]
    """The answer of `hash_shingles`."""
    order: npt.NDArray[np.int64]
    """The shingles of a text by their size."""
    ends: npt.NDArray[np.int64]
    """Where the shingles of each size end in `order`."""


@inlined
def make_workspace(offsets: npt.NDArray[np.int64]) -> Workspace:
    """Makes room for the longest of the texts: about 14 bytes for each byte of it.

    Lower case makes three bytes of two at most (U+023A), a space takes an earlier byte's place,
    and a token with what ends it takes two bytes, but for the last one of a text.
    """
    longest = 0
    for row in range(len(offsets) - 1):
        longest = max(longest, offsets[row + 1] - offsets[row])
    tokens = longest // 2 + 2
    return Workspace(
        np.empty(longest + longest // 2 + 16, np.uint8),
        np.empty(tokens, np.int64),
        np.empty(tokens, np.uint64),
        np.empty(tokens, np.int64),
        np.empty(_SIZES, np.int64),
    )


@inlined
def _order_by_size(width: int, shingles: int, room: Workspace) -> None:
    starts, ends = room.starts, room.ends
    ends[:] = 0
    for k in range(shingles):
        size = min(peek(starts, k + width) - peek(starts, k), _SIZES - 1)
        poke(ends, size, peek(ends, size) + 1)
    before = 0
    for size in range(_SIZES):
        before, ends[size] = before + ends[size], before
    for k in range(shingles):
        size = min(peek(starts, k + width) - peek(starts, k), _SIZES - 1)
        poke(room.order, peek(ends, size), k)
        poke(ends, size, peek(ends, size) + 1)


@inlined
def hash_shingles(text: npt.NDArray[np.uint8], ngram: int, room: Workspace) -> int:
    """Hashes the shingles of one text into `room.hashes`, in its order and with repeats.

    Args:
        text: uint8, UTF-8.
        ngram: Tokens in a shingle, 1 or more.
        room: Made for texts of at least this length.

    Returns:
        How many shingles there are.
    """
    tokens = lower_words(text, room.words, room.starts)
    if tokens == 0:
        return 0
    width = min(ngram, tokens)
    shingles = tokens - width + 1
    # Size by size, because XXH64 branches on the size: in the order of the text the processor would
    # guess most of them wrongly, which takes longer than the hashing.
    _order_by_size(width, shingles, room)
    for at in range(shingles):
        k = peek(room.order, at)
        begin, end = peek(room.starts, k), peek(room.starts, k + width) - 1
        poke(room.hashes, k, xxh64(room.words, begin, end, np.uint64(0)))
    return shingles


@kernel
def shingle_hashes(
    offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8], ngram: int
) -> tuple[npt.NDArray[np.uint64], npt.NDArray[np.int64]]:
    """Returns the hashes of all shingles of n texts, in the order of the text, with repeats.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        ngram: Tokens in a shingle, 1 or more.

    Returns:
        uint64[m], the hashes of all texts, and int64[n + 1], where those of each text start.
    """
    room = make_workspace(offsets)
    hashes = np.empty((offsets[-1] - offsets[0]) // 2 + len(offsets), np.uint64)
    bounds = np.zeros(len(offsets), np.int64)
    for row in range(len(offsets) - 1):
        found = hash_shingles(data[offsets[row] : offsets[row + 1]], ngram, room)
        bounds[row + 1] = bounds[row] + found
        hashes[bounds[row] : bounds[row + 1]] = room.hashes[:found]
    return hashes[: bounds[-1]].copy(), bounds


def plain_tokens(text: str) -> list[str]:
    r"""Returns the tokens of a text.

    Examples:
        >>> plain_tokens("Don't panic, 42!")
        ['don', 't', 'panic', '42']
    """
    return re.findall(r"\w+", text.lower())


def plain_shingles(text: str, ngram: int) -> list[bytes]:
    """Returns the shingles of a text as UTF-8, in its order and with repeats.

    Examples:
        >>> plain_shingles("To be, or not", 3)
        [b'to be or', b'be or not']
        >>> plain_shingles("To be", 3)
        [b'to be']
    """
    tokens = plain_tokens(text)
    width = min(ngram, len(tokens))
    spans = range(len(tokens) - width + 1) if tokens else ()
    return [" ".join(tokens[k : k + width]).encode() for k in spans]


def plain_shingle_hashes(text: str, ngram: int) -> list[int]:
    """Returns the XXH64 of each shingle of a text: what the kernel means."""
    return [plain_xxh64(shingle) for shingle in plain_shingles(text, ngram)]
