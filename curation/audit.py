"""Questions to a finished dataset: what happened to a document, what was rejected, is it whole.

Everything is answered from `manifest.json`, `audit/*.parquet` and the shards; nothing is re-run.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow.parquet as pq

from curation.errors import DataError, unknown_name
from curation.manifest import Manifest, damaged_files, read_manifest
from curation.schema import LANGUAGE_LABEL
from curation.shards import read_shard


class Hop(NamedTuple):
    """One stage on a document's route."""

    stage: str
    verdict: str
    """"kept", "rejected", or "scored" (met after the document had been rejected)."""
    scores: dict[str, Any]
    """The stage's score columns that are not null."""
    bounds: list[dict[str, Any]]
    """Each rule of the stage: reason, column, value, low, high, broken."""


class Route(NamedTuple):
    """The route of one document through all stages."""

    document: dict[str, Any]
    hops: list[Hop]
    twin: dict[str, Any] | None
    """Of a duplicate: the document that was kept in its place."""


def connect(directory: Path) -> duckdb.DuckDBPyConnection:
    """Returns a DuckDB connection with the views `documents`, `rejected` and `clusters`.

    Raises:
        DataError: No finished dataset lies in the directory.
    """
    read_manifest(directory)
    connection = duckdb.connect()
    for view, pattern in (
        ("documents", "documents-*.parquet"),
        ("rejected", "rejected-*.parquet"),
        ("clusters", "clusters.parquet"),
    ):
        files = sorted(str(path) for path in (directory / "audit").glob(pattern))
        connection.read_parquet(files, union_by_name=True).create_view(view)
    return connection


def _rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[dict[str, Any]]:
    found = connection.sql(sql, params=list(values))
    rows: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return rows


def find_documents(directory: Path, key: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """Returns the audit rows whose doc_id, URL or record id is `key`, or whose doc_id starts so.

    Raises:
        DataError: Nothing matches.
    """
    with connect(directory) as connection:
        found = _rows(
            connection,
            "SELECT * FROM documents WHERE doc_id = $1 OR url = $1 OR record_id = $1 "
            "OR (length($1) BETWEEN 6 AND 31 AND starts_with(doc_id, $1)) "
            "ORDER BY verdict, doc_id LIMIT $2",
            key,
            limit,
        )
    if not found:
        raise DataError(
            f"{directory}: no document has the id, record id or URL '{key}'; "
            "give a doc_id (or its first 6 digits or more), a record id, or the exact URL"
        )
    return found


def trace(directory: Path, key: str) -> list[Route]:
    """Returns the route of each document that `key` names (a URL can name several)."""
    manifest = read_manifest(directory)
    return [
        Route(document, list(_hops(manifest, document)), _kept_twin(directory, document))
        for document in find_documents(directory, key)
    ]


def _hops(manifest: Manifest, document: dict[str, Any]) -> Iterator[Hop]:
    rejected_by = document["stage"]
    verdict = "kept"
    for stage in manifest.stages:
        if verdict != "kept" and not _was_scored(stage.name, document):
            continue
        if stage.name == rejected_by:
            verdict = "rejected"
        prefix = f"{stage.name}_"
        scores = {
            name: value
            for name, value in document.items()
            if name.startswith(prefix) and value is not None
        }
        yield Hop(stage.name, verdict, scores, _bounds(manifest, stage.name, document))
        if verdict == "rejected":
            verdict = "scored"


def _was_scored(stage: str, document: dict[str, Any]) -> bool:
    return any(
        name.startswith(f"{stage}_") and value is not None for name, value in document.items()
    )


def _bounds(manifest: Manifest, stage: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    broken = {item["reason"] for item in document["broken"] or () if item["stage"] == stage}
    bounds = []
    for rule in manifest.rules.get(stage, ()):
        if not _in_scope(rule, document):
            continue
        value = document.get(rule["column"])
        if value is not None:
            bounds.append({**rule, "value": value, "broken": rule["reason"] in broken})
    return bounds


def _in_scope(rule: dict[str, Any], document: dict[str, Any]) -> bool:
    """Returns whether a rule of the manifest is for a document's source and language."""
    label = document.get(LANGUAGE_LABEL)
    return (
        document["source"] in (rule.get("sources") or [document["source"]])
        and label in (rule.get("languages") or [label])
        and label not in (rule.get("except_languages") or ())
    )


def _kept_twin(directory: Path, document: dict[str, Any]) -> dict[str, Any] | None:
    """Follows `other_id` until a kept document: an exact twin may have met a near one later.

    A twin in another dataset, against which this one was made, is told by its id and `dataset`.
    """
    seen: set[str] = set()
    twin: dict[str, Any] | None = None
    other = document["other_id"]
    with connect(directory) as connection:
        while other and other not in seen:
            seen.add(other)
            found = _rows(
                connection,
                "SELECT doc_id, url, source, verdict, reason, other_id FROM documents "
                "WHERE doc_id = $1 ORDER BY verdict LIMIT 1",
                other,
            )
            twin = found[0] if found else _elsewhere(connection, document["doc_id"])
            other = twin["other_id"] if twin and twin["verdict"] == "rejected" else None
    return twin


def _elsewhere(connection: duckdb.DuckDBPyConnection, doc_id: str) -> dict[str, Any] | None:
    found = _rows(
        connection,
        "SELECT survivor AS doc_id, NULL AS url, 'dataset ' || dataset AS source, "
        "'kept' AS verdict, dataset FROM clusters "
        "WHERE member = $1 AND dataset IS NOT NULL LIMIT 1",
        doc_id,
    )
    return found[0] if found else None


def sample(
    directory: Path, count: int, *, rejected: str | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Returns some documents with their texts, the same ones for the same seed.

    Args:
        directory: The dataset.
        count: How many at most.
        rejected: A reason, "stage.reason", or "any": sample rejects instead of kept documents.
        seed: Another seed draws others.

    Raises:
        DataError: No stage rejects for that reason.
    """
    manifest = read_manifest(directory)
    if rejected is None:
        return _sample_kept(directory, manifest, count, seed)
    reasons = {(s.name, reason) for s in manifest.stages for reason in s.rejects}
    known = {"any"} | {reason for _, reason in reasons} | {f"{s}.{r}" for s, r in reasons}
    if rejected not in known:
        raise DataError(f"{directory}: {unknown_name('reason', rejected, known)}")
    with connect(directory) as connection:
        return _rows(
            connection,
            "SELECT documents.*, rejected.text FROM documents JOIN rejected USING (doc_id) "
            "WHERE verdict = 'rejected' AND $2 IN ('any', reason, stage || '.' || reason) "
            "ORDER BY md5($1 || doc_id), doc_id LIMIT $3",
            str(seed),
            rejected,
            count,
        )


def _sample_kept(
    directory: Path, manifest: Manifest, count: int, seed: int
) -> list[dict[str, Any]]:
    """Kept documents lie in hashed order, so any run of rows is a random sample."""
    shards = [shard for shard in manifest.shards if shard.documents]
    total = sum(shard.documents for shard in shards)
    place = seed * 7919 % max(1, total)
    found: list[dict[str, Any]] = []
    for shard in [*shards, *shards]:
        if place >= shard.documents:
            place -= shard.documents
            continue
        table = read_shard(directory / shard.path)
        found += table.slice(place, count - len(found)).to_pylist()
        place = 0
        if len(found) >= min(count, total):
            break
    return found[: min(count, total)]


def verify(directory: Path) -> list[str]:
    """Recomputes digests and checks the promises of a dataset; returns what does not hold.

    Checked: every file's digest; shards against the manifest's counts; kept + rejected = in, in
    total and by source; kept documents of the audit against those in the shards; each duplicate
    has a surviving twin; no id is kept twice.
    """
    manifest = read_manifest(directory)
    broken = [
        f"{name}: missing, or differs from its digest"
        for name in damaged_files(directory, manifest)
    ]
    if broken:
        return broken
    totals = manifest.totals
    if totals.documents_kept + totals.documents_rejected != totals.documents_in:
        broken.append(
            f"manifest: {totals.documents_kept} kept and {totals.documents_rejected} rejected "
            f"are not the {totals.documents_in} that came in"
        )
    with connect(directory) as connection:
        counted = dict(
            connection.execute("SELECT verdict, count(*) FROM documents GROUP BY ALL").fetchall()
        )
        if counted.get("kept", 0) != totals.documents_kept:
            broken.append(f"audit: {counted.get('kept', 0)} kept, manifest {totals.documents_kept}")
        if sum(counted.values()) != totals.documents_in:
            broken.append(f"audit: {sum(counted.values())} rows, manifest {totals.documents_in} in")
        broken += _check_survivors(connection)
    return broken + _check_shards(directory, manifest)


def _check_survivors(connection: duckdb.DuckDBPyConnection) -> list[str]:
    orphans = _rows(
        connection,
        "SELECT member, survivor FROM clusters WHERE dataset IS NULL AND survivor NOT IN "
        "(SELECT doc_id FROM documents WHERE verdict = 'kept' "
        "OR stage NOT IN (SELECT stage FROM documents WHERE other_id IS NOT NULL)) LIMIT 3",
    )
    return [f"{row['member']}: its twin {row['survivor']} did not survive" for row in orphans]


def _check_shards(directory: Path, manifest: Manifest) -> list[str]:
    broken: list[str] = []
    seen: set[str] = set()
    for shard in manifest.shards:
        ids = read_shard(directory / shard.path, ["doc_id"]).column(0).to_pylist()
        if len(ids) != shard.documents:
            broken.append(f"{shard.path}: {len(ids)} documents, manifest {shard.documents}")
        twice = seen & set(ids)
        if twice or len(set(ids)) != len(ids):
            broken.append(f"{shard.path}: document {min(twice or set(ids))} is there twice")
        seen.update(ids)
    audited: set[str] = set()
    for path in sorted((directory / "audit").glob("documents-*.parquet")):
        table = pq.read_table(path, columns=["doc_id"], filters=[("verdict", "=", "kept")])
        audited.update(table.column(0).to_pylist())
    if audited != seen:
        broken.append(f"shards and audit differ on {len(audited ^ seen)} kept documents")
    return broken


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
        only_a = _rows(connection, _ONLY.format("documents", "other"), limit)
        only_b = _rows(connection, _ONLY.format("other", "documents"), limit)
        changed = _rows(
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
