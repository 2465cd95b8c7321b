import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import DataError
from curation.ranges import part_count, repeated, split_hashes, write_hashes
from curation.shuffle import document_numbers
from curation.stage import KeyShard, Part
from curation.stages.exact_dedup import ExactDedup
from curation.stages.minhash_dedup import MinhashDedup
from tests.stages.global_stage import dealt, decide, document

hashes = st.integers(0, 20) | st.integers(0, 2**64 - 1) | st.integers(2**64 - 20, 2**64 - 1)


def write(directory, shards):
    """Hash files of shards of rows of two hashes, or None."""
    keys = []
    for number, rows in enumerate(shards):
        lists = pa.array(rows, pa.list_(pa.uint64(), 2))
        table = pa.table({"row": pa.array(range(len(rows)), pa.int32()), "bands": lists})
        plain, found = split_hashes(table, "bands")
        assert plain.column_names == ["row"]
        path = directory / f"{number}.arrow"
        assert write_hashes(path, found).rows == 2 * sum(row is not None for row in rows)
        keys.append(KeyShard(number, path, path))
    return keys


rows = st.lists(st.none() | st.tuples(hashes, hashes), max_size=12)


@settings(deadline=None, max_examples=40)
@given(st.lists(rows, max_size=4), st.sampled_from([1, 2, 3, 256]))
def test_ranges_together_find_each_repeated_hash(tmp_path_factory, shards, parts):
    directory = tmp_path_factory.mktemp("ranges")
    keys = write(directory, shards)
    found = {}
    for part in range(parts):
        table = repeated(keys, Part(part, parts))
        for value, document_number in zip(*(column.to_pylist() for column in table), strict=True):
            found.setdefault(value, []).append(document_number)
    expected: dict = {}
    for number, shard in enumerate(shards):
        for row, values in enumerate(shard):
            for value in values or ():
                place = int(document_numbers(number, np.array([row], np.int32))[0])
                expected.setdefault(value, []).append(place)
    wanted = {value: sorted(places) for value, places in expected.items() if len(places) > 1}
    assert {value: sorted(places) for value, places in found.items()} == wanted


def test_parts_cover_all_first_bytes_once():
    for count in (1, 2, 3, 7, 100, 256):
        covered = [byte for k in range(count) for byte in Part(k, count).first_bytes]
        assert covered == list(range(256))


def test_ranges_follow_from_memory_and_workers():
    assert part_count(0, 1 << 30, 8) == 1
    assert part_count(16_000_000, 2 << 30, 1) == 1
    assert part_count(16_000_000, 2 << 30, 4) == 4
    assert part_count(160_000_000, 2 << 30, 1) == 10
    assert part_count(1 << 40, 2 << 30, 1) == 256


def test_a_hash_file_that_is_none_is_named(tmp_path):
    path = tmp_path / "h.arrow"
    with pytest.raises(DataError, match=r"hashes of shard 3: cannot read .*h\.arrow"):
        repeated([KeyShard(3, path, path)], Part(0, 1))


@pytest.mark.parametrize("stage", [ExactDedup(), MinhashDedup(ngram=1)], ids=["exact", "near"])
def test_the_answer_does_not_depend_on_the_number_of_ranges(tmp_path, stage):
    rng = np.random.default_rng(5)
    texts = [" ".join(f"w{word}" for word in rng.integers(4, size=3)) for _ in range(150)]
    shards = dealt([document(f"d{k:03}", text) for k, text in enumerate(texts)], 4, 1)
    answers = [
        decide(stage, shards, tmp_path / str(parts), parts=parts) for parts in (None, 1, 3, 256)
    ]
    assert any(row["rejected"] for row in answers[0])
    assert all(answer == answers[0] for answer in answers)
