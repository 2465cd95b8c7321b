import math
import re

import numpy as np
import pyarrow.parquet as pq
import pytest

from curation import audit
from curation.stages.semantic_dedup import SemanticDedup
from curation.static_model import find_model, load_model
from curation.text.angles import plain_cosine
from curation.text.embed import largest_number, plain_embed
from tests.conftest import make_batch, write_jsonl
from tests.stages.global_stage import (
    answer_of,
    dealt,
    decide,
    document,
    kept_ids,
    naive_answer,
)
from tests.static_models import make_static_model, random_vectors
from tests.test_incremental import kept, recipe
from tests.test_runner import run_here

WORDS = [f"w{k}" for k in range(60)]
DIMENSIONS = 70
"""More than one block, and no multiple of it."""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    directory = tmp_path_factory.mktemp("model")
    return str(make_static_model(directory, random_vectors(WORDS, DIMENSIONS)))


@pytest.fixture
def plane(tmp_path):
    """A model of a plane, in which a text of one word has an angle: d<degrees>."""
    turned = {
        f"d{degrees}": [
            round(10_000 * math.cos(math.radians(degrees)), 3),
            round(10_000 * math.sin(math.radians(degrees)), 3),
        ]
        for degrees in range(91)
    }
    return str(make_static_model(tmp_path / "plane", turned))


def sure(model, **settings):
    """A stage that finds practically every pair."""
    fixed = {"recall": 0.999999, "hyperplanes": 2048, "min_token_chars": 0}
    return SemanticDedup(model=model, **{"threshold": 0.95} | fixed | settings)


def words(*numbers):
    return " ".join(f"w{number}" for number in numbers)


def embedding(table, text):
    """The embedding of a text, in plain Python; None where there is no direction."""
    numbers = {word: number for number, word in enumerate(["", *WORDS])}
    known = [numbers[word] for word in re.findall(r"\w+", text.lower()) if word in numbers]
    found = plain_embed(known, table, largest_number(len(table[0])))
    return found if any(found) else None


def oracle(documents, threshold, model):
    files = find_model(model)
    table = load_model(files, files.digest()).table.tolist()
    return naive_answer(
        documents, lambda doc: embedding(table, doc["text"]), plain_cosine, threshold
    )


def test_other_words_of_the_same_meaning_are_a_duplicate_and_the_longest_stays(tmp_path):
    vectors = {
        "dog": [4, 0, 2], "puppy": [4, 0, 1.5], "runs": [1, 3, 0], "sprints": [1, 3, 0.5],
        "tax": [-1, 1, 5],
    }  # fmt: skip
    model = str(make_static_model(tmp_path / "model", vectors))
    shards = [[document("b", "Dog runs")], [document("a", "puppy sprints."), document("c", "tax")]]
    rows = {row["doc_id"]: row for row in decide(sure(model), shards, tmp_path)}
    assert sorted(rows) == ["a", "b"]
    similarity = rows["b"].pop("similarity")
    assert similarity == pytest.approx(1, abs=1e-6)
    assert rows["b"] | {"shard": 0, "row": 0} == {
        "doc_id": "b", "shard": 0, "row": 0, "rejected": True, "reason": "semantic_duplicate",
        "bound": 0.95, "other_id": "a", "cluster": "a",
    }  # fmt: skip
    assert rows["a"] | {"shard": 0, "row": 0} == {
        "doc_id": "a", "shard": 0, "row": 0, "rejected": False, "reason": None,
        "similarity": None, "bound": None, "other_id": None, "cluster": "a",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("documents", "stays"),
    [
        ([document("a", "w1 w2"), document("b", "w2 w1", created=2020)], "b"),
        ([document("a", "w1 w2", created=2021), document("b", "w2 w1", created=2020)], "b"),
        ([document("b", "w1 w2", created=2020), document("a", "w2 w1", created=2020)], "a"),
        ([document("a", "w1 w2", created=2020), document("b", "w2 w1  ")], "b"),
    ],
    ids=["known date first", "oldest first", "smallest id first", "longest before oldest"],
)
def test_priority_decides_who_stays(tmp_path, model, documents, stays):
    assert kept_ids([documents], decide(sure(model), [documents], tmp_path)) == [stays]


def test_policies_and_sources_decide_who_stays(tmp_path, model):
    documents = [
        document("a", "w1 w2", created=2020) | {"source": "web"},
        document("b", "w1 w2 !", created=2022) | {"source": "books"},
        document("c", "w2 w1  ", created=2021) | {"source": "news"},
    ]
    for settings, stays in (
        ({"keep": ["shortest"]}, "a"),
        ({"keep": ["newest"]}, "b"),
        ({"keep": ["source"], "source_priority": ["news", "web"]}, "c"),
        ({"keep": []}, "a"),
    ):
        rows = decide(sure(model, **settings), [documents], tmp_path / stays)
        assert kept_ids([documents], rows) == [stays]


def test_a_chain_keeps_both_ends(tmp_path, plane):
    # 15 degrees are close (0.966), 30 are not (0.866): the middle goes, in one cluster with both.
    texts = {"a": "d0    ", "b": "d15", "c": "d30 "}
    shards = [[document(name, text) for name, text in texts.items()]]
    rows = decide(sure(plane), shards, tmp_path / "a")
    assert kept_ids(shards, rows) == ["a", "c"]
    assert {row["doc_id"]: row["cluster"] for row in rows} == dict.fromkeys("abc", "a")
    shards = [[document(name, text.strip() + " " * (name == "b")) for name, text in texts.items()]]
    rows = decide(sure(plane), shards, tmp_path / "b")
    assert kept_ids(shards, rows) == ["b"]
    assert {row["other_id"] for row in rows if row["rejected"]} == {"b"}


def test_the_closest_survivor_is_named_and_of_equal_ones_the_first(tmp_path, plane):
    texts = {"a": "d0   ", "b": "d30  ", "c": "d16"}
    shards = [[document(name, text) for name, text in texts.items()]]
    rows = {row["doc_id"]: row for row in decide(sure(plane), shards, tmp_path / "nearer")}
    assert rows["c"]["other_id"] == "b"
    assert rows["c"]["similarity"] == pytest.approx(math.cos(math.radians(14)), abs=1e-4)
    texts = {"b": "d0   d60", "a": "d60 d0   d60 d0", "c": "d30"}
    shards = [[document(name, text) for name, text in texts.items()]]
    stage = sure(plane, threshold=1.0)
    rows = {row["doc_id"]: row for row in decide(stage, shards, tmp_path / "equal")}
    assert rows["b"]["other_id"] == "a"


def test_texts_without_a_known_token_never_match(tmp_path, model):
    texts = ["", "", "!?", "!?", "unheard of", "unheard of"]
    shards = [[document(f"d{k}", text) for k, text in enumerate(texts)]]
    assert decide(sure(model), shards, tmp_path) == []


@pytest.mark.parametrize(("bound", "stay"), [(2.6, ["a", "b"]), (2.0, ["b"])])
def test_texts_that_the_tokenizer_takes_to_pieces_never_match(tmp_path, model, bound, stay):
    # 8 characters for 3 tokens, and 10 for 5: the comma counts, though it is unknown.
    shards = [[document("a", "w1 w2 w3"), document("b", "w1, w2, w3")]]
    stage = SemanticDedup(model=model, min_token_chars=bound)
    assert kept_ids(shards, decide(stage, shards, tmp_path)) == stay


@pytest.mark.parametrize("shards", [[], [[]], [[document("a", None)]], [[document("a", "w1")]]])
def test_nothing_to_compare_gives_no_decision(tmp_path, model, shards):
    assert decide(SemanticDedup(model=model), shards, tmp_path) == []


def test_only_the_head_is_compared(tmp_path, model):
    head = words(*range(20))
    texts = [f"{head} {words(*range(20, 60))}", f"{head} {words(*range(59, 30, -1))}"]
    shards = [[document(name, text) for name, text in zip("ab", texts, strict=True)]]
    for chars, stay in ((len(head), ["a"]), (2000, ["a", "b"])):
        stage = sure(model, max_chars=chars, threshold=0.999)
        assert kept_ids(shards, decide(stage, shards, tmp_path / str(chars))) == stay


def test_characters_of_several_bytes_count_as_one(tmp_path):
    directory = make_static_model(tmp_path / "m", {"größe": [1, 0], "länge": [0, 1]})
    shards = [[document("a", "größe länge"), document("b", "größe größe")]]
    stage = sure(str(directory), max_chars=5, threshold=1.0)
    assert kept_ids(shards, decide(stage, shards, tmp_path)) == ["a"]


def random_documents(seed, count=60):
    """Texts of words from a few pools, many of them near one another."""
    rng = np.random.default_rng(seed)
    documents = []
    for _ in range(count):
        base = np.arange(12) + 12 * rng.integers(4)
        picked = base[rng.random(12) > rng.choice([0, 0.1, 0.3])]
        created = rng.choice([None, 2001, 2002])
        text = words(*picked) + " " * int(rng.integers(3))
        documents.append(document(f"d{rng.integers(1 << 40):011}", text, created=created))
    return documents


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("threshold", [0.7, 0.9, 0.98])
def test_decisions_equal_the_naive_rule_however_the_documents_lie(tmp_path, model, seed, threshold):
    documents = random_documents(seed)
    comparable = [d | {"created": d["created"] and d["created"].year} for d in documents]
    expected = oracle(comparable, threshold, model)
    stage = sure(model, threshold=threshold, seed=seed)
    for shards in (1, 4):
        for parts in (None, 5):
            where = tmp_path / f"{shards}-{parts}"
            rows = decide(stage, dealt(documents, shards, seed), where, parts=parts)
            assert answer_of(rows) == expected
            assert [row["doc_id"] for row in rows] == sorted(row["doc_id"] for row in rows)
    assert expected[0]


def test_decisions_do_not_depend_on_threads_memory_or_ranges(tmp_path, model):
    documents, stage = random_documents(99, 200), SemanticDedup(model=model, min_token_chars=0)
    answers = [
        decide(
            stage, dealt(documents, 3, 1), tmp_path / str(n), threads=n, memory_bytes=n << 28,
            parts=None if n == 1 else 64 * n,
        )
        for n in (1, 2, 4)
    ]  # fmt: skip
    assert answers[0] == answers[1] == answers[2]
    assert any(row["rejected"] for row in answers[0])


def test_keys_do_not_depend_on_the_neighbours_in_the_batch(model):
    texts = ["w1 w2", "", "unheard of", "w3 w33 w4", "w5", "w55"]
    make = SemanticDedup(model=model).keys()
    whole = make(make_batch(texts))
    for row, text in enumerate(texts):
        alone = make(make_batch([text]))
        for name, values in whole.items():
            assert values[row] == alone[name][0], name
    assert whole["bands"].is_null().to_pylist() == [False, True, True, False, True, False]
    assert whole["chars"].to_pylist() == [len(text) for text in texts]


@pytest.mark.parametrize("scope", ["source", "label"])
def test_a_scope_separates(tmp_path, model, scope):
    documents = [
        document("a", "w1 w2") | {scope: "x"},
        document("b", "w2 w1") | {scope: "y"},
        document("c", "w1 w2 !") | {scope: "x"},
    ]
    rows = decide(sure(model, scope=scope), [documents], tmp_path)
    assert kept_ids([documents], rows) == ["b", "c"]


MONTHS = {"old": 70, "new": 50}


def month(directory, name, *stages):
    """A recipe of one month, or of several."""
    names = name.split("+")
    sources = {each: [f"{each}.jsonl"] for each in names}
    return recipe(directory, sources, *stages)


def test_a_dataset_against_another_keeps_what_one_run_over_both_keeps(tmp_path, model):
    for seed, (name, count) in enumerate(MONTHS.items()):
        texts = [doc["text"] for doc in random_documents(seed, count)]
        write_jsonl(
            tmp_path / f"{name}.jsonl",
            [{"id": f"{name}{k}", "text": text} for k, text in enumerate(texts)],
        )
    stage = {"kind": "semantic_dedup", "model": model, "min_token_chars": 0, "threshold": 0.9}
    run_here(month(tmp_path, "old", stage), tmp_path / "last")
    grown = {**stage, "against": [str(tmp_path / "last")]}
    run_here(month(tmp_path, "new", grown), tmp_path / "next", partitions=3)
    order = {"keep": ["source", "longest", "oldest"], "source_priority": ["old", "new"]}
    run_here(month(tmp_path, "new+old", {**stage, **order}), tmp_path / "clean")
    assert kept(tmp_path / "next", "new") == kept(tmp_path / "clean", "new")
    assert kept(tmp_path / "last", "old") == kept(tmp_path / "clean", "old")
    assert 0 < len(kept(tmp_path / "next", "new")) < MONTHS["new"]
    for name in ("last", "next", "clean"):
        assert audit.verify(tmp_path / name) == []
    rows = pq.read_table(tmp_path / "next" / "audit" / "clusters.parquet").to_pylist()
    assert {row["kind"] for row in rows} == {"semantic"}
    assert {row["dataset"] for row in rows} == {None, "growing"}


def test_a_crowd_of_copies_is_one_survivor_and_quickly(tmp_path, model):
    copies = [document(f"d{k:05}", words(1, 2, 3) + " w4" * (k % 2)) for k in range(6000)]
    rows = decide(sure(model, threshold=0.999), [copies], tmp_path)
    assert kept_ids([copies], rows) == ["d00000", "d00001"]
