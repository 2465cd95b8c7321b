"""Labels of blocks: how much of each belongs to the main text, and how much that is to be trusted.

Where the whole main text is known, a block's label is the share of its runs of four words that
occur in it. Where only fragments are known, they label the blocks that they stand in, and the other
blocks of the page take the decision of a teacher, trafilatura, with less weight.
"""

import logging
import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.extraction.gold import GoldPage
from curation.html.reader import PageBlocks, Reader
from curation.html.room import CHARS, WIDE

Floats = npt.NDArray[np.float64]

# Han and kana are written without spaces: each character is a word of its own.
_WORD = re.compile(r"[\u2e80-\u9fff\uac00-\ud7a3]|[^\W\u2e80-\u9fff\uac00-\ud7a3]+")
NGRAM = 4
_AGREED, _DISPUTED, _TOLD = 0.6, 0.3, 4.0
"""Weight of a block that the teacher labels, where its two modes agree and where not, and of one
that holds a fragment."""
_KIND_WEIGHT = {"body": 4.0, "fragments": 1.0, "template": 0.25}
"""A page whose every block was judged by a person says more than the others."""


class Labelled(NamedTuple):
    """A page with the labels of its b blocks."""

    page: GoldPage
    blocks: PageBlocks
    labels: Floats
    """float64[b], from 0 to 1."""
    weights: Floats
    """float64[b]; 0 for a block that is not learnt from."""


def words_of(text: str) -> list[str]:
    """Returns the words of a text, of Han and kana each character."""
    return _WORD.findall(text)


def ngrams(words: Sequence[str], length: int = NGRAM) -> Iterable[tuple[str, ...]]:
    """Returns the runs of so many words; of fewer words, all of them as one."""
    if len(words) < length:
        return [tuple(words)] if words else []
    return zip(*(words[k:] for k in range(length)), strict=False)


def label_pages(pages: Sequence[GoldPage]) -> list[Labelled]:
    """Reads pages and labels their blocks."""
    reader = Reader()
    return [_label(page, reader.read(page.html.encode("utf-8", "replace"))) for page in pages]


def _label(page: GoldPage, blocks: PageBlocks) -> Labelled:
    if page.kind == "fragments":
        labels, weights = _from_fragments(page, blocks)
    else:
        labels = shares(blocks.texts, page.text)
        weights = np.where(np.isnan(labels), 0.0, 1.0)
    sizes = np.log1p((blocks.table[:, CHARS] + blocks.table[:, WIDE]).astype(np.float64))
    of_page = sizes / np.sqrt(max(sizes.sum(), 1.0)) * _KIND_WEIGHT[page.kind]
    return Labelled(page, blocks, np.nan_to_num(labels), weights * of_page)


def shares(texts: Sequence[str], reference: str) -> Floats:
    """Returns float64[b]: the share of each text's runs of words that occur in a reference.

    A shorter text has to be a line of the reference, or a run of its words if that has no lines;
    without a word it is nan.
    """
    words = words_of(reference)
    known = set(ngrams(words))
    lines = {tuple(words_of(line)) for line in reference.split("\n")}
    return np.array([_share(words_of(text), known, lines) for text in texts], np.float64)


def _share(words: Sequence[str], known: set[tuple[str, ...]], lines: set[tuple[str, ...]]) -> float:
    if not words:
        return float("nan")
    if len(words) < NGRAM:
        return float(tuple(words) in lines)
    runs = list(ngrams(words))
    return sum(run in known for run in runs) / len(runs)


def _from_fragments(page: GoldPage, blocks: PageBlocks) -> tuple[Floats, Floats]:
    full, fast = (shares(blocks.texts, text) for text in _taught(page.html))
    labels = full.copy()
    agreed = (full > 0.5) == (fast > 0.5)
    weights = np.where(np.isnan(full), 0.0, np.where(agreed, _AGREED, _DISPUTED))
    for place, text in enumerate(blocks.texts):
        if any(fragment in text for fragment in page.wanted):
            labels[place], weights[place] = 1.0, _TOLD
        elif any(fragment in text for fragment in page.unwanted):
            labels[place], weights[place] = 0.0, _TOLD
    return labels, weights


def _taught(html: str) -> tuple[str, str]:
    """Returns the main text as the teacher finds it, in its full and its fast mode."""
    import trafilatura

    logging.disable(logging.CRITICAL)
    try:
        return (
            trafilatura.extract(html, include_comments=False) or "",
            trafilatura.extract(html, include_comments=False, fast=True) or "",
        )
    finally:
        logging.disable(logging.NOTSET)
