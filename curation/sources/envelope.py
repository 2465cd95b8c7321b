"""The heads of records in web archives: WARC's block of named fields, ARC's single line.

Sources: ISO 28500 (WARC 1.0; also its draft 0.17 and its successor 1.1), and the ARC file format
of the Internet Archive, versions 1 and 2.
"""

import re
from datetime import datetime
from typing import NamedTuple, Protocol

from curation.sources.dates import parse_time
from curation.sources.http import header_end, parse_headers
from curation.sources.unreadable import UnreadableError, shown

MOST_HEAD = 1 << 16
"""Most bytes of a WARC head."""
MOST_LINE = 1 << 13
"""Most bytes of an ARC head."""


class Head(NamedTuple):
    """What the head of a record says."""

    kind: str
    """WARC-Type in lower case; "response" or "filedesc" in an ARC file."""
    size: int
    """Bytes of the head."""
    length: int
    """Bytes of the block that follows."""
    record_id: str | None
    url: str | None
    date: str
    created: datetime | None
    content_type: str
    truncated: str | None = None
    """Why the crawler stopped before the end of the block: "length", "time", "disconnect"."""


class Format(Protocol):
    """A file format of web archives."""

    name: str

    def starts(self, data: bytes, at: int = 0) -> bool:
        """Says whether a record begins at `at`."""

    def parse(self, data: bytes, at: int = 0) -> Head:
        """Parses the head at `at`; raises UnreadableError ("bad_header")."""

    def candidate(self, data: bytes, start: int, stop: int) -> int:
        """Returns the first place in [start, stop) that looks like a record's begin, or -1."""


class Warc:
    """WARC 0.17 to 1.1."""

    name = "warc"
    _begin = re.compile(rb"WARC/\d{1,2}\.\d{1,3}\s")
    _candidate = re.compile(rb"\nWARC/\d{1,2}\.\d{1,3}[ \t\r]{0,8}\n[A-Za-z]")

    def starts(self, data: bytes, at: int = 0) -> bool:
        """Says whether a record begins at `at`."""
        return self._begin.match(data, at) is not None

    def candidate(self, data: bytes, start: int, stop: int) -> int:
        """Returns the first place in [start, stop) that looks like a record's begin, or -1."""
        found = self._candidate.search(data, max(0, start - 1))
        return found.start() + 1 if found and found.start() + 1 < stop else -1

    def parse(self, data: bytes, at: int = 0) -> Head:
        """Parses the named fields; raises UnreadableError ("bad_header")."""
        if not self.starts(data, at):
            found = shown(data[at : at + 61])
            raise UnreadableError("bad_header", f"found {found}, expected a WARC record")
        end = header_end(data, at, at + MOST_HEAD)
        if end is None or self._candidate.search(data, at, end[0]):
            found = shown(data[at : at + 61])
            raise UnreadableError("bad_header", f"no blank line ends the head {found}")
        fields = parse_headers(data[at : end[0]])
        length, kind = fields.get("content-length", ""), fields.get("warc-type", "").lower()
        if not (length.isascii() and length.isdigit() and len(length) < 19):
            raise UnreadableError("bad_header", f"Content-Length is {length[:40]!r}")
        if not kind:
            raise UnreadableError("bad_header", "there is no WARC-Type")
        date = fields.get("warc-date", "")
        return Head(
            kind=kind,
            size=end[1] - at,
            length=int(length),
            record_id=_clean(fields.get("warc-record-id")),
            url=_clean(fields.get("warc-target-uri"), "<>"),
            date=date,
            created=parse_time(date),
            content_type=fields.get("content-type", ""),
            truncated=_clean(fields.get("warc-truncated")),
        )


class Arc:
    """ARC, versions 1 (five fields on the line) and 2 (ten)."""

    name = "arc"
    _line = re.compile(rb"[A-Za-z][A-Za-z0-9+.-]{1,19}:[^\n]{1,8000} \d{12,18} [^\n]{1,8000}\n")

    def starts(self, data: bytes, at: int = 0) -> bool:
        """Says whether a record begins at `at`."""
        return self._fields(data, at) is not None

    def candidate(self, data: bytes, start: int, stop: int) -> int:
        """Returns the first place in [start, stop) that looks like a record's begin, or -1."""
        newline = data.find(b"\n", max(0, start - 1), stop)
        while 0 <= newline < stop - 1:
            if self.starts(data, newline + 1):
                return newline + 1
            newline = data.find(b"\n", newline + 1, stop)
        return -1

    def parse(self, data: bytes, at: int = 0) -> Head:
        """Parses the line; raises UnreadableError ("bad_header")."""
        fields = self._fields(data, at)
        if fields is None:
            found = shown(data[at : at + 61])
            raise UnreadableError("bad_header", f"found {found}, expected an ARC record's line")
        url, date, content_type, length = fields
        if not length.isdigit() or len(length) > 18:
            raise UnreadableError("bad_header", f"length is {shown(length)}, URL {url[:200]}")
        return Head(
            kind="filedesc" if url.startswith("filedesc:") else "response",
            size=data.index(b"\n", at) + 1 - at,
            length=int(length),
            record_id=None,
            url=url,
            date=date,
            created=parse_time(date),
            content_type=content_type,
        )

    def _fields(self, data: bytes, at: int) -> tuple[str, str, str, bytes] | None:
        """Returns URL, date, media type and length of the line at `at`; None if it is none."""
        if not self._line.match(data, at, at + MOST_LINE):
            return None
        words = data[at : data.index(b"\n", at)].rstrip(b"\r").split(b" ")
        # Counted from the end, because a URL can hold spaces.
        for date, media, url_end in ((-3, -2, -4), (-8, -7, -9)):
            if len(words) >= -url_end and words[date].isdigit() and 12 <= len(words[date]) <= 18:
                url = b" ".join(words[:url_end]).decode("utf-8", "replace")
                content_type = words[media].decode("latin-1")
                return url.replace("\0", "\ufffd"), words[date].decode(), content_type, words[-1]
        return None


def _clean(value: str | None, around: str = "") -> str | None:
    """Returns a field's value without the brackets that some writers put round it."""
    if value is None:
        return None
    if around and value.startswith(around[0]) and value.endswith(around[1]):
        value = value[1:-1].strip()
    return value.replace("\0", "\ufffd") or None
