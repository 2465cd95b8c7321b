"""How two datasets differ: settings, counts, and documents with why."""

import json
from pathlib import Path
from typing import Any, NamedTuple

from curation.audit.tables import attach, connect, rows
from curation.manifest import read_manifest

# Of documents of one id, all but one are rejects "repeated_id": the kept one stands for them.
_PAIRS = """
CREATE TEMP TABLE pairs AS
WITH a AS ({documents}), b AS ({other})
SELECT coalesce(a.doc_id, b.doc_id) AS doc_id, coalesce(a.url, b.url) AS url,
    coalesce(a.source, b.source) AS source,
    {why_a} AS why_a, {why_b} AS why_b,
    a.text_bytes AS text_bytes_a, b.text_bytes AS text_bytes_b,
    b.stage AS b_stage, b.reason AS b_reason, b.value AS b_value, b.bound AS b_bound,
    a.stage AS a_stage, a.reason AS a_reason, a.value AS a_value, a.bound AS a_bound
FROM a FULL JOIN b USING (doc_id)
WHERE why_a <> why_b OR (why_a = 'kept' AND a.text_bytes <> b.text_bytes)
"""

_ONE_EACH = """
SELECT doc_id, url, source, verdict, stage, reason, value, bound, text_bytes FROM {view}
QUALIFY row_number() OVER (PARTITION BY doc_id ORDER BY verdict, stage, reason, record_id) = 1
"""

_WHY = (
    "CASE WHEN {0}.verdict IS NULL THEN 'absent' WHEN {0}.verdict = 'kept' THEN 'kept' "
    "ELSE {0}.stage || '.' || {0}.reason END"
)

_SOURCES = """
SELECT source,
    count(*) FILTER (why_a = 'kept' AND why_b <> 'kept') AS only_a,
    count(*) FILTER (why_b = 'kept' AND why_a <> 'kept') AS only_b,
    count(*) FILTER (why_a = 'kept' AND why_b = 'kept') AS changed,
    count(*) FILTER (why_a <> 'kept' AND why_b <> 'kept') AS otherwise
FROM pairs GROUP BY source ORDER BY source
"""

_REASONS = """
SELECT source, why_a, why_b, count(*) AS documents FROM pairs
WHERE why_a <> why_b GROUP BY ALL ORDER BY documents DESC, source, why_a, why_b
"""

_ONLY = """
SELECT doc_id, url, source, why_{0} AS why_here, why_{1} AS why_there,
    {1}_stage AS stage, {1}_reason AS reason, {1}_value AS value, {1}_bound AS bound
FROM pairs WHERE why_{0} = 'kept' AND why_{1} <> 'kept' ORDER BY doc_id LIMIT $1
"""

_CHANGED = """
SELECT doc_id, url, source, text_bytes_a, text_bytes_b FROM pairs
WHERE why_a = 'kept' AND why_b = 'kept' ORDER BY doc_id LIMIT $1
"""


class Difference(NamedTuple):
    """How two datasets differ."""

    settings: list[tuple[str, Any, Any]]
    counts: list[tuple[str, Any, Any]]
    sources: list[dict[str, Any]]
    """By source, documents that differ: `only_a` and `only_b` (kept there only), `changed` (kept
    in both, of other text length), `otherwise` (rejected in both, for another reason)."""
    reasons: list[dict[str, Any]]
    """Documents by source and what became of them in A and in B: "kept", "absent" or
    "stage.reason"."""
    only_a: list[dict[str, Any]]
    """Documents that A kept and B rejected (stage, reason, value, bound) or never met."""
    only_b: list[dict[str, Any]]
    changed: list[dict[str, Any]]
    """Documents that both kept, with different text lengths."""


def diff(a: Path, b: Path, *, limit: int = 100_000) -> Difference:
    """Returns the settings, counts and documents in which two datasets differ.

    Args:
        a: A dataset.
        b: Another one.
        limit: Documents listed of each kind; counts are of all.
    """
    first, second = read_manifest(a), read_manifest(b)
    settings = _unequal(_flat(first.recipe), _flat(second.recipe))
    counts = _unequal(_flat(first.totals.model_dump()), _flat(second.totals.model_dump()))
    with connect(a) as connection:
        attach(connection, "other", b, "documents-*.parquet")
        connection.execute(
            _PAIRS.format(
                documents=_ONE_EACH.format(view="documents"),
                other=_ONE_EACH.format(view="other"),
                why_a=_WHY.format("a"),
                why_b=_WHY.format("b"),
            )
        )
        return Difference(
            settings,
            counts,
            rows(connection, _SOURCES),
            rows(connection, _REASONS),
            rows(connection, _ONLY.format("a", "b"), limit),
            rows(connection, _ONLY.format("b", "a"), limit),
            rows(connection, _CHANGED, limit),
        )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, dict):
        items = [(str(key), item) for key, item in value.items()]
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        names = [str(item.get("name", index)) for index, item in enumerate(value)]
        # Stages of one name have scopes of their own: the second one is not the first, changed.
        items = [
            (f"{name}[{names[:index].count(name)}]" if name in names[:index] else name, item)
            for index, (name, item) in enumerate(zip(names, value, strict=True))
        ]
    else:
        return {prefix: json.dumps(value, ensure_ascii=False)}
    flat: dict[str, Any] = {}
    for key, item in items:
        flat |= _flat(item, f"{prefix}.{key}" if prefix else key)
    return flat


_NOTHING = (None, "null", "[]", "{}")
"""A setting that an older version did not know, and one that says nothing, are the same."""


def _unequal(a: dict[str, Any], b: dict[str, Any]) -> list[tuple[str, Any, Any]]:
    keys = [*a, *(key for key in b if key not in a)]
    pairs = [(key, a.get(key), b.get(key)) for key in keys]
    return [
        (key, one, other)
        for key, one, other in pairs
        if one != other and not (one in _NOTHING and other in _NOTHING)
    ]
