"""Who of several duplicates stays: policies that are looked at one after the other.

Every stage that removes duplicates has the setting `keep`, a list of these: the first decides, the
next one where the first finds two documents equal, and in the end the smallest doc_id. A document
for which a policy has no value (no date, no score) comes after those that have one.

Before all policies stands a rule that is no setting: what people wrote comes before what was made
of it. Else a child, if it is longer by a word, could be kept in place of its parent.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import SchemaError, unknown_name

LONGEST, SHORTEST, NEWEST, OLDEST, SOURCE = "longest", "shortest", "newest", "oldest", "source"
_HIGHEST, _LOWEST = "highest:", "lowest:"
_PLAIN = {
    LONGEST: ("chars", "DESC"),
    SHORTEST: ("chars", "ASC"),
    NEWEST: ("created", "DESC"),
    OLDEST: ("created", "ASC"),
    SOURCE: ("source_rank", "ASC"),
}
_KNOWN = (*_PLAIN, f"{_HIGHEST}<column>", f"{_LOWEST}<column>")


class Term(NamedTuple):
    """One policy, as a key column and its direction."""

    key: str
    """Name of the key column: augmented, chars, created, source_rank or score_<place>."""
    direction: str
    """ASC or DESC; nulls come last either way."""
    column: str
    """The document's column that it is made of."""


_PARENTS_FIRST = Term("augmented", "ASC", "parent_id")


class Priority(NamedTuple):
    """The order of survival: of two duplicates the first stays."""

    policies: tuple[str, ...]
    sources: tuple[str, ...] = ()
    """For the policy `source`: names of sources, the best first; all others come after them."""

    def check(self) -> None:
        """Raises ValueError, with one line, where a policy is unknown or lacks what it needs."""
        for policy in self.policies:
            scored = policy.startswith((_HIGHEST, _LOWEST)) and policy.partition(":")[2]
            if not scored and policy not in _PLAIN:
                raise ValueError(unknown_name("policy to keep", policy, _KNOWN))
            if self.policies.count(policy) > 1:
                raise ValueError(f"keep has '{policy}' twice; name each policy once")
        if (SOURCE in self.policies) != bool(self.sources):
            raise ValueError(
                f"keep {'has' if SOURCE in self.policies else 'lacks'} 'source' and "
                f"source_priority names {len(self.sources)} sources; expected both or neither: "
                'keep = ["source", ...] and source_priority = ["best", "next", ...]'
            )

    def terms(self) -> tuple[Term, ...]:
        """Returns the policies in order, after the one that is always there."""
        return _PARENTS_FIRST, *(self._term(*numbered) for numbered in enumerate(self.policies))

    def _term(self, place: int, policy: str) -> Term:
        if policy in _PLAIN:
            key, direction = _PLAIN[policy]
            column = {"chars": "text", "created": "created", "source_rank": "source"}[key]
            return Term(key, direction, column)
        sense, _, column = policy.partition(":")
        return Term(f"score_{place}", "DESC" if sense == "highest" else "ASC", column)

    def reads(self) -> frozenset[str]:
        """Returns the document's columns that the policies look at."""
        return frozenset(term.column for term in self.terms())

    def keys(self, batch: pa.RecordBatch) -> dict[str, pa.Array]:
        """Returns the key columns of a batch: integers, and float64 for scores; null: no value."""
        return {term.key: self._values(term, batch) for term in self.terms()}

    def _values(self, term: Term, batch: pa.RecordBatch) -> pa.Array:
        if term.column not in batch.schema.names:  # a document of an earlier dataset
            return pa.nulls(batch.num_rows, pa.float64())
        values = batch.column(term.column)
        if term.key == "augmented":
            return values.is_valid().cast(pa.int64())
        if term.key == "chars":
            return pc.utf8_length(values).cast(pa.int64())
        if term.key == "created":
            return values.cast(pa.int64())
        if term.key == "source_rank":
            ranks = pc.index_in(values, pa.array(self.sources, values.type))
            return ranks.fill_null(len(self.sources)).cast(pa.int64())
        return _numbers(values, term.column)

    def columns(self) -> dict[str, str]:
        """Returns the SQL type of each key column."""
        return {
            term.key: "DOUBLE" if term.key.startswith("score_") else "BIGINT"
            for term in self.terms()
        }

    def order(self, before: Sequence[str] = (), after: Sequence[str] = ()) -> str:
        """Returns the terms of an ORDER BY, between others."""
        own = [f"{term.key} {term.direction} NULLS LAST" for term in self.terms()]
        return ", ".join([*before, *own, *after])


def _numbers(values: pa.Array, column: str) -> pa.Array:
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        raise SchemaError(
            f"keep by column '{column}': it holds {kind}; expected numbers, "
            "so name a score column (documents come in the order of its values)"
        )
    plain: Any = values.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return pa.array(plain, mask=np.isnan(plain))
