"""The main text of a page by the selectors of its template, from a real tree of elements."""

from typing import Any

_BREAKS = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "caption",
        "center",
        "dd",
        "details",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "p",
        "pre",
        "section",
        "table",
        "tbody",
        "td",
        "tfoot",
        "th",
        "thead",
        "tr",
        "ul",
    ]
)
_NO_TEXT = "script, style, noscript, template, head, svg, select, button, textarea"
_ELEMENT, _TEXT = 1, 3


def main_text(html: str, main: str, drop: str) -> str:
    """Returns the text of some elements of a page, a line for each block.

    Args:
        html: The page.
        main: CSS selector of the elements; of nested ones the outer counts.
        drop: CSS selector of what in them is left out; may be empty.
    """
    from resiliparse.parse.html import HTMLTree

    tree = HTMLTree.parse(html)
    if tree.body is None:
        return ""
    for selector in filter(None, (_NO_TEXT, drop)):
        for element in tree.body.query_selector_all(selector):
            if element.parent is not None:
                element.decompose()
    parts: list[str] = []
    for element in _outermost(tree.body, main):
        _add_text(element, parts)
        parts.append("\n")
    lines = (" ".join(line.split()) for line in "".join(parts).split("\n"))
    return "\n".join(filter(None, lines))


def _outermost(body: Any, selector: str) -> list[Any]:
    """Returns the elements that match and are in no other one that does."""
    if selector == "body":
        return [body]
    kept: list[Any] = []
    for element in body.query_selector_all(selector):
        above = element.parent
        while above is not None and above not in kept:
            above = above.parent
        if above is None:
            kept.append(element)
    return kept


def _add_text(root: Any, parts: list[str]) -> None:
    """Adds the text nodes below an element in their order; no recursion, as pages may be deep."""
    node, depth = root, 0
    while True:
        _open_node(node, parts)
        if node.type == _ELEMENT and node.first_child is not None:
            node, depth = node.first_child, depth + 1
            continue
        while depth and node.next is None:
            node, depth = node.parent, depth - 1
            _break(node, parts)
        if not depth:
            return
        _break(node, parts)
        node = node.next


def _open_node(node: Any, parts: list[str]) -> None:
    if node.type == _TEXT:
        parts.append(node.text)
    _break(node, parts)


def _break(node: Any, parts: list[str]) -> None:
    if node.type == _ELEMENT and node.tag in _BREAKS:
        parts.append("\n")
