"""Character references, against Python's own reading of the standard."""

import html
from html.entities import html5

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.html.references import read_reference

# What html.unescape leaves out, and a browser does not: controls and non-characters.
_LEFT_OUT = {*range(0x1, 0x9), 0xB, *range(0xE, 0x20), 0x7F}
PIECES = [
    "&", "#", "x", "X", ";", "amp", "lt", "notin", "not", "copy", "nbsp", "AElig", "=", " ", "0",
    "9", "65", "41", "128", "159", "xD800", "1114112", "99999999999", "é", "nvlt", "hellip",
]  # fmt: skip


def unescape(text: str) -> str:
    """A text with all references read by the kernel."""
    data, out, at = text.encode(), bytearray(), 0
    page = np.frombuffer(data, np.uint8)
    while at < len(data):
        if data[at] == 38:
            first, second, after = read_reference(page, at, len(data))
            if first >= 0:
                out += chr(first).encode() + (chr(second).encode() if second >= 0 else b"")
                at = after
                continue
        out.append(data[at])
        at += 1
    return out.decode()


@pytest.mark.parametrize("after", ["", "x", ";", "=", " ", "&"])
def test_every_name_is_read_as_python_reads_it(after: str) -> None:
    wrong = [n for n in html5 if unescape(f"&{n}{after}") != html.unescape(f"&{n}{after}")]
    assert wrong == []


@pytest.mark.parametrize("base", ["&#{}", "&#{};", "&#x{:x};", "&#X{:X}"])
def test_numbers_are_read_as_python_reads_them(base: str) -> None:
    codes = [
        *range(1, 0x500), 0xD7FF, 0xD800, 0xDFFF, 0xE000, 0xFFFC, 0xFFFD, 0x1F600, 0x10FFFD,
        0x110000, 2**40,
    ]  # fmt: skip
    for code in codes:
        text = base.format(code)
        expected = chr(code) if code in _LEFT_OUT else html.unescape(text)
        assert unescape(text) == expected, text


def test_control_codes_are_windows_1252_where_that_has_them() -> None:
    assert unescape("&#128;&#151;&#129;") == "€—\x81"


@settings(deadline=None)  # the first call may compile
@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
def test_any_text_is_read_as_python_reads_it(text: str) -> None:
    # Python takes &#0; for U+FFFD, too; only numbers of controls are read differently.
    assert unescape(text) == html.unescape(text)


def test_a_reference_ends_with_its_text() -> None:
    page = np.frombuffer(b"&amp;", np.uint8)
    assert read_reference(page, 0, 2) == (-1, -1, 0)
    assert read_reference(page, 0, 4) == (38, -1, 4)
