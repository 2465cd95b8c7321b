"""Semantic duplicates: texts whose embeddings point the same way, verified by exact cosine.

Source: Abbas et al. 2023, "SemDeDup", arXiv 2303.09540; candidates by random hyperplanes as in
Charikar 2002. Differs: embeddings are static (a mean of token vectors), there is no k-means, and a
document goes only for a survivor that is close enough itself.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.candidates import answer_of, meetings_of, rank_documents, read_buckets
from curation.duplicates import DuplicateStage
from curation.errors import DriftError
from curation.plainfile import agreed_digest
from curation.ranges import grouped, repeated
from curation.shuffle import open_database
from curation.stage import BatchFunction, Columns, KeyShard, Part, Scratch, Texts
from curation.static_model import WORDLLAMA, StaticModel, find_model, load_model
from curation.text.angles import agreement, make_hyperplanes, sides
from curation.text.minhash import Banding, band_keys, choose_banding, fewest_bands
from curation.vectors import KeyVectors, choose_close, load_vectors, thinned_out

REASON = "semantic_duplicate"


class SemanticDedup(DuplicateStage):
    """Rejects documents that say nearly what a document that stays says, in whatever words.

    A document is the mean of the token vectors of its first `max_chars` characters. In the order
    of `keep` (longest, oldest, smallest doc_id), a document is rejected only if the cosine of its
    embedding with that of one that stays is `threshold` or more; `other_id` is the closest of
    those. Texts without a known token, and those that fall into tokens of less than
    `min_token_chars` characters, are never semantic duplicates. Which texts the model can tell
    apart, and which it cannot, is said in docs/semantic-duplicates.md.
    """

    version: ClassVar[int] = 2
    files: ClassVar[frozenset[str]] = frozenset({"against", "model"})
    named: ClassVar[frozenset[str]] = frozenset({WORDLLAMA})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"model": WORDLLAMA})
    duplicates: ClassVar[str | None] = "semantic"
    hashed: ClassVar[str | None] = "bands"

    kind: Literal["semantic_dedup"] = "semantic_dedup"
    keep: tuple[str, ...] = ("longest", "oldest")
    """Who of several duplicates stays, the first policy first: longest, shortest, oldest, newest,
    source, highest:<column>, lowest:<column>; what is left equal goes by the smallest doc_id."""
    model: str = WORDLLAMA
    """A static embedding model: "wordllama" (for English; extra `semantic`), or a directory with
    model.safetensors and tokenizer.json, as Model2Vec and sentence-transformers write them."""
    model_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the model's files: identity, filled in by itself; where given it must be right."""
    threshold: float = Field(default=0.97, gt=0, le=1)
    """Cosine of two documents' embeddings, 0 to 1, from which one has to go."""
    recall: float = Field(default=0.99, gt=0, lt=1)
    """Smallest probability that a pair at the threshold is looked at; closer pairs more likely."""
    hyperplanes: int = Field(default=1536, ge=1, le=16_384)
    """Most hyperplanes for a document: more of them mean fewer pairs to verify."""
    max_chars: int = Field(default=2000, ge=1, le=1 << 20)
    """Characters from the start of a text that are embedded; what follows is not compared."""
    min_token_chars: float = Field(default=2.5, ge=0)
    """Least characters for each token: below it, the model's tokens are not for that language."""
    seed: int | None = Field(default=None, ge=0, lt=1 << 32)
    """Seed of the hyperplanes; default: the recipe's seed, or 0 outside of a recipe."""

    @model_validator(mode="after")
    def _has_its_model(self) -> Self:
        files = find_model(self.model)
        digest = agreed_digest(
            "model_digest",
            self.model_digest,
            files.digest(),
            f"model '{self.model}' has",
            "give the model that it was made for",
        )
        object.__setattr__(self, "model_digest", digest)
        load_model(files, digest)  # what is damaged in it is an error of the recipe
        return self

    @model_validator(mode="after")
    def _check_banding(self) -> Self:
        rows = agreement(self.threshold)
        if choose_banding(rows, self.recall, self.hyperplanes) is None:
            raise ValueError(
                f"{self.hyperplanes} hyperplanes cannot find pairs of cosine {self.threshold} with "
                f"recall {self.recall}; expected {fewest_bands(rows, self.recall)} or more"
            )
        return self

    @property
    def banding(self) -> Banding:
        """Bands and rows, as they follow from threshold, recall and hyperplanes."""
        found = choose_banding(agreement(self.threshold), self.recall, self.hyperplanes)
        assert found is not None  # the settings were validated
        return found

    def writes(self) -> pa.Schema:
        """Returns the cluster and the similarity to the kept twin."""
        return self.cluster_scores(
            "Smallest doc_id of the cluster of semantic duplicates; null outside of one.",
            "Cosine with the closest document that stays; null if kept.",
        )

    def keys(self) -> BatchFunction:
        """Returns the function that makes `bands`, `vector`, `chars` and what decides priority.

        Raises:
            DriftError: The model is not the one that the recipe was planned with.
        """
        files = find_model(self.model)
        digest = files.digest()
        if digest != self.model_digest:
            raise DriftError(
                f"stage {self.name}: model '{self.model}' has digest {digest}, expected "
                f"{self.model_digest} as planned; restore it, or plan again"
            )
        model, banding = load_model(files, digest), self.banding
        dimensions = model.table.shape[1]
        normals = make_hyperplanes(banding.permutations, dimensions, self.seed or 0)

        def make_keys(batch: pa.RecordBatch) -> Columns:
            vectors, comparable = self._embed(model, batch.column("text"))
            bands = band_keys(sides(vectors, normals, banding.rows), banding.bands)
            bands ^= self.scope_hashes(batch, 0)[:, None]
            return {
                "bands": pa.FixedSizeListArray.from_arrays(
                    pa.array(bands.reshape(-1)), banding.bands, mask=pa.array(~comparable)
                ),
                "vector": pa.FixedSizeListArray.from_arrays(
                    pa.array(vectors.reshape(-1)), dimensions
                ),
                "chars": pc.utf8_length(batch.column("text")).cast(pa.int64()),
                **self.priority.keys(batch),
            }

        return make_keys

    def _embed(self, model: StaticModel, texts: pa.Array) -> tuple[Any, Any]:
        """Returns the embeddings, int16[n, d], and which of them say something, bool[n]."""
        heads = pc.utf8_slice_codeunits(texts, 0, self.max_chars)
        vectors, tokens = model.embed(heads.to_pylist())
        chars = pc.utf8_length(heads).to_numpy(zero_copy_only=False)
        return vectors, vectors.any(axis=1) & (chars >= self.min_token_chars * tokens)

    def group(self, shards: Sequence[KeyShard], part: Part, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns which documents share a band with a close one, of the bands in one range."""
        found, vectors = repeated(shards, part), KeyVectors(shards, "vector")
        return thinned_out(found, vectors, self.threshold)

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document of a cluster of duplicates, ordered by doc_id."""
        buckets = read_buckets(grouped(self, shards, scratch))
        file = scratch.directory / "vectors"
        with open_database(scratch) as database:
            ranked = rank_documents(database, shards, buckets.documents, self.priority)
            candidates = load_vectors(
                ranked.documents,
                meetings_of(ranked, buckets),
                KeyVectors(shards, "vector"),
                self.threshold,
                file,
            )
            survivors = choose_close(candidates, ranked.fixed)
            file.unlink(missing_ok=True)
            return answer_of(database, survivors, REASON, self.threshold)
