"""Records of web archives one after another, with damage between them told and passed over.

Where lengths are wrong, the reader looks for what is plainly the begin of a record. So a
truncated record costs itself and not the next one.
"""

from collections.abc import Iterator
from typing import NamedTuple

from curation.source import InputFile
from curation.sources.compression import Compression, compression_of, plain_pieces, zstd_pieces
from curation.sources.envelope import MOST_HEAD, MOST_LINE, Arc, Format, Head, Warc
from curation.sources.members import Damage, chain_entry, gzip_pieces, member_end, peek
from curation.sources.opening import RawFile
from curation.sources.stream import Place, Stream
from curation.sources.unreadable import UnreadableError

_LOOK = MOST_LINE
"""Bytes looked at after a record, to see whether another begins there."""
_CUT_PROBE = 4 << 20
"""A file whose second entry lies further in than this is not cut."""
_MOST_KNOWN = 256


class Envelope(NamedTuple):
    """A record as the archive holds it, or a stretch of the file that is none."""

    place: Place
    head: Head | None
    block: bytes
    error: Damage | None = None
    """Reason code and detail; then the block is empty."""


class Archive:
    """A web archive that is open for reading.

    Args:
        raw: The stored bytes.
        limit: Longest block, in bytes, that is brought into memory.
    """

    def __init__(self, raw: RawFile, limit: int) -> None:
        self.raw = raw
        self.limit = limit
        self.compression: Compression = compression_of(raw)
        self.format = self._format()

    def _format(self) -> Format:
        arc = Arc()
        head = self.raw.all_at(0, MOST_LINE) if self.compression == "none" else peek(self.raw, 0)
        if arc.starts(head.lstrip(b"\r\n")):
            return arc
        damaged = not Warc().starts(head.lstrip(b"\r\n"))
        return arc if damaged and ".arc" in self.raw.name.lower() else Warc()

    def is_entry(self, data: bytes) -> bool:
        """Says whether a member that begins with these bytes begins with a record."""
        return self.format.starts(data.lstrip(b"\r\n"))

    def can_cut(self) -> bool:
        """Says whether records can be found after any offset, without reading what is before.

        Of an uncompressed file all heads before the offset have to be read: that is quick on a
        local disk only.
        """
        if self.compression == "none":
            return "://" not in self.raw.file.url
        if self.compression != "gzip" or not self.raw.seekable:
            return False
        at = member_end(self.raw, 0, _CUT_PROBE)
        while at is not None and at < _CUT_PROBE and self.raw.at(at, 1):
            if self.is_entry(peek(self.raw, at)):
                return True
            at = member_end(self.raw, at, _CUT_PROBE)
        return False

    def envelopes(self, start: int, stop: int | None) -> Iterator[Envelope]:
        """Yields what begins in [start, stop); None: up to the end of the file."""
        if self.compression == "none":
            yield from self._plain(start, stop)
            return
        if self.compression == "gzip":
            first = chain_entry(self.raw, start, self.is_entry) if start else 0
            last = None if stop is None else chain_entry(self.raw, stop, self.is_entry)
            pieces = gzip_pieces(self.raw, first, last, self.is_entry)
        else:
            pieces = zstd_pieces(self.raw)
        yield from self._read(Stream(pieces, self.is_entry, None))

    def _plain(self, start: int, stop: int | None) -> Iterator[Envelope]:
        known = _known_begins(self.raw.file)
        begin = max(at for at in known if at <= start)
        stream = Stream(plain_pieces(self.raw, begin), _never, begin)
        for envelope in self._read(stream):
            if stop is not None and envelope.place.offset >= stop:
                known.add(envelope.place.offset)
                return
            if envelope.place.offset >= start:
                yield envelope

    def _read(self, stream: Stream) -> Iterator[Envelope]:
        while stream.next_region():
            while envelope := self._next(stream):
                yield envelope
            if stream.damage:
                yield Envelope(stream.rest(), None, b"", stream.damage)

    def _next(self, stream: Stream) -> Envelope | None:
        stream.skip_newlines()
        if not stream.fill(1):
            return None
        begin = stream.position
        stream.fill(MOST_HEAD)
        try:
            head = self.format.parse(stream.data, stream.at)
        except UnreadableError as error:
            stream.advance(1)
            self._pass_over(stream, None)
            return self._envelope(stream, begin, None, (error.code, error.detail))
        if head.length > self.limit:
            stream.advance(head.size)
            passed = self._pass_over(stream, head.length)
            what = f"{head.length} bytes, limit {self.limit}"
            if passed < head.length:
                what = f"{passed} of {head.length} bytes"
            code = "truncated_record" if passed < head.length else "record_too_large"
            return self._envelope(stream, begin, head, (code, what))
        return self._take(stream, head)

    def _take(self, stream: Stream, head: Head) -> Envelope:
        """Takes a record whose block fits into memory."""
        begin, total = stream.position, head.size + head.length
        stream.fill(total + _LOOK)
        error = None
        if stream.available < total or not self._record_follows(stream, stream.at + total):
            total, error = self._real_size(stream, head)
        block = stream.data[stream.at + head.size : stream.at + total]
        stream.advance(total)
        return self._envelope(stream, begin, head, error, block)

    def _real_size(self, stream: Stream, head: Head) -> tuple[int, Damage | None]:
        """Returns where a record ends after which none follows, and what is wrong with it."""
        total = head.size + head.length
        whole = stream.available >= total
        stop = stream.at + total if whole else len(stream.data)
        following = self.format.candidate(stream.data, stream.at + head.size + 1, stop)
        if following >= 0 or not whole:
            total = (following if following >= 0 else stop) - stream.at
            return total, ("truncated_record", f"{total - head.size} of {head.length} bytes")
        rest = self.format.candidate(stream.data, stop, len(stream.data))
        if stream.in_damage(stream.position + total) and rest < 0:
            # The member went wrong inside this record: what was inflated since is not its text.
            return stream.available, stream.damage
        return total, None

    def _record_follows(self, stream: Stream, index: int) -> bool:
        """Says whether, after empty lines, a record begins or the region ends."""
        index = stream.after_newlines(index)
        return index >= len(stream.data) or self.format.starts(stream.data, index)

    def _pass_over(self, stream: Stream, count: int | None) -> int:
        """Moves over `count` bytes (None: all), at most to what looks like a record's begin.

        Returns:
            Bytes passed over.
        """
        passed = 0
        while (count is None or passed < count) and stream.fill(1):
            stream.fill(2 * _LOOK)
            window = min(stream.available, stream.available if count is None else count - passed)
            found = self.format.candidate(stream.data, stream.at + 1, stream.at + window)
            if found >= 0:
                window = found - stream.at
            elif window + _LOOK > stream.available and not stream.ended():
                window -= _LOOK  # the begin of a record may lie across the end of what is loaded
            stream.advance(window)
            passed += window
            if found >= 0:
                break
        return passed

    @staticmethod
    def _envelope(
        stream: Stream,
        begin: int,
        head: Head | None,
        error: Damage | None,
        block: bytes = b"",
    ) -> Envelope:
        """Builds the envelope of what ends at the cursor.

        Damage that ends the region is charged to the last record before it: of a member that
        fails its checksum no byte can be trusted, and mostly it is the member's only record.
        """
        stream.fill(_LOOK)
        place = stream.place(begin, stream.position)
        if stream.damage and stream.in_damage(stream.position) and stream.is_spent():
            if stream.damage[0] != "truncated_record":
                error, stream.damage = stream.damage, None
            elif error:
                stream.damage = None
        return Envelope(place, head, b"" if error else block, error)


_KNOWN: dict[InputFile, set[int]] = {}


def _known_begins(file: InputFile) -> set[int]:
    """Returns where records are known to begin in an uncompressed file.

    Each split ends where the next begins, so a process that reads several splits of a file need
    not read the heads before them again. Only speed depends on what is remembered.
    """
    if len(_KNOWN) >= _MOST_KNOWN:
        _KNOWN.clear()
    return _KNOWN.setdefault(file, {0})


def _never(data: bytes) -> bool:  # noqa: ARG001
    return False
