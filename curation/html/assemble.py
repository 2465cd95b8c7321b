"""The blocks that belong to the main text, as plain text.

As a browser's `innerText`: an empty line around a paragraph and what is set off like one, a line
feed between other blocks, a tab between the cells of a row.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.forest import PROBABILITY
from curation.html.names import NUMBERS, numbered
from curation.html.room import (
    BEGIN,
    CHARS,
    ELEMENT,
    HASH,
    NODE,
    PARENT,
    STOP,
    WIDE,
    Room,
)
from curation.text.jit import int64, lean, lean_inlined, read_only

Ints = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]

_SET_OFF = read_only(
    numbered("p h1 h2 h3 h4 h5 h6 ul ol dl table pre listing blockquote figure hr article section")
)
"""Around these there is an empty line."""
_TR = NUMBERS["tr"]
_REPEATED_CHARS = 40  # shorter texts are repeated for good reasons
_ROW_LEVELS = 3  # how far above its text a cell's row is looked for
_MOST_PROBES = 64


class Choice(NamedTuple):
    """Which blocks are kept."""

    least: int
    """Log-odds from which on a block is kept."""
    least_if_short: int
    """The same where fewer than `short` characters would be."""
    short: int


class Found(NamedTuple):
    """What was kept of a page."""

    end: int
    """Position in the output after its text."""
    chars: int
    """Characters without white space."""
    certainty: float
    """From 0 to 1: how far from undecided the blocks are, by their size and probability."""


@lean_inlined
def _probability(odds: int) -> float:
    half = len(PROBABILITY) // 2
    return float(PROBABILITY[min(max(odds, -half), half) + half] / 1e6)


@lean
def certainty(room: Room, odds: Ints, blocks: int) -> float:
    """Returns how sure it is which blocks are the main text, from 0 to 1."""
    total = sure = 0.0
    for block in range(blocks):
        share = _probability(int64(odds[block]))
        weight = room.blocks[block, CHARS] * max(share, 0.05)
        total += weight
        sure += weight * abs(2 * share - 1)
    return sure / max(total, 1.0)


@lean
def keep_blocks(room: Room, odds: Ints, blocks: int, choice: Choice, seen: Ints) -> int:
    """Decides which blocks are kept: `odds` becomes 1 for those and 0 for others.

    A text that is kept already goes; of short ones it stays.

    Returns:
        How many characters are kept.
    """
    chars = 0
    for block in range(blocks):
        if odds[block] >= choice.least:
            chars += room.blocks[block, CHARS] + room.blocks[block, WIDE]
    least = choice.least if chars >= choice.short else choice.least_if_short
    slots = len(seen)
    while slots // 2 > 4 * blocks + 64:
        slots //= 2
    for slot in range(slots):
        seen[slot] = -1
    kept = 0
    for block in range(blocks):
        odds[block] = odds[block] >= least and not _is_repeated(room, block, seen, slots)
        kept += odds[block] * room.blocks[block, CHARS]
    return kept


@lean
def _is_repeated(room: Room, block: int, seen: Ints, slots: int) -> bool:
    """Says whether a block's text was kept before; notes it if not."""
    row = room.blocks[block]
    if row[CHARS] < _REPEATED_CHARS:
        return False
    slot = int64(row[HASH]) & (slots - 1)
    for _ in range(_MOST_PROBES):
        other = int64(seen[slot])
        if other < 0:
            seen[slot] = block
            return False
        if room.blocks[other, HASH] == row[HASH] and room.blocks[other, CHARS] == row[CHARS]:
            return True
        slot = (slot + 1) & (slots - 1)
    return False


@lean_inlined
def row_of(room: Room, node: int) -> int:
    """Returns the row of a table that a container is in, if it is near; or -1."""
    for _ in range(_ROW_LEVELS):
        if node <= 0:
            return -1
        if room.nodes[node, ELEMENT] == _TR:
            return node
        node = int64(room.nodes[node, PARENT])
    return -1


@lean
def _gap(room: Room, one: int, two: int) -> int:
    """Returns how many line feeds are between blocks of two containers: 2, 1, or 0 for a tab."""
    row = row_of(room, one)
    if row >= 0 and row == row_of(room, two):
        return 0
    if one == two:
        return 2 if _SET_OFF[room.nodes[one, ELEMENT]] else 1
    gap = 1
    while one != two:  # up to what both are in
        if one > two:
            gap = 2 if _SET_OFF[room.nodes[one, ELEMENT]] else gap
            one = int64(room.nodes[one, PARENT])
        else:
            gap = 2 if _SET_OFF[room.nodes[two, ELEMENT]] else gap
            two = int64(room.nodes[two, PARENT])
    return gap


@lean
def write_text(room: Room, kept: Ints, blocks: int, out: Bytes, end: int) -> int:
    """Writes the texts of the blocks that are kept; returns the position after them.

    Args:
        room: The page.
        kept: int32[b], 1 for those.
        blocks: How many blocks there are.
        out: Gets the text; never longer than a page in UTF-8 was.
        end: Where to begin.
    """
    first, before = end, -1
    for block in range(blocks):
        if kept[block] == 0:
            continue
        row = room.blocks[block]
        if end > first:
            gap = _gap(room, before, int64(row[NODE]))
            out[end] = 10 if gap else 9
            end += 1
            if gap > 1:
                out[end] = 10
                end += 1
        for at in range(row[BEGIN], row[STOP]):
            out[end] = room.text[at]
            end += 1
        before = int64(row[NODE])
    return end
