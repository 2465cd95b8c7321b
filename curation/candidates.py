"""The documents that may have a near-duplicate: which they are, and their shingle sets on disk.

What the ranges of hashes found goes in; out come the documents that share one, in order of
priority, with their buckets and sets as arrays, of which the sets lie in a memory-mapped file.
In memory stay some 100 bytes for each such document, and 8 for each hash that it shares.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.buffers import text_buffers
from curation.clusters import Candidates, Meetings, Survivors
from curation.priority import Priority
from curation.ranges import DOCUMENT, HASH, insert_documents
from curation.shuffle import decisions, insert, place_of
from curation.stage import KeyShard, Texts
from curation.text.jaccard import parity_maps, shingle_sets
from curation.text.jit import kernel

if TYPE_CHECKING:
    import duckdb

_TAKE_CHARS = 8 << 20

Numbers = npt.NDArray[np.int64]


class Buckets(NamedTuple):
    """Documents that share a hash."""

    documents: Numbers
    """int64[n]: all of them, as document numbers, ascending."""
    members: npt.NDArray[np.int32]
    """int32[e]: the places in `documents` of those in the first bucket, in the second, ..."""
    sizes: npt.NDArray[np.int32]
    """int32[b]: how many are in each bucket, 2 or more."""


def read_buckets(groups: Iterable[pa.Table]) -> Buckets:
    """Makes buckets of what `ranges.repeated` found in all ranges."""
    found, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for table in groups:
        hashes = table.column(HASH).to_numpy()
        starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1]))
        if len(hashes):
            sizes.append(np.diff(np.append(starts, len(hashes))).astype(np.int32))
            found.append(table.column(DOCUMENT).to_numpy())
    flat = np.concatenate(found)
    shards = int(flat.max(initial=-1) >> 32) + 1
    return Buckets(*_number_documents(flat, shards), np.concatenate(sizes))


@kernel
def _number_documents(flat: Numbers, shards: int) -> tuple[Numbers, npt.NDArray[np.int32]]:
    """Returns the different document numbers, ascending, and the place of each one among them.

    Shard by shard, so that what is looked up lies close together; a sort takes ten times as long.
    """
    bounds, most = np.zeros(shards + 1, np.int64), np.zeros(shards, np.int64)
    for document in flat:
        shard = document >> 32
        bounds[shard + 1] += 1
        most[shard] = max(most[shard], document & 0xFFFFFFFF)
    bounds = np.cumsum(bounds)
    order, fill = np.empty(len(flat), np.int64), bounds[:-1].copy()
    for k in range(len(flat)):
        order[fill[flat[k] >> 32]] = k
        fill[flat[k] >> 32] += 1
    documents, places = np.empty(len(flat), np.int64), np.empty(len(flat), np.int32)
    count = 0
    for shard in range(shards):
        mine = order[bounds[shard] : bounds[shard + 1]]
        number = np.full(most[shard] + 1, -1, np.int32)
        for k in mine:
            number[flat[k] & 0xFFFFFFFF] = 0
        for row in range(len(number)):
            if number[row] == 0:
                documents[count] = (shard << 32) | row
                number[row] = count
                count += 1
        for k in mine:
            places[k] = number[flat[k] & 0xFFFFFFFF]
    return documents[:count].copy(), places


_TABLE = "CREATE TABLE documents (document BIGINT, fixed BOOLEAN, doc_id VARCHAR, chars BIGINT{})"

_RANK = """
CREATE TABLE ranked AS
    SELECT document, fixed, doc_id, chars, row_number() OVER (ORDER BY {}) - 1 AS rank
    FROM documents;
DROP TABLE documents;
"""


class Ranked(NamedTuple):
    """The candidates in order of priority."""

    documents: Numbers
    """int64[n]: document numbers."""
    chars: Numbers
    """int64[n]: lengths of the texts in characters."""
    fixed: int
    """The first so many are of earlier datasets and stay whatever they are."""


def rank_documents(
    database: "duckdb.DuckDBPyConnection",
    shards: Sequence[KeyShard],
    documents: Numbers,
    priority: Priority,
) -> Ranked:
    """Puts documents in order of priority; leaves it as the table `ranked` in the database.

    That has `document`, `fixed`, `doc_id`, `chars` and `rank`, the place in the order from 0.

    Args:
        database: An open database.
        shards: Keys with the columns `row`, `doc_id`, `chars` and those of the priority.
        documents: int64[n], document numbers, ascending.
        priority: The order.
    """
    own = {name: kind for name, kind in priority.columns().items() if name != "chars"}
    database.execute(_TABLE.format("".join(f", {name} {kind}" for name, kind in own.items())))
    insert_documents(database, shards, documents, ("documents", ("doc_id", "chars", *own)))
    # The document number decides only if ids repeat.
    database.execute(_RANK.format(priority.order(["fixed DESC"], ["doc_id", "document"])))
    table = database.sql("SELECT document, chars FROM ranked ORDER BY rank").to_arrow_table()
    fixed = database.sql("SELECT count(*) FROM ranked WHERE fixed").fetchall()[0][0]
    return Ranked(table.column("document").to_numpy(), table.column("chars").to_numpy(), fixed)


def meetings_of(ranked: Ranked, buckets: Buckets) -> Meetings:
    """Turns buckets of documents into buckets of their places in the order of priority."""
    count = len(ranked.documents)
    ranks = np.empty(count, np.int32)
    ranks[np.searchsorted(buckets.documents, ranked.documents)] = np.arange(count)
    by_rank, bounds = _buckets_by_rank(ranks[buckets.members], buckets.sizes, count)
    return Meetings(
        by_rank, bounds, np.concatenate([[0], np.cumsum(buckets.sizes, dtype=np.int64)])
    )


_ANSWER = """
WITH members AS (
    SELECT o.*, document, fixed, doc_id, min(doc_id) OVER (PARTITION BY o.cluster) AS cluster_id,
        count(*) OVER (PARTITION BY o.cluster) AS size
    FROM outcomes AS o JOIN ranked USING (rank))
SELECT CAST(m.document >> 32 AS INTEGER) AS shard,
    CAST(m.document & 4294967295 AS INTEGER) AS row,
    m.twin >= 0 AS rejected,
    CASE WHEN rejected THEN ? END AS reason,
    CASE WHEN rejected THEN m.similarity END AS similarity,
    CASE WHEN rejected THEN CAST(? AS DOUBLE) END AS bound,
    kept.doc_id AS other_id,
    m.cluster_id AS cluster
FROM members AS m LEFT JOIN ranked AS kept ON kept.rank = m.twin
WHERE m.size > 1 AND NOT m.fixed ORDER BY m.doc_id, m.document
"""


def answer_of(
    database: "duckdb.DuckDBPyConnection", survivors: Survivors, reason: str, threshold: float
) -> pa.Table:
    """Returns a DECISION row for each document of a cluster, ordered by doc_id.

    Args:
        database: That of `rank_documents`.
        survivors: What became of the documents that it ranked.
        reason: Of those that go.
        threshold: The similarity from which they do.
    """
    database.execute(
        "CREATE TABLE outcomes (rank BIGINT, twin BIGINT, similarity DOUBLE, cluster BIGINT)"
    )
    outcomes = {name: pa.array(values) for name, values in survivors._asdict().items()}
    ranks = pa.array(np.arange(len(survivors.twin)))
    insert(database, "outcomes", {"rank": ranks} | outcomes)
    return decisions(database.sql(_ANSWER, params=[reason, threshold]).to_arrow_table())


class Alike(NamedTuple):
    """When two documents are near-duplicates."""

    ngram: int
    """Tokens in a shingle."""
    threshold: float
    """Jaccard similarity of the shingle sets, inclusive."""


def load_candidates(
    ranked: Ranked, meetings: Meetings, texts: Texts, alike: Alike, directory: Path
) -> Candidates:
    """Writes the shingle sets of the candidates to a file and maps it.

    Args:
        ranked: The order.
        meetings: The buckets that they share.
        texts: Where the texts are read from, once, in the order of the shards.
        alike: What makes two documents near-duplicates.
        directory: Where the file `sets` goes; delete it when done.
    """
    loading = _Loading(ranked, texts, alike.ngram)
    sets = spill(directory / "sets", np.uint64, loading.sets())
    maps = np.concatenate([np.empty(0, np.uint64), *loading.maps])
    return Candidates(
        sets, loading.starts, loading.sizes, maps, loading.map_starts, *meetings, alike.threshold
    )


@kernel
def _buckets_by_rank(
    ranks: npt.NDArray[np.int32], sizes: npt.NDArray[np.int32], count: int
) -> tuple[npt.NDArray[np.int32], Numbers]:
    """Returns the buckets of rank 0, of rank 1, ..., each ascending; and where those start."""
    bounds = np.zeros(count + 1, np.int64)
    for rank in ranks:
        bounds[rank + 1] += 1
    bounds = np.cumsum(bounds)
    fill = bounds[:-1].copy()
    buckets = np.empty(len(ranks), np.int32)
    at = 0
    for bucket in range(len(sizes)):
        for rank in ranks[at : at + sizes[bucket]]:
            buckets[fill[rank]] = bucket
            fill[rank] += 1
        at += sizes[bucket]
    return buckets, bounds


class _Loading:
    """Shingle sets in the order of the shards, and where each rank's set and map are."""

    def __init__(self, ranked: Ranked, texts: Texts, ngram: int) -> None:
        self.ranked, self.texts, self.ngram = ranked, texts, ngram
        self.starts = np.empty_like(ranked.documents)
        self.sizes = np.empty_like(ranked.documents)
        self.map_starts = np.empty_like(ranked.documents)
        self.maps: list[npt.NDArray[np.uint64]] = []

    def sets(self) -> Iterator[npt.NDArray[np.uint64]]:
        """Yields the sets of one portion of texts after another."""
        written = mapped = 0
        for group in _groups(self.ranked):
            shard, rows = place_of(self.ranked.documents[group])
            taken = text_buffers(self.texts.take(int(shard[0]), rows))
            sets, bounds = shingle_sets(*taken, self.ngram)
            maps, map_bounds = parity_maps(sets, bounds)
            self.starts[group] = bounds[:-1] + written
            self.sizes[group] = np.diff(bounds)
            self.map_starts[group] = map_bounds[:-1] + mapped
            self.maps.append(maps)
            written += len(sets)
            mapped += len(maps)
            yield sets


def _groups(ranked: Ranked) -> Iterator[Numbers]:
    """Yields the ranks of documents of one shard with about `_TAKE_CHARS` characters."""
    order = np.argsort(ranked.documents)
    shards, _ = place_of(ranked.documents[order])
    portion = np.cumsum(ranked.chars[order]) // _TAKE_CHARS
    cuts = np.flatnonzero((np.diff(shards) != 0) | (np.diff(portion) != 0)) + 1
    yield from (group for group in np.split(order, cuts) if len(group))


def spill(path: Path, dtype: Any, parts: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Writes arrays one after another to a file and returns it memory-mapped."""
    with path.open("wb") as file:
        size = sum(file.write(np.ascontiguousarray(part, dtype).data) for part in parts)
    if not size:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "r+").view(np.ndarray)
