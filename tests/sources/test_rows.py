import gzip
import json
import resource
import sys
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.errors import RecipeError
from curation.source import Split, read_batches
from curation.sources import JsonlSource
from tests.sources.factory import errors, input_file, read, splits, write

FUZZ = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def rows(tmp_path: Path, *lines: str | bytes | dict, **options):
    data = b"".join(
        (line if isinstance(line, bytes) else line.encode() if isinstance(line, str) else
         json.dumps(line).encode()) + b"\n"
        for line in lines
    )  # fmt: skip
    return read("jsonl", write(tmp_path / "a.jsonl", data), **options)[0]


def test_jsonl_default_fields_are_mapped_and_the_rest_is_kept(tmp_path):
    row = {"id": "x1", "text": "words", "url": "http://a/", "license": "CC0", "n": [1, {"a": None}]}
    record = rows(tmp_path, row)[0]
    assert (record.record_id, record.text, record.url, record.license) == (
        "x1", "words", "http://a/", "CC0",
    )  # fmt: skip
    assert record.meta == {"n": [1, {"a": None}]}
    assert (record.media_type, record.offset, record.length) == (
        "text/plain", 0, len(json.dumps(row)) + 1,
    )  # fmt: skip


def test_jsonl_fields_can_be_mapped_from_other_names_and_from_inside(tmp_path):
    row = {
        "key": 7,
        "doc": {"body": "long", "at": "2024-01-02"},
        "a.b": "dotted name",
        "summary": "short",
        "label": True,
    }
    fields = {
        "id": "key", "text": "doc.body", "url": "a.b", "created": "doc.at",
        "target": "summary", "label": "label",
    }  # fmt: skip
    record = rows(tmp_path, row, fields=fields)[0]
    assert (record.record_id, record.text, record.url) == ("7", "long", "dotted name")
    assert (record.target, record.label) == ("short", "true")
    assert record.created == datetime(2024, 1, 2, tzinfo=UTC)
    assert record.meta == {"doc": {"body": "long", "at": "2024-01-02"}}


def test_jsonl_unknown_field_in_the_mapping_is_refused():
    with pytest.raises(ValidationError, match="Extra inputs are not permitted"):
        JsonlSource.model_validate(
            {"kind": "jsonl", "name": "a", "paths": ["x"], "fields": {"txt": "text"}}
        )


def test_jsonl_rows_without_id_are_named_by_file_and_offset(tmp_path):
    first = {"text": "one"}
    found = rows(tmp_path, first, {"text": "two", "id": None}, {"text": "three", "id": [1]})
    second = len(json.dumps(first)) + 1
    assert [r.record_id for r in found[:2]] == ["a.jsonl:0", f"a.jsonl:{second}"]
    assert found[2].meta == {"id": [1]}


@pytest.mark.parametrize(
    ("line", "error", "detail"),
    [
        ('{"text": ', "bad_json", "at character 9"),
        ("[1, 2]", "bad_json", "a list, expected an object"),
        ('"text"', "bad_json", "a str, expected an object"),
        ('{"text": ' + "[" * 500 + "]" * 500 + "}", "bad_json", "nested more than 200 levels"),
        ('{"text": "a", "n": ' + "9" * 5000 + "}", "bad_json", "Exceeds the limit"),
        ('{"title": "a", "body": "b"}', "no_text", "no field 'text'; found body, title"),
        ('{"text": null}', "no_text", "no field 'text'"),
        ('{"text": ["a"]}', "text_not_string", "'text' is a list"),
        ('{"text": 5}', "text_not_string", "'text' is a number"),
        ('{"text": "a", "sum": {}}', "target_not_string", "'sum' is an object"),
        ('{"text": "' + "a" * 7000 + '"}', "record_too_large", "limit 6000"),
    ],
)
def test_jsonl_bad_row_is_a_record_with_its_reason(tmp_path, line, error, detail):
    good = {"text": "good"}
    found = rows(tmp_path, good, line, good, fields={"target": "sum"}, max_record_bytes=6000)
    assert errors(found) == [None, error, None]
    assert detail in found[1].detail
    assert found[1].text is None


def test_jsonl_deep_brackets_inside_strings_are_no_nesting(tmp_path):
    assert errors(rows(tmp_path, {"text": "[{" * 500 + '"\\'})) == [None]


def test_jsonl_characters_that_cannot_be_stored_are_replaced_and_counted(tmp_path):
    found = rows(tmp_path, b'{"text": "a\\ud800b\\u0000c\0d", "k\\udfff": ["\\udc00"]}')[0]
    assert found.text == "a\ufffdb\ufffdc\ufffdd"
    assert found.meta == {"k\ufffd": ["\ufffd"], "replaced": 5}
    paired = rows(tmp_path, b'{"text": "\\ud83d\\ude00"}')[0]
    assert (paired.text, paired.meta) == ("\U0001f600", None)


def test_jsonl_bytes_that_are_no_utf8_are_replaced_and_counted(tmp_path):
    found = rows(tmp_path, b'{"text": "caf\xe9 \xef\xbf\xbd"}')[0]
    assert (found.text, found.meta) == ("caf\ufffd \ufffd", {"undecodable": 1})


def test_jsonl_numbers_that_json_lacks_become_null(tmp_path):
    found = rows(tmp_path, '{"text": "a", "n": [NaN, -Infinity, 1e999, 1e5]}')[0]
    assert found.meta == {"n": [None, None, None, 1e5]}


def test_jsonl_mark_blank_lines_and_missing_last_line_end(tmp_path):
    data = b'\xef\xbb\xbf{"text": "a"}\r\n\n  \n{"text": "b"}'
    found, skipped = read("jsonl", write(tmp_path / "a.jsonl", data))
    assert [r.text for r in found] == ["a", "b"]
    assert skipped == {"blank_line": 2}


def numbered(count: int) -> bytes:
    return b"".join(b'{"id": %d, "text": "%s"}\n' % (n, b"x" * (n * 37 % 90)) for n in range(count))


@pytest.mark.parametrize(
    "pack",
    [
        gzip.compress,
        zstandard.compress,
        lambda data: gzip.compress(data[:700]) + gzip.compress(data[700:]),
        lambda data: zstandard.compress(data[:700]) + zstandard.compress(data[700:]),
    ],
)
def test_jsonl_compressed_files_give_the_rows_of_plain_ones(tmp_path, pack):
    plain = read("jsonl", write(tmp_path / "a.jsonl", numbered(50)))
    assert read("jsonl", write(tmp_path / "a", pack(numbered(50)))) == plain
    assert splits("jsonl", tmp_path / "a", 1024) == 1


def test_jsonl_plain_files_are_cut_at_lines(tmp_path):
    path = write(tmp_path / "a.jsonl", numbered(300))
    whole = read("jsonl", path, split_bytes=1 << 30)
    assert [r.record_id for r in whole[0]] == [str(n) for n in range(300)]
    for split_bytes in (1024, 1025, 1999, 7000):
        assert splits("jsonl", path, split_bytes) > 1
        assert read("jsonl", path, split_bytes=split_bytes) == whole


@given(st.data())
@FUZZ
def test_lines_of_any_two_ranges_are_those_of_the_whole(tmp_path, data):
    pieces = data.draw(st.lists(st.sampled_from([b"\n", b"{}\n", b"{}", b"[" * 2000]), max_size=9))
    path = write(tmp_path / "a.jsonl", b"".join(pieces))
    file = input_file(path)
    at = data.draw(st.integers(0, file.size))
    source = JsonlSource(kind="jsonl", name="a", paths=("a",), max_record_bytes=1024)
    whole = list(source.read(Split(file, 0, file.size), {"blank_line": 0}))
    parts = [Split(file, 0, at), Split(file, at, file.size)]
    if 0 < at < file.size:
        assert [r for p in parts for r in source.read(p, {"blank_line": 0})] == whole


def test_jsonl_broken_gzip_keeps_the_rows_before_it(tmp_path):
    data = bytearray(gzip.compress(numbered(5000), 1))
    middle = len(data) // 2
    data[middle : middle + 400] = bytes(400)
    found, _ = read("jsonl", write(tmp_path / "a.jsonl.gz", bytes(data)))
    assert found[-1].error == "bad_gzip"
    good = [r.record_id for r in found if not r.error]
    assert len(good) > 2000
    # What is damaged is noticed some bytes late: the very last rows may be wrong.
    assert good[:2000] == [str(n) for n in range(2000)]


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_jsonl_cut_off_file_keeps_the_rows_before(tmp_path, pack):
    found, _ = read("jsonl", write(tmp_path / "a", pack(numbered(9000))[:-9]))
    assert found[-1].error == "truncated_record"
    assert [r.record_id for r in found[:-1]] == [str(n) for n in range(len(found) - 1)]


def test_jsonl_damaged_zstd_is_told(tmp_path):
    data = zstandard.compress(numbered(50)) + b"\x28\xb5\x2f\xfd" + b"\xff" * 30
    found, _ = read("jsonl", write(tmp_path / "a.jsonl.zst", data))
    assert errors(found) == [None] * 50 + ["bad_zstd"]


def test_jsonl_damaged_member_spares_the_next_one(tmp_path):
    first, second = gzip.compress(numbered(20)), gzip.compress(b'{"id": "z", "text": "z"}\n')
    found, _ = read("jsonl", write(tmp_path / "a.gz", first[:-9] + b"\xff" + first[-8:] + second))
    assert found[-1].record_id == "z"
    assert "bad_gzip" in errors(found)


@pytest.mark.slow
def test_jsonl_endless_line_stays_flat_in_memory(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", 1) as file:
        file.write(b'{"text": "first"}\n{"text": "')
        for _ in range(300):
            file.write(b"x" * (1 << 20))
        file.write(b'"}\n{"text": "last"}\n')
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found, _ = read("jsonl", path)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert errors(found) == [None, "record_too_large", None]
    assert grown * (1 if sys.platform == "darwin" else 1024) < 120 << 20


@FUZZ
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4) | JSON, max_size=5))
def test_any_json_becomes_rows_that_arrow_and_json_can_hold(tmp_path, values):
    path = write(tmp_path / "a.jsonl", b"\n".join(json.dumps(v).encode() for v in values))
    source = JsonlSource(kind="jsonl", name="a", paths=("a.jsonl",), fields={"label": "text"})
    for batch in read_batches(source, [Split(input_file(path), 0, 1 << 40)], {"blank_line": 0}):
        batch.validate(full=True)
        for meta in batch.column("meta").to_pylist():
            json.loads(meta or "{}", parse_constant=pytest.fail)


@FUZZ
@given(st.binary(max_size=500))
def test_any_bytes_are_rows_or_errors(tmp_path, data):
    for name in ("a.jsonl", "a.jsonl.gz", "a.jsonl.zst"):
        path = write(tmp_path / name, data)
        source = JsonlSource(kind="jsonl", name="a", paths=(name,))
        for record in source.read(Split(input_file(path), 0, len(data)), {"blank_line": 0}):
            assert (record.text is None) == (record.error is not None)


NEW_YEAR = datetime(2024, 1, 1)  # noqa: DTZ001


def table(count: int) -> pa.Table:
    return pa.table(
        {
            "id": [f"r{n}" for n in range(count)],
            "text": [f"text {n} " * 20 for n in range(count)],
            "about": [{"url": f"http://a/{n}", "when": NEW_YEAR} for n in range(count)],
            "n": pa.array([None if n % 2 else n / 0.5 for n in range(count)]),
        }
    )


def test_parquet_rows_are_mapped_as_json_rows_are(tmp_path):
    pq.write_table(table(3), tmp_path / "a.parquet")
    fields = {"url": "about.url", "created": "about.when"}
    found, _ = read("parquet", tmp_path / "a.parquet", fields=fields)
    assert [r.record_id for r in found] == ["r0", "r1", "r2"]
    assert found[1].url == "http://a/1"
    assert found[1].created == datetime(2024, 1, 1, tzinfo=UTC)
    assert found[1].meta == {
        "about": {"url": "http://a/1", "when": "2024-01-01T00:00:00"},
        "n": None,
    }


def test_parquet_is_cut_at_row_groups(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(1000), path, row_group_size=70, compression="none")
    whole = read("parquet", path, split_bytes=1 << 30)
    assert len(whole[0]) == 1000
    for split_bytes in (1024, 9999, 40_000):
        assert splits("parquet", path, split_bytes) > 1
        assert read("parquet", path, split_bytes=split_bytes) == whole
    assert sum(r.length for r in whole[0]) <= path.stat().st_size


def test_parquet_rows_without_id_are_named_by_file_and_row(tmp_path):
    pq.write_table(table(5).drop(["id"]), tmp_path / "a.parquet", row_group_size=2)
    found, _ = read("parquet", tmp_path / "a.parquet")
    assert [r.record_id for r in found] == [f"a.parquet:row{n}" for n in range(5)]


def test_parquet_missing_column_is_named_with_the_known_ones(tmp_path):
    pq.write_table(table(1), tmp_path / "a.parquet")
    with pytest.raises(RecipeError, match=r"text column .*'txt'; known: .*did you mean 'text'"):
        read("parquet", tmp_path / "a.parquet", fields={"text": "txt"})
    with pytest.raises(RecipeError, match=r"unknown url column of a\.parquet 'link'"):
        read("parquet", tmp_path / "a.parquet", fields={"url": "link"})


def test_parquet_values_that_json_lacks_are_written_as_text(tmp_path):
    values = pa.table(
        {
            "text": ["a\0b"],
            "bytes": [b"\xff\x00"],
            "price": [Decimal("1.50")],
            "nano": pa.array([1], pa.timestamp("ns", "UTC")),
            "span": pa.array([1500], pa.duration("ms")),
            "nan": [float("nan")],
            "map": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
        }
    )
    pq.write_table(values, tmp_path / "a.parquet")
    found = read("parquet", tmp_path / "a.parquet")[0][0]
    assert found.text == "a\ufffdb"
    assert found.meta == {
        "bytes": {"bytes": 2}, "price": "1.50", "nano": "1970-01-01T00:00:00+00:00",
        "span": 1.5, "nan": None, "map": [["k", 1]], "replaced": 1,
    }  # fmt: skip


def test_parquet_damaged_file_is_one_error(tmp_path):
    pq.write_table(table(500), tmp_path / "a.parquet")
    data = (tmp_path / "a.parquet").read_bytes()
    path = write(tmp_path / "a.parquet", data[:-20])
    found, _ = read("parquet", path, split_bytes=1024)
    assert errors(found) == ["bad_parquet"]
    assert found[0].length == len(data) - 20


def test_parquet_damaged_row_group_spares_the_others(tmp_path):
    pq.write_table(table(300), tmp_path / "a.parquet", row_group_size=100, compression="zstd")
    data = bytearray((tmp_path / "a.parquet").read_bytes())
    about = pq.ParquetFile(tmp_path / "a.parquet").metadata.row_group(1).column(1)
    at = about.dictionary_page_offset or about.data_page_offset
    data[at : at + 40] = bytes(40)
    found, _ = read("parquet", write(tmp_path / "a.parquet", bytes(data)))
    assert errors(found)[:100] == [None] * 100
    assert "bad_parquet" in errors(found)
    assert [r.record_id for r in found[-100:]] == [f"r{n}" for n in range(200, 300)]
