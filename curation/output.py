"""The last step: kept documents into equal shards in a seeded order, every document into the audit.

The order of the output is the order of a seeded hash of `doc_id`, so it does not depend on how
the input was cut or listed, and any prefix of the shards is a random sample of the corpus. A
document that is written several times has a place of its own for each copy.
"""

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from curation.manifest import Record, SourceCount
from curation.recipe import Output
from curation.schema import COPY
from curation.segment import ROW
from curation.shards import FileRecord, read_shard, replacing, write_shard
from curation.stage import Reference
from curation.verdicts import VERDICT
from curation.work import Item

AUDIT_ROWS_PER_GROUP = 16_384


class _Places(NamedTuple):
    """Where the documents of one split come from, in output order."""

    split: str
    shards: int
    rows: pa.Table
    """work, row, and where documents are repeated, copy."""

    def pieces(self) -> Iterator[tuple[str, pa.Table]]:
        """Yields the layout of each output shard; sizes differ by one document at most."""
        cuts = np.linspace(0, self.rows.num_rows, self.shards + 1).astype(np.int64)
        for index in range(self.shards):
            name = f"{self.split}-{index:05d}-of-{self.shards:05d}"
            yield name, self.rows.slice(cuts[index], cuts[index + 1] - cuts[index])


def order_keys(
    doc_ids: Sequence[str], seed: int, copies: Sequence[int] | None = None
) -> npt.NDArray[np.uint64]:
    """Returns the place of each document in the output order, as uint64[n, 2] sort keys.

    Args:
        doc_ids: n ids.
        seed: Of the recipe.
        copies: Number of each row's copy, from 0 on, which has a place of its own; default: 0.
    """
    start = hashlib.blake2b(str(seed).encode(), digest_size=16, person=b"output order")
    keys = bytearray()
    for doc_id, copy in zip(doc_ids, copies or repeat(0), strict=False):
        digest = start.copy()
        digest.update(doc_id.encode())
        if copy:
            digest.update(b"\0%d" % copy)
        keys += digest.digest()
    return np.frombuffer(bytes(keys), dtype=">u8").reshape(-1, 2).astype(np.uint64)


def shard_count(output: Output, documents: int, text_bytes: int) -> int:
    """Returns how many shards a split gets: as asked, or a multiple of 8 by size.

    A split with fewer documents than that gets one shard for each document, so none is empty.
    """
    wanted = output.shards or 8 * max(1, -(-text_bytes // (8 * output.shard_bytes)))
    return max(1, min(wanted, documents))


@dataclass(frozen=True)
class LayoutItem(Item):
    """Decides which document goes to which output shard."""

    kept: tuple[Path, ...]
    output: Output
    seed: int
    copies: tuple[str, ...] = ()
    """Columns that say how often a document is written; several multiply."""

    def work(self) -> Record:
        """Writes one `layout-<shard>.arrow` for each output shard."""
        columns = [self._read(index, path) for index, path in enumerate(self.kept)]
        table = pa.concat_tables(columns)
        copies = table.column(COPY.name).to_pylist() if self.copies else None
        keys = order_keys(table.column("doc_id").to_pylist(), self.seed, copies)
        order = np.lexsort((keys[:, 1], keys[:, 0]))
        splits = np.array(table.column("split").to_pylist(), dtype=object)[order]
        files: dict[str, FileRecord] = {}
        for split in sorted(set(splits)):
            chosen = pa.array(order[splits == split])
            part = table.take(chosen)
            shards = shard_count(self.output, part.num_rows, pc.sum(part.column("bytes")).as_py())
            layout_columns = ["work", "row", *([COPY.name] if self.copies else [])]
            places = _Places(split, shards, part.select(layout_columns))
            for name, layout in places.pieces():
                path = self.directory / f"layout-{name}.arrow"
                files[path.name] = write_shard(path, layout)
        return Record(key=self.key, files=files)

    def _read(self, index: int, path: Path) -> pa.Table:
        table = read_shard(path)
        rows = table.num_rows
        split = table.column("split") if "split" in table.column_names else pa.nulls(rows)
        found = pa.table(
            {
                "doc_id": table.column("doc_id"),
                "split": split.cast(pa.string()).fill_null("train"),
                "bytes": pc.binary_length(table.column("text")).fill_null(0).cast(pa.int64()),
                "work": np.full(rows, index, dtype=np.int32),
                "row": np.arange(rows, dtype=np.int32),
            }
        )
        return self._repeated(found, table) if self.copies else found

    def _repeated(self, found: pa.Table, table: pa.Table) -> pa.Table:
        """Writes each row as often as the columns of copies say."""
        counts = np.ones(found.num_rows, np.int64)
        for name in self.copies:
            counts *= table.column(name).fill_null(1).to_numpy()
        repeated = found.take(pa.array(np.repeat(np.arange(found.num_rows), counts)))
        first = np.repeat(np.cumsum(counts) - counts, counts)
        copy = pa.array((np.arange(len(first)) - first).astype(np.int32))
        return repeated.append_column(COPY, copy)


@dataclass(frozen=True)
class GatherItem(Item):
    """Writes one output shard from the memory-mapped work shards."""

    layout: Path
    kept: tuple[Path, ...]
    out: Path
    """Directory of the dataset."""

    @property
    def shard_path(self) -> Path:
        """The output shard that this item writes."""
        return self.out / "shards" / f"{self.layout.stem.removeprefix('layout-')}.arrow"

    def work(self) -> Record:
        """Takes the rows that the layout names, in its order."""
        layout = read_shard(self.layout)
        work = layout.column("work").to_numpy()
        rows = layout.column("row").to_numpy()
        parts, places = [], []
        for index in np.unique(work):
            where = np.flatnonzero(work == index)
            table = read_shard(self.kept[index])
            parts.append(table.drop_columns([ROW.name]).take(pa.array(rows[where])))
            places.append(where)
        restored = np.argsort(np.concatenate(places), kind="stable")
        table = pa.concat_tables(parts).take(pa.array(restored))
        if COPY.name in layout.column_names:
            table = table.append_column(COPY, layout.column(COPY.name))
        self.shard_path.parent.mkdir(parents=True, exist_ok=True)
        record = write_shard(self.shard_path, table)
        return Record(key=self.key, files={_relative(self.shard_path, self.directory): record})


@dataclass(frozen=True)
class AuditItem(Item):
    """One audit file: a row for every document that entered by one input shard."""

    index: int
    rejected: tuple[Path, ...]
    """The rejected files of all segments, in order."""
    kept: Path
    out: Path

    def work(self) -> Record:
        """Writes `audit/documents-*.parquet`, and the texts of rejects to `audit/rejected-*`."""
        audit = self.out / "audit"
        audit.mkdir(parents=True, exist_ok=True)
        tables = [read_shard(path) for path in (*self.rejected, self.kept)]
        texts = pa.concat_tables([table.select(["doc_id", "text"]) for table in tables[:-1]])
        documents = _documents(tables)
        files = {}
        for name, table in (("documents", documents), ("rejected", texts)):
            path = audit / f"{name}-{self.index:05d}.parquet"
            files[_relative(path, self.directory)] = _write_parquet(path, table)
        return Record(key=self.key, files=files, sources=_source_counts(documents))


def _relative(path: Path, start: Path) -> str:
    return Path(os.path.relpath(path, start)).as_posix()


def _documents(tables: list[pa.Table]) -> pa.Table:
    """Joins rejected and kept rows of one shard back into reading order, without the texts."""
    parts = []
    for table in tables:
        rejected = "reason" in table.column_names
        verdict = pa.repeat(pa.scalar("rejected" if rejected else "kept"), table.num_rows)
        lengths = pc.binary_length(table.column("text")).cast(pa.int64())
        parts.append(
            table.drop_columns(["text", "target"])
            .append_column("verdict", verdict)
            .append_column("text_bytes", lengths)
        )
    joined = pa.concat_tables(parts, promote_options="default")
    # A child has the row of its parent, and comes after it.
    child = joined.column("parent_id").is_valid()
    places = joined.select([ROW.name, "doc_id"]).append_column("child", child)
    order = [(name, "ascending") for name in (ROW.name, "child", "doc_id")]
    joined = joined.take(pc.sort_indices(places, sort_keys=order))
    first = ["doc_id", "source", "url", "verdict", *VERDICT.names, "record_id", "origin"]
    rest = [name for name in joined.column_names if name not in (*first, ROW.name)]
    missing = [name for name in VERDICT.names if name not in joined.column_names]
    for name in missing:
        field = VERDICT.field(name)
        joined = joined.append_column(field, pa.nulls(joined.num_rows, field.type))
    return joined.select([*first, *rest])


def _write_parquet(path: Path, table: pa.Table) -> FileRecord:
    with replacing(path) as sink:
        pq.write_table(
            table.replace_schema_metadata(None),
            pa.PythonFile(sink, "w"),
            compression="zstd",
            row_group_size=AUDIT_ROWS_PER_GROUP,
        )
    return FileRecord(bytes=sink.bytes, sha256=sink.sha256.hexdigest(), rows=table.num_rows)


def _source_counts(documents: pa.Table) -> dict[str, SourceCount]:
    counts = {}
    for source in pc.unique(documents.column("source")).to_pylist():
        mine = documents.filter(pc.equal(documents.column("source"), source))
        kept = mine.filter(pc.equal(mine.column("verdict"), "kept"))
        counts[source] = SourceCount(
            documents_made=len(mine) - mine.column("parent_id").null_count,
            documents_kept=kept.num_rows,
            documents_rejected=mine.num_rows - kept.num_rows,
            text_bytes_kept=pc.sum(kept.column("text_bytes")).as_py() or 0,
        )
    return counts


@dataclass(frozen=True)
class ClustersItem(Item):
    """One file that names, for each duplicate, the document that survived in its place."""

    audit: tuple[Path, ...]
    kinds: tuple[tuple[str, str], ...]
    """Name of each deduplicating stage, and what it calls a duplicate ("exact", "near")."""
    out: Path
    references: tuple[Reference, ...] = ()
    """Shards of finished datasets: a document of theirs may be what survived."""

    def work(self) -> Record:
        """Writes `audit/clusters.parquet`: survivor, member, via, similarity, kind, dataset.

        `via` is the document that the member was compared with, and `similarity` is to it. An
        exact twin may have become a near duplicate later: then `survivor` is what was kept of both.
        `dataset` names the finished dataset in which the survivor is; null: it is in this one.
        """
        names = ["other_id", "doc_id", "similarity", "stage", "verdict"]
        documents = pa.concat_tables([pq.read_table(path, columns=names) for path in self.audit])
        kinds = dict(self.kinds)
        of_kind = pc.is_in(documents.column("stage"), pa.array(list(kinds), pa.string()))
        table = documents.filter(of_kind)
        stages = table.column("stage").to_pylist()
        via, members = (table.column(name).to_pylist() for name in ("other_id", "doc_id"))
        replaced_by = dict(zip(members, via, strict=True))
        survivors = [_last(replaced_by, other) for other in via]
        elsewhere = self._datasets(survivors, documents)
        clusters = pa.table(
            {
                "survivor": pa.array(survivors, pa.string()),
                "member": table.column("doc_id"),
                "via": table.column("other_id"),
                "similarity": table.column("similarity"),
                "kind": pa.array([kinds[stage] for stage in stages], pa.string()),
                "dataset": pa.array([elsewhere.get(name) for name in survivors], pa.string()),
            }
        ).sort_by([("survivor", "ascending"), ("member", "ascending")])
        path = self.out / "audit" / "clusters.parquet"
        return Record(
            key=self.key, files={_relative(path, self.directory): _write_parquet(path, clusters)}
        )

    def _datasets(self, survivors: list[str], documents: pa.Table) -> dict[str, str]:
        """Returns in which finished dataset each survivor is that was not kept in this one."""
        kept = documents.filter(pc.equal(documents.column("verdict"), "kept")).column("doc_id")
        names = pa.array(survivors, pa.string()).unique()
        missing = names.filter(pc.invert(pc.is_in(names, kept.combine_chunks())))
        found: dict[str, str] = {}
        for reference in self.references:
            theirs = read_shard(reference.path, ["doc_id"]).column(0)
            for name in missing.filter(pc.is_in(missing, theirs.combine_chunks())).to_pylist():
                found.setdefault(name, reference.dataset)
        return found


def _last(replaced_by: dict[str, str], doc_id: str) -> str:
    """Follows replacements to a document that was not replaced itself."""
    while (other := replaced_by.get(doc_id)) is not None and other != doc_id:
        doc_id = other
    return doc_id
