"""URLs looked up among the millions of entries of block and allow lists.

An entry is kept as 64 bits of its XXH64 and the number of its list, in one table for all lists,
so that a URL costs one look-up for each label of its host and two more, however long the lists
are. With ten million entries, one URL in 10**12 matches by chance.

Words are looked for in host and rest of a URL (see `curation.text.urls`), in lower case:

- *hard* and *soft* words are compared with the tokens, which are the runs of letters and digits;
- *strict* words are looked for anywhere, after some signs were taken out, so that `p-o.rn` has no
  way around them.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel, subroutine
from curation.text.keytable import KeyTable, find, look_up
from curation.text.listlines import DOMAIN, EXCEPTION, HOST, URL
from curation.text.unicode import WORD, char_class, decode
from curation.text.urls import fold_text, is_address, label_before
from curation.text.xxh64 import xxh64

ALLOWED, BLOCKED_DOMAIN, BLOCKED_HOST, BLOCKED_URL, STRICT, HARD, SOFT, KINDS = range(8)
"""Kinds of match, in the order in which the first one is looked for; `KINDS` is their number."""

MOST_WORD_BYTES = 64
"""Longest strict word: at each place of a URL, at most as many steps."""

ALL_SIGNS = "datatrove"
"""Strict words are looked for after all but letters and digits was taken out, as datatrove does."""

Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

_HARD_SEED, _SOFT_SEED = 8, 9
_FNV_OFFSET, _FNV_PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)
_SHIFT = np.uint64(29)

_HYPHEN, _DOT = 0x2D, 0x2E


@subroutine
def copy_bytes(text: Bytes, out: Bytes, at: int) -> int:
    """Writes a text at `at`; returns where it ends."""
    # Not as one slice: numba takes seconds to compile its checks of shapes.
    for byte in text:
        out[at] = byte
        at += 1
    return at


class UrlColumns(NamedTuple):
    """n hosts and rests as `curation.text.urls` makes them; the hosts all in one spelling."""

    host_offsets: Ints
    host_bytes: Bytes
    rest_offsets: Ints
    rest_bytes: Bytes


@kernel
def entry_keys(urls: UrlColumns, kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Returns uint64[n], the keys of n entries of the given kinds."""
    keys = np.empty(len(kinds), np.uint64)
    room = np.empty(_longest(urls), np.uint8)
    for row in range(len(kinds)):
        kind = int64(kinds[row])
        seed = DOMAIN if kind == EXCEPTION else kind
        host = urls.host_bytes[urls.host_offsets[row] : urls.host_offsets[row + 1]]
        if kind == URL:
            size = _join(urls, row, _bare(host), room)
            keys[row] = xxh64(room, 0, size, np.uint64(seed))
        else:
            start = _bare(host) if kind == HOST else 0
            keys[row] = xxh64(host, start, len(host), np.uint64(seed))
    return keys


@inlined
def _longest(urls: UrlColumns) -> int:
    longest = 0
    for row in range(len(urls.host_offsets) - 1):
        size = urls.host_offsets[row + 1] - urls.host_offsets[row]
        longest = max(longest, size + urls.rest_offsets[row + 1] - urls.rest_offsets[row])
    return longest


@inlined
def _bare(host: Bytes) -> int:
    """Returns where a host begins without its `www.`."""
    www = len(host) > 4 and host[0] == host[1] == host[2] == 0x77 and host[3] == _DOT
    return 4 if www else 0


@subroutine
def _join(urls: UrlColumns, row: int, skip: int, room: Bytes) -> int:
    """Writes host and rest of a URL one after the other; returns how many bytes."""
    host = urls.host_bytes[urls.host_offsets[row] + skip : urls.host_offsets[row + 1]]
    rest = urls.rest_bytes[urls.rest_offsets[row] : urls.rest_offsets[row + 1]]
    return copy_bytes(rest, room, copy_bytes(host, room, 0))


class Lists(NamedTuple):
    """All lists, ready to look URLs up; made by `curation.lists`."""

    blocked: KeyTable
    """`entry_keys`, and the number of the list."""
    allowed: KeyTable
    """The same of allow lists."""
    words: KeyTable
    """`token_keys` of hard and soft words, and the number of the word."""
    prefixes: KeyTable
    """Keys of all beginnings of strict words; 0, or 1 + the number of the word that ends there."""
    kinds: npt.NDArray[np.uint8]
    """uint8[words], `STRICT`, `HARD` or `SOFT`."""
    lists: npt.NDArray[np.int32]
    """int32[words], the number of the list that a word is in."""


class Found(NamedTuple):
    """What n URLs matched."""

    counts: Ints
    """int64[n, KINDS]: 0 or 1 for entries, the number of different words for the kinds of word."""
    firsts: npt.NDArray[np.uint8]
    """uint8[n], the first kind in their order that matched; `KINDS`: none."""
    lists: npt.NDArray[np.int32]
    """int32[n], the number of the list that this match is in; -1: none."""
    match_offsets: Ints
    match_bytes: Bytes
    """The entry of this match: a domain, a host, a URL without scheme, or a word."""


@kernel
def match_urls(urls: UrlColumns, shown: UrlColumns, lists: Lists, all_signs: int) -> Found:
    """Looks n URLs up.

    Args:
        urls: With hosts in ASCII, empty where there is none.
        shown: The same with hosts in their own script, for words.
        lists: What to look for.
        all_signs: 1 takes all but letters and digits out before strict words are looked for,
            0 only hyphens and full stops.
    """
    n = len(urls.host_offsets) - 1
    longest = max(_longest(urls), _longest(shown))
    room, squeezed = np.empty(longest, np.uint8), np.empty(longest, np.uint8)
    seen = np.zeros(len(lists.kinds), np.int64)
    # A match is a part of one of the two spellings.
    size = len(urls.host_bytes) + len(urls.rest_bytes) + len(shown.host_bytes)
    found = Found(
        np.zeros((n, KINDS), np.int64),
        np.empty(n, np.uint8),
        np.empty(n, np.int32),
        np.zeros(n + 1, np.int64),
        np.empty(size, np.uint8),
    )
    for row in range(n):
        found.match_offsets[row + 1] = found.match_offsets[row]
        found.firsts[row] = KINDS
        found.lists[row] = -1
        host = urls.host_bytes[urls.host_offsets[row] : urls.host_offsets[row + 1]]
        if len(host):
            url = room[: _join(urls, row, _bare(host), room)]
            _match_entries(host, url, lists, found, row)
        text = room[: _join(shown, row, 0, room)]
        _match_tokens(text, lists, found, row, seen)
        part = squeezed[: _squeeze(text, squeezed, all_signs)]
        _match_strict(part, lists, found, row, seen)
    matches = found.match_bytes[: found.match_offsets[n]]
    return Found(found.counts, found.firsts, found.lists, found.match_offsets, matches)


@subroutine
def _match_entries(host: Bytes, url: Bytes, lists: Lists, found: Found, row: int) -> None:
    least = 0 if is_address(host) else label_before(host, len(host))
    at, more = 0, True
    while more:
        _match_entry(host[at:], DOMAIN, lists, found, row)
        more = at < least
        while more and host[at] != _DOT:
            at += 1
        at += 1
    _match_entry(host[_bare(host) :], HOST, lists, found, row)
    _match_entry(url, URL, lists, found, row)


@subroutine
def _match_entry(text: Bytes, kind: int, lists: Lists, found: Found, row: int) -> None:
    key = xxh64(text, 0, len(text), np.uint64(kind))
    number = find(lists.allowed, key)
    if number >= 0:
        _count(found, row, ALLOWED, number, text)
    number = find(lists.blocked, key)
    if number >= 0:
        _count(found, row, BLOCKED_DOMAIN + kind - DOMAIN, number, text)


@subroutine
def _count(found: Found, row: int, kind: int, number: int, match: Bytes) -> None:
    """Counts an entry once, and keeps it if its kind comes before that of another match."""
    found.counts[row, kind] = 1
    _keep(found, row, kind, number, match)


@inlined
def _keep(found: Found, row: int, kind: int, number: int, match: Bytes) -> None:
    if kind < found.firsts[row]:
        found.firsts[row] = kind
        found.lists[row] = number
        start = found.match_offsets[row]
        found.match_offsets[row + 1] = copy_bytes(match, found.match_bytes, start)


@subroutine
def _count_word(found: Found, row: int, word: int, lists: Lists, match: Bytes) -> None:
    kind = int64(lists.kinds[word])
    found.counts[row, kind] += 1
    _keep(found, row, kind, int64(lists.lists[word]), match)


@subroutine
def _match_tokens(text: Bytes, lists: Lists, found: Found, row: int, seen: Ints) -> None:
    """Counts the hard and soft words among the tokens."""
    at = 0
    while at < len(text):
        start = at
        while at < len(text):
            after = _after_token_char(text, at)
            if after < 0:
                break
            at = after
        for seed in range(_HARD_SEED, _SOFT_SEED + 1):
            if at > start:
                word = look_up(lists.words, text, start, at, seed)
                if word >= 0 and seen[word] <= row:
                    seen[word] = row + 1
                    _count_word(found, row, word, lists, text[start:at])
        if at == start:
            at = _after_char(text, at)


@inlined
def _after_token_char(text: Bytes, at: int) -> int:
    """Returns the position after a letter or digit; -1 for any other character."""
    byte = text[at]
    if byte < 0x80:
        return at + 1 if 0x61 <= byte <= 0x7A or 0x30 <= byte <= 0x39 else -1
    return _after_wide(text, at)


@subroutine
def _after_wide(text: Bytes, at: int) -> int:
    code, after = decode(text, at, len(text))
    return after if char_class(code) & WORD else -1


@inlined
def _after_char(text: Bytes, at: int) -> int:
    at += 1
    while at < len(text) and text[at] & 0xC0 == 0x80:
        at += 1
    return at


@subroutine
def _squeeze(text: Bytes, out: Bytes, all_signs: int) -> int:
    """Writes a text without the signs that strict words pass over; returns how many bytes."""
    at = size = 0
    while at < len(text):
        after = _after_token_char(text, at)
        if after < 0:
            after = _after_char(text, at)
            if all_signs or text[at] in (_HYPHEN, _DOT):
                at = after
        while at < after:
            out[size] = text[at]
            size += 1
            at += 1
    return size


@subroutine
def _match_strict(text: Bytes, lists: Lists, found: Found, row: int, seen: Ints) -> None:
    """Counts the strict words that begin at any place of a text."""
    for start in range(len(text)):
        key, at, step = _FNV_OFFSET, start, 0
        while at < len(text) and step >= 0:
            key = _grown(key, text[at])
            at += 1
            step = find(lists.prefixes, key ^ (key >> _SHIFT))
            if step > 0 and seen[step - 1] <= row:
                seen[step - 1] = row + 1
                _count_word(found, row, step - 1, lists, text[start:at])


@inlined
def _grown(key: np.uint64, byte: np.uint8) -> np.uint64:
    return (key ^ np.uint64(byte)) * _FNV_PRIME


@kernel
def token_keys(offsets: Ints, data: Bytes, kinds: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint64]:
    """Returns uint64[n], the keys of n hard and soft words."""
    keys = np.empty(len(kinds), np.uint64)
    for row in range(len(kinds)):
        seed = _HARD_SEED if kinds[row] == HARD else _SOFT_SEED
        keys[row] = xxh64(data, offsets[row], offsets[row + 1], np.uint64(seed))
    return keys


def prefix_keys(word: bytes) -> list[int]:
    """Returns the keys of all beginnings of a strict word, the shortest first."""
    keys, key = [], int(_FNV_OFFSET)
    for byte in word:
        key = (key ^ byte) * int(_FNV_PRIME) & 0xFFFFFFFFFFFFFFFF
        keys.append(key ^ (key >> int(_SHIFT)))
    return keys


@kernel
def fold_words(offsets: Ints, data: Bytes, all_signs: int) -> tuple[Ints, Bytes]:
    """Returns n words in lower case as a column, without the signs that strict words pass over.

    Args:
        offsets: int64[n + 1].
        data: uint8, UTF-8.
        all_signs: As in `match_urls`; -1 takes nothing out.
    """
    size = int64(offsets[-1] - offsets[0])
    room, out = np.empty(3 * size + 8, np.uint8), np.empty(3 * size + 8, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    for row in range(len(offsets) - 1):
        end = fold_text(data[offsets[row] : offsets[row + 1]], room, 0)
        at = bounds[row]
        if all_signs < 0:
            bounds[row + 1] = copy_bytes(room[:end], out, at)
        else:
            bounds[row + 1] = at + _squeeze(room[:end], out[at:], all_signs)
    return bounds, out[: bounds[-1]]
