r"""The words of a text column as slices of its bytes, found by the rules of several programs.

What a word is decides every statistic that counts words, and programs differ:

- `WHITESPACE`: the runs of characters between whitespace, as `str.split` gives them.
- `SEGMENTED`: words between the word boundaries of Unicode, without those that start with
  anything but a letter or digit: what the package uniseg gives DCLM.
- `PUNCTUATED`: whitespace words with the punctuation at their edges, and some of it inside, taken
  off as words of their own: what spaCy's English tokeniser gives datatrove.

The last two are cheap likenesses; `curation.text.tokens` has their rules.

Words are found anew by each kernel that needs them, text by text, in room that stays in the
processor's cache. A table of all words of a column, made once for several stages, was tried: it
cost more to write and to read again than the words cost to find (docs/log.md).
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.groups import Slices, key_of, make_slices
from curation.text.jit import inlined, int64, lean, lean_inlined
from curation.text.scan import blank_width, plain_end
from curation.text.tokens import PUNCTUATED, SEGMENTED, WHITESPACE, cut_tokens, flag_table
from curation.text.unicode import decode

__all__ = [
    "PUNCTUATED", "SEGMENTED", "WHITESPACE", "Words", "find_words", "flag_table", "make_words",
]  # fmt: skip

Bytes = npt.NDArray[np.uint8]
Flags = npt.NDArray[np.uint32]
Ints = npt.NDArray[np.int32]


class Words(NamedTuple):
    """Room for the words of one text; made by `make_words`."""

    slices: Slices
    """Where the words lie, and their keys."""
    chars: Ints
    """int32[s], characters (code points) of all words before each; one entry more than words."""
    table: Flags
    """uint32[0x110000], `flag_table()`; of no entries where the splitter is `WHITESPACE`."""
    flags: Flags
    """uint32[s], flags of each character; unused where the splitter is `WHITESPACE`."""
    places: Ints
    """int32[s], first byte of each character; likewise."""


@inlined
def make_words(longest: int, splitter: int, table: Flags) -> Words:
    """Makes room for the words of a text.

    Args:
        longest: Bytes of the longest text.
        splitter: `WHITESPACE`, `SEGMENTED` or `PUNCTUATED`.
        table: `flag_table()`, or no entries for `WHITESPACE`.
    """
    chars = longest * (splitter != WHITESPACE) + 2
    most = longest // 2 + 2 if splitter == WHITESPACE else longest
    return Words(
        make_slices(most),
        np.empty(most + 3, np.int32),
        table,
        np.empty(chars, np.uint32),
        np.empty(chars, np.int32),
    )


@lean
def find_words(text: Bytes, splitter: int, words: Words) -> tuple[int, int]:
    """Finds the words of a text.

    Args:
        text: uint8, UTF-8, no longer than the room is made for.
        splitter: The one that the room is made for.
        words: Gets the words.

    Returns:
        How many words there are, and how many characters the text has, whitespace included.
    """
    if splitter != WHITESPACE:
        return _find_tokens(text, splitter, words)
    # Taken out of the tuples once: inside of a loop each look would count references.
    (starts, stops, keys, _, _), ahead = words.slices, words.chars
    number = at = extra = chars = 0
    while True:
        at, extra = _skip_space(text, at, extra)
        if at >= len(text):
            ahead[number] = chars
            return number, len(text) - extra
        start, before = at, extra
        at, extra = _skip_word(text, at, extra)
        starts[number], stops[number] = start, at
        keys[number] = key_of(text, start, at)
        ahead[number] = chars
        chars += at - start - (extra - before)
        number += 1


@lean_inlined
def _skip_space(text: Bytes, at: int, extra: int) -> tuple[int, int]:
    """Returns where whitespace ends, and `extra` with the bytes that start no character."""
    while at < len(text):
        width = blank_width(text, at, len(text))
        if width == 0:
            break
        extra += width - 1
        at += width
    return at, extra


@lean_inlined
def _skip_word(text: Bytes, at: int, extra: int) -> tuple[int, int]:
    """Returns where the next whitespace starts, and `extra` likewise."""
    while True:
        at = plain_end(text, at, len(text))
        if at >= len(text) or blank_width(text, at, len(text)):
            return at, extra
        extra += (text[at] & 0xC0) == 0x80
        at += 1


@lean
def _find_tokens(text: Bytes, splitter: int, words: Words) -> tuple[int, int]:
    (starts, stops, keys, _, _), ahead, table, flags, places = words
    size = at = 0
    while at < len(text):
        code, after = decode(text, at, len(text))
        flags[size], places[size] = table[code], at
        size += 1
        at = after
    flags[size], places[size] = 0, at
    number = cut_tokens(flags, size, splitter, starts, stops)
    chars = 0
    for k in range(number):
        ahead[k] = chars
        chars += stops[k] - starts[k]
        starts[k], stops[k] = places[starts[k]], places[stops[k]]
        keys[k] = key_of(text, int64(starts[k]), int64(stops[k]))
    ahead[number] = chars
    return number, size
