"""Documents to read: kept ones, or rejects of a reason."""

from pathlib import Path
from typing import Any

from curation.audit.tables import connect, rows
from curation.errors import DataError, unknown_name
from curation.manifest import Manifest, read_manifest
from curation.shards import read_shard


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
    check_reason(directory, manifest, rejected)
    with connect(directory) as connection:
        return rows(
            connection,
            "SELECT documents.*, rejected.text FROM documents JOIN rejected USING (doc_id) "
            "WHERE verdict = 'rejected' AND $2 IN ('any', reason, stage || '.' || reason) "
            "ORDER BY md5($1 || doc_id), doc_id LIMIT $3",
            str(seed),
            rejected,
            count,
        )


def check_reason(directory: Path, manifest: Manifest, rejected: str) -> None:
    """Checks that a stage rejects for a reason ("reason", "stage.reason", or "any").

    Raises:
        DataError: None does.
    """
    reasons = {(s.name, reason) for s in manifest.stages for reason in s.rejects}
    known = {"any"} | {reason for _, reason in reasons} | {f"{s}.{r}" for s, r in reasons}
    if rejected not in known:
        raise DataError(f"{directory}: {unknown_name('reason', rejected, known)}")


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
