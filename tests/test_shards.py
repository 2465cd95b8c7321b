from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import DataError
from curation.shards import (
    MappedTexts,
    ShardWriter,
    is_whole,
    read_shard,
    replacing,
    write_shard,
)

ROWS = pa.table(
    {
        "text": pa.array(
            [None if i % 7 == 0 else f"text {i} ä" for i in range(3000)], pa.large_string()
        ),
        "score": pa.array([None if i % 5 == 0 else i / 3 for i in range(3000)], pa.float64()),
        "flag": pa.array([None if i % 11 == 0 else i % 2 == 0 for i in range(3000)], pa.bool_()),
        "tags": pa.array([[str(i)] * (i % 3) for i in range(3000)], pa.list_(pa.string())),
    }
)


@given(st.lists(st.integers(1, 1500), min_size=1, max_size=12))
def test_bytes_do_not_depend_on_the_batches_that_rows_came_in(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int]
) -> None:
    directory = tmp_path_factory.mktemp("shards")
    whole = write_shard(directory / "whole.arrow", ROWS)
    with ShardWriter(directory / "cut.arrow", ROWS.schema) as writer:
        start = 0
        for size in [*sizes, ROWS.num_rows]:
            for batch in ROWS.slice(start, size).to_batches():
                writer.write(batch)
            start += size
    assert writer.record == whole
    assert read_shard(directory / "cut.arrow").equals(ROWS)


def _write_then_fail(writer: ShardWriter) -> None:
    writer.write(ROWS.to_batches()[0])
    raise ZeroDivisionError


def _write_half_then_stop(file: Any) -> None:
    file.write(b"half")
    raise KeyboardInterrupt


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), ShardWriter(tmp_path / "a.arrow", ROWS.schema) as writer:
        _write_then_fail(writer)
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_replacement_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with pytest.raises(KeyboardInterrupt), replacing(path) as file:
        _write_half_then_stop(file)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("damage", ["truncate", "flip", "delete"])
def test_damage_is_seen(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.arrow"
    record = write_shard(path, ROWS)
    assert is_whole(path, record)
    data = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(data[:-1])
    elif damage == "flip":
        data[len(data) // 2] ^= 1
        path.write_bytes(data)
    else:
        path.unlink()
    assert not is_whole(path, record)


def test_what_is_no_arrow_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.arrow").write_bytes(b"not arrow")
    with pytest.raises(DataError, match=r"a\.arrow: cannot be read as Arrow IPC"):
        read_shard(tmp_path / "a.arrow")


def test_texts_are_taken_in_the_order_asked_for(tmp_path: Path) -> None:
    write_shard(tmp_path / "a.arrow", ROWS)
    texts = MappedTexts([tmp_path / "a.arrow"])
    assert texts.take(0, pa.array([2999, 1, 1024]).to_numpy()).to_pylist() == [
        "text 2999 ä",
        "text 1 ä",
        "text 1024 ä",
    ]
