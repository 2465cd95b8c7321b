"""How a finished dataset is asked: one DuckDB connection over its audit files."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import duckdb

from curation.errors import DataError
from curation.manifest import Manifest, read_manifest


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
    connection.read_parquet(files, union_by_name=True).create_view(view)


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
