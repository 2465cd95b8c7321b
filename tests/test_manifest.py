from pathlib import Path

import pytest

from curation.errors import DataError
from curation.manifest import (
    Record,
    StageCount,
    canonical_json,
    fingerprint_of,
    merge_counts,
    read_manifest,
    read_record,
    write_json,
)
from curation.shards import FileRecord


def test_canonical_json_does_not_depend_on_key_order() -> None:
    assert canonical_json({"b": 1, "a": [1.5, None]}) == '{"a":[1.5,null],"b":1}'
    assert fingerprint_of({"b": 1, "a": 2}) == fingerprint_of({"a": 2, "b": 1})


def test_canonical_json_refuses_what_has_no_stable_form() -> None:
    with pytest.raises(TypeError, match="Path has no stable JSON form"):
        canonical_json(Path("x"))
    with pytest.raises(ValueError, match="Out of range float"):
        canonical_json(float("nan"))


def test_a_record_counts_only_with_its_key_and_whole_files(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    record = Record(key="k", files={"a": FileRecord(bytes=3, sha256=sha, rows=1)})
    write_json(tmp_path / "r.json", record)
    assert read_record(tmp_path / "r.json", "k") == record
    assert read_record(tmp_path / "r.json", "other") is None
    assert read_record(tmp_path / "none.json", "k") is None
    (tmp_path / "a").write_bytes(b"abd")
    assert read_record(tmp_path / "r.json", "k") is None
    (tmp_path / "r.json").write_text('{"key": "k", ')
    assert read_record(tmp_path / "r.json", "k") is None


def test_counts_add_up_over_shards() -> None:
    first = StageCount(name="s", kind="s", documents_in=5, documents_out=3, rejects={"a": 2})
    second = StageCount(
        name="s", kind="s", documents_in=2, documents_out=0, rejects={"a": 1, "b": 1}
    )
    [merged] = merge_counts([Record(key="", stages=[first]), Record(key="", stages=[second])])
    assert (merged.documents_in, merged.documents_out) == (7, 3)
    assert merged.rejects == {"a": 3, "b": 1}
    assert first.rejects == {"a": 2}


def test_no_manifest_says_how_to_make_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no manifest\.json, so no finished dataset is here; run"):
        read_manifest(tmp_path)


def test_a_damaged_manifest_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(DataError, match=r"manifest\.json: damaged") as caught:
        read_manifest(tmp_path)
    assert "\n" not in str(caught.value)
