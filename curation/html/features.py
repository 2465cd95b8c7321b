"""What is known about each block: of itself, its place, its neighbours and its containers.

Shallow features of text and links decide most blocks (Kohlschütter et al. 2010, "Boilerplate
Detection using Shallow Text Features"); what they leave open is told by the containers (Readability
scores them) and by what repeats on the page, as menus, cards and comments do. All values are counts
or ratios of counts: they are the same on every machine, and trees need no logarithms.
"""

import numpy as np
import numpy.typing as npt

from curation.html.names import ELEMENTS, numbered
from curation.html.room import (
    ALL_HINTS,
    ANCESTORS,
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
    HINTS,
    IMAGES,
    LAST,
    LINKS,
    NODE,
    OWN_HINTS,
    PARENT,
    PRE,
    SENTENCES,
    STOPS,
    TEXT_HINTS,
    WIDE,
    WORDS,
    Room,
)
from curation.html.sums import (
    ALL,
    ALL_LINK,
    BEFORE,
    BEST,
    BEST_SCORE,
    BLOCKS,
    CORE,
    COUNT,
    FIRST_H1,
    FROM,
    LINK,
    LONGEST,
    MARKUP,
    PROSE,
    SCORE,
    SINCE,
    SIZE,
    STRIDE,
    TIMES,
    TO,
    TOTAL,
    TOTAL_LINK,
    Desk,
    link_share,
    prose_of,
    size_of,
    sum_up,
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
_LEVELS = 4
_DISTANCES = (-2, -1, 1, 2)
_WINDOW = 5

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

_ATTRIBUTE_HINTS, _TEXT_HINTS = len(ATTRIBUTE_GROUPS), len(TEXT_GROUPS)
_BITS = len(TOLD_ANCESTORS)


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
    chars, words, size = max(row[CHARS], 1), max(row[WORDS], 1), size_of(row)
    at = _put(desk, block, 0, size)
    at = _put(desk, block, at, words)
    at = _put(desk, block, at, link_share(row))
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
            prose += prose_of(room.blocks[other])
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
    at = _put(desk, block, at, size_of(row) / max(size_of(room.blocks[longest]), 1.0))
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
            at = _put(desk, block, at, size_of(row))
            at = _put(desk, block, at, link_share(row))
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
        times, size, link = 1.0, size_of(row), size_of(row) * link_share(row)
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
    sum_up(room, desk, blocks)
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
        page[BEFORE] += size_of(row)
        page[SINCE] += size_of(row)
    return blocks
