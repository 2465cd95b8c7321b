"""Where elements begin and end without saying so, as far as it matters for blocks of text.

Source: WHATWG HTML Standard, 13.2.6.4.7 ("in body") and the modes for tables. Simpler: inline
elements are no containers, nothing is moved out of a table, and no missing element is made up.
"""

import numpy as np

from curation.html.names import ELEMENTS, NUMBERS, hash_step, numbered
from curation.html.room import (
    ALL_HINTS,
    ANCESTORS,
    ATTRIBUTES,
    DEPTH,
    ELEMENT,
    FINAL,
    IN_LINK,
    IN_PRE,
    LINK_DEPTH,
    NODES,
    OPEN_NODE,
    OWN_HINTS,
    PARENT,
    PATH,
    TOKEN,
    Room,
)
from curation.text.jit import int64, lean, lean_inlined, read_only

DEEPEST = 400
"""A container deeper than this is none: what is in it counts for the one above it."""

TOLD_ANCESTORS = (
    "article", "main", "section", "nav", "header", "footer", "aside", "form", "figure",
    "figcaption", "blockquote", "pre", "table", "ul", "ol", "li", "dl", "details", "td", "th",
    "address", "h1", "h2", "h3", "h4", "p",
)  # fmt: skip
"""Elements of which each container knows whether it is in one."""

ANCESTOR_BIT = np.zeros(len(ELEMENTS), np.int32)
for _bit, _name in enumerate(TOLD_ANCESTORS):
    ANCESTOR_BIT[NUMBERS[_name]] = 1 << _bit

_HEADINGS = read_only(numbered("h1 h2 h3 h4 h5 h6"))
_CELLS = read_only(numbered("td th"))
_TABLE_PARTS = read_only(numbered("table caption thead tbody tfoot tr td th"))
_TABLE_BIT = 1 << TOLD_ANCESTORS.index("table")
_LISTS = read_only(numbered("ul ol"))
_SCOPES = read_only(numbered("table td th caption"))
"""An end tag does not look for its start beyond these, unless it is of a table itself."""
_WITHIN_ITEM = read_only(numbered("div p address"))
"""A list item that is open ends the search for the one before it, but in these."""

_P, _LI, _DD, _DT, _TR, _TABLE, _PRE, _LISTING = (
    NUMBERS[name] for name in ("p", "li", "dd", "dt", "tr", "table", "pre", "listing")
)
_ROW_GROUPS = read_only(numbered("thead tbody tfoot"))


@lean
def open_container(element: int, token: int, hints: int, words: np.uint64, room: Room) -> None:
    """Opens a container in the present one."""
    registers, nodes = room.registers, room.nodes
    parent = registers[OPEN_NODE]
    if nodes[parent, DEPTH] >= DEEPEST:
        return
    node = registers[NODES]
    row, above = nodes[node], nodes[parent]
    row[ELEMENT], row[PARENT], row[DEPTH], row[FINAL] = element, parent, above[DEPTH] + 1, node
    row[OWN_HINTS], row[ALL_HINTS] = hints, above[ALL_HINTS] | hints
    row[ANCESTORS] = above[ANCESTORS] | ANCESTOR_BIT[element]
    row[TOKEN] = token
    room.keys[node, PATH] = hash_step(room.keys[parent, PATH], element)
    room.keys[node, ATTRIBUTES] = words
    registers[NODES] = node + 1
    registers[OPEN_NODE] = node
    registers[IN_PRE] += element in (_PRE, _LISTING)


@lean
def close_to(node: int, room: Room) -> None:
    """Makes a container the present one, and closes those in it."""
    registers, nodes = room.registers, room.nodes
    while registers[OPEN_NODE] != node:
        closed = registers[OPEN_NODE]
        nodes[closed, FINAL] = registers[NODES] - 1
        if nodes[closed, ELEMENT] in (_PRE, _LISTING):
            registers[IN_PRE] -= 1
        registers[OPEN_NODE] = nodes[closed, PARENT]
    if registers[IN_LINK] > 0 and nodes[node, DEPTH] < registers[LINK_DEPTH]:
        registers[IN_LINK] = 0


@lean_inlined
def _end_matches(tag: int, element: int) -> bool:
    return tag == element or (_HEADINGS[tag] and _HEADINGS[element])


@lean
def container_to_end(element: int, room: Room) -> int:
    """Returns the container that an end tag ends: the nearest one that matches; or -1."""
    nodes = room.nodes
    node = int64(room.registers[OPEN_NODE])
    while node > 0:
        here = int64(nodes[node, ELEMENT])
        if _end_matches(element, here):
            return node
        if _ends_search(element, here):
            return -1
        node = int64(nodes[node, PARENT])
    return -1


@lean_inlined
def _ends_search(tag: int, element: int) -> bool:
    """Says whether an end tag does not look for its start beyond an element."""
    if tag == _LI and _LISTS[element]:
        return True
    return bool(element == _TABLE if _TABLE_PARTS[tag] else _SCOPES[element])


@lean
def _open_item(element: int, room: Room) -> int:
    """Returns the list item, or the term or definition, that another one ends; or -1."""
    nodes = room.nodes
    node = int64(room.registers[OPEN_NODE])
    while node > 0:
        here = int64(nodes[node, ELEMENT])
        if here == element or (element != _LI and here in (_DD, _DT)):
            return node
        if not _WITHIN_ITEM[here]:
            return -1
        node = int64(nodes[node, PARENT])
    return -1


@lean_inlined
def _holds(element: int, part: int) -> bool:
    """Says whether an element is what a part of a table stands in."""
    if element == _TABLE:
        return True
    if _CELLS[part]:
        return element == _TR
    return part == _TR and _ROW_GROUPS[element]


@lean_inlined
def is_out_of_place(element: int, room: Room) -> bool:
    """Says whether a start tag is of a part of a table where there is none: it is no tag then."""
    if element == _TABLE or not _TABLE_PARTS[element]:
        return False
    return int64(room.nodes[room.registers[OPEN_NODE], ANCESTORS]) & _TABLE_BIT == 0


@lean
def _close_for_part(part: int, room: Room) -> None:
    """Ends what a part of a table ends."""
    nodes = room.nodes
    node = int64(room.registers[OPEN_NODE])
    while node > 0:
        if _holds(int64(nodes[node, ELEMENT]), part):
            close_to(node, room)
            return
        node = int64(nodes[node, PARENT])


@lean
def make_way(element: int, room: Room) -> None:
    """Ends what the start tag of a container ends."""
    registers, nodes = room.registers, room.nodes
    if element != _TABLE and _TABLE_PARTS[element]:
        _close_for_part(element, room)
        return
    if element in (_LI, _DD, _DT):
        item = _open_item(element, room)
        if item > 0:
            close_to(int64(nodes[item, PARENT]), room)
    open_node = int64(registers[OPEN_NODE])
    if nodes[open_node, ELEMENT] == _P or (
        _HEADINGS[nodes[open_node, ELEMENT]] and _HEADINGS[element]
    ):
        close_to(int64(nodes[open_node, PARENT]), room)
