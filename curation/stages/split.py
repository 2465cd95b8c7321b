"""Draws the side of each document, `train` or `eval`, with whole duplicate clusters on one side.

A near-duplicate of an eval document in train would let a model recite instead of predict. Chains
make such pairs possible even after deduplication: a is like b, b is like c, b was removed, and
both a and c survive. They share a cluster, and the draw is made for the cluster.

The draw is a hash of a seed and of the *group* that a document belongs to, so it needs no other
document, is free of order, and a larger `eval_share` only adds documents to eval. The group is

1. the cluster in the column of a near-duplicate stage, where it is not null;
2. else the cluster in a column `exact_dedup*`: that stage leaves one document of each cluster, so
   no second survivor can be torn from it;
3. else `root_id`: an augmented document goes with the one that its family began with;
4. else `doc_id`.

Near clusters must come first, not whichever is at hand: of two survivors of one near cluster, one
may also have had exact copies and the other not. Two near-duplicate stages would need the union of
their clusters, which cannot be seen from one row; `cluster_columns` then says whose clusters are
kept whole. A child has the clusters that its parent had when it was made, so the two agree as long
as no stage finds clusters between that and this stage; a recipe in which one does is refused.
Source: ours.
"""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.errors import RecipeError, SchemaError, unknown_name
from curation.families import CLUSTER_SUFFIX
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule

ONE_SURVIVOR = "exact_dedup"
"""Start of the columns of a stage that leaves one document of each cluster."""
AUGMENTED = "augmented_eval"


class Split(BatchStage):
    """Writes `split`; rejects nothing but augmented documents that would go to eval.

    Two split stages with other shares for other sources may tear a cluster that reaches into both.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"doc_id", "parent_id"})
    selects: ClassVar[frozenset[str]] = frozenset({AUGMENTED})

    kind: Literal["split"]
    eval_share: float = Field(default=0.02, gt=0, lt=1)
    """Expected share of groups (clusters and single documents) in eval."""
    seed: int | None = Field(default=None, ge=0, lt=2**63)
    """Another seed draws other documents; default: the recipe's seed."""
    cluster_columns: tuple[str, ...] | None = None
    """Columns that name a document's cluster, most binding first; default: all `*_cluster`."""

    reject_children: bool | None = None
    """Augmented documents that go with an eval document are rejected, as what is measured must be
    real; default: where an earlier stage makes some."""

    def writes(self) -> pa.Schema:
        """Returns the column `split`, a string, and which children go with an eval document."""
        side = score("split", pa.string(), "Side of the document: train or eval.")
        about = "An augmented document that goes with one in eval."
        child = score(self.column(AUGMENTED), pa.bool_(), about)
        return pa.schema([side, child] if self.reject_children else [side])

    def rules(self) -> tuple[Rule, ...]:
        """Returns that no child goes to eval, where there are children."""
        return (Rule(AUGMENTED, self.column(AUGMENTED), high=0),) if self.reject_children else ()

    def check_columns(self, columns: Sequence[str]) -> None:
        """Raises SchemaError where it is not clear whose clusters are to be kept whole."""
        self._cluster_columns(columns)

    def open(self) -> BatchFunction:
        """Returns the function that draws the sides of a batch.

        Raises:
            RecipeError: There is no seed.
        """
        if self.seed is None:
            raise RecipeError(
                f"stage {self.name} has no seed; expected a number from 0 to 2**63 - 1; set seed "
                "of the recipe or of the stage"
            )
        key, bound = self.seed.to_bytes(8, "little"), int(self.eval_share * 2**64)

        def draw_batch(batch: pa.RecordBatch) -> Columns:
            sides = [
                "eval" if _draw(group, key) < bound else "train" for group in self._groups(batch)
            ]
            split = pa.array(sides, pa.string())
            if not self.reject_children:
                return {"split": split}
            child = batch.column("parent_id").is_valid()
            return {"split": split, self.column(AUGMENTED): pc.and_(child, pc.equal(split, "eval"))}

        return draw_batch

    def _groups(self, batch: pa.RecordBatch) -> list[str]:
        root = [name for name in ("root_id",) if name in batch.schema.names]
        names = [*self._cluster_columns(batch.schema.names), *root, "parent_id", "doc_id"]
        columns = [batch.column(name).cast(pa.string()) for name in names]
        groups: list[str] = pc.coalesce(*columns).to_pylist()
        return groups

    def _cluster_columns(self, present: Sequence[str]) -> Sequence[str]:
        found = [name for name in present if name.endswith(CLUSTER_SUFFIX)]
        if self.cluster_columns is not None:
            for name in self.cluster_columns:
                if name not in found:
                    what = f"cluster column in stage {self.name}"
                    raise SchemaError(unknown_name(what, name, found))
            return self.cluster_columns
        last = [name for name in found if name.startswith(ONE_SURVIVOR)]
        first = [name for name in found if name not in last]
        if len(first) > 1:
            raise SchemaError(
                f"stage {self.name} found the clusters of several near-duplicate stages: "
                f"{', '.join(first)}; expected one, as a document can follow one only; list the "
                "columns in cluster_columns, the one to keep whole first"
            )
        return [*first, *last]


def _draw(group: str, key: bytes) -> int:
    """Returns a number from 0 to 2**64 - 1, the same for a group and a seed everywhere."""
    digest = hashlib.blake2b(group.encode(), digest_size=8, key=key, person=b"split")
    return int.from_bytes(digest.digest(), "little")
