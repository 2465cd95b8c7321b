"""Bytes to tags and texts, by what browsers make of them."""

import numpy as np
import pytest

from curation.html.names import ELEMENTS, NUMBERS
from curation.html.tokens import (
    CONTENT,
    END,
    LINK,
    SELF_CLOSING,
    START,
    STATED,
    TEXT,
    Names,
    Tokens,
    make_tokens,
    read_tokens,
)

SIGNS = {TEXT: "", START: "<", END: "/", CONTENT: "="}


def tokens_of(page: str | bytes) -> tuple[Tokens, int]:
    data = np.frombuffer(page.encode() if isinstance(page, str) else page, np.uint8)
    tokens = make_tokens(int((data == 60).sum()))
    return tokens, read_tokens(data, Names(), tokens)


def read(page: str) -> list[str]:
    """The tokens of a page: `<p`, `/p`, `=script content`, text."""
    data = page.encode()
    tokens, count = tokens_of(data)
    told = []
    for token in range(count):
        kind, name = int(tokens.kind[token]), ELEMENTS[tokens.element[token]]
        text = data[tokens.begin[token] : tokens.end[token]].decode()
        told.append(
            SIGNS[kind] + (text if kind == TEXT else f"{name} {text}" if kind == CONTENT else name)
        )
    return told


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        ("a<p>b</p>c", ["a", "<p", "b", "/p", "c"]),
        ("<P CLASS=x>b</P >", ["<p", "b", "/p"]),
        ("<unknown-thing>x", ["<", "x"]),
        ("1 < 2 <3 <<b>x", ["1 < 2 <3 <", "<b", "x"]),
        ("a<!-- <p> -- > -->b", ["a", "b"]),
        ("a<!-->b<!--->c<!-- x --!>d", ["a", "b", "c", "d"]),
        ("a<!-- never closed <p>", ["a"]),
        ("<!doctype html><?xml version='1.0'?>a</>b</ x>c", ["a", "b", "c"]),
        ("<script>a</p>'</scrip>'</script >b", ["<script", "=script a</p>'</scrip>'", "b"]),
        ("<title>a<b>&amp;</title>c", ["<title", "=title a<b>&amp;", "c"]),
        ("<style>never closed <p>", ["<style", "=style never closed <p>"]),
        ("<svg><title>x</title></svg>", ["<svg", "<title", "x", "/title", "/svg"]),
        ("<svg></svg><title>y</title>", ["<svg", "/svg", "<title", "=title y"]),
        ("<svg><title/><p><title>a<b></title>", ["<svg", "<title", "<p", "<title", "=title a<b>"]),
        ("x<p class='a>b\"' id=\"c>d'\">y", ["x", "<p", "y"]),
        ("<p title=a/b>x<br/>y", ["<p", "x", "<br", "y"]),
        ("x<p class='never closed>y", ["x"]),
        ("x<p", ["x"]),
        ("x</", ["x", "</"]),
        ("x<", ["x<"]),
        ("", []),
    ],
)  # fmt: skip
def test_pages_are_cut_as_browsers_cut_them(page: str, expected: list[str]) -> None:
    assert read(page) == expected


@pytest.mark.parametrize(
    ("tag", "flags"),
    [
        ("<a href=x>", LINK),
        ("<a href='#'>", 0),
        ("<a href=''>", 0),
        ("<a name=x href>", 0),
        ("<br/>", SELF_CLOSING),
        ("<br / >", 0),
        ("<meta name=author content=x>", STATED),
        ("<meta property='OG:Title' content=x>", STATED),
        ("<meta name=viewport content=x>", 0),
        ("<link rel='x license' href=/l>", LINK | STATED),
        ("<a href=https://www.creativecommons.org/licenses/by/4.0/>", LINK | STATED),
        ("<a href=https://example.org/?creativecommons.org/>", LINK),
        ("<html lang=de>", STATED),
    ],
)
def test_attributes_set_flags(tag: str, flags: int) -> None:
    tokens, count = tokens_of(tag)
    assert count == 1
    assert tokens.flags[0] == flags


@pytest.mark.parametrize(
    ("tag", "hidden"),
    [
        ("<div hidden>", True),
        ("<div aria-hidden=true>", True),
        ("<div aria-hidden=false>", False),
        ("<div style='color:red;display: none'>", True),
        ("<div style='display:none'>", True),
        ("<div style='display:block'>", False),
        ("<div style='display:n'>", False),
        ("<div class='sr-only'>", True),
    ],
)
def test_what_is_hidden_is_hinted_at(tag: str, hidden: bool) -> None:
    from curation.html.hints import HIDDEN_BIT

    tokens, _ = tokens_of(tag)
    assert bool(tokens.hints[0] & HIDDEN_BIT) is hidden


def test_words_of_attributes_are_equal_without_their_digits() -> None:
    tokens, _ = tokens_of("<p class='post-1'><p class='post-27'><p class='note-1'>")
    assert tokens.words[0] == tokens.words[1] != tokens.words[2]


def test_every_name_has_a_number() -> None:
    assert len(set(ELEMENTS)) == len(ELEMENTS) == len(NUMBERS) < 256
