"""The corpus as the trainer reads it: verified before the first step, in an order of its own.

Documents are ordered by a hash of seed and `doc_id`, so what a model reads does not depend on how
many shards the documents lie in, and a smaller budget always reads a prefix of a larger one.
"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.errors import DataError, SchemaError
from curation.handoff import CorpusRef, corpus_ref
from curation.manifest import Manifest, read_manifest
from curation.schema import COPY
from curation.shards import file_sha256, read_shard

HELD_OUT_SEED = 0
"""Of the order that held-out documents are capped in: the same for every job on a corpus."""

_COLUMNS = ["doc_id", "source", "license", "text"]


class Document(NamedTuple):
    """What the trainer takes of a document."""

    doc_id: str
    source: str
    text: str
    text_bytes: int
    """UTF-8 bytes of `text`."""


class Split:
    """The documents of one split, memory-mapped; iterate to read them in their seeded order."""

    def __init__(self, tables: list[pa.Table], seed: int) -> None:
        """Takes the split's shards and the seed of the order."""
        self._chunks = [batch for table in tables for batch in table.to_batches() if batch.num_rows]
        self._starts = np.cumsum([0, *(chunk.num_rows for chunk in self._chunks)])
        self._order = self._seeded_order(seed)
        self.skipped: Counter[str] = Counter()
        """Documents that the last iteration had to pass over, by reason."""

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __iter__(self) -> Iterator[Document]:
        self.skipped = Counter()
        for row in self._order:
            at = int(np.searchsorted(self._starts, row, side="right")) - 1
            chunk, index = self._chunks[at], int(row - self._starts[at])
            text = chunk.column("text")[index].as_py()
            if not text:
                self.skipped["no_text"] += 1
                continue
            yield Document(
                chunk.column("doc_id")[index].as_py(),
                chunk.column("source")[index].as_py(),
                text,
                len(text.encode()),
            )

    def texts(self, rows: int) -> Iterator[pa.Array]:
        """Yields the texts as they lie in the shards, at most `rows` at once."""
        for chunk in self._chunks:
            for at in range(0, chunk.num_rows, rows):
                yield chunk.column("text").slice(at, rows)

    def licenses(self) -> dict[str, int]:
        """Returns the number of documents by licence; "not stated" where there is none."""
        counts: Counter[str] = Counter()
        for chunk in self._chunks:
            for entry in chunk.column("license").value_counts().to_pylist():
                counts[entry["values"] or "not stated"] += entry["counts"]
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    def _seeded_order(self, seed: int) -> npt.NDArray[np.int64]:
        prefix = f"{seed}:".encode()
        keys = [
            hashlib.blake2b(prefix + name, digest_size=16).digest()
            for chunk in self._chunks
            for name in _row_names(chunk)
        ]
        return np.argsort(np.array(keys, dtype="S16"), kind="stable").astype(np.int64)


class Corpus(NamedTuple):
    """A dataset directory with its manifest."""

    directory: Path
    manifest: Manifest

    def split(self, name: str | None, seed: int) -> Split:
        """Returns the documents of a split ("train" or "eval"; None: all) in a seeded order.

        Raises:
            SchemaError: A shard lacks a column that is needed.
        """
        shards = [shard for shard in self.manifest.shards if name in (None, shard.split)]
        return Split([_read(self.directory / shard.path) for shard in shards], seed)


def open_corpus(directory: Path, wanted: CorpusRef) -> Corpus:
    """Checks that a dataset is, byte for byte, the one that a job was made for.

    Args:
        directory: Where the dataset lies; it may have been moved.
        wanted: What the job says of it.

    Raises:
        DataError: The manifest or a shard is missing or differs; names the file.
    """
    manifest = read_manifest(directory)
    found = corpus_ref(manifest, directory)
    if found.manifest_sha256 != wanted.manifest_sha256:
        raise DataError(
            f"{directory / 'manifest.json'}: sha256 {found.manifest_sha256:.12}..., the job was "
            f"made for {wanted.manifest_sha256:.12}...; prepare the job again for this dataset"
        )
    for shard in manifest.shards:
        _check_shard(directory / shard.path, shard.bytes, shard.sha256)
    return Corpus(directory, manifest)


def _check_shard(path: Path, size: int, sha256: str) -> None:
    if not path.is_file():
        raise DataError(f"shard {path}: missing; run `curate run` again, it rebuilds what is lost")
    found_size = path.stat().st_size
    if found_size != size:
        raise DataError(
            f"shard {path}: has {found_size:,} bytes, the manifest says {size:,}; "
            "run `curate run` again, it rebuilds what is damaged"
        )
    found = file_sha256(path)
    if found != sha256:
        raise DataError(
            f"shard {path}: sha256 {found:.12}..., the manifest says {sha256:.12}...; "
            "run `curate run` again, it rebuilds what is damaged"
        )


def _read(path: Path) -> pa.Table:
    table = read_shard(path)
    missing = [name for name in _COLUMNS if name not in table.column_names]
    if missing:
        raise SchemaError(
            f"shard {path}: has no column '{missing[0]}' (found {', '.join(table.column_names)}); "
            "expected documents as `curate run` writes them"
        )
    repeated = [COPY.name] if COPY.name in table.column_names else []
    return table.select(_COLUMNS + repeated)


def _row_names(chunk: pa.RecordBatch) -> list[bytes]:
    """Returns what tells the rows apart: the id, and the number of the copy beyond the first."""
    ids = chunk.column("doc_id").to_pylist()
    if COPY.name not in chunk.schema.names:
        return [doc_id.encode() for doc_id in ids]
    copies = chunk.column(COPY.name).to_pylist()
    return [
        doc_id.encode() + (b"\0%d" % copy if copy else b"")
        for doc_id, copy in zip(ids, copies, strict=True)
    ]
