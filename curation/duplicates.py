"""What the stages that remove duplicates have in common: who stays, where they look, against what.

They differ in what they call a duplicate. Who of several survives, in which parts of the corpus
duplicates are looked for, and whether finished datasets take part, is the same for all of them.
"""

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.buffers import text_buffers
from curation.errors import CurationError
from curation.manifest import Manifest, fingerprint_of, read_manifest
from curation.priority import Priority
from curation.schema import as_names, score
from curation.stage import GlobalStage, Reference
from curation.text.xxh64 import xxh64_rows

SOURCE, DUMP, META = "source", "dump", "meta."
_CRAWL = re.compile(r"CC-MAIN-\d{4}-\d{2}")


class DuplicateStage(GlobalStage):
    """Rejects documents that repeat another one, which stays."""

    files: ClassVar[frozenset[str]] = frozenset({"against"})

    keep: tuple[str, ...] = ()
    """Who of several duplicates stays, the first policy first: longest, shortest, oldest, newest,
    source, highest:<column>, lowest:<column>; what is left equal goes by the smallest doc_id."""
    source_priority: tuple[str, ...] = ()
    """For the policy `source`: names of sources, the best one first; others come after them."""
    scope: str | None = Field(default=None, min_length=1)
    """Duplicates are looked for only among documents of one value of this: source, dump (the
    member `dump` of `meta`, or the crawl's name in the path of the file), meta.<member>, or a
    column; those without a value form a scope of their own. Default: the whole corpus."""
    against: tuple[str, ...] = ()
    """Directories of finished datasets: their kept documents come first, and none of them goes.
    What stays is what one run over all keeps that has their sources first in `source`."""
    against_digests: tuple[str, ...] = ()
    """Digests of their shards: identity, filled in by itself; where given they must be right."""

    @model_validator(mode="after")
    def _is_decidable(self) -> Self:
        self.priority.check()
        digests = tuple(dataset_digest(_manifest(path)) for path in self.against)
        if self.against_digests and self.against_digests != digests:
            raise ValueError(
                f"against_digests are {list(self.against_digests)}, but the datasets have "
                f"{list(digests)}; leave them out, or give the datasets that they were made for"
            )
        object.__setattr__(self, "against_digests", digests)
        return self

    @property
    def priority(self) -> Priority:
        """The order of survival."""
        return Priority(self.keep, self.source_priority)

    def reads(self) -> frozenset[str]:
        """Returns the columns that must exist, those of policies and scope among them."""
        scope = {DUMP: {"meta", "origin"}, None: set()}.get(self.scope, {self.scope})
        if self.scope and self.scope.startswith(META):
            scope = {"meta"}
        return super().reads() | self.priority.reads() | {str(name) for name in scope}

    def named_sources(self) -> Mapping[str, Iterable[str]]:
        """Returns the sources of the policy, but for those of the datasets in `against`."""
        theirs = {name for path in self.against for name in _manifest(path).sources}
        return {"source_priority": [name for name in self.source_priority if name not in theirs]}

    def references(self) -> tuple[Reference, ...]:
        """Returns the shards of the datasets in `against`."""
        return tuple(
            Reference(manifest.name, Path(path) / shard.path, shard.sha256)
            for path in self.against
            for manifest in [_manifest(path)]
            for shard in manifest.shards
        )

    def cluster_scores(self, cluster: str, similarity: str) -> pa.Schema:
        """Returns the columns that a stage writes, with what they mean in it."""
        return pa.schema(
            [
                score(self.column("cluster"), pa.string(), cluster),
                score(
                    self.column("similarity"), pa.float64(), similarity, unit="ratio", low=0, high=1
                ),
            ]
        )

    def scope_hashes(self, batch: pa.RecordBatch, seed: int) -> npt.NDArray[np.uint64]:
        """Returns uint64[n]: one number for each scope, 0 where there is but one.

        A key that is mixed with it (`^`) agrees only with keys of the same scope.
        """
        if self.scope is None:
            return np.zeros(batch.num_rows, np.uint64)
        values = _scope_values(self.scope, batch, self.name)
        known = pc.if_else(values.is_valid(), pc.binary_join_element_wise("=", values, ""), "")
        hashes: npt.NDArray[np.uint64] = xxh64_rows(*text_buffers(known), seed)
        return hashes


def dataset_digest(manifest: Manifest) -> str:
    """Returns the digest of what a dataset holds: of its shards, not of when they were made."""
    return fingerprint_of(sorted((shard.path, shard.sha256) for shard in manifest.shards))


def _manifest(directory: str) -> Manifest:
    try:
        return read_manifest(Path(directory))
    except CurationError as error:
        raise ValueError(f"against '{directory}': {error}") from error


def _scope_values(scope: str, batch: pa.RecordBatch, stage: str) -> pa.Array:
    if scope == DUMP:
        files = pc.struct_field(batch.column("origin"), "file").to_pylist()
        return pa.array(
            [
                named if named is not None else _crawl(file)
                for named, file in zip(_members(batch, DUMP), files, strict=True)
            ],
            pa.string(),
        )
    if scope.startswith(META):
        return pa.array(_members(batch, scope.removeprefix(META)), pa.string())
    if scope not in batch.schema.names:  # a document of an earlier dataset
        return pa.nulls(batch.num_rows, pa.string())
    return as_names(batch.column(scope), f"stage {stage}: scope '{scope}'")


def _crawl(file: str | None) -> str | None:
    found = _CRAWL.search(file or "")
    return found.group() if found else None


def _members(batch: pa.RecordBatch, name: str) -> list[str | None]:
    found: list[Any] = [
        json.loads(meta).get(name) if meta else None for meta in batch.column("meta").to_pylist()
    ]
    return [
        value if value is None or isinstance(value, str) else json.dumps(value, sort_keys=True)
        for value in found
    ]
