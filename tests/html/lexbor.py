"""Blocks of a page from a real tree of elements (Lexbor's): what the scan is held against."""

from typing import Any

from resiliparse.parse.html import HTMLTree

from curation.html.names import BLOCK, DROPPED, ELEMENTS, KIND, NUMBERS, RAW

_ELEMENT, _TEXT = 1, 3
_SPACES = " \t\n\f\r\u00a0"
_UNSEEN = dict.fromkeys((0, 0xAD, 0x200B, 0xFEFF))


def _kind(tag: str) -> int:
    return int(KIND[NUMBERS.get(tag, 0)])


def _is_sign(node: Any) -> bool:
    """Says whether a text is a link to the place that it is at, and nothing else."""
    alone = node.next is None and node.prev is None
    return alone and node.parent.tag == "a" and node.text in ("#", "¶", "§", "🔗")


class _Blocks:
    """Collects the texts between the tags of containers, as `curation.html.blocks` means them."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._parts: list[str] = []
        self._breaks = 0
        self._pre = 0

    def walk(self, root: Any) -> None:
        """Visits the nodes below an element in their order, without recursion."""
        node, ups = root.first_child, [root]
        while True:
            while node is None:
                closed = ups.pop()
                if closed is root:
                    self.end()
                    return
                self._leave(closed)
                node = closed.next
            if self._enter(node) and node.first_child is not None:
                ups.append(node)
                node = node.first_child
            else:
                node = node.next

    def _enter(self, node: Any) -> bool:
        """Visits a node; says whether its children are looked at."""
        if node.type == _TEXT and not _is_sign(node):
            self._add(node.text)
        if node.type != _ELEMENT:
            return False
        kind = _kind(node.tag)
        if kind in (DROPPED, RAW):
            return False
        if node.tag == "br":
            self._break()
        elif kind == BLOCK or node.tag == "hr":
            self.end()
        self._pre += node.tag in ("pre", "listing")
        if node.first_child is None:
            self._leave(node)
        return True

    def _leave(self, node: Any) -> None:
        if _kind(node.tag) == BLOCK:
            self.end()
        self._pre -= node.tag in ("pre", "listing")

    def _add(self, text: str) -> None:
        text = text.translate(_UNSEEN)
        if text.strip(_SPACES):
            self._breaks = 0
        self._parts.append(text.replace("\n", "\0") if self._pre else text)

    def _break(self) -> None:
        if self._pre:
            self._parts.append("\0")
            return
        self._breaks += 1
        if self._breaks > 1:
            self.end()
            self._breaks = 2
        else:
            self._parts.append("\0")

    def end(self) -> None:
        """Ends a block: white space is dropped, as only the words are compared."""
        words = "".join(self._parts).replace("\0", " ").replace("\u00a0", " ").split()
        if words:
            self.texts.append(" ".join(words))
        self._parts, self._breaks = [], 0


def lexbor_blocks(html: str) -> list[str]:
    """Returns the texts of a page's blocks, words divided by single spaces."""
    tree = HTMLTree.parse(html)
    blocks = _Blocks()
    if tree.body is not None:
        blocks.walk(tree.body)
    return blocks.texts


assert ELEMENTS[0] == ""
