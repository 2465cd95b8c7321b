import hashlib
import math
import time
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.errors import DataError, RecipeError, SchemaError
from curation.schema import DECISION
from curation.stage import KeyShard, Scratch
from curation.stages.mix import REASON, Mix
from tests.conftest import make_batch

FIXTURES = [HealthCheck.function_scoped_fixture]


def batch_of(rows):
    """Documents of (doc_id, source, bytes, side, number)."""
    ids, sources, sizes, sides, numbers = zip(*rows, strict=True)
    return make_batch(
        ["x" * size for size in sizes],
        doc_id=ids,
        source=sources,
        split=pa.array(sides, pa.string()),
        number=pa.array(numbers, pa.int64()),
    )


def decide(stage, shards, directory):
    """Per doc_id: how many copies, 0 of rejected ones; and the DECISION rows."""
    directory.mkdir(parents=True, exist_ok=True)
    keys = []
    for number, rows in enumerate(shards):
        if not rows:
            continue
        batch = batch_of(rows)
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
    assert answer.select(DECISION.names).schema == DECISION
    assert not list(room.iterdir())
    copies = {row[0]: 1 for rows in shards for row in rows}
    rows = answer.to_pylist()
    for row in rows:
        doc_id = shards[row["shard"]][row["row"]][0]
        row["doc_id"] = doc_id
        assert row["rejected"] == (row["copies"] is None)
        assert row["rejected"] or row["copies"] > 1
        copies[doc_id] = row["copies"] or 0
    return copies, rows


def documents(source, count, size=10, side="train", number=0):
    return [(f"{source}{k:04}", source, size, side, number) for k in range(count)]


def written(copies, rows, source):
    return sum(copies[row[0]] * row[2] for row in rows if row[1] == source)


def mix_of(**options):
    return Mix(**{"seed": 3, **options})


def test_the_larger_source_is_thinned_out_to_its_share(tmp_path):
    rows = documents("web", 900) + documents("books", 100)
    copies, answer = decide(mix_of(weights={"web": 3, "books": 1}), [rows], tmp_path)
    assert written(copies, rows, "web") == 3000
    assert written(copies, rows, "books") == 1000
    assert max(copies.values()) == 1
    gone = [row for row in answer if row["rejected"]]
    assert len(gone) == 600
    for row in gone:
        assert row["reason"] == REASON
        assert row["other_id"] is None
        assert 0 < row["bound"] < row["similarity"] <= 1
    assert len({row["bound"] for row in gone}) == 1


def test_the_smaller_source_is_repeated_up_to_the_cap(tmp_path):
    rows = documents("web", 900) + documents("books", 100)
    weights = {"web": 0.75, "books": 0.25}
    copies, _ = decide(mix_of(weights=weights, max_repeats=2), [rows], tmp_path / "2")
    assert written(copies, rows, "books") == 2000
    assert written(copies, rows, "web") == 6000
    copies, _ = decide(mix_of(weights=weights, max_repeats=4), [rows], tmp_path / "4")
    assert written(copies, rows, "books") == 4000
    assert written(copies, rows, "web") == 12000
    assert {copies[row[0]] for row in rows if row[1] == "web"} == {1, 2}
    assert {copies[row[0]] for row in rows if row[1] == "books"} == {4}


def test_total_is_a_bound_and_only_adds_copies(tmp_path):
    rows = documents("web", 300) + documents("books", 300)
    weights, before = {"web": 0.7, "books": 0.3}, {}
    for total in (500, 1000, 2995, 9999):
        stage = mix_of(weights=weights, max_repeats=3, total=total)
        copies, _ = decide(stage, [rows], tmp_path / str(total))
        found = written(copies, rows, "web") + written(copies, rows, "books")
        assert total - 20 < found <= total
        assert all(copies[doc_id] >= count for doc_id, count in before.items())
        before = copies


def test_documents_can_be_counted_and_so_can_a_column(tmp_path):
    rows = documents("a", 50, size=7, number=2) + documents("b", 50, size=70, number=6)
    weights = {"a": 1, "b": 1}
    copies, _ = decide(mix_of(weights=weights, unit="documents"), [rows], tmp_path / "d")
    assert set(copies.values()) == {1}
    copies, _ = decide(mix_of(weights=weights, unit="number"), [rows], tmp_path / "n")
    assert sum(copies[row[0]] for row in rows if row[1] == "b") == 16


def test_what_is_held_out_or_has_no_weight_is_left_alone(tmp_path):
    rows = documents("web", 50) + documents("books", 10) + documents("other", 20)
    rows += [(f"held{k}", "web", 10, "eval", 0) for k in range(5)]
    copies, _ = decide(mix_of(weights={"web": 1, "books": 1}), [rows], tmp_path)
    assert sum(copies[row[0]] for row in rows[:50]) == 10
    assert {copies[row[0]] for row in rows[60:]} == {1}


def test_documents_weigh_by_a_column(tmp_path):
    rows = [(f"d{k}", "web", 10, "train", k // 10) for k in range(60)]
    stage = mix_of(copies_by="number", copies={"2": 3, "4": 0, "5": 0.5}, max_repeats=3)
    copies, _ = decide(stage, [rows], tmp_path)
    groups = [[copies[f"d{k}"] for k in range(start, start + 10)] for start in range(0, 60, 10)]
    assert [set(group) for group in groups[:5]] == [{1}, {1}, {3}, {3}, {0}]
    assert 0 < sum(groups[5]) < 10


def test_weights_of_documents_decide_who_is_taken_first(tmp_path):
    rows = [(f"d{k:03}", "web", 10, "train", k % 2) for k in range(400)]
    rows += documents("books", 200)
    stage = mix_of(weights={"web": 1, "books": 1}, copies_by="number", copies={1: 3.0})
    copies, _ = decide(stage, [rows], tmp_path)
    likely = sum(copies[row[0]] for row in rows[1:400:2])
    seldom = sum(copies[row[0]] for row in rows[0:400:2])
    assert likely + seldom == 200
    assert 2 < likely / seldom < 4.5


def plain_share(stage, row):
    bounds = [bound for bound in stage.copies if bound <= row[4]]
    return stage.copies[max(bounds)] if bounds else 1.0


def plain_mix(stage, rows):
    """The meaning of the stage, in plain Python."""
    key = stage.seed.to_bytes(8, "little")
    mixed = [row for row in rows if row[1] in stage.weights and row[3] == "train"]
    shares = {row[0]: plain_share(stage, row) for row in mixed}
    most = {
        source: stage.max_repeats
        * sum(row[2] for row in mixed if row[1] == source and shares[row[0]])
        for source in stage.weights
    }
    weights = {source: Fraction(str(weight)) for source, weight in stage.weights.items()}
    whole = min(most[source] / weight for source, weight in weights.items())
    if stage.total is not None:
        whole = min(whole, Fraction(stage.total) / sum(weights.values()))
    copies = {row[0]: int(row not in mixed) for row in rows}
    for source, weight in weights.items():
        places = []
        for doc_id, of, size, *_ in mixed:
            digest = hashlib.blake2b(doc_id.encode(), digest_size=8, key=key, person=b"mix")
            draw = (int.from_bytes(digest.digest(), "little") + 1) / 2**64
            if of == source and shares[doc_id]:
                places += [
                    ((k + draw) / shares[doc_id], doc_id, size) for k in range(stage.max_repeats)
                ]
        held, room = 0, math.floor(whole * weight)
        for _, doc_id, size in sorted(places):
            held += size
            if held > room:
                break
            copies[doc_id] += 1
    return copies


@settings(max_examples=40, deadline=None, suppress_health_check=FIXTURES)
@given(
    sizes=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    others=st.lists(st.integers(1, 30), min_size=1, max_size=15),
    weight=st.sampled_from([0.01, 0.1, 1, 2.5, 30]),
    repeats=st.sampled_from([1, 2, 3, 40, 1000]),
    copies=st.sampled_from([{}, {1: 0.3, 2: 7}, {1: 0, 3: 45.5}, {0: 0.01}]),
    total=st.sampled_from([None, 1, 90, 2000]),
    deal=st.randoms(use_true_random=False),
)
def test_the_decision_is_the_plain_one_however_shards_are_dealt(
    tmp_path, sizes, others, weight, repeats, copies, total, deal
):
    rows = [("a", "a", 0, "train", 0), ("b", "b", 2, "train", 0)]
    rows += [(f"a{k}", "a", size, "train", k % 5) for k, size in enumerate(sizes)]
    rows += [(f"b{k}", "b", size, "train", k % 4) for k, size in enumerate(others)]
    by = {"copies": copies, "copies_by": "number"} if copies else {}
    stage = mix_of(weights={"a": weight, "b": 1}, max_repeats=repeats, total=total, **by)
    shards = [[] for _ in range(3)]
    for row in deal.sample(rows, len(rows)):
        deal.choice(shards).append(row)
    copies, _ = decide(stage, shards, tmp_path)
    assert copies == plain_mix(stage, rows)


def test_the_work_does_not_grow_with_the_repeats_that_are_allowed(tmp_path):
    rows = documents("web", 12_000) + documents("books", 12_000, size=11)
    options = {"weights": {"web": 1, "books": 3}, "total": 150_000, "unit": "number"}
    rows = [(*row[:4], 10) for row in rows]
    started = time.perf_counter()
    copies, _ = decide(mix_of(**options, max_repeats=1000), [rows], tmp_path / "many")
    assert time.perf_counter() - started < 10  # 24 million copies take minutes
    assert copies == decide(mix_of(**options, max_repeats=2), [rows], tmp_path / "two")[0]
    assert sum(copies.values()) == 15_000


def test_no_documents_give_no_decision(tmp_path):
    assert decide(mix_of(weights={"web": 1}), [[]], tmp_path) == ({}, [])


def test_a_source_of_which_nothing_is_left_is_told(tmp_path):
    with pytest.raises(DataError, match=r"source 'books' has weight 1, but no text is left"):
        decide(mix_of(weights={"web": 1, "books": 1}), [documents("web", 3)], tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "neither weights nor copies"),
        ({"weights": {"web": 0}}, "weight of source 'web' is 0.0, expected more than 0"),
        ({"copies": {"2": 2}}, "copies and copies_by belong together"),
        ({"copies_by": "number", "copies": {"2": 2}}, "asks for 2 copies and max_repeats is 1"),
        ({"copies_by": "number", "copies": {"2": -1}}, "not 0 or more"),
        ({"copies_by": "number", "copies": {"2": 1}, "total": 5}, "total needs weights"),
        ({"weights": {"web": 1}, "max_repeats": 0}, "max_repeats"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        Mix(**options)


def test_columns_of_the_wrong_kind_are_refused():
    batch = batch_of(documents("web", 2))
    with pytest.raises(SchemaError, match="unit 'url' holds string; expected whole numbers"):
        mix_of(weights={"web": 1}, unit="url").keys()(batch)
    with pytest.raises(SchemaError, match="copies_by 'split' holds string; expected numbers"):
        mix_of(copies_by="split", copies={1: 1}).keys()(batch)
    with pytest.raises(RecipeError, match="stage mix has no seed"):
        Mix(weights={"web": 1}).keys()


def test_settings_survive_a_round_trip():
    stage = mix_of(weights={"web": 0.7}, copies_by="number", copies={"0.5": 2}, max_repeats=4)
    assert Mix.model_validate_json(stage.model_dump_json()) == stage
    assert stage.reads() == {"text", "number"}


def test_documents_of_which_nothing_was_decided_have_one_copy():
    batch = batch_of(documents("web", 3))
    answer = pa.record_batch(
        {
            "copies": pa.array([None, 3, None], pa.int32()),
            "rejected": pa.array([None, False, True]),
        }
    )
    found = mix_of(weights={"web": 1}).apply(batch, answer)["mix_copies"]
    assert found.to_pylist() == [1, 3, None]
