"""How a file is compressed, told by its bytes, and pieces of files that are not gzip."""

from collections.abc import Iterator
from typing import Literal

import zstandard

from curation.sources.members import MAGIC, PIECE, Damage, Piece
from curation.sources.opening import RawFile

Compression = Literal["gzip", "zstd", "none"]

_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_ZSTD_SKIPPABLE = b"\x2a\x4d\x18"  # after a byte 0x50 to 0x5f
_ZSTD_FEED = 1 << 10
"""Compressed bytes decoded at once: at worst, 4 bytes hold a block of 128 kB."""


def compression_of(raw: RawFile) -> Compression:
    """Returns how a file is compressed; its name decides only where its first bytes are damaged."""
    head = raw.all_at(0, 4)
    if head[: len(MAGIC)] == MAGIC:
        return "gzip"
    if head == _ZSTD_MAGIC or (head[1:] == _ZSTD_SKIPPABLE and head[0] >> 4 == 5):
        return "zstd"
    name = raw.name.lower()
    binary = any(byte < 9 or byte > 126 for byte in head)
    if binary and name.endswith((".gz", ".zst")):
        return "gzip" if name.endswith(".gz") else "zstd"
    return "none"


def plain_pieces(raw: RawFile, start: int = 0) -> Iterator[Piece]:
    """Yields the bytes of an uncompressed file from `start` on."""
    at = start
    while block := raw.at(at, PIECE):
        yield Piece(at, bytes(block), first=at == start)
        at += len(block)


def zstd_pieces(raw: RawFile) -> Iterator[Piece]:
    """Yields the decoded bytes of a Zstandard file, all its frames as one; damage ends it."""
    parts: list[bytes] = []
    size, first = 0, True
    for data in _zstd_steps(raw):
        if isinstance(data, tuple):
            yield Piece(0, b"".join(parts), first, damage=data)
            return
        parts.append(data)
        size += len(data)
        if size >= PIECE:
            yield Piece(0, b"".join(parts), first)
            parts, size, first = [], 0, False
    yield Piece(0, b"".join(parts), first)


def _zstd_steps(raw: RawFile) -> Iterator[bytes | Damage]:
    decoder, at, between = zstandard.ZstdDecompressor().decompressobj(), 0, True
    while feed := bytes(raw.at(at, _ZSTD_FEED)):
        try:
            yield decoder.decompress(feed)
        except zstandard.ZstdError as error:
            yield ("bad_zstd", " ".join(str(error).split()))
            return
        at += len(feed) - len(decoder.unused_data)
        between = decoder.eof
        if between:
            decoder = zstandard.ZstdDecompressor().decompressobj()
    if not between:
        yield ("truncated_record", "the file ends inside a zstd frame")
