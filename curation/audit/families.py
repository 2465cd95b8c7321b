"""Augmented documents: whose children they are, what made them, and what became of them."""

from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import pyarrow as pa
import pyarrow.compute as pc

from curation.audit.samples import check_reason
from curation.audit.tables import connect, literal, quoted, rows, stage_names, stage_of
from curation.errors import DataError
from curation.manifest import Manifest, read_manifest
from curation.shards import read_shard

GATES = "augmentation_gates"
"""Kind of the stage whose scores say how a child compares with its parent."""
MOST_MEMBERS = 100

_MEMBERS = """
SELECT doc_id, parent_id, root_id, made_by, operation, source, verdict, stage, reason, value, bound
FROM documents WHERE root_id = $1 OR doc_id = $1
ORDER BY parent_id IS NOT NULL, made_by, operation, doc_id LIMIT $2
"""

_CHILDREN = """
SELECT * FROM documents
WHERE parent_id IS NOT NULL AND made_by IS NOT NULL AND {}
ORDER BY md5($1 || doc_id), doc_id LIMIT $2
"""

_OPERATIONS = """
SELECT made_by, operation, count(*) AS made, count(*) FILTER (verdict = 'kept') AS kept,
    CAST(coalesce(sum(text_bytes), 0) AS BIGINT) AS text_bytes{}
FROM documents WHERE made_by IS NOT NULL GROUP BY ALL ORDER BY made DESC, operation
"""

_REASONS = """
SELECT made_by, operation, stage || '.' || reason AS reason, count(*) AS documents
FROM documents WHERE made_by IS NOT NULL AND verdict = 'rejected'
GROUP BY ALL ORDER BY documents DESC, reason
"""


class Operation(NamedTuple):
    """What one operation of a stage made, and what became of it."""

    stage: str
    operation: str
    made: int
    kept: int
    text_bytes: int
    """Of all that it made; of rejects whose text could not be made, none."""
    reasons: dict[str, int]
    """Rejects by "stage.reason", the most common first."""
    seconds_per_thousand: float | None
    """Wall-clock seconds of the stage (all of its operations) for a thousand children."""
    scores: dict[str, float]
    """Means over the children, by column: the stage's own scores, then those of gates."""


def family_of(
    connection: duckdb.DuckDBPyConnection, document: dict[str, Any]
) -> list[dict[str, Any]]:
    """Returns parent, siblings and children of a document, itself included; alone: nothing.

    Args:
        connection: To the audit.
        document: Its row.
    """
    if "root_id" not in document:
        return []  # no stage made documents
    root = document["root_id"] or document["doc_id"]
    found = rows(connection, _MEMBERS, root, MOST_MEMBERS)
    return found if len(found) > 1 else []


def pairs(
    directory: Path, count: int, *, rejected: str | None = None, seed: int = 0
) -> list[dict[str, Any]]:
    """Returns some augmented documents with their texts and their parents, the same for a seed.

    Args:
        directory: The dataset.
        count: How many at most.
        rejected: A reason, "stage.reason", or "any": sample rejects instead of kept ones.
        seed: Another seed draws others.

    Returns:
        Audit rows with `text`, `parent_text` and `parent_verdict`, each text as it was written out.

    Raises:
        DataError: No stage made documents, or none rejects for that reason.
    """
    manifest = read_manifest(directory)
    with connect(directory) as connection:
        _check_made(directory, connection)
        wanted = "verdict = 'kept'"
        if rejected is not None:
            check_reason(directory, manifest, rejected)
            name = literal(rejected)
            wanted = f"verdict = 'rejected' AND {name} IN ('any', reason, stage || '.' || reason)"
        children = rows(connection, _CHILDREN.format(wanted), str(seed), count)
        ids = {child[name] for child in children for name in ("doc_id", "parent_id")}
        texts = _texts(directory, manifest, connection, ids)
        verdicts = _verdicts(connection, ids)
    return [
        {
            **child,
            "text": texts.get(child["doc_id"]),
            "parent_text": texts.get(child["parent_id"]),
            "parent_verdict": verdicts.get(child["parent_id"]),
        }
        for child in children
    ]


def operations(directory: Path) -> list[Operation]:
    """Returns what each operation made, stages in their order, larger operations first.

    Raises:
        DataError: No stage made documents.
    """
    manifest = read_manifest(directory)
    names = stage_names(manifest)
    with connect(directory) as connection:
        _check_made(directory, connection)
        columns = _scores(connection, manifest)
        # Rounded: the last digits of a sum depend on which thread added what first.
        means = "".join(f", round(avg({quoted(name)}), 9) AS {quoted(name)}" for name in columns)
        found = rows(connection, _OPERATIONS.format(means))
        reasons = rows(connection, _REASONS)
    seconds = {
        stage.name: 1000 * stage.wall_seconds / stage.documents_made
        for stage in manifest.stages
        if stage.documents_made
    }
    gates = {stage.name for stage in manifest.stages if stage.kind == GATES}
    listed = [
        Operation(
            row["made_by"], row["operation"], row["made"], row["kept"], row["text_bytes"],
            {
                one["reason"]: one["documents"] for one in reasons
                if (one["made_by"], one["operation"]) == (row["made_by"], row["operation"])
            },
            seconds.get(row["made_by"]),
            {
                name: row[name] for name in columns
                if row[name] is not None and stage_of(name, names) in {row["made_by"], *gates}
            },
        )
        for row in found
    ]  # fmt: skip
    return sorted(listed, key=lambda one: names.index(one.stage))


def _check_made(directory: Path, connection: duckdb.DuckDBPyConnection) -> None:
    if "made_by" not in connection.view("documents").columns:
        raise DataError(
            f"{directory}: no stage of its recipe made documents; expected one such as noise or "
            "back_translate; see docs/augmentation.md"
        )


def _scores(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> list[str]:
    """Returns the numeric columns of stages that make documents, then those of gates."""
    view = connection.view("documents")
    numeric = [
        name
        for name, kind in zip(view.columns, view.types, strict=True)
        if str(kind) in ("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "UINTEGER", "UTINYINT")
    ]
    names = stage_names(manifest)
    makers = [stage.name for stage in manifest.stages if stage.documents_made]
    gates = [stage.name for stage in manifest.stages if stage.kind == GATES]
    return [
        name for stage in (*makers, *gates) for name in numeric if stage_of(name, names) == stage
    ]


def _verdicts(connection: duckdb.DuckDBPyConnection, ids: set[str]) -> dict[str, str]:
    found = rows(
        connection,
        "SELECT doc_id, verdict FROM documents WHERE doc_id IN (SELECT unnest($1))",
        sorted(ids),
    )
    return {row["doc_id"]: row["verdict"] for row in found}


def _texts(
    directory: Path, manifest: Manifest, connection: duckdb.DuckDBPyConnection, ids: set[str]
) -> dict[str, str]:
    """Returns the texts of documents, kept or rejected; the shards lie memory-mapped."""
    wanted = pa.array(sorted(ids), pa.string())
    found = rows(
        connection, "SELECT doc_id, text FROM rejected WHERE doc_id IN (SELECT unnest($1))",
        sorted(ids),
    )  # fmt: skip
    texts = {row["doc_id"]: row["text"] for row in found}
    for shard in manifest.shards:
        table = read_shard(directory / shard.path, ["doc_id", "text"])
        mine = table.filter(pc.is_in(table.column("doc_id"), wanted))
        texts.update(
            zip(*(mine.column(name).to_pylist() for name in mine.column_names), strict=True)
        )
    return texts
