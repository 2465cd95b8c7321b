"""Keeps pages whose lines look like running text: the rules that FineWeb adds to the others.

Source: Penedo et al. 2024, arXiv 2406.17557, section 3.6, as in the code that made the dataset
(datatrove 0.10); what is counted how is said in `curation.text.fineweb`.
"""

from typing import Literal

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation.buffers import text_buffers
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.fineweb import BY_SPACE, END_CHARS, measure
from curation.text.word_breaks import TOKENS, WORDS

_KINDS = {"tokens": TOKENS, "unicode": WORDS, "whitespace": BY_SPACE}


class FinewebQuality(BatchStage):
    """Bounds line ends, short lines, repeated lines, and line feeds per word; all inclusive.

    The paper and the code differ in one bound: characters in repeated lines are at most 0.1 in the
    paper, 0.01 in the code, which is what the published English dataset was made with.
    """

    kind: Literal["fineweb_quality"]
    min_line_punct_ratio: float = Field(default=0.12, ge=0, le=1)
    """Smallest share of lines that end in one of `end_chars`."""
    allow_no_punct: bool = False
    """Keeps texts of which no line does: scripts or extractors without end marks."""
    end_chars: str = Field(default=END_CHARS, min_length=1)
    """Characters that end a sentence; default: those of all scripts, as in datatrove."""
    max_short_line_ratio: float = Field(default=0.67, ge=0, le=1)
    """Largest share of short lines."""
    short_line_chars: int = Field(default=30, ge=0)
    """Most characters of a short line."""
    max_char_dup_ratio: float = Field(default=0.01, ge=0, le=1)
    """Largest share of characters in lines that repeat an earlier one; the paper says 0.1."""
    max_list_ratio: float = Field(default=0.3, ge=0)
    """Most line feeds per word."""
    words: Literal["tokens", "unicode", "whitespace"] = "tokens"
    """What a word is: a token by Unicode's word boundaries (words, numbers, each mark by itself:
    nearest to datatrove's tokenizers), such a token with a letter or digit, or what stands between
    white space."""

    def writes(self) -> pa.Schema:
        """Returns the six score columns; `curation.text.fineweb` says what they count."""
        column = self.column
        ratio, high = pa.float64(), 1
        return pa.schema(
            [
                score(column("lines"), pa.int64(), "Lines not blank.", unit="lines", low=0),
                score(
                    column("line_punct_ratio"),
                    ratio,
                    "Share of lines that end in a sentence's end; null: it does not count.",
                    unit="ratio",
                    low=0,
                    high=high,
                ),
                score(
                    column("short_line_ratio"),
                    ratio,
                    "Share of short lines.",
                    unit="ratio",
                    low=0,
                    high=high,
                ),
                score(
                    column("char_dup_ratio"),
                    ratio,
                    "Share of characters in lines that repeat an earlier one.",
                    unit="ratio",
                    low=0,
                    high=high,
                ),
                score(column("words"), pa.int64(), "Words, as chosen.", unit="words", low=0),
                score(column("list_ratio"), ratio, "Line feeds per word.", unit="ratio", low=0),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns datatrove's rules in its order, `empty` for a text without lines first."""
        column = self.column
        return (
            Rule("empty", column("lines"), low=1),
            Rule("line_punct_ratio", column("line_punct_ratio"), low=self.min_line_punct_ratio),
            Rule("short_line_ratio", column("short_line_ratio"), high=self.max_short_line_ratio),
            Rule("char_dup_ratio", column("char_dup_ratio"), high=self.max_char_dup_ratio),
            Rule("list_ratio", column("list_ratio"), high=self.max_list_ratio),
        )

    def open(self) -> BatchFunction:
        """Returns the function that scores a batch."""
        return self._score

    def _score(self, batch: pa.RecordBatch) -> Columns:
        text = batch.column("text")
        found = measure(
            *text_buffers(text), self.end_chars, self.short_line_chars, _KINDS[self.words]
        )
        empty = text.is_null().to_numpy(zero_copy_only=False)
        missing = {name: np.isnan(values) | empty for name, values in found._asdict().items()}
        if self.allow_no_punct:
            missing["line_punct_ratio"] |= found.line_punct_ratio == 0
        return {
            self.column(name): pa.array(values, mask=missing[name])
            for name, values in found._asdict().items()
        }
