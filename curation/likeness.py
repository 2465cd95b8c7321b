"""How a text that was made of another compares with it: one function for each measure.

Each takes n children and n parents, row by row, and returns n numbers; NaN: it does not apply.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.language_model import UNDETERMINED, identify, probability_of, sample_of
from curation.static_model import StaticModel
from curation.text.chrf import Column, chrf
from curation.text.facts import Kept, kept_facts
from curation.text.loops import loops
from curation.text.phrases import PhraseTable, count_phrases

Floats = npt.NDArray[np.float64]

LANGUAGE_CHARS = 2000
"""Characters by which a language is told, as the stage `language` does by default."""
SURE = 0.5
"""Least probability of a parent's language from which its child is held to it."""


class Pairs:
    """n children, each with the text that it was made of."""

    def __init__(self, children: pa.Array, parents: pa.Array) -> None:
        """Takes two string columns of n rows without nulls."""
        self.children, self.parents = children, parents
        self._texts: tuple[list[str], list[str]] | None = None

    def __len__(self) -> int:
        """Returns n."""
        return len(self.children)

    @property
    def texts(self) -> tuple[list[str], list[str]]:
        """The children and the parents as strings."""
        if self._texts is None:
            self._texts = self.children.to_pylist(), self.parents.to_pylist()
        return self._texts

    def length_ratios(self) -> Floats:
        """Returns the characters of each child over those of its parent."""
        mine, theirs = (
            pc.utf8_length(column).to_numpy().astype(np.float64)
            for column in (self.children, self.parents)
        )
        return _divided(mine, theirs)

    def chrf(self) -> Floats:
        """Returns chrF of each child against its parent, 0 to 100."""
        return chrf(*(Column(*text_buffers(column)) for column in (self.children, self.parents)))

    def new_loops(self) -> Floats:
        """Returns by how much more of each child lies in loops than of its parent, from 0 on."""
        mine, theirs = (loops(*text_buffers(column)) for column in (self.children, self.parents))
        return np.maximum(mine - theirs, 0.0)

    def new_phrases(self, table: PhraseTable, *, anywhere: bool) -> npt.NDArray[np.int64]:
        """Returns how many more listed words each child has than its parent, from 0 on."""
        mine, theirs = (
            count_phrases(*text_buffers(column), table, anywhere)
            for column in (self.children, self.parents)
        )
        return np.maximum(mine - theirs, 0)

    def languages(self, model: Any) -> tuple[list[str | None], Floats]:
        """Tells the language of each parent, and how probable its child is to be in it.

        Args:
            model: Of languages, by fastText.

        Returns:
            Codes, None where the model is not sure of the parent; and probabilities, NaN there.
        """
        codes: list[str | None] = []
        found = np.full(len(self), np.nan)
        for row, (child, parent) in enumerate(zip(*self.texts, strict=True)):
            guess = identify(model, sample_of(parent, LANGUAGE_CHARS))
            sure = guess.label != UNDETERMINED and guess.probability >= SURE
            codes.append(guess.label if sure else None)
            if sure:
                found[row] = probability_of(model, sample_of(child, LANGUAGE_CHARS), guess.label)
        return codes, found

    def kept_facts(self, languages: Sequence[str | None]) -> list[Kept]:
        """Returns what of the claims of each parent its child still makes."""
        return [
            kept_facts(parent, child, language)
            for child, parent, language in zip(*self.texts, languages, strict=True)
        ]

    def cosines(self, model: StaticModel, chars: int) -> Floats:
        """Returns the cosine of both embeddings, -1 to 1; NaN where a text has none.

        Args:
            model: A static model.
            chars: Characters from the start of each text that are embedded.
        """
        mine, theirs = (
            model.embed([text[:chars] for text in side])[0].astype(np.float64)
            for side in self.texts
        )
        lengths = np.linalg.norm(mine, axis=1) * np.linalg.norm(theirs, axis=1)
        products = np.einsum("ij,ij->i", mine, theirs)
        return _divided(products, lengths)

    def bleu(self) -> Floats:
        """Returns sentence BLEU of each child against its parent by sacrebleu, 0 to 100."""
        from sacrebleu import sentence_bleu

        return np.array(
            [
                sentence_bleu(child, [parent]).score
                for child, parent in zip(*self.texts, strict=True)
            ],
            np.float64,
        )


def _divided(one: Floats, other: Floats) -> Floats:
    """Returns the ratios; NaN where the denominator is 0."""
    ratios = np.full(len(one), np.nan)
    np.divide(one, other, out=ratios, where=other > 0)
    return ratios
