import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import DataError
from curation.schema import DECISION
from curation.shuffle import (
    Repeats,
    decisions,
    document_numbers,
    open_database,
    place_of,
    read_keys,
)
from curation.stage import KeyShard, Scratch

hashes = st.integers(0, 20) | st.integers(0, 2**64 - 1)


@settings(deadline=None)
@given(st.lists(hashes, max_size=50), st.integers(0, 1 << 20))
def test_repeats_tells_every_key_that_occurs_twice(values, memory):
    keys = np.array(values, np.uint64)
    repeats = Repeats(len(keys), memory)
    repeats.count(keys[: len(keys) // 2])
    repeats.count(keys[len(keys) // 2 :])
    told = repeats.told(keys)
    assert all(told[k] for k, value in enumerate(values) if values.count(value) > 1)


def test_repeats_tells_few_keys_that_occur_once():
    keys = np.random.default_rng(1).integers(0, 1 << 64, (10_000, 10), dtype=np.uint64)
    repeats = Repeats(keys.size, 1 << 30)
    repeats.count(keys)
    told = repeats.told(keys)
    assert told.shape == keys.shape
    assert told.mean() < 0.1


def test_repeats_in_little_memory_still_misses_nothing():
    keys = np.random.default_rng(1).integers(0, 1 << 64, 100_000, dtype=np.uint64)
    repeats = Repeats(keys.size, 0)
    repeats.count(keys)
    repeats.count(keys[:100])
    assert repeats.told(keys[:100]).all()


@given(st.integers(0, 2**31 - 1), st.lists(st.integers(0, 2**31 - 1)))
def test_document_numbers_lead_back_to_shard_and_row(shard, rows):
    shards, found = place_of(document_numbers(shard, np.array(rows, np.int32)))
    assert found.tolist() == rows
    assert set(shards.tolist()) <= {shard}


def test_database_spills_into_scratch_and_leaves_nothing(tmp_path):
    with open_database(Scratch(tmp_path, memory_bytes=128 << 20, threads=1)) as database:
        database.execute("CREATE TABLE t AS SELECT hash(i) AS h FROM range(12000000) AS r(i)")
        assert list((tmp_path / "duckdb").iterdir())
        assert database.sql("SELECT count(*) FROM t").fetchall() == [(12_000_000,)]
    assert not list(tmp_path.iterdir())


def _overflow(directory):
    with open_database(Scratch(directory, memory_bytes=0, threads=1)) as database:
        database.execute("SET max_temp_directory_size = '1MiB'")
        database.execute("CREATE TABLE t AS SELECT hash(i) AS h FROM range(30000000) AS r(i)")


def test_database_without_room_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match=r"grouping of keys in .*: .*; free some disk space"):
        _overflow(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_key_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "keys.arrow"
    with pytest.raises(DataError, match=r"keys of shard 3: cannot read .*keys\.arrow"):
        read_keys(KeyShard(3, path))
    path.write_bytes(b"no arrow")
    with pytest.raises(DataError, match="expected an Arrow IPC file"):
        read_keys(KeyShard(3, path))


def test_decisions_fill_the_columns_that_were_not_found():
    found = pa.table({"row": [4], "shard": [1], "rejected": [True]})
    table = decisions(found, reason="because")
    assert table.schema == DECISION
    assert table.to_pylist() == [
        dict.fromkeys(DECISION.names)
        | {"shard": 1, "row": 4, "rejected": True, "reason": "because"}
    ]
