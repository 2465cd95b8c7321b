"""The bytes of an archive as one stream, which still knows where in the file they lie."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import NamedTuple

from curation.sources.members import HEAD, Accepts, Damage, Piece

_NEWLINES = re.compile(rb"[\r\n]*")


class Place(NamedTuple):
    """Where a record lies in the file as it is stored."""

    offset: int
    """Of the record; in a gzip file, of the member in which it begins."""
    length: int
    """Stored bytes; where several records share a member, the inflated bytes of this one."""
    inner: tuple[int, int] | None = None
    """Of a record that shares a member: its offset and length in the inflated member."""


class Stream:
    """Pieces joined to regions: a region starts with an entry and ends before the next.

    No record crosses into another region, so a wrong length cannot swallow the next entry.

    Args:
        pieces: What the file holds, from an entry on.
        is_entry: Says whether a member that begins with these bytes is an entry.
        start: Offset of the first piece where the file is not compressed; None where it is.
    """

    def __init__(self, pieces: Iterator[Piece], is_entry: Accepts, start: int | None) -> None:
        self._pieces = pieces
        self._is_entry = is_entry
        self._plain = start is not None
        self._base = start or 0
        self._pending = next(self._pieces, None)
        self._joins = False
        self._blank_from = 0
        self._end_offset = 0
        self._marks: list[tuple[int, int]] = []
        self.data = b""
        self.at = 0
        self.damage: Damage | None = None
        """Why the region ends where it does; None for a sound end."""

    @property
    def position(self) -> int:
        """Bytes of the stream before the cursor; the file's offset if it is not compressed."""
        return self._base + self.at

    @property
    def available(self) -> int:
        """Bytes in memory from the cursor on."""
        return len(self.data) - self.at

    def next_region(self) -> bool:
        """Goes on to the next region; False at the end of the pieces."""
        if self._pending is None:
            return False
        self._base += len(self.data)
        self.data, self.at, self._marks, self.damage = b"", 0, [], None
        self.data = self._take(0).data
        return True

    def fill(self, count: int) -> bool:
        """Brings `count` bytes from the cursor on into memory; False if the region has fewer."""
        have = self.available
        if have >= count or not self._joins:
            return have >= count
        parts = [self.data[self.at :]]
        self._base += self.at
        while have < count and self._joins:
            parts.append(self._take(have).data)
            have += len(parts[-1])
        self.data, self.at = b"".join(parts), 0
        return have >= count

    def advance(self, count: int) -> None:
        """Moves the cursor over bytes that are in memory."""
        self.at += min(count, self.available)

    def skip_newlines(self) -> None:
        """Moves the cursor over the empty lines between records."""
        self._blank_from = self.position
        while self.fill(1):
            self.at = self.after_newlines(self.at)
            if self.at < len(self.data):
                return

    def after_newlines(self, index: int) -> int:
        """Returns the first index in `data`, at `index` or after, that is no line end."""
        found = _NEWLINES.match(self.data, index)
        assert found is not None  # matches nothing, too
        return found.end()

    def ended(self) -> bool:
        """Says whether all bytes of the region that are still to come lie in memory."""
        return not self._joins

    def is_spent(self) -> bool:
        """Says whether the region has nothing after the cursor but empty lines."""
        return not self._joins and self.after_newlines(self.at) == len(self.data)

    def in_damage(self, end: int) -> bool:
        """Says whether bytes before the position `end` come from the member that is damaged."""
        return self.damage is not None and not self._joins and end > self._marks[-1][0]

    def rest(self) -> Place:
        """Returns the place of the last member of a region that is read to its end.

        Its length is 0 if records of it were read: they have their own.
        """
        at, offset = self._marks[-1] if self._marks else (self._base, self._base)
        unread = self._blank_from <= at
        if unread:
            return Place(offset, self._end_offset - offset)
        return Place(offset, 0, (self.position - at, 0))

    def place(self, begin: int, end: int) -> Place:
        """Returns where the record lies that takes the positions from `begin` to `end`.

        Positions as `position` counts them; `end` is that of the record's last byte plus one, and
        the bytes after it are in memory up to the next that is no newline.
        """
        if self._plain:
            return Place(begin, end - begin)
        first = max(0, bisect_right(self._marks, (begin, 1 << 62)) - 1)
        del self._marks[:first]
        at, offset = self._marks[0]
        after = self._base + self.after_newlines(end - self._base)
        stop = next((to for mark, to in self._marks[1:] if end <= mark <= after), None)
        if stop is None and self.ended() and after == self._base + len(self.data):
            stop = self._end_offset
        if stop is None or self._blank_from > at:
            return Place(offset, end - begin, (begin - at, end - begin))
        return Place(offset, stop - offset)

    def _take(self, index: int) -> Piece:
        """Makes the pending piece part of the region, at an index of `data`."""
        piece = self._pending
        assert piece is not None
        if piece.first:
            self._marks.append((self._base + index, piece.offset))
        if piece.end is not None:
            self._end_offset = piece.end
        self.damage = piece.damage
        self._pending = next(self._pieces, None)
        self._joins = piece.damage is None and self._is_continuation()
        return piece

    def _is_continuation(self) -> bool:
        piece = self._pending
        if piece is None or not piece.first:
            return piece is not None
        return bool(piece.data or not piece.damage) and not self._is_entry(piece.data[:HEAD])
