"""Synonyms from WordNet in the place of words that mean one thing.

Only words are replaced that can be without knowing the sentence (`curation.wordnet` says which),
of each language form that can be made again: plurals, -ed, -ing. Case is kept, and so is what an
article before the word asks for. URLs, code, numbers and placeholders stay.

Source: Zhang et al. 2015, "Character-level Convolutional Networks for Text Classification", arXiv
1509.01626; they replace from a thesaurus. WordNet is that of Miller 1995.
"""

import hashlib
import re
from collections.abc import Callable
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from curation.errors import DriftError
from curation.plainfile import agreed_digest
from curation.schema import score
from curation.stage import BatchFunction, Columns, ExpandStage
from curation.translation.layout import Sentence, find_parts
from curation.translation.protect import protected
from curation.wordnet import INSTALLED, find_wordnet, load_wordnet, same_start, wordnet_digest

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_ARTICLES = ("a", "an")
_WINDOW = 1 << 20  # sentences need not be cut
_SHORTEST = 4  # shorter words are function words, or mean many things
# Function words that WordNet has in another part of speech only: "before" as an adverb.
_CLOSED = frozenset(
    """about above across after against along among around before behind below beneath between
    beyond during except inside into near only other otherwise outside over past rather round
    since such than that then there therefore these this those though through throughout thus
    under unless until upon when where whereas whether which while will with within
    without""".split()  # noqa: SIM905 - as a list it takes a page
)


class Synonyms(ExpandStage):
    """Makes documents by putting synonyms in the place of some words."""

    files: ClassVar[frozenset[str]] = frozenset({"wordnet"})
    named: ClassVar[frozenset[str]] = frozenset({INSTALLED})

    kind: Literal["synonyms"] = "synonyms"
    wordnet: str = INSTALLED
    """Directory of WordNet's files; "installed": where packages put them."""
    rate: float = Field(default=1.0, gt=0, le=1)
    """Probability that a word that has synonyms is replaced: some 3 words in 100 have some."""
    max_senses: int = Field(default=2, ge=1, le=100)
    """Words of more senses are left alone: the more, the more words change their meaning."""
    wordnet_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of WordNet's files: identity, filled in by itself; where given it must be right."""

    @model_validator(mode="after")
    def _has_its_wordnet(self) -> Self:
        digest = agreed_digest(
            "wordnet_digest",
            self.wordnet_digest,
            wordnet_digest(find_wordnet(self.wordnet)),
            f"wordnet '{self.wordnet}' has",
            "give the files that it was made for",
        )
        object.__setattr__(self, "wordnet_digest", digest)
        return self

    def writes(self) -> pa.Schema:
        """Returns how much was replaced."""
        return pa.schema(
            [
                score(
                    self.column("replaced"),
                    pa.int32(),
                    "Words that were replaced.",
                    unit="words",
                    low=0,
                ),
                score(
                    self.column("rate"),
                    pa.float64(),
                    "Share of all words of sentences that were replaced.",
                    unit="ratio",
                    low=0,
                    high=1,
                ),
            ]
        )

    def open(self) -> BatchFunction:
        """Loads WordNet, once per process.

        Raises:
            DriftError: It is not the one that the recipe was planned with.
        """
        directory = find_wordnet(self.wordnet)
        digest = wordnet_digest(directory)
        if digest != self.wordnet_digest:
            raise DriftError(
                f"stage {self.name}: {directory} has digest {digest}, expected "
                f"{self.wordnet_digest} as planned; restore it, or plan again"
            )
        wordnet = load_wordnet(directory, digest)

        def find(word: str) -> list[str]:
            closed = len(word) < _SHORTEST or word in _CLOSED
            return [] if closed else wordnet.synonyms(word, self.max_senses)

        def replace_batch(batch: pa.RecordBatch) -> Columns:
            texts, ids, numbers = (
                batch.column(name).to_pylist() for name in ("text", "doc_id", "child")
            )
            made = [
                _replaced(text, find, self.rate, _draws(f"{self.seed or 0}\0{doc_id}\0{child}"))
                for text, doc_id, child in zip(texts, ids, numbers, strict=True)
            ]
            return self._columns(made)

        return replace_batch

    def _columns(self, made: "list[_Made]") -> Columns:
        return {
            "text": pa.array(
                [one.text if one.replaced else None for one in made], pa.large_string()
            ),
            "operation": pa.array([self.kind] * len(made), pa.string()),
            self.column("replaced"): pa.array([one.replaced for one in made], pa.int32()),
            self.column("rate"): pa.array(
                [one.replaced / max(1, one.words) for one in made], pa.float64()
            ),
        }


class _Made(NamedTuple):
    text: str
    words: int
    replaced: int


def _draws(key: str) -> np.random.Generator:
    digest = hashlib.blake2b(key.encode(), digest_size=16, person=b"synonyms").digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest, "little")))


def _replaced(
    text: str, find: Callable[[str], list[str]], rate: float, draws: np.random.Generator
) -> _Made:
    """Replaces words of the sentences of a text; two numbers are drawn for each word."""
    put, words, replaced = [], 0, 0
    for part in find_parts(text, _WINDOW):
        if not isinstance(part, Sentence):
            put.append(part)
            continue
        found = list(_WORD.finditer(part.raw))
        chances = draws.random((len(found), 2))
        taboo = protected(part.raw, numbers=True)
        at, before = 0, ""
        for word, (chance, which) in zip(found, chances, strict=True):
            start, end = word.span()
            free = not any(low < end and start < high for low, high in taboo)
            choice = _chosen(word.group(), before, find, which) if free and chance < rate else None
            put += [part.raw[at:start], choice or word.group()]
            replaced += choice is not None
            at, before = end, word.group()
        put.append(part.raw[at:])
        words += len(found)
    return _Made("".join(put), words, replaced)


def _chosen(word: str, before: str, find: Callable[[str], list[str]], which: float) -> str | None:
    """Returns what stands for a word; None where nothing does, or where it may be a name."""
    case = _case(word)
    if case is None:
        return None
    synonyms = find(word.lower())
    if before.lower() in _ARTICLES:
        synonyms = [other for other in synonyms if same_start(word, other)]
    return case(synonyms[int(which * len(synonyms))]) if synonyms else None


def _case(word: str) -> Callable[[str], str] | None:
    if word.islower():
        return str.lower
    if word.isupper() and len(word) > 3:
        return str.upper
    return str.capitalize if word[:1].isupper() and word[1:].islower() else None
