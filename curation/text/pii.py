"""Finds personal data and secrets in texts, and replaces what was found.

A compiled walk names the places where something can begin (`pii_scan`); there, patterns and check
digits decide, which look at a bounded number of bytes.

What overlaps: the place that comes first wins (an e-mail address has the place of its `@`), and at
one place the order of `FORMATS`. What was found is overwritten in a copy of the text by the sign
`>`, which nothing reaches across, and the places a little before it are tried again: so in the
replaced text nothing more can be found, and replacing twice changes nothing more.
"""

from bisect import bisect_left
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.pii_addresses import (
    DOCUMENTATION,
    LIKE_VERSION,
    PRIVATE,
    PUBLIC,
    email,
    ipv6,
)
from curation.text.pii_bytes import BARRIER
from curation.text.pii_codes import codice_fiscale, iban, nie, nino
from curation.text.pii_formats import NUMBER
from curation.text.pii_keys import assignment, hex_key, jwt, key, pem
from curation.text.pii_numbers import Search, number_at
from curation.text.pii_scan import places

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]
Hit = tuple[str, int, int]

__all__ = ["ADDRESSES", "Hits", "Search", "find", "find_everywhere", "make_search", "replace"]

BACK = 128
"""Bytes that are looked at again before something that was found."""

ADDRESSES = {
    "public": PUBLIC,
    "private": PRIVATE,
    "documentation": DOCUMENTATION,
    "version": LIKE_VERSION,
}
"""Classes of IP addresses. "version" are those that look like a version or a section: all four
numbers below 32, or a word such as "version" before them."""

_NOTHING: Hit = ("", -1, -1)


class Hits(NamedTuple):
    """What was found, in the order of rows and places; arrays of equal length."""

    rows: Ints
    """int64[h], number of the text."""
    begins: Ints
    """int64[h], place of the first byte in `data`."""
    ends: Ints
    """int64[h], place after the last byte."""
    formats: Ints
    """int64[h], place in `FORMATS`."""
    first_chars: Ints
    """int64[h], place of the first character in its text, in code points."""
    last_chars: Ints
    """int64[h], place after the last character."""


def make_search(
    formats: Collection[str], addresses: Collection[str], kept_domains: Collection[str]
) -> Search:
    """Returns what `find` looks for.

    Args:
        formats: Names from `FORMATS`.
        addresses: Classes of IP addresses, from `ADDRESSES`.
        kept_domains: E-mail addresses there, or in a sub-domain, are nobody's.
    """
    return Search(
        frozenset(formats),
        sum(ADDRESSES[name] for name in set(addresses)),
        frozenset(domain.lower().encode() for domain in kept_domains),
    )


def find(offsets: Ints, data: Bytes, search: Search) -> Hits:
    """Finds what is looked for in every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8; malformed bytes are like those of any other script.
        search: From `make_search`.
    """
    bounds, found = places(offsets, data, assignments="assignment" in search.formats)
    hits = []
    for row in np.flatnonzero(np.diff(bounds)).tolist():
        start, text = int(offsets[row]), data[offsets[row] : offsets[row + 1]]
        tried = (found[bounds[row] : bounds[row + 1]] - start).tolist()
        of_row = _hits_of(bytearray(text), tried, search)
        chars = np.cumsum((text & 0xC0) != 0x80) if of_row else text
        hits += [
            (row, start + begin, start + end, NUMBER[name], chars[begin] - 1, chars[end - 1])
            for name, begin, end in of_row
        ]
    return Hits(*np.array(hits, np.int64).reshape(-1, 6).T)


def _hits_of(data: bytearray, tried: Sequence[int], search: Search) -> list[Hit]:
    """Tries places until there are no more: a find brings a word nearer to the next number."""
    hits = fresh = _hits_at(data, tried, search)
    while fresh:
        offsets = np.array([0, len(data)])
        again = places(offsets, np.frombuffer(bytes(data), np.uint8), assignments=False)[1]
        fresh = _hits_at(data, again.tolist(), search)
        hits = hits + fresh
    return sorted(hits, key=lambda hit: hit[1])


def find_everywhere(text: bytes, search: Search) -> list[Hit]:
    """Says in plain Python what `find` means, by trying every place of one text.

    Returns:
        Format, place of the first byte and place after the last one of each hit, in order.
    """
    data = bytearray(text)
    hits = fresh = _hits_at(data, range(len(text)), search)
    while fresh:
        fresh = _hits_at(data, range(len(text)), search)
        hits = hits + fresh
    return sorted(hits, key=lambda hit: hit[1])


def _hits_at(data: bytearray, tried: Sequence[int], search: Search) -> list[Hit]:
    """Tries some places, ascending; overwrites what is found in `data`."""
    hits, k = [], 0
    while k < len(tried):
        name, first, last = _hit_at(data, tried[k], search)
        k += 1
        if name:
            hits.append((name, first, last))
            data[first:last] = bytes([BARRIER]) * (last - first)
            k = bisect_left(tried, first - BACK, 0, k)
    return hits


def _hit_at(data: bytearray, at: int, search: Search) -> Hit:
    """Returns what begins at a place (or stands around it, where that is an `@`, `=` or `:`)."""
    byte = data[at]
    if byte == 0x40 and "email" in search.formats:
        return _named("email", *email(data, at, search.kept))
    if byte == 0x2D and "pem" in search.formats:
        return _named("pem", at, pem(data, at))
    if byte == 0x3A and "ipv6" in search.formats:
        last, kind = ipv6(data, at)
        if kind & search.addresses:
            return "ipv6", at, last
    if byte in b":=" and "assignment" in search.formats:
        first, last = assignment(data, at)
        # A known key after `=` has a place of its own.
        known = last >= 0 and _key_at(data, first, search)[0]
        return _NOTHING if known else _named("assignment", first, last)
    if byte in b"+(" or (byte in _WORD_BYTES and (at == 0 or data[at - 1] not in _WORD_BYTES)):
        return _word_at(data, at, search)
    return _NOTHING


def _named(name: str, first: int, last: int) -> Hit:
    return (name, first, last) if last >= 0 else _NOTHING


_WORD_BYTES = frozenset(b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_")
_HEX_BYTES = frozenset(b"0123456789ABCDEFabcdef")
_CODES = (("iban", iban), ("uk_nino", nino), ("es_nie", nie), ("it_codice_fiscale", codice_fiscale))


def _key_at(data: bytearray, at: int, search: Search) -> tuple[str, int]:
    name, last = key(data, at)
    if name in search.formats:
        return name, last
    if data[at] == 0x65 and "jwt" in search.formats and (last := jwt(data, at)) >= 0:
        return "jwt", last
    if "hex_key" in search.formats and (last := hex_key(data, at)) >= 0:
        return "hex_key", last
    return "", -1


def _word_at(data: bytearray, at: int, search: Search) -> Hit:
    """Returns what begins with a word, `+` or `(`."""
    byte = data[at]
    name, last = _key_at(data, at, search)
    if name:
        return name, at, last
    if byte in _HEX_BYTES and b":" in data[at : at + 5] and "ipv6" in search.formats:
        last, kind = ipv6(data, at)
        if kind & search.addresses:
            return "ipv6", at, last
    if byte in b"+(0123456789":
        return number_at(data, at, search)
    for name, code in _CODES if 0x41 <= byte <= 0x5A else ():
        if name in search.formats and (last := code(data, at)) >= 0:
            return name, at, last
    return _NOTHING


def replace(
    offsets: Ints, data: Bytes, hits: Hits, placeholders: Sequence[bytes]
) -> tuple[Ints, Bytes]:
    """Returns the texts with placeholders in the place of hits, as new offsets and data.

    Args:
        offsets: int64[n + 1], as for `find`.
        data: uint8, as for `find`.
        hits: What is to be replaced, in the order of `find`.
        placeholders: One for each format, in the order of `FORMATS`.
    """
    sizes = np.array([len(placeholder) for placeholder in placeholders], np.int64)
    lengths = np.diff(offsets)
    np.add.at(lengths, hits.rows, sizes[hits.formats] - (hits.ends - hits.begins))
    new = np.concatenate((np.zeros(1, np.int64), np.cumsum(lengths)))
    view = data.data
    parts: list[memoryview | bytes] = []
    at = int(offsets[0])
    for begin, end, number in zip(*(column.tolist() for column in hits[1:4]), strict=True):
        parts += [view[at:begin], placeholders[number]]
        at = end
    parts.append(view[at : int(offsets[-1])])
    return new, np.frombuffer(b"".join(parts), np.uint8)
