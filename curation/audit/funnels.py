"""The funnel cut another way: by source, domain or language, and what each rule does by itself.

All is aggregated where it lies, in DuckDB over the audit's Parquet files; only counts get out.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from curation.audit.scope import scope_of
from curation.audit.tables import connect, quoted, rows
from curation.errors import DataError
from curation.manifest import Manifest, read_manifest
from curation.schema import LANGUAGE_LABEL

MOST_REASONS = 3

_HOST = r"""
nullif(lower(regexp_extract(
    url, '^[A-Za-z][A-Za-z0-9+.-]*://(?:[^/?#@]*@)?(\[[^\]/?#]*\]|[^/?#:]*)', 1)), '')
"""
"""The host of a URL: what lies between the user's name and the port."""

_GROUPS = """
CREATE TEMP TABLE groups AS
SELECT coalesce({key}, $1) AS name, stage || '.' || reason AS reason, count(*) AS documents,
    coalesce(sum(text_bytes) FILTER (verdict = 'kept'), 0) AS text_bytes_kept
FROM documents GROUP BY ALL
"""

_LARGEST = """
SELECT name, CAST(sum(documents) AS BIGINT) AS documents_in,
    CAST(coalesce(sum(documents) FILTER (reason IS NULL), 0) AS BIGINT) AS documents_kept,
    CAST(coalesce(sum(documents) FILTER (reason IS NOT NULL), 0) AS BIGINT) AS documents_rejected,
    CAST(sum(text_bytes_kept) AS BIGINT) AS text_bytes_kept
FROM groups GROUP BY name ORDER BY documents_in DESC, name LIMIT $1
"""

_REASONS = """
SELECT name, reason, documents FROM groups SEMI JOIN ({largest}) AS largest USING (name)
WHERE reason IS NOT NULL
QUALIFY row_number() OVER (PARTITION BY name ORDER BY documents DESC, reason) <= $2
ORDER BY name, documents DESC, reason
"""

_EFFECTS = """
SELECT item.stage AS stage, item.reason AS reason, count(*) AS broken,
    count(*) FILTER (item.stage = first_stage AND item.reason = first_reason) AS first,
    count(*) FILTER (rules = 1) AS only
FROM (SELECT stage AS first_stage, reason AS first_reason, len(broken) AS rules,
        unnest(broken) AS item
    FROM documents WHERE verdict = 'rejected')
GROUP BY ALL
"""


class Groups(NamedTuple):
    """The largest groups of a dataset's documents."""

    by: str
    """source, domain, language or stage."""
    total: int
    """How many groups there are."""
    groups: list[dict[str, Any]]
    """name, documents_in, documents_kept, documents_rejected, text_bytes_kept, and the most
    common `reasons`, each with its documents; stages have their CPU seconds instead of bytes."""


class RuleEffect(NamedTuple):
    """What one rule did, and what it did that no other rule would have done."""

    stage: str
    reason: str
    bounds: list[dict[str, Any]]
    """column, low, high and scope of each part; empty for what is no bound on a score."""
    first: int
    """Documents that it rejected: it was the first rule that they broke."""
    broken: int
    """Documents that broke it, first or later."""
    only: int
    """Documents that broke nothing else: without the rule they would have come through the stages
    that saw them."""


def _source(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> str:  # noqa: ARG001
    return "source"


def _domain(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> str:
    """The registered domain where a stage found it, or else the host."""
    names = [f"{stage.name}_domain" for stage in manifest.stages if stage.kind == "url_filter"]
    known = connection.view("documents").columns
    return f"coalesce({', '.join([*(quoted(name) for name in names if name in known), _HOST])})"


def _language(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> str:
    if LANGUAGE_LABEL not in connection.view("documents").columns:
        raise DataError(
            f"{manifest.name}: no stage wrote {LANGUAGE_LABEL}, so no document has a language; "
            "put a stage language into the recipe and run again"
        )
    return quoted(LANGUAGE_LABEL)


_KEYS: dict[str, tuple[Callable[[duckdb.DuckDBPyConnection, Manifest], str], str]] = {
    "source": (_source, ""),
    "domain": (_domain, "(no host)"),
    "language": (_language, "(none)"),
}
"""For each table: its key in SQL, and what documents without one are called."""


def groups(directory: Path, by: str, *, most: int = 20) -> Groups:
    """Returns what became of the documents of each source, domain, language or stage.

    Args:
        directory: The dataset.
        by: "source", "domain", "language" or "stage".
        most: Groups returned at most, the largest first; stages come in their order, all of them.

    Raises:
        DataError: The dataset has no languages.
    """
    manifest = read_manifest(directory)
    if by == "stage":
        return _stages(manifest)
    key, nameless = _KEYS[by]
    with connect(directory) as connection:
        connection.execute(_GROUPS.format(key=key(connection, manifest)), [nameless])
        largest = rows(connection, _LARGEST, most)
        reasons = rows(connection, _REASONS.format(largest=_LARGEST), most, MOST_REASONS)
        [[total]] = connection.execute("SELECT count(DISTINCT name) FROM groups").fetchall()
    for group in largest:
        group["reasons"] = {
            r["reason"]: r["documents"] for r in reasons if r["name"] == group["name"]
        }
    return Groups(by, total, largest)


def _stages(manifest: Manifest) -> Groups:
    found = []
    for stage in manifest.stages:
        common = sorted(stage.rejects.items(), key=lambda item: (-item[1], item[0]))
        found.append(
            {
                "name": stage.name,
                "documents_in": stage.documents_in,
                "documents_kept": stage.documents_out,
                "documents_rejected": sum(stage.rejects.values()),
                "cpu_seconds": stage.cpu_seconds,
                "reasons": dict(common[:MOST_REASONS]),
            }
        )
    return Groups("stage", len(found), found)


def rule_effects(directory: Path) -> list[RuleEffect]:
    """Returns every rule in the order of the stages, with what it did alone and with others."""
    manifest = read_manifest(directory)
    with connect(directory) as connection:
        found = {(row["stage"], row["reason"]): row for row in rows(connection, _EFFECTS)}
    order = [stage.name for stage in manifest.stages]
    known = {
        (stage, rule["reason"]): [
            {"column": one["column"], "low": one["low"], "high": one["high"], **scope_of(one)}
            for one in manifest.rules[stage]
            if one["reason"] == rule["reason"]
        ]
        for stage in order
        for rule in manifest.rules.get(stage, ())
    }
    others = sorted(key for key in found if key not in known)
    keys = sorted([*known, *others], key=lambda key: order.index(key[0]))
    return [RuleEffect(*key, known.get(key, []), *_counts(found.get(key))) for key in keys]


def _counts(row: dict[str, Any] | None) -> tuple[int, int, int]:
    return (row["first"], row["broken"], row["only"]) if row else (0, 0, 0)
