"""The documents that may have a near-duplicate: which they are, and their shingle sets on disk.

Band keys of all shards go in; out come the documents that share one, in order of priority, with
their buckets and sets as memory-mapped files. In memory stay some 70 bytes for each such document.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.clusters import Candidates
from curation.shuffle import Repeats, document_numbers, insert, place_of, read_keys
from curation.stage import KeyShard, Scratch, Texts
from curation.text.jaccard import put_rarest_first, shingle_sets

if TYPE_CHECKING:
    import duckdb

_TAKE_CHARS = 8 << 20

_TABLES = """
CREATE TABLE edges (key UBIGINT, document BIGINT);
CREATE TABLE documents (document BIGINT, doc_id VARCHAR, chars BIGINT, created BIGINT);
"""

# The longest first, then the oldest, then by id; the document number only if ids repeat.
_RANK = """
CREATE TABLE buckets AS
    SELECT key, row_number() OVER (ORDER BY key) - 1 AS bucket
    FROM (SELECT key FROM edges GROUP BY key HAVING count(*) > 1);
CREATE TABLE shared AS SELECT document, bucket FROM edges JOIN buckets USING (key);
DROP TABLE edges;
DROP TABLE buckets;
CREATE TABLE ranked AS
    SELECT document, doc_id, chars, row_number() OVER (
        ORDER BY chars DESC, created ASC NULLS LAST, doc_id, document) - 1 AS rank
    FROM documents WHERE document IN (SELECT document FROM shared);
DROP TABLE documents;
"""

_BUCKETS_BY_RANK = """
SELECT rank, bucket FROM shared JOIN ranked USING (document) ORDER BY rank, bucket
"""


def find_candidates(
    database: "duckdb.DuckDBPyConnection", shards: Sequence[KeyShard], scratch: Scratch
) -> None:
    """Leaves in the database who shares a band with whom.

    Its table `ranked` has the documents that share one (document, doc_id, chars, and rank, their
    place in the order of priority from 0), and `shared` has their buckets (document, bucket).

    Args:
        database: An open database.
        shards: Keys with the columns `row`, `doc_id`, `bands` (a fixed-size list of uint64, null
            where there is no shingle), `chars` and `created` (microseconds).
        scratch: What can be used up.
    """
    database.execute(_TABLES)
    bands = sum(len(keys) * keys.shape[1] for _, keys in map(_band_keys, map(read_keys, shards)))
    repeats = Repeats(bands, scratch.memory_bytes)
    for shard in shards:
        repeats.count(_band_keys(read_keys(shard))[1])
    for shard in shards:
        _insert_shard(database, shard, repeats)
    database.execute(_RANK)


def _band_keys(table: pa.Table) -> tuple[pa.Table, npt.NDArray[np.uint64]]:
    """Returns the rows that have bands, and the bands, uint64[n, bands], mostly without a copy."""
    if table.column("bands").null_count:
        table = table.filter(pc.is_valid(table.column("bands")))
    if not table.num_rows:
        return table, np.empty((0, 1), np.uint64)
    flat = [chunk.flatten().to_numpy() for chunk in table.column("bands").chunks]
    keys = flat[0] if len(flat) == 1 else np.concatenate(flat)
    return table, keys.reshape(table.num_rows, -1)


def _insert_shard(database: "duckdb.DuckDBPyConnection", shard: KeyShard, repeats: Repeats) -> None:
    table, keys = _band_keys(read_keys(shard))
    told = repeats.told(keys)
    documents = document_numbers(shard.shard, table.column("row").to_numpy())
    rows, bands = np.nonzero(told)
    insert(database, "edges", {"key": keys[rows, bands], "document": documents[rows]})
    table = table.append_column("document", pa.array(documents))
    table = table.filter(pa.array(told.any(axis=1)))
    columns = ("document", "doc_id", "chars", "created")
    insert(database, "documents", {name: table.column(name) for name in columns})


class Ranked(NamedTuple):
    """The candidates in order of priority."""

    documents: npt.NDArray[np.int64]
    """int64[n]: document numbers."""
    chars: npt.NDArray[np.int64]
    """int64[n]: lengths of the texts in characters."""


def read_ranked(database: "duckdb.DuckDBPyConnection") -> Ranked:
    """Returns the documents that `find_candidates` left, in order of priority."""
    table = database.sql("SELECT document, chars FROM ranked ORDER BY rank").to_arrow_table()
    return Ranked(table.column("document").to_numpy(), table.column("chars").to_numpy())


def load_candidates(
    database: "duckdb.DuckDBPyConnection",
    ranked: Ranked,
    texts: Texts,
    ngram: int,
    directory: Path,
) -> Candidates:
    """Writes the buckets and the shingle sets of the candidates to files and maps them.

    Args:
        database: What `find_candidates` left.
        ranked: What `read_ranked` returned.
        texts: Where the texts are read from, once, in the order of the shards.
        ngram: Tokens in a shingle.
        directory: Where the files `buckets` and `sets` go; delete them when done.
    """
    bounds = np.zeros(len(ranked.documents) + 1, np.int64)
    buckets = spill(directory / "buckets", np.int64, _buckets(database, bounds))
    np.cumsum(bounds, out=bounds)
    places = np.zeros(int(buckets.max(initial=-1)) + 2, np.int64)
    np.cumsum(np.bincount(buckets, minlength=len(places) - 1), out=places[1:])
    starts = np.empty_like(ranked.documents)
    sizes = np.empty_like(ranked.documents)
    sets = spill(directory / "sets", np.uint64, _sets(ranked, texts, ngram, (starts, sizes)))
    put_rarest_first(sets, starts, sizes)
    return Candidates(sets, starts, sizes, buckets, bounds, places)


def _buckets(
    database: "duckdb.DuckDBPyConnection", bounds: npt.NDArray[np.int64]
) -> Iterator[npt.NDArray[np.int64]]:
    """Yields the buckets by rank; leaves in `bounds[1:]` how many each document has."""
    for batch in database.sql(_BUCKETS_BY_RANK).to_arrow_reader(1 << 20):
        np.add.at(bounds, batch.column("rank").to_numpy() + 1, 1)
        yield batch.column("bucket").to_numpy()


def _sets(
    ranked: Ranked,
    texts: Texts,
    ngram: int,
    found: tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]],
) -> Iterator[npt.NDArray[np.uint64]]:
    """Yields the shingle sets in the order of the shards; leaves in `found` start and size."""
    starts, sizes = found
    order = np.argsort(ranked.documents)
    written = 0
    for group in _groups(ranked, order):
        shard, rows = place_of(ranked.documents[group])
        taken = text_buffers(texts.take(int(shard[0]), rows))
        sets, bounds = shingle_sets(*taken, ngram)
        starts[group] = bounds[:-1] + written
        sizes[group] = np.diff(bounds)
        written += len(sets)
        yield sets


def _groups(ranked: Ranked, order: npt.NDArray[np.int64]) -> Iterator[npt.NDArray[np.int64]]:
    """Yields runs of `order` that lie in one shard and hold about `_TAKE_CHARS` characters."""
    shards, _ = place_of(ranked.documents[order])
    portion = np.cumsum(ranked.chars[order]) // _TAKE_CHARS
    cuts = np.flatnonzero((np.diff(shards) != 0) | (np.diff(portion) != 0)) + 1
    yield from (group for group in np.split(order, cuts) if len(group))


def spill(path: Path, dtype: Any, parts: Iterable[npt.NDArray[Any]]) -> npt.NDArray[Any]:
    """Writes arrays one after another to a file and returns it memory-mapped, writable."""
    with path.open("wb") as file:
        size = sum(file.write(np.ascontiguousarray(part, dtype).data) for part in parts)
    if not size:
        return np.empty(0, dtype)
    return np.memmap(path, dtype, "r+").view(np.ndarray)
