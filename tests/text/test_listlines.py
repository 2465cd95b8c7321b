import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.listlines import DOMAIN, EXCEPTION, HOST, UNKNOWN, URL, find_entries


def entries(text):
    data = text.encode()
    found = find_entries(np.frombuffer(data, np.uint8))
    spans = zip(found.kinds.tolist(), found.starts.tolist(), found.ends.tolist(), strict=True)
    return [(kind, data[start:end].decode()) for kind, start, end in spans]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("example.com", [(DOMAIN, "example.com")]),
        (" Example.com\t# why\r", [(DOMAIN, "Example.com")]),
        ("*.example.com", [(DOMAIN, "example.com")]),
        (".xxx", [(DOMAIN, "xxx")]),
        ("||ads.example.com^", [(DOMAIN, "ads.example.com")]),
        ("||ads.example.com^|", [(DOMAIN, "ads.example.com")]),
        ("||xxx", [(DOMAIN, "xxx")]),
        ("bücher.example", [(DOMAIN, "bücher.example")]),
        ("192.0.2.7", [(DOMAIN, "192.0.2.7")]),
        ("@@||good.example.com^", [(EXCEPTION, "good.example.com")]),
        ("0.0.0.0 a.example b.example # c", [(HOST, "a.example"), (HOST, "b.example")]),
        ("::1 localhost", [(HOST, "localhost")]),
        ("fe80::1%lo0 localhost", [(HOST, "localhost")]),
        ("127.0.0.1\ta.example", [(HOST, "a.example")]),
        ("http://example.com/a?b=c#d", [(URL, "http://example.com/a?b=c#d")]),
        ("example.com/a", [(URL, "example.com/a")]),
        ("https://example.com", [(URL, "https://example.com")]),
        ("", []),
        ("# example.com", []),
        ("! example.com", []),
        ("; example.com", []),
        ("[Adblock Plus 2.0]", []),
        ("##.banner", []),
    ],
)
def test_line_is_read_by_its_form(line, found):
    assert entries(line) == found
    assert entries(f"{line}\n\n{line}") == found * 2


@pytest.mark.parametrize(
    "line",
    ["word", "/banner[0-9]+/", "||example.com^$third-party", "||example.com/ads/", "||ads.*^",
     "||^", "example.com##.ad", "ad*.example.com", "|http://x", "example.com,1", "a sentence in it",
     "example.com:8080", "address=/example.com/0.0.0.0", "@@/x/", ".", "*.", "@@||", "||"],
)  # fmt: skip
def test_other_lines_are_counted_and_not_guessed(line):
    assert [kind for kind, _ in entries(line)] == [UNKNOWN]


@settings(deadline=None, max_examples=80)
@given(st.binary(max_size=60), st.binary(max_size=20))
def test_any_bytes_give_spans_within_their_lines(before, after):
    data = before + b"\n" + after
    found = find_entries(np.frombuffer(data, np.uint8))
    for start, end in zip(found.starts.tolist(), found.ends.tolist(), strict=True):
        assert 0 <= start <= end <= len(data)
        assert b"\n" not in data[start:end]
