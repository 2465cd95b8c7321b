"""Lengths of a text, and the shares of letters, digits, signs, white space and addresses in it.

Source: ours; with `definition`, the string filters of NeMo Curator 1.4 or the filters of
Data-Juicer 1.6 (Chen et al. 2024, arXiv 2309.02033). What is counted how is said in
`curation.text.text_statistics` and `curation.text.statistics_tables`.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from curation.buffers import text_buffers
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.text_statistics import DEFINITIONS, measure


class _Quantity(NamedTuple):
    """A score column, before the stage's name is put in front, and the reasons of its bounds."""

    name: str
    about: str
    low: str = ""
    high: str = ""
    unit: str = "ratio"
    dtype: pa.DataType = pa.float64()


_INT = pa.int64()
_QUANTITIES = (
    _Quantity("chars", "Characters.", "few_chars", "many_chars", "characters", _INT),
    _Quantity("words", "Words.", "few_words", "many_words", "words", _INT),
    _Quantity(
        "longest_word_chars", "Length of the longest word.", "", "long_word", "characters", _INT
    ),
    _Quantity("lines", "Lines.", unit="lines", dtype=_INT),
    _Quantity(
        "mean_line_chars", "Mean length of a line.", "short_lines", "long_lines", "characters"
    ),
    _Quantity(
        "longest_line_chars",
        "Length of the longest line.",
        "short_longest_line",
        "long_line",
        "characters",
        _INT,
    ),
    _Quantity(
        "alphanumeric_ratio",
        "Share of letters and digits in all characters.",
        low="few_alphanumerics",
    ),
    _Quantity("digit_ratio", "Share of decimal digits in all characters.", high="many_digits"),
    _Quantity("upper_ratio", "Share of upper-case letters in all letters.", high="many_upper"),
    _Quantity(
        "white_space_ratio", "Share of white space in all characters.", high="much_white_space"
    ),
    _Quantity("special_ratio", "Share of special characters in all.", high="many_special_chars"),
    _Quantity("parenthesis_ratio", "Share of brackets in all characters.", high="many_parentheses"),
    _Quantity(
        "url_ratio", "Share of the characters of http addresses in all.", high="many_url_chars"
    ),
    _Quantity(
        "no_end_mark_ratio",
        "Share of lines that do not end like a sentence.",
        high="few_end_marks",
    ),
    _Quantity(
        "boilerplate_ratio",
        "Share of paragraphs with a phrase of terms or cookie notices.",
        high="much_boilerplate",
    ),
)


class TextStatistics(BatchStage):
    """Scores lengths and shares of characters; rejects outside of the bounds that are set.

    No bound is set by itself; those in the table below are examples. `definition` says what counts
    as a letter, a word or a line, and with it, which bounds are set. Bounds are inclusive. Without
    a denominator a share is null, and breaks no bound.
    """

    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        DEFINITIONS["data_juicer"].settings
        | DEFINITIONS["curator"].settings
        | {
            "max_chars": 500_000,
            "max_mean_line_chars": 2000,
            "max_longest_line_chars": 10_000,
            "max_upper_ratio": 0.5,
        }
    )

    kind: Literal["text_statistics"]
    definition: Literal["unicode", "curator", "data_juicer"] = "unicode"
    """unicode: ours, for any script, without bounds; curator: the string filters of NeMo Curator
    that gopher_quality does not have; data_juicer: the filters of Data-Juicer on characters, words
    and lines."""
    min_chars: int | None = Field(default=None, ge=0)
    """Fewest characters."""
    max_chars: int | None = Field(default=None, ge=0)
    """Most characters."""
    min_words: int | None = Field(default=None, ge=0)
    """Fewest words."""
    max_words: int | None = Field(default=None, ge=0)
    """Most words."""
    max_longest_word_chars: int | None = Field(default=None, ge=0)
    """Most characters of the longest word."""
    min_mean_line_chars: float | None = Field(default=None, ge=0)
    """Smallest mean length of a line."""
    max_mean_line_chars: float | None = Field(default=None, ge=0)
    """Largest mean length of a line."""
    min_longest_line_chars: int | None = Field(default=None, ge=0)
    """Fewest characters of the longest line."""
    max_longest_line_chars: int | None = Field(default=None, ge=0)
    """Most characters of the longest line."""
    min_alphanumeric_ratio: float | None = Field(default=None, ge=0, le=1)
    """Smallest share of letters and digits."""
    max_digit_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of digits."""
    max_upper_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of upper-case letters."""
    max_white_space_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of white space."""
    max_special_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of special characters."""
    max_parenthesis_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of brackets."""
    max_url_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of the characters of addresses."""
    max_no_end_mark_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of lines that do not end like a sentence."""
    max_boilerplate_ratio: float | None = Field(default=None, ge=0, le=1)
    """Largest share of paragraphs with boilerplate."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if isinstance(given, dict):
            definition = DEFINITIONS.get(given.get("definition", "unicode"))
            return {**definition.settings, **given} if definition else given
        return given

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        self.refuse_crossed(*(quantity.name for quantity in _QUANTITIES))
        return self

    def _bound(self, side: str, quantity: _Quantity) -> float | None:
        bound: float | None = getattr(self, f"{side}_{quantity.name}", None)
        return bound

    def writes(self) -> pa.Schema:
        """Returns the score columns, one for each statistic."""
        return pa.schema(
            score(
                self.column(quantity.name),
                quantity.dtype,
                quantity.about,
                unit=quantity.unit,
                low=0,
                high=1 if quantity.unit == "ratio" else None,
            )
            for quantity in _QUANTITIES
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that are set, in the order of the columns."""
        rules = []
        for quantity in _QUANTITIES:
            column = self.column(quantity.name)
            low, high = self._bound("min", quantity), self._bound("max", quantity)
            if low is not None:
                rules.append(Rule(quantity.low, column, low=low))
            if high is not None:
                rules.append(Rule(quantity.high, column, high=high))
        return tuple(rules)

    def open(self) -> BatchFunction:
        """Returns the function that scores a batch."""
        return self._score

    def _score(self, batch: pa.RecordBatch) -> Columns:
        text = batch.column("text")
        found = measure(*text_buffers(text), self.definition)._asdict()
        empty = text.is_null().to_numpy(zero_copy_only=False)
        return {
            self.column(name): pa.array(values, mask=np.isnan(values) | empty)
            for name, values in found.items()
        }
