"""The lines of a list file: plain domains and URLs, hosts files, and adblock rules, line by line.

- `example.com`, `*.example.com`, `.example.com`, `||example.com^`: the domain and all below it. A
  single label counts in the last three forms only.
- `0.0.0.0 ads.example.com` as in hosts files, with any address and any number of hosts: just these.
- `http://example.com/a`, `example.com/a`: one URL.
- `@@||example.com^`: an exception, which allows the domain.
- What stands behind ` #`, and lines that begin with `#`, `!`, `;` or `[`, is a comment.

All other lines (regular expressions, patterns, rules for parts of pages or with options) are
counted as `UNKNOWN`.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, kernel, subroutine

DOMAIN, HOST, URL, EXCEPTION, UNKNOWN = range(5)
"""Kinds of entry: a domain with all below it, one host, one URL, a domain to allow, not read."""

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_NEWLINE, _BLANK, _BANG, _HASH, _DOLLAR = 0x0A, 0x20, 0x21, 0x23, 0x24
_STAR, _COMMA, _DOT, _SLASH, _COLON = 0x2A, 0x2C, 0x2E, 0x2F, 0x3A
_SEMICOLON, _EQUALS, _QUESTION, _AT = 0x3B, 0x3D, 0x3F, 0x40
_OPEN, _CARET, _BAR = 0x5B, 0x5E, 0x7C


class Entries(NamedTuple):
    """The entries of some lines of a list."""

    kinds: npt.NDArray[np.uint8]
    """uint8[n], `DOMAIN` to `UNKNOWN`."""
    starts: Ints
    ends: Ints
    """int64[n], where the text of each entry lies."""


@kernel
def find_entries(data: Bytes) -> Entries:
    """Finds the entries in whole lines of a list: plain, hosts file or adblock, line by line.

    Args:
        data: uint8, lines of UTF-8.
    """
    most = 2
    for byte in data:
        most += byte <= _BLANK
    found = Entries(np.empty(most, np.uint8), np.empty(most, np.int64), np.empty(most, np.int64))
    count = at = 0
    while at < len(data):
        end = at
        while end < len(data) and data[end] != _NEWLINE:
            end += 1
        count = _line(data[:end], at, found, count)
        at = end + 1
    return Entries(found.kinds[:count], found.starts[:count], found.ends[:count])


@subroutine
def _line(data: Bytes, at: int, found: Entries, count: int) -> int:
    first, last = _token(data, at)
    if first == last or data[first] in (_HASH, _BANG, _SEMICOLON, _OPEN):
        return count
    exception = last - first > 4 and data[first] == _AT and data[first + 1] == _AT
    rule = first + 2 * exception
    if last - rule > 2 and data[rule] == _BAR and data[rule + 1] == _BAR:
        end = _rule_end(data, rule + 2, last)
        kind = UNKNOWN if end < 0 else EXCEPTION if exception else DOMAIN
        return _note(found, count, kind, rule + 2, max(end, rule + 2))
    second, stop = _token(data, last)
    if second == stop or data[second] == _HASH:
        kind, start = _plain(data, first, last)
        return _note(found, count, kind, start, last)
    if not _is_sink(data, first, last):
        return _note(found, count, UNKNOWN, first, stop)
    while second < stop and data[second] != _HASH:
        count = _note(found, count, HOST, second, stop)
        second, stop = _token(data, stop)
    return count


@subroutine
def _note(found: Entries, count: int, kind: int, start: int, end: int) -> int:
    found.kinds[count] = kind
    found.starts[count] = start
    found.ends[count] = end
    return count + 1


@subroutine
def _token(data: Bytes, at: int) -> tuple[int, int]:
    """Returns the next run of characters without white space; nothing at the end of the line."""
    while at < len(data) and data[at] <= _BLANK:
        at += 1
    end = at
    while end < len(data) and data[end] > _BLANK:
        end += 1
    return at, end


@inlined
def _rule_end(data: Bytes, at: int, end: int) -> int:
    """Returns where the domain of `||domain^` ends; -1 if the rule says more than that."""
    stop = at
    while stop < end and data[stop] not in (_CARET, _SLASH, _STAR, _DOLLAR, _BAR):
        stop += 1
    after = end - stop
    whole = after == 0 or (
        data[stop] == _CARET and (after == 1 or (after == 2 and data[stop + 1] == _BAR))
    )
    return stop if whole and stop > at else -1


@inlined
def _is_sink(data: Bytes, at: int, end: int) -> bool:
    """Says whether a token is the address that a hosts file puts before its hosts."""
    signs = 0
    for k in range(at, end):
        byte = data[k]
        if byte in (_DOT, _COLON):
            signs += 1
        elif not 0x30 <= byte <= 0x39 and not 0x61 <= (byte | 0x20) <= 0x66:
            return signs > 1 and byte == 0x25  # fe80::1%lo0
    return signs > 1


@subroutine
def _plain(data: Bytes, at: int, end: int) -> tuple[int, int]:
    """Returns the kind of an entry that is alone on its line, and where it begins."""
    start = at
    if data[at] == _STAR and end - at > 2 and data[at + 1] == _DOT:
        start = at + 2
    elif data[at] == _DOT:
        start = at + 1
    dots = slashes = 0
    odd = int(data[at] == _AT)
    for k in range(start, end):
        byte = data[k]
        dots += byte == _DOT
        slashes += byte == _SLASH
        odd += byte in (_STAR, _BAR, _CARET, _DOLLAR, _COMMA, _EQUALS, _HASH, _COLON, _QUESTION)
    scheme = _has_scheme(data, at, end)
    if scheme or (slashes and not odd and start == at and data[at] != _SLASH):
        return URL, at
    if odd or slashes or start == end or not (dots or start > at):
        return UNKNOWN, at
    return DOMAIN, start


@inlined
def _has_scheme(data: Bytes, at: int, end: int) -> bool:
    while at < end and 0x61 <= (data[at] | 0x20) <= 0x7A:
        at += 1
    return end - at > 3 and data[at] == _COLON and data[at + 1] == _SLASH == data[at + 2]
