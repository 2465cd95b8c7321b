"""Units of text that repeat across documents: which they are, and which documents lose theirs.

Digests of all shards go in; out come, document by document, the units that go, each with a document
that keeps its twin. In memory stay 20 bytes for each distinct unit that repeats often enough.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.shuffle import Repeats, document_numbers, insert, place_of, read_keys
from curation.stage import KeyShard
from curation.text.jit import inlined, kernel, read_only

if TYPE_CHECKING:
    import duckdb

_ROWS_AT_ONCE = 1 << 20

UNIT = pa.struct(
    [("high", pa.uint64()), ("low", pa.uint64()), ("place", pa.int32()), ("chars", pa.int32())]
)
"""A unit in the keys of a document: its digest, its place among all units, its length."""

CUT = pa.struct([("first", pa.int32()), ("last", pa.int32()), ("kept_in", pa.string())])
"""A run of neighbouring units that go, and the document that keeps their twins."""

_TABLES = """
CREATE TABLE occurrences (
    document BIGINT, high UBIGINT, low UBIGINT, place INTEGER, chars INTEGER);
CREATE TABLE documents (
    document BIGINT, doc_id VARCHAR, created BIGINT, total BIGINT,
    scope_high UBIGINT, scope_low UBIGINT);
CREATE TABLE scopes (scope_high UBIGINT, scope_low UBIGINT, members BIGINT);
"""

# A digest holds the scope in it, so all documents of a unit are of one scope: any of them says it.
_UNITS = """
CREATE TABLE units AS
    WITH spread AS (SELECT high, low, count(*) AS found, min(document) AS document
        FROM (SELECT DISTINCT high, low, document FROM occurrences)
        GROUP BY high, low HAVING found >= $least),
    sizes AS (SELECT scope_high, scope_low, sum(members) AS members FROM scopes GROUP BY ALL)
    SELECT high, low, row_number() OVER () - 1 AS unit
    FROM spread JOIN documents USING (document) JOIN sizes USING (scope_high, scope_low)
    WHERE found >= $share * members;
"""

# The oldest first, then by id; the document number only if ids repeat.
_RANK = """
CREATE TABLE repeated AS
    SELECT document, unit, place, chars FROM occurrences JOIN units USING (high, low);
DROP TABLE occurrences;
CREATE TABLE ranked AS
    SELECT document, doc_id, total,
        row_number() OVER (ORDER BY created ASC NULLS LAST, doc_id, document) - 1 AS rank
    FROM documents WHERE document IN (SELECT document FROM repeated);
DROP TABLE documents;
"""

_BY_RANK = """
SELECT rank, unit, place, chars, total FROM repeated JOIN ranked USING (document)
ORDER BY rank, place
"""


class Bounds(NamedTuple):
    """From when on a unit is boilerplate, and what becomes of it."""

    documents: int
    """Fewest different documents of a scope that have it."""
    share: float
    """Smallest share of the scope's documents that have it, 0 to 1."""
    keep_first: int
    """How many documents keep theirs; 0 or more."""
    max_cut: float
    """A document that would lose more than this share of its characters keeps none for others."""


def find_repeated(
    database: "duckdb.DuckDBPyConnection",
    shards: Sequence[KeyShard],
    bounds: Bounds,
    memory_bytes: int,
) -> None:
    """Leaves in the database the units that repeat often enough, and who has them.

    Its table `repeated` has their occurrences (document, unit, place, chars), and `ranked` has the
    documents with one (document, doc_id, total; rank, their place in the order of priority from 0).

    Args:
        database: An open database.
        shards: Keys with the columns `row`, `doc_id`, `created` (microseconds), `units` (a list of
            `UNIT`), `total` (characters of all units), and `scope_high` and `scope_low`, the digest
            of the scope; null where a document belongs to none.
        bounds: What is often enough.
        memory_bytes: What may be used; a quarter is taken.
    """
    database.execute(_TABLES)
    count = sum(pc.sum(pc.list_value_length(read_keys(s)["units"])).as_py() or 0 for s in shards)
    repeats = Repeats(count, memory_bytes)
    for shard in shards:
        for units in read_keys(shard).column("units").chunks:
            # A line that one document repeats is told without need; the exact count comes later.
            repeats.count(_field(units.flatten(), "low"))
    for shard in shards:
        _insert_shard(database, shard, repeats)
    parameters = {"least": bounds.documents, "share": bounds.share}
    database.execute(_UNITS, parameters)
    database.execute(_RANK)


def _field(units: pa.StructArray, name: str) -> npt.NDArray[np.uint64]:
    found: npt.NDArray[np.uint64] = pc.struct_field(units, name).to_numpy()
    return found


def _insert_shard(database: "duckdb.DuckDBPyConnection", shard: KeyShard, repeats: Repeats) -> None:
    table = read_keys(shard)
    scopes = table.filter(pc.is_valid(table.column("scope_low")))
    members = scopes.group_by(["scope_high", "scope_low"]).aggregate([([], "count_all")])
    insert(database, "scopes", {str(k): column for k, column in enumerate(members.columns)})
    for batch in table.to_batches():
        units = batch.column("units")
        found = units.flatten()
        told = np.flatnonzero(repeats.told(_field(found, "low")))
        rows = pc.list_parent_indices(units).to_numpy()[told]
        documents = document_numbers(shard.shard, batch.column("row").to_numpy())
        found = found.take(pa.array(told))
        fields = {name: pc.struct_field(found, name) for name in UNIT.names}
        insert(database, "occurrences", {"document": documents[rows]} | fields)
        batch = batch.append_column("document", pa.array(documents))  # noqa: PLW2901
        names = ("document", "doc_id", "created", "total", "scope_high", "scope_low")
        having = batch.take(pa.array(np.unique(rows)))
        insert(database, "documents", {name: having.column(name) for name in names})


def choose_cuts(database: "duckdb.DuckDBPyConnection", bounds: Bounds) -> pa.Table:
    """Returns what each document loses, from what `find_repeated` left.

    Documents are looked at in order of priority. A unit is cut if `keep_first` documents have kept
    theirs by then; a document that loses too much keeps nothing for others, as it will not stay.

    Returns:
        The columns `shard`, `row` and `cut`, a list of `CUT`; one row for each document that loses
        something, in order of priority.
    """
    ranked = database.sql("SELECT document, doc_id FROM ranked ORDER BY rank").to_arrow_table()
    [(units,)] = database.sql("SELECT count(*) FROM units").fetchall()
    keepers = _Keepers(
        np.zeros(units, np.int32), np.full(units, -1, np.int64), np.full(units, -1, np.int64)
    )
    parts = [_cut_runs(found, keepers, bounds) for found in _whole_documents(database)]
    empty = np.empty(0, np.int64)
    rank, first, last, keeper = (
        np.concatenate([empty, *(part[k] for part in parts)]) for k in range(4)
    )
    kept_in = ranked.column("doc_id").combine_chunks()
    cuts = pa.StructArray.from_arrays(
        [
            pa.array(first.astype(np.int32)),
            pa.array(last.astype(np.int32)),
            kept_in.take(pa.array(keeper, mask=keeper < 0)),
        ],
        fields=list(CUT),
    )
    having, begins = np.unique(rank, return_index=True)
    offsets = np.append(begins, len(rank)).astype(np.int32)
    shard, row = place_of(ranked.column("document").to_numpy()[having])
    return pa.table(
        {
            "shard": shard,
            "row": row.astype(np.int32),
            "cut": pa.ListArray.from_arrays(pa.array(offsets), cuts),
        }
    )


class _Occurrences(NamedTuple):
    """m occurrences of repeated units, by document in order of priority, by place in it."""

    rank: npt.NDArray[np.int64]
    unit: npt.NDArray[np.int64]
    place: npt.NDArray[np.int32]
    chars: npt.NDArray[np.int32]
    total: npt.NDArray[np.int64]


def _whole_documents(database: "duckdb.DuckDBPyConnection") -> Iterator[_Occurrences]:
    """Yields portions that end where a document does."""
    rest: pa.Table | None = None
    for batch in database.sql(_BY_RANK).to_arrow_reader(_ROWS_AT_ONCE):
        portion = pa.Table.from_batches([batch])
        if rest is not None:
            portion = pa.concat_tables([rest, portion])
        ranks = portion.column("rank").to_numpy()
        whole = int(np.searchsorted(ranks, ranks[-1])) if len(ranks) else 0
        yield _occurrences(portion.slice(0, whole))
        rest = portion.slice(whole)
    if rest is not None:
        yield _occurrences(rest)


def _occurrences(table: pa.Table) -> _Occurrences:
    columns = (table.column(name).to_numpy() for name in _Occurrences._fields)
    return _Occurrences(*map(read_only, columns))


class _Keepers(NamedTuple):
    """What has become of each unit so far."""

    copies: npt.NDArray[np.int32]
    """Documents that keep theirs."""
    first: npt.NDArray[np.int64]
    """The first of these, by rank; -1 for none."""
    last: npt.NDArray[np.int64]
    """The last of these."""


def _cut_runs(
    found: _Occurrences, keepers: _Keepers, bounds: Bounds
) -> tuple[npt.NDArray[np.int64], ...]:
    """Returns the runs of neighbours to cut: rank, first and last place, rank of the keeper."""
    cut = _choose(found, keepers, (bounds.keep_first, bounds.max_cut))
    gone = np.flatnonzero(cut)
    rank, place = found.rank[gone], found.place[gone].astype(np.int64)
    keeper = keepers.first[found.unit[gone]]
    breaks = (np.diff(rank) != 0) | (np.diff(place) != 1) | (np.diff(keeper) != 0)
    starts = np.flatnonzero(np.append(np.ones(min(len(gone), 1), np.bool_), breaks))
    ends = np.append(starts[1:], len(gone))[: len(starts)] - 1
    return rank[starts], place[starts], place[ends], keeper[starts]


@kernel
def _choose(
    found: _Occurrences, keepers: _Keepers, bounds: tuple[int, float]
) -> npt.NDArray[np.bool_]:
    """Says of each occurrence whether it goes, and notes in `keepers` who keeps what."""
    cut = np.zeros(len(found.rank), np.bool_)
    begin = 0
    while begin < len(cut):
        end, chars = begin, 0
        while end < len(cut) and found.rank[end] == found.rank[begin]:
            cut[end] = keepers.copies[found.unit[end]] >= bounds[0]
            chars += int(found.chars[end]) * cut[end]
            end += 1
        if chars / found.total[begin] <= bounds[1]:
            for k in range(begin, end):
                if not cut[k]:
                    _keep(keepers, found.unit[k], found.rank[k])
        begin = end
    return cut


@inlined
def _keep(keepers: _Keepers, unit: int, rank: int) -> None:
    """Notes that a document keeps a unit, once however often it has it."""
    if keepers.last[unit] == rank:
        return
    keepers.last[unit] = rank
    keepers.copies[unit] += 1
    if keepers.first[unit] < 0:
        keepers.first[unit] = rank
