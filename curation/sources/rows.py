"""Rows of named values (JSON objects, Parquet rows) as records, by a mapping of fields."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict

from curation.source import Record
from curation.sources.dates import parse_time
from curation.sources.unreadable import UnreadableError


class Fields(BaseModel):
    """Which field of a row holds what; dots lead into nested objects ("meta.url")."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    text: str = "text"
    """The document's text."""
    id: str = "id"
    """The source's own id, unique within it; rows without one are named by file and position."""
    url: str = "url"
    """Where the document comes from."""
    license: str | None = "license"
    """Licence of the document; the source's own where a row states none."""
    created: str | None = None
    """When the document was written: ISO 8601, or seconds since 1970."""
    target: str | None = None
    """Supervised rows: the summary or completion."""
    label: str | None = None
    """Supervised rows: the class."""


class RowPlace(NamedTuple):
    """Where a row lies, and its id if it brings none."""

    record_id: str
    offset: int
    length: int


_MISSING = object()


def record_of(row: Mapping[str, Any], fields: Fields, place: RowPlace, limit: int) -> Record:
    """Returns the record of one row; fields that are not mapped go into `meta` as they are.

    Args:
        row: Values by name, as JSON knows them.
        fields: The mapping.
        place: Where the row lies.
        limit: Most bytes of text.
    """
    meta = dict(row)
    record_id = _pick(row, fields.id)
    if isinstance(record_id, str | int) and not isinstance(record_id, bool) and record_id != "":
        _drop(meta, fields.id)
    else:
        record_id = place.record_id
    record = Record(str(record_id), None, place.offset, place.length)
    try:
        text = _text(row, fields.text, limit)
        _drop(meta, fields.text)
        values = _values(row, fields, meta)
    except UnreadableError as error:
        return record._replace(
            url=_string(row, fields.url), meta=meta or None, error=error.code, detail=error.detail
        )
    return record._replace(text=text, meta=meta or None, **values)


def _values(row: Mapping[str, Any], fields: Fields, meta: dict[str, Any]) -> dict[str, Any]:
    """Returns the record's other fields, and takes what they hold out of `meta`."""
    values: dict[str, Any] = {}
    for name in ("url", "license"):
        if field := getattr(fields, name):
            values[name] = _string(row, field)
            if values[name] is not None or meta.get(field, "") is None:
                _drop(meta, field)
    if fields.created:
        values["created"] = parse_time(_pick(row, fields.created))
        if values["created"] is not None:
            _drop(meta, fields.created)
    for name in ("target", "label"):
        if field := getattr(fields, name):
            values[name] = _scalar(row, name, field)
            _drop(meta, field)
    return values


def _text(row: Mapping[str, Any], field: str, limit: int) -> str:
    text = _pick(row, field)
    if text is _MISSING or text is None:
        found = ", ".join(sorted(map(str, row)))[:200]
        raise UnreadableError("no_text", f"no field '{field}'; found {found}")
    if not isinstance(text, str):
        raise UnreadableError("text_not_string", f"'{field}' is {_kind(text)}")
    if len(text) > limit or (len(text) * 4 > limit and len(text.encode()) > limit):
        raise UnreadableError("record_too_large", f"{len(text)} characters, limit {limit} bytes")
    return text


def _scalar(row: Mapping[str, Any], name: str, field: str) -> str | None:
    value = _pick(row, field)
    if value is _MISSING or value is None:
        return None
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise UnreadableError(f"{name}_not_string", f"'{field}' is {_kind(value)}")


def _string(row: Mapping[str, Any], field: str) -> str | None:
    value = _pick(row, field)
    return value if isinstance(value, str) else None


def _pick(row: Mapping[str, Any], field: str) -> Any:
    """Returns the value of a field: of that very name, else by the dots in it."""
    if field in row:
        return row[field]
    value: Any = row
    for name in field.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return _MISSING
        value = value[name]
    return value


def _drop(meta: dict[str, Any], field: str) -> None:
    """Removes a mapped field; a value inside an object stays, so that the object is whole."""
    meta.pop(field, None)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", bool: "a boolean", int: "a number"}
    return names.get(type(value), "a number" if isinstance(value, float) else type(value).__name__)
