"""How a finished dataset is asked: one DuckDB connection over its audit files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from curation.errors import DataError
from curation.manifest import Manifest, read_manifest

_NEEDED = {
    "documents-*.parquet": (
        "doc_id", "record_id", "source", "url", "verdict", "stage", "reason", "value", "bound",
        "broken", "other_id", "similarity", "detail", "text_bytes",
    ),
    "rejected-*.parquet": ("doc_id", "text"),
    "clusters.parquet": ("survivor", "member"),
}  # fmt: skip
"""Columns that questions need; all others are asked for where they are there."""


def connect(directory: Path) -> duckdb.DuckDBPyConnection:
    """Returns a DuckDB connection with the views `documents`, `rejected` and `clusters`.

    Raises:
        DataError: No finished dataset lies in the directory, or its audit is gone.
    """
    read_manifest(directory)
    connection = duckdb.connect()
    for view, pattern in (
        ("documents", "documents-*.parquet"),
        ("rejected", "rejected-*.parquet"),
        ("clusters", "clusters.parquet"),
    ):
        attach(connection, view, directory, pattern)
    return connection


def attach(connection: duckdb.DuckDBPyConnection, view: str, directory: Path, pattern: str) -> None:
    """Makes the audit files of a dataset that match a pattern a view.

    Raises:
        DataError: There are none.
    """
    files = sorted(str(path) for path in (directory / "audit").glob(pattern))
    if not files:
        raise DataError(
            f"{directory}: has no audit/{pattern}, of which its manifest speaks; "
            f"run `curate run RECIPE --out {directory}` to write the audit again"
        )
    try:
        relation = connection.read_parquet(files, union_by_name=True)
    except duckdb.Error as error:
        line = str(error).splitlines()[0]
        raise DataError(
            f"{directory}: audit/{pattern} cannot be read ({line}); `curate verify {directory}` "
            "names what is damaged, and a new run writes it again"
        ) from error
    missing = [name for name in _NEEDED.get(pattern, ()) if name not in relation.columns]
    if missing:
        raise DataError(
            f"{directory}: audit/{pattern} has no column '{missing[0]}', so another version made "
            "it; run again, finished work is reused"
        )
    relation.create_view(view)


def rows(connection: duckdb.DuckDBPyConnection, sql: str, *values: Any) -> list[dict[str, Any]]:
    """Returns what a query finds; `values` stand for its parameters $1, $2 ..."""
    found = connection.sql(sql, params=list(values))
    listed: list[dict[str, Any]] = found.to_arrow_table().to_pylist()
    return listed


def quoted(name: str) -> str:
    """Returns a column's name as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """Returns a text as SQL writes it."""
    return "'" + text.replace("'", "''") + "'"


def stage_of(column: str, stages: Iterable[str]) -> str | None:
    """Returns the stage that wrote a score column, or None for a column of documents.

    Of two stages of which one's name begins with the other's, the longer one is meant.

    Examples:
        >>> stage_of("quality_model_score", ["quality", "quality_model"])
        'quality_model'
    """
    mine = [name for name in stages if column.startswith(f"{name}_")]
    return max(mine, key=len, default=None)


def stage_names(manifest: Manifest) -> list[str]:
    """Returns the names of all stages, in the order in which documents met them."""
    return [stage.name for stage in manifest.stages]
