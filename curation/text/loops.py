"""Loops: words that are said again and again without a break, as generators do that get stuck.

A loop is a run of 1 to `LONGEST` words that stands `TIMES` times or more, one directly after the
other; what of a last, unfinished time follows belongs to it. Words are those of `SEGMENTED`, which
gives each Chinese character as a word of its own; they are compared byte by byte. Ours.
"""

import numpy as np
import numpy.typing as npt

from curation.text.groups import LONGEST_TEXT, Slices, group_slices
from curation.text.jit import kernel, lean
from curation.text.plain_tokens import plain_words
from curation.text.tokens import SEGMENTED, flag_table
from curation.text.words import find_words, make_words

LONGEST = 32
"""Words of the longest run that is looked for."""
TIMES = 3
"""How often it stands in a row, at least: twice is common in prose ("very, very")."""

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.uint32]
Mask = npt.NDArray[np.bool_]


def plain_loops(text: str) -> float:
    """Returns the share of a text in loops in plain Python: the meaning of `loops`.

    Examples:
        >>> plain_loops("we go on and on and on and on")
        0.8
    """
    words = plain_words(text, SEGMENTED)
    inside: set[int] = set()
    for length in range(1, LONGEST + 1):
        for start in range(len(words) - TIMES * length + 1):
            if (
                words[start : start + (TIMES - 1) * length]
                == (words[start + length : start + TIMES * length])
            ):
                inside.update(range(start, start + TIMES * length))
                more = start + TIMES * length
                while more < len(words) and words[more] == words[more - length]:
                    inside.add(more)
                    more += 1
    chars = sum(map(len, words))
    return sum(len(words[k]) for k in inside) / chars if chars else 0.0


def loops(offsets: Offsets, data: Bytes) -> Floats:
    """Measures every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.

    Returns:
        float64[n], 0 to 1: the share of the characters of all words that lie in loops; 0 without
        words.

    Raises:
        ValueError: A text is longer than `LONGEST_TEXT` bytes.
    """
    longest = int(np.diff(offsets).max(initial=0))
    if longest > LONGEST_TEXT:
        raise ValueError(f"loops: a text has {longest} bytes; expected at most {LONGEST_TEXT}")
    return _measure(offsets, data, longest, flag_table())


@kernel
def _measure(offsets: Offsets, data: Bytes, longest: int, table: Flags) -> Floats:
    words = make_words(longest, SEGMENTED, table)
    bits = 4
    while (1 << bits) < 2 * (longest + 2):
        bits += 1
    slots = np.empty((1 << bits, 2), np.uint64)
    inside = np.zeros(longest + 2, np.bool_)
    found = np.zeros(len(offsets) - 1, np.float64)
    for row in range(len(found)):
        text = data[offsets[row] : offsets[row + 1]]
        number, _ = find_words(text, SEGMENTED, words)
        group_slices(text, words.slices, number, slots)
        _mark(words.slices, number, inside)
        chars = 0
        for k in range(number):
            chars += (words.chars[k + 1] - words.chars[k]) * inside[k]
        if number:
            found[row] = chars / words.chars[number]
    return found


@lean
def _mark(words: Slices, number: int, inside: Mask) -> None:
    """Says for each of a text's words whether it is in a loop."""
    like = words.like
    inside[:number] = False
    for length in range(1, min(LONGEST, number // TIMES) + 1):
        same = 0
        for k in range(length, number + 1):
            if k < number and like[k] == like[k - length]:
                same += 1
                continue
            if same >= (TIMES - 1) * length:
                inside[k - same - length : k] = True
            same = 0
