"""Rejects documents that contain evaluation sets, and says which item of which set.

How much of a passage (a question, an answer) a document holds is the share of the passage's word
n-grams that are in it; `curation.text.overlap` says what is compared, docs/decontamination.md how
to choose bounds. It can stand in a recipe twice, under two names, to look at what augmentation
made, too.

Source: 13-grams of Brown et al. 2020, arXiv 2005.14165, appendix C; the share of a passage instead
of any hit is ours, the share of a paragraph is Marin's.
"""

from functools import lru_cache
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.buffers import text_buffers
from curation.errors import DriftError
from curation.evals import EvalFile, Passage, Tally, eval_files, read_passages
from curation.plainfile import agreed_digest, digest_of_all
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.overlap import EvalIndex, find_overlaps, make_index

_PLACES = (
    ("set", "Evaluation set of the passage with the largest share; null: no n-gram was found."),
    ("id", "Its id in the set."),
    ("field", "Its field."),
)


class Loaded(NamedTuple):
    """Evaluation sets, ready to compare documents with."""

    passages: EvalIndex
    columns: tuple[pa.Array, ...]
    """Set, id and field of each passage."""


class Decontaminate(BatchStage):
    """Compares each document with evaluation sets, and rejects what holds too much of an item.

    A passage of `min_tokens` to `ngram` - 1 words counts as found where all its words stand in a
    row. `target` is searched, too, as if it followed the text.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "target"})
    files: ClassVar[frozenset[str]] = frozenset({"evals"})

    kind: Literal["decontaminate"]
    evals: tuple[str, ...] = Field(min_length=1)
    """Files of evaluation sets: JSON Lines (also .gz, .zst), Parquet, Arrow."""
    fields: tuple[str, ...] = Field(min_length=1)
    """Fields that hold text: question, choices, answer; `a.b` leads into objects and lists."""
    id_field: str = "id"
    """Field that names an item; default of an item without: its number in the file, from 0."""
    ngram: int = Field(default=13, ge=1, le=64)
    """Words in an n-gram; GPT-3 and Marin take 13, datatrove 12."""
    min_tokens: int = Field(default=8, ge=1)
    """Fewest words of a passage that is looked for; shorter ones occur everywhere."""
    max_overlap: float = Field(default=0.5, ge=0, le=1)
    """Largest share of a passage's n-grams in a document that is kept; 1 only measures."""
    max_ngrams: int | None = Field(default=None, ge=0)
    """Most different n-grams of evaluation sets in a document that is kept; 0 rejects any hit, as
    GPT-3 and datatrove do; default: no bound."""
    max_paragraph_overlap: float | None = Field(default=None, ge=0, le=1)
    """Largest share of a paragraph's n-grams that are of evaluation sets; default: no bound."""
    max_sharing: int | None = Field(default=None, ge=1)
    """N-grams that more passages than this share (a prompt's fixed words) count for none of them;
    default: all count."""
    evals_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 over names and contents of the files: identity, filled in by itself; where given it
    must be right."""
    evals_read: tuple[str, ...] = ()
    """What was found in each file: filled in."""

    example: ClassVar[dict[str, object]] = {
        "evals": ("evals/*.jsonl",),
        "fields": ("question", "answer"),
    }

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if self.min_tokens > self.ngram:
            raise ValueError(
                f"min_tokens is {self.min_tokens} and ngram is {self.ngram}; expected min_tokens "
                "to be at most ngram; lower it"
            )
        files = eval_files(self.evals)
        digest = agreed_digest(
            "evals_digest",
            self.evals_digest,
            _digest(files),
            "the files have",
            "give the files that it was made for",
        )
        object.__setattr__(self, "evals_digest", digest)
        object.__setattr__(self, "evals_read", self._tally(files).summary)
        return self

    def _tally(self, files: list[EvalFile]) -> Tally:
        lengths = (self.min_tokens, self.ngram)
        return _read(tuple(files), self.evals_digest, self.fields, self.id_field, lengths)

    def writes(self) -> pa.Schema:
        """Returns the shares, what they were found of, and where in the text."""
        column = self.column
        return pa.schema(
            [
                score(
                    column("overlap"),
                    pa.float64(),
                    "Largest share of a passage's n-grams that the document has.",
                    unit="ratio",
                    low=0,
                    high=1,
                ),
                score(
                    column("ngrams"),
                    pa.int64(),
                    "Different n-grams of evaluation sets in the document.",
                    unit="n-grams",
                    low=0,
                ),
                score(
                    column("paragraph_overlap"),
                    pa.float64(),
                    "Largest share of a paragraph's n-grams that are of evaluation sets.",
                    unit="ratio",
                    low=0,
                    high=1,
                ),
                *(score(column(name), pa.string(), about) for name, about in _PLACES),
                score(
                    column("position"),
                    pa.int64(),
                    "Where the first n-gram of that passage begins; beyond the text: in `target`.",
                    unit="characters",
                    low=0,
                ),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns a bound for each setting that is one."""
        bounds = (
            ("contaminated", "overlap", self.max_overlap),
            ("contaminated_ngrams", "ngrams", self.max_ngrams),
            ("contaminated_paragraph", "paragraph_overlap", self.max_paragraph_overlap),
        )
        return tuple(
            Rule(reason, self.column(name), high=high)
            for reason, name, high in bounds
            if high is not None
        )

    def open(self) -> BatchFunction:
        """Loads the evaluation sets, once per process.

        Raises:
            DriftError: The files are not those that the recipe was planned with.
        """
        files = eval_files(self.evals)
        digest = _digest(files)
        if digest != self.evals_digest:
            raise DriftError(
                f"stage {self.name}: its evaluation sets have digest {digest}, expected "
                f"{self.evals_digest} as planned; restore them, or plan again"
            )
        passages = self._tally(files).passages
        loaded = _load(passages, self.ngram, self.min_tokens, self.max_sharing)
        return lambda batch: self._score(_searched(batch), loaded)

    def _score(self, texts: pa.Array, loaded: Loaded) -> Columns:
        found = find_overlaps(*text_buffers(texts), loaded.passages)
        nothing = found.passages < 0
        passages = pa.array(found.passages, mask=nothing)
        scores: dict[str, pa.Array | npt.NDArray[np.float64] | npt.NDArray[np.int64]] = {
            "overlap": found.overlaps,
            "ngrams": found.ngrams,
            "paragraph_overlap": found.paragraphs,
            "position": pa.array(found.positions, mask=nothing),
        }
        for (name, _), column in zip(_PLACES, loaded.columns, strict=True):
            scores[name] = column.take(passages)
        return {self.column(name): values for name, values in scores.items()}


def _searched(batch: pa.RecordBatch) -> pa.Array:
    """Returns each text, with its target on a line of its own."""
    texts, targets = batch.column("text"), batch.column("target")
    if targets.null_count == len(targets):
        return texts
    line_end = pa.scalar("\n", texts.type)
    both = pc.binary_join_element_wise(texts, targets.cast(texts.type), line_end)
    return pc.coalesce(both, texts)


def _digest(files: list[EvalFile]) -> str:
    return digest_of_all((file.name, file.path) for file in files)


@lru_cache(maxsize=4)
def _read(
    files: tuple[EvalFile, ...],
    digest: str,  # noqa: ARG001 - changed files are other sets
    fields: tuple[str, ...],
    id_field: str,
    lengths: tuple[int, int],
) -> Tally:
    return read_passages(files, fields, id_field, lengths)


@lru_cache(maxsize=4)
def _load(
    passages: tuple[Passage, ...], ngram: int, least: int, most_passages: int | None
) -> Loaded:
    columns = [pa.array(column) for column in zip(*passages, strict=True)]
    texts = columns.pop().cast(pa.large_string())
    index = make_index(*text_buffers(texts), ngram, least, most_passages)
    return Loaded(index, tuple(columns))
