"""The route of one document: each stage, score and bound that it met, and its kept twin."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from curation.audit.families import family_of
from curation.audit.scope import in_scope
from curation.audit.tables import connect, rows, stage_names, stage_of
from curation.errors import DataError
from curation.manifest import Manifest, read_manifest


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
    family: list[dict[str, Any]]
    """Where documents were made of others: its parent, siblings and children, itself included."""


def find_documents(directory: Path, key: str, *, limit: int = 20) -> list[dict[str, Any]]:
    """Returns the audit rows whose doc_id, URL or record id is `key`, or whose doc_id starts so.

    Raises:
        DataError: Nothing matches.
    """
    with connect(directory) as connection:
        found = rows(
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
    documents = find_documents(directory, key)
    with connect(directory) as connection:
        families = [family_of(connection, document) for document in documents]
    return [
        Route(document, list(_hops(manifest, document)), _kept_twin(directory, document), family)
        for document, family in zip(documents, families, strict=True)
    ]


def _hops(manifest: Manifest, document: dict[str, Any]) -> Iterator[Hop]:
    rejected_by = document["stage"]
    scores = _scores(manifest, document)
    verdict = "kept"
    maker = document.get("made_by")  # where the route of an augmented document begins
    met = maker is None
    for stage in manifest.stages:
        met = met or stage.name == maker
        if not met:
            continue
        if verdict != "kept" and not scores[stage.name]:
            continue
        if stage.name == rejected_by:
            verdict = "rejected"
        bounds = _bounds(manifest, stage.name, document)
        yield Hop(stage.name, verdict, scores[stage.name], bounds)
        if verdict == "rejected":
            verdict = "scored"


def _scores(manifest: Manifest, document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns the scores of a document that are not null, by stage."""
    stages = stage_names(manifest)
    scores: dict[str, dict[str, Any]] = {name: {} for name in stages}
    for column, value in document.items():
        stage = stage_of(column, stages)
        if stage is not None and value is not None:
            scores[stage][column] = value
    return scores


def _bounds(manifest: Manifest, stage: str, document: dict[str, Any]) -> list[dict[str, Any]]:
    broken = {item["reason"] for item in document["broken"] or () if item["stage"] == stage}
    return [
        {**rule, "value": document[rule["column"]], "broken": rule["reason"] in broken}
        for rule in manifest.rules.get(stage, ())
        if in_scope(rule, document) and document.get(rule["column"]) is not None
    ]


def _kept_twin(directory: Path, document: dict[str, Any]) -> dict[str, Any] | None:
    """Follows `other_id` until a kept document: an exact twin may have met a near one later.

    A twin in another dataset, against which this one was made, is told by its id and `dataset`.
    """
    seen: set[str] = set()
    twin: dict[str, Any] | None = None
    member, other = document["doc_id"], document["other_id"]
    with connect(directory) as connection:
        while other and other not in seen:
            seen.add(other)
            elsewhere = _elsewhere(connection, member, other)
            if elsewhere is not None:
                return elsewhere
            found = rows(
                connection,
                "SELECT doc_id, url, source, verdict, reason, other_id FROM documents "
                "WHERE doc_id = $1 ORDER BY verdict LIMIT 1",
                other,
            )
            twin = found[0] if found else None
            member, other = other, twin["other_id"] if twin else None
            if twin is not None and twin["verdict"] == "kept":
                break
    return twin


def _elsewhere(
    connection: duckdb.DuckDBPyConnection, member: str, other: str
) -> dict[str, Any] | None:
    """Returns the twin of a duplicate where it is in another dataset.

    Asked before this dataset's own rows: the same ids come again in another month, and a document
    that did not change is a duplicate of itself.
    """
    if "dataset" not in connection.view("clusters").columns:  # an older version made them
        return None
    found = rows(
        connection,
        "SELECT survivor AS doc_id, NULL AS url, 'dataset ' || dataset AS source, "
        "'kept' AS verdict, dataset FROM clusters "
        "WHERE member = $1 AND via = $2 AND dataset IS NOT NULL LIMIT 1",
        member,
        other,
    )
    return found[0] if found else None
