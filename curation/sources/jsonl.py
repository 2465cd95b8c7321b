"""JSON Lines: one JSON object a line; plain, gzip or Zstandard.

A damaged gzip file gives the rows before the damage, then an error, then what further members
hold. Deflate notices damage some bytes late, so that the last rows before the error can be wrong.
"""

import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Literal

from pydantic import Field

from curation.source import InputFile, Record, Source, Split
from curation.sources.hygiene import replace_bad_deep
from curation.sources.lines import Line, can_cut_lines, lines
from curation.sources.opening import RawFile
from curation.sources.rows import Fields, RowPlace, record_of
from curation.sources.unreadable import UnreadableError, shown

_MOST_DEPTH = 200
"""Levels of nesting; far below where Python's own limit lies when the row is written again."""
_BRACKETS = re.compile(r'"(?:[^"\\]|\\.)*+"|([\[{])|([\]}])')
_HUGE = re.compile(r"[eE]\+?\d{3}")


class JsonlSource(Source):
    """Files of JSON objects, one a line."""

    kind: Literal["jsonl"]
    fields: Fields = Fields()
    """Which field of a row holds what."""
    max_record_bytes: int = Field(default=32 << 20, ge=1 << 10)
    """Longest line in bytes; longer ones become "record_too_large" and are never held whole."""

    def can_cut(self, file: InputFile) -> bool:
        """Says whether the file is plain: then a line can be found after any byte offset."""
        if file.size <= self.split_bytes:
            return False
        with RawFile(file) as raw:
            return can_cut_lines(raw)

    def read(self, split: Split, skipped: Counter[str]) -> Iterator[Record]:
        """Yields the rows of a split, and what could not be read, in file order."""
        stop = None if split.end >= split.file.size else split.end
        with RawFile(split.file) as raw:
            for line in lines(raw, split.start, stop, self.max_record_bytes):
                if not line.error and (not line.data or line.data.isspace()):
                    skipped["blank_line"] += 1
                    continue
                yield self._record(split.file.name, line)

    def _record(self, file: str, line: Line) -> Record:
        place = RowPlace(f"{file}:{line.offset}", line.offset, line.length)
        try:
            if line.error:
                raise UnreadableError(*line.error)
            row, losses = parse_row(line.data)
        except UnreadableError as error:
            failed = Record(place.record_id, None, place.offset, place.length)
            return failed._replace(error=error.code, detail=error.detail)
        record = record_of(row, self.fields, place, self.max_record_bytes)
        return record._replace(meta={**(record.meta or {}), **losses}) if losses else record


def parse_row(data: bytes) -> tuple[dict[str, Any], dict[str, int]]:
    """Parses a line; returns the object, and what had to be replaced by U+FFFD in it.

    Bytes that are no UTF-8 count as "undecodable", NULs and lone surrogates as "replaced".
    Numbers that JSON does not have (NaN, and what overflows) become null.

    Raises:
        UnreadableError: The line is no JSON object ("bad_json").
    """
    losses: dict[str, int] = {}
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
        losses["undecodable"] = text.count("\ufffd") - data.count(b"\xef\xbf\xbd")
    _check_depth(text)
    replaced = text.count("\0")
    if replaced:
        text = text.replace("\0", "\ufffd")
    row = _load(text)
    if not isinstance(row, dict):
        raise UnreadableError("bad_json", f"a {type(row).__name__}, expected an object")
    if "\\u" in text:
        row, count = replace_bad_deep(row)
        replaced += count
    if replaced:
        losses["replaced"] = replaced
    return row, losses


def _load(text: str) -> Any:
    parse_float = _finite if _HUGE.search(text) else None
    try:
        # strict=False: raw tabs and line ends inside strings hurt nobody.
        return json.loads(text, strict=False, parse_constant=_null, parse_float=parse_float)
    except json.JSONDecodeError as error:
        near = shown(text[error.pos : error.pos + 31].encode(), 30)
        detail = f"{error.msg} at character {error.pos}, at {near}"
        raise UnreadableError("bad_json", detail) from error
    except ValueError as error:  # an integer of thousands of digits
        raise UnreadableError("bad_json", str(error).partition(";")[0]) from error


def _check_depth(text: str) -> None:
    if text.count("[") + text.count("{") <= _MOST_DEPTH:
        return
    depth = 0
    for opens, closes in _BRACKETS.findall(text):
        depth += bool(opens) - bool(closes)
        if depth > _MOST_DEPTH:
            raise UnreadableError("bad_json", f"nested more than {_MOST_DEPTH} levels deep")


def _null(name: str) -> None:  # noqa: ARG001
    return None


def _finite(digits: str) -> float | None:
    value = float(digits)
    return value if math.isfinite(value) else None
