"""A page as tags and stretches of text, in one walk over its bytes.

Source: WHATWG HTML Standard, 13.2.5 (tokenization). What a browser drops is dropped: comments,
declarations, end tags without a name, a tag that the page ends in. Of attributes only hints stay
(`curation.html.hints`), and flags for what the page states about itself.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.hints import ATTRIBUTES, HIDDEN_BIT, Automaton, find_hints, plain_byte
from curation.html.names import (
    ARIA_HIDDEN,
    ATTRIBUTE_TABLE,
    CLASS,
    DATETIME,
    ELEMENT_TABLE,
    FNV_START,
    HIDDEN,
    HREF,
    KIND,
    LANG,
    NUMBERS,
    RAW,
    STYLE,
    NameTable,
    encoded,
    hash_step,
    look_up,
    name_table,
    numbered,
)
from curation.text.jit import int64, lean, lean_inlined, read_only
from curation.text.scan import byte_at

Bytes = npt.NDArray[np.uint8]

TEXT, START, END, CONTENT = range(4)
"""Kinds of token: text, a start tag, an end tag, and what a raw element holds."""

SELF_CLOSING, LINK, STATED = 1, 2, 4
"""Flags of a start tag: it ends in a slash, it has a target, it says something about the page."""

_HINT_BYTES = 200  # of an attribute's value; more are generated names and lists of utilities

_STATED = (
    "title og:title twitter:title dc.title dcterms.title citation_title headline "
    "author article:author dc.creator dcterms.creator citation_author byl parsely-author "
    "sailthru.author article:published_time date datepublished dc.date dcterms.created "
    "dc.date.issued dcterms.issued citation_publication_date citation_date pubdate publishdate "
    "parsely-pub-date sailthru.date og:article:published_time datecreated datemodified "
    "article:modified_time canonical license og:url application/ld+json og:locale "
    "content-language dc.language dc.rights dcterms.license dcterms.rights copyright rights"
)
STATED_TABLE = name_table(encoded(dict.fromkeys(_STATED.split(), 1)))
"""Values of name, property, itemprop, rel and type with which a page describes itself."""


class Tokens(NamedTuple):
    """Room for the tokens of a page; made by `make_tokens`."""

    kind: Bytes
    """uint8[t]: TEXT, START, END or CONTENT."""
    element: Bytes
    """uint8[t]: number of the element; of CONTENT that of the raw one."""
    flags: Bytes
    """uint8[t]."""
    begin: npt.NDArray[np.int32]
    """int32[t]: first byte of a text or content, or after the name of a tag."""
    end: npt.NDArray[np.int32]
    """int32[t]: byte after the last; of a tag that of its `>`."""
    hints: npt.NDArray[np.int32]
    """int32[t]: groups of words in the attributes."""
    words: npt.NDArray[np.uint64]
    """uint64[t]: hash of the words without their digits."""
    seen: npt.NDArray[np.int64]
    """int64[4]: what the attributes of the present tag have shown, and how deep in SVG or MathML it
    is; for `read_tokens` alone."""


class Names(NamedTuple):
    """The tables that tags are read with."""

    elements: NameTable = ELEMENT_TABLE
    attributes: NameTable = ATTRIBUTE_TABLE
    stated: NameTable = STATED_TABLE
    hints: Automaton = ATTRIBUTES
    kinds: Bytes = KIND


_HINTS, _FLAGS, _WORDS, _FOREIGN = range(4)
_COMMONS = read_only(np.frombuffer(b"creativecommons.org/", np.uint8))
_LESS, _MORE = np.uint64(ord("<")), np.uint64(ord(">"))
_SVG, _MATH = NUMBERS["svg"], NUMBERS["math"]
LEAVES_FOREIGN = read_only(
    numbered(
        "b blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li "
        "listing menu meta ol p pre s span strike strong sub sup table tt u ul var"
    )
)
"""bool by element: its start tag ends SVG and MathML, whatever is open in them (13.2.6.5)."""


def make_tokens(most: int) -> Tokens:
    """Makes room for the tokens of pages with at most so many `<`."""
    room = 3 * most + 2
    return Tokens(
        kind=np.empty(room, np.uint8),
        element=np.empty(room, np.uint8),
        flags=np.empty(room, np.uint8),
        begin=np.empty(room, np.int32),
        end=np.empty(room, np.int32),
        hints=np.empty(room, np.int32),
        words=np.empty(room, np.uint64),
        seen=np.empty(4, np.int64),
    )


@lean_inlined
def _is_letter(byte: int) -> bool:
    return 97 <= (byte | 32) <= 122


@lean_inlined
def _is_space(byte: int) -> bool:
    return byte == 32 or (9 <= byte <= 13 and byte != 11)


@lean_inlined
def _put(tokens: Tokens, token: int, kind: int, element: int, begin: int, end: int) -> int:
    tokens.kind[token] = kind
    tokens.element[token] = element
    tokens.begin[token] = begin
    tokens.end[token] = end
    tokens.flags[token] = 0
    tokens.hints[token] = 0
    return token + 1


@lean_inlined
def _read_name(page: Bytes, at: int, end: int) -> tuple[np.uint64, int]:
    """Reads the name of a tag; returns its hash and where it ends."""
    key = FNV_START
    while at < end:
        byte = int64(page[at])
        if byte == 62 or byte == 47 or _is_space(byte):
            break
        key = hash_step(key, byte | 32 if 65 <= byte <= 90 else byte)
        at += 1
    return key, at


@lean_inlined
def _read_attribute_name(page: Bytes, at: int, end: int) -> tuple[np.uint64, int]:
    """Reads the name of an attribute, which may begin with `=`."""
    key, first = FNV_START, at
    while at < end:
        byte = int64(page[at])
        if byte == 62 or byte == 47 or _is_space(byte) or (byte == 61 and at > first):
            break
        key = hash_step(key, byte | 32 if 65 <= byte <= 90 else byte)
        at += 1
    return key, at


@lean_inlined
def _read_value(page: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Reads what follows an attribute's `=`; returns its begin, its end, and what comes after."""
    while at < end and _is_space(page[at]):
        at += 1
    if at < end and (page[at] == 34 or page[at] == 39):
        close = byte_at(page, at + 1, end, np.uint64(page[at]))
        return at + 1, close, min(close + 1, end)
    first = at
    while at < end and page[at] != 62 and not _is_space(page[at]):
        at += 1
    return first, at, at


@lean_inlined
def _hides(page: Bytes, begin: int, end: int) -> bool:
    """Says whether a style says `display: none`."""
    for at in range(begin, end - 11):
        if page[at] == 100 and page[at + 1] == 105 and page[at + 2] == 115 and page[at + 6] == 121:
            value = at + 7
            while value < end and (page[value] == 58 or page[value] == 32):
                value += 1
            return value + 2 < end and page[value] == 110 and page[value + 1] == 111
    return False


@lean
def _is_commons(page: Bytes, begin: int, end: int) -> bool:
    """Says whether an address is one of Creative Commons."""
    at = byte_at(page, begin, min(end, begin + 8), np.uint64(47)) + 2
    if at + 4 < end and page[at] == 119 and page[at + 3] == 46:  # "www."
        at += 4
    if at + len(_COMMONS) > end:
        return False
    same = True
    for k in range(len(_COMMONS)):
        same &= page[at + k] == _COMMONS[k]
    return same


@lean_inlined
def _states(page: Bytes, begin: int, end: int, stated: NameTable) -> bool:
    """Says whether one of the words of a value is such that the page describes itself."""
    at = begin
    while at < end:
        key, first = FNV_START, at
        while at < end and not _is_space(page[at]):
            byte = int64(page[at])
            key = hash_step(key, byte | 32 if 65 <= byte <= 90 else byte)
            at += 1
        if at > first and look_up(stated, key) >= 0:
            return True
        at += 1
    return False


@lean_inlined
def _read_words(page: Bytes, begin: int, end: int, names: Names, tokens: Tokens) -> None:
    """Notes the hints in a value, and the hash of its words."""
    end = min(end, begin + _HINT_BYTES)
    tokens.seen[_HINTS] |= find_hints(page, begin, end, names.hints)
    key = np.uint64(tokens.seen[_WORDS])
    for at in range(begin, end):
        byte = plain_byte(int64(page[at]))
        if not 48 <= byte <= 57:
            key = hash_step(key, byte)
    tokens.seen[_WORDS] = int64(key)


@lean_inlined
def _note(attribute: int, page: Bytes, begin: int, end: int, names: Names, tokens: Tokens) -> None:
    """Notes what an attribute shows."""
    seen = tokens.seen
    if attribute == HREF:
        if end > begin and not (page[begin] == 35 and end == begin + 1):
            seen[_FLAGS] |= LINK
        seen[_FLAGS] |= STATED * _is_commons(page, begin, end)
    elif attribute == STYLE:
        seen[_HINTS] |= HIDDEN_BIT * _hides(page, begin, end)
    elif attribute == HIDDEN:
        seen[_HINTS] |= HIDDEN_BIT
    elif attribute == ARIA_HIDDEN:
        seen[_HINTS] |= HIDDEN_BIT * (end - begin == 4 and page[begin] | 32 == 116)
    elif attribute in (DATETIME, LANG):
        seen[_FLAGS] |= STATED
    else:
        if attribute == CLASS:
            _read_words(page, begin, end, names, tokens)
        seen[_FLAGS] |= STATED * _states(page, begin, end, names.stated)


@lean_inlined
def _read_attributes(page: Bytes, at: int, end: int, names: Names, tokens: Tokens) -> int:
    """Reads the attributes of a tag; returns where its `>` is, or `end`."""
    seen = tokens.seen
    seen[_HINTS], seen[_FLAGS], seen[_WORDS] = 0, 0, int64(FNV_START)
    while at < end and page[at] != 62:
        if page[at] == 47 or _is_space(page[at]):
            closing = page[at] == 47
            at += 1
            if closing and at < end and page[at] == 62:
                seen[_FLAGS] |= SELF_CLOSING
            continue
        key, at = _read_attribute_name(page, at, end)
        after = at
        while after < end and _is_space(page[after]):
            after += 1
        begin = close = after
        if after < end and page[after] == 61:
            begin, close, at = _read_value(page, after + 1, end)
        attribute = look_up(names.attributes, key)
        if attribute >= 0:
            _note(attribute, page, begin, close, names, tokens)
    return at


@lean_inlined
def _content_end(page: Bytes, at: int, end: int, element: int, names: Names) -> int:
    """Returns where the end tag of a raw element begins, or `end`."""
    while True:
        at = byte_at(page, at, end, _LESS)
        if at + 2 >= end:
            return end
        if page[at + 1] == 47 and _is_letter(page[at + 2]):
            key, after = _read_name(page, at + 2, end)
            if after < end and look_up(names.elements, key) == element:
                return at
        at += 1


@lean_inlined
def _comment_end(page: Bytes, at: int, end: int) -> int:
    """Returns what comes after the comment or declaration that begins at `at`."""
    comment = at + 3 < end and page[at + 1] == 33 and page[at + 2] == 45 and page[at + 3] == 45
    close = byte_at(page, at + 2, end, _MORE)
    while comment and close < end:
        if page[close - 1] == 45 and page[close - 2] == 45 and close >= at + 4:
            break
        if (
            close >= at + 7
            and page[close - 1] == 33
            and page[close - 2] == 45
            and page[close - 3] == 45
        ):
            break
        close = byte_at(page, close + 1, end, _MORE)
    return close + 1


@lean_inlined
def _follow_foreign(kind: int, element: int, tokens: Tokens) -> None:
    """Notes where SVG and MathML begin and end: a `title` is no raw element in them."""
    seen = tokens.seen
    if element in (_SVG, _MATH):
        if kind == END:
            seen[_FOREIGN] = max(seen[_FOREIGN] - 1, 0)
        elif not seen[_FLAGS] & SELF_CLOSING:
            seen[_FOREIGN] += 1
    elif kind == START and LEAVES_FOREIGN[element]:
        seen[_FOREIGN] = 0


@lean_inlined
def _read_tag(
    page: Bytes, at: int, end: int, names: Names, tokens: Tokens, token: int
) -> tuple[int, int]:
    """Reads the tag at `at`, and what it holds if it is raw; returns what is next, and tokens."""
    closing = page[at + 1] == 47
    key, after = _read_name(page, at + 1 + closing, end)
    element = max(look_up(names.elements, key), 0)
    close = _read_attributes(page, after, end, names, tokens)
    if close >= end:  # a tag that the page ends in is none
        return end, token
    _follow_foreign(END if closing else START, element, tokens)
    kind = END if closing else START
    _put(tokens, token, kind, element, after, close)
    if closing:
        return close + 1, token + 1
    seen = tokens.seen
    tokens.hints[token] = seen[_HINTS]
    tokens.flags[token] = seen[_FLAGS]
    tokens.words[token] = np.uint64(seen[_WORDS])
    token += 1
    if names.kinds[element] != RAW or seen[_FOREIGN] > 0:
        return close + 1, token
    begin = close + 1
    stop = _content_end(page, begin, end, element, names)
    token = _put(tokens, token, CONTENT, element, begin, stop)
    return (byte_at(page, stop, end, _MORE) + 1 if stop < end else end), token


@lean
def read_tokens(page: Bytes, names: Names, tokens: Tokens) -> int:
    """Cuts a page into tokens.

    Every byte is looked at a bounded number of times, whatever the page is.

    Args:
        page: uint8[n], UTF-8.
        names: The tables.
        tokens: Gets the tokens; made for as many `<` as the page has.

    Returns:
        How many there are.
    """
    end = len(page)
    token = at = begin = 0
    tokens.seen[_FOREIGN] = 0
    while at < end:
        at = byte_at(page, at, end, _LESS)
        if at + 1 >= end:
            break
        byte = int64(page[at + 1])
        closing = byte == 47
        named = _is_letter(page[at + 2] if closing and at + 2 < end else byte)
        if not (named or closing or byte == 33 or byte == 63):
            at += 1  # a lone sign is text
            continue
        if at > begin:
            token = _put(tokens, token, TEXT, 0, begin, at)
        if named:
            at, token = _read_tag(page, at, end, names, tokens, token)
        elif closing and at + 2 >= end:
            begin = at  # the page ends in "</"
            break
        else:
            at = _comment_end(page, at, end)
        begin = at
    if begin < end:
        token = _put(tokens, token, TEXT, 0, begin, end)
    return token
