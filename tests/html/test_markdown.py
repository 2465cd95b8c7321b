"""Markdown of pages: structure stays, and reads back as what it was."""

import pyarrow as pa
import pytest

from curation.buffers import text_buffers
from curation.html.assemble import Choice
from curation.html.pages import Extractor, load_knowledge

EVERYTHING = Choice(-(1 << 30), -(1 << 30), 0)


@pytest.fixture(scope="module")
def extractors() -> dict[bool, Extractor]:
    knowledge = load_knowledge(choice=EVERYTHING)
    return {links: Extractor(knowledge, markdown=True, links=links) for links in (False, True)}


def render(extractors: dict[bool, Extractor], page: str, *, links: bool = False) -> str:
    found = extractors[links](*text_buffers(pa.array([page], pa.large_string())))
    return bytes(found.data).decode()


@pytest.mark.parametrize(
    ("page", "markdown"),
    [
        ("<h1>a</h1><h3>b <b>c</b></h3><p>d", "# a\n\n### b **c**\n\nd"),
        ("<p>a<p>b<div>c", "a\n\nb\n\nc"),
        ("<p>a<br>b", "a  \nb"),
        ("<ul><li>a<li>b<ul><li>c<li>d</ul><li>e</ul>f", "- a\n- b\n  - c\n  - d\n- e\n\nf"),
        ("<ol><li>a<li>b</ol>", "1. a\n2. b"),
        ("<ol start=9><li>a<li>b<ul><li>c</ul></ol>", "9. a\n10. b\n    - c"),
        ("<ul><li><p>a<p>b<li>c</ul>", "- a\n\n  b\n- c"),
        ("<blockquote><p>a<p>b</blockquote>c", "> a\n>\n> b\n\nc"),
        ("<blockquote>a<blockquote>b</blockquote></blockquote>", "> a\n>\n> > b"),
        ("<blockquote><ul><li>a<li>b</ul></blockquote>", "> - a\n> - b"),
        ("<dl><dt>a<dd>b<dd>c<dt>d<dd>e</dl>", "**a**\n: b\n: c\n\n**d**\n: e"),
        ("<pre>a\n  b\n\nc</pre>", "```\na\n  b\n\nc\n```"),
        ("<pre><code class='language-python'>a</code></pre>", "```python\na\n```"),
        (
            "<div class='highlight-rust x'><div><pre>a</pre></div></div>",
            "```rust\na\n```",
        ),
        ("<div class='highlight-default'><pre>a</pre></div>", "```\na\n```"),
        ("<pre>a ``` b</pre>", "````\na ``` b\n````"),
        ("<ul><li>a<pre>b\n c</pre></ul>", "- a\n\n  ```\n  b\n   c\n  ```"),
        ("<p>a <b>b </b>c", "a **b** c"),
        ("<p>a<i> b</i> <em>c</em>", "a *b* *c*"),
        ("<p><b>a <i>b</i></b><i> c</i>", "**a *b*** *c*"),
        ("<p>a <code>b&lt;c&gt;</code>", "a `b<c>`"),
        ("<p><b>a<p>b</b>c", "**a**\n\n**b**c"),
        ("<p><b></b>a<b> </b>b", "a b"),
        ("<p><del>a</del> <s>b</s>", "~~a~~ ~~b~~"),
        ("<p>use &lt;b&gt; &amp;amp; 1 &lt; 2", "use \\<b> \\&amp; 1 < 2"),
        ("<p># a<p>- b<p>1. c", "\\# a\n\n\\- b\n\n1\\. c"),
        ("<p>+ d<p>> e<p>-f", "\\+ d\n\n\\> e\n\n-f"),
        ("", ""),
    ],
)
def test_structure_stays(extractors: dict[bool, Extractor], page: str, markdown: str) -> None:
    assert render(extractors, page) == markdown


@pytest.mark.parametrize(
    ("page", "markdown"),
    [
        (
            "<table><tr><th>a<th>b<tr><td>c<td>d | e</table>",
            "| a | b |\n| --- | --- |\n| c | d \\| e |",
        ),
        ("<table><tr><td>a<td>b<tr><td>c</table>", "|  |  |\n| --- | --- |\n| a | b |\n| c |  |"),
        ("<table><tr><td>a<tr><td>b</table>", "a\n\nb"),
        ("<table><tr><td><h2>a</h2><td>b</table>", "## a\n\nb"),
        (f"<table><tr><td>a<td>{'b ' * 300}</table>", f"a\n\n{('b ' * 300).strip()}"),
        (
            "<p>x<table><tr><th>a<th>b<tr><td><p>c<p>d<td>e</table>y",
            "x\n\n| a | b |\n| --- | --- |\n| c d | e |\n\ny",
        ),
    ],
)
def test_tables_of_data_are_tables_and_those_for_layout_are_not(
    extractors: dict[bool, Extractor], page: str, markdown: str
) -> None:
    assert render(extractors, page) == markdown


@pytest.mark.parametrize(
    ("page", "markdown"),
    [
        ("<p>a <a href=/x>b</a> c", "a [b](/x) c"),
        ("<p><a href='/a b(c)'>b</a>", "[b](</a b(c)>)"),
        ("<p><a href=/x><b>b</b> c</a>", "[**b** c](/x)"),
        ("<p><a href='#x'>b</a> <a name=y>c</a> <a href='javascript:x'>d</a>", "b c d"),
        ("<p><a href=/x>b<a href=/y>c</a>", "[b](/x)[c](/y)"),
        ("<p><a href='/x?a=1&amp;b=2'>b</a>", "[b](/x?a=1&b=2)"),
    ],
)
def test_links_stay_where_they_are_wanted(
    extractors: dict[bool, Extractor], page: str, markdown: str
) -> None:
    assert render(extractors, page, links=True) == markdown
    assert "](" not in render(extractors, page)


def test_blocks_that_go_take_their_signs_with_them() -> None:
    knowledge = load_knowledge()
    prose = "The harvest was late that year, and the mill stood idle until the first frost. " * 3
    page = (
        "<ul class=nav><li><b><a href=/>Home</a><li><a href=/a>About</a></ul></b>"
        f"<article><h1>Mill</h1><p>{prose}<p><i>{prose.upper()}</i></article>"
    )
    extractor = Extractor(knowledge, markdown=True, links=True)
    found = extractor(*text_buffers(pa.array([page], pa.large_string())))
    text = bytes(found.data).decode()
    assert text == f"# Mill\n\n{prose.strip()}\n\n*{prose.upper().strip()}*"
