"""The blocks that belong to the main text, as Markdown: structure stays, the page's looks go.

CommonMark with the tables of GitHub, and definition lists as Pandoc has them. Headings, lists,
quotes, tables, code with its white space and its language, emphasis, and links if they are wanted.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.names import NUMBERS
from curation.html.room import (
    ELEMENT,
    NODE,
    PARENT,
    PRE,
    TOKEN,
)
from curation.html.spans import Source, Spans, attribute

_OL, _LI, _QUOTE, _PRE, _TABLE, _TR, _TD, _TH, _DT, _DD = (
    NUMBERS[name]
    for name in ("ol", "li", "blockquote", "pre", "table", "tr", "td", "th", "dt", "dd")
)
_HEADINGS = {NUMBERS[f"h{level}"]: level for level in range(1, 7)}
_LINE_START = re.compile(r"^(\d+(?=[.)])|(?=[#>+\-*=|]))(.)(?=\s|$)")
_LANGUAGE = re.compile(
    r"(?:language|lang|highlight|brush:\s*|sourceCode|src)[-: ]\s*([A-Za-z0-9+#]+)"
)
_NO_LANGUAGE = frozenset(("default", "text", "none", "plain", "plaintext", "notranslate"))
_MOST_CELL_CHARS = 400  # a cell with more is layout
_LEVELS = 50


class _Place(NamedTuple):
    """Where a block is: what it is in, from the outside in."""

    quotes: int
    items: tuple[int, ...]
    """The list items, outermost first; a term or a definition counts as one."""
    heading: int
    table: int
    row: int
    cell: int


class _Piece(NamedTuple):
    """A block as Markdown, without what its place puts before its lines."""

    text: str
    place: _Place
    node: int
    pre: int
    """The `pre` that it is in; or -1."""
    code: int
    """Start tag of the `code` that it begins in; or -1."""


def render(source: Source, kept: npt.NDArray[np.int32], *, links: bool) -> str:
    """Returns the blocks that are kept as Markdown.

    Args:
        source: The page.
        kept: int32[b], 1 for those.
        links: Keeps the targets of links.
    """
    inline = Spans(source, links=links)
    pieces = [_piece(source, *found) for found in inline.texts(kept)]
    writer = _Writer(source)
    for group in _groups(pieces):
        writer.add(group)
    return writer.text()


def _piece(source: Source, block: int, text: str, code: int) -> _Piece:
    row = source.room.blocks[block]
    node = int(row[NODE])
    pre = _above(source, node, _PRE) if row[PRE] else -1
    return _Piece(text, _place(source, node), node, pre, code)


def _above(source: Source, node: int, element: int) -> int:
    """Returns the nearest container of a kind that a node is in, itself included; or -1."""
    nodes = source.room.nodes
    while node > 0 and nodes[node, ELEMENT] != element:
        node = int(nodes[node, PARENT])
    return node if node > 0 else -1


def _place(source: Source, node: int) -> _Place:
    nodes = source.room.nodes
    quotes = heading = 0
    items: list[int] = []
    table = row = cell = -1
    for _ in range(_LEVELS):
        if node <= 0:
            break
        element = int(nodes[node, ELEMENT])
        quotes += element == _QUOTE
        heading = heading or _HEADINGS.get(element, 0)
        if element in (_LI, _DD) and table < 0:
            items.append(node)
        elif element in (_TD, _TH) and cell < 0:
            cell = node
        elif element == _TR and row < 0:
            row = node
        elif element == _TABLE and table < 0:
            table = node
        node = int(nodes[node, PARENT])
    return _Place(quotes, tuple(reversed(items)), heading, table, row, cell)


def _groups(pieces: Sequence[_Piece]) -> Iterator[list[_Piece]]:
    """Yields runs of blocks that are in one table, or one `pre`; other blocks one by one."""
    group: list[_Piece] = []
    for piece in pieces:
        last = group[-1] if group else None
        same = last is not None and (
            (piece.pre >= 0 and piece.pre == last.pre)
            or (piece.pre < 0 and last.pre < 0 and 0 <= piece.place.table == last.place.table)
        )
        if group and not same:
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


class _Writer:
    """Puts blocks one under the other."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._lines: list[str] = []
        self._items: tuple[int, ...] = ()
        self._quotes = 0
        self._numbers: dict[int, int] = {}
        self._prefixes: dict[int, str] = {}

    def text(self) -> str:
        return "\n".join(self._lines).strip("\n")

    def add(self, group: Sequence[_Piece]) -> None:
        """Adds one block, or all blocks of a table or of a `pre`."""
        first = group[0]
        if first.pre >= 0:
            self._put(self._fenced(group), first.place, tight=False)
        elif first.place.table >= 0 and (rows := _rows(group)) is not None:
            self._put(_table(self._source, rows), first.place, tight=False)
        else:
            for piece in group:
                self._put(self._block(piece), piece.place, tight=bool(piece.place.items))

    def _block(self, piece: _Piece) -> list[str]:
        if piece.place.heading:
            return [f"{'#' * piece.place.heading} {' '.join(piece.text.split())}"]
        lines = piece.text.split("\n")
        lines[0] = _LINE_START.sub(r"\1\\\2", lines[0])
        element = int(self._source.room.nodes[piece.node, ELEMENT])
        if element == _DT:
            return [f"**{piece.text}**" if "*" not in piece.text else piece.text]
        return [line + "  " for line in lines[:-1]] + lines[-1:]

    def _fenced(self, group: Sequence[_Piece]) -> list[str]:
        text = "\n".join(piece.text for piece in group)
        fence = "```"
        while fence in text:
            fence += "`"
        return [fence + self._code_language(group[0]), *text.split("\n"), fence]

    def _code_language(self, piece: _Piece) -> str:
        """Returns the language that the classes of a `pre`, or of what is around it, name."""
        nodes, node = self._source.room.nodes, piece.pre
        tags = [piece.code] if piece.code >= 0 else []
        for _ in range(3):
            if node > 0:
                tags.append(int(nodes[node, TOKEN]))
                node = int(nodes[node, PARENT])
        for tag in tags:
            found = _LANGUAGE.search(attribute(self._source, tag, "class"))
            if found:
                return "" if found[1].lower() in _NO_LANGUAGE else found[1].lower()
        return ""

    def _put(self, lines: Sequence[str], place: _Place, *, tight: bool) -> None:
        """Adds lines behind the signs of the quotes and lists that they are in."""
        nodes = self._source.room.nodes
        new = [item for item in place.items if item not in self._items]
        ends_list = bool(self._items) and not place.items
        defined = bool(new) and nodes[new[-1], ELEMENT] == _DD
        if self._lines and not defined and (not tight or not self._items or ends_list or not new):
            self._lines.append(("> " * min(place.quotes, self._quotes)).rstrip())
        lead = rest = "> " * place.quotes
        for item in place.items:
            sign = self._sign(item)
            lead += sign if item in new else " " * len(sign)
            rest += " " * len(sign)
        self._items, self._quotes = place.items, place.quotes
        self._lines.append((lead + lines[0]).rstrip() if not lines[0] else lead + lines[0])
        self._lines.extend((rest + line) if line else rest.rstrip() for line in lines[1:])

    def _sign(self, item: int) -> str:
        """Returns what stands before a list item: a dash, its number, or a colon."""
        if item not in self._prefixes:
            nodes = self._source.room.nodes
            parent = int(nodes[item, PARENT])
            sign = "- "
            if nodes[item, ELEMENT] == _DD:
                sign = ": "
            elif nodes[parent, ELEMENT] == _OL:
                start = attribute(self._source, int(nodes[parent, TOKEN]), "start")
                first = int(start) if re.fullmatch(r"\d{1,9}", start) else 1
                number = self._numbers.get(parent, first)
                self._numbers[parent] = number + 1
                sign = f"{number}. "
            self._prefixes[item] = sign
        return self._prefixes[item]


def _rows(group: Sequence[_Piece]) -> list[list[list[_Piece]]] | None:
    """Returns the blocks of a table by row and cell; None where the table is one for layout."""
    rows: dict[int, dict[int, list[_Piece]]] = {}
    for piece in group:
        if piece.place.row < 0 or piece.place.cell < 0:
            return None
        rows.setdefault(piece.place.row, {}).setdefault(piece.place.cell, []).append(piece)
    cells = [cell for row in rows.values() for cell in row.values()]
    wide = max(len(row) for row in rows.values())
    long = any(sum(len(piece.text) for piece in cell) > _MOST_CELL_CHARS for cell in cells)
    if wide < 2 or long or any(piece.place.heading for piece in group):
        return None
    return [list(row.values()) for row in rows.values()]


def _table(source: Source, rows: Sequence[Sequence[Sequence[_Piece]]]) -> list[str]:
    nodes = source.room.nodes
    cells = [[_cell(cell) for cell in row] for row in rows]
    width = max(map(len, cells))
    headed = all(nodes[cell[0].place.cell, ELEMENT] == _TH for cell in rows[0])
    if not headed:
        cells.insert(0, [""] * width)
    lines = [f"| {' | '.join(row + [''] * (width - len(row)))} |" for row in cells]
    return [lines[0], "|" + " --- |" * width, *lines[1:]]


def _cell(pieces: Sequence[_Piece]) -> str:
    return " ".join(" ".join(piece.text.split()) for piece in pieces).replace("|", "\\|")
