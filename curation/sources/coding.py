"""Undoing HTTP's transfer and content codings within a size limit, however wrongly applied.

Archives hold what servers sent: bodies that claim a coding and are not coded, chunks with wrong
sizes, streams that stop early. What can be read of them is read, and the result says so.
"""

import string
import zlib
from collections.abc import Generator, Iterator, Sequence
from typing import NamedTuple

import brotli
import zstandard

from curation.sources.media import looks_like_text
from curation.sources.unreadable import UnreadableError

_HEX = frozenset(string.hexdigits.encode())
_MOST_CODINGS = 4
_STEP = 1 << 18
_ZSTD_FEED = 256  # each 4 bytes can hold a block of 128 kB, and zstd has no output limit
_NONE = frozenset(("", "identity", "none", "binary", "8bit", "7bit", "utf-8", "text", "chunked"))


class Body(NamedTuple):
    """A decoded body."""

    data: bytes
    truncated: bool = False
    """The coded stream stopped early; `data` is what came before."""
    misframed: bool = False
    """A chunk size was wrong; `data` holds the rest as it was."""


def dechunk(data: bytes) -> Body:
    r"""Joins the chunks of a chunked body; a body that is not chunked comes back as it is.

    Examples:
        >>> dechunk(b"3\r\nabc\r\n0\r\n\r\n").data
        b'abc'
        >>> dechunk(b"<html>").data
        b'<html>'
    """
    parts: list[bytes] = []
    at = 0
    while True:
        size, start = _chunk_size(data, at)
        if size is None:
            if at == 0:
                return Body(data)
            parts.append(data[at:])
            return Body(b"".join(parts), truncated=at >= len(data), misframed=at < len(data))
        if size == 0:
            return Body(b"".join(parts))
        parts.append(data[start : start + size])
        if start + size > len(data):
            return Body(b"".join(parts), truncated=True)
        at = start + size
        at += 2 if data[at : at + 2] == b"\r\n" else data[at : at + 1] == b"\n"


def _chunk_size(data: bytes, at: int) -> tuple[int | None, int]:
    """Returns the size that a chunk's first line says (None: no such line), and the line's end."""
    end = data.find(b"\n", at, at + 1024)
    if end < 0:
        return None, at
    digits = data[at:end].split(b";", 1)[0].strip()
    if not 0 < len(digits) <= 8 or not _HEX.issuperset(digits):
        return None, at
    return int(digits, 16), end + 1


def undo_codings(body: Body, codings: Sequence[str], limit: int) -> Body:
    """Undoes content codings, the last applied first.

    Args:
        body: The coded body.
        codings: Names in the order of the header: first applied first.
        limit: Most bytes of any decoded form.

    Raises:
        UnreadableError: "bad_content_encoding", or "record_too_large" where a form exceeds `limit`.
    """
    names = [name for raw in codings if (name := raw.strip().lower()) not in _NONE]
    if not names:
        return body
    if len(names) > _MOST_CODINGS:
        raise UnreadableError("bad_content_encoding", f"{len(names)} codings: {names[0][:40]}, ...")
    for name in reversed(names):
        data, ended = _undo(body.data, name.removeprefix("x-"), limit)
        body = body._replace(data=data, truncated=body.truncated or not ended)
    return body


def _undo(data: bytes, name: str, limit: int) -> tuple[bytes, bool]:
    """Returns the decoded bytes, and whether the stream came to its end."""
    coder = {"gzip": _gzip, "deflate": _deflate, "br": _brotli, "zstd": _zstd}.get(name)
    if coder is None:
        problem = f"unknown content encoding {name[:40]!r}"
    else:
        try:
            return _collect(coder(data), limit)
        except (zlib.error, brotli.error, zstandard.ZstdError) as error:
            problem = f"{name}: {' '.join(str(error).split()) or 'damaged stream'}"
    # Many crawlers store the decoded body under the headers of the coded one.
    if looks_like_text(data):
        return data, True
    raise UnreadableError("bad_content_encoding", problem)


def _collect(steps: Iterator[bytes | None], limit: int) -> tuple[bytes, bool]:
    """Joins the steps of a decoder; a final None says that the stream did not end."""
    parts: list[bytes] = []
    size = 0
    for part in steps:
        if part is None:
            return b"".join(parts), False
        parts.append(part)
        size += len(part)
        if size > limit:
            raise UnreadableError(
                "record_too_large", f"the decoded body has more than {limit} bytes"
            )
    return b"".join(parts), True


def _gzip(data: bytes) -> Iterator[bytes | None]:
    if not data.startswith(b"\x1f\x8b"):
        raise zlib.error("no gzip header")
    while data.startswith(b"\x1f\x8b"):  # several members are one body
        data = yield from _inflate(data, 31)


def _deflate(data: bytes) -> Iterator[bytes | None]:
    # The standard means zlib's format; some servers send the bare stream.
    has_header = len(data) > 1 and data[0] & 15 == 8 and (data[0] * 256 + data[1]) % 31 == 0
    yield from _inflate(data, 15 if has_header else -15)


def _inflate(data: bytes, window_bits: int) -> Generator[bytes | None, None, bytes]:
    inflate = zlib.decompressobj(window_bits)
    feed = data
    while not inflate.eof:
        part = inflate.decompress(feed, _STEP)
        feed = inflate.unconsumed_tail
        yield part
        if not part and not feed and not inflate.eof:
            yield None
            return b""
    return inflate.unused_data


def _brotli(data: bytes) -> Iterator[bytes | None]:
    decoder = brotli.Decompressor()
    feed = data
    while not decoder.is_finished():
        part = decoder.process(feed, output_buffer_limit=_STEP)
        feed = b""
        yield part
        if not part and decoder.can_accept_more_data():
            yield None
            return


def _zstd(data: bytes) -> Iterator[bytes | None]:
    decoder = zstandard.ZstdDecompressor().decompressobj()
    for at in range(0, len(data), _ZSTD_FEED):
        yield decoder.decompress(data[at : at + _ZSTD_FEED])
        if decoder.eof:
            return
    yield None
