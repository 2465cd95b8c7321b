"""What is emphasised, code or a link within the texts of blocks, as signs of Markdown."""

import html
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.metadata import attributes_of
from curation.html.names import NUMBERS
from curation.html.room import AT, BEGIN, MARKED, PRE, STARTED, STOP, Room

Table = npt.NDArray[np.int32]

_A, _CODE = NUMBERS["a"], NUMBERS["code"]
_SIGNS = {
    **dict.fromkeys((NUMBERS["b"], NUMBERS["strong"]), "**"),
    **dict.fromkeys((NUMBERS["i"], NUMBERS["em"], NUMBERS["cite"], NUMBERS["var"]), "*"),
    **dict.fromkeys((NUMBERS["code"], NUMBERS["tt"], NUMBERS["kbd"], NUMBERS["samp"]), "`"),
    **dict.fromkeys((NUMBERS["del"], NUMBERS["s"], NUMBERS["strike"]), "~~"),
}
_MARKUP = re.compile(r"<(?=[A-Za-z/!?])|&(?=#?\w+;)")


class Source(NamedTuple):
    """A page that was read, with what Markdown needs of it."""

    page: bytes
    room: Room
    attributes: Table
    """int32[t, 2]: where the attributes of each start tag are in the page."""
    blocks: int
    marks: int


class _Style(NamedTuple):
    """What stands before and after a stretch of text, for one element."""

    begin: str
    end: str
    token: int
    """Its start tag: elements of one kind that follow one another are two."""


class Spans:
    """The texts of blocks with the signs of what is within them."""

    def __init__(self, source: Source, *, links: bool) -> None:
        """Takes a page, and whether the targets of links stay."""
        self._source, self._links = source, links
        self._open: list[tuple[int, int, _Style | None]] = []
        """Inline elements that are open, their start tags, and their styles."""

    def texts(self, kept: npt.NDArray[np.int32]) -> Iterator[tuple[int, str, int]]:
        """Yields number and text of each block that is kept, and the `code` that it begins in."""
        room = self._source.room
        marks = room.marks[: self._source.marks].tolist()
        at = 0
        for block, row in enumerate(room.blocks[: self._source.blocks].tolist()):
            begin, stop = row[BEGIN], row[STOP]
            while at < len(marks) and marks[at][AT] <= begin:
                self._follow(marks[at])
                at += 1
            first = at
            while at < len(marks) and marks[at][AT] < stop:
                at += 1
            if kept[block]:
                data = room.text[begin:stop].tobytes()
                code = next((token for element, token, _ in self._open if element == _CODE), -1)
                signed = self._signed(data, begin, marks[first:at])
                yield block, data.decode() if row[PRE] else signed, code
            else:
                for mark in marks[first:at]:
                    self._follow(mark)

    def _follow(self, mark: Sequence[int]) -> None:
        """Opens or closes an inline element; a link ends the one before it."""
        element, token = mark[MARKED], mark[STARTED]
        if token < 0 or element == _A:
            for place in range(len(self._open) - 1, -1, -1):
                if self._open[place][0] == element:
                    del self._open[place]
                    break
        if token >= 0:
            self._open.append((element, token, self._style(element, token)))

    def _style(self, element: int, token: int) -> _Style | None:
        if element in _SIGNS:
            return _Style(_SIGNS[element], _SIGNS[element], token)
        if element == _A and self._links:
            href = attribute(self._source, token, "href")
            if href and not href.startswith(("#", "javascript:")):
                return _Style("[", f"]({_target(href)})", token)
        return None

    def _signed(self, data: bytes, begin: int, marks: Sequence[Sequence[int]]) -> str:
        """Returns a text with signs around the stretches that are emphasised, code or links."""
        parts: list[str] = []
        last = 0
        before: tuple[_Style, ...] = ()
        for mark in marks:
            piece = data[last : mark[AT] - begin].decode()
            if piece:
                now = self._styles()
                _add_styled(parts, piece, before, now)
                before, last = now, mark[AT] - begin
            self._follow(mark)
        now = self._styles()
        _add_styled(parts, data[last:].decode(), before, now)
        parts.extend(style.end for style in reversed(now))
        return "".join(parts)

    def _styles(self) -> tuple[_Style, ...]:
        """Returns what is open, each style once, code last."""
        styles: dict[str, _Style] = {}
        for _, _, style in self._open:
            if style is not None:
                styles.setdefault(style.begin, style)
        return tuple(sorted(styles.values(), key=lambda style: style.begin == "`"))


def _add_styled(
    parts: list[str],
    piece: str,
    before: tuple[_Style, ...],
    now: tuple[_Style, ...],
) -> None:
    """Adds a stretch of text; signs stand at its letters, not at the spaces around it."""
    same = 0
    while same < min(len(before), len(now)) and before[same] == now[same]:
        same += 1
    inner = piece.strip()
    lead = piece[: len(piece) - len(piece.lstrip())]
    ends = [style.end for style in reversed(before[same:])]
    parts += [*ends, lead if inner else piece, *(style.begin for style in now[same:])]
    code = bool(now) and now[-1].begin == "`"
    if inner:
        parts.append(piece[len(lead) :] if code else _escaped(piece[len(lead) :]))


def _escaped(text: str) -> str:
    return _MARKUP.sub(lambda found: "\\" + found[0], text)


def _target(href: str) -> str:
    return f"<{href}>" if re.search(r"[\s()]", href) else href


def attribute(source: Source, token: int, name: str) -> str:
    """Returns the value of an attribute of a start tag."""
    begin, end = source.attributes[token]
    values = attributes_of(source.page[begin:end].decode("utf-8", "replace"))
    return html.unescape(values.get(name, "")).strip()
