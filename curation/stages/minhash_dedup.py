"""Near-duplicates by MinHash bands, verified by exact Jaccard similarity.

Source: Broder 1997, "On the resemblance and containment of documents"; shingles of words and bands
as in Lee et al. 2022, "Deduplicating Training Data Makes Language Models Better", arXiv 2107.06499.
Differs: every candidate pair is verified on the exact sets, a document goes only for a survivor
that is near enough (no connected components), and bands and rows follow from the recall.
"""

from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.buffers import text_buffers
from curation.candidates import (
    Alike,
    answer_of,
    load_candidates,
    meetings_of,
    rank_documents,
    read_buckets,
)
from curation.clusters import choose_survivors
from curation.duplicates import DuplicateStage
from curation.ranges import grouped, repeated
from curation.shuffle import open_database
from curation.stage import BatchFunction, Columns, KeyShard, Part, Scratch, Texts
from curation.text.minhash import (
    Banding,
    band_keys,
    choose_banding,
    fewest_bands,
    make_permutations,
    sign,
)

REASON = "near_duplicate"


class MinhashDedup(DuplicateStage):
    """Rejects documents that nearly repeat a document that stays.

    A document is the set of its shingles (`ngram` consecutive words of the lower-cased text). In
    the order of `keep` (longest, oldest, smallest doc_id), a document is rejected only if its
    Jaccard similarity with one that comes before it and stays is `threshold` or more; `other_id` is
    the most similar of those (one that stays and comes later can be more similar still). Documents
    without a word are never near-duplicates.
    """

    version: ClassVar[int] = 3
    duplicates: ClassVar[str | None] = "near"
    hashed: ClassVar[str | None] = "bands"

    kind: Literal["minhash_dedup"] = "minhash_dedup"
    keep: tuple[str, ...] = ("longest", "oldest")
    """Who of several duplicates stays, the first policy first: longest, shortest, oldest, newest,
    source, highest:<column>, lowest:<column>; what is left equal goes by the smallest doc_id."""
    threshold: float = Field(default=0.8, gt=0, le=1)
    """Jaccard similarity of two documents' shingles, 0 to 1, from which one has to go."""
    recall: float = Field(default=0.99, gt=0, lt=1)
    """Smallest probability that a pair at the threshold is looked at; nearer pairs more likely."""
    permutations: int = Field(default=128, ge=1, le=4096)
    """Most hash permutations for a document: more of them mean fewer pairs to verify."""
    ngram: int = Field(default=5, ge=1, le=64)
    """Words in a shingle."""
    seed: int | None = Field(default=None, ge=0, lt=1 << 32)
    """Seed of the permutations; default: the recipe's seed, or 0 outside of a recipe."""

    @model_validator(mode="after")
    def _check_banding(self) -> Self:
        if choose_banding(self.threshold, self.recall, self.permutations) is None:
            least = fewest_bands(self.threshold, self.recall)
            raise ValueError(
                f"{self.permutations} permutations cannot find pairs of similarity "
                f"{self.threshold} with recall {self.recall}; expected {least} or more"
            )
        return self

    @property
    def banding(self) -> Banding:
        """Bands and rows, as they follow from threshold, recall and permutations."""
        found = choose_banding(self.threshold, self.recall, self.permutations)
        assert found is not None  # the settings were validated
        return found

    def writes(self) -> pa.Schema:
        """Returns the cluster and the similarity to the kept twin."""
        return self.cluster_scores(
            "Smallest doc_id of the cluster of near-duplicates; null outside of one.",
            "Jaccard similarity to the most similar document before it that stays; null if kept.",
        )

    def keys(self) -> BatchFunction:
        """Returns the function that makes `bands`, `chars` and what decides the priority."""
        banding = self.banding
        permutations = make_permutations(banding.permutations, self.seed or 0)

        def make_keys(batch: pa.RecordBatch) -> Columns:
            texts = batch.column("text")
            signatures, shingles = sign(*text_buffers(texts), self.ngram, *permutations)
            bands = band_keys(signatures, banding.bands) ^ self.scope_hashes(batch, 0)[:, None]
            return {
                "bands": pa.FixedSizeListArray.from_arrays(
                    pa.array(bands.reshape(-1)), banding.bands, mask=pa.array(shingles == 0)
                ),
                "chars": pc.utf8_length(texts).cast(pa.int64()),
                **self.priority.keys(batch),
            }

        return make_keys

    def group(self, shards: Sequence[KeyShard], part: Part, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns which documents share a band, of the bands in one range of hashes."""
        return repeated(shards, part)

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:
        """Returns a row for each document of a cluster of near-duplicates, ordered by doc_id."""
        buckets = read_buckets(grouped(self, shards, scratch))
        with open_database(scratch) as database:
            ranked = rank_documents(database, shards, buckets.documents, self.priority)
            alike, meetings = Alike(self.ngram, self.threshold), meetings_of(ranked, buckets)
            candidates = load_candidates(ranked, meetings, texts, alike, scratch.directory)
            survivors = choose_survivors(candidates, ranked.fixed)
            (scratch.directory / "sets").unlink()
            return answer_of(database, survivors, REASON, self.threshold)
