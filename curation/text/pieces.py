r"""Lines and paragraphs of a text, cut and trimmed as several programs do it.

Here a *cut* is made at line feeds (U+000A) only. `curation.text.repetition` says which program
means what by a line and a paragraph.
"""

import numpy as np
import numpy.typing as npt

from curation.text.definitions import CURATOR, DATATROVE, DOLMA, PAPER
from curation.text.groups import Slices
from curation.text.jit import lean, lean_inlined
from curation.text.scan import blank_width, newline_at

TRIMMED, VISIBLE, EVERY = range(3)
"""Pieces without whitespace at their ends and none of it alone; whole, but none of it alone; all"""

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]


@lean
def after_blank(text: Bytes, at: int, end: int) -> int:
    """Returns the position after the whitespace that starts at `at`, at most `end`."""
    while at < end:
        width = blank_width(text, at, end)
        if width == 0:
            break
        at += width
    return at


@lean
def before_blank(text: Bytes, start: int, at: int) -> int:
    """Returns where the whitespace that ends at `at` starts, at least `start`."""
    while at > start:
        width = 1
        while width < 3 and at - width > start and (text[at - width] & 0xC0) == 0x80:
            width += 1
        if blank_width(text, at - width, at) != width:
            break
        at -= width
    return at


@lean_inlined
def _add(start: int, stop: int, number: int, starts: Ints, stops: Ints) -> int:
    starts[number], stops[number] = start, stop
    return number + 1


@lean
def cut_runs(text: Bytes, start: int, stop: int, least: int, pieces: Slices) -> int:
    r"""Cuts at each run of `least` line feeds or more, as `re.split(r"\n{least,}", text)` does.

    Args:
        text: uint8, of which `[start, stop)` is cut.
        start: First byte.
        stop: Position after the last byte.
        least: 1 for lines, 2 for paragraphs.
        pieces: Gets the pieces, which may be empty at either end.

    Returns:
        How many pieces there are, 1 or more.
    """
    starts, stops = pieces.starts, pieces.stops
    number, begin, at = 0, start, newline_at(text, start, stop)
    while at < stop:
        after = at
        while after < stop and text[after] == 0x0A:
            after += 1
        if after - at >= least:
            number = _add(begin, at, number, starts, stops)
            begin = after
        at = newline_at(text, after, stop)
    return _add(begin, stop, number, starts, stops)


@lean
def cut_every(text: Bytes, width: int, keep: int, pieces: Slices) -> int:
    r"""Cuts at each `width` line feeds, as `text.split("\n" * width)` does.

    Args:
        text: uint8.
        width: 1 for lines, 2 for paragraphs.
        keep: `TRIMMED`, `VISIBLE` or `EVERY`.
        pieces: Gets the pieces.

    Returns:
        How many pieces there are.
    """
    starts, stops = pieces.starts, pieces.stops
    number = begin = 0
    while begin <= len(text):
        at = newline_at(text, begin, len(text))
        while width == 2 and at < len(text) and (at + 1 == len(text) or text[at + 1] != 0x0A):
            at = newline_at(text, at + 1, len(text))
        first = after_blank(text, begin, at)
        if keep == TRIMMED and first < at:
            number = _add(first, before_blank(text, first, at), number, starts, stops)
        elif keep == EVERY or (keep == VISIBLE and first < at):
            number = _add(begin, at, number, starts, stops)
        begin = at + width
    return number


@lean
def cut_blocks(text: Bytes, pieces: Slices) -> int:
    """Cuts at lines of whitespace alone; a block goes from its first to its last visible sign.

    Args:
        text: uint8.
        pieces: Gets the blocks.

    Returns:
        How many blocks there are.
    """
    starts, stops = pieces.starts, pieces.stops
    number = begin = 0
    start = stop = -1
    while begin <= len(text):
        at = newline_at(text, begin, len(text))
        first = after_blank(text, begin, at)
        if first < at:
            start = first if start < 0 else start
            stop = at
        elif start >= 0:
            number = _add(start, before_blank(text, start, stop), number, starts, stops)
            start = -1
        begin = at + 1
    if start >= 0:
        number = _add(start, before_blank(text, start, stop), number, starts, stops)
    return number


@lean
def cut_pieces(text: Bytes, definition: int, width: int, pieces: Slices) -> int:
    """Cuts a text into lines or paragraphs as a program does.

    Args:
        text: uint8.
        definition: A number of `curation.text.definitions`.
        width: 1 for lines, 2 for paragraphs.
        pieces: Gets the pieces.

    Returns:
        How many pieces there are.
    """
    if definition == PAPER and width == 2:
        return cut_blocks(text, pieces)
    if definition in (DATATROVE, DOLMA):
        start, stop = 0, len(text)
        if width == 2:
            start = after_blank(text, 0, stop)
            stop = before_blank(text, start, stop)
        return cut_runs(text, start, stop, width, pieces)
    keep = TRIMMED
    if definition == CURATOR:
        keep = EVERY if width == 2 else VISIBLE
    return cut_every(text, width, keep, pieces)
