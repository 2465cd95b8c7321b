"""Pages to main texts: what is kept, and that no page can do harm."""

import random
import time
from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest

from curation.buffers import text_buffers
from curation.html.assemble import Choice
from curation.html.pages import (
    MOST_TAGS,
    READ,
    TOO_MANY_TAGS,
    Extractor,
    Texts,
    load_knowledge,
)

PROSE = "The harvest was late that year, and the mill stood idle until the first frost. " * 3
PAGE = f"""<html><head><title>Mill</title></head><body>
<nav><ul><li><a href=/>Home</a><li><a href=/a>About us</a></ul></nav>
<article><h1>The mill</h1><p>{PROSE}<p>{PROSE.upper()}<table><tr><td>Corn<td>12</table></article>
<footer><a href=/i>Imprint</a> © 2020</footer></body></html>"""
SHORT = "<html><body><nav><a href=/>Home</a></nav><p>Closed today.</body></html>"


@pytest.fixture(scope="module")
def extractor() -> Extractor:
    return Extractor(load_knowledge(), metadata=True)


@pytest.fixture(scope="module")
def markdown() -> Extractor:
    return Extractor(load_knowledge(), markdown=True, links=True, metadata=True)


def extract(extractor: Extractor, *pages: str) -> tuple[list[str], Texts]:
    found = extractor(*text_buffers(pa.array(pages, pa.large_string())))
    texts = [bytes(found.data[a:b]).decode() for a, b in pairwise(found.offsets.tolist())]
    assert ((found.confidence >= 0) & (found.confidence <= 1)).all()
    return texts, found


def test_the_article_is_kept_and_the_rest_is_not(extractor: Extractor) -> None:
    [text], found = extract(extractor, PAGE)
    lines = text.split("\n")
    assert lines[0] == "The mill"
    assert PROSE.strip() in lines
    assert PROSE.upper().strip() in lines
    assert "Home" not in text
    assert "Imprint" not in text
    assert found.confidence[0] > 0.6


def test_a_short_text_is_found_but_not_trusted(extractor: Extractor) -> None:
    [text], found = extract(extractor, SHORT)
    assert text == "Closed today."
    assert found.confidence[0] < 0.1


def test_paragraphs_are_set_apart_and_cells_divided_by_tabs() -> None:
    everything = Extractor(load_knowledge(choice=Choice(-(1 << 30), -(1 << 30), 0)))
    page = "<p>a<p>b<ul><li>c<li>d</ul><table><tr><td>e<td>f<tr><td>g</table><div>h</div><div>i"
    [text], _ = extract(everything, page)
    assert text == "a\n\nb\n\nc\nd\n\ne\tf\ng\n\nh\ni"


def test_a_long_text_is_kept_once_and_a_short_one_as_often_as_it_stands() -> None:
    everything = Extractor(load_knowledge(choice=Choice(-(1 << 30), -(1 << 30), 0)))
    [text], _ = extract(everything, f"<p>{PROSE}<p>yes<p>{PROSE}<p>yes")
    assert text == f"{PROSE.strip()}\n\nyes\n\nyes"


def test_a_page_gives_the_same_bytes_in_any_company(extractor: Extractor) -> None:
    pages = [PAGE, SHORT, "", "<p>", PAGE.replace("mill", "inn"), "plain text", PAGE]
    together, _ = extract(extractor, *pages)
    alone = [extract(extractor, page)[0][0] for page in pages]
    assert together == alone
    assert together[0] == together[-1]


def test_no_pages_are_no_texts(extractor: Extractor, markdown: Extractor) -> None:
    assert extract(extractor)[0] == extract(markdown)[0] == []


def test_a_page_of_nothing_but_tags_is_refused(extractor: Extractor) -> None:
    texts, found = extract(extractor, PAGE, "<" * (MOST_TAGS + 1), PAGE)
    assert texts[1] == ""
    assert found.states.tolist() == [READ, TOO_MANY_TAGS, READ]
    assert texts[0] == texts[2] != ""


ENDLESS = {
    "open tags": "<div>" * 200_000 + PAGE,
    "open tags of many kinds": "<div><p><ul><li><table><tr><td>" * 20_000 + PAGE,
    "attributes": "<p " + "a=1 " * 300_000 + ">" + PAGE,
    "words in a class": "<p class='" + "nav " * 300_000 + "'>" + PAGE,
    "signs": "<" * 400_000 + PAGE,
    "references": "&" * 300_000 + "&#" * 100_000 + "&amp" * 100_000 + PAGE,
    "comments": "<!--" * 100_000 + PAGE,
    "comments that end": "<!-->" * 100_000 + PAGE,
    "end tags": "</p></div>" * 100_000 + PAGE,
    "closed in the wrong order": "<b><i><div>" * 50_000 + "</b></div></i>" * 50_000 + PAGE,
    "scripts": "<script>" * 100_000 + PAGE,
    "ends of scripts": "<script>" + "</scrip" * 100_000 + PAGE,
    "cells": "<table>" + "<tr><td>x" * 100_000 + PAGE,
    "spaces": " \n" * 500_000 + "<pre>" + " \n" * 500_000 + PAGE,
    "equal blocks": "<p>same text as all others" * 100_000 + PAGE,
    "one letter apiece": "<p>x" * 150_000,
    "unseen": "\0\u200b&shy;" * 100_000 + PAGE,
    "one long word": "x" * 3_000_000,
    "quotes": '<a href="' * 100_000,
}


@pytest.mark.parametrize("name", ENDLESS)
def test_no_page_takes_more_than_its_share_of_time(
    extractor: Extractor, markdown: Extractor, name: str
) -> None:
    page = ENDLESS[name]
    extract(extractor, SHORT)  # compiled
    start = time.process_time()
    extract(extractor, page)
    assert time.process_time() - start < 0.2 + 3e-7 * len(page)
    start = time.process_time()
    extract(markdown, page)
    assert time.process_time() - start < 5


PIECES = [
    "<", ">", "</", "<!--", "-->", "<table>", "<tr>", "<td>", "</table>", "<p>", "</p>", "<li>",
    "<ul>", "</ul>", '<a href="x">', "</a>", "<script>", "</script>", "<pre>", "</pre>", "<br>",
    "<head>", "<body>", "&", "&#", "&#x", "&amp", '"', "'", "=", "\0", "\u00a0", "<svg>",
    "<button>",
    "<h1>", "</h1>", "<dl><dt>", "<!", "<?", "<title>", "<textarea>", "<b>", "</b>", "<code>", "語",
    '<div class="comment nav">',
]  # fmt: skip


def mutated(page: str, random: random.Random) -> str:
    """A page with some things put in, taken out, repeated, or cut off."""
    for _ in range(random.choice((1, 2, 5, 20))):
        at, how = random.randrange(len(page) + 1), random.random()
        if how < 0.4:
            page = page[:at] + random.choice(PIECES) * random.choice((1, 1, 3, 50)) + page[at:]
        elif how < 0.6:
            page = page[:at] + page[at + random.choice((1, 2, 10, 500)) :]
        elif how < 0.9:
            copied = random.randrange(len(page) + 1)
            page = page[:at] + page[copied : copied + random.choice((5, 50, 500))] + page[at:]
        else:
            page = page[:at]
    return page


@pytest.mark.parametrize("seed", range(4))
def test_mutated_pages_do_no_harm(extractor: Extractor, markdown: Extractor, seed: int) -> None:
    """What is written is valid UTF-8: `extract` decodes it."""
    rng = random.Random(seed)
    for _ in range(10):
        pages = [mutated(PAGE, rng) for _ in range(50)]
        extract(extractor, *pages)
        extract(markdown, *pages)


def test_less_text_than_a_paragraph_is_trusted_less(extractor: Extractor) -> None:
    pages = [f"<article><h1>Mill</h1><p>{PROSE[:size]}.</article>" for size in (30, 60, 120, 200)]
    _, found = extract(extractor, *pages)
    assert (np.diff(found.confidence) > 0).all()
