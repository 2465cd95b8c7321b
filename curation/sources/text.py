"""Plain text files: one document a file, a line or a paragraph."""

from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field, model_validator

from curation.source import InputFile, Record, Source, Split
from curation.sources.charset import Decoded, decode, decode_as, standard_name
from curation.sources.hygiene import replace_bad
from curation.sources.lines import Line, can_cut_lines, lines, pieces_of
from curation.sources.opening import RawFile


class TextSource(Source):
    """Text files; gzip and Zstandard, too."""

    kind: Literal["text"]
    unit: Literal["file", "line", "paragraph"] = "file"
    """What one document is; paragraphs are separated by blank lines."""
    charset: str | None = None
    """Charset of all files; default: told by the bytes for whole files, else UTF-8."""
    max_record_bytes: int = Field(default=32 << 20, ge=1 << 10)
    """Longest document in bytes; longer ones become "record_too_large"."""

    @model_validator(mode="after")
    def _check_charset(self) -> "TextSource":
        if self.charset is not None:
            name = standard_name(self.charset)
            if name is None:
                raise ValueError(f"unknown charset '{self.charset}'; expected e.g. utf-8, latin1")
            if name.startswith("utf-16") and self.unit != "file":
                raise ValueError(f'{name} has no byte-wise lines; expected unit = "file"')
        return self

    def can_cut(self, file: InputFile) -> bool:
        """Says whether the file is plain and its documents are lines."""
        if file.size <= self.split_bytes or self.unit != "line":
            return False
        with RawFile(file) as raw:
            return can_cut_lines(raw)

    def read(self, split: Split, skipped: Counter[str]) -> Iterator[Record]:
        """Yields the documents of a split, and what could not be read, in file order."""
        stop = None if split.end >= split.file.size else split.end
        with RawFile(split.file) as raw:
            if self.unit == "file":
                yield from self._whole(raw, skipped)
                return
            found = lines(raw, split.start, stop, self.max_record_bytes)
            if self.unit == "paragraph":
                found = _paragraphs(found, self.max_record_bytes)
            for line in found:
                if line.error or not _is_blank(line.data):
                    yield self._record(f"{raw.name}:{line.offset}", line)

    def _whole(self, raw: RawFile, skipped: Counter[str]) -> Iterator[Record]:
        line = whole_file(raw, self.max_record_bytes)
        if line.length == 0 and not line.error:
            skipped["empty_file"] += 1
            return
        yield self._record(raw.name, line)

    def _record(self, record_id: str, line: Line) -> Record:
        record = Record(record_id, None, line.offset, line.length)
        if line.error:
            return record._replace(error=line.error[0], detail=line.error[1])
        text, meta = clean_text(self._decode(line.data))
        if self.unit != "file" and meta["charset_from"] == "assumed":
            del meta["charset"], meta["charset_from"]
        return record._replace(text=text, meta=meta or None)

    def _decode(self, data: bytes) -> Decoded:
        if self.charset is not None:
            return decode_as(data, self.charset, "recipe")
        return decode(data) if self.unit == "file" else decode_as(data, "utf-8", "assumed")


def whole_file(raw: RawFile, limit: int) -> Line:
    """Reads a file as one stretch, decompressed if need be.

    Returns:
        Its bytes; or the reason why not, "record_too_large" for one of more than `limit` bytes.
    """
    parts: list[bytes] = []
    size = 0
    for piece in pieces_of(raw):
        size += len(piece.data)
        if piece.damage:
            return Line(0, raw.file.size, b"", piece.damage)
        if size > limit:
            error = ("record_too_large", f"more than {limit} bytes")
            return Line(0, raw.file.size, b"", error)
        parts.append(piece.data)
    return Line(0, raw.file.size or size, b"".join(parts))


def clean_text(decoded: Decoded) -> tuple[str, dict[str, Any]]:
    """Returns the text without NULs, and what to note in `meta` on its charset and losses."""
    meta: dict[str, Any] = {"charset": decoded.charset, "charset_from": decoded.found_by}
    if decoded.undecodable:
        meta["undecodable"] = decoded.undecodable
    text, replaced = replace_bad(decoded.text) if "\0" in decoded.text else (decoded.text, 0)
    if replaced:
        meta["replaced"] = replaced
    return text, meta


def _is_blank(data: bytes) -> bool:
    return not data or data.isspace()


def _paragraphs(found: Iterator[Line], limit: int) -> Iterator[Line]:
    """Joins lines up to the next blank one; a paragraph over the limit is counted, not held."""
    offset, length = 0, 0
    held: list[bytes] = []
    for line in found:
        if not line.error and not _is_blank(line.data):
            offset = offset if length else line.offset
            length += line.length
            held.append(line.data)
            if length > limit:
                held.clear()
            continue
        yield from _paragraph(offset, length, held, limit)
        length, held = 0, []
        if line.error:
            yield line
    yield from _paragraph(offset, length, held, limit)


def _paragraph(offset: int, length: int, held: list[bytes], limit: int) -> Iterator[Line]:
    if length > limit:
        yield Line(offset, length, b"", ("record_too_large", f"{length} bytes, limit {limit}"))
    elif length:
        yield Line(offset, length, b"\n".join(held))
