"""What pages state about themselves."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.html.metadata import MOST_STATED, Metadata, list_stated, read_metadata
from tests.html.test_tokens import tokens_of

URL = "https://example.org/a/b.html"


def stated(page: str, url: str | None = URL) -> Metadata:
    data = page.encode()
    tokens, count = tokens_of(data)
    table = np.empty((MOST_STATED, 5), np.int32)
    rows = table[: list_stated(tokens, count, 0, table, 0)].tolist()
    told = [
        (element, bool(held), data[begin:end].decode()) for _, element, held, begin, end in rows
    ]
    return read_metadata(told, url)


@pytest.mark.parametrize(
    ("page", "field", "value"),
    [
        ("<title> A &amp;\n b </title>", "title", "A & b"),
        ("<title>x</title><meta property=og:title content='y'>", "title", "y"),
        ("<svg><title>no</title></svg><title>yes</title>", "title", "yes"),
        ("<meta name=author content='J. Doe'>", "author", "J. Doe"),
        (
            "<meta name=citation_author content=A><meta name=citation_author content=B>",
            "author",
            "A; B",
        ),
        ("<meta property=article:author content=https://x.org/me>", "author", None),
        (
            "<meta property=article:published_time content=2020-02-03T10:00:00Z>",
            "date",
            "2020-02-03",
        ),
        ("<meta name=date content='Mon, 3 Feb 2020 10:00:00 GMT'>", "date", "2020-02-03"),
        ("<meta name=date content=20200203>", "date", "2020-02-03"),
        ("<meta name=date content=2020-02-31>", "date", None),
        ("<meta name=date content=soon><time datetime=2019-05-06>", "date", "2019-05-06"),
        ("<html lang=pt_BR>", "language", "pt-BR"),
        ("<html lang='{{ x }}'>", "language", None),
        ("<link rel=canonical href=/c>", "url", "https://example.org/c"),
        ("<link rel=canonical href='http://[broken'>", "url", "http://[broken"),
        ("<meta property=og:url content=https://o.org/>", "url", "https://o.org/"),
        ("<a rel='nofollow license' href=/l>x</a>", "license", "https://example.org/l"),
        (
            "<p>see <a href='https://creativecommons.org/licenses/by/4.0/'>here</a>",
            "license",
            "https://creativecommons.org/licenses/by/4.0/",
        ),
        ("<meta name=dc.rights content='All rights reserved'>", "license", "All rights reserved"),
    ],
)
def test_each_kind_of_statement_is_read(page: str, field: str, value: str | None) -> None:
    assert getattr(stated(page), field) == value


LINKED = """<script type="application/ld+json">{"@graph": [{"@type": "WebSite", "name": "no"},
{"@type": "Article", "headline": "H", "datePublished": "2020-02-03", "license": "https://l.org/",
 "author": [{"@type": "Person", "name": "A"}, "B"]}]}</script>"""


def test_linked_data_is_read_and_comes_first() -> None:
    found = stated(LINKED + "<title>t</title><meta name=author content=C>")
    assert found == Metadata("H", "A; B", "2020-02-03", None, None, "https://l.org/")


@pytest.mark.parametrize(
    "script",
    [
        "{",
        "[" * 10_000,
        '"x"',
        "null",
        '{"headline": {"a": 1}, "author": {"name": 7}}',
        "1" * 70_000,
    ],
)
def test_linked_data_that_is_none_is_no_harm(script: str) -> None:
    page = f'<script type="application/ld+json">{script}</script><title>t</title>'
    assert stated(page) == Metadata("t")


def test_there_are_no_more_statements_than_there_is_room() -> None:
    assert stated("<meta name=author content=x>" * 1000).author == "x"


def test_values_have_a_bound() -> None:
    assert len(stated(f"<title>{'x' * 5000}</title>").title or "") == 1000


@settings(deadline=None)  # the first call may compile
@given(st.text(alphabet="<>\"'= abmetnouhrlinkc/&;:{}[]", max_size=80))
def test_nothing_that_a_tag_holds_is_an_error(inner: str) -> None:
    stated(f"<meta name=author {inner}><title>{inner}</title><link rel=license {inner}>")
    stated(f'<script type="application/ld+json">{inner}</script>')
