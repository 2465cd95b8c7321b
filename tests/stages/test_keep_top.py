import math
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.errors import RecipeError, SchemaError
from curation.recipe import parse_recipe
from curation.schema import DECISION
from curation.stage import KeyShard, Scratch
from curation.stages.keep_top import REASON, KeepTop
from tests.conftest import make_batch

FIXTURES = [HealthCheck.function_scoped_fixture]


def decide(stage, shards, directory):
    """DECISION rows of shards of (doc_id, score, source), with the doc_id of each."""
    directory.mkdir(parents=True, exist_ok=True)
    keys = []
    for number, rows in enumerate(shards):
        if not rows:
            continue
        ids, scores, sources = zip(*rows, strict=True)
        batch = make_batch(["x"] * len(rows), doc_id=ids, source=sources)
        batch = batch.append_column("s", pa.array(scores, pa.float64()))
        table = pa.table(
            {"row": pa.array(range(len(rows)), pa.int32()), "doc_id": batch["doc_id"]}
            | stage.keys()(batch)
        )
        keys.append(KeyShard(number, directory / f"keys-{number}.arrow"))
        with pa.ipc.new_file(keys[-1].path, table.schema) as writer:
            writer.write_table(table)
    room = directory / "scratch"
    room.mkdir(exist_ok=True)
    answer = stage.decide(keys, None, Scratch(room))
    assert answer.schema == DECISION
    assert not list(room.iterdir())
    found = answer.to_pylist()
    for row in found:
        row["doc_id"] = shards[row["shard"]][row["row"]][0]
    return found


def documents(scores, source="a"):
    return [(f"{source}{k:03}", score, source) for k, score in enumerate(scores)]


def gone(rows):
    return sorted(row["doc_id"] for row in rows)


@pytest.mark.parametrize(
    ("count", "share", "kept"),
    [
        (10, 0.1, 1),
        (30, 0.1, 3),
        (31, 0.1, 4),
        (7, 1, 7),
        (3, 0.001, 1),
        (3000, 1 / 3, 1000),
        (3000, 1e-300, 1),
    ],
)
def test_the_share_is_exact_and_rounded_up(tmp_path, count, share, kept):
    rows = decide(KeepTop(score="s", share=share), [documents(range(count))], tmp_path)
    assert gone(rows) == sorted(f"a{k:03}" for k in range(count - kept))
    assert {row["bound"] for row in rows} <= {float(count - kept)}
    for row in rows:
        assert (row["reason"], row["rejected"], row["other_id"]) == (REASON, True, None)
        assert row["similarity"] == float(row["doc_id"][1:])


def test_the_lowest_can_be_the_best(tmp_path):
    rows = decide(KeepTop(score="s", share=0.25, best="lowest"), [documents(range(8))], tmp_path)
    assert gone(rows) == [f"a{k:03}" for k in range(2, 8)]
    assert {row["bound"] for row in rows} == {1.0}


def test_of_equal_scores_the_smaller_id_stays(tmp_path):
    rows = decide(KeepTop(score="s", share=0.5), [documents([1.0] * 4)], tmp_path)
    assert gone(rows) == ["a002", "a003"]
    assert {(row["similarity"], row["bound"]) for row in rows} == {(1.0, 1.0)}


def test_documents_without_a_score_stay_and_do_not_count(tmp_path):
    scores = [None, math.nan, math.inf, 4.0, 3.0, 2.0, 1.0]
    rows = decide(KeepTop(score="s", share=0.5), [documents(scores)], tmp_path)
    assert gone(rows) == ["a005", "a006"]


def test_every_source_can_have_the_share(tmp_path):
    shards = [documents(range(4)), documents(range(100, 110), "b")]
    assert gone(decide(KeepTop(score="s", share=0.5), shards, tmp_path / "all")) == [
        "a000", "a001", "a002", "a003", "b000", "b001", "b002",
    ]  # fmt: skip
    rows = decide(KeepTop(score="s", share=0.5, per="source"), shards, tmp_path / "per")
    assert gone(rows) == ["a000", "a001", *(f"b{k:03}" for k in range(5))]


@pytest.mark.parametrize("shards", [[], [[]], [documents([None])], [documents([1.0])]])
def test_little_to_rank_gives_no_decision(tmp_path, shards):
    assert decide(KeepTop(score="s", share=0.5), shards, tmp_path) == []


@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    scores=st.lists(st.none() | st.sampled_from([0.0, 0.1, 0.5, 1.0]), max_size=40),
    share=st.sampled_from([0.1, 0.3, 1 / 3, 0.999]),
    deal=st.randoms(use_true_random=False),
)
def test_the_decision_is_that_of_a_plain_sort(tmp_path, scores, share, deal):
    rows = documents(scores)
    there = [row for row in rows if row[1] is not None]
    best = sorted(there, key=lambda row: (-row[1], row[0]))
    expected = sorted(row[0] for row in best[math.ceil(Fraction(str(share)) * len(there)) :])
    shards = [[] for _ in range(3)]
    for row in deal.sample(rows, len(rows)):
        deal.choice(shards).append(row)
    found = decide(KeepTop(score="s", share=share), shards, tmp_path)
    assert [row["doc_id"] for row in found] == expected


def test_a_column_of_words_is_refused():
    stage = KeepTop(score="url", share=0.5)
    with pytest.raises(SchemaError, match="column 'url' holds string; expected numbers"):
        stage.keys()(make_batch(["x"]))


@pytest.mark.parametrize("share", [0, 1.1, -1, math.nan])
def test_an_impossible_share_is_refused(share):
    with pytest.raises(ValidationError, match="share"):
        KeepTop(score="s", share=share)


def test_the_column_must_be_written_by_an_earlier_stage():
    recipe = {
        "name": "r",
        "sources": [{"name": "a", "kind": "text", "paths": ["a.txt"]}],
        "stages": [{"kind": "keep_top", "score": "model_score", "share": 0.1}],
    }
    with pytest.raises(RecipeError, match="keep_top needs column 'model_score'"):
        parse_recipe(recipe)
