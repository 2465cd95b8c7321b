import re

import numpy as np
import pyarrow.parquet as pq
import pytest
from datasketch import MinHash
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.stages.minhash_dedup import MinhashDedup
from curation.text.minhash import plain_band_keys, shingle_value
from curation.text.shingles import plain_shingles
from tests.conftest import make_batch
from tests.stages.global_stage import (
    answer_of,
    dealt,
    decide,
    document,
    kept_ids,
    naive_answer,
)

SURE = MinhashDedup(ngram=1, recall=0.999999, permutations=400)
"""Finds practically every pair of the small sets here; one word is one shingle."""


def words(*spans):
    """A text of the words w<k>, k in some half-open spans."""
    return " ".join(f"w{k}" for start, end in spans for k in range(start, end))


def shingle_set(text, ngram=5):
    tokens = re.findall(r"\w+", text.lower())
    width = min(ngram, len(tokens))
    return {" ".join(tokens[k : k + width]) for k in range(len(tokens) - width + 1) if tokens}


def jaccard(one, two):
    return len(one & two) / len(one | two) if one | two else 0.0


def oracle(documents, threshold):
    return naive_answer(documents, lambda doc: shingle_set(doc["text"], 1), jaccard, threshold)


def test_of_two_near_duplicates_the_longest_stays(tmp_path):
    shards = [[document("b", words((0, 90)))], [document("a", words((0, 100))), document("c", "x")]]
    rows = {row["doc_id"]: row for row in decide(SURE, shards, tmp_path)}
    assert sorted(rows) == ["a", "b"]
    assert rows["b"] | {"shard": 0, "row": 0} == {
        "doc_id": "b", "shard": 0, "row": 0, "rejected": True, "reason": "near_duplicate",
        "similarity": 0.9, "bound": 0.8, "other_id": "a", "cluster": "a",
    }  # fmt: skip
    assert rows["a"] | {"shard": 0, "row": 0} == {
        "doc_id": "a", "shard": 0, "row": 0, "rejected": False, "reason": None,
        "similarity": None, "bound": None, "other_id": None, "cluster": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("documents", "kept"),
    [
        ([document("a", "x y z"), document("b", "z y x", created=2020)], "b"),
        ([document("a", "x y z", created=2021), document("b", "z y x", created=2020)], "b"),
        ([document("b", "x y z", created=2020), document("a", "z y x", created=2020)], "a"),
        ([document("a", "x y z", created=2020), document("b", "z y x  ")], "b"),
    ],
    ids=["known date first", "oldest first", "smallest id first", "longest before oldest"],
)
def test_priority_decides_who_stays(tmp_path, documents, kept):
    assert kept_ids([documents], decide(SURE, [documents], tmp_path)) == [kept]


def test_a_chain_keeps_both_ends(tmp_path):
    # A~B and B~C reach 0.8, A and C do not: B goes, A and C stay, all in one cluster.
    texts = {"a": words((0, 102)), "b": words((9, 110)), "c": words((18, 118))}
    sets = {name: shingle_set(text, 1) for name, text in texts.items()}
    assert jaccard(sets["a"], sets["b"]) >= 0.8 <= jaccard(sets["b"], sets["c"])
    assert jaccard(sets["a"], sets["c"]) < 0.8
    texts["a"] += " " * 200
    texts["c"] += " " * 100
    shards = [[document(name, text) for name, text in texts.items()]]
    rows = decide(SURE, shards, tmp_path)
    assert kept_ids(shards, rows) == ["a", "c"]
    assert {row["doc_id"]: row["cluster"] for row in rows} == dict.fromkeys("abc", "a")


def test_a_chain_whose_middle_stays_loses_both_ends(tmp_path):
    texts = {"a": words((0, 102)), "b": words((9, 110)) + " " * 99, "c": words((18, 118))}
    shards = [[document(name, text)] for name, text in texts.items()]
    rows = decide(SURE, shards, tmp_path)
    assert kept_ids(shards, rows) == ["b"]
    assert {row["other_id"] for row in rows if row["rejected"]} == {"b"}


def test_the_most_similar_survivor_is_named_and_of_equal_ones_the_first(tmp_path):
    one, two = words((0, 100), (200, 214)), words((0, 100), (300, 312))
    nearer_two = words((0, 100), (300, 306))
    shards = [[document("a", one), document("b", two), document("c", nearer_two)]]
    rows = {row["doc_id"]: row for row in decide(SURE, shards, tmp_path / "nearer")}
    assert rows["c"]["other_id"] == "b"
    assert rows["c"]["similarity"] == 106 / 112
    two = words((0, 100), (300, 314))
    shards = [[document("a", two), document("b", one), document("c", words((0, 100)))]]
    rows = {row["doc_id"]: row for row in decide(SURE, shards, tmp_path / "equal")}
    assert rows["c"]["other_id"] == "a"


def test_a_template_with_other_fillings_is_not_wiped_out(tmp_path):
    filled = [
        document(f"{k:03}", words((0, 60), (1000 + 20 * k, 1020 + 20 * k))) for k in range(60)
    ]
    assert kept_ids([filled], decide(SURE, [filled], tmp_path)) == [d["doc_id"] for d in filled]


def test_documents_without_words_never_match(tmp_path):
    shards = [[document("a", ""), document("b", ""), document("c", "!?"), document("d", "!?")]]
    assert decide(SURE, shards, tmp_path) == []


@pytest.mark.parametrize("shards", [[], [[]], [[document("a", None)]], [[document("a", "x")]]])
def test_nothing_to_compare_gives_no_decision(tmp_path, shards):
    assert decide(MinhashDedup(), shards, tmp_path) == []


def test_short_documents_match_only_as_a_whole(tmp_path):
    shards = [
        [document("a", "One two three."), document("b", "one, two three"), document("c", "one two")]
    ]
    assert kept_ids(shards, decide(MinhashDedup(), shards, tmp_path)) == ["a", "c"]


def random_documents(seed, count=60):
    """Texts of words from a few pools, many of them near one another."""
    rng = np.random.default_rng(seed)
    documents = []
    for _ in range(count):
        base = np.arange(40) + 30 * rng.integers(4)
        text = " ".join(f"w{word}" for word in base[rng.random(40) > rng.choice([0, 0.05, 0.2])])
        created = rng.choice([None, 2001, 2002])
        documents.append(document(f"d{rng.integers(1 << 40):011}", text, created=created))
    return documents


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_decisions_equal_the_naive_rule_however_the_documents_lie(tmp_path, seed, threshold):
    documents = random_documents(seed)
    comparable = [d | {"created": d["created"] and d["created"].year} for d in documents]
    expected = oracle(comparable, threshold)
    stage = MinhashDedup(threshold=threshold, ngram=1, recall=0.999999, permutations=400, seed=seed)
    for shards in (1, 4):
        rows = decide(stage, dealt(documents, shards, seed), tmp_path / str(shards))
        assert answer_of(rows) == expected
        assert [row["doc_id"] for row in rows] == sorted(row["doc_id"] for row in rows)


def test_decisions_do_not_depend_on_threads_or_memory(tmp_path):
    documents = random_documents(99, 200)
    answers = [
        decide(SURE, dealt(documents, 3, 1), tmp_path / str(n), threads=n, memory_bytes=n << 28)
        for n in (1, 2, 4)
    ]
    assert answers[0] == answers[1] == answers[2]
    assert any(row["rejected"] for row in answers[0])


def test_keys_are_bands_of_datasketch_signatures():
    text = "The quick brown fox jumps over the lazy dog"
    stage = MinhashDedup(seed=17)
    keys = stage.keys()(make_batch([text, "..."]))
    reference = MinHash(stage.banding.permutations, 17, scheme="affine32", hashfunc=shingle_value)
    reference.update_batch(plain_shingles(text, 5))
    expected = plain_band_keys(reference.hashvalues.tolist(), stage.banding.bands)
    assert keys["bands"].to_pylist() == [expected, None]
    assert keys["chars"].to_pylist() == [len(text), 3]


@given(st.floats(0.1, 1), st.floats(0.01, 0.99))
def test_banding_reaches_the_recall_of_the_settings(threshold, recall):
    stage = MinhashDedup(threshold=threshold, recall=recall)
    assert stage.banding.recall(threshold) >= recall - 1e-12
    assert stage.banding.permutations <= stage.permutations


def test_settings_that_cannot_reach_the_recall_say_what_is_needed():
    with pytest.raises(ValidationError, match=r"10 permutations cannot .* expected 21 or more"):
        MinhashDedup(threshold=0.2, recall=0.99, permutations=10)


def test_writes_are_columns_of_the_decision():
    assert MinhashDedup().writes().names == ["minhash_dedup_cluster", "minhash_dedup_similarity"]


@pytest.fixture(scope="module")
def pydoc(shared_data):
    """The Python documentation in three versions, and the similarity of every pair from 0.1 on."""
    table = pq.read_table(shared_data / "near-dup/pydoc-versions.parquet")
    pairs = pq.read_table(shared_data / "near-dup/pydoc-pairs.parquet").to_pylist()
    texts = dict(zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True))
    similar = {frozenset((p["id_a"], p["id_b"])): p["jaccard"] for p in pairs}
    assert (len(texts), sum(value >= 0.8 for value in similar.values())) == (1487, 854)
    return texts, similar


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize("threshold", [0.9, 0.8, 0.7])
def test_on_real_documents_each_rejected_one_has_a_kept_twin_and_few_pairs_stay(
    pydoc, tmp_path, threshold
):
    texts, similar = pydoc
    documents = [document(name, text) for name, text in texts.items()]
    rows = decide(MinhashDedup(threshold=threshold), dealt(documents, 5, seed=1), tmp_path, parts=3)
    rejected = {row["doc_id"]: row for row in rows if row["rejected"]}
    for name, row in rejected.items():
        assert row["other_id"] not in rejected
        assert row["similarity"] >= threshold
        expected = similar[frozenset((name, row["other_id"]))]
        assert row["similarity"] == pytest.approx(expected, abs=1e-6)
    near = {pair for pair, value in similar.items() if value >= threshold}
    assert sum(pair.isdisjoint(rejected) for pair in near) <= 0.01 * len(near)
    # Components would keep fewer, but through chains: this rule keeps those without a kept twin.
    kept = set()
    for name in sorted(texts, key=lambda name: (-len(texts[name]), name)):
        if not any(frozenset((name, other)) in near for other in kept):
            kept.add(name)
    assert len(texts) - len(rejected) == pytest.approx(len(kept), abs=6)
