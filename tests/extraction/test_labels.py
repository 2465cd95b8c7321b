"""Labels of blocks, and the two public measures, on cases small enough to count by hand."""

import numpy as np
import pytest

from curation.extraction.gold import GoldPage
from curation.extraction.labels import label_pages, ngrams, shares, words_of
from curation.extraction.measure import score_texts
from tests.extraction.factory import html, main_text_of, paragraphs


def page(kind="body", text="", *, source="", wanted=(), unwanted=()):
    return GoldPage("id", "https://e.org/", source, kind, "e.org", text, wanted, unwanted)


def test_words_of_han_and_kana_are_characters():
    assert words_of("one, two-three") == ["one", "two", "three"]
    assert words_of("日本語のtext 한국어") == [*"日本語の", "text", *"한국어"]


def test_runs_of_four_or_fewer():
    assert list(ngrams("abcde")) == [tuple("abcd"), tuple("bcde")]
    assert list(ngrams("ab")) == [("a", "b")]
    assert list(ngrams("")) == []


def test_share_of_a_block_is_that_of_its_runs():
    found = shares(["a b c d e", "x y z w", "a b c d x", "...", "b c"], "a b c d e f\nb c")
    assert found[:3].tolist() == [1.0, 0.0, 0.5]
    assert np.isnan(found[3])
    assert found[4] == 1.0  # too short for a run, so it has to be a line


def test_short_block_inside_a_line_is_not_of_the_main_text():
    assert shares(["b c"], "a b c d").tolist() == [0.0]


def test_blocks_of_a_page_with_its_text():
    [labelled] = label_pages([page(text=main_text_of(3), source=html(3))])
    told = {
        text.strip(): float(label)
        for text, label in zip(labelled.blocks.texts, labelled.labels, strict=True)
    }
    assert all(told[text] == 1.0 for text in [*paragraphs(3), "Title 3"])
    assert told["river"] == told["About us Terms"] == 0.0
    assert len(labelled.labels) == len(labelled.weights) == len(labelled.blocks.texts)
    assert (labelled.weights >= 0).all()
    assert labelled.weights.sum() > 0


def test_fragments_weigh_more_than_what_the_teacher_says():
    pytest.importorskip("trafilatura")
    wanted, unwanted = paragraphs(4)[0][:30], "About us"
    [labelled] = label_pages(
        [page("fragments", source=html(4), wanted=(wanted,), unwanted=(unwanted,))]
    )
    texts = labelled.blocks.texts
    inside = next(place for place, text in enumerate(texts) if wanted in text)
    outside = next(place for place, text in enumerate(texts) if unwanted in text)
    assert (labelled.labels[inside], labelled.labels[outside]) == (1.0, 0.0)
    taught = next(place for place, text in enumerate(texts) if paragraphs(4)[1] in text)
    assert labelled.weights[inside] > 4 * labelled.weights[taught] > 0


def test_score_is_the_mean_over_pages_of_counted_runs():
    pages = [page(text="a b c d e"), page(text="a b c d")]
    score = score_texts(pages, ["a b c d e", "x y z w"])
    # First page: 2 right. Second: one run extra, one lost, of two.
    assert (score.pages, score.precision, score.recall) == (2, 1 / 1.5, 1 / 1.5)
    assert score.f1 == pytest.approx(2 / 3)


def test_runs_are_counted_as_often_as_they_stand_there():
    score = score_texts([page(text="a b c d")], ["a b c d\na b c d"])
    assert score.recall == 1.0
    assert score.precision == pytest.approx(1 / 5)  # of the runs across the lines none is right


def test_fragments_are_counted_over_all_pages():
    pages = [
        page("fragments", wanted=("one", "two"), unwanted=("ad",)),
        page("fragments", wanted=("three",), unwanted=("menu",)),
    ]
    score = score_texts(pages, ["one two ad", "nothing"])
    assert (score.precision, score.recall) == (2 / 3, 2 / 3)


def test_nothing_found_scores_zero_and_no_pages_none():
    assert score_texts([page(text="a b c d")], [""]).f1 == 0.0
    assert score_texts([], []) is None
