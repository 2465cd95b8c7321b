"""Keeps documents that look like text: the quality rules of Gopher, in any language.

Source: Rae et al. 2021, arXiv 2112.11446, appendix A1.1; what is counted how, and where other
programs differ, is said in `curation.text.gopher`. Ours: the paper knows English only. Here stop
words are those of the document's language, and where a language writes no spaces between words,
all that is counted in words is left unscored, and letters are counted instead.
"""

from typing import Any, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from curation.buffers import text_buffers
from curation.schema import LANGUAGE_LABEL, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.gopher import UNSPACED, quality
from curation.text.gopher_rivals import rival_quality
from curation.text.stop_words import StopTable, check_stop_words, stop_table

STOP_WORDS = {
    "en": "the be to of and that have with",  # the paper's
    "de": "der die und den das nicht von ist mit ein eine auf zu im sich",
    "es": "de la que el en los se del las un por con una para no es",
    "fr": "de la le et les des en un une du que est pour dans qui pas",
    "it": "di il che la in per un una non del con sono della le si da",
    "nl": "de van het een en in is dat op te zijn met voor niet die",
    "pl": "na do nie się jest to że jak od po przez dla są oraz lub",
    "pt": "de que do da em um para com uma os não no na por se",
    "ru": "и в не на что по как это из для к от или при за",
}
"""Frequent function words. All but English are ours: articles, prepositions, conjunctions,
negations, forms of "to be"; no content words, and no single letters in Latin script."""

Mask = npt.NDArray[np.bool_]
Numbers = npt.NDArray[np.int64]
Scores = dict[str, npt.NDArray[Any]]


class _Quantity(NamedTuple):
    """A score column, before the stage's name is put in front."""

    name: str
    dtype: pa.DataType
    about: str
    unit: str
    high: float | None = None


_RIVALS = (
    _Quantity("words", pa.int64(), "Words that count.", "words"),
    _Quantity("mean_word_chars", pa.float64(), "Mean length of a word.", "characters"),
    _Quantity("symbol_ratio", pa.float64(), "Hash signs and ellipses per word.", "ratio"),
    _Quantity("bullet_lines", pa.float64(), "Share of lines that start with a bullet.", "ratio", 1),
    _Quantity("ellipsis_lines", pa.float64(), "Share of lines ending in an ellipsis.", "ratio", 1),
    _Quantity("alpha_words", pa.float64(), "Share of words with a letter.", "ratio", 1),
    _Quantity("stop_words", pa.int64(), "Stop words of the language.", "words"),
)
_HASHES = _Quantity("hash_ratio", pa.float64(), "Hash signs per word.", "ratio")
_ELLIPSES = _Quantity("ellipsis_ratio", pa.float64(), "Ellipses per word.", "ratio")
_MEDIAN = _Quantity("median_word_chars", pa.float64(), "Median length of a word.", "characters")

_QUANTITIES = (
    _Quantity("words", pa.int64(), "Runs of characters between whitespace.", "words"),
    _Quantity("mean_word_chars", pa.float64(), "Mean length of a word.", "characters"),
    _Quantity("hash_ratio", pa.float64(), "Hash signs per word.", "ratio"),
    _Quantity("ellipsis_ratio", pa.float64(), "Ellipses per word.", "ratio"),
    _Quantity("bullet_lines", pa.float64(), "Share of lines that start with a bullet.", "ratio", 1),
    _Quantity("ellipsis_lines", pa.float64(), "Share of lines ending in an ellipsis.", "ratio", 1),
    _Quantity("alpha_words", pa.float64(), "Share of words with a letter.", "ratio", 1),
    _Quantity("stop_words", pa.int64(), "Different stop words of the language.", "words"),
    _Quantity("letters", pa.int64(), "Letters; in languages without spaces only.", "characters"),
)


def _quantities(definition: str) -> tuple[_Quantity, ...]:
    """Returns the scores of a definition."""
    if definition == "paper":
        return _QUANTITIES
    words, mean, symbols, *rest = _RIVALS
    if definition == "datatrove":
        return (words, mean, _HASHES, _ELLIPSES, *rest)
    return (words, _MEDIAN if definition == "dolma" else mean, symbols, *rest)


class GopherQuality(BatchStage):
    """Scores and bounds of the paper; all bounds are inclusive.

    Where the batch has the column `language_label`, it says whose stop words count; a language
    without a list has no score for them, and a null score breaks no bound. A document in a language
    of `unspaced` has scores for its lines and letters, any other for its lines and words.
    """

    kind: Literal["gopher_quality"]
    definition: Literal["paper", "datatrove", "dclm", "dolma", "curator"] = "paper"
    """Whose reading of the rules: "paper" is ours, the others repeat those programs, without
    letters; what they count is said in `curation.text.gopher_rivals`."""
    min_words: int = Field(default=50, ge=0)
    """Fewest words (runs between whitespace)."""
    max_words: int = Field(default=100_000, ge=0)
    """Most words."""
    min_mean_word_chars: float = Field(default=3, ge=0)
    """Shortest mean word, in characters."""
    max_mean_word_chars: float = Field(default=10, ge=0)
    """Longest mean word, in characters."""
    max_symbol_ratio: float = Field(default=0.1, ge=0, le=1)
    """Most hash signs per word, and most ellipses per word."""
    max_bullet_lines: float = Field(default=0.9, ge=0, le=1)
    """Largest share of lines that start with a bullet."""
    max_ellipsis_lines: float = Field(default=0.3, ge=0, le=1)
    """Largest share of lines that end in an ellipsis."""
    min_alpha_words: float = Field(default=0.8, ge=0, le=1)
    """Smallest share of words with at least one letter."""
    min_stop_words: int = Field(default=2, ge=0)
    """Fewest different stop words of the document's language."""
    min_letters: int = Field(default=100, ge=0)
    """Fewest letters of a document in an unspaced language; ours: two for each of 50 words."""
    max_letters: int = Field(default=200_000, ge=0)
    """Most letters of a document in an unspaced language; ours: two for each of 100,000 words."""
    language: str = "en"
    """Language of documents without a label."""
    stop_words: dict[str, tuple[str, ...]] = Field(
        default_factory=lambda: {code: tuple(words.split()) for code, words in STOP_WORDS.items()}
    )
    """Stop words per language; lists given here replace all of the default ones."""
    unspaced: tuple[str, ...] = UNSPACED
    """Languages that are written without spaces between words."""

    @field_validator("stop_words")
    @classmethod
    def _check_lists(cls, lists: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
        for code, words in lists.items():
            try:
                check_stop_words(words)
            except ValueError as error:
                raise ValueError(f"language '{code}': {error}") from error
        return lists

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        self.refuse_crossed("words", "mean_word_chars", "letters")
        return self

    @model_validator(mode="after")
    def _check_languages(self) -> Self:
        for code, words in self.stop_words.items():
            if len(set(words)) < self.min_stop_words:
                raise ValueError(
                    f"min_stop_words is {self.min_stop_words}, but the list of language '{code}' "
                    f"has {len(set(words))} words; lower the bound or lengthen the list"
                )
            if code in self.unspaced:
                raise ValueError(
                    f"language '{code}' has a list in stop_words and is in unspaced, where words "
                    "cannot be found; expected one of the two; take it out of the other"
                )
        return self

    def writes(self) -> pa.Schema:
        """Returns the score columns; `curation.text.gopher` says what they count."""
        return pa.schema(
            score(
                self.column(quantity.name),
                quantity.dtype,
                quantity.about,
                unit=quantity.unit,
                low=0,
                high=quantity.high,
            )
            for quantity in _quantities(self.definition)
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns one rule for each bound, in the order of the paper."""
        known = {quantity.name for quantity in _quantities(self.definition)}
        bounds = (
            ("few_words", "words", self.min_words, None),
            ("many_words", "words", None, self.max_words),
            ("few_letters", "letters", self.min_letters, None),
            ("many_letters", "letters", None, self.max_letters),
            ("short_words", "mean_word_chars", self.min_mean_word_chars, None),
            ("long_words", "mean_word_chars", None, self.max_mean_word_chars),
            ("short_words", "median_word_chars", self.min_mean_word_chars, None),
            ("long_words", "median_word_chars", None, self.max_mean_word_chars),
            ("many_hashes", "hash_ratio", None, self.max_symbol_ratio),
            ("many_ellipses", "ellipsis_ratio", None, self.max_symbol_ratio),
            ("many_symbols", "symbol_ratio", None, self.max_symbol_ratio),
            ("many_bullet_lines", "bullet_lines", None, self.max_bullet_lines),
            ("many_ellipsis_lines", "ellipsis_lines", None, self.max_ellipsis_lines),
            ("few_alpha_words", "alpha_words", self.min_alpha_words, None),
            ("few_stop_words", "stop_words", self.min_stop_words, None),
        )
        return tuple(
            Rule(reason, self.column(name), low=low, high=high)
            for reason, name, low, high in bounds
            if name in known
        )

    def open(self) -> BatchFunction:
        """Builds the table of stop words and returns the function that scores a batch."""
        exact = self.definition not in ("paper", "dclm")
        table = stop_table(list(self.stop_words.values()), exact=exact)

        def score_batch(batch: pa.RecordBatch) -> Columns:
            text = batch.column("text")
            lists, unspaced = self._languages(batch)
            found = self._measure(text, table, lists)
            missing = _missing(found, lists, unspaced)
            empty = text.is_null().to_numpy(zero_copy_only=False)
            return {
                self.column(name): pa.array(values, mask=missing[name] | empty)
                for name, values in found.items()
            }

        return score_batch

    def _measure(self, text: pa.Array, table: StopTable, lists: Numbers) -> Scores:
        """Returns the scores by name, those that do not apply to a text as NaN."""
        buffers = text_buffers(text)
        if self.definition == "paper":
            return quality(*buffers, table, lists)._asdict()
        found = rival_quality(*buffers, self.definition, table, lists)._asdict()
        renamed = {"word_chars": "mean_word_chars"}
        if self.definition == "dolma":
            renamed = {"word_chars": "median_word_chars"}
        elif self.definition == "datatrove":
            renamed["symbol_ratio"] = "ellipsis_ratio"
        found = {renamed.get(name, name): values for name, values in found.items()}
        return {quantity.name: found[quantity.name] for quantity in _quantities(self.definition)}

    def _languages(self, batch: pa.RecordBatch) -> tuple[Numbers, Mask]:
        """Returns the number of each document's stop word list (-1: none), and what is unspaced."""
        labels = pa.repeat(self.language, batch.num_rows)
        if LANGUAGE_LABEL in batch.schema.names:
            labels = batch.column(LANGUAGE_LABEL).cast(pa.string()).fill_null(self.language)
        lists = pc.index_in(labels, pa.array(list(self.stop_words), pa.string())).fill_null(-1)
        unspaced = pc.is_in(labels, pa.array(self.unspaced, pa.string()))
        return lists.to_numpy().astype(np.int64), unspaced.to_numpy(zero_copy_only=False)


def _missing(found: Scores, lists: Numbers, unspaced: Mask) -> dict[str, Mask]:
    """Returns where each score does not apply: no denominator, or not in this language."""
    missing = {name: np.isnan(values) for name, values in found.items()}
    for name in missing.keys() - {"bullet_lines", "ellipsis_lines", "letters"}:
        missing[name] |= unspaced
    missing["stop_words"] |= lists < 0
    if "letters" in missing:
        missing["letters"] |= ~unspaced
    return missing
