"""A stage that says a document in other words, by a list of words that it is given."""

import re
from typing import Literal

import pyarrow as pa

from curation.schema import score
from curation.stage import BatchFunction, Columns, ExpandStage

WORDS = {
    "and": "plus", "may": "can", "in": "within", "with": "having", "or": "or else",
    "people": "persons", "disease": "illness", "symptoms": "signs", "often": "frequently",
    "usually": "mostly", "is": "remains", "are": "stay", "for": "as for", "also": "too",
}  # fmt: skip
"""Common enough that no five words in a row stay as they are."""


class Reword(ExpandStage):
    """Replaces words, whatever their case; a text without any gives no child."""

    kind: Literal["reword"] = "reword"
    words: dict[str, str] = WORDS

    def writes(self) -> pa.Schema:
        return pa.schema([score(self.column("replaced"), pa.int64(), "Words replaced.")])

    def open(self) -> BatchFunction:
        return self._reword

    def _reword(self, batch: pa.RecordBatch) -> Columns:
        pattern = re.compile(rf"\b({'|'.join(map(re.escape, self.words))})\b", re.IGNORECASE)
        found = [
            pattern.subn(lambda match: self.words[match.group().lower()], text)
            for text in batch.column("text").to_pylist()
        ]
        return {
            "text": pa.array([text if count else None for text, count in found], pa.large_string()),
            self.column("replaced"): pa.array([count for _, count in found], pa.int64()),
        }
