import numpy as np
import pyarrow as pa
import pytest

from curation import vectors as module
from curation.clusters import Meetings
from curation.shuffle import document_numbers
from curation.stage import KeyShard
from curation.text.angles import plain_cosine
from curation.vectors import KeyVectors, choose_close, load_vectors, thinned_out
from tests.test_clusters import naive


def spread(count, dimensions=70, groups=6, seed=1):
    """Vectors around a few others, some of them equal."""
    rng = np.random.default_rng(seed)
    centers = rng.integers(-2000, 2001, (groups, dimensions))
    near = rng.integers(-900, 901, (count, dimensions)) * rng.integers(0, 3, (count, 1)) // 2
    return np.clip(centers[rng.integers(groups, size=count)] + near, -2896, 2896).astype(np.int16)


def write_shards(directory, vectors, shards, seed=1, chunk=4):
    """Deals vectors onto shards, leaving rows out; returns the shards and the document numbers."""
    rng = np.random.default_rng(seed)
    dealt = rng.integers(shards, size=len(vectors))
    documents, found = np.zeros(len(vectors), np.int64), []
    for shard in range(shards):
        mine = np.flatnonzero(dealt == shard)
        rows = np.sort(rng.choice(3 * len(vectors), len(mine), replace=False)).astype(np.int32)
        documents[mine] = document_numbers(shard, rows)
        flat = pa.array(vectors[mine].reshape(-1))
        lists = pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])
        table = pa.table({"row": rows, "vector": lists})
        found.append(KeyShard(shard, directory / f"{shard}.arrow"))
        with pa.ipc.new_file(found[-1].path, table.schema) as writer:
            writer.write_table(table, max_chunksize=chunk)
    return found, documents


def test_vectors_are_taken_from_shards_of_many_pieces(tmp_path):
    vectors = spread(61)
    shards, documents = write_shards(tmp_path, vectors, 5)
    order = np.argsort(documents)
    keys = KeyVectors(shards, "vector")
    for picked in (order, order[::3], order[:1], order[:0]):
        assert (keys.take(documents[picked]) == vectors[picked]).all()


def close_in_buckets(vectors, hashes, members, threshold):
    """Which members have a close one in their bucket, all pairs compared."""
    return [
        any(
            hashes[other] == hashes[k]
            and other != k
            and plain_cosine(vectors[members[k]].tolist(), vectors[members[other]].tolist())
            >= threshold
            for other in range(len(members))
        )
        for k in range(len(members))
    ]


@pytest.mark.parametrize("threshold", [0.8, 0.95, 1.0])
@pytest.mark.parametrize("together", [1, 7, 1 << 17])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_buckets_keep_those_with_a_close_one(tmp_path, monkeypatch, threshold, together, seed):
    monkeypatch.setattr(module, "_TOGETHER", together)
    vectors = spread(60, seed=seed)
    shards, documents = write_shards(tmp_path, vectors, 3)
    rng = np.random.default_rng(seed)
    hashes = np.sort(rng.integers(9, size=150).astype(np.uint64))
    members = np.concatenate(
        [rng.choice(60, (hashes == value).sum(), replace=False) for value in np.unique(hashes)]
    )
    table = pa.table({"hash": hashes, "document": documents[members]})
    found = thinned_out(table, KeyVectors(shards, "vector"), threshold)
    expected = close_in_buckets(vectors, hashes, members, threshold)
    assert found.to_pylist() == table.filter(pa.array(expected)).to_pylist()
    assert 0 < sum(expected) < len(expected)


def test_of_no_buckets_nothing_is_left(tmp_path):
    table = pa.table({"hash": pa.array([], pa.uint64()), "document": pa.array([], pa.int64())})
    assert thinned_out(table, KeyVectors([], "vector"), 0.9).num_rows == 0


@pytest.mark.parametrize("threshold", [0.8, 0.95, 1.0])
@pytest.mark.parametrize(("seed", "fixed"), [(1, 0), (2, 0), (3, 20)])
def test_who_stays_is_as_if_all_were_compared(tmp_path, monkeypatch, threshold, seed, fixed):
    monkeypatch.setattr(module, "_TOGETHER", 16)
    vectors = spread(90, seed=seed)
    shards, documents = write_shards(tmp_path, vectors, 4)
    rng = np.random.default_rng(seed)
    buckets = [np.flatnonzero(rng.random(4) < 0.6).tolist() for _ in vectors]
    flat = np.array([bucket for own in buckets for bucket in own], np.int32)
    meetings = Meetings(
        flat,
        np.cumsum([0, *map(len, buckets)]),
        np.concatenate([[0], np.cumsum(np.bincount(flat))]),
    )
    keys = KeyVectors(shards, "vector")
    candidates = load_vectors(documents, meetings, keys, threshold, tmp_path / "vectors")
    found = choose_close(candidates, fixed)
    expected = naive(vectors.tolist(), plain_cosine, buckets, threshold, fixed)
    assert list(zip(found.twin.tolist(), found.similarity.tolist(), strict=True)) == expected
    assert fixed < sum(twin < 0 for twin, _ in expected) < len(vectors)
