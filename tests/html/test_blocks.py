"""Tags to blocks of text, against what browsers show and against Lexbor's tree."""

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.html.names import ELEMENTS
from curation.html.reader import PageBlocks, Reader
from curation.html.room import (
    BOLD,
    BREAKS,
    CAPITALS,
    CHARS,
    DEPTH,
    DIGITS,
    ELEMENT,
    FIRST,
    IMAGES,
    LAST,
    LINKED,
    LINKS,
    NODE,
    PARENT,
    PRE,
    SENTENCES,
    STOPS,
    WIDE,
    WORDS,
)
from tests.html.lexbor import lexbor_blocks

READER = Reader()


def read(page: str) -> PageBlocks:
    return READER.read(page.encode())


def path_of(page: PageBlocks, block: int) -> str:
    node, names = int(page.table[block, NODE]), []
    while node > 0:
        names.append(ELEMENTS[page.nodes[node, ELEMENT]])
        node = int(page.nodes[node, PARENT])
    return " ".join(reversed(names))


@pytest.mark.parametrize(
    ("page", "texts"),
    [
        ("a<p>b</p>c", ["a", "b", "c"]),
        ("<p> a \n b\t<b>c</b>d </p>", ["a b cd"]),
        ("a<br>b<br><br>c<br> <br/>d", ["a\nb", "c", "d"]),
        ("a<hr>b", ["a", "b"]),
        ("<p>a&nbsp;&#160; b&shy;c\u200bd\ufeff", ["a bcd"]),
        ("<p>a\u2003b\u3000c<p>\u3000d\u3000", ["a\u2003b\u3000c", "d"]),
        ("<pre>\n\n  a\n   b  c\n\n</pre>", ["  a\n   b  c"]),
        ("<pre>a<br>b\n<b>c</b></pre>", ["a\nb\nc"]),
        ("<p>\0a\0b", ["ab"]),
        ('<h2>Usage<a href="#usage">\u00b6</a></h2>', ["Usage"]),
        ('<h2>Usage <a href="#usage">&para;</a></h2><p><a href="#x">#</a> x', ["Usage", "x"]),
        (
            '<p>\u00b6 1 <a href="/cs">C#</a> <a href="#1">\u00a7 1</a> #</p>',
            ["\u00b6 1 C# \u00a7 1 #"],
        ),
        ("<p>&#0;&#xD800;", ["\ufffd\ufffd"]),
        ("<p>x &lt; y &amp;&amp; z &copy 2020", ["x < y && z © 2020"]),
        ("<head><title>t</title></head><body>a", ["a"]),
        ("<head><title>t</title><p>a", ["a"]),
        ("<head> <meta x> a<p>b", ["a", "b"]),
        ("<script>a</script><style>b</style><noscript><p>c</noscript>d", ["d"]),
        ("a<svg><text>b</text></svg>c<svg/>d", ["acd"]),
        ("<div>a<button>b<p>c</div><p>d", ["a", "d"]),
        ("<div><select><option>a<option>b</select>c</div>", ["c"]),
        ("<object><object>a</object>b</object>c", ["c"]),
        ("<textarea>a<p>b</textarea>c<iframe>d</iframe>", ["c"]),
        ("", []),
        (" \n<p> </p>&nbsp;<br>", []),
        ("<b>a<p>b</b>c", ["a", "bc"]),
        ("a</br>b", ["a\nb"]),
        ("<p>a <!-- x --> b", ["a b"]),
    ],
)
def test_texts_are_what_a_browser_shows(page: str, texts: list[str]) -> None:
    assert read(page).texts == texts


@pytest.mark.parametrize(
    ("page", "paths"),
    [
        ("<p>a<p>b<div>c<p>d", ["p", "p", "div", "div p"]),
        ("<ul><li>a<ul><li>b</ul>c<li>d</ul>e", ["ul li", "ul li ul li", "ul li", "ul li", ""]),
        ("<ul><li><p>a<li>b", ["ul li p", "ul li"]),
        ("<dl><dt>a<dd>b<dt>c", ["dl dt", "dl dd", "dl dt"]),
        ("<table><tr><td>a<tr><th>b</table>c", ["table tr td", "table tr th", ""]),
        ("<table><tbody><tr><td>a<tbody><tr><td>b", ["table tbody tr td", "table tbody tr td"]),
        ("<table><tr><td><table><tr><td>a</table>b", ["table tr td table tr td", "table tr td"]),
        ("<table><tr><td><p>a</div><li>b</table>", ["table tr td p", "table tr td li"]),
        ("<td>a<tr>b<p>c", ["", "p"]),
        ("<h1>a<h2>b</h1>c", ["h1", "h2", ""]),
        ("<div><p>a</div>b", ["div p", ""]),
        ("<blockquote><li>a<li>b</blockquote>c", ["blockquote li", "blockquote li", ""]),
        ("</p>a</div></li>b<p>c", ["", "p"]),
        ("<p>a<hr>b", ["p", ""]),
        ("<form>a<form>b", ["form", "form form"]),
    ],
)  # fmt: skip
def test_elements_end_where_a_browser_ends_them(page: str, paths: list[str]) -> None:
    found = read(page)
    assert [path_of(found, block) for block in range(len(found.texts))] == paths


def column(page: str, which: int) -> list[int]:
    return read(page).table[:, which].tolist()


def test_characters_are_counted_by_kind() -> None:
    page = "<p>Der Hund, 12 Jahre. <b>Gut</b> <a href=x>Ja!</a><img><p>日本語の本。"
    assert column(page, CHARS) == [22, 6]
    assert column(page, CAPITALS) == [5, 0]
    assert column(page, DIGITS) == [2, 0]
    assert column(page, SENTENCES) == [2, 1]
    assert column(page, WORDS) == [6, 2]
    assert column(page, STOPS) == [1, 0]
    assert column(page, WIDE) == [0, 5]
    assert column(page, LINKED) == [3, 0]
    assert column(page, LINKS) == [1, 0]
    assert column(page, BOLD) == [3, 0]
    assert column(page, IMAGES) == [1, 0]
    assert [chr(code) for code in column(page, FIRST)] == ["D", "日"]
    assert [chr(code) for code in column(page, LAST)] == ["!", "。"]


def test_links_end_with_what_they_are_in() -> None:
    assert column("<div><a href=x>a<p>bc</div>d", LINKED) == [1, 2, 0]
    assert column("<a href=x>a<a>b", LINKED) == [1]
    assert column("<p>a<br>b<br>c<pre>x", BREAKS) == [2, 0]
    assert column("<p>a<pre>x</pre>b", PRE) == [0, 1, 0]


def test_containers_are_no_deeper_than_a_bound() -> None:
    page = read("<div>" * 5000 + "a" + "</div>" * 5000 + "b")
    assert page.texts == ["a", "b"]
    assert page.nodes[:, DEPTH].max() == 400


TAGS = [
    "<p>", "</p>", "<div>", "</div>", "<ul>", "</ul>", "<li>", "</li>", "<b>", "</b>", "<br>",
    "<h2>", "</h2>", "<pre>", "</pre>", "<blockquote>", "</blockquote>", "<dl>", "<dt>", "<dd>",
    "</dl>", "<!-- c -->", "<section>", "</section>", "<a href=x>", "</a>", "<img>", "<span>",
    "</span>", "<hr>", "&amp;", "&lt", "<script>x</script>", "<article>", "</article>", "<main>",
    "x", "y ", " z", "\n", "1 < 2",
]  # fmt: skip


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from(TAGS), max_size=40).map("".join))
def test_blocks_of_any_tags_are_those_of_lexbor(page: str) -> None:
    """Tables are left out: a browser moves what stands between their parts."""
    ours = [" ".join(text.split()) for text in read(page).texts]
    assert Counter(ours) == Counter(lexbor_blocks(page))
