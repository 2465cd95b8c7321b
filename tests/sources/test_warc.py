import gzip
import zlib
from datetime import UTC, datetime
from pathlib import Path

import pytest
import zstandard
from pydantic import ValidationError

from curation.errors import DataError
from curation.source import Split
from curation.sources import WarcSource
from tests.sources.factory import (
    ARC_HEAD,
    HTML,
    arc,
    errors,
    http,
    input_file,
    members,
    page,
    pages,
    read,
    warc,
    write,
)


def one(tmp_path: Path, record: bytes, **options):
    records, _ = read("warc", write(tmp_path / "a.warc.gz", gzip.compress(record)), **options)
    assert len(records) == 1
    return records[0]


def test_warc_response_becomes_a_document_with_its_facts(tmp_path):
    record = one(tmp_path, warc(number=7))
    assert record.text == HTML.decode()
    assert record.record_id == "<urn:uuid:7>"
    assert record.url == "http://example.org/7"
    assert record.media_type == "text/html"
    assert record.created == datetime(2024, 5, 6, 7, 8, 9, tzinfo=UTC)
    assert record.error is None
    assert record.meta == {
        "http_status": 200,
        "content_type": "text/html; charset=utf-8",
        "charset": "utf-8",
        "charset_from": "http",
    }


@pytest.mark.parametrize("version", ["0.17", "0.18", "1.0", "1.1"])
def test_warc_versions_are_read_alike(tmp_path, version):
    assert one(tmp_path, warc(version=version)).text == HTML.decode()


def test_warc_offset_and_length_give_the_stored_member(tmp_path):
    data = members(pages(5))
    records, _ = read("warc", write(tmp_path / "a.warc.gz", data))
    for number, record in enumerate(records):
        raw = gzip.decompress(data[record.offset : record.offset + record.length])
        assert raw == pages(5)[number]


def test_warc_plain_offset_and_length_give_the_record(tmp_path):
    data = b"".join(pages(5))
    records, _ = read("warc", write(tmp_path / "a.warc", data))
    for number, record in enumerate(records):
        raw = data[record.offset : record.offset + record.length]
        assert raw == pages(5)[number].removesuffix(b"\r\n\r\n")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_warc_place_inside_a_long_member_counts_from_its_begin(tmp_path, pack):
    data = b"".join(pages(30, 100_000))
    records, _ = read("warc", write(tmp_path / "a.warc.gz", pack(data)))
    at, length = records[-1].meta["member_range"]
    assert data[at : at + length] == pages(30, 100_000)[-1].removesuffix(b"\r\n\r\n")


def test_warc_one_member_tells_where_the_record_lies_inside(tmp_path):
    data = b"".join(pages(3))
    records, _ = read("warc", write(tmp_path / "a.warc.gz", gzip.compress(data)))
    assert [record.offset for record in records] == [0, 0, 0]
    for number, record in enumerate(records):
        at, length = record.meta["member_range"]
        assert data[at : at + length] == pages(3)[number].removesuffix(b"\r\n\r\n")


@pytest.mark.parametrize(
    "pack",
    [
        b"".join,
        members,
        lambda records: gzip.compress(b"".join(records)),
        lambda records: zstandard.compress(b"".join(records)),
        lambda records: b"".join(map(zstandard.compress, records)),
        lambda records: members(records) + bytes(512),
    ],
    ids=["plain", "members", "one member", "zstd", "zstd frames", "padded"],
)
def test_warc_packing_does_not_change_the_documents(tmp_path, pack):
    records, skipped = read(
        "warc", write(tmp_path / "a.warc.gz", pack([warc(kind="warcinfo"), *pages(20)]))
    )
    assert [r.text for r in records] == [
        page(f"page {n}").partition(b"\r\n\r\n")[2].decode() for n in range(20)
    ]
    assert skipped == {"warcinfo": 1}


def test_warc_gzip_extra_field_and_name_are_no_obstacle(tmp_path):
    body = zlib.compress(warc(), 9, wbits=-15)
    tail = zlib.crc32(warc()).to_bytes(4, "little") + len(warc()).to_bytes(4, "little")
    head = b"\x1f\x8b\x08\x0c" + bytes(6) + b"\x04\x00sl\x00\x00" + b"name\x00"
    records, _ = read("warc", write(tmp_path / "a.warc.gz", head + body + tail))
    assert errors(records) == [None]


def test_warc_other_types_are_counted_not_yielded(tmp_path):
    kinds = ["warcinfo", "request", "metadata", "revisit", "continuation", "x-ours", "x-mine"]
    data = members([warc(b"x", kind=kind, content_type="text/plain") for kind in kinds])
    records, skipped = read("warc", write(tmp_path / "a.warc.gz", data))
    assert records == []
    assert skipped == dict.fromkeys(kinds[:5], 1) | {"other": 2}


@pytest.mark.parametrize(
    ("content_type", "url", "read_as"),
    [
        ("text/html", "http://e.org/", "text/html"),
        ("text/plain; charset=utf-8", "http://e.org/", "text/plain"),
        ("image/png", "http://e.org/", None),
        ("text/plain", "metadata://gnu.org/software/wget/warc/wget.log", None),
    ],
)
def test_warc_resources_are_documents_if_they_are_text(tmp_path, content_type, url, read_as):
    record = warc(HTML, kind="resource", content_type=content_type, WARC_Target_URI=url)
    records, skipped = read("warc", write(tmp_path / "a.warc.gz", members([record])))
    assert [r.media_type for r in records] == ([read_as] if read_as else [])
    assert skipped == ({} if read_as else {"resource": 1})


def test_wet_conversion_is_plain_text(tmp_path):
    record = one(tmp_path, warc("Grüße".encode(), kind="conversion", content_type="text/plain"))
    assert (record.text, record.media_type) == ("Grüße", "text/plain")


@pytest.mark.parametrize(
    ("written", "url"),
    [
        ("<https://e.org/a>", "https://e.org/a"),
        ("http://e.org/a b c.html", "http://e.org/a b c.html"),
    ],
)
def test_warc_target_uri_loses_brackets_and_keeps_spaces(tmp_path, written, url):
    assert one(tmp_path, warc(WARC_Target_URI=written)).url == url


def test_warc_without_record_id_is_named_by_file_and_position(tmp_path):
    records, _ = read(
        "warc", write(tmp_path / "a.warc.gz", members([warc(drop=["WARC-Record-ID"])] * 3))
    )
    assert len({record.record_id for record in records}) == 3
    assert records[0].record_id == "a.warc.gz:0"


def test_warc_status_outside_the_classes_is_an_error_with_its_number(tmp_path):
    record = one(tmp_path, warc(http(status="404 Not Found")))
    assert (record.error, record.detail, record.text) == ("http_status", "404", None)
    assert record.meta["http_status"] == 404
    assert one(tmp_path, warc(http(status="404 Not Found")), statuses=(2, 4)).error is None


def test_warc_impossible_status_class_is_refused():
    with pytest.raises(ValidationError, match="classes of HTTP status"):
        WarcSource(kind="warc", name="a", paths=("x",), statuses=(200,))


@pytest.mark.parametrize(
    ("block", "error", "detail"),
    [
        (http(content_type="image/png"), "media_type", "image/png"),
        (http(b"\x89PNG\r\n\x1a\n1234"), "media_type", "image/png declared as text/html"),
        (http(b"%PDF-1.4", content_type=None), "media_type", "application/pdf"),
        (http(bytes(64), content_type="application/octet-stream"), "media_type", "unknown binary"),
        (http(b""), "empty_body", "the body is empty"),
        (http(b" \r\n"), "empty_body", "the body is empty"),
        (b"", "empty_body", "the record has an empty block"),
        (b"GET / HTTP/1.0\r\n\r\n", "bad_http", "starts with 'GET"),
        (http(b"\0\1\2\3" * 9, Content_Encoding="gzip"), "bad_content_encoding", "gzip: no gzip"),
    ],
)
def test_warc_bad_response_is_a_record_with_its_reason(tmp_path, block, error, detail):
    record = one(tmp_path, warc(block))
    assert (record.error, record.text) == (error, None)
    assert detail in record.detail
    assert record.url == "http://example.org/0"


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (HTML, "text/html"),
        (b"  <!-- c --><!DOCTYPE html><p>", "text/html"),
        (b"words", "text/plain"),
    ],
)
@pytest.mark.parametrize("declared", [None, "application/octet-stream"])
def test_warc_undeclared_media_type_is_sniffed(tmp_path, body, media_type, declared):
    assert one(tmp_path, warc(http(body, content_type=declared))).media_type == media_type


def test_warc_xhtml_is_html(tmp_path):
    assert one(tmp_path, warc(http(content_type="application/xhtml+xml"))).media_type == "text/html"


def test_warc_nul_characters_are_replaced_and_counted(tmp_path):
    record = one(tmp_path, warc(http(b"<p>a\0b\0</p>")))
    assert record.text == "<p>a\ufffdb\ufffd</p>"
    assert record.meta["nulls"] == 2


def test_warc_crawler_truncation_is_noted_and_the_text_kept(tmp_path):
    record = one(tmp_path, warc(WARC_Truncated="length"))
    assert (record.error, record.meta["truncated"]) == (None, "length")


def test_warc_record_over_the_limit_is_told_and_its_neighbours_survive(tmp_path):
    records = [warc(number=0), warc(page("big", 5000), number=1), warc(number=2)]
    for data in (b"".join(records), members(records), gzip.compress(b"".join(records))):
        found, _ = read("warc", write(tmp_path / "a.warc.gz", data), max_record_bytes=2000)
        assert errors(found) == [None, "record_too_large", None]
        assert found[1].url == "http://example.org/1"


def test_warc_decompression_bomb_is_told_not_inflated(tmp_path):
    body = zlib.compress(bytes(8 << 20), 9)
    record = one(tmp_path, warc(http(body, Content_Encoding="deflate")), max_record_bytes=1 << 20)
    assert record.error == "record_too_large"


def test_warc_lines_that_end_in_cr_cr_lf_are_read(tmp_path):
    head, blank, block = warc().partition(b"\r\n\r\n")
    record = one(tmp_path, (head + blank).replace(b"\r\n", b"\r\r\n") + block)
    assert record.text == HTML.decode()


def test_empty_file_has_no_records(tmp_path):
    assert read("warc", write(tmp_path / "a.warc.gz", b"")) == ([], {})


def test_file_that_vanished_is_named(tmp_path):
    path = write(tmp_path / "a.warc", warc())
    file = input_file(path)
    path.unlink()
    source = WarcSource(kind="warc", name="a", paths=("a.warc",))
    with pytest.raises(DataError, match=r"a\.warc: it cannot be opened \(No such file"):
        next(source.read(Split(file, 0, file.size), {}))


def test_arc_gives_responses_and_ids_of_its_own(tmp_path):
    data = [ARC_HEAD, arc(http()), arc(http(), url="http://e.org/a b")]
    for name, packed in (("a.arc", b"".join(data)), ("a.arc.gz", members(data))):
        found, skipped = read("warc", write(tmp_path / name, packed))
        assert [r.url for r in found] == ["http://example.org/", "http://e.org/a b"]
        assert [r.text for r in found] == [HTML.decode()] * 2
        assert found[0].record_id == f"arc:20080430204825:{found[0].offset}:http://example.org/"
        assert found[0].created == datetime(2008, 4, 30, 20, 48, 25, tzinfo=UTC)
        assert skipped == {"filedesc": 1}


def test_arc_version_2_line_is_read(tmp_path):
    head = f"http://e.org/ 1.2.3.4 20080430204825 text/html 200 - - 0 x.arc {len(http())}\n"
    data = ARC_HEAD + head.encode() + http() + b"\n"
    found, _ = read("warc", write(tmp_path / "a.arc", data))
    assert [(r.url, r.text) for r in found] == [("http://e.org/", HTML.decode())]


def test_arc_wrong_length_costs_only_its_own_record(tmp_path):
    for length in ("-1", "abc", "100000", "99999999999"):
        data = ARC_HEAD + arc(http()) + arc(http(), length=length) + arc(http(), url="http://b/")
        found, _ = read("warc", write(tmp_path / "a.arc", data))
        assert (found[0].error, found[-1].error, found[-1].url) == (None, None, "http://b/")
        assert len(found) == 3
        assert found[1].error
