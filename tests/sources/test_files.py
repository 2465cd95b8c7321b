"""Text and HTML files, and files of every kind behind fsspec."""

import functools
import gzip
import http.server
import io
import threading
from collections import Counter

import fsspec
import pytest
import zstandard
from pydantic import ValidationError

from curation.errors import DataError, RecipeError
from curation.source import InputFile, Split
from curation.sources import KINDS, HtmlSource, SourceUnion, TextSource
from curation.sources.opening import RawFile
from tests.sources.factory import errors, input_file, members, pages, read, splits, write

POEM = "Grüße\n\n  \nzwei\nZeilen\n\n\nEnde"


def test_every_kind_is_in_the_union_and_the_table():
    from typing import get_args

    union = get_args(get_args(SourceUnion)[0])
    assert set(KINDS.values()) == set(union)
    for name, kind in KINDS.items():
        assert kind.model_validate({"kind": name, "name": "a", "paths": ["x"]}).kind == name


@pytest.mark.parametrize("kind", KINDS)
def test_unknown_settings_are_refused(kind):
    with pytest.raises(ValidationError, match="Extra inputs"):
        KINDS[kind].model_validate({"kind": kind, "name": "a", "paths": ["x"], "pth": 1})


@pytest.mark.parametrize(
    ("unit", "texts"),
    [
        ("file", [POEM]),
        ("line", ["Grüße", "zwei", "Zeilen", "Ende"]),
        ("paragraph", ["Grüße", "zwei\nZeilen", "Ende"]),
    ],
)
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress])
def test_text_units(tmp_path, unit, texts, pack):
    found, _ = read("text", write(tmp_path / "a.txt", pack(POEM.encode())), unit=unit)
    assert [r.text for r in found] == texts
    assert len({r.record_id for r in found}) == len(texts)


def test_text_offsets_lead_to_the_unit(tmp_path):
    data = POEM.encode()
    path = write(tmp_path / "a.txt", data)
    for unit in ("line", "paragraph"):
        for record in read("text", path, unit=unit)[0]:
            raw = data[record.offset : record.offset + record.length]
            assert raw.decode().strip() == record.text
            assert record.record_id == f"a.txt:{record.offset}"


@pytest.mark.parametrize("unit", ["file", "line", "paragraph"])
def test_text_over_the_limit_is_told(tmp_path, unit):
    data = b"short\n\n" + b"long line\n" * 300 + b"\nshort"
    if unit == "line":
        data = data.replace(b"line\n", b"line ")
    found, _ = read("text", write(tmp_path / "a.txt", data), unit=unit, max_record_bytes=1024)
    assert errors(found) == (
        ["record_too_large"] if unit == "file" else [None, "record_too_large", None]
    )


def test_text_files_are_cut_at_lines(tmp_path):
    path = write(tmp_path / "a.txt", b"".join(b"%d\n" % n * (n % 5) for n in range(900)))
    whole = read("text", path, unit="line", split_bytes=1 << 30)
    assert read("text", path, unit="line", split_bytes=1100) == whole
    assert splits("text", path, 1024) == 1


def test_text_charset_is_detected_for_files_and_given_for_lines(tmp_path):
    text = "Größere Häuser in schönen Straßen, überall Gärten und Bäume.\n" * 3
    path = write(tmp_path / "a.txt", text.encode("latin-1"))
    found = read("text", path)[0][0]
    assert found.text == text
    assert found.meta == {"charset": "windows-1252", "charset_from": "detected"}
    lines = read("text", path, unit="line", charset="latin1")[0]
    assert [r.text for r in lines] == text.split("\n")[:3]
    assert read("text", path, unit="line")[0][0].meta == {"undecodable": 8}


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"charset": "klingon"}, "unknown charset"), ({"charset": "utf-16", "unit": "line"}, "lines")],
)
def test_text_impossible_charset_is_refused(settings, message):
    with pytest.raises(ValidationError, match=message):
        TextSource.model_validate({"kind": "text", "name": "a", "paths": ["x"], **settings})


@pytest.mark.parametrize("kind", ["text", "html"])
def test_empty_files_are_counted_not_yielded(tmp_path, kind):
    assert read(kind, write(tmp_path / "a.html", b"")) == ([], {"empty_file": 1})


@pytest.mark.parametrize("kind", ["text", "html"])
def test_damaged_gzip_file_is_told(tmp_path, kind):
    data = gzip.compress(b"<p>words</p>" * 90)
    found, _ = read(kind, write(tmp_path / "a.html.gz", data[:-8] + bytes(8)))
    assert errors(found) == ["bad_gzip"]


def site(tmp_path):
    (tmp_path / "site" / "sub").mkdir(parents=True)
    for name in ("index.html", "sub/a b.HTM", "sub/x.xhtml.gz", "sub/style.css"):
        data = f"<title>{name}</title>".encode()
        write(tmp_path / "site" / name, gzip.compress(data) if name.endswith("gz") else data)
    return tmp_path / "site"


def test_html_tree_gives_one_document_for_each_page(tmp_path):
    found, _ = read("html", site(tmp_path))
    assert [(r.record_id, r.text) for r in found] == [
        (f"site/{name}", f"<title>{name}</title>")
        for name in ("index.html", "sub/a b.HTM", "sub/x.xhtml.gz")
    ]
    assert {r.media_type for r in found} == {"text/html"}
    assert {r.created for r in found} == {None}


def test_html_url_is_the_prefix_and_the_path_below_the_directory(tmp_path):
    found, _ = read("html", site(tmp_path), url_prefix="https://e.org/docs/")
    assert [r.url for r in found][:2] == [
        "https://e.org/docs/index.html",
        "https://e.org/docs/sub/a%20b.HTM",
    ]
    assert read("html", tmp_path / "site" / "index.html")[0][0].url == "index.html"


def test_html_file_named_in_the_recipe_needs_no_html_name(tmp_path):
    assert len(read("html", write(tmp_path / "page.php", b"<p>words"))[0]) == 1
    write(tmp_path / "b.css", b"p {}")
    with pytest.raises(RecipeError, match="none of 2 files is named like HTML"):
        HtmlSource(kind="html", name="a", paths=("*.*",)).files(tmp_path)


@pytest.mark.parametrize(
    ("data", "error"),
    [(b" \n", "empty_body"), (b"%PDF-1.7", "media_type"), (b"<p>" * 999, "record_too_large")],
)
def test_html_bad_page_is_a_record_with_its_reason(tmp_path, data, error):
    found, _ = read("html", write(tmp_path / "a.html", data), max_record_bytes=1024)
    assert errors(found) == [error]


def test_html_charset_comes_from_the_page(tmp_path):
    data = "<meta charset=koi8-r><p>Привет".encode("koi8-r")
    assert read("html", write(tmp_path / "a.html", data))[0][0].text.endswith("Привет")


def test_local_name_with_the_syntax_of_fsspec_is_a_name(tmp_path):
    path = write(tmp_path / "a::b[1].txt", b"words")
    assert read("text", path)[0][0].text == "words"


class Handler(http.server.SimpleHTTPRequestHandler):
    ranges = True

    def log_message(self, *args): ...

    def send_head(self):
        try:
            with open(self.translate_path(self.path), "rb") as file:
                data = file.read()
        except OSError:
            self.send_error(404)
            return None
        wanted = self.headers.get("Range")
        if wanted and self.ranges:
            first, last = wanted.removeprefix("bytes=").split("-")
            part = data[int(first) : int(last or len(data)) + 1]
            self.send_response(206)
            self.send_header(
                "Content-Range", f"bytes {first}-{int(first) + len(part) - 1}/{len(data)}"
            )
            data = part
        else:
            self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Accept-Ranges", "bytes" if self.ranges else "none")
        self.end_headers()
        return io.BytesIO(data)


@pytest.fixture(params=[True, False], ids=["ranges", "no ranges"])
def server(request, tmp_path):
    handler = type("Served", (Handler,), {"ranges": request.param})
    serve = functools.partial(handler, directory=str(tmp_path))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), serve) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


def test_web_server_gives_what_the_disk_gives(tmp_path, server):
    pytest.importorskip("aiohttp")
    path = write(tmp_path / "a.warc.gz", members(pages(60, 500)))
    whole = read("warc", path)
    for split_bytes in (2048, 1 << 20):
        found = read("warc", f"{server}/a.warc.gz", split_bytes=split_bytes)
        assert found == whole


def test_memory_file_system_is_read_with_globs():
    system = fsspec.filesystem("memory")
    for name in ("b.txt", "a.txt"):
        system.pipe(f"/curation-test/{name}", name.encode())
    found, _ = read("text", "memory://curation-test/*.txt")
    assert [(r.record_id, r.text) for r in found] == [
        ("memory:///curation-test/a.txt", "a.txt"),
        ("memory:///curation-test/b.txt", "b.txt"),
    ]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("klingon://x/y", "Protocol not known: klingon; expected a protocol that fsspec knows"),
        ("memory://nothing/*.gz", "nothing matches path"),
    ],
)
def test_path_that_leads_nowhere_is_one_line(tmp_path, path, message):
    with pytest.raises(RecipeError, match=message) as caught:
        read("text", path)
    assert "\n" not in str(caught.value)


class Forward(io.BytesIO):
    def seekable(self):
        return False


def test_file_that_cannot_be_sought_is_read_forward_only(tmp_path, monkeypatch):
    data = members(pages(3))
    monkeypatch.setattr("curation.sources.opening._open", lambda _: Forward(data))
    file = InputFile("x.warc.gz", "web://x", len(data), "")
    source = KINDS["warc"].model_validate(
        {"kind": "warc", "name": "a", "paths": ["x"], "split_bytes": 1024}
    )
    assert not source.can_cut(file._replace(size=4096))
    assert len(list(source.read(Split(file, 0, len(data)), Counter()))) == 3
    with RawFile(file) as raw, pytest.raises(DataError, match="from start to end only"):
        raw.at(10**7)


def test_reading_that_fails_midway_names_the_file(tmp_path, monkeypatch):
    class Failing(io.BytesIO):
        def read(self, _size=-1):
            raise OSError(5, "Input/output error")

    monkeypatch.setattr("curation.sources.opening._open", lambda _: Failing())
    file = input_file(write(tmp_path / "a.jsonl", b"{}"))
    with pytest.raises(DataError, match=r"a\.jsonl: reading it failed \(Input/output error\)"):
        list(
            KINDS["jsonl"](kind="jsonl", name="a", paths=("a",)).read(Split(file, 0, 2), Counter())
        )
