"""What a page states about itself: title, author, date, language, address and licence.

From `title`, `meta`, `link`, `html lang`, `time` and JSON-LD, in that order of trust that holds for
most pages: what is made for machines to read comes first. Sources: the Open Graph protocol, Dublin
Core, Highwire's `citation_` names (as Google Scholar reads them), schema.org, and rel=license.
"""

import html
import json
import re
from collections.abc import Iterator, Sequence
from datetime import date
from email.utils import parsedate
from typing import Any, NamedTuple
from urllib.parse import urljoin

import numpy as np
import numpy.typing as npt

from curation.html.names import ELEMENTS, NUMBERS
from curation.html.tokens import CONTENT, START, STATED, Tokens
from curation.text.jit import int64, lean

Table = npt.NDArray[np.int32]

PAGE, ELEMENT, IS_CONTENT, BEGIN, END = range(5)
"""Columns of a table of statements: number of the page, of the element, whether what it holds is
meant or its attributes, and where that is in the page."""

_TITLE, _SCRIPT = NUMBERS["title"], NUMBERS["script"]
MOST_STATED = 64
"""Statements of one page; more are not read."""
_MOST_JSON = 1 << 16
_MOST_CHARS = 1000  # of a value: a title or a name


class Metadata(NamedTuple):
    """What a page states; None where it does not."""

    title: str | None = None
    author: str | None = None
    date: str | None = None
    """Of publication, YYYY-MM-DD."""
    language: str | None = None
    """As the page has it, with `-` between the parts (BCP 47)."""
    url: str | None = None
    """Its address in its own view (canonical)."""
    license: str | None = None
    """Address, or what the page says of rights."""


@lean
def list_stated(tokens: Tokens, count: int, page: int, table: Table, row: int) -> int:
    """Notes the statements of a page.

    Args:
        tokens: The page's.
        count: How many.
        page: Number of the page.
        table: int32[r, 5], with room for `MOST_STATED` more rows.
        row: Rows so far.

    Returns:
        Rows now.
    """
    stated, first = False, row
    for token in range(count):
        kind, element = tokens.kind[token], int64(tokens.element[token])
        content = kind == CONTENT
        if kind == START:
            stated = tokens.flags[token] & STATED > 0
        told = content and (element == _TITLE or (element == _SCRIPT and stated))
        if told or (kind == START and stated and element != _SCRIPT):
            table[row, PAGE], table[row, ELEMENT], table[row, IS_CONTENT] = page, element, content
            table[row, BEGIN], table[row, END] = tokens.begin[token], tokens.end[token]
            row += 1
            if row - first == MOST_STATED:
                break
    return row


_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]+)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'=<>`]+)))?""")
_DATE = re.compile(r"(?<!\d)((?:19|20)\d\d)[-/.]?(0[1-9]|1[0-2])[-/.]?(0[1-9]|[12]\d|3[01])(?!\d)")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8})*")

_TITLES = (
    "citation_title", "og:title", "twitter:title", "dc.title", "dcterms.title", "ld:headline",
    "title",
)  # fmt: skip
_AUTHORS = (
    "citation_author", "ld:author", "author", "dc.creator", "dcterms.creator", "parsely-author",
    "sailthru.author", "byl", "article:author",
)  # fmt: skip
_DATES = (
    "ld:datepublished", "article:published_time", "og:article:published_time",
    "citation_publication_date", "citation_date", "datepublished", "dcterms.created",
    "dc.date.issued", "dcterms.issued", "parsely-pub-date", "sailthru.date", "pubdate",
    "publishdate", "date", "dc.date", "time", "datecreated", "ld:datecreated",
)  # fmt: skip
_LANGUAGES = ("lang", "content-language", "dc.language", "og:locale")
_URLS = ("canonical", "og:url")
_LICENSES = ("license", "dcterms.license", "ld:license", "commons", "dc.rights", "dcterms.rights")


def read_metadata(statements: Sequence[tuple[int, bool, str]], url: str | None) -> Metadata:
    """Reads the statements of a page.

    Args:
        statements: Of each: number of the element, whether its content is meant, and the text.
        url: The page's address, for relative ones.
    """
    found: dict[str, list[str]] = {}
    for element, is_content, text in statements:
        for name, value in _said(ELEMENTS[element], text, is_content=is_content):
            plain = " ".join(html.unescape(value).split())[:_MOST_CHARS]
            if plain:
                found.setdefault(name, []).append(plain)
    return Metadata(
        _first(found, _TITLES),
        _author(found),
        next(filter(None, map(_date, _all(found, _DATES))), None),
        next(filter(None, map(_language, _all(found, _LANGUAGES))), None),
        _address(_first(found, _URLS), url),
        _address(_first(found, _LICENSES), url),
    )


def _all(found: dict[str, list[str]], names: Sequence[str]) -> Iterator[str]:
    return (value for name in names for value in found.get(name, ()))


def _first(found: dict[str, list[str]], names: Sequence[str]) -> str | None:
    return next(_all(found, names), None)


def _said(element: str, text: str, *, is_content: bool) -> Iterator[tuple[str, str]]:
    """Yields names and values that an element states."""
    if element == "title" and is_content:
        yield "title", text
    elif element == "script" and is_content:
        yield from _linked_data(text)
    else:
        values = attributes_of(text)
        if element == "html":
            yield "lang", values.get("lang", "")
        elif element == "time":
            yield "time", values.get("datetime", "")
        else:
            yield from _said_by_attributes(values)


def attributes_of(text: str) -> dict[str, str]:
    """Returns names, in lower case, and values of the attributes of a tag; of repeats the first."""
    values: dict[str, str] = {}
    for name, *forms in _ATTRIBUTE.findall(text):
        values.setdefault(name.lower(), "".join(forms))
    return values


def _said_by_attributes(values: dict[str, str]) -> Iterator[tuple[str, str]]:
    href = values.get("href", "")
    for rel in values.get("rel", "").lower().split():
        if rel in ("canonical", "license"):
            yield rel, href
    if "creativecommons.org/" in href:
        yield "commons", href
    content = values.get("content", values.get("datetime", ""))
    for name in ("name", "property", "itemprop", "http-equiv"):
        if name in values:
            yield values[name].lower(), content


def _linked_data(text: str) -> Iterator[tuple[str, str]]:
    """Yields what a JSON-LD script says of an article."""
    if len(text) > _MOST_JSON:
        return
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return
    graph = data.get("@graph", data) if isinstance(data, dict) else data
    for node in graph if isinstance(graph, list) else [graph]:
        if isinstance(node, dict) and ("headline" in node or "datePublished" in node):
            for name in ("headline", "datePublished", "dateCreated", "license"):
                yield f"ld:{name.lower()}", _plain(node.get(name))
            for author in _as_list(node.get("author")):
                yield (
                    "ld:author",
                    _plain(author.get("name") if isinstance(author, dict) else author),
                )


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _author(found: dict[str, list[str]]) -> str | None:
    """Returns the authors of the first kind of statement that names people."""
    for name in _AUTHORS:
        people = [value for value in found.get(name, ()) if "://" not in value]
        if people:
            return "; ".join(dict.fromkeys(people))[:_MOST_CHARS]
    return None


def _date(value: str) -> str | None:
    """Returns the day that a value names, or None."""
    match = _DATE.search(value)
    if match:
        try:
            return date(*map(int, match.groups())).isoformat()
        except ValueError:
            return None
    parts = parsedate(value)
    return date(*parts[:3]).isoformat() if parts and parts[0] >= 1900 else None


def _language(value: str) -> str | None:
    return value.replace("_", "-") if _LANGUAGE.fullmatch(value) else None


def _address(value: str | None, base: str | None) -> str | None:
    if value is None or " " in value:
        return value
    try:
        return urljoin(base or "", value)
    except ValueError:
        return value
