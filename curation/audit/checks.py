"""Is a dataset whole, and does it keep its promises?"""

from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from curation.audit.tables import connect, rows
from curation.manifest import Manifest, damaged_files, read_manifest
from curation.schema import COPY
from curation.shards import read_shard


def verify(directory: Path) -> list[str]:
    """Recomputes digests and checks the promises of a dataset; returns what does not hold.

    Checked: every file's digest; shards against the manifest's counts; kept + rejected = in + made
    in total; kept documents of the audit against those in the shards; each duplicate
    has a surviving twin; no id, or copy of a repeated one, is kept twice.
    """
    manifest = read_manifest(directory)
    broken = [
        f"{name}: missing, or differs from its digest"
        for name in damaged_files(directory, manifest)
    ]
    if broken:
        return broken
    totals = manifest.totals
    entered = totals.documents_in + totals.documents_made
    if totals.documents_kept + totals.documents_rejected != entered:
        broken.append(
            f"manifest: {totals.documents_kept} kept and {totals.documents_rejected} rejected "
            f"are not the {totals.documents_in} that came in and {totals.documents_made} made"
        )
    with connect(directory) as connection:
        counted = dict(
            connection.execute("SELECT verdict, count(*) FROM documents GROUP BY ALL").fetchall()
        )
        if counted.get("kept", 0) != totals.documents_kept:
            broken.append(f"audit: {counted.get('kept', 0)} kept, manifest {totals.documents_kept}")
        if sum(counted.values()) != entered:
            broken.append(f"audit: {sum(counted.values())} rows, manifest {entered} in and made")
        broken += _check_survivors(connection)
    return broken + _check_shards(directory, manifest)


def _check_survivors(connection: duckdb.DuckDBPyConnection) -> list[str]:
    orphans = rows(
        connection,
        "SELECT member, survivor FROM clusters WHERE dataset IS NULL AND survivor NOT IN "
        "(SELECT doc_id FROM documents WHERE verdict = 'kept' "
        "OR stage NOT IN (SELECT stage FROM documents WHERE other_id IS NOT NULL)) LIMIT 3",
    )
    return [f"{row['member']}: its twin {row['survivor']} did not survive" for row in orphans]


def _check_shards(directory: Path, manifest: Manifest) -> list[str]:
    broken: list[str] = []
    seen: set[tuple[str, int]] = set()
    for shard in manifest.shards:
        copies = _copies(directory / shard.path)
        if len(copies) != shard.documents:
            broken.append(f"{shard.path}: {len(copies)} documents, manifest {shard.documents}")
        twice = seen & set(copies)
        if twice or len(set(copies)) != len(copies):
            broken.append(f"{shard.path}: document {min(twice or set(copies))[0]} is there twice")
        seen.update(copies)
    written = manifest.totals.rows_written
    if written and len(seen) != written:
        broken.append(f"shards: {len(seen)} rows, manifest {written}")
    audited: set[str] = set()
    for path in sorted((directory / "audit").glob("documents-*.parquet")):
        table = pq.read_table(path, columns=["doc_id"], filters=[("verdict", "=", "kept")])
        audited.update(table.column(0).to_pylist())
    differ = audited ^ {doc_id for doc_id, _ in seen}
    if differ:
        broken.append(f"shards and audit differ on {len(differ)} kept documents")
    return broken


def _copies(shard: Path) -> list[tuple[str, int]]:
    """Returns id and number of the copy of each row."""
    table = read_shard(shard)
    ids = table.column("doc_id").to_pylist()
    repeated = COPY.name in table.column_names
    copies = table.column(COPY.name).to_pylist() if repeated else [0] * len(ids)
    return list(zip(ids, copies, strict=True))
