import pytest

from curation.stages.unique_id import UniqueId
from tests.stages.global_stage import decide, document


def test_a_repeated_id_is_rejected_where_it_lies_later(tmp_path):
    shards = [
        [document("a", "x", file="b.jsonl", offset=5), document("b", "x", offset=9)],
        [document("a", "y", file="a.jsonl", offset=7), document("c", "z")],
        [document("a", "w", file="b.jsonl", offset=4)],
    ]
    rows = decide(UniqueId(), shards, tmp_path)
    assert [(row["shard"], row["row"]) for row in rows] == [(2, 0), (0, 0)]
    for row in rows:
        assert row["rejected"]
        assert (row["reason"], row["other_id"]) == ("repeated_id", "a")
        assert (row["similarity"], row["bound"], row["cluster"]) == (None, None, None)


@pytest.mark.parametrize("shards", [[], [[]], [[document("a", "x"), document("b", "x")]]])
def test_unique_ids_give_no_decision(tmp_path, shards):
    assert decide(UniqueId(), shards, tmp_path) == []


def test_the_decision_does_not_depend_on_shards(tmp_path):
    documents = [document(f"d{k % 40}", "x", file=f"f{k % 3}", offset=k) for k in range(100)]
    answers = set()
    for number, shards in enumerate(
        [[documents], [documents[::-1]], [documents[::2], documents[1::2]]]
    ):
        rows = decide(UniqueId(), shards, tmp_path / str(number))
        places = [shards[row["shard"]][row["row"]]["origin"] for row in rows]
        answers.add(tuple((place["file"], place["offset"]) for place in places))
    assert len(answers) == 1
    assert len(answers.pop()) == 60
