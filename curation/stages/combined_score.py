"""One score of several: the mean, the best or the worst of what different models say.

Where several classifiers look for different kinds of quality, a document that one of them finds
good may be worth keeping (the largest score), or only one that all of them do (the smallest).
Scores of different models have different scales. Put ranks or calibrated probabilities in, or give
weights.

Source: Su et al. 2024, "Nemotron-CC", arXiv 2412.02595, takes the largest of three classifiers.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field, model_validator

from curation.errors import SchemaError
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule, Stage
from curation.stages.keep_top import KeepTop

Values = npt.NDArray[np.float64]


class CombinedScore(BatchStage):
    """Combines score columns of earlier stages into one; rejects outside of the bounds.

    A null score is left out; where all are null, so is the combined one, and no bound applies.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"scores": ("a_score", "b_score"), "min_score": 0.5, "max_score": 1.0}
    )

    kind: Literal["combined_score"] = "combined_score"
    scores: tuple[str, ...] = Field(min_length=1)
    """The columns to combine."""
    weights: tuple[float, ...] | None = None
    """A factor for each column, above 0; in a product, a power; default: 1 each. The mean is
    the sum of the weighted scores by the sum of the weights."""
    how: Literal["mean", "max", "min", "product"] = "mean"
    """What is made of the weighted scores."""
    min_score: float | None = None
    """Least combined score that is kept."""
    max_score: float | None = None
    """Largest combined score that is kept."""
    keep_top: float | None = Field(default=None, gt=0, le=1)
    """Keep this share of all documents that have a score, the best ones, exactly: a stage
    `keep_top` named `<name>_top` follows."""
    keep_top_per: Literal["source", "language_label"] | None = None
    """Keep that share of each source, or of each language; default: of all together."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if len(set(self.scores)) < len(self.scores):
            raise ValueError("a column is named twice in scores; give it a weight instead")
        self.refuse_crossed("score")
        if self.keep_top_per is not None and self.keep_top is None:
            raise ValueError(
                f"keep_top_per is '{self.keep_top_per}' without keep_top, so nothing is kept by "
                "it; expected both or neither; set keep_top"
            )
        weights = self.weights
        if weights is None:
            return self
        if len(weights) != len(self.scores):
            raise ValueError(
                f"{len(weights)} weights for {len(self.scores)} scores; expected one for each"
            )
        if not all(0 < weight < np.inf for weight in weights):
            raise ValueError("a weight is not above 0; leave out the score that is not to count")
        return self

    def reads(self) -> frozenset[str]:
        """Returns the columns to combine, too."""
        return super().reads() | set(self.scores)

    def writes(self) -> pa.Schema:
        """Returns the combined score."""
        about = f"The {self.how} of {', '.join(self.scores)}, to twelve decimals."
        return pa.schema([score(self.column("score"), pa.float64(), about)])

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that are set."""
        column, rules = self.column("score"), []
        if self.min_score is not None:
            rules.append(Rule("low_combined_score", column, low=self.min_score))
        if self.max_score is not None:
            rules.append(Rule("high_combined_score", column, high=self.max_score))
        return tuple(rules)

    def implied(self) -> tuple[Stage, ...]:
        """Returns the stage that keeps the best share, where that is asked for."""
        if self.keep_top is None:
            return ()
        return (
            KeepTop.after(self, self.column("score"), share=self.keep_top, per=self.keep_top_per),
        )

    def open(self) -> BatchFunction:
        """Returns the function that combines the scores of a batch."""
        weights = np.array(self.weights or [1.0] * len(self.scores))
        combine = _COMBINE[self.how]

        def combine_batch(batch: pa.RecordBatch) -> Columns:
            table = np.column_stack([self._values(batch, name) for name in self.scores])
            missing = np.isnan(table).all(axis=1)
            table[missing] = 0.0
            found = np.round(combine(table, weights), 12)
            return {self.column("score"): pa.array(found, mask=missing)}

        return combine_batch

    def _values(self, batch: pa.RecordBatch, name: str) -> Values:
        column = batch.column(name)
        kind = column.type
        if not (pa.types.is_floating(kind) or pa.types.is_integer(kind)):
            raise SchemaError(
                f"stage {self.name}: column '{name}' holds {kind}; expected numbers; "
                "name score columns"
            )
        values: Values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
        return values


def _mean(table: Values, weights: Values) -> Values:
    there = ~np.isnan(table)
    sums: Values = np.where(there, table * weights, 0.0).sum(axis=1)
    total: Values = (there * weights).sum(axis=1)
    return sums / total


def _product(table: Values, weights: Values) -> Values:
    powers: Values = np.sign(table) * np.abs(table) ** weights
    product: Values = np.where(np.isnan(table), 1.0, powers).prod(axis=1)
    return product


_COMBINE: dict[str, Callable[[Values, Values], Values]] = {
    "mean": _mean,
    "max": lambda table, weights: np.nanmax(table * weights, axis=1),
    "min": lambda table, weights: np.nanmin(table * weights, axis=1),
    "product": _product,
}
