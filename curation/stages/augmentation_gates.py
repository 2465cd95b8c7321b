"""Gates for augmented documents: each child is compared with the text that it was made of.

Augmentation fails in known ways: a translation comes back in another language, unchanged, cut
short, or stuck in a loop; a number changes, a name goes, a negation is lost. Each of these is a
score here, and a bound on it. What the measures see and do not see is said in
docs/augmentation.md; those of facts are in `curation.text.facts`.

Source: chrF of Popović 2015, as sacrebleu computes it; the rest is ours.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any, ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.errors import DriftError
from curation.families import PARENT_TEXT
from curation.language_model import PACKAGED_MODEL, load_languages
from curation.likeness import Pairs
from curation.plainfile import agreed_digest, file_digest
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.static_model import WORDLLAMA, StaticModel, find_model, load_model
from curation.text.phrases import PhraseTable
from curation.word_list import checked_digest, open_list

_FACTS = {
    "numbers": "Share of the parent's numbers that the child has, each occurrence counted.",
    "dates": "Share of the parent's dates that the child has, each occurrence counted.",
    "names": "Share of the parent's names that the child has, each name counted once.",
    "negations": "Negations of parent and child, the smaller count over the larger.",
}
_RATIOS = {
    "language_probability": "Probability that the child is in its parent's language.",
    **_FACTS,
    "new_loops": "Share of the child's characters in repeated runs of words, less the parent's.",
}


class Opened(NamedTuple):
    """What the measures need."""

    languages: Any
    bad_words: PhraseTable | None
    embedding: StaticModel | None


class AugmentationGates(BatchStage):
    """Scores what was made of other documents against them; rejects what is no good copy.

    Documents without a parent pass, and all their scores are null; so does each score that does
    not apply: numbers where the parent has none, negations in a language without a list. A bound
    of `none` in the table is not asked. Put it directly after the stages that make documents.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "made_by", PARENT_TEXT.name})
    files: ClassVar[frozenset[str]] = frozenset({"bad_words", "embedding"})
    named: ClassVar[frozenset[str]] = frozenset({WORDLLAMA})

    kind: Literal["augmentation_gates"] = "augmentation_gates"
    made_by: tuple[str, ...] | None = Field(default=None, min_length=1)
    """Names of the stages whose children are judged; default: those of all."""
    min_language_probability: float | None = Field(default=0.5, ge=0, le=1)
    """Least probability that the child is in the language of its parent."""
    min_length_ratio: float | None = Field(default=0.5, ge=0)
    """Fewest characters of the child for each of the parent."""
    max_length_ratio: float | None = Field(default=2.0, ge=0)
    """Most characters of the child for each of the parent."""
    min_chrf: float | None = Field(default=50, ge=0, le=100)
    """Least chrF against the parent: below it, the meaning is likely to be lost."""
    max_chrf: float | None = Field(default=97, ge=0, le=100)
    """Largest chrF against the parent: above it, the child says nothing in other words."""
    min_numbers: float | None = Field(default=0.9, ge=0, le=1)
    """Least share of the parent's numbers that the child has."""
    min_dates: float | None = Field(default=0.9, ge=0, le=1)
    """Least share of the parent's dates that the child has."""
    min_names: float | None = Field(default=0.7, ge=0, le=1)
    """Least share of the parent's names that the child has."""
    min_negations: float | None = Field(default=0.7, ge=0, le=1)
    """Least ratio of the counts of negations, the smaller over the larger."""
    max_new_loops: float | None = Field(default=0.05, ge=0, le=1)
    """Most of the child that may lie in loops, in addition to what does in its parent."""
    bad_words: str | None = None
    """A list, one word or phrase a line, of what the child may not have oftener than its parent."""
    bad_words_anywhere: bool = False
    """The words count inside of other words, too: for languages without spaces."""
    bad_words_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the list: identity, filled in by itself; where given it must be right."""
    embedding: str | None = None
    """A static embedding model: "wordllama" (for English; extra `semantic`), or a directory; it
    scores the cosine with the parent."""
    embedding_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the model's files: identity, filled in by itself; where given it must be right."""
    embedding_chars: int = Field(default=2000, ge=1, le=1 << 20)
    """Characters from the start of each text that are embedded."""
    min_cosine: float | None = Field(default=0.8, ge=-1, le=1)
    """Least cosine with the parent, where there is an embedding."""
    bleu: bool = False
    """Scores sentence BLEU against the parent, too (extra `bleu`)."""
    min_bleu: float | None = Field(default=None, ge=0, le=100)
    """Least BLEU, with `bleu`."""
    max_bleu: float | None = Field(default=None, ge=0, le=100)
    """Largest BLEU, with `bleu`."""

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        self.refuse_crossed("length_ratio", "chrf", "bleu")
        if not self.bleu and (self.min_bleu is not None or self.max_bleu is not None):
            raise ValueError(
                "min_bleu and max_bleu are for bleu = true; add that, or leave them out"
            )
        if self.bleu and find_spec("sacrebleu") is None:
            raise ValueError(
                "bleu needs sacrebleu, which is not installed; install it with: "
                'pip install "curation[bleu]"'
            )
        if self.bad_words is not None:
            digest = checked_digest("bad_words", self.bad_words, self.bad_words_digest)
            object.__setattr__(self, "bad_words_digest", digest)
        return self

    @model_validator(mode="after")
    def _has_its_embedding(self) -> Self:
        if self.embedding is None:
            return self
        files = find_model(self.embedding)
        digest = agreed_digest(
            "embedding_digest",
            self.embedding_digest,
            files.digest(),
            f"model '{self.embedding}' has",
            "give the model that it was made for",
        )
        object.__setattr__(self, "embedding_digest", digest)
        load_model(files, digest)  # what is damaged in it is an error of the recipe
        return self

    def writes(self) -> pa.Schema:
        """Returns one score for each gate."""
        column, real = self.column, pa.float64()
        ratios = [
            score(column(name), real, about, unit="ratio", low=0, high=1)
            for name, about in _RATIOS.items()
        ]
        about = "Characters of the child over those of the parent."
        others = [
            score(column("length_ratio"), real, about, unit="ratio", low=0),
            score(column("chrf"), real, "chrF against the parent.", low=0, high=100),
            score(
                column("new_bad_words"), pa.int64(), "Listed words that the parent does not have.",
                unit="words", low=0,
            ),
            score(column("cosine"), real, "Cosine with the parent's embedding.", low=-1, high=1),
            score(column("bleu"), real, "Sentence BLEU against the parent.", low=0, high=100),
        ]  # fmt: skip
        return pa.schema([*ratios, *others])

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that are set."""
        return tuple(
            rule for rule in self._bounds() if rule.low is not None or rule.high is not None
        )

    def _bounds(self) -> Iterator[Rule]:
        column = self.column
        probability = self.min_language_probability
        yield Rule("language_changed", column("language_probability"), low=probability)
        yield Rule("much_shorter", column("length_ratio"), low=self.min_length_ratio)
        yield Rule("much_longer", column("length_ratio"), high=self.max_length_ratio)
        yield Rule("little_in_common", column("chrf"), low=self.min_chrf)
        yield Rule("nothing_new", column("chrf"), high=self.max_chrf)
        for fact in _FACTS:
            reason = "negations_changed" if fact == "negations" else f"{fact}_lost"
            yield Rule(reason, column(fact), low=getattr(self, f"min_{fact}"))
        yield Rule("loops", column("new_loops"), high=self.max_new_loops)
        if self.bad_words is not None:
            yield Rule("bad_words_introduced", column("new_bad_words"), high=0)
        if self.embedding is not None:
            yield Rule("meaning_changed", column("cosine"), low=self.min_cosine)
        yield Rule("low_bleu", column("bleu"), low=self.min_bleu)
        yield Rule("high_bleu", column("bleu"), high=self.max_bleu)

    def open(self) -> BatchFunction:
        """Loads models and list, once per process.

        Raises:
            DriftError: The embedding is not the one that the recipe was planned with.
            DataError: Nor is the list.
        """
        languages = load_languages(PACKAGED_MODEL, file_digest(PACKAGED_MODEL))
        words = self.bad_words and open_list(self.name, self.bad_words, self.bad_words_digest)
        opened = Opened(languages, words or None, self._open_embedding())
        return lambda batch: self._score(batch, opened)

    def _open_embedding(self) -> StaticModel | None:
        if self.embedding is None:
            return None
        files = find_model(self.embedding)
        digest = files.digest()
        if digest != self.embedding_digest:
            raise DriftError(
                f"stage {self.name}: model '{self.embedding}' has digest {digest}, expected "
                f"{self.embedding_digest} as planned; restore it, or plan again"
            )
        return load_model(files, digest)

    def _score(self, batch: pa.RecordBatch, opened: Opened) -> Columns:
        parents = batch.column(PARENT_TEXT.name)
        judged = parents.is_valid()
        if self.made_by is not None:
            names = pa.array(self.made_by, pa.string())
            judged = pc.and_(judged, pc.is_in(batch.column("made_by"), names))
        rows = np.flatnonzero(judged.to_numpy(zero_copy_only=False))
        here = pa.array(rows)
        pairs = Pairs(batch.column("text").take(here), parents.take(here))
        values = self._measure(pairs, opened) if len(rows) else {}
        return {
            field.name: _spread(
                values.get(field.name.removeprefix(self.column(""))),
                rows,
                batch.num_rows,
                field.type,
            )
            for field in self.writes()
        }

    def _measure(self, pairs: Pairs, opened: Opened) -> dict[str, npt.NDArray[Any]]:
        languages, probabilities = pairs.languages(opened.languages)
        facts = np.array(pairs.kept_facts(languages), np.float64)  # None becomes NaN
        values: dict[str, npt.NDArray[Any]] = {
            "language_probability": probabilities,
            **dict(zip(_FACTS, facts.T, strict=True)),
            "length_ratio": pairs.length_ratios(),
            "chrf": pairs.chrf(),
            "new_loops": pairs.new_loops(),
        }
        if opened.bad_words is not None:
            anywhere = self.bad_words_anywhere
            values["new_bad_words"] = pairs.new_phrases(opened.bad_words, anywhere=anywhere)
        if opened.embedding is not None:
            values["cosine"] = pairs.cosines(opened.embedding, self.embedding_chars)
        if self.bleu:
            values["bleu"] = pairs.bleu()
        return values


def _spread(
    values: npt.NDArray[Any] | None, rows: npt.NDArray[np.int64], total: int, kind: pa.DataType
) -> pa.Array:
    """Returns the values of some rows as a column of all; null for the others, and for NaN."""
    if values is None:
        return pa.nulls(total, kind)
    column = np.zeros(total, values.dtype)
    missing = np.ones(total, np.bool_)
    column[rows], missing[rows] = values, np.isnan(values)
    return pa.array(column, kind, mask=missing)
