"""Keeps documents that do not repeat themselves: the repetition rules of Gopher.

Source: Rae et al. 2021, arXiv 2112.11446, appendix A1.1 and table A1; what is counted how, and how
four other programs count, is said in `curation.text.repetition`. Ours: where a language writes no
spaces between words, n-grams are left unscored.
"""

from typing import Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field

from curation.buffers import text_buffers
from curation.schema import LANGUAGE_LABEL, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.gopher import UNSPACED
from curation.text.repetition import STATISTICS, repetition

_WHAT = {
    "duplicate_lines": "Share of lines that repeat others.",
    "duplicate_line_chars": "Share of characters in lines that repeat others.",
    "duplicate_paragraphs": "Share of paragraphs that repeat others.",
    "duplicate_paragraph_chars": "Share of characters in paragraphs that repeat others.",
}


class GopherRepetition(BatchStage):
    """Scores and bounds of the paper's table A1, by one of five definitions; all are inclusive.

    A bound that no document can reach, such as 99, switches its rule off. Scores are from 0 to 1
    but for `dolma` and `datatrove`, which can count a character more than once.
    """

    kind: Literal["gopher_repetition"]
    definition: Literal["paper", "datatrove", "dclm", "dolma", "curator"] = "paper"
    """Whose reading of the rules: "paper" is ours, the others repeat those programs."""
    max_duplicate_lines: float = Field(default=0.30, ge=0, allow_inf_nan=False)
    """Largest share of repeated lines."""
    max_duplicate_line_chars: float = Field(default=0.20, ge=0, allow_inf_nan=False)
    """Largest share of characters in repeated lines."""
    max_duplicate_paragraphs: float = Field(default=0.30, ge=0, allow_inf_nan=False)
    """Largest share of repeated paragraphs."""
    max_duplicate_paragraph_chars: float = Field(default=0.20, ge=0, allow_inf_nan=False)
    """Largest share of characters in repeated paragraphs."""
    max_top_2gram: float = Field(default=0.20, ge=0, allow_inf_nan=False)
    """Largest share of characters in the most frequent pair of words."""
    max_top_3gram: float = Field(default=0.18, ge=0, allow_inf_nan=False)
    """Likewise of three words."""
    max_top_4gram: float = Field(default=0.16, ge=0, allow_inf_nan=False)
    """Likewise of four words."""
    max_duplicate_5grams: float = Field(default=0.15, ge=0, allow_inf_nan=False)
    """Largest share of characters in repeated runs of five words."""
    max_duplicate_6grams: float = Field(default=0.14, ge=0, allow_inf_nan=False)
    """Likewise of six words."""
    max_duplicate_7grams: float = Field(default=0.13, ge=0, allow_inf_nan=False)
    """Likewise of seven words."""
    max_duplicate_8grams: float = Field(default=0.12, ge=0, allow_inf_nan=False)
    """Likewise of eight words."""
    max_duplicate_9grams: float = Field(default=0.11, ge=0, allow_inf_nan=False)
    """Likewise of nine words."""
    max_duplicate_10grams: float = Field(default=0.10, ge=0, allow_inf_nan=False)
    """Likewise of ten words."""
    unspaced: tuple[str, ...] = UNSPACED
    """Languages that are written without spaces between words: no n-grams of words."""

    def writes(self) -> pa.Schema:
        """Returns the thirteen score columns; `curation.text.repetition` says what they count."""
        high = 1 if self.definition in ("paper", "dclm", "curator") else None
        return pa.schema(
            score(self.column(name), pa.float64(), _about(name), unit="ratio", low=0, high=high)
            for name in STATISTICS
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns one rule for each bound, in the order of the paper's table."""
        return tuple(
            Rule(_reason(name), self.column(name), high=getattr(self, f"max_{name}"))
            for name in STATISTICS
        )

    def open(self) -> BatchFunction:
        """Returns the function that scores a batch."""

        def score_batch(batch: pa.RecordBatch) -> Columns:
            text = batch.column("text")
            found = repetition(*text_buffers(text), self.definition)
            missing = np.isnan(found) | text.is_null().to_numpy(zero_copy_only=False)[:, None]
            ngrams = [
                not name.startswith(("duplicate_line", "duplicate_par")) for name in STATISTICS
            ]
            missing |= np.outer(self._unspaced(batch), ngrams)
            return {
                self.column(name): pa.array(found[:, k], mask=missing[:, k])
                for k, name in enumerate(STATISTICS)
            }

        return score_batch

    def _unspaced(self, batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
        """Returns which documents are in a language without spaces."""
        if LANGUAGE_LABEL not in batch.schema.names:
            return np.zeros(batch.num_rows, np.bool_)
        labels = batch.column(LANGUAGE_LABEL).cast(pa.string())
        found = pc.is_in(labels, pa.array(self.unspaced, pa.string()))
        return np.asarray(found.to_numpy(zero_copy_only=False))


def _reason(name: str) -> str:
    return f"frequent_{name[4:]}" if name.startswith("top_") else f"many_{name}"


def _about(name: str) -> str:
    if name in _WHAT:
        return _WHAT[name]
    size = name.removeprefix("top_").removeprefix("duplicate_").removesuffix("s")
    which = "the most frequent" if name.startswith("top_") else "every repeated"
    return f"Share of characters in {which} {size} of words."
