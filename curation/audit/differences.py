"""How two datasets differ: settings, counts, and documents with why."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from curation.audit.tables import connect, rows
from curation.manifest import read_manifest


class Difference(NamedTuple):
    """How two datasets differ."""

    settings: list[tuple[str, Any, Any]]
    counts: list[tuple[str, Any, Any]]
    only_a: list[dict[str, Any]]
    """Documents that A kept and B rejected or never met."""
    only_b: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    """Documents that both kept, with different text lengths."""


def diff(a: Path, b: Path, *, limit: int = 100_000) -> Difference:
    """Returns the settings, counts and documents in which two datasets differ."""
    first, second = read_manifest(a), read_manifest(b)
    settings = _unequal(_flat(first.recipe), _flat(second.recipe))
    counts = _unequal(_flat(first.totals.model_dump()), _flat(second.totals.model_dump()))
    with connect(a) as connection:
        files = sorted(str(path) for path in (b / "audit").glob("documents-*.parquet"))
        connection.read_parquet(files, union_by_name=True).create_view("other")
        only_a = rows(connection, _ONLY.format("documents", "other"), limit)
        only_b = rows(connection, _ONLY.format("other", "documents"), limit)
        changed = rows(
            connection,
            "SELECT a.doc_id, a.url, a.text_bytes AS text_bytes_a, b.text_bytes AS text_bytes_b "
            "FROM documents a JOIN other b USING (doc_id) WHERE a.verdict = 'kept' "
            "AND b.verdict = 'kept' AND a.text_bytes <> b.text_bytes "
            "ORDER BY a.doc_id LIMIT $1",
            limit,
        )
    return Difference(settings, counts, only_a, only_b, changed)


_ONLY = (
    "SELECT a.doc_id, a.url, b.stage, b.reason, b.value, b.bound FROM {0} a "
    "LEFT JOIN {1} b USING (doc_id) WHERE a.verdict = 'kept' "
    "AND (b.verdict IS NULL OR b.verdict <> 'kept') ORDER BY a.doc_id LIMIT $1"
)


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        items = [(str(item.get("name", index)), item) for index, item in enumerate(value)]
    else:
        return {prefix: json.dumps(value, ensure_ascii=False)}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= _flat(item, f"{prefix}.{key}" if prefix else key)
    return flat


def _unequal(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    keys = [*a, *(key for key in b if key not in a)]
    return [(key, a.get(key), b.get(key)) for key in keys if a.get(key) != b.get(key)]
