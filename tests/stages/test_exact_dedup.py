import pyarrow as pa
import pytest

from curation.stages.exact_dedup import ExactDedup
from tests.stages.global_stage import dealt, decide, document, kept_ids

TEXTS = ["", "same", "Same", "same ", "caf\u00e9", "cafe\u0301", "\x00", "long " * 1000]


def test_the_oldest_stays_and_is_named(tmp_path):
    shards = [
        [document("a", "same", created=2021), document("b", "other")],
        [document("c", "same", created=2020), document("d", "same")],
    ]
    rows = {row["doc_id"]: row for row in decide(ExactDedup(), shards, tmp_path)}
    assert sorted(rows) == ["a", "c", "d"]
    assert not rows["c"]["rejected"]
    assert rows["c"]["reason"] is rows["c"]["other_id"] is rows["c"]["similarity"] is None
    for name in "ad":
        assert rows[name]["rejected"]
        assert rows[name]["reason"] == "exact_duplicate"
        assert rows[name]["other_id"] == "c"
        assert (rows[name]["similarity"], rows[name]["bound"]) == (1.0, 1.0)
    assert {row["cluster"] for row in rows.values()} == {"a"}


def test_of_equally_old_ones_the_smallest_id_stays(tmp_path):
    shards = [[document(name, "same") for name in "cab"]]
    assert kept_ids(shards, decide(ExactDedup(), shards, tmp_path)) == ["a"]


def test_of_equally_old_ones_the_first_in_the_archive_stays(tmp_path):
    documents = [
        document("a", "same", created=2020, offset=900),
        document("b", "same", created=2020, offset=90),
        document("c", "same", created=2020, file="b.jsonl"),
        document("d", "same", created=2021),
    ]
    for number in range(1, 4):
        shards = dealt(documents, number, seed=number)
        assert kept_ids(shards, decide(ExactDedup(), shards, tmp_path / str(number))) == ["b"]


def test_only_equal_bytes_are_exact_duplicates(tmp_path):
    documents = [document(f"{k}", text) for k, text in enumerate(TEXTS)]
    assert decide(ExactDedup(), [documents], tmp_path / "once") == []
    twice = [documents, [document(f"{k}x", text) for k, text in enumerate(TEXTS)]]
    assert len(kept_ids(twice, decide(ExactDedup(), twice, tmp_path / "twice"))) == len(TEXTS)


@pytest.mark.parametrize("shards", [[], [[]], [[document("a", None)]], [[document("a", "x")]]])
def test_nothing_to_compare_gives_no_decision(tmp_path, shards):
    assert decide(ExactDedup(), shards, tmp_path) == []


def test_the_decision_does_not_depend_on_shards(tmp_path):
    documents = [document(f"d{k:03}", TEXTS[k % 7], created=2000 + k % 5) for k in range(90)]
    documents.append(document("single", "once"))
    answers = []
    for number in range(4):
        rows = decide(
            ExactDedup(), dealt(documents, number + 1, seed=number), tmp_path / str(number)
        )
        answers.append([{**row, "shard": 0, "row": 0} for row in rows])
    assert len(answers[0]) == 90
    assert sum(not row["rejected"] for row in answers[0]) == 7
    assert all(answer == answers[0] for answer in answers)


def test_writes_are_columns_of_the_decision():
    stage = ExactDedup(name="twins")
    assert stage.writes().names == ["twins_cluster", "twins_similarity"]
    assert stage.writes().types == [pa.string(), pa.float64()]
