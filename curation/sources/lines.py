"""Lines of text files, plain or compressed, from any byte offset, however long they are."""

from collections.abc import Iterator
from typing import NamedTuple

from curation.sources.compression import compression_of, plain_pieces, zstd_pieces
from curation.sources.members import Damage, Piece, gzip_pieces
from curation.sources.opening import RawFile

_BOM = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """One line without its line end; or damage, which is where some lines are missing."""

    offset: int
    """Of its first byte; in a compressed file, counted in decompressed bytes."""
    length: int
    """Bytes, with the line end."""
    data: bytes
    error: Damage | None = None
    """Reason code and detail; then `data` is empty."""


def can_cut_lines(raw: RawFile) -> bool:
    """Says whether lines can be found from any offset: the file is plain and can be sought."""
    return compression_of(raw) == "none" and raw.seekable


def pieces_of(raw: RawFile, start: int = 0) -> Iterator[Piece]:
    """Yields the decompressed bytes of a file; `start` is 0 if it is compressed."""
    kind = compression_of(raw)
    if kind == "gzip":
        return gzip_pieces(raw, 0, None, bool)
    return zstd_pieces(raw) if kind == "zstd" else plain_pieces(raw, start)


def lines(raw: RawFile, start: int, stop: int | None, limit: int) -> Iterator[Line]:
    """Yields the lines that begin in [start, stop); memory holds one line of at most `limit`.

    Args:
        raw: The file.
        start: 0 for a compressed file, which is read whole.
        stop: None reads to the end of the file.
        limit: Bytes; a longer line has the error "record_too_large" and is never held whole.
    """
    splitter = _Splitter(max(0, start - 1), limit)
    for piece in pieces_of(raw, splitter.offset):
        for line in splitter.split(piece):
            if stop is not None and line.offset >= stop:
                return
            if line.offset >= start:
                yield line
        if stop is not None and splitter.offset >= stop:
            return
    for line in splitter.finish():
        if line.offset >= start and (stop is None or line.offset < stop):
            yield line


class _Splitter:
    """Cuts pieces into lines; keeps the begin of a line that goes on in the next piece."""

    def __init__(self, offset: int, limit: int) -> None:
        self.offset = offset
        """Where the line begins that is being read."""
        self._limit = limit
        self._parts: list[bytes] = []
        self._held = 0
        self._passed = 0
        """Bytes of a line that is over the limit: counted, not held."""

    def split(self, piece: Piece) -> Iterator[Line]:
        data, at = piece.data, 0
        while (end := data.find(b"\n", at)) >= 0:
            self._hold(data[at : end + 1])
            yield self._line()
            at = end + 1
        self._hold(data[at:])
        if piece.damage:
            yield self._damaged(piece.damage)

    def finish(self) -> Iterator[Line]:
        if self._held or self._passed:
            yield self._line()

    def _hold(self, part: bytes) -> None:
        if self._passed or self._held + len(part) > self._limit + 2:
            self._passed += self._held + len(part)
            self._parts, self._held = [], 0
        elif part:
            self._parts.append(part)
            self._held += len(part)

    def _line(self) -> Line:
        length = self._held + self._passed
        data = b"".join(self._parts).rstrip(b"\r\n")
        if self.offset == 0:
            data = data.removeprefix(_BOM)
        line = Line(self.offset, length, data)
        if self._passed or len(data) > self._limit:
            error = ("record_too_large", f"{length} bytes, limit {self._limit}")
            line = Line(self.offset, length, b"", error)
        self._next(length)
        return line

    def _damaged(self, damage: Damage) -> Line:
        """Gives up what is held of a line: its end is lost."""
        length = self._held + self._passed
        line = Line(self.offset, length, b"", damage)
        # One further, so that the damage and the line after it never share an offset.
        self._next(max(1, length))
        return line

    def _next(self, length: int) -> None:
        self.offset += length
        self._parts, self._held, self._passed = [], 0, 0
