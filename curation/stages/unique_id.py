"""Repeated ids: every document must have an id of its own, or no trace and no audit can be true."""

from collections.abc import Sequence
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.shuffle import decisions, insert_repeats, open_database
from curation.stage import BatchFunction, Columns, GlobalStage, KeyShard, Scratch, Texts
from curation.text.xxh64 import xxh64_rows

REASON = "repeated_id"

_TABLE = """
CREATE TABLE ids (document BIGINT, doc_id VARCHAR, file VARCHAR, start BIGINT)
"""

_ANSWER = """
SELECT CAST(document >> 32 AS INTEGER) AS shard,
    CAST(document & 4294967295 AS INTEGER) AS row,
    true AS rejected, ? AS reason, doc_id AS other_id
FROM ids
QUALIFY row_number() OVER (
    PARTITION BY doc_id ORDER BY file NULLS LAST, start NULLS LAST, document) > 1
ORDER BY doc_id, file, start, document
"""


class UniqueId(GlobalStage):
    """Rejects documents whose doc_id another document has: the same record read twice.

    The one that lies first stays (by file name, then by byte offset). Every plan starts with it.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"origin"})

    kind: Literal["unique_id"] = "unique_id"

    def writes(self) -> pa.Schema:
        """Returns no column: an id is repeated or not."""
        return pa.schema([])

    def keys(self) -> BatchFunction:
        """Returns the function that makes `file` and `start` of a batch."""
        return _make_keys

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document that goes, ordered by doc_id and place."""
        columns = ("ids", ("doc_id", "file", "start"))
        with open_database(scratch) as database:
            database.execute(_TABLE)
            insert_repeats(database, shards, _id_keys, columns, scratch.memory_bytes)
            return decisions(database.sql(_ANSWER, params=[REASON]).to_arrow_table())


def _make_keys(batch: pa.RecordBatch) -> Columns:
    origin = batch.column("origin")
    return {
        "file": pc.struct_field(origin, "file"),
        "start": pc.struct_field(origin, "offset"),
    }


def _id_keys(table: pa.Table) -> npt.NDArray[np.uint64]:
    chunks = [xxh64_rows(*text_buffers(chunk), 0) for chunk in table.column("doc_id").chunks]
    return np.concatenate([np.empty(0, np.uint64), *chunks])
