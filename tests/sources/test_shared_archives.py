"""The readers against real archives, and against warcio's and FastWARC's readings of them."""

import contextlib
import json
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.sources.factory import errors, read, splits

pytestmark = pytest.mark.shared

REAL = {
    "cc-main-2020-34-fastwarc.warc.gz": (16, {"warcinfo": 1, "request": 17, "metadata": 16}),
    "cc-whirlwind.warc.gz": (1, {"warcinfo": 1, "request": 1, "metadata": 1}),
    "cc-whirlwind.warc.wet.gz": (1, {"warcinfo": 1}),
    "cc-whirlwind.warc.wat.gz": (0, {"warcinfo": 1, "metadata": 1}),
    "cc-jwarc.warc.gz": (1, {}),
    "ia-IAH-20080430204825-blackbook.warc.gz": (
        299,
        {"warcinfo": 1, "request": 261, "metadata": 261},
    ),
    "ia-IAH-20080430204825-blackbook.arc.gz": (299, {"filedesc": 1}),
    "pywb-iana.warc.gz": (48, {"warcinfo": 1, "request": 171, "revisit": 123}),
    "pywb-dupes.warc.gz": (3, {"warcinfo": 1, "request": 12, "revisit": 9}),
    "warcio-example.arc.gz": (1, {"filedesc": 1}),
}
DAMAGE = {"truncated_record", "bad_gzip", "bad_header", "record_too_large"}


def archives(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if ".warc" in path.name or ".arc" in path.name)


@pytest.mark.parametrize("name", REAL)
def test_real_archive_has_the_records_that_others_count(shared_data, name):
    found, skipped = read("warc", shared_data / "warc-real" / name)
    assert (len(found), skipped) == REAL[name]
    assert not DAMAGE & set(errors(found))
    assert len({record.record_id for record in found}) == len(found)


def test_wget_archive_has_pages_but_not_its_own_log(shared_data):
    found, _ = read("warc", shared_data / "warc-real" / "wget-dolma-sample-0000.warc.gz")
    assert errors(found) == [None] * 22
    assert all(record.url.startswith("https://") for record in found)


def test_arc_and_warc_of_one_crawl_give_the_same_responses(shared_data):
    name = "ia-IAH-20080430204825-blackbook"
    arc, _ = read("warc", shared_data / "warc-real" / f"{name}.arc.gz")
    warc, _ = read("warc", shared_data / "warc-real" / f"{name}.warc.gz")
    facts = [Counter((r.url, r.text, r.error, r.detail, r.created) for r in x) for x in (arc, warc)]
    assert facts[0] == facts[1]
    assert sum(1 for r in arc if r.media_type == "text/html") == 94


def by_warcio(path: Path) -> list[tuple[str | None, str]]:
    """Record ids and types, up to where warcio gives up."""
    warcio = pytest.importorskip("warcio.archiveiterator")
    ids = []
    with path.open("rb") as file, contextlib.suppress(warcio.ArchiveLoadFailed):
        for record in warcio.ArchiveIterator(file, arc2warc=False):
            record_id = record.rec_headers.get_header("WARC-Record-ID")
            ids.append((record_id, record.rec_type))
    return ids


def by_fastwarc(path: Path) -> list[tuple[str | None, str]]:
    """Record ids and types, up to where FastWARC gives up."""
    fastwarc = pytest.importorskip("fastwarc.warc")
    ids = []
    with path.open("rb") as file, contextlib.suppress(OSError):
        for record in fastwarc.ArchiveIterator(file, parse_http=False):
            kind = str(record.record_type).rpartition(".")[2]
            ids.append((record.record_id, kind))
    return ids


@pytest.mark.parametrize("reader", [by_warcio, by_fastwarc])
@pytest.mark.parametrize("folder", ["warc-real", "warc-malformed"])
@pytest.mark.filterwarnings("ignore")
def test_every_record_that_another_reader_gets_is_read(shared_data, folder, reader):
    for path in archives(shared_data / folder):
        found, skipped = read("warc", path)
        if ".arc" in path.name:
            if reader is by_warcio:
                assert len(found) + skipped["filedesc"] == len(reader(path))
            continue
        theirs = Counter(reader(path))
        ours = {record.record_id for record in found}
        responses = {i for i, kind in theirs if kind in ("response", "conversion")}
        assert responses <= ours, path.name
        others = Counter(kind for _, kind in theirs.elements())
        for kind in ("request", "metadata", "warcinfo", "revisit"):
            assert skipped[kind] >= others[kind], (path.name, kind)


def test_malformed_archives_are_read_with_their_damage_told(shared_data):
    told = {
        path.name: Counter(error or "ok" for error in errors(read("warc", path)[0]))
        for path in archives(shared_data / "warc-malformed")
    }
    assert told["warcio-example-trunc.warc"] == {"ok": 1, "bad_header": 1}
    assert told["warcio-bad.arc"] == {"bad_header": 3, "empty_body": 1}
    assert told["pywb-missing-status-text.warc"] == {"http_status": 1}
    assert told["warcio-example-wrong-chunks.warc.gz"] == {"ok": 1}
    assert told["warcio-example-bad-non-chunked.warc.gz"] == {"ok": 1}
    assert told["daft-example-single-member-gzip.warc.gz"] == {"ok": 1, "media_type": 10}
    assert told["IAH-blackbook-truncated.warc.gz"] == {"ok": 3, "media_type": 5}


@pytest.mark.slow
@pytest.mark.parametrize("split_bytes", [20_011, 300_000])
def test_cut_real_archives_give_the_uncut_records(shared_data, split_bytes):
    for folder in ("warc-real", "warc-malformed"):
        for path in archives(shared_data / folder):
            whole = read("warc", path, split_bytes=1 << 30)
            assert read("warc", path, split_bytes=split_bytes) == whole


@pytest.mark.slow
def test_web_archive_agrees_with_its_index(shared_data):
    path = next((shared_data / "web-warc").glob("*.warc.gz"))
    index = pq.read_table(next((shared_data / "web-warc").glob("*.parquet"))).to_pylist()
    found, skipped = read("warc", path, split_bytes=4 << 20)
    assert splits("warc", path, 4 << 20) == 12
    assert (len(found), skipped) == (8681, {"warcinfo": 1})
    by_id = {record.record_id: record for record in found}
    charsets = {"iso-8859-1": "windows-1252"}
    for row in index:
        record = by_id[row["record_id"]]
        assert (record.url, record.offset, record.error) == (row["url"], row["offset"], None)
        expected = charsets.get(row["charset"], row["charset"])
        if row["charset_declared"]:
            assert record.meta["charset"] == expected


def test_domain_text_has_the_rows_that_its_readme_counts(shared_data):
    counts = {"rfc": 138, "manpages": 1099, "pubmedqa-abstracts": 1000, "wikitext2-valid": 60}
    for name, count in counts.items():
        found, skipped = read("jsonl", shared_data / "domain-text" / f"{name}.jsonl.gz")
        assert (errors(found), skipped) == ([None] * count, {})
        assert all(json.loads(json.dumps(record.meta)) == record.meta for record in found)
