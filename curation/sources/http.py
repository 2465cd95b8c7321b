"""HTTP responses as archives store them: status, headers, and the body that they describe."""

import re
from collections.abc import Mapping
from typing import NamedTuple

from curation.sources.coding import Body, dechunk, undo_codings
from curation.sources.unreadable import UnreadableError, shown

_STATUS = re.compile(rb"\s{0,8}(?:HTTP|ICY)\S{0,16}[ \t]{1,8}(\d{3})", re.IGNORECASE)
_FIELD = re.compile(r"^[ \t\r]*([^:\s]+)[ \t]*:[ \t]*([^\n]*)", re.MULTILINE)
_FOLD = re.compile(r"[ \t\r]{0,99}\n[ \t]{1,99}")
_MOST_HEADER_BYTES = 1 << 18


class Response(NamedTuple):
    """A parsed response; `body` is still coded."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case; the first of several equal names counts."""
    body: bytes


def header_end(data: bytes, start: int, stop: int) -> tuple[int, int] | None:
    """Finds the blank line that ends a block of headers.

    Lines end in CR LF, in LF, or (seen in archives) in CR CR LF.

    Returns:
        Where the last header line ends and where the body starts; None if there is no blank line.
    """
    best: tuple[int, int] | None = None
    for blank in (b"\n\r\n", b"\n\n", b"\n\r\r\n"):
        found = data.find(blank, start, stop if best is None else best[0])
        if found >= 0:
            best = (found, found + len(blank))
    return best


def parse_headers(block: bytes) -> dict[str, str]:
    """Parses header lines, with names in lower case; lines that are none are left out.

    They are read as UTF-8, as WARC says, or as Latin-1 where they are not, as HTTP says. A line
    that starts with a space continues the one before; of equal names the first counts.
    """
    try:
        text = block.decode("utf-8")
    except UnicodeDecodeError:
        text = block.decode("latin-1")
    if "\n " in text or "\n\t" in text:
        text = _FOLD.sub(" ", text)
    lines = _FIELD.findall(text)
    return {name.lower(): value.rstrip() for name, value in reversed(lines)}


def parse_response(block: bytes) -> Response:
    """Parses an archived response.

    Raises:
        UnreadableError: There is no status line ("bad_http").
    """
    status = _STATUS.match(block)
    if not status:
        raise UnreadableError("bad_http", f"starts with {shown(block)}, expected a status line")
    end = header_end(block, 0, _MOST_HEADER_BYTES)
    if end is None:
        if len(block) > _MOST_HEADER_BYTES:
            raise UnreadableError("bad_http", f"no end of headers in {_MOST_HEADER_BYTES} bytes")
        end = (len(block), len(block))
    headers = parse_headers(block[status.end() : end[0]].partition(b"\n")[2])
    return Response(int(status[1]), headers, block[end[1] :])


def decode_body(response: Response, limit: int) -> Body:
    """Undoes transfer and content codings.

    Raises:
        UnreadableError: See `undo_codings`.
    """
    body = Body(response.body)
    content = response.headers.get("content-encoding", "").split(",")
    transfer = response.headers.get("transfer-encoding", "").lower().split(",")
    if any(name.strip() == "chunked" for name in transfer):
        body = dechunk(body.data)
    body = undo_codings(body, transfer, limit)
    return undo_codings(body, content, limit)
