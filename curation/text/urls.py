"""URLs, taken apart in one walk: the host, and the rest in one spelling for all that mean the same.

The reading is the one of browsers (WHATWG, URL Standard) where URLs are well-formed, and never
fails where they are not:

- White space at both ends, and tabs and line ends anywhere, do not count. Only the first
  `MOST_BYTES` bytes do.
- The scheme does not count; it may be missing (`example.com/a`, `//example.com/a`). What has
  another scheme and no `//` (`mailto:`, `urn:`) has no host.
- User and password, the port 80 or 443, the fragment, slashes at the end of the path, and an empty
  query do not count.
- All is percent-decoded once and lower-cased, the path, too: lists are written carelessly.

The host has its trailing dot removed. A host that is not plain ASCII, that has a label in Punycode,
or that may be a number or an IPv6 address is marked `LOOK`: that is for `curation.urls` to read.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel, subroutine
from curation.text.keytable import KeyTable, look_up
from curation.text.unicode import FINAL_SIGMA, decode, encode, lower_char

MOST_BYTES = 8192
"""Bytes of a URL that are looked at; browsers and servers take no more."""
MOST_HOST_BYTES, MOST_LABEL_BYTES = 253, 63
"""Limits of RFC 1035, without the trailing dot."""

MALFORMED = 1
"""There is no host, or it has a character or a length that no host has."""
LOOK = 2
"""The host is not in its one spelling yet."""

EXACT, WILDCARD, EXCEPTION = 1, 2, 4
"""Bits of a rule of the Public Suffix List: `co.uk`, `*.ck` (under the key of `ck`), `!www.ck`."""

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_TAB, _LINE_FEED, _RETURN, _BLANK = 0x09, 0x0A, 0x0D, 0x20
_HASH, _PERCENT, _HYPHEN, _DOT, _SLASH = 0x23, 0x25, 0x2D, 0x2E, 0x2F
_COLON, _QUESTION, _AT, _OPEN, _BACKSLASH, _CLOSE = 0x3A, 0x3F, 0x40, 0x5B, 0x5C, 0x5D
_UNDERSCORE, _X, _N, _SMALL_SIGMA = 0x5F, 0x78, 0x6E, 0x3C3


class Urls(NamedTuple):
    """n URLs in parts; text k of a column is `bytes[offsets[k] : offsets[k + 1]]`."""

    host_offsets: Ints
    host_bytes: Bytes
    """Host without port and trailing dot, lower case; empty where the URL is malformed."""
    rest_offsets: Ints
    rest_bytes: Bytes
    """`:port`, path and `?query`, each where there is one; all of the URL where it is malformed."""
    flags: npt.NDArray[np.uint8]
    """uint8[n], `MALFORMED` and `LOOK`."""


@kernel
def split_urls(offsets: Ints, data: Bytes) -> Urls:
    """Takes n URLs apart; the module says how.

    Args:
        offsets: int64[n + 1]; URL k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8; a malformed part counts as U+FFFD.
    """
    n = len(offsets) - 1
    size = 0
    for row in range(n):
        size += min(offsets[row + 1] - offsets[row], MOST_BYTES)
    # A byte that is no UTF-8 becomes three, and lower case makes three of two at most.
    urls = Urls(
        np.zeros(n + 1, np.int64),
        np.empty(3 * size + 8, np.uint8),
        np.zeros(n + 1, np.int64),
        np.empty(3 * size + 8, np.uint8),
        np.zeros(n, np.uint8),
    )
    raw, decoded = np.empty(MOST_BYTES, np.uint8), np.empty(MOST_BYTES, np.uint8)
    for row in range(n):
        length = _clean(data[offsets[row] : offsets[row + 1]], raw)
        _split(raw[:length], decoded, urls, row)
    return Urls(
        urls.host_offsets,
        urls.host_bytes[: urls.host_offsets[n]],
        urls.rest_offsets,
        urls.rest_bytes[: urls.rest_offsets[n]],
        urls.flags,
    )


@inlined
def _clean(url: Bytes, raw: Bytes) -> int:
    """Copies what counts of a URL; returns how many bytes."""
    at, end = 0, min(len(url), MOST_BYTES)
    while at < end and url[at] <= _BLANK:
        at += 1
    while end > at and url[end - 1] <= _BLANK:
        end -= 1
    length = 0
    for k in range(at, end):
        byte = url[k]
        if byte not in (_TAB, _LINE_FEED, _RETURN):
            raw[length] = byte
            length += 1
    return length


@subroutine
def _split(raw: Bytes, decoded: Bytes, urls: Urls, row: int) -> None:
    end = 0
    while end < len(raw) and raw[end] != _HASH:
        end += 1
    host_at, rest_at = urls.host_offsets[row], urls.rest_offsets[row]
    begin, named = _authority(raw, end)
    host_end = host_at
    flags, path = MALFORMED, 0
    if begin >= 0:
        first, last, path = _host_span(raw, begin, end)
        host_end = _fold(raw, first, last, decoded, urls.host_bytes, host_at)
        if host_end > host_at and urls.host_bytes[host_end - 1] == _DOT:
            host_end -= 1
        flags = _host_flags(urls.host_bytes, host_at, host_end)
        if not named and not flags & LOOK and not _has_dot(urls.host_bytes, host_at, host_end):
            flags |= MALFORMED
    if flags & MALFORMED:
        rest_end = _fold(raw, 0, end, decoded, urls.rest_bytes, rest_at)
        host_end = host_at
        flags = MALFORMED
    else:
        rest_end = _rest(raw, path, end, decoded, urls.rest_bytes, rest_at)
    urls.host_offsets[row + 1] = host_end
    urls.rest_offsets[row + 1] = rest_end
    urls.flags[row] = flags


@inlined
def _has_dot(data: Bytes, at: int, end: int) -> bool:
    for k in range(at, end):  # noqa: SIM110 - numba has no any()
        if data[k] == _DOT:
            return True
    return False


@subroutine
def _authority(raw: Bytes, end: int) -> tuple[int, bool]:
    """Returns where user, host and port begin (-1: nowhere), and whether `//` or http says so."""
    at = 0
    while at < end and _in_scheme(raw[at]):
        at += 1
    if at == 0:
        return _slashes(raw, 0, end)
    if at >= end or raw[at] != _COLON:
        return 0, False
    begin, named = _slashes(raw, at + 1, end)
    if _is_http(raw, at):
        while begin < end and (raw[begin] == _SLASH or raw[begin] == _BACKSLASH):
            begin += 1
        return begin, True
    if named:
        return begin, True
    return (0 if at + 1 < end and _is_digit(raw[at + 1]) else -1), False


@inlined
def _slashes(raw: Bytes, at: int, end: int) -> tuple[int, bool]:
    if at + 1 < end and raw[at] == _SLASH and raw[at + 1] == _SLASH:
        return at + 2, True
    return at, False


@inlined
def _in_scheme(byte: np.uint8) -> bool:
    return _is_letter(byte) or _is_digit(byte) or byte in (0x2B, _HYPHEN, _DOT)


@inlined
def _is_letter(byte: np.uint8) -> bool:
    return bool(0x61 <= (byte | 0x20) <= 0x7A)


@inlined
def _is_digit(byte: np.uint8) -> bool:
    return bool(0x30 <= byte <= 0x39)


@inlined
def _is_http(raw: Bytes, size: int) -> bool:
    http = (
        size >= 4
        and (raw[0] | 0x20) == 0x68
        and (raw[1] | 0x20) == 0x74
        and (raw[2] | 0x20) == 0x74
        and (raw[3] | 0x20) == 0x70
    )
    return http and (size == 4 or (size == 5 and (raw[4] | 0x20) == 0x73))


@subroutine
def _host_span(raw: Bytes, begin: int, end: int) -> tuple[int, int, int]:
    """Returns where the host begins and ends, and where its port or the path begins.

    A port that says nothing is passed over.
    """
    stop, first = begin, begin
    while stop < end and raw[stop] not in (_SLASH, _QUESTION, _BACKSLASH):
        if raw[stop] == _AT:
            first = stop + 1
        stop += 1
    last = stop
    while last > first and _is_digit(raw[last - 1]):
        last -= 1
    if last <= first or raw[last - 1] != _COLON:
        return first, stop, stop
    digits = last
    while digits < stop and raw[digits] == 0x30:
        digits += 1
    number = 0
    for k in range(digits, min(stop, digits + 6)):
        number = number * 10 + int64(raw[k]) - 0x30
    return first, last - 1, (stop if number in (0, 80, 443) else last - 1)


@subroutine
def _rest(raw: Bytes, at: int, end: int, decoded: Bytes, out: Bytes, fill: int) -> int:
    """Writes port, path and query; returns where they end."""
    query = at
    while query < end and raw[query] != _QUESTION:
        query += 1
    last = query
    while last > at and raw[last - 1] == _SLASH:
        last -= 1
    fill = _fold(raw, at, last, decoded, out, fill)
    return fill if query + 1 >= end else _fold(raw, query, end, decoded, out, fill)


@subroutine
def _fold(raw: Bytes, at: int, end: int, decoded: Bytes, out: Bytes, fill: int) -> int:
    """Percent-decodes and lower-cases into `out`; returns where it ends."""
    length = 0
    while at < end:
        byte = raw[at]
        if byte == _PERCENT and at + 2 < end and _is_hex(raw[at + 1]) and _is_hex(raw[at + 2]):
            byte = np.uint8(_hex_digit(raw[at + 1]) * 16 + _hex_digit(raw[at + 2]))
            at += 2
        decoded[length] = byte
        length += 1
        at += 1
    return fold_text(decoded[:length], out, fill)


@inlined
def _is_hex(byte: np.uint8) -> bool:
    return _is_digit(byte) or bool(0x61 <= (byte | 0x20) <= 0x66)


@inlined
def _hex_digit(byte: np.uint8) -> int:
    return int64(byte) - 0x30 if byte <= 0x39 else (int64(byte) | 0x20) - 0x57


@subroutine
def fold_text(text: Bytes, out: Bytes, fill: int) -> int:
    """Writes the lower case of each character, all sigmas alike, at `fill`; returns the end.

    `out` needs three bytes for each byte of the text.
    """
    at = 0
    while at < len(text):
        code = int64(text[at])
        if code < 0x80:
            out[fill] = code + 32 if 0x41 <= code <= 0x5A else code
            fill += 1
            at += 1
            continue
        code, at = decode(text, at, len(text))
        code = lower_char(code)
        fill = encode(_SMALL_SIGMA if code == FINAL_SIGMA else code, out, fill)
    return fill


@subroutine
def _host_flags(host: Bytes, at: int, end: int) -> int:
    """Says whether a host can be one, and whether it is in its one spelling."""
    if end <= at:
        return MALFORMED
    if host[at] == _OPEN:
        return LOOK if host[end - 1] == _CLOSE else MALFORMED
    flags = MALFORMED if end - at > MOST_HOST_BYTES else 0
    label, wide = at, False
    for k in range(at, end + 1):
        if k == end or host[k] == _DOT:
            flags |= _label_flags(host, label, k)
            label = k + 1
        elif host[k] >= 0x80:
            wide = True
        elif not _in_host(host[k]):
            return MALFORMED
    if _is_digit(host[max(at, label_before(host[:end], end))]):
        flags |= LOOK
    # Lengths count in Punycode, and full stops of other scripts part labels, too.
    return LOOK if wide else flags


@inlined
def _label_flags(host: Bytes, at: int, end: int) -> int:
    if end == at or end - at > MOST_LABEL_BYTES:
        return MALFORMED
    return LOOK if _is_punycode(host, at, end) else 0


@inlined
def _in_host(byte: np.uint8) -> bool:
    return _is_letter(byte) or _is_digit(byte) or byte in (_HYPHEN, _UNDERSCORE)


@inlined
def _is_punycode(host: Bytes, at: int, end: int) -> bool:
    return (
        end - at >= 4
        and host[at] == _X
        and host[at + 1] == _N
        and host[at + 2] == _HYPHEN
        and host[at + 3] == _HYPHEN
    )


@kernel
def registered_starts(offsets: Ints, hosts: Bytes, suffixes: KeyTable) -> Ints:
    """Returns int64[n]: where the registered domain begins within each host; -1 if it has none.

    Addresses, single labels and public suffixes have none. A host under no rule has two labels.

    Args:
        offsets: int64[n + 1].
        hosts: uint8, hosts in ASCII and lower case.
        suffixes: XXH64 (seed 0) of each rule's labels, and its bits.
    """
    starts = np.empty(len(offsets) - 1, np.int64)
    for row in range(len(starts)):
        starts[row] = _registered(hosts[offsets[row] : offsets[row + 1]], suffixes)
    return starts


@inlined
def is_address(host: Bytes) -> bool:
    """Says whether a host is an IP address: no top-level domain is a number."""
    if len(host) == 0 or host[0] == _OPEN:
        return True
    at = len(host)
    while at > 0 and _is_digit(host[at - 1]):
        at -= 1
    return at < len(host) and (at == 0 or host[at - 1] == _DOT)


@inlined
def label_before(host: Bytes, end: int) -> int:
    """Returns where the label begins that ends at `end`."""
    at = end
    while at > 0 and host[at - 1] != _DOT:
        at -= 1
    return at


@subroutine
def _registered(host: Bytes, suffixes: KeyTable) -> int:
    if is_address(host):
        return -1
    label = label_before(host, len(host))
    suffix = right = label
    while True:
        bits = look_up(suffixes, host, label, len(host), 0)
        left = label_before(host, label - 1) if label > 0 else -1
        if bits > 0:
            if bits & EXCEPTION:
                suffix = right
                break
            if bits & EXACT:
                suffix = label
            if bits & WILDCARD and left >= 0:
                suffix = left
        if left < 0:
            break
        right, label = label, left
    return label_before(host, suffix - 1) if suffix > 0 else -1
