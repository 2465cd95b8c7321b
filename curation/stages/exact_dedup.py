"""Exact duplicates: the same text, byte for byte, as a document that stays."""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.schema import score
from curation.shuffle import decisions, insert_repeats, open_database
from curation.stage import BatchFunction, Columns, GlobalStage, KeyShard, Scratch, Texts

REASON = "exact_duplicate"

_TABLE = """
CREATE TABLE digests (
    document BIGINT, doc_id VARCHAR, created BIGINT, file VARCHAR, start BIGINT,
    high UBIGINT, low UBIGINT)
"""

# Equal texts are equally long: of "longest, oldest, smallest id" the last two are left, and of
# equally old documents the one that was archived first is the older one.
_ANSWER = """
WITH members AS (
    SELECT document, doc_id, count(*) OVER same AS size, min(doc_id) OVER same AS cluster,
        first_value(doc_id) OVER best AS kept, row_number() OVER best AS place
    FROM digests
    WINDOW same AS (PARTITION BY high, low),
        best AS (PARTITION BY high, low ORDER BY created ASC NULLS LAST,
            file ASC NULLS LAST, start ASC NULLS LAST, doc_id, document))
SELECT CAST(document >> 32 AS INTEGER) AS shard,
    CAST(document & 4294967295 AS INTEGER) AS row,
    place > 1 AS rejected,
    CASE WHEN rejected THEN ? END AS reason,
    CASE WHEN rejected THEN CAST(1 AS DOUBLE) END AS similarity,
    CASE WHEN rejected THEN CAST(1 AS DOUBLE) END AS bound,
    CASE WHEN rejected THEN kept END AS other_id,
    cluster
FROM members WHERE size > 1 ORDER BY doc_id, document
"""


class ExactDedup(GlobalStage):
    """Rejects documents whose text repeats the text of a document that stays, byte for byte.

    The oldest stays (`created`; unknown is youngest), of equally old ones the first in the archive
    (file name, byte offset), then the one with the smallest doc_id.
    Texts are compared by 128-bit BLAKE2b digests, for which nobody can write two texts that agree.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "created", "origin"})

    kind: Literal["exact_dedup"] = "exact_dedup"

    def writes(self) -> pa.Schema:
        """Returns the cluster and the similarity, which is 1 for each duplicate."""
        return pa.schema(
            [
                score(
                    self.column("cluster"),
                    pa.string(),
                    "Smallest doc_id of the documents with this text; null if it is the only one.",
                ),
                score(
                    self.column("similarity"),
                    pa.float64(),
                    "1 where the document repeats one that stays; null if kept.",
                    unit="ratio",
                    low=0,
                    high=1,
                ),
            ]
        )

    def keys(self) -> BatchFunction:
        """Returns the function that makes `high`, `low`, `created` and the place of a batch."""
        return _make_keys

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document whose text occurs twice or more, ordered by doc_id."""
        columns = ("digests", ("doc_id", "created", "file", "start", "high", "low"))
        with open_database(scratch) as database:
            database.execute(_TABLE)
            insert_repeats(database, shards, _low, columns, scratch.memory_bytes)
            return decisions(database.sql(_ANSWER, params=[REASON]).to_arrow_table())


def _make_keys(batch: pa.RecordBatch) -> Columns:
    offsets, data = text_buffers(batch.column("text"))
    view = data.data
    digests = b"".join(
        hashlib.blake2b(view[start:end], digest_size=16).digest()
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
    )
    halves = np.frombuffer(digests, "<u8").reshape(-1, 2)
    return {
        "high": pa.array(halves[:, 0]),
        "low": pa.array(halves[:, 1]),
        "created": batch.column("created").cast(pa.int64()),
        "file": pc.struct_field(batch.column("origin"), "file"),
        "start": pc.struct_field(batch.column("origin"), "offset"),
    }


def _low(table: pa.Table) -> npt.NDArray[np.uint64]:
    low: npt.NDArray[np.uint64] = table.column("low").to_numpy()
    return low
