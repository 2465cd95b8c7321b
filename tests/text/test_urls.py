import re
import unicodedata

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text import unicode as u
from curation.text.urls import LOOK, MALFORMED, MOST_BYTES, split_urls

SAME_UNICODE = unicodedata.unidata_version == u.UNICODE_VERSION
ASCII = r"http https ftp HTTPS mailto : / // \ @ # ? % %2 %2e %C3%A9 %ff . .. [ ] ::1 www. a b"
HOSTS = "example.com :80 :443 :8080 :0 :99999 user:pw@ xn--a İ Σ ς é 。 😀 _ - 127.0.0.1 0x7f"
PIECES = [*ASCII.split(), *HOSTS.split(), " ", "\t", "\n", "\x00", "\x7f", "a" * 64, "\ud7ff"]


def plain_split(data: bytes) -> tuple[str, str, int]:
    """Host, rest and flags of a URL: what `split_urls` means, in plain Python."""
    raw = data[:MOST_BYTES].strip(bytes(range(33))).translate(None, b"\t\n\r").partition(b"#")[0]
    begin, named = plain_authority(raw)
    if begin is not None:
        authority = re.match(rb"[^/?\\]*", raw[begin:])[0]
        host = authority.rpartition(b"@")[2]
        port = re.search(rb":[0-9]*\Z", host)
        path = raw[begin + len(authority) :]
        if port:
            host = host[: port.start()]
            number = port[0][1:].lstrip(b"0") or b"0"
            if number not in (b"0", b"80", b"443"):
                path = port[0] + path
        name = plain_fold(host).removesuffix(".")
        flags = plain_host_flags(name)
        if not named and not flags & LOOK and "." not in name:
            flags |= MALFORMED
        if not flags & MALFORMED:
            before, mark, query = path.partition(b"?")
            return (
                name,
                plain_fold(before.rstrip(b"/")) + plain_fold(mark * bool(query) + query),
                flags,
            )
    return "", plain_fold(raw), MALFORMED


def plain_authority(raw: bytes) -> tuple[int | None, bool]:
    scheme = re.match(rb"[A-Za-z0-9+.-]+", raw)
    if scheme is None:
        return (2, True) if raw.startswith(b"//") else (0, False)
    after = raw[scheme.end() :]
    if not after.startswith(b":"):
        return 0, False
    if scheme[0].lower() in (b"http", b"https"):
        return scheme.end() + 1 + len(re.match(rb"[/\\]*", after[1:])[0]), True
    if after.startswith(b"://"):
        return scheme.end() + 3, True
    return (0 if after[1:2].isdigit() else None), False


def plain_fold(raw: bytes) -> str:
    decoded = re.sub(rb"%([0-9A-Fa-f]{2})", lambda m: bytes([int(m[1], 16)]), raw)
    text = decoded.decode("utf-8", "replace")
    return "".join(char.lower()[0] for char in text).replace("\u03c2", "\u03c3")


def plain_host_flags(host: str) -> int:
    if not host:
        return MALFORMED
    if host.startswith("["):
        return LOOK if host.endswith("]") else MALFORMED
    labels = host.split(".")
    look = not host.isascii() or labels[-1][:1].isdigit()
    look |= any(label.startswith("xn--") for label in labels)
    bad = re.search(r"[^a-z0-9_.-]", re.sub(r"[^\x00-\x7f]", "", host)) is not None
    long = len(host.encode()) > 253 or any(not 1 <= len(part.encode()) <= 63 for part in labels)
    if long and not bad and not host.isascii():
        return LOOK
    return MALFORMED * (bad or long) | LOOK * look


def kernel_split(data: bytes) -> tuple[str, str, int]:
    for before in (b"", b"http://x/%"):
        buffer = np.frombuffer(before + data + b"%41/@x", np.uint8)
        urls = split_urls(np.array([len(before), len(before) + len(data)], np.int64), buffer)
        found = (bytes(urls.host_bytes).decode(), bytes(urls.rest_bytes).decode())
    return *found, int(urls.flags[0])


def known(text):
    return SAME_UNICODE or all(u.char_class(ord(char)) & u.ASSIGNED for char in text)


urls = st.lists(
    st.sampled_from(PIECES).map(str.encode)
    | st.text(max_size=4).map(str.encode)
    | st.binary(max_size=3),
    max_size=14,
).map(b"".join)


@settings(deadline=None, max_examples=300)
@given(urls)
@example(b"http://[::1]:80/")
@example(b"http://" + "é".encode() * 200)
@example(b"http:" + b"a" * MOST_BYTES)
def test_kernel_equals_plain_python_on_any_bytes(data):
    host, rest, flags = plain_split(data)
    if known(data.decode("utf-8", "replace")):
        assert kernel_split(data) == (host, rest, flags)


@pytest.mark.parametrize(
    ("url", "host", "rest"),
    [
        ("http://Example.COM:80/A%20b/?x=Y#frag", "example.com", "/a b?x=y"),
        ("https://user:p@w@www.ex%61mple.com.:8443//", "www.example.com", ":8443"),
        ("  exam\tple.com/\n ", "example.com", ""),
        ("example.com:8080/p", "example.com", ":8080/p"),
        ("//cdn.example.org/y?", "cdn.example.org", "/y"),
        ("http:\\\\evil.example\\x", "evil.example", "\\x"),
        ("https:example.com", "example.com", ""),
        ("http://a_b.example/%E0%A4%85", "a_b.example", "/अ"),
        ("http://localhost/", "localhost", ""),
        ("http://a.example/%zz%4", "a.example", "/%zz%4"),
    ],
)
def test_what_means_the_same_has_one_spelling(url, host, rest):
    found = kernel_split(url.encode())
    assert found == (host, rest, 0)


@pytest.mark.parametrize(
    "url",
    ["", "nonsense", "/a/b", "mailto:a@b.example", "urn:uuid:1", "file:///etc/passwd", "http://",
     "http://a..b/", "http://.a/", "http://a b/", "http://<a>/", f"http://{'a' * 64}.com/",
     f"http://{'a.' * 127}com/", "http://[::1", "data:text/html,x.y", "http://a%00b.example/"],
)  # fmt: skip
def test_malformed_urls_have_no_host_and_keep_their_text(url):
    host, rest, flags = kernel_split(url.encode())
    assert (host, flags) == ("", MALFORMED)
    assert len(rest) >= len(url.strip()) - 2


def test_urls_of_a_column_do_not_see_each_other():
    column = pa.array(["http://a.example/x", None, "", "//b.example", "a" * 9000])
    split = split_urls(*text_buffers(column.slice(1)))
    assert split.host_offsets.tolist() == [0, 0, 0, 9, 9]
    assert split.rest_offsets.tolist() == [0, 0, 0, 0, 8192]
