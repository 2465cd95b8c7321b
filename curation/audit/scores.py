"""The distribution of each score beside its bounds, counted in DuckDB."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb
import numpy as np
import numpy.typing as npt

from curation.audit.scope import scope_of
from curation.audit.tables import connect, quoted, stage_names, stage_of
from curation.errors import DataError, unknown_name
from curation.manifest import Manifest, read_manifest

BINS = 40
LOG_SPAN = 50.0
"""A score spreads over a logarithmic axis where its largest value is so many times its median."""

Floats = npt.NDArray[np.float64]

_WHOLE = ("INT", "INTEGER", "BIGINT", "BOOLEAN")
_REAL = ("DOUBLE", "FLOAT")
"""How DuckDB's names of types of numbers end; lists end in "]"."""

_SUMMARY = """
SELECT count(x), min(x), max(x), min(x) FILTER (x > 0), quantile_cont(x, [0.005, 0.5, 0.995])
FROM (SELECT CASE WHEN isfinite(value) THEN value END AS x
    FROM (SELECT CAST({column} AS DOUBLE) AS value FROM documents))
"""

_COUNTS = """
SELECT verdict, histogram(value, CAST({edges} AS DOUBLE[]))
FROM (SELECT verdict, CAST({column} AS DOUBLE) AS value FROM documents)
WHERE isfinite(value) GROUP BY verdict
"""


class Histogram(NamedTuple):
    """How many documents have which score."""

    column: str
    stage: str
    scored: int
    """Documents with a score."""
    low: float
    """The smallest score."""
    high: float
    """The largest score."""
    whole: bool
    """The score is a count or a flag."""
    log: bool
    """The bins are equally wide on a logarithmic axis."""
    edges: list[float]
    """m largest values of the bins 0 to m - 1; above the last one lies bin m."""
    kept: list[int]
    """m + 1 numbers of kept documents."""
    rejected: list[int]
    """m + 1 numbers of rejected documents, whatever the reason."""
    bounds: list[dict[str, Any]]
    """Rules on the score: reason, low, high and scope."""


def histograms(directory: Path, columns: Sequence[str] = ()) -> list[Histogram]:
    """Returns the distribution of scores, with bin edges at their bounds.

    Args:
        directory: The dataset.
        columns: Names of score columns; none: every number that a stage wrote.

    Raises:
        DataError: There is no such score.
    """
    manifest = read_manifest(directory)
    with connect(directory) as connection:
        known = _score_columns(connection, manifest)
        for column in columns:
            if column not in known:
                raise DataError(f"{directory}: {unknown_name('score', column, known)}")
        found = (
            _histogram(connection, manifest, column, whole=known[column])
            for column in columns or known
        )
        return [one for one in found if one is not None]


def _score_columns(connection: duckdb.DuckDBPyConnection, manifest: Manifest) -> dict[str, bool]:
    """Returns the columns of numbers that stages wrote, and which of them hold whole numbers."""
    view = connection.view("documents")
    stages = stage_names(manifest)
    kinds = {name: str(kind) for name, kind in zip(view.columns, view.types, strict=True)}
    return {
        name: kind.endswith(_WHOLE)
        for name, kind in kinds.items()
        if stage_of(name, stages) is not None and kind.endswith((*_WHOLE, *_REAL))
    }


def _histogram(
    connection: duckdb.DuckDBPyConnection, manifest: Manifest, column: str, *, whole: bool
) -> Histogram | None:
    name = quoted(column)
    [summary] = connection.execute(_SUMMARY.format(column=name)).fetchall()
    scored, low, high, positive, quantiles = summary
    if not scored:
        return None
    bounds = _bounds(manifest, column)
    log = low >= 0 and high > 100 and high >= LOG_SPAN * max(quantiles[1], 1.0)
    sides = _edges_at(bounds, low, high, whole=whole)
    if log:
        edges = np.concatenate([[0.0], np.geomspace(positive, high, BINS)[:-1]])
    elif whole and high - low <= BINS:
        edges = np.arange(low, high)
    else:
        edges = np.linspace(min(quantiles[0], *sides, high), max(quantiles[2], *sides, low), BINS)
    edges = _snapped(np.floor(edges) if whole else edges, sides)
    edges = edges[(edges >= low) & (edges < high)]
    counts = connection.execute(
        _COUNTS.format(column=name, edges=[float(edge) for edge in edges])
    ).fetchall()
    found = {verdict: _in_order(bins, edges) for verdict, bins in counts}
    none = [0] * (len(edges) + 1)
    return Histogram(
        column, stage_of(column, stage_names(manifest)) or "", scored, low, high, whole, log,
        [float(edge) for edge in edges], found.get("kept", none), found.get("rejected", none),
        bounds,
    )  # fmt: skip


def _bounds(manifest: Manifest, column: str) -> list[dict[str, Any]]:
    return [
        {"reason": rule["reason"], "low": rule["low"], "high": rule["high"], **scope_of(rule)}
        for rules in manifest.rules.values()
        for rule in rules
        if rule["column"] == column
    ]


def _edges_at(
    bounds: Sequence[dict[str, Any]], low: float, high: float, *, whole: bool
) -> list[float]:
    """Returns where bins must end, so that none has documents of both sides of a bound.

    A bin holds its largest value, so below a low bound it must end just before that bound.
    """
    sides: list[float] = []
    for bound in bounds:
        if bound["low"] is not None:
            below = np.ceil(bound["low"]) - 1 if whole else np.nextafter(bound["low"], -np.inf)
            sides.append(float(below))
        if bound["high"] is not None:
            sides.append(float(np.floor(bound["high"]) if whole else bound["high"]))
    return [side for side in sides if low <= side < high]


def _snapped(edges: Floats, sides: Sequence[float]) -> Floats:
    """Moves the nearest edge to each bound."""
    moved = edges.astype(np.float64)
    for side in sides:
        moved[np.argmin(np.abs(moved - side))] = side
    return np.unique(np.concatenate([moved, np.array(sides, dtype=np.float64)]))


def _in_order(found: dict[float, int], edges: Floats) -> list[int]:
    """Returns the counts of all bins; DuckDB leaves the last one out where it is empty."""
    counts = [found.get(float(edge), 0) for edge in edges]
    return [*counts, sum(found.values()) - sum(counts)]
