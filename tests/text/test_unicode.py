import re
import sys
import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import unicode as u
from curation.text import unicode_tables as tables
from curation.text.jit import kernel

SAME_UNICODE = unicodedata.unidata_version == u.UNICODE_VERSION
ALL = np.arange(sys.maxunicode + 1)


@kernel
def _classes_and_lower(code_points):
    classes = np.empty(len(code_points), np.int64)
    lower = np.empty(len(code_points), np.int64)
    for k in range(len(code_points)):
        classes[k] = u.char_class(code_points[k])
        lower[k] = u.lower_char(code_points[k])
    return classes, lower


@kernel
def _decode_all(data, end):
    found = np.empty(len(data), np.int64)
    n = at = 0
    while at < end:
        found[n], at = u.decode(data, at, end)
        n += 1
    return found[:n], at


@kernel
def _encode_all(code_points):
    data = np.empty(4 * len(code_points), np.uint8)
    at = 0
    for k in range(len(code_points)):
        at = u.encode(code_points[k], data, at)
    return data[:at]


@pytest.fixture(scope="module")
def made():
    """The tables as this Python would make them, whatever its Unicode version."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tables, "UNICODE_VERSION", unicodedata.unidata_version)
        return tables.make_tables()


def _lookup(made, c):
    return made.pages[made.page_of[c >> tables.PAGE_BITS].astype(int) * 128 + (c & 127)]


def test_classes_and_lower_case_of_every_assigned_code_point_equal_python(made):
    classes, lower = _classes_and_lower(ALL)
    record = _lookup(made, ALL)
    # A newer Python gives classes to code points that were not characters in our version.
    shared = slice(None) if SAME_UNICODE else (classes & u.ASSIGNED) > 0
    np.testing.assert_array_equal(classes[shared], made.classes[record][shared])
    np.testing.assert_array_equal(lower[shared], (ALL + made.lower[record])[shared])


@pytest.mark.parametrize(
    "char", ["a", "Z", "_", "5", "²", "½", " ", "\x1c", "\u2003", "'", "\u0301"]
)
@pytest.mark.parametrize(
    ("bit", "method"),
    [
        (u.ALPHA, str.isalpha),
        (u.SPACE, str.isspace),
        (u.DIGIT, str.isdigit),
        (u.UPPER, str.isupper),
        (u.WORD, lambda char: re.fullmatch(r"\w", char) is not None),
    ],
)
def test_class_bits_mean_what_python_means(char, bit, method):
    assert (u.char_class(ord(char)) & bit > 0) == method(char)


@pytest.mark.parametrize(
    ("char", "cased", "ignorable"),
    [
        ("a", True, False),
        ("5", False, False),
        ("'", False, True),
        ("\u0301", False, True),
        ("\u02b0", False, True),  # both by the standard, and then it is skipped
    ],
)
def test_sigma_bits_follow_the_unicode_definition(char, cased, ignorable):
    bits = u.char_class(ord(char))
    assert (bits & u.CASED > 0, bits & u.CASE_IGNORABLE > 0) == (cased, ignorable)


def test_only_two_lower_cases_do_not_fit_the_table():
    _, lower = _classes_and_lower(ALL)
    unlike = [c for c in ALL if chr(c).isupper() and chr(lower[c]) != chr(c).lower()]
    assert unlike == [u.CAPITAL_I_WITH_DOT]
    assert "A\u03a3".lower()[-1] == chr(u.FINAL_SIGMA) != chr(lower[u.CAPITAL_SIGMA])


@pytest.mark.skipif(not SAME_UNICODE, reason="this Python knows another Unicode version")
def test_committed_tables_are_the_ones_that_the_script_makes(made):
    for found, expected in zip(tables.load_tables(), made, strict=True):
        np.testing.assert_array_equal(found, expected)


def test_make_tables_under_another_unicode_version_names_both(monkeypatch):
    monkeypatch.setattr(unicodedata, "unidata_version", "9.0.0")
    with pytest.raises(RuntimeError, match=r"has version 9\.0\.0, expected 14\.0\.0"):
        tables.make_tables()


def test_decode_equals_python_on_every_code_point():
    code_points = np.array([c for c in ALL if not 0xD800 <= c < 0xE000])
    data = np.frombuffer("".join(map(chr, code_points)).encode(), np.uint8)
    found, _ = _decode_all(data, len(data))
    np.testing.assert_array_equal(found, code_points)
    np.testing.assert_array_equal(_encode_all(code_points), data)


HOSTILE = st.lists(
    st.sampled_from(bytes.fromhex("41 80 8f 90 9f a0 bf c1 c2 df e0 e1 ed ef f0 f1 f4 f5 ff")),
    max_size=12,
).map(bytes)


@settings(deadline=None)  # compiles at the first call
@given(HOSTILE | st.binary(max_size=12), st.binary(max_size=3))
def test_decode_replaces_bad_bytes_like_python_and_stops_at_the_end(text, beyond):
    data = np.frombuffer(text + beyond, np.uint8)
    found, at = _decode_all(data, len(text))
    assert "".join(map(chr, found)) == text.decode("utf-8", "replace")
    assert at == len(text)


def test_lower_case_takes_at_most_half_as_many_bytes_again():
    # What the workspace of `shingles` counts on.
    _, lower = _classes_and_lower(ALL)
    grown = [c for c in ALL if lower[c] != c and len(chr(lower[c]).encode()) > len(chr(c).encode())]
    assert {(len(chr(c).encode()), len(chr(lower[c]).encode())) for c in grown} == {(2, 3)}
