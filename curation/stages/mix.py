"""Proportions between sources: some are thinned out, others repeated, to a stated share of each.

Each document draws a number d in (0, 1] from a hash of the seed and its doc_id, and its k-th copy
has the place (k - 1 + d) / r, where r is the document's weight of its own (`copies`; else 1). A
source takes its copies in the order of these places until its share is full. So the share is met to
within one document; nobody gets a second copy before everybody of the same weight has a first one;
neither order nor shards matter; and a larger share only adds copies.

Without `weights` the weights of documents decide alone: r = 2 is two copies, r = 0.5 every second
document.

Source: ours; copies by the size of a cluster of duplicates are those of FineWeb-2 (Penedo et al.
2025, arXiv 2506.20920, "rehydration"), a cap on repeats is that of Muennighoff et al. 2023, arXiv
2305.16264, for whom four epochs of the same text were almost as good as new text.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.errors import DataError, RecipeError, SchemaError
from curation.schema import score
from curation.shuffle import decisions, document_numbers, insert, open_database, read_keys
from curation.stage import BatchFunction, Columns, GlobalStage, KeyShard, Scratch, Texts

if TYPE_CHECKING:
    import duckdb

REASON = "sampled_out"
SPLIT, TRAIN = "split", "train"

_TABLE = """
CREATE TABLE documents (
    document BIGINT, doc_id VARCHAR, part VARCHAR, size BIGINT, draw DOUBLE, share DOUBLE)
"""

# Copies in the order in which a source takes them. Of a document, those up to `sure` are taken in
# any case and those above `last` in none (see `_places`), so that the work does not grow with the
# number of repeats. `room` is what a source may hold, null without weights: then a copy counts if
# its place is 1 or less.
_ANSWER = """
WITH bounded AS (
    SELECT *, greatest(CAST(floor(least(low * share, $most)) AS BIGINT) - 1, 0) AS sure,
        greatest(CAST(least(ceil(high * share) + 1, $most) AS BIGINT), sure + 1) AS last
    FROM documents JOIN rooms USING (part) WHERE share > 0
),
begun AS (SELECT part, sum(size * sure) AS held FROM bounded GROUP BY part),
repeated AS (SELECT *, unnest(generate_series(sure + 1, last)) AS copy FROM bounded),
copies AS (
    SELECT *, (copy - 1 + draw) / share AS place FROM repeated JOIN begun USING (part)
),
taken AS (
    SELECT document, part, sure, place, CASE WHEN room IS NULL THEN place <= 1 ELSE
        held + sum(size) OVER (PARTITION BY part ORDER BY place, doc_id, document, copy
            ROWS UNBOUNDED PRECEDING) <= room END AS fits
    FROM copies
),
counts AS (
    SELECT document, any_value(sure) + count(*) FILTER (fits) AS copies, min(place) AS place
    FROM taken GROUP BY document
),
bounds AS (SELECT part, coalesce(max(place) FILTER (fits), 0) AS bound FROM taken GROUP BY part)
SELECT CAST(document >> 32 AS INTEGER) AS shard,
    CAST(document & 4294967295 AS INTEGER) AS row,
    coalesce(counts.copies, 0) = 0 AS rejected,
    CASE WHEN rejected THEN $reason END AS reason,
    CASE WHEN rejected THEN place END AS similarity,
    CASE WHEN rejected THEN CASE WHEN room IS NULL THEN 1 ELSE coalesce(bound, 0) END END AS bound,
    CASE WHEN NOT rejected THEN CAST(counts.copies AS INTEGER) END AS copies
FROM documents JOIN rooms USING (part) LEFT JOIN counts USING (document)
    LEFT JOIN bounds USING (part)
WHERE rejected OR counts.copies > 1 ORDER BY doc_id, document
"""


class Mix(GlobalStage):
    """Thins out and repeats documents, so that each source has its share of the training text.

    Sources without a weight, and what a column `split` holds out, stay as they are and do not
    count. A document that is kept n times is written n times to the shards, at places apart from
    one another; for a rejected one the value is its place, and the bound the last place that its
    source took.
    """

    selects: ClassVar[frozenset[str]] = frozenset({REASON})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"weights": {"web": 0.7, "books": 0.3}})

    kind: Literal["mix"] = "mix"
    weights: dict[str, float] = Field(default_factory=dict)
    """Share of each source, relative to the sum; default: no shares, `copies` alone decides."""
    unit: str = "text_bytes"
    """What shares are counted in: "text_bytes", "documents", or a column of whole numbers."""
    total: int | None = Field(default=None, ge=1)
    """Most of that unit in all; default: as much as the sources allow in these shares."""
    max_repeats: int = Field(default=1, ge=1, le=1000)
    """Most copies of a document."""
    copies_by: str | None = None
    """A score column, a cluster's size for example, by which documents weigh more or less."""
    copies: dict[float, float] = Field(default_factory=dict)
    """From which value of `copies_by` on a document has which weight, 0 or more; 1 below all of
    them, and where there is no value."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Another seed draws other documents; default: the recipe's seed."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if not self.weights and not self.copies:
            raise ValueError("has neither weights nor copies, so there is nothing to mix; give one")
        if bool(self.copies) != (self.copies_by is not None):
            raise ValueError("copies and copies_by belong together; give both or neither")
        for source, weight in self.weights.items():
            if not 0 < weight < np.inf:
                raise ValueError(
                    f"weight of source '{source}' is {weight}, expected more than 0; to leave a "
                    "source out, leave it out of the recipe"
                )
        if not all(0 <= weight < np.inf for weight in self.copies.values()):
            raise ValueError("a weight in copies is not 0 or more")
        if not self.weights and max(self.copies.values()) > self.max_repeats:
            raise ValueError(
                f"copies asks for {max(self.copies.values()):g} copies and max_repeats is "
                f"{self.max_repeats}; raise max_repeats"
            )
        if self.total is not None and not self.weights:
            raise ValueError("total needs weights; give them, or leave total out")
        return self

    def reads(self) -> frozenset[str]:
        """Returns the columns of sizes and weights, too."""
        own = {self.unit} - {"text_bytes", "documents"} | {self.copies_by}
        return super().reads() | {name for name in own if name is not None}

    def named_sources(self) -> Mapping[str, Iterable[str]]:
        """Returns the sources that have a weight."""
        return {"weights": self.weights}

    def writes(self) -> pa.Schema:
        """Returns how often each document is written."""
        about = "How often the document is written to the shards."
        return pa.schema([score(self.column("copies"), pa.int32(), about, unit="copies", low=1)])

    def keys(self) -> BatchFunction:
        """Returns the function that makes `part`, `size`, `draw` and `share` of a batch.

        Raises:
            RecipeError: There is no seed.
        """
        if self.seed is None:
            raise RecipeError(
                f"stage {self.name} has no seed; expected a number from 0 to 2**63 - 1; set seed "
                "of the recipe or of the stage"
            )
        key = self.seed.to_bytes(8, "little")
        return lambda batch: self._make_keys(batch, key)

    def _make_keys(self, batch: pa.RecordBatch, key: bytes) -> Columns:
        part = batch.column("source").cast(pa.string())
        if self.weights:
            mixed = pc.is_in(part, pa.array(list(self.weights), pa.string()))
        else:
            mixed = pa.array(np.ones(len(part), np.bool_))
        if SPLIT in batch.schema.names:
            side = batch.column(SPLIT).cast(pa.string()).fill_null(TRAIN)
            mixed = pc.and_(mixed, pc.equal(side, TRAIN))
        draws = [_draw(doc_id, key) for doc_id in batch.column("doc_id").to_pylist()]
        return {
            "part": pc.if_else(mixed, part, pa.scalar(None, pa.string())),
            "size": self._sizes(batch),
            "draw": pa.array(draws, pa.float64()),
            "share": pa.array(self._shares(batch), pa.float64()),
        }

    def _sizes(self, batch: pa.RecordBatch) -> pa.Array:
        if self.unit == "documents":
            return pa.array(np.ones(batch.num_rows, np.int64))
        if self.unit == "text_bytes":
            return pc.binary_length(batch.column("text")).cast(pa.int64())
        values = batch.column(self.unit)
        if not pa.types.is_integer(values.type):
            raise SchemaError(
                f"stage {self.name}: unit '{self.unit}' holds {values.type}; expected whole "
                'numbers (words, tokens), "text_bytes" or "documents"'
            )
        return pc.max_element_wise(values.cast(pa.int64()).fill_null(0), 0)

    def _shares(self, batch: pa.RecordBatch) -> Any:
        if self.copies_by is None:
            return np.ones(batch.num_rows)
        values = batch.column(self.copies_by)
        if not (pa.types.is_floating(values.type) or pa.types.is_integer(values.type)):
            raise SchemaError(
                f"stage {self.name}: copies_by '{self.copies_by}' holds {values.type}; expected "
                "numbers; name a score column"
            )
        found = values.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False)
        bounds = sorted(self.copies)
        weights = np.array([1.0, *(self.copies[bound] for bound in bounds)])
        place = np.searchsorted(np.array(bounds), found, side="right")
        return np.where(np.isnan(found), 1.0, weights[place])

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document that goes or is repeated, ordered by doc_id.

        Raises:
            DataError: A source with a weight has no documents.
        """
        with open_database(scratch) as database:
            database.execute(_TABLE)
            for shard in shards:
                keys = read_keys(shard)
                keys = keys.filter(keys.column("part").is_valid())
                numbers = document_numbers(shard.shard, keys.column("row").to_numpy())
                names = ("doc_id", "part", "size", "draw", "share")
                columns = {name: keys.column(name) for name in names}
                insert(database, "documents", {"document": pa.array(numbers)} | columns)
            database.register("rooms", self._rooms(database))
            values = {"most": self.max_repeats, "reason": REASON}
            answer = database.sql(_ANSWER, params=values).to_arrow_table()
            database.unregister("rooms")
        return decisions(answer).append_column("copies", answer.column("copies"))

    def _rooms(self, database: "duckdb.DuckDBPyConnection") -> pa.Table:
        """Returns how much of each source the mix holds, null where only `copies` decides.

        And between which places its last copy lies.
        """
        found = database.sql(
            "SELECT part, share, CAST(sum(size) AS BIGINT) FROM documents "
            "GROUP BY part, share ORDER BY part, share"
        ).fetchall()
        sizes: dict[str, dict[float, int]] = {}
        for part, share, size in found:
            sizes.setdefault(part, {})[share] = size
        if not self.weights:
            return _room_table([(part, None, 1.0, 1.0) for part in sizes])
        rooms = self._shared_out(sizes) if sizes else {}
        return _room_table(
            [(part, room, *_places(sizes[part], room, self.max_repeats))
             for part, room in rooms.items()]
        )  # fmt: skip

    def _shared_out(self, sizes: Mapping[str, Mapping[float, int]]) -> dict[str, int]:
        """Returns how much of each source makes its share of the largest mix that there can be."""
        most = {
            part: self.max_repeats * sum(size for share, size in mine.items() if share > 0)
            for part, mine in sizes.items()
        }
        for source in sorted(self.weights):
            if not most.get(source):
                raise DataError(
                    f"stage {self.name}: source '{source}' has weight {self.weights[source]:g}, "
                    "but no text is left of it; expected some; take it out of weights, or keep "
                    "more of it"
                )
        weights = {source: Fraction(str(weight)) for source, weight in self.weights.items()}
        whole = min(most[source] / weight for source, weight in weights.items())
        if self.total is not None:
            whole = min(whole, Fraction(self.total) / sum(weights.values()))
        return {source: int(whole * weight) for source, weight in weights.items()}

    def apply(self, batch: pa.RecordBatch, answer: pa.RecordBatch) -> Columns:  # noqa: ARG002
        """Returns the number of copies: 1 where nothing was decided, null where it is rejected."""
        gone = answer.column("rejected").fill_null(fill_value=False)
        copies = answer.column("copies").cast(pa.int32()).fill_null(1)
        return {self.column("copies"): pc.if_else(gone, pa.scalar(None, pa.int32()), copies)}


def _room_table(rooms: Sequence[tuple[str, int | None, float, float]]) -> pa.Table:
    parts, sizes, lows, highs = zip(*rooms, strict=True) if rooms else ((), (), (), ())
    return pa.table(
        {
            "part": pa.array(parts, pa.string()),
            "room": pa.array(sizes, pa.int64()),
            "low": pa.array(lows, pa.float64()),
            "high": pa.array(highs, pa.float64()),
        }
    )


def _places(sizes: Mapping[float, int], room: int, most: int) -> tuple[float, float]:
    """Returns two places between which the last copy lies that a source has room for.

    Up to the place p, a document of weight r has more than p * r - 1 copies and at most p * r + 1.

    Args:
        sizes: By weight, the size of all documents that have it.
        room: What the source may hold.
        most: Most copies of a document.
    """
    end = (most + 1) / min(share for share in sizes if share > 0)
    low, _ = _crossing(lambda p: _held(sizes, p, 1, most), room, end)
    _, high = _crossing(lambda p: _held(sizes, p, -1, most), room, end)
    # Rounding is far below what is left and added here.
    return low * (1 - 1e-9), high * (1 + 1e-9)


def _held(sizes: Mapping[float, int], place: float, more: int, most: int) -> float:
    return sum(
        size * min(max(place * share + more, 0), most) for share, size in sizes.items() if share > 0
    )


def _crossing(held: Callable[[float], float], room: int, end: float) -> tuple[float, float]:
    """Returns neighbours from 0 to `end` between which a rising function passes the room."""
    low, high = 0.0, end
    if held(low) > room:
        return 0.0, 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (low, middle) if held(middle) > room else (middle, high)
    return low, high


def _draw(doc_id: str, key: bytes) -> float:
    """Returns a number above 0, at most 1, the same for a document and a seed everywhere."""
    digest = hashlib.blake2b(doc_id.encode(), digest_size=8, key=key, person=b"mix").digest()
    return (int.from_bytes(digest, "little") + 1) / 2**64
