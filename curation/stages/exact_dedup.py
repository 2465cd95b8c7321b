"""Exact duplicates: the same text, byte for byte, as a document that stays."""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from curation.buffers import text_buffers
from curation.duplicates import DuplicateStage
from curation.ranges import grouped, insert_documents, repeated, repeated_documents
from curation.shuffle import decisions, open_database
from curation.stage import BatchFunction, Columns, KeyShard, Part, Scratch, Texts
from curation.text.fold import fold_words

REASON = "exact_duplicate"

_COLUMNS = {
    "doc_id": "VARCHAR", "file": "VARCHAR", "start": "BIGINT", "high": "UBIGINT", "low": "UBIGINT"
}  # fmt: skip

# Of documents that `keep` finds equal, the one that was archived first is the older one.
_LAST = ("file ASC NULLS LAST", "start ASC NULLS LAST", "doc_id", "document")

_SIMILARITY = {
    "none": "1 where the document repeats one that stays; null if kept.",
    "text": "1 where the document has the words of one that stays, in their order; null if kept.",
}

_ANSWER = """
WITH members AS (
    SELECT document, fixed, doc_id, count(*) OVER same AS size, min(doc_id) OVER same AS cluster,
        first_value(doc_id) OVER best AS kept, row_number() OVER best AS place
    FROM digests
    WINDOW same AS (PARTITION BY high, low),
        best AS (PARTITION BY high, low ORDER BY {}))
SELECT CAST(document >> 32 AS INTEGER) AS shard,
    CAST(document & 4294967295 AS INTEGER) AS row,
    place > 1 AS rejected,
    CASE WHEN rejected THEN ? END AS reason,
    CASE WHEN rejected THEN CAST(1 AS DOUBLE) END AS similarity,
    CASE WHEN rejected THEN CAST(1 AS DOUBLE) END AS bound,
    CASE WHEN rejected THEN kept END AS other_id,
    cluster
FROM members WHERE size > 1 AND NOT fixed ORDER BY doc_id, document
"""


class ExactDedup(DuplicateStage):
    """Rejects documents whose text repeats the text of a document that stays.

    By default byte for byte. In the order of `keep` the first stays (the oldest; `created` unknown
    is youngest), of equal ones the first in the archive (file name, byte offset), then the one with
    the smallest doc_id. Texts are compared by 128-bit BLAKE2b digests, for which nobody can write
    two texts that agree.
    """

    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"text", "origin"})
    duplicates: ClassVar[str | None] = "exact"
    hashed: ClassVar[str | None] = "low"

    kind: Literal["exact_dedup"] = "exact_dedup"
    keep: tuple[str, ...] = ("oldest",)
    """Who of several duplicates stays, the first policy first: longest, shortest, oldest, newest,
    source, highest:<column>, lowest:<column>; what is left equal goes by place and doc_id."""
    normalize: Literal["none", "text"] = "none"
    """What is compared: the bytes ("none"), or the words in lower case, whatever stands between
    them ("text"); texts without a word are compared by their bytes."""
    ignore_digits: bool = False
    """With `normalize = "text"`, each of the digits 0 to 9 counts as 0."""

    @model_validator(mode="after")
    def _digits_are_normalized(self) -> Self:
        if self.ignore_digits and self.normalize == "none":
            raise ValueError('ignore_digits changes nothing without normalize = "text"; add that')
        return self

    def writes(self) -> pa.Schema:
        """Returns the cluster and the similarity, which is 1 for each duplicate."""
        return self.cluster_scores(
            "Smallest doc_id of the documents with this text; null if it is the only one.",
            _SIMILARITY[self.normalize],
        )

    def keys(self) -> BatchFunction:
        """Returns the function that makes `high`, `low`, the place and the priority of a batch."""
        return self._make_keys

    def _make_keys(self, batch: pa.RecordBatch) -> Columns:
        halves = self._digests(batch.column("text"))
        return {
            "high": pa.array(halves[:, 0] ^ self.scope_hashes(batch, 1)),
            "low": pa.array(halves[:, 1] ^ self.scope_hashes(batch, 0)),
            "file": pc.struct_field(batch.column("origin"), "file"),
            "start": pc.struct_field(batch.column("origin"), "offset"),
            **self.priority.keys(batch),
        }

    def _digests(self, texts: pa.Array) -> npt.NDArray[np.uint64]:
        offsets, data = text_buffers(texts)
        if self.normalize == "text":
            offsets, data = fold_words(offsets, data, self.ignore_digits)
        view = data.data
        digests = b"".join(
            hashlib.blake2b(view[start:end], digest_size=16).digest()
            for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)
        )
        return np.frombuffer(digests, "<u8").reshape(-1, 2)

    def group(self, shards: Sequence[KeyShard], part: Part, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns which documents share half of the digest, of those in one range of it."""
        return repeated(shards, part)

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document whose text occurs twice or more, ordered by doc_id."""
        documents = repeated_documents(grouped(self, shards, scratch))
        columns = _COLUMNS | self.priority.columns()
        declared = ", ".join(f"{name} {kind}" for name, kind in columns.items())
        answer = _ANSWER.format(self.priority.order(["fixed DESC"], _LAST))
        with open_database(scratch) as database:
            database.execute(f"CREATE TABLE digests (document BIGINT, fixed BOOLEAN, {declared})")
            insert_documents(database, shards, documents, ("digests", tuple(columns)))
            return decisions(database.sql(answer, params=[REASON]).to_arrow_table())
