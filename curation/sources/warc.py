"""Web archives: WARC 0.17 to 1.1, WET, and ARC; plain, gzip by record, gzip as one, Zstandard.

Documents are responses, conversions (the texts of WET files), and resources that are text. Other
records are counted by type. A WARC file of one gzip member for each record can be entered
anywhere, so one large file makes many shards.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, field_validator

from curation.source import InputFile, Record, Source, Split
from curation.sources.archive import Archive, Envelope
from curation.sources.charset import decode
from curation.sources.coding import Body
from curation.sources.envelope import Head
from curation.sources.http import Response, decode_body, parse_response
from curation.sources.media import HTML, PLAIN, check_declared, document_type, split_type
from curation.sources.opening import RawFile
from curation.sources.unreadable import UnreadableError

_TYPES = frozenset(
    ("warcinfo", "request", "metadata", "revisit", "resource", "continuation", "filedesc")
)


class WarcSource(Source):
    """WARC, WET and ARC files."""

    kind: Literal["warc"]
    max_record_bytes: int = Field(default=32 << 20, ge=1 << 10)
    """Longest record, stored or decoded, in bytes; longer ones become "record_too_large"."""
    statuses: tuple[int, ...] = (2,)
    """Classes of HTTP status that are documents (2: 200 to 299); others become "http_status"."""

    @field_validator("statuses")
    @classmethod
    def _check_statuses(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not value or not all(1 <= status <= 9 for status in value):
            raise ValueError("expected classes of HTTP status, such as [2] or [2, 4]")
        return value

    def can_cut(self, file: InputFile) -> bool:
        """Says whether a reader can find the first record after any byte offset of the file."""
        if file.size <= self.split_bytes:
            return False
        with RawFile(file) as raw:
            return Archive(raw, self.max_record_bytes).can_cut()

    def read(self, split: Split, skipped: Counter[str]) -> Iterator[Record]:
        """Yields the documents of a split, and what could not be read, in file order."""
        stop = None if split.end >= split.file.size else split.end
        with RawFile(split.file) as raw:
            archive = Archive(raw, self.max_record_bytes)
            for envelope in archive.envelopes(split.start, stop):
                record = self._record(split.file.name, envelope, skipped)
                if record:
                    yield record

    def _record(self, file: str, envelope: Envelope, skipped: Counter[str]) -> Record | None:
        head, place = envelope.head, envelope.place
        meta: dict[str, Any] = {}
        if place.inner:
            meta["member_range"] = list(place.inner)
        record = Record(
            record_id=_record_id(file, envelope),
            text=None,
            offset=place.offset,
            length=place.length,
            url=head.url if head else None,
            media_type=None,
            created=head.created if head else None,
            meta=meta,
        )
        try:
            if envelope.error:
                raise UnreadableError(*envelope.error)
            assert head is not None  # the only envelopes without one are errors
            if not _is_document(head):
                skipped[head.kind if head.kind in _TYPES else "other"] += 1
                return None
            text, media_type = self._text(head, envelope.block, meta)
        except UnreadableError as error:
            return record._replace(error=error.code, detail=error.detail)
        return record._replace(text=text, media_type=media_type)

    def _text(self, head: Head, block: bytes, meta: dict[str, Any]) -> tuple[str, str]:
        """Returns text and media type of a document; what else is known goes into `meta`."""
        if not block or block.isspace():
            raise UnreadableError("empty_body", "the record has an empty block")
        response = self._response(head, block)
        if response:
            meta["http_status"] = response.status
            if response.status // 100 not in self.statuses:
                raise UnreadableError("http_status", str(response.status))
            content_type = response.headers.get("content-type", "")
            check_declared(split_type(content_type)[0])
            body = decode_body(response, self.max_record_bytes)
        else:
            content_type, body = head.content_type, Body(block)
        meta["content_type"] = content_type[:200]
        _note_losses(head, body, meta)
        return _decoded(content_type, body.data, meta)

    @staticmethod
    def _response(head: Head, block: bytes) -> Response | None:
        """Returns the HTTP response that a block holds; None if it holds a bare body."""
        if block[:5].upper() == b"HTTP/" or head.content_type.startswith("application/http"):
            return parse_response(block) if head.kind == "response" else None
        return None


def _is_document(head: Head) -> bool:
    if head.kind == "resource":
        if (head.url or "").startswith("metadata:"):
            return False  # Wget's own log, manifest and arguments
        return split_type(head.content_type)[0] in (HTML, PLAIN, "application/xhtml+xml")
    return head.kind in ("response", "conversion")


def _record_id(file: str, envelope: Envelope) -> str:
    head, place = envelope.head, envelope.place
    if head and head.record_id:
        return head.record_id
    position = f"{place.offset}+{place.inner[0]}" if place.inner else str(place.offset)
    if head and head.url and head.date.isdigit():
        # ARC has no ids: the record's own facts and place, so that they outlive a renamed file.
        return f"arc:{head.date}:{position}:{head.url}"
    return f"{file}:{position}"


def _note_losses(head: Head, body: Body, meta: dict[str, Any]) -> None:
    if head.truncated:
        meta["truncated"] = head.truncated
    elif body.truncated:
        meta["truncated"] = "body"
    if body.misframed:
        meta["chunks"] = "damaged"


def _decoded(content_type: str, data: bytes, meta: dict[str, Any]) -> tuple[str, str]:
    declared, charset = split_type(content_type)
    if not data or data.isspace():
        raise UnreadableError("empty_body", "the body is empty")
    media_type = document_type(declared, data)
    decoded = decode(data, charset, markup=media_type == HTML)
    meta["charset"], meta["charset_from"] = decoded.charset, decoded.found_by
    if decoded.undecodable:
        meta["undecodable"] = decoded.undecodable
    if b"\0" in data and (nulls := decoded.text.count("\0")):
        meta["nulls"] = nulls
        return decoded.text.replace("\0", "\ufffd"), media_type
    return decoded.text, media_type
