"""What is in each container, what repeats on a page, and what holds for all of it."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.names import FNV_PRIME, NUMBERS
from curation.html.room import (
    ALL_HINTS,
    ANCESTORS,
    ATTRIBUTES,
    CHARS,
    CLAUSES,
    ELEMENT,
    HASH,
    LINKED,
    NODE,
    NODES,
    OWN_HINTS,
    PARENT,
    PATH,
    PRE,
    SENTENCES,
    WIDE,
    Room,
)
from curation.html.tree import TOLD_ANCESTORS
from curation.html.words import ATTRIBUTE_GROUPS
from curation.text.jit import int64, lean, lean_inlined

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_PROSE_SIZE = 60  # a shorter text may have a full stop and still be a label
_SCORED_SIZE = 25  # as Readability does
_MOST_PROBES = 64
"""A longer way through a table is met only where a page is made to collide; such a text then counts
as one that does not repeat."""

_H1 = NUMBERS["h1"]
_ARTICLE_BIT = 1 << TOLD_ANCESTORS.index("article")
_MAIN_BIT = 1 << TOLD_ANCESTORS.index("main")
_GROUP_BIT = {name: 1 << bit for bit, name in enumerate(ATTRIBUTE_GROUPS)}
_POOR = _GROUP_BIT["comments"] | _GROUP_BIT["sidebar"] | _GROUP_BIT["footer"]
_RICH = _GROUP_BIT["article body"] | _GROUP_BIT["article"]

SIZE, LINK, COUNT, PROSE, SCORE, FROM, TO = range(7)
"""Columns of `sums`, what is in each container: characters, of them in links, blocks, characters
of prose, a score as Readability has it, first and last block."""

TIMES, ALL, ALL_LINK = range(3)
"""Columns of `repeats`: how many blocks have one key, their characters, and of them in links."""


class Desk(NamedTuple):
    """Room for the features of one page; made by `make_desk`."""

    values: Floats
    """float32: all values of the first feature, padded, then those of the second, and so on."""
    sums: npt.NDArray[np.float64]
    """float64[n, 7] by container."""
    keys: npt.NDArray[np.uint64]
    """uint64[3, s]: what repeats, in three open tables."""
    repeats: npt.NDArray[np.float64]
    """float64[3, s, 3]."""
    slots: npt.NDArray[np.int32]
    """int32[3, b]: where each block is in the tables; -1 where it is not."""
    page: npt.NDArray[np.float64]
    """float64[12]: what holds for the whole page."""


(
    BLOCKS, STRIDE, TOTAL, TOTAL_LINK, LONGEST, BEST, CORE, BEST_SCORE, MARKUP, FIRST_H1, BEFORE,
    SINCE,
) = range(12)  # fmt: skip
"""Places in `Desk.page`; BEFORE and SINCE are the size of all blocks before the present one, and of
those since the last heading."""


def make_desk(tags: int, blocks: int, features: int) -> Desk:
    """Makes room for pages of at most so many `<` and blocks, and so many features of a block."""
    slots = table_size(blocks)
    return Desk(
        np.empty(features * padded(blocks), np.float32),
        np.empty((tags + 2, 7), np.float64),
        np.empty((3, slots), np.uint64),
        np.empty((3, slots, 3), np.float64),
        np.empty((3, blocks + 1), np.int32),
        np.empty(12, np.float64),
    )


@lean_inlined
def padded(blocks: int) -> int:
    """Returns how many values each feature has room for: whole registers of 16."""
    return (blocks + 15) // 16 * 16


@lean_inlined
def table_size(blocks: int) -> int:
    """Returns how many slots a table for so many keys has: a power of two, a third full at most."""
    size = 64
    while size < 3 * blocks:
        size *= 2
    return size


@lean_inlined
def size_of(row: Ints) -> float:
    """Returns the size of a block: a Han or kana character says as much as two letters or more."""
    return float(row[CHARS] + row[WIDE])


@lean_inlined
def link_share(row: Ints) -> float:
    """Returns the share of a block's characters that are in links."""
    return float(row[LINKED] / max(row[CHARS], 1))


@lean_inlined
def prose_of(row: Ints) -> float:
    """Returns the size of a block if it is running text or code, less what is in links."""
    size = size_of(row)
    if (size > _PROSE_SIZE and row[SENTENCES] > 0) or row[PRE] > 0:
        return size * (1 - link_share(row))
    return 0.0


@lean_inlined
def _clear(room: Room, desk: Desk, blocks: int) -> None:
    nodes = int64(room.registers[NODES])
    for node in range(nodes):
        for column in range(7):
            desk.sums[node, column] = 0
        desk.sums[node, FROM] = blocks
        desk.sums[node, TO] = -1
    for table in range(3):
        for slot in range(table_size(blocks)):
            desk.keys[table, slot] = np.uint64(0)


@lean_inlined
def _find(desk: Desk, table: int, key: np.uint64, size: int) -> int:
    """Returns the slot of a key, which is put there if it is new; -1 where there is none near."""
    keys = desk.keys
    key |= np.uint64(1)
    mask = np.uint64(size - 1)
    slot = int64((key ^ (key >> np.uint64(23)) ^ (key >> np.uint64(41))) & mask)
    for _ in range(_MOST_PROBES):
        if keys[table, slot] == key:
            return slot
        if keys[table, slot] == np.uint64(0):
            keys[table, slot] = key
            for column in range(3):
                desk.repeats[table, slot, column] = 0
            return slot
        slot = int64(np.uint64(slot + 1) & mask)
    return -1


@lean_inlined
def _key(room: Room, row: Ints, table: int) -> np.uint64:
    """Returns what a block has in common with others: its path, its attributes, or its text."""
    node = int64(row[NODE])
    if table == 0:
        return np.uint64(room.keys[node, PATH])
    if table == 2:
        return np.uint64(row[HASH])
    parent = max(int64(room.nodes[node, PARENT]), 0)
    tags = int64(room.nodes[node, ELEMENT]) * 256 + room.nodes[parent, ELEMENT]
    words = (room.keys[node, ATTRIBUTES] * FNV_PRIME) ^ room.keys[parent, ATTRIBUTES]
    return np.uint64((words * FNV_PRIME) ^ np.uint64(tags))


@lean_inlined
def _add_block(room: Room, desk: Desk, block: int, slots: int) -> None:
    """Adds a block to its container, and to those that are like it."""
    row = room.blocks[block]
    node = int64(row[NODE])
    size, share = size_of(row), link_share(row)
    own = desk.sums[node]
    own[SIZE] += size
    own[LINK] += size * share
    own[COUNT] += 1
    own[PROSE] += prose_of(row)
    own[FROM], own[TO] = min(own[FROM], block), max(own[TO], block)
    if size >= _SCORED_SIZE:
        points = (1 + row[CLAUSES] + min(3.0, size / 100)) * (1 - share)
        own[SCORE] += points / 2
        parent = int64(room.nodes[node, PARENT])
        if parent >= 0:
            desk.sums[parent, SCORE] += points
            above = int64(room.nodes[parent, PARENT])
            if above >= 0:
                desk.sums[above, SCORE] += points / 2
    for table in range(3):
        slot = _find(desk, table, _key(room, row, table), slots)
        desk.slots[table, block] = slot
        if slot >= 0:
            desk.repeats[table, slot, TIMES] += 1
            desk.repeats[table, slot, ALL] += size
            desk.repeats[table, slot, ALL_LINK] += size * share


@lean
def _add_up(room: Room, desk: Desk) -> None:
    """Adds what is in each container to the one that it is in."""
    nodes = int64(room.registers[NODES])
    for node in range(nodes - 1, 0, -1):
        own, above = desk.sums[node], desk.sums[room.nodes[node, PARENT]]
        for column in (SIZE, LINK, COUNT, PROSE):
            above[column] += own[column]
        above[FROM], above[TO] = min(above[FROM], own[FROM]), max(above[TO], own[TO])


@lean_inlined
def _worth(room: Room, desk: Desk, node: int) -> float:
    """Returns a container's score, less for its links and for what its attributes say."""
    own = desk.sums[node]
    worth = own[SCORE] * (1 - own[LINK] / max(own[SIZE], 1.0))
    if room.nodes[node, ALL_HINTS] & _POOR:
        worth /= 2
    if room.nodes[node, OWN_HINTS] & _RICH:
        worth *= 1.25
    return float(worth)


@lean
def _find_containers(room: Room, desk: Desk) -> None:
    """Finds the container with the best score, and the smallest with most of the prose."""
    page, sums = desk.page, desk.sums
    best, core, most, markup = 0, 0, -1.0, 0
    for node in range(int64(room.registers[NODES])):
        worth = _worth(room, desk, node) if sums[node, SIZE] > 0 else -1.0
        if worth > most:
            best, most = node, worth
        prose = sums[node, PROSE]
        if node and room.nodes[node, PARENT] == core and prose > 0.75 * sums[core, PROSE]:
            core = node  # containers come after those that they are in: one walk leads down
        ancestors = int64(room.nodes[node, ANCESTORS])
        markup |= (ancestors & _ARTICLE_BIT > 0) + 2 * (ancestors & _MAIN_BIT > 0)
    page[BEST], page[CORE], page[BEST_SCORE], page[MARKUP] = best, core, most, markup


@lean
def _sum_page(room: Room, desk: Desk, blocks: int) -> None:
    page = desk.page
    page[BLOCKS], page[STRIDE] = blocks, padded(blocks)
    page[TOTAL] = max(desk.sums[0, SIZE], 1.0)
    page[TOTAL_LINK] = desk.sums[0, LINK]
    longest, first_h1 = 0, -1
    for block in range(blocks):
        row, other = room.blocks[block], room.blocks[longest]
        if row[CHARS] - row[LINKED] > other[CHARS] - other[LINKED]:
            longest = block
        if first_h1 < 0 and room.nodes[row[NODE], ELEMENT] == _H1:
            first_h1 = block
    page[LONGEST], page[FIRST_H1] = longest, first_h1


@lean
def sum_up(room: Room, desk: Desk, blocks: int) -> None:
    """Adds up the blocks of a page: by container, by what they have in common, and all of them.

    Args:
        room: The page's containers and blocks.
        desk: Gets the sums.
        blocks: How many blocks there are, at least 1.
    """
    _clear(room, desk, blocks)
    slots = table_size(blocks)
    for block in range(blocks):
        _add_block(room, desk, block, slots)
    _add_up(room, desk)
    _find_containers(room, desk)
    _sum_page(room, desk, blocks)
