"""Keeps any one site from filling a source: at most so many documents of a domain.

Rank and share are scores of every document with a host, and the bounds decide, so that another cap
can be tried on the audit alone. Source: ours; caps by host are usual in web corpora (CCNet and
RedPajama keep them implicit).
"""

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.errors import DriftError, SchemaError, unknown_name
from curation.plainfile import file_digest
from curation.schema import score
from curation.shuffle import decisions, document_numbers, insert, open_database, read_keys
from curation.stage import BatchFunction, Columns, GlobalStage, KeyShard, Rule, Scratch, Texts
from curation.text.keytable import KeyTable
from curation.urls import PACKAGED_SUFFIXES, load_suffixes, read_urls, registered_domains

_TABLES = """
CREATE TABLE totals (source VARCHAR, documents BIGINT);
CREATE TABLE members (document BIGINT, doc_id VARCHAR, source VARCHAR, domain VARCHAR,
    worth DOUBLE, draw UBIGINT)
"""

# Every document with a host has its rank, whatever the bounds are: so the audit can tell what other
# bounds would do. The domain is not in the answer, which is in memory; `apply` finds it again.
_ANSWER = """
WITH ranked AS (
    SELECT document, doc_id, source, row_number() OVER (
        PARTITION BY source, domain ORDER BY worth DESC NULLS LAST, draw, doc_id, document) AS rank
    FROM members),
sizes AS (
    SELECT source, CAST(sum(documents) AS DOUBLE) AS total FROM totals GROUP BY source)
SELECT CAST(document >> 32 AS INTEGER) AS shard,
    CAST(document & 4294967295 AS INTEGER) AS row,
    false AS rejected, rank, CASE WHEN rank > 1 THEN rank / total ELSE 0 END AS share
FROM ranked JOIN sizes USING (source) ORDER BY doc_id, document
"""


_OF_MEMBERS = ("doc_id", "source", "domain", "worth", "draw")
_COUNTED = ("source", "count_all")


class DomainCap(GlobalStage):
    """Keeps at most so many documents of a registered domain (or host), for each source by itself.

    Which ones stay is drawn by the seed and doc_id, or decided by a score; equal scores are drawn.
    An address or a name without registered domain counts by its host, and documents without a
    host are never capped.
    """

    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"text", "url", "source", "doc_id"})
    files: ClassVar[frozenset[str]] = frozenset({"suffix_list"})
    example: ClassVar[dict[str, object]] = {"max_documents": 10_000}

    kind: Literal["domain_cap"]
    by: Literal["domain", "host"] = "domain"
    """What is capped: registered domains, or hosts."""
    max_documents: int | None = Field(default=None, ge=1)
    """Most documents of a domain; default: no bound."""
    max_share: float | None = Field(default=None, gt=0, le=1)
    """Largest share of a domain in the documents of its source that come to this stage; one
    document stays always; default: no bound."""
    order_by: str | None = None
    """Score column whose best documents stay, e.g. quality_model_score; default: a draw."""
    best: Literal["highest", "lowest"] = "highest"
    """Which values of that column stay; documents without a value go first."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Another seed draws other documents; default: the recipe's seed, or 0 outside of a recipe."""
    private_suffixes: bool = True
    """Names under `github.io` and its like count as registered domains."""
    suffix_list: str | None = None
    """A Public Suffix List; default: the one of the installed package `publicsuffixlist`."""
    suffix_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of that list: identity, filled in by itself; where given it must be right."""

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if self.max_documents is None and self.max_share is None:
            raise ValueError("has no bound; set max_documents, max_share, or both")
        if not self.suffix_path.is_file():
            raise ValueError(f"suffix_list '{self.suffix_list}': no such file; give a local file")
        digest = file_digest(self.suffix_path)
        if self.suffix_digest not in ("", digest):
            raise ValueError(
                f"suffix_digest is {self.suffix_digest}, but the file has {digest}; "
                "leave it out, or give the list that it was made for"
            )
        object.__setattr__(self, "suffix_digest", digest)
        return self

    @property
    def suffix_path(self) -> Path:
        """Where the Public Suffix List lies."""
        return PACKAGED_SUFFIXES if self.suffix_list is None else Path(self.suffix_list)

    def reads(self) -> frozenset[str]:
        """Returns all columns that must exist before the stage."""
        return super().reads() | ({self.order_by} if self.order_by else frozenset())

    def writes(self) -> pa.Schema:
        """Returns domain, rank and share; null where a document has no host."""
        about = "Share of its source if the domain ended with this document; 0 for the first."
        return pa.schema(
            [
                score(self.column("domain"), pa.string(), "Domain or host that is capped."),
                score(self.column("rank"), pa.int64(), "Place in its domain, from 1.", low=1),
                score(self.column("share"), pa.float64(), about, unit="ratio", low=0, high=1),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns a bound for each of the two settings that is one."""
        bounds = (
            ("domain_cap", "rank", self.max_documents),
            ("domain_share", "share", self.max_share),
        )
        return tuple(
            Rule(reason, self.column(name), high=high)
            for reason, name, high in bounds
            if high is not None
        )

    def keys(self) -> BatchFunction:
        """Returns the function that makes `source`, `domain`, `worth` and `draw` of a batch.

        Raises:
            DriftError: The Public Suffix List is not the one that the recipe was planned with.
        """
        suffixes = self._suffixes()
        key = (self.seed or 0).to_bytes(8, "little")
        return lambda batch: {
            "source": batch.column("source"),
            "domain": self._domains(batch.column("url"), suffixes),
            "worth": self._worth(batch),
            "draw": pa.array(
                [_draw(doc_id, key) for doc_id in batch.column("doc_id").to_pylist()], pa.uint64()
            ),
        }

    def _suffixes(self) -> KeyTable:
        digest = file_digest(self.suffix_path)
        if digest != self.suffix_digest:
            raise DriftError(
                f"stage {self.name}: {self.suffix_path} has digest {digest}, expected "
                f"{self.suffix_digest} as planned; restore it, or plan again"
            )
        return _load(self.suffix_path, digest, self.private_suffixes)

    def _domains(self, urls: pa.Array, suffixes: KeyTable) -> pa.Array:
        hosts = read_urls(urls).hosts
        named = pc.if_else(pc.equal(pc.binary_length(hosts), 0), None, hosts)
        if self.by == "domain":
            named = pc.coalesce(registered_domains(hosts, suffixes), named)
        return named.cast(pa.string())

    def _worth(self, batch: pa.RecordBatch) -> pa.Array:
        if self.order_by is None:
            return pa.nulls(batch.num_rows, pa.float64())
        if self.order_by not in batch.schema.names:
            what = f"column in order_by of stage {self.name}"
            raise SchemaError(unknown_name(what, self.order_by, batch.schema.names))
        values = batch.column(self.order_by)
        kind = values.type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise SchemaError(
                f"stage {self.name}: order_by '{self.order_by}' holds {kind}; expected numbers; "
                "name a score column"
            )
        values = values.cast(pa.float64())
        worth = pc.if_else(pc.is_nan(values), None, values)
        return worth if self.best == "highest" else pc.negate(worth)

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document with a host, ordered by doc_id."""
        with open_database(scratch) as database:
            database.execute(_TABLES)
            for shard in shards:
                found = read_keys(shard)
                counts = found.group_by("source").aggregate([([], "count_all")])
                insert(database, "totals", {name: counts.column(name) for name in _COUNTED})
                numbers = document_numbers(shard.shard, found.column("row").to_numpy())
                members = {"document": pa.array(numbers)}
                members |= {name: found.column(name) for name in _OF_MEMBERS}
                named = pa.table(members).filter(found.column("domain").is_valid())
                insert(database, "members", dict(zip(named.column_names, named, strict=True)))
            answer = database.sql(_ANSWER).to_arrow_table()
        decided = decisions(answer)
        for name in ("rank", "share"):
            decided = decided.append_column(name, answer.column(name))
        return decided

    def apply(self, batch: pa.RecordBatch, answer: pa.RecordBatch) -> Columns:
        """Returns domain, rank and share of the documents of a batch.

        Raises:
            DriftError: The Public Suffix List is not the one that the recipe was planned with.
        """
        domains = self._domains(batch.column("url"), self._suffixes())
        scores = {name: answer.column(name) for name in ("rank", "share")}
        return {self.column(name): values for name, values in {"domain": domains, **scores}.items()}


def _draw(doc_id: str, key: bytes) -> int:
    """Returns a number from 0 to 2**64 - 1, the same for a document and a seed everywhere."""
    digest = hashlib.blake2b(doc_id.encode(), digest_size=8, key=key, person=b"domain_cap")
    return int.from_bytes(digest.digest(), "little")


@lru_cache(maxsize=4)
def _load(path: Path, digest: str, private: bool) -> KeyTable:  # noqa: ARG001, FBT001
    return load_suffixes(path, private=private)
