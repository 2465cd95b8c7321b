"""What is known about each block: of itself, its place, its neighbours and its containers.

Shallow features of text and links decide most blocks (Kohlschütter et al. 2010, "Boilerplate
Detection using Shallow Text Features"); what they leave open is told by the containers (Readability
scores them) and by what repeats on the page, as menus, cards and comments do. All values are counts
or ratios of counts: they are the same on every machine, and trees need no logarithms.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.names import ELEMENTS, FNV_PRIME, NUMBERS, numbered
from curation.html.room import (
    ALL_HINTS,
    ANCESTORS,
    ATTRIBUTES,
    BLOCK,
    BOLD,
    BREAKS,
    CAPITALS,
    CHARS,
    CLAUSES,
    DEPTH,
    DIGITS,
    ELEMENT,
    FINAL,
    FIRST,
    HASH,
    HINTS,
    IMAGES,
    LAST,
    LINKED,
    LINKS,
    NODE,
    NODES,
    OWN_HINTS,
    PARENT,
    PATH,
    PRE,
    SENTENCES,
    STOPS,
    TEXT_HINTS,
    WIDE,
    WORDS,
    Room,
)
from curation.html.tree import TOLD_ANCESTORS
from curation.html.words import ATTRIBUTE_GROUPS, TEXT_GROUPS
from curation.text.jit import int64, lean, lean_inlined

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]

_TAG_GROUPS = (
    "p", "h1", "h2", "h3 h4 h5 h6", "li", "td th", "pre", "dt", "dd", "blockquote",
    "figcaption caption", "article main section", "address",
)  # fmt: skip
GROUP = np.zeros(len(ELEMENTS), np.uint8)
"""uint8 by element: a coarse kind of container; 0 is any other."""
for _number, _names in enumerate(_TAG_GROUPS, 1):
    GROUP[numbered(_names)] = _number
_LAST_HEADING_GROUP = 4
_PROSE_SIZE = 60  # a shorter text may have a full stop and still be a label
_SCORED_SIZE = 25  # as Readability does
_LEVELS = 4
_DISTANCES = (-2, -1, 1, 2)
_WINDOW = 5
_MOST_PROBES = 64
"""A longer way through a table is met only where a page is made to collide; such a text then counts
as one that does not repeat."""

_OWN = (
    "size", "words", "link share", "sentence ends", "clause ends", "digit share", "capital share",
    "stop word share", "wide share", "size per word", "last", "first", "bold share", "links",
    "breaks", "tag", "preformatted", "images",
)  # fmt: skip
_PLACE = (
    "place", "place by size", "depth", "page size", "page blocks", "page link share",
    "against longest", "article or main", "from longest", "from first h1", "since heading",
    "size since heading", "prose before", "prose after",
)  # fmt: skip
_CONTAINER = (
    "page share", "link share", "prose share", "blocks", "score", "place within", "mean size",
)  # fmt: skip
_CORE = (
    "levels to best", "levels to core", "place in core", "place in best", "core prose share",
    "core size share",
)  # fmt: skip
_REPEAT = ("times", "share", "link share", "mean size")

FEATURES: tuple[str, ...] = (
    *_OWN,
    *_PLACE,
    *(f"{name} at {at:+d}" for at in _DISTANCES for name in ("size", "link share", "tag", "ends")),
    *(f"{name} of container {level}" for level in range(_LEVELS) for name in _CONTAINER),
    *_CORE,
    *(f"{name} of equal {what}" for what in ("path", "attributes", "text") for name in _REPEAT),
    *(f"in {name}" for name in TOLD_ANCESTORS),
    *(f"attribute hint {name}" for name in ATTRIBUTE_GROUPS),
    *(f"text hint {name}" for name in TEXT_GROUPS),
    *(f"heading hint {name}" for name in TEXT_GROUPS),
)
"""Names of the features, in order."""

_A, _MAIN, _H1 = NUMBERS["article"], NUMBERS["main"], NUMBERS["h1"]
_ATTRIBUTE_HINTS, _TEXT_HINTS = len(ATTRIBUTE_GROUPS), len(TEXT_GROUPS)
_BITS = len(TOLD_ANCESTORS)
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


def make_desk(tags: int, blocks: int) -> Desk:
    """Makes room for pages of at most so many `<` and blocks."""
    slots = _table_size(blocks)
    return Desk(
        np.empty(len(FEATURES) * padded(blocks), np.float32),
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
def _table_size(blocks: int) -> int:
    size = 64
    while size < 3 * blocks:
        size *= 2
    return size


@lean_inlined
def _size(row: Ints) -> float:
    """Returns the size of a block: a Han or kana character says as much as two letters or more."""
    return float(row[CHARS] + row[WIDE])


@lean_inlined
def _link_share(row: Ints) -> float:
    return float(row[LINKED] / max(row[CHARS], 1))


@lean_inlined
def _prose(row: Ints) -> float:
    """Returns the size of a block if it is running text or code, less what is in links."""
    size = _size(row)
    if (size > _PROSE_SIZE and row[SENTENCES] > 0) or row[PRE] > 0:
        return size * (1 - _link_share(row))
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
        for slot in range(_table_size(blocks)):
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
    size, share = _size(row), _link_share(row)
    own = desk.sums[node]
    own[SIZE] += size
    own[LINK] += size * share
    own[COUNT] += 1
    own[PROSE] += _prose(row)
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


@lean_inlined
def _put(desk: Desk, block: int, feature: int, value: float) -> int:
    desk.values[feature * int64(desk.page[STRIDE]) + block] = value
    return feature + 1


@lean_inlined
def _last_kind(char: int) -> int:
    if char in (0x2E, 0x21, 0x3F, 0x3002, 0xFF01, 0xFF1F, 0x061F, 0x06D4, 0x0964):
        return 1
    if char == 0x3A or char == 0xFF1A:
        return 2
    return 3 if char in (0x22, 0x201C, 0x201D, 0xBB, 0xAB, 0x300D) else 0


@lean_inlined
def _first_kind(char: int) -> int:
    if 65 <= char <= 90:
        return 1
    if 97 <= char <= 122:
        return 2
    if 48 <= char <= 57:
        return 3
    return 4 if char < 128 else 5


@lean_inlined
def _put_own(room: Room, desk: Desk, block: int) -> int:
    """Writes what is known of a block by itself; returns the next feature."""
    row = room.blocks[block]
    chars, words, size = max(row[CHARS], 1), max(row[WORDS], 1), _size(row)
    at = _put(desk, block, 0, size)
    at = _put(desk, block, at, words)
    at = _put(desk, block, at, _link_share(row))
    at = _put(desk, block, at, row[SENTENCES])
    at = _put(desk, block, at, row[CLAUSES])
    at = _put(desk, block, at, row[DIGITS] / chars)
    at = _put(desk, block, at, row[CAPITALS] / chars)
    at = _put(desk, block, at, row[STOPS] / words)
    at = _put(desk, block, at, row[WIDE] / chars)
    at = _put(desk, block, at, size / words)
    at = _put(desk, block, at, _last_kind(int64(row[LAST])))
    at = _put(desk, block, at, _first_kind(int64(row[FIRST])))
    at = _put(desk, block, at, row[BOLD] / chars)
    at = _put(desk, block, at, row[LINKS])
    at = _put(desk, block, at, row[BREAKS])
    at = _put(desk, block, at, GROUP[room.nodes[row[NODE], ELEMENT]])
    at = _put(desk, block, at, row[PRE])
    return _put(desk, block, at, row[IMAGES])


@lean_inlined
def _prose_around(room: Room, block: int, blocks: int, step: int) -> float:
    """Returns the prose of the next blocks in one direction."""
    prose = 0.0
    for k in range(1, _WINDOW + 1):
        other = block + k * step
        if 0 <= other < blocks:
            prose += _prose(room.blocks[other])
    return prose


@lean_inlined
def _put_place(room: Room, desk: Desk, block: int, at: int, heading: int) -> int:
    """Writes where on the page a block is."""
    before, since = desk.page[BEFORE], desk.page[SINCE]
    page, row = desk.page, room.blocks[block]
    blocks, total = int64(page[BLOCKS]), page[TOTAL]
    at = _put(desk, block, at, block / blocks)
    at = _put(desk, block, at, before / total)
    at = _put(desk, block, at, room.nodes[row[NODE], DEPTH])
    at = _put(desk, block, at, total)
    at = _put(desk, block, at, blocks)
    at = _put(desk, block, at, page[TOTAL_LINK] / total)
    longest = int64(page[LONGEST])
    at = _put(desk, block, at, _size(row) / max(_size(room.blocks[longest]), 1.0))
    at = _put(desk, block, at, page[MARKUP])
    at = _put(desk, block, at, block - longest)
    at = _put(desk, block, at, block - page[FIRST_H1] if page[FIRST_H1] >= 0 else 999)
    at = _put(desk, block, at, block - heading if heading >= 0 else 999)
    at = _put(desk, block, at, since)
    at = _put(desk, block, at, _prose_around(room, block, blocks, -1))
    return _put(desk, block, at, _prose_around(room, block, blocks, 1))


@lean_inlined
def _put_neighbours(room: Room, desk: Desk, block: int, at: int) -> int:
    """Writes what is known of the blocks before and after a block."""
    blocks = int64(desk.page[BLOCKS])
    for distance in _DISTANCES:
        other = block + distance
        if 0 <= other < blocks:
            row = room.blocks[other]
            at = _put(desk, block, at, _size(row))
            at = _put(desk, block, at, _link_share(row))
            at = _put(desk, block, at, GROUP[room.nodes[row[NODE], ELEMENT]])
            at = _put(desk, block, at, row[SENTENCES])
        else:
            for _ in range(4):
                at = _put(desk, block, at, -1)
    return at


@lean_inlined
def _levels_up(room: Room, node: int, other: int) -> int:
    """Returns how many levels a container is within another; -1 if it is not in it."""
    if other <= node <= room.nodes[other, FINAL]:
        return int64(room.nodes[node, DEPTH] - room.nodes[other, DEPTH])
    return -1


@lean_inlined
def _place_in(desk: Desk, block: int, node: int) -> float:
    first, last = desk.sums[node, FROM], desk.sums[node, TO]
    return float((block - first) / max(last - first, 1.0))


@lean_inlined
def _put_containers(room: Room, desk: Desk, block: int, at: int) -> int:
    """Writes what is known of what a block is in."""
    page = desk.page
    node = own = int64(room.blocks[block, NODE])
    for _ in range(_LEVELS):
        if node < 0:
            for _ in range(7):
                at = _put(desk, block, at, 0)
            continue
        sums = desk.sums[node]
        size = max(sums[SIZE], 1.0)
        at = _put(desk, block, at, sums[SIZE] / page[TOTAL])
        at = _put(desk, block, at, sums[LINK] / size)
        at = _put(desk, block, at, sums[PROSE] / size)
        at = _put(desk, block, at, sums[COUNT])
        score = sums[SCORE] * (1 - sums[LINK] / size)
        at = _put(desk, block, at, score / max(page[BEST_SCORE], 0.1))
        at = _put(desk, block, at, _place_in(desk, block, node))
        at = _put(desk, block, at, size / max(sums[COUNT], 1.0))
        node = int64(room.nodes[node, PARENT])
    best, core = int64(page[BEST]), int64(page[CORE])
    at = _put(desk, block, at, _levels_up(room, own, best))
    at = _put(desk, block, at, _levels_up(room, own, core))
    at = _put(desk, block, at, _place_in(desk, block, core))
    at = _put(desk, block, at, _place_in(desk, block, best))
    at = _put(desk, block, at, desk.sums[core, PROSE] / max(desk.sums[0, PROSE], 1.0))
    return _put(desk, block, at, desk.sums[core, SIZE] / page[TOTAL])


@lean_inlined
def _put_repeats(desk: Desk, block: int, at: int, row: Ints) -> int:
    """Writes how many blocks are like a block."""
    for table in range(3):
        slot = int64(desk.slots[table, block])
        times, size, link = 1.0, _size(row), _size(row) * _link_share(row)
        if slot >= 0:
            found = desk.repeats[table, slot]
            times, size, link = found[TIMES], found[ALL], found[ALL_LINK]
        at = _put(desk, block, at, times)
        at = _put(desk, block, at, size / desk.page[TOTAL])
        at = _put(desk, block, at, link / max(size, 1.0))
        at = _put(desk, block, at, size / times)
    return at


@lean_inlined
def _put_hints(room: Room, desk: Desk, block: int, at: int, heading: int) -> None:
    """Writes what names say: 3 the container's own, 2 of one near above it, 1 of any above it."""
    row = room.blocks[block]
    node = int64(row[NODE])
    ancestors, all_hints = int64(room.nodes[node, ANCESTORS]), int64(room.nodes[node, ALL_HINTS])
    own = int64(room.nodes[node, OWN_HINTS]) | row[HINTS]
    near = int64(0)
    for _ in range(_LEVELS):
        near |= room.nodes[node, OWN_HINTS] if node >= 0 else 0
        node = int64(room.nodes[node, PARENT]) if node >= 0 else -1
    for bit in range(_BITS):
        at = _put(desk, block, at, ancestors >> bit & 1)
    for bit in range(_ATTRIBUTE_HINTS):
        level = (all_hints >> bit & 1) + (near >> bit & 1) + (own >> bit & 1)
        at = _put(desk, block, at, level)
    text = int64(row[TEXT_HINTS])
    above = int64(room.blocks[heading, TEXT_HINTS]) if heading >= 0 else 0
    for bit in range(_TEXT_HINTS):
        at = _put(desk, block, at, text >> bit & 1)
    for bit in range(_TEXT_HINTS):
        at = _put(desk, block, at, above >> bit & 1)


@lean
def describe(room: Room, desk: Desk) -> int:
    """Finds the features of all blocks of a page.

    Args:
        room: The page's containers and blocks.
        desk: Gets the values, feature by feature.

    Returns:
        How many blocks there are.
    """
    blocks = int64(room.registers[BLOCK])
    if blocks == 0:
        return 0
    _clear(room, desk, blocks)
    slots = _table_size(blocks)
    for block in range(blocks):
        _add_block(room, desk, block, slots)
    _add_up(room, desk)
    _find_containers(room, desk)
    _sum_page(room, desk, blocks)
    page, heading = desk.page, -1
    page[BEFORE] = page[SINCE] = 0
    for block in range(blocks):
        row = room.blocks[block]
        if 2 <= GROUP[room.nodes[row[NODE], ELEMENT]] <= _LAST_HEADING_GROUP:
            heading, page[SINCE] = block, 0
        at = _put_own(room, desk, block)
        at = _put_place(room, desk, block, at, heading)
        at = _put_neighbours(room, desk, block, at)
        at = _put_containers(room, desk, block, at)
        at = _put_repeats(desk, block, at, row)
        _put_hints(room, desk, block, at, heading)
        page[BEFORE] += _size(row)
        page[SINCE] += _size(row)
    return blocks
