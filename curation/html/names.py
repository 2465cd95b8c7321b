"""Names of HTML: elements and attributes as numbers, and what kernels have to know of each.

Source: WHATWG HTML Standard, sections 13.1.2 (elements), 13.2 (parsing) and 15.3 (rendering), which
say what is void, what holds raw text, and what a browser shows as a block of its own.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean_inlined

INLINE, BLOCK, VOID, RAW, DROPPED = range(5)
"""Kinds of element. Inline ones (unknown ones, too) make no block; of raw ones the content is no
markup; dropped ones are left out with all that is in them."""

_BLOCKS = (
    "html body div p h1 h2 h3 h4 h5 h6 ul ol li dl dt dd table thead tbody tfoot tr td th caption "
    "article main section nav header footer aside form fieldset figure figcaption blockquote pre "
    "address details summary center dir menu legend hgroup search dialog listing"
)
_VOIDS = "br hr img input meta link area base col embed source track wbr param"
_RAWS = "script style textarea title xmp iframe noembed noframes noscript"
_DROPPED = "head select svg math template object canvas audio video button map datalist applet"
_INLINES = (
    "a b strong i em code tt kbd samp time label u font span del s strike q sub sup var cite "
    "foreignobject"
)

_KINDS = {BLOCK: _BLOCKS, VOID: _VOIDS, RAW: _RAWS, DROPPED: _DROPPED, INLINE: _INLINES}

ELEMENTS: tuple[str, ...] = ("", *(name for names in _KINDS.values() for name in names.split()))
"""Names by number; 0 is any other element."""

NUMBERS: Mapping[str, int] = {name: number for number, name in enumerate(ELEMENTS)}
"""Numbers by name."""


def numbered(names: str) -> npt.NDArray[np.bool_]:
    """Returns a table by element number: is it one of these names, divided by spaces?"""
    table = np.zeros(len(ELEMENTS), np.bool_)
    table[[NUMBERS[name] for name in names.split()]] = True
    return table


KIND = np.zeros(len(ELEMENTS), np.uint8)
"""uint8 by element number: its kind."""
for _kind, _names in _KINDS.items():
    KIND[numbered(_names)] = _kind

CLASS, HREF, STYLE, HIDDEN, ARIA_HIDDEN, NAME, REL, TYPE, DATETIME, LANG = range(1, 11)
"""Attributes that are looked at: those whose words are hints, and others one by one."""

_ATTRIBUTES = {
    "class": CLASS, "id": CLASS, "role": CLASS, "data-testid": CLASS, "itemprop": CLASS,
    "property": CLASS, "href": HREF, "style": STYLE, "hidden": HIDDEN, "aria-hidden": ARIA_HIDDEN,
    "name": NAME, "rel": REL, "type": TYPE, "datetime": DATETIME, "lang": LANG,
}  # fmt: skip

_FNV_PRIME, _FNV_START = 1099511628211, 14695981039346656037
FNV_PRIME, FNV_START = np.uint64(_FNV_PRIME), np.uint64(_FNV_START)
"""Constants of FNV-1a, the hash of names."""


def name_hash(name: bytes) -> int:
    """Returns the 64-bit FNV-1a hash of a name, which is never 0 for those in a table."""
    value = _FNV_START
    for byte in name:
        value = ((value ^ byte) * _FNV_PRIME) % (1 << 64)
    return value


@lean_inlined
def hash_step(value: np.uint64, byte: int) -> np.uint64:
    """Returns the FNV-1a hash of a name that goes on with a byte."""
    return np.uint64((value ^ np.uint64(byte)) * FNV_PRIME)


class NameTable(NamedTuple):
    """Numbers by the hashes of names, in an open table with room for twice as many."""

    keys: npt.NDArray[np.uint64]
    """uint64[2**k]; 0 where the place is free."""
    values: npt.NDArray[np.int32]
    """int32[2**k]."""


def name_table(values: Mapping[bytes, int]) -> NameTable:
    """Makes a table.

    Raises:
        ValueError: Two names have one hash.
    """
    size = 1
    while size < 4 * len(values) + 4:
        size *= 2
    table = NameTable(np.zeros(size, np.uint64), np.zeros(size, np.int32))
    for name, value in values.items():
        key = name_hash(name)
        place = (key ^ (key >> 29)) & (size - 1)
        while table.keys[place]:
            if int(table.keys[place]) == key:
                raise ValueError(f"two names have the hash of {name!r}")
            place = (place + 1) & (size - 1)
        table.keys[place], table.values[place] = key, value
    return table


@lean_inlined
def look_up(table: NameTable, key: np.uint64) -> int:
    """Returns the number of a name by its hash, or -1."""
    keys = table.keys
    mask = np.uint64(len(keys) - 1)
    place = int64((key ^ (key >> np.uint64(29))) & mask)
    while keys[place] != np.uint64(0):
        if keys[place] == key:
            return int64(table.values[place])
        place = int64(np.uint64(place + 1) & mask)
    return -1


def encoded(values: Mapping[str, int] | Iterable[tuple[str, int]]) -> dict[bytes, int]:
    """Returns the same with names in UTF-8."""
    return {name.encode(): value for name, value in dict(values).items()}


ELEMENT_TABLE = name_table(encoded({name: at for name, at in NUMBERS.items() if name}))
"""Element numbers by the hash of the name in lower case."""

ATTRIBUTE_TABLE = name_table(encoded(_ATTRIBUTES))
"""Attributes likewise."""
