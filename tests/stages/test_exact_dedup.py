import pyarrow as pa
import pytest
from pydantic import ValidationError

from curation.errors import SchemaError
from curation.stages.exact_dedup import ExactDedup
from curation.stages.minhash_dedup import MinhashDedup
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


SAYINGS = {
    "a": "To be, or not to be",
    "b": "to be or not to be!",
    "c": "TO BE  OR\nNOT TO BE",
    "d": "to be or not to bee",
    "e": "Call 12 at 7",
    "f": "call 99 at 0",
    "g": "!!!",
    "h": "...",
    "i": "!!!",
}


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({}, "abcdefgh"),
        ({"normalize": "text"}, "adefgh"),
        ({"normalize": "text", "ignore_digits": True}, "adegh"),
    ],
)
def test_texts_can_be_compared_by_their_words(tmp_path, settings, kept):
    shards = [[document(name, text) for name, text in SAYINGS.items()]]
    rows = decide(ExactDedup(**settings), shards, tmp_path)
    assert kept_ids(shards, rows) == list(kept)
    assert {row["similarity"] for row in rows if row["rejected"]} == {1.0}


def test_digits_cannot_be_left_out_of_bytes():
    with pytest.raises(ValidationError, match="ignore_digits changes nothing without normalize"):
        ExactDedup(ignore_digits=True)


DUMPS = [
    document("a", "same words here", file="CC-MAIN-2024-10/x.warc.gz") | {"source": "one"},
    document("b", "same words here", file="CC-MAIN-2024-10/y.warc.gz") | {"source": "two"},
    document("c", "same words here", file="CC-MAIN-2024-18/x.warc.gz") | {"source": "one"},
    document("d", "same words here") | {"source": "two", "meta": '{"dump": "CC-MAIN-2024-18"}'},
    document("e", "same words here") | {"source": "two", "meta": '{"n": 1}'},
    document("f", "same words here") | {"source": "two", "label": "x"},
]


@pytest.mark.parametrize("make", [ExactDedup, MinhashDedup])
@pytest.mark.parametrize(
    ("scope", "kept"),
    [(None, "a"), ("source", "ab"), ("dump", "ace"), ("meta.n", "ae"), ("label", "af")],
)
def test_duplicates_are_looked_for_inside_a_scope(tmp_path, make, scope, kept):
    rows = decide(make(scope=scope, keep=[]), [DUMPS], tmp_path)
    assert kept_ids([DUMPS], rows) == list(kept)


@pytest.mark.parametrize("make", [ExactDedup, MinhashDedup])
def test_a_scope_that_holds_no_names_is_one_line(tmp_path, make):
    stage = make(scope="origin", keep=[])
    with pytest.raises(
        SchemaError, match=r"scope 'origin' holds struct<.*; expected words"
    ) as error:
        decide(stage, [DUMPS], tmp_path)
    assert str(error.value).startswith(f"stage {stage.name}: ")


def test_columns_that_scope_and_policies_read_are_needed():
    assert ExactDedup(scope="dump").reads() == {"text", "origin", "meta", "created", "parent_id"}
    assert ExactDedup(scope="label", keep=["highest:x"]).reads() == {
        "text",
        "origin",
        "label",
        "parent_id",
        "x",
    }
    assert MinhashDedup().reads() == {"text", "created", "parent_id"}
