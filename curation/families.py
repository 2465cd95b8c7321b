"""Parents and children: who may have some, what a child has of its parent, and where it stands.

A child has the source, URL, licence, label, target and meta of its parent, an id made of the
parent's, the stage, its number and the seed, and the name of its family: the id of the document at
the root. Scores of earlier stages are of the parent's text and stay null; what says where the
parent belongs (`split`, clusters, language) is handed down.
"""

import hashlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RecipeError
from curation.schema import DOCUMENT, LANGUAGE_LABEL, make_doc_id
from curation.stage import ExpandStage

FAMILY = pa.schema(
    [
        pa.field("root_id", pa.string()),  # doc_id of the document that the family began with
        pa.field("made_by", pa.string()),  # name of the stage
        pa.field("operation", pa.string()),  # what it did
    ]
)
"""Columns of a dataset with augmented documents; null for all others."""

PARENT_TEXT = pa.field("parent_text", pa.large_string())
"""The parent's text, for the stages of the segment in which a child was made; not written."""

CHILD = pa.field("child", pa.int32(), nullable=False)
"""What an expand stage is told: which child of its parent a row is, from 0 on."""

MADE = pa.schema(
    [
        DOCUMENT.field("text"),
        DOCUMENT.field("target"),
        FAMILY.field("operation"),
        pa.field("error", pa.string()),
        pa.field("detail", pa.string()),
    ]
)
"""What an expand stage may answer, besides its scores."""

SPLIT, TRAIN, CLUSTER_SUFFIX = "split", "train", "_cluster"
_OWN = frozenset({"doc_id", "record_id", "parent_id", "text", "target"})


class Children(NamedTuple):
    """New rows, in the order of their parents."""

    rows: pa.RecordBatch
    places: npt.NDArray[np.int64]
    """int64[n], ascending: the row of each child's parent in the batch."""
    errors: Sequence[str | None]
    """Reasons of those that could not be made."""
    details: Sequence[str | None]


def may_have_children(stage: ExpandStage, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    """Returns bool[n]: rows that are not held out, and no children where they have none."""
    mask = np.ones(batch.num_rows, np.bool_)
    if SPLIT in batch.schema.names:
        side = batch.column(SPLIT).cast(pa.string()).fill_null(TRAIN)
        mask &= pc.equal(side, TRAIN).to_numpy(zero_copy_only=False)
    if not stage.from_children:
        mask &= batch.column("parent_id").is_null().to_numpy(zero_copy_only=False)
    return mask


def parents(
    stage: ExpandStage, batch: pa.RecordBatch, rows: npt.NDArray[np.int64]
) -> pa.RecordBatch:
    """Returns some rows of a batch, each as often as it is to have children.

    Args:
        stage: The stage.
        batch: n documents, `widened`.
        rows: int64[m], ascending: the rows that may have children.

    Returns:
        The rows, with the column CHILD and one more for `children`.

    Raises:
        RecipeError: There is no seed.
    """
    doc_ids = batch.column("doc_id").take(pa.array(rows)).to_pylist()
    counts = child_counts(stage, doc_ids)
    places = np.repeat(rows, counts)
    numbers = np.arange(len(places)) - np.repeat(np.cumsum(counts) - counts, counts)
    part = batch.take(pa.array(places))
    part = part.append_column(CHILD, pa.array(numbers.astype(np.int32)))
    return part.append_column(_PLACE, pa.array(places, pa.int64()))


_PLACE = pa.field("__place__", pa.int64())


def child_counts(stage: ExpandStage, doc_ids: Sequence[str]) -> npt.NDArray[np.int64]:
    """Returns how many children each document is to have: int64[n], on average `share`.

    A larger share only adds children.

    Raises:
        RecipeError: There is no seed.
    """
    if stage.seed is None:
        raise RecipeError(
            f"stage {stage.name} has no seed; expected a number from 0 to 2**63 - 1; set seed "
            "of the recipe or of the stage"
        )
    key = hashlib.blake2b(f"{stage.seed}\0{stage.name}".encode(), digest_size=32).digest()
    draws = np.array([_draw(doc_id, key) for doc_id in doc_ids], np.float64)
    return np.floor(stage.share + draws).astype(np.int64)


def _draw(doc_id: str, key: bytes) -> float:
    """Returns a number from 0, below 1, the same for a document and a stage everywhere."""
    digest = hashlib.blake2b(doc_id.encode(), digest_size=8, key=key, person=b"children").digest()
    return (int.from_bytes(digest, "little") >> 11) / 2**53


def children(
    stage: ExpandStage, part: pa.RecordBatch, made: dict[str, pa.Array], failed: dict[int, str]
) -> Children:
    """Returns the rows that an expand stage made.

    Args:
        stage: The stage.
        part: What `parents` returned, n rows.
        made: n values of each column in MADE and in `stage.writes()`.
        failed: What the stage raised, by row.
    """
    errors, details = made["error"].to_pylist(), made["detail"].to_pylist()
    for row, message in failed.items():
        errors[row], details[row] = f"{stage.name}_error", message
    errors_known = pa.array(errors, pa.string())
    there = pc.or_(made["text"].is_valid(), errors_known.is_valid())
    rows = np.flatnonzero(there.to_numpy(zero_copy_only=False))
    taken = pa.array(rows)
    values = {name: array.take(taken) for name, array in made.items()}
    values["text"] = pc.if_else(
        errors_known.take(taken).is_null(), values["text"], pa.scalar(None, pa.large_string())
    )
    part = part.take(taken)
    own = _own(stage, part, values)
    fields = [field for field in part.schema if field.name not in (CHILD.name, _PLACE.name)]
    columns = [
        own[field.name] if field.name in own else _inherited(part, field) for field in fields
    ]
    return Children(
        pa.RecordBatch.from_arrays(columns, schema=pa.schema(fields)),
        part.column(_PLACE.name).to_numpy(),
        [errors[row] for row in rows],
        [details[row] for row in rows],
    )


def widened(stage: ExpandStage, batch: pa.RecordBatch) -> pa.RecordBatch:
    """Returns a batch with the columns that children bring, null where there were none."""
    for field in (*FAMILY, PARENT_TEXT, *stage.writes()):
        if field.name not in batch.schema.names:
            batch = batch.append_column(field, pa.nulls(batch.num_rows, field.type))
    return batch


def _own(
    stage: ExpandStage, part: pa.RecordBatch, values: dict[str, pa.Array]
) -> dict[str, pa.Array]:
    """Returns the columns that a child does not have of its parent as they are."""
    suffixes = [f"#{stage.name}:{child}@{stage.seed}" for child in part.column("child").to_pylist()]
    of_parents = part.column("record_id").to_pylist()
    records = [record + suffix for record, suffix in zip(of_parents, suffixes, strict=True)]
    sources = part.column("source").to_pylist()
    ids = [make_doc_id(*names) for names in zip(sources, records, strict=True)]
    parent_ids = part.column("doc_id")
    scores = {name: values[name] for name in stage.writes().names}
    return scores | {
        "doc_id": pa.array(ids, pa.string()),
        "record_id": pa.array(records, pa.string()),
        "parent_id": parent_ids,
        "text": values["text"],
        "target": pc.coalesce(values["target"], part.column("target")),
        "root_id": pc.coalesce(part.column("root_id"), parent_ids),
        "made_by": pa.array([stage.name] * part.num_rows, pa.string()),
        "operation": values["operation"].fill_null(stage.name),
        PARENT_TEXT.name: part.column("text"),
    }


def _inherited(part: pa.RecordBatch, field: pa.Field) -> Any:
    """Returns what a child has of its parent: all of a document, and where it belongs."""
    handed = (SPLIT, LANGUAGE_LABEL, "row")
    of_document = field.name in DOCUMENT.names and field.name not in _OWN
    if of_document or field.name in handed or field.name.endswith(CLUSTER_SUFFIX):
        return part.column(field.name)
    return pa.nulls(part.num_rows, field.type)


def interleaved(
    batch: pa.RecordBatch, found: Children
) -> tuple[pa.RecordBatch, npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """Puts each child behind its parent and the children before it.

    Returns:
        All rows; the new row of each old one; the new row of each child.
    """
    places = found.places
    before = np.searchsorted(places, np.arange(batch.num_rows))
    old = np.arange(batch.num_rows) + before
    new = places + 1 + np.arange(len(places))
    if not len(places):
        return batch, old, new
    order = np.empty(batch.num_rows + len(places), np.int64)
    order[old] = np.arange(batch.num_rows)
    order[new] = batch.num_rows + np.arange(len(places))
    rows = found.rows.select(batch.schema.names).cast(batch.schema)
    joined = pa.Table.from_batches([batch, rows]).combine_chunks()
    [taken] = joined.take(pa.array(order)).combine_chunks().to_batches()
    return taken, old, new
