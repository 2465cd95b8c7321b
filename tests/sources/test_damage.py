"""Damaged archives, cut archives, and damaged ones that are cut."""

import gzip
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.sources.factory import (
    errors,
    http,
    members,
    page,
    pages,
    read,
    splits,
    warc,
    write,
)

FUZZ = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("pack", [b"".join, members, lambda r: gzip.compress(b"".join(r))])
@pytest.mark.parametrize("length", ["100000", "9999999999", "60"])
def test_warc_wrong_length_costs_only_its_own_record(tmp_path, pack, length):
    bad = warc(page("bad"), number=1, length=length)
    records = [warc(number=0), bad, warc(number=2), warc(number=3)]
    found, _ = read("warc", write(tmp_path / "a.warc.gz", pack(records)))
    good = [r.record_id for r in found if not r.error]
    assert good[-2:] == ["<urn:uuid:2>", "<urn:uuid:3>"]
    assert good[0] == "<urn:uuid:0>"
    assert any(found_error in ("truncated_record", "bad_header") for found_error in errors(found))


@pytest.mark.parametrize(
    ("bad", "detail"),
    [
        (warc(length="x1"), "Content-Length is 'x1'"),
        (warc(drop=["Content-Length"]), "Content-Length is ''"),
        (warc(drop=["WARC-Type"]), "there is no WARC-Type"),
        (b"GARBAGE\r\n\r\n", "found 'GARBAGE"),
        (b"WARC/1.0\r\nWARC-Type: response", "no blank line"),
    ],
)
def test_warc_bad_head_is_told_and_its_neighbours_survive(tmp_path, bad, detail):
    for pack in (b"".join, members):
        data = pack([warc(number=0), bad + b"\r\n", warc(number=2)])
        found, _ = read("warc", write(tmp_path / "a.warc.gz", data))
        assert errors(found) == [None, "bad_header", None]
        assert detail in found[1].detail


def test_gzip_damage_costs_one_member(tmp_path):
    parts = [gzip.compress(record) for record in pages(6)]
    parts[2] = parts[2][:40] + b"\xff\xff\xff" + parts[2][43:]
    found, _ = read("warc", write(tmp_path / "a.warc.gz", b"".join(parts)))
    assert [r.record_id for r in found if not r.error] == [
        f"<urn:uuid:{n}>" for n in (0, 1, 3, 4, 5)
    ]
    assert errors(found).count("bad_gzip") == 1
    assert found[2].offset == len(parts[0]) + len(parts[1])
    assert found[2].length == len(parts[2])


def test_gzip_wrong_checksum_is_charged_to_its_record(tmp_path):
    parts = [gzip.compress(record) for record in pages(3)]
    parts[1] = parts[1][:-8] + bytes(4) + parts[1][-4:]
    found, _ = read("warc", write(tmp_path / "a.warc.gz", b"".join(parts)))
    assert errors(found) == [None, "bad_gzip", None]
    assert found[1].url == "http://example.org/1"


def test_gzip_cut_off_file_keeps_what_came_before(tmp_path):
    data = members(pages(4, 3000))
    found, _ = read("warc", write(tmp_path / "a.warc.gz", data[:-30]))
    assert errors(found) == [None, None, None, "truncated_record"]
    assert found[3].record_id == "<urn:uuid:3>"


def test_gzip_member_with_missing_bytes_does_not_swallow_the_rest(tmp_path):
    parts = [gzip.compress(record, 0) for record in pages(3, 20_000)]
    parts[1] = parts[1][:5000] + parts[1][-5000:]
    found, _ = read("warc", write(tmp_path / "a.warc.gz", b"".join(parts)))
    assert [r.record_id for r in found if not r.error] == ["<urn:uuid:0>", "<urn:uuid:2>"]
    assert found[1].record_id == "<urn:uuid:1>"


def test_gzip_junk_between_members_is_told(tmp_path):
    first, second = (gzip.compress(record) for record in pages(2))
    found, _ = read("warc", write(tmp_path / "a.warc.gz", first + b"junk" + second))
    assert errors(found) == [None, "bad_gzip", None]
    assert (found[1].offset, found[1].length) == (len(first), 4)


def test_gzip_member_that_ends_inside_a_record_is_joined_with_the_next(tmp_path):
    record = warc(page("long", 400))
    data = gzip.compress(record[:300]) + gzip.compress(record[300:])
    found, _ = read("warc", write(tmp_path / "a.warc.gz", data))
    assert errors(found) == [None]
    assert found[0].length == len(data)


def test_cut_files_give_the_uncut_records(tmp_path):
    draw = random.Random(5)
    records = [
        warc(page(f"p{n}{draw.randbytes(draw.randrange(900)).hex()}"), number=n) for n in range(120)
    ]
    for name, data in (("a.warc", b"".join(records)), ("b.warc.gz", members(records))):
        path = write(tmp_path / name, data)
        whole, skipped = read("warc", path, split_bytes=1 << 30)
        assert len(whole) == 120
        for split_bytes in (1024, 1999, 5000, 30000):
            assert splits("warc", path, split_bytes) > 1
            assert read("warc", path, split_bytes=split_bytes) == (whole, skipped)


def test_whole_file_gzip_is_not_cut(tmp_path):
    data = gzip.compress(random.Random(1).randbytes(0) + b"".join(pages(300)), 1)
    path = write(tmp_path / "a.warc.gz", data)
    assert path.stat().st_size > 2048
    assert splits("warc", path, 1024) == 1
    assert len(read("warc", path, split_bytes=1024)[0]) == 300


def test_cut_is_not_misled_by_an_archive_inside_a_record(tmp_path):
    inner = members([warc(page("inner"), number=n) for n in range(1000, 1100)])
    outer = warc(http(inner + random.Random(3).randbytes(90_000), content_type="application/gzip"))
    stored = b"".join(
        gzip.compress(record, level) for record, level in ((outer, 0), *((p, 6) for p in pages(9)))
    )
    path = write(tmp_path / "a.warc.gz", gzip.compress(warc(kind="warcinfo")) + stored)
    whole = read("warc", path, split_bytes=1 << 30)
    assert errors(whole[0]) == ["media_type"] + [None] * 9
    assert splits("warc", path, 1024) > 1
    assert read("warc", path, split_bytes=1024) == whole


def test_cut_through_damage_gives_the_uncut_records(tmp_path):
    data = bytearray(members(pages(200, 2000)))
    draw = random.Random(11)
    for _ in range(25):
        data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    path = write(tmp_path / "a.warc.gz", bytes(data))
    whole = read("warc", path, split_bytes=1 << 30)
    assert sum(error is None for error in errors(whole[0])) > 150
    for split_bytes in (1024, 3000, 10_000):
        assert read("warc", path, split_bytes=split_bytes) == whole


@FUZZ
@given(data=st.data())
def test_damage_never_raises_and_spares_what_is_before_it(tmp_path, data):
    packed = data.draw(st.sampled_from([b"".join, members, lambda r: gzip.compress(b"".join(r))]))
    good = packed(pages(6, 300))
    at = data.draw(st.integers(0, len(good) - 1))
    damage = data.draw(
        st.sampled_from(
            [
                good[:at],
                good[:at] + bytes([good[at] ^ 255]) + good[at + 1 :],
                good[:at] + good[at + 1 :],
                good[:at] + b"\r\nWARC/1.0\r\n" + good[at:],
            ]
        )
    )
    damage += data.draw(st.binary(max_size=40))
    path = tmp_path / "a.warc.gz"
    whole, _ = read("warc", write(path, good))
    found, _ = read("warc", write(path, damage))
    before = [r for r in whole if r.offset + r.length <= at and "member_range" not in r.meta]
    assert found[: len(before)] == before
    assert all((r.text is None) == (r.error is not None) for r in found)


@FUZZ
@given(st.binary(max_size=3000))
def test_any_bytes_are_read_without_raising(tmp_path, data):
    for name in ("a.warc", "a.warc.gz", "a.arc"):
        found, _ = read("warc", write(tmp_path / name, data))
        assert all(r.error for r in found)
        assert sum(r.length for r in found) <= len(data)
