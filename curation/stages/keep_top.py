"""Keeps the best share of the corpus by a score, exactly, over all documents.

A bound on a score keeps a share that nobody knows before, and another one next month. Here the
share is what is asked for, and the bound follows: of n documents that have a score, the
`ceil(share * n)` best stay, whatever shards they lie in. Equal scores are taken in the order of
doc_id, so that the answer is the same everywhere.

Source: Li et al. 2024, "DataComp-LM", arXiv 2406.11794, which keeps the upper tenth; there, and in
other programs, a bound is estimated on a sample.
"""

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.errors import SchemaError
from curation.shuffle import decisions, document_numbers, insert, open_database, read_keys
from curation.stage import BatchFunction, Columns, GlobalStage, KeyShard, Scratch, Stage, Texts

if TYPE_CHECKING:
    import duckdb

REASON = "below_top_share"

Part = Literal["source", "language_label"]
"""Columns by which documents can be parted."""

_TABLE = "CREATE TABLE scores (document BIGINT, doc_id VARCHAR, part VARCHAR, score DOUBLE)"

_ANSWER = """
WITH ranked AS (
    SELECT document, doc_id, part, score,
        row_number() OVER (PARTITION BY part ORDER BY score {order}, doc_id, document) AS place
    FROM scores
),
bounds AS (
    SELECT part, score AS bound, last FROM ranked JOIN lasts USING (part) WHERE place = last
)
SELECT CAST(document >> 32 AS INTEGER) AS shard,
    CAST(document & 4294967295 AS INTEGER) AS row,
    true AS rejected, $reason AS reason, score AS similarity, bound
FROM ranked JOIN bounds USING (part) WHERE place > last ORDER BY doc_id, document
"""


class KeepTop(GlobalStage):
    """Keeps the documents with the best scores, an exact share of those that have a score.

    Documents without a score (null) stay and are not counted. A rejected document's value is its
    score, and the bound is the score of the last one that was kept; where the two are equal, the
    smaller doc_id decided.
    """

    selects: ClassVar[frozenset[str]] = frozenset({REASON})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"score": "quality_model_score", "share": 0.1}
    )

    kind: Literal["keep_top"] = "keep_top"
    score: str = Field(min_length=1)
    """The score column to rank by, of an earlier stage ("quality_model_score")."""
    share: float = Field(gt=0, le=1)
    """Share to keep, of the documents that have a score; rounded up to a whole document."""
    best: Literal["highest", "lowest"] = "highest"
    """Which scores are the best."""
    per: Part | None = None
    """Keep the share of each source, or of each language; default: of all together."""

    @classmethod
    def after(cls, stage: Stage, score: str, *, share: float, per: Part | None) -> "KeepTop":
        """Returns the stage that a setting of another one implies, with the scope of that one."""
        # Stages of one name for several sources or languages each have a share of their own.
        scope = [*(stage.sources or ()), *(stage.languages or ())]
        return cls(
            name="_".join([stage.name, "top", *scope]),
            score=score,
            share=share,
            per=per,
            sources=stage.sources,
            languages=stage.languages,
            except_languages=stage.except_languages,
        )

    def reads(self) -> frozenset[str]:
        """Returns the score column, and the one that parts the documents."""
        return super().reads() | {self.score} | ({self.per} if self.per else frozenset())

    def writes(self) -> pa.Schema:
        """Returns no column: what decides is the score."""
        return pa.schema([])

    def keys(self) -> BatchFunction:
        """Returns the function that makes `part` and `score` of a batch."""
        return self._make_keys

    def _make_keys(self, batch: pa.RecordBatch) -> Columns:
        values = batch.column(self.score)
        kind = values.type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise SchemaError(
                f"stage {self.name}: column '{self.score}' holds {kind}; expected numbers; "
                "name a score column"
            )
        scores = values.cast(pa.float64())
        parts = batch.column(self.per).cast(pa.string()) if self.per else None
        return {
            "score": pc.if_else(pc.is_finite(scores), scores, pa.scalar(None, pa.float64())),
            "part": pa.repeat("", len(scores)) if parts is None else parts.fill_null(""),
        }

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document that goes, ordered by doc_id."""
        order = "DESC" if self.best == "highest" else "ASC"
        with open_database(scratch) as database:
            database.execute(_TABLE)
            for shard in shards:
                keys = read_keys(shard)
                keys = keys.filter(keys.column("score").is_valid())
                numbers = document_numbers(shard.shard, keys.column("row").to_numpy())
                columns = {name: keys.column(name) for name in ("doc_id", "part", "score")}
                insert(database, "scores", {"document": pa.array(numbers)} | columns)
            database.register("lasts", self._lasts(database))
            values = {"reason": REASON}
            answer = database.sql(_ANSWER.format(order=order), params=values).to_arrow_table()
            database.unregister("lasts")
        return decisions(answer)

    def _lasts(self, database: "duckdb.DuckDBPyConnection") -> pa.Table:
        """Returns the place of the last document of each part that stays."""
        sizes = database.sql("SELECT part, count(*) FROM scores GROUP BY part").fetchall()
        # In whole numbers, of any size: 0.1 as a double would keep 4 of 30.
        share = Fraction(str(self.share))
        return pa.table(
            {
                "part": pa.array([part for part, _ in sizes], pa.string()),
                "last": pa.array([math.ceil(share * size) for _, size in sizes], pa.int64()),
            }
        )
