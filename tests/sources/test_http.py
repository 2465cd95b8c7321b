import gzip
import zlib

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from curation.sources.coding import Body, dechunk, undo_codings
from curation.sources.http import decode_body, header_end, parse_headers, parse_response
from curation.sources.unreadable import UnreadableError
from tests.sources.factory import HTML, http

TEXT = b"<p>to be coded and decoded</p>" * 200
CODERS = {
    "gzip": gzip.compress,
    "x-gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


def chunked(data: bytes, size: int = 7) -> bytes:
    parts = [data[at : at + size] for at in range(0, len(data), size)]
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(p), p) for p in parts) + b"0\r\n\r\n"


def body(data: bytes, limit: int = 1 << 20, **headers: str) -> Body:
    return decode_body(parse_response(http(data, **headers)), limit)


@pytest.mark.parametrize("name", CODERS)
def test_content_encoding_is_undone(name):
    assert body(CODERS[name](TEXT), Content_Encoding=name.upper()) == Body(TEXT)


def test_bare_deflate_stream_is_undone():
    bare = zlib.compress(TEXT)[2:-4]
    assert body(bare, Content_Encoding="deflate").data == TEXT


def test_stacked_codings_are_undone_in_reverse():
    coded = brotli.compress(gzip.compress(TEXT))
    assert body(coded, Content_Encoding="gzip, br").data == TEXT
    coded = chunked(zlib.compress(gzip.compress(TEXT)))
    assert body(coded, Content_Encoding="gzip", Transfer_Encoding="deflate, chunked").data == TEXT


def test_too_many_codings_are_refused():
    with pytest.raises(UnreadableError, match="5 codings"):
        body(TEXT, Content_Encoding="gzip,gzip,gzip,gzip,gzip")


@pytest.mark.parametrize("name", [*CODERS, "sdch", "utf-8"])
def test_body_that_only_claims_a_coding_is_taken_as_it_is(name):
    assert body(TEXT, Content_Encoding=name) == Body(TEXT)


@pytest.mark.parametrize("name", ["gzip", "br", "sdch"])
def test_binary_body_under_a_wrong_coding_is_refused(name):
    with pytest.raises(UnreadableError, match="bad_content_encoding"):
        body(b"\x00\x01\x02\x03" * 50, Content_Encoding=name)


@pytest.mark.parametrize("name", CODERS)
def test_coded_body_that_stops_early_gives_its_beginning(name):
    noise = zlib.compress(bytes(range(256)) * 9, 9)
    text = TEXT + noise.hex().encode() * 4
    found = body(CODERS[name](text)[:-5], Content_Encoding=name)
    assert found.truncated
    assert text.startswith(found.data)


@pytest.mark.parametrize("name", CODERS)
def test_decoded_size_is_capped(name):
    coded = CODERS[name](bytes(4 << 20))
    with pytest.raises(UnreadableError, match="record_too_large: the decoded body"):
        body(coded, limit=1 << 20, Content_Encoding=name)


def test_several_gzip_members_are_one_body():
    assert body(gzip.compress(b"one ") + gzip.compress(b"two"), Content_Encoding="gzip").data == (
        b"one two"
    )


@given(st.binary(max_size=300), st.integers(1, 40))
def test_chunks_are_joined(data, size):
    assert dechunk(chunked(data, size)) == Body(data)


@pytest.mark.parametrize("data", [b"", b"<html>", b"abcdefghi\r\nabc", b"hello\n"])
def test_body_that_only_claims_chunks_is_taken_as_it_is(data):
    assert dechunk(data) == Body(data)


def test_wrong_chunk_size_keeps_the_rest():
    assert dechunk(b"3\r\nabc\r\n4\r\ndef\r\nghi") == Body(b"abcdef\rghi", misframed=True)


def test_chunks_that_stop_early_are_told():
    assert dechunk(b"3\r\nabc\r\n9\r\nde") == Body(b"abcde", truncated=True)
    assert dechunk(b"3\r\nabc\r\n") == Body(b"abc", truncated=True)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        (b"HTTP/1.1 200 OK", 200),
        (b"HTTP/1.0 404", 404),
        (b"http/2 301 ", 301),
        (b"HTTP/1.1  503  Busy", 503),
        (b"ICY 200 OK", 200),
    ],
)
def test_status_lines_as_servers_write_them(line, status):
    assert parse_response(line + b"\r\nA: b\r\n\r\nbody").status == status


@pytest.mark.parametrize("block", [b"<html>", b"HTTP/1.1 OK", b"200 OK\r\n\r\n"])
def test_no_status_line_is_refused(block):
    with pytest.raises(UnreadableError, match="bad_http: starts with"):
        parse_response(block)


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\n", b"\r\r\n\r\r\n", b"\r\n\n", b"\n\r\n"])
def test_header_block_ends_at_the_first_blank_line(end):
    data = b"HTTP/1.1 200 OK\nA: b" + end + b"body\r\n\r\nmore\n\nmore"
    assert parse_response(data).body == b"body\r\n\r\nmore\n\nmore"
    assert parse_response(data).headers == {"a": "b"}


def test_headers_without_end_are_all_headers():
    assert parse_response(b"HTTP/1.1 200 OK\r\nA: b\r\nC: d").headers == {"a": "b", "c": "d"}
    assert header_end(b"a: b\r\n", 0, 99) is None


def test_headers_continue_repeat_and_come_in_any_charset():
    block = b"A: one\r\n  two\r\nB:x\r\nb: y\r\nnot a header\r\nC : \xc3\xa9\r\n"
    assert parse_headers(block) == {"a": "one two", "b": "x", "c": "é"}
    assert parse_headers(b"A: \xe9") == {"a": "é"}


@given(st.binary(max_size=400))
def test_any_bytes_are_parsed_or_refused(data):
    try:
        response = parse_response(data)
        decode_body(response, 1 << 16)
    except UnreadableError as error:
        assert error.code in ("bad_http", "bad_content_encoding")  # noqa: PT017


@given(st.binary(max_size=200), st.lists(st.sampled_from(sorted(CODERS)), max_size=3))
def test_any_bytes_are_decoded_or_refused(data, names):
    try:
        found = undo_codings(dechunk(data), names, 1 << 16)
    except UnreadableError as error:
        assert error.code in ("bad_content_encoding", "record_too_large")  # noqa: PT017
    else:
        assert len(found.data) <= 1 << 16


def test_long_runs_of_carriage_returns_take_no_time():
    assert parse_response(b"HTTP/1.1 200 OK\r\nA: " + b"\r" * 200_000 + b"\n\n" + HTML).body == HTML
