"""Gzip files as pieces of inflated bytes, member by member, past damage and from the middle.

A web archive is a chain of gzip members, most often one for each record. Members that begin with
a record are *entries*: a reader can start there. Damage in a member costs that member only:
reading goes on at the next entry.
"""

import zlib
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from curation.sources.opening import RawFile

PIECE = 1 << 20
"""Most inflated bytes in a piece; a gigabyte member is many pieces."""
FEED = 1 << 16
HEAD = 1 << 13
"""Inflated bytes of a member that decide whether it is an entry."""
CHAIN = 1 << 16
"""Compressed bytes over which members must follow one another before a chain is believed.

An archive inside an archive is found in the file's bytes only where deflate stored it as it was,
in blocks of at most 65,535 bytes, each with a header of its own. So a chain of inner members
breaks before this length; the real chain does not.
"""
MAGIC = b"\x1f\x8b\x08"

Accepts = Callable[[bytes], bool]
Damage = tuple[str, str]
"""Reason code and detail."""


class Piece(NamedTuple):
    """Consecutive inflated bytes of one gzip member."""

    offset: int
    """Where the member begins in the file."""
    data: bytes
    first: bool = True
    """The member begins with this piece."""
    end: int | None = None
    """Where the member ends in the file; None while more pieces of it follow."""
    damage: Damage | None = None
    """Why nothing of the member comes after this piece."""


def gzip_pieces(raw: RawFile, start: int, stop: int | None, accepts: Accepts) -> Iterator[Piece]:
    """Yields the members that begin in [start, stop), in file order.

    Args:
        raw: The file.
        start: Where a member begins.
        stop: None reads to the end of the file.
        accepts: Says from the first `HEAD` inflated bytes whether a member is an entry; decides
            where reading goes on after damage.
    """
    at = start
    while (stop is None or at < stop) and (found := raw.all_at(at, len(MAGIC))):
        if found == MAGIC:
            at = yield from _member(raw, at, accepts)
        elif found[0] == 0:
            at = _after_zeros(raw, at)  # tapes and some writers pad with them
        else:
            resume = next_entry(raw, at + 1, accepts)
            damage = ("bad_gzip", f"{_count(resume - at)} that are no gzip member")
            yield Piece(at, b"", end=resume, damage=damage)
            at = resume


def _member(raw: RawFile, at: int, accepts: Accepts) -> Generator[Piece, None, int]:
    """Yields the pieces of one member; returns where to go on."""
    inflate = zlib.decompressobj(31)
    parts: list[bytes] = []
    before, size, position = 0, 0, at  # inflated before this piece, and in it
    while not inflate.eof:
        feed: memoryview | bytes = inflate.unconsumed_tail
        if not feed:
            feed = raw.at(position, FEED)
            position += len(feed)
        try:
            parts.append(inflate.decompress(feed, PIECE - size))
        except zlib.error as error:
            resume = next_entry(raw, at + 1, accepts)
            data = _inflate_until_damage(raw, at, before)
            yield Piece(at, data, before == 0, resume, ("bad_gzip", str(error)))
            return resume
        if not feed and not parts[-1] and not inflate.eof:
            # Also where bytes are missing, and what follows is inflated as part of this member.
            resume = next_entry(raw, at + 1, accepts)
            damage = ("truncated_record", "a gzip member has no end")
            yield Piece(at, b"".join(parts), before == 0, resume, damage)
            return resume
        size += len(parts[-1])
        if size == PIECE and not inflate.eof:
            yield Piece(at, b"".join(parts), before == 0)
            before, size, parts = before + size, 0, []
    end = position - len(inflate.unused_data)
    yield Piece(at, b"".join(parts), before == 0, end)
    return end


def _inflate_until_damage(raw: RawFile, at: int, skip: int) -> bytes:
    """Returns what a damaged member holds after its first `skip` inflated bytes, to the last byte.

    zlib gives nothing of the call that fails, so that call is made again byte by byte.
    """
    if not raw.seekable:
        return b""
    inflate = zlib.decompressobj(31)
    parts: list[bytes] = []
    made, position = 0, at
    while True:
        feed: memoryview | bytes = inflate.unconsumed_tail
        if not feed:
            feed = raw.at(position, FEED)
            position += len(feed)
        before = inflate.copy()
        try:
            part = inflate.decompress(feed, PIECE)
        except zlib.error:
            parts.append(_bytewise(before, feed)[max(0, skip - made) :])
            return b"".join(parts)[:PIECE]
        if not feed and not part:
            return b"".join(parts)
        if made + len(part) > skip:
            parts.append(part[max(0, skip - made) :])
        made += len(part)


def _bytewise(inflate: "zlib._Decompress", feed: memoryview | bytes) -> bytes:
    data = bytearray()
    for position in range(len(feed)):
        try:
            data += inflate.decompress(feed[position : position + 1])
        except zlib.error:
            break
    return bytes(data)


def _after_zeros(raw: RawFile, at: int) -> int:
    while block := raw.at(at):
        rest = bytes(block).lstrip(b"\0")
        if rest:
            return at + len(block) - len(rest)
        at += len(block)
    return at


def _count(size: int) -> str:
    return f"{size} byte{'' if size == 1 else 's'}"


def next_entry(raw: RawFile, at: int, accepts: Accepts) -> int:
    """Returns where the next entry begins, at `at` or after; the file's end where there is none.

    Gzip's magic also occurs by chance in compressed data: a place counts only if inflating from
    there gives what `accepts` accepts.
    """
    if not raw.seekable:
        return _end(raw, at)
    while block := raw.all_at(at, PIECE):
        found = block.find(MAGIC)
        while found >= 0:
            if accepts(peek(raw, at + found)):
                return at + found
            found = block.find(MAGIC, found + 1)
        if len(block) < PIECE:
            return at + len(block)
        at += len(block) - len(MAGIC) + 1
    return at


def _end(raw: RawFile, at: int) -> int:
    while block := raw.at(at):
        at += len(block)
    return at


def peek(raw: RawFile, at: int) -> bytes:
    """Returns the first `HEAD` inflated bytes of a member; nothing where it is damaged."""
    inflate = zlib.decompressobj(31)
    try:
        return inflate.decompress(raw.all_at(at, 2 * HEAD), HEAD)
    except zlib.error:
        return b""


def chain_entry(raw: RawFile, at: int, accepts: Accepts) -> int:
    """Returns the next entry from which a whole chain of members follows; else the file's end.

    Depends on the bytes after `at` only. So the reader of a byte range and the reader of the
    range before agree on where one stops and the other starts.
    """
    while True:
        entry = next_entry(raw, at, accepts)
        broken = _chain_break(raw, entry)
        if broken is None:
            return entry
        at = broken + 1


def _chain_break(raw: RawFile, entry: int) -> int | None:
    """Returns where, within `CHAIN` bytes, a member fails that should follow; None if none does."""
    at = entry
    while at - entry < CHAIN and (found := raw.at(at, 1)):
        if found[0] == 0:
            at = _after_zeros(raw, at)
            continue
        end = member_end(raw, at, entry + CHAIN)
        if end is None:
            return at
        at = end
    return None


def member_end(raw: RawFile, at: int, enough: int) -> int | None:
    """Returns where a member ends, or any place from `enough` on; None if it is damaged."""
    inflate = zlib.decompressobj(31)
    position = at
    try:
        while not inflate.eof and position < enough:
            feed: memoryview | bytes = inflate.unconsumed_tail
            if not feed:
                feed = raw.at(position, FEED)
                position += len(feed)
            if not feed:
                return position
            inflate.decompress(feed, PIECE)
    except zlib.error:
        return None
    return position - len(inflate.unused_data)
