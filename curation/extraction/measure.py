"""How well main texts are found: the measures of the two public benchmarks, and one for templates.

Source: the Article Extraction Benchmark (Scrapinghub) counts runs of four words as multisets, page
by page; trafilatura's evaluation asks which fragments are in the text.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from curation.extraction.gold import GoldPage
from curation.extraction.labels import ngrams, words_of


class Score(NamedTuple):
    """Precision and recall, 0 to 1, over some pages."""

    pages: int
    precision: float
    recall: float

    @property
    def f1(self) -> float:
        """Their harmonic mean."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0


def score_texts(pages: Sequence[GoldPage], texts: Sequence[str]) -> Score | None:
    """Scores the texts that were found for pages of one kind; None for no pages."""
    if not pages:
        return None
    if pages[0].kind == "fragments":
        return _score_fragments(pages, texts)
    right = spurious = missing = 0.0
    for page, text in zip(pages, texts, strict=True):
        found, gold = (Counter(ngrams(words_of(one))) for one in (text, page.text))
        both = sum((found & gold).values())
        extra, lost = sum(found.values()) - both, sum(gold.values()) - both
        total = max(both + extra + lost, 1)
        right, spurious, missing = (
            right + both / total,
            spurious + extra / total,
            missing + lost / total,
        )
    return Score(
        len(pages), right / max(right + spurious, 1e-9), right / max(right + missing, 1e-9)
    )


def _score_fragments(pages: Sequence[GoldPage], texts: Sequence[str]) -> Score:
    right = wanted = unwanted = 0
    for page, text in zip(pages, texts, strict=True):
        wanted += len(page.wanted)
        right += sum(fragment in text for fragment in page.wanted)
        unwanted += sum(fragment in text for fragment in page.unwanted)
    return Score(len(pages), right / max(right + unwanted, 1), right / max(wanted, 1))
