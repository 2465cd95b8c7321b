"""The Arrow schemas that every part of the pipeline agrees on, and how a document gets its id."""

import hashlib
from typing import Any

import pyarrow as pa

from curation.errors import SchemaError

DOCUMENT = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),  # make_doc_id(source, record_id)
        pa.field("record_id", pa.string(), nullable=False),  # the source's own id
        pa.field("source", pa.string(), nullable=False),  # name of the recipe's source
        pa.field("url", pa.string()),
        pa.field("media_type", pa.string()),  # of `text` as it stands: text/html until extracted
        pa.field("text", pa.large_string()),  # null: there is none (unreadable, not extractable)
        pa.field("target", pa.large_string()),  # supervised rows: the summary or completion
        pa.field("label", pa.string()),  # supervised rows: the class
        pa.field("created", pa.timestamp("us", tz="UTC")),
        pa.field("license", pa.string()),
        pa.field("parent_id", pa.string()),  # augmented documents: doc_id of what they came from
        pa.field(
            "origin",  # where the raw record lies, so that it can always be shown
            pa.struct([("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]),
        ),
        pa.field("meta", pa.string()),  # JSON object: whatever else the source knows
    ]
)
"""One row is one document. Stages append score columns named `<stage>_<quantity>`."""

READ = DOCUMENT.append(pa.field("read_error", pa.string())).append(
    pa.field("read_detail", pa.string())
)
"""What a source yields: a document, or a record that could not be read, with the reason.

`read_error` is a short code in the manner of a rule's reason ("truncated_record"); null means
readable. `read_detail` says in one line what was found. `text` is null where `read_error` is set.
"""

DECISION = pa.schema(
    [
        pa.field("shard", pa.int32(), nullable=False),  # index of the upstream shard
        pa.field("row", pa.int32(), nullable=False),  # row within that shard's kept file
        pa.field("rejected", pa.bool_(), nullable=False),
        pa.field("reason", pa.string()),  # set where rejected
        pa.field("similarity", pa.float64()),  # to `other_id`; 1.0 for exact duplicates
        pa.field("bound", pa.float64()),  # the threshold that `similarity` reached
        pa.field("other_id", pa.string()),  # the kept twin
        pa.field("cluster", pa.string()),  # smallest doc_id of the duplicate cluster
    ]
)
"""What a global stage answers: one row for each document that it rejects, puts in a cluster or
changes. A stage that changes documents answers with further columns of its own."""

SHARD_DECISION = DECISION.remove(DECISION.get_field_index("shard"))
"""The decisions on one shard: its number changes with the shards before it, its rows do not."""


LANGUAGE_LABEL = "language_label"
"""The score column that says a document's language; the stage `language` writes it."""


COPY = pa.field("copy", pa.int32(), nullable=False)
"""Column of the output where documents are written more than once: 0 for the first copy."""


def make_doc_id(source: str, record_id: str) -> str:
    """Returns the 128-bit id of a document as 32 hex digits.

    It depends on the source's name and the source's own id only, never on the text, so a document
    keeps its id while stages rewrite it.

    Examples:
        >>> make_doc_id("web", "<urn:uuid:1>")
        'cb2153c8f484a26653b987f7ffa43d62'
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(source.encode("utf-8", "surrogatepass"))
    digest.update(b"\0")
    digest.update(record_id.encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def score(
    name: str,
    dtype: pa.DataType,
    about: str,
    *,
    unit: str = "",
    low: float | None = None,
    high: float | None = None,
) -> pa.Field:
    """Returns the Arrow field of a score column; unit, range and meaning lie in its metadata.

    Args:
        name: `<stage>_<quantity>`.
        dtype: Arrow type; scores that a rule reads are numeric or boolean.
        about: One sentence: what the number says.
        unit: "words", "characters", "ratio", "probability" ...
        low: Smallest possible value; None where there is none.
        high: Largest possible value; None where there is none.
    """
    metadata: dict[str, Any] = {"about": about, "unit": unit}
    if low is not None or high is not None:
        metadata["range"] = f"[{'' if low is None else low}, {'' if high is None else high}]"
    return pa.field(name, dtype, metadata=metadata)


def as_names(values: pa.Array, what: str) -> pa.Array:
    """Returns a column by which documents are parted as strings; null stays null.

    Args:
        values: n values.
        what: Names column and setting in the message ("stage exact_dedup: scope 'origin'").

    Raises:
        SchemaError: It holds what is no name: records, lists, or fractions.
    """
    kind, types = values.type, pa.types
    names = types.is_string(kind) or types.is_large_string(kind) or types.is_null(kind)
    if names or types.is_integer(kind) or types.is_boolean(kind) or types.is_temporal(kind):
        return values.cast(pa.string())
    raise SchemaError(
        f"{what} holds {kind}; expected words, whole numbers, booleans or times; "
        "name another column"
    )
