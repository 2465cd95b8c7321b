import hashlib

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.errors import RecipeError, SchemaError
from curation.schema import make_doc_id
from curation.stages.split import Split
from tests.conftest import make_batch

NEAR, EXACT = "minhash_dedup_cluster", "exact_dedup_cluster"
IDS = [make_doc_id("s", str(number)) for number in range(2000)]


def _sides(batch, **options):
    stage = Split(kind="split", **{"eval_share": 0.5, "seed": 7, **options})
    columns = stage.open()(batch)
    assert list(columns) == stage.writes().names == ["split"]
    assert columns["split"].type == stage.writes().field("split").type == pa.string()
    return columns["split"].to_pylist()


def _batch(doc_ids, **columns):
    typed = {name: pa.array(values, pa.string()) for name, values in columns.items()}
    return make_batch(["text"] * len(doc_ids), doc_id=doc_ids, **typed)


def _side(doc_id, **columns):
    return _sides(_batch([doc_id], **{name: [value] for name, value in columns.items()}))[0]


def _one_of_each_side():
    sides = dict(zip(_sides(_batch(IDS[:40])), IDS, strict=False))
    return sides["train"], sides["eval"]


TRAIN, EVAL = _one_of_each_side()


def test_sides_follow_the_stated_hash():
    for doc_id, side in zip(IDS[:50], _sides(_batch(IDS[:50]), eval_share=0.25), strict=True):
        digest = hashlib.blake2b(
            doc_id.encode(), digest_size=8, key=(7).to_bytes(8, "little"), person=b"split"
        ).digest()
        assert (side == "eval") == (int.from_bytes(digest, "little") / 2**64 < 0.25)


@pytest.mark.parametrize("share", [0.02, 0.3, 0.97])
def test_share_of_eval_is_near_the_setting(share):
    found = _sides(_batch(IDS), eval_share=share).count("eval") / len(IDS)
    assert abs(found - share) < 4 * (share * (1 - share) / len(IDS)) ** 0.5


def test_another_seed_draws_other_documents():
    assert _sides(_batch(IDS[:50])) != _sides(_batch(IDS[:50]), seed=8)


def test_larger_share_only_adds_documents_to_eval():
    small, large = (_sides(_batch(IDS[:500]), eval_share=share) for share in (0.1, 0.2))
    assert {("eval", "train")} == set(zip(large, small, strict=True)) - {
        ("eval", "eval"),
        ("train", "train"),
    }


def test_near_cluster_decides_before_everything_else():
    assert _side(EVAL, **{NEAR: TRAIN, EXACT: EVAL, "parent_id": EVAL}) == "train"
    assert _side(EVAL, **{EXACT: EVAL, NEAR: TRAIN, "parent_id": EVAL}) == "train"


def test_cluster_of_a_single_survivor_decides_where_no_near_cluster_does():
    assert _side(EVAL, **{NEAR: None, EXACT: TRAIN, "parent_id": EVAL}) == "train"


def test_child_goes_with_its_parent_where_no_cluster_decides():
    assert _side(EVAL, **{NEAR: None, "parent_id": TRAIN}) == "train"


def test_document_alone_is_drawn_for_itself():
    assert _side(EVAL, **{NEAR: None, EXACT: None}) == "eval"


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 30), st.none() | st.integers(0, 8), st.none() | st.integers(0, 8)),
        unique_by=lambda row: row[0],
    ),
    st.integers(0, 2**63 - 1),
    st.booleans(),
)
def test_survivors_of_a_near_cluster_are_never_torn(rows, seed, near_first):
    # Exact clusters have one survivor each, as exact_dedup leaves them.
    exact = {row: IDS[100 + row] if copies is not None else None for row, _, copies in rows}
    near = {row: IDS[cluster] if cluster is not None else None for row, cluster, _ in rows}
    names = [NEAR, EXACT] if near_first else [EXACT, NEAR]
    columns = {NEAR: list(near.values()), EXACT: list(exact.values())}
    batch = _batch([IDS[row] for row, _, _ in rows], **{name: columns[name] for name in names})
    side_of = {}
    for (_, cluster, _), side in zip(rows, _sides(batch, seed=seed), strict=True):
        if cluster is not None:
            assert side_of.setdefault(cluster, side) == side


@settings(deadline=None)
@given(st.permutations(range(30)), st.integers(0, 30))
def test_sides_are_free_of_order_and_of_batches(order, cut):
    clusters = [IDS[number // 4] if number % 3 else None for number in range(30)]
    whole = _batch(IDS[:30], **{NEAR: clusters})
    shuffled = whole.take(pa.array(order))
    sides = _sides(shuffled.slice(0, cut)) + _sides(shuffled.slice(cut))
    assert [sides[order.index(row)] for row in range(30)] == _sides(whole)


def test_no_rows_give_no_sides():
    assert _sides(_batch([], **{NEAR: []})) == []


def test_split_rejects_nothing_and_survives_a_round_trip():
    stage = Split(kind="split", eval_share=0.1, cluster_columns=("a_cluster",))
    assert stage.rules() == ()
    assert Split.model_validate_json(stage.model_dump_json()) == stage


def test_several_near_duplicate_stages_need_a_choice():
    columns = {"loose_cluster": TRAIN, "strict_cluster": EVAL, EXACT: EVAL}
    with pytest.raises(SchemaError, match=r"loose_cluster, strict_cluster; expected one.*list"):
        _side(EVAL, **columns)
    batch = _batch([EVAL], **{name: [value] for name, value in columns.items()})
    assert _sides(batch, cluster_columns=["loose_cluster", "strict_cluster"]) == ["train"]
    assert _sides(batch, cluster_columns=["strict_cluster", "loose_cluster"]) == ["eval"]


def test_no_cluster_column_can_be_asked_for():
    batch = _batch([EVAL], **{NEAR: [TRAIN]})
    assert _sides(batch, cluster_columns=[]) == ["eval"]


def test_unknown_cluster_column_names_the_known_ones():
    batch = _batch([EVAL], **{NEAR: [TRAIN]})
    with pytest.raises(SchemaError, match=rf"'minhash_cluster'; known: {NEAR}; did you mean"):
        _sides(batch, cluster_columns=["minhash_cluster"])


def test_missing_seed_is_a_recipe_error():
    with pytest.raises(RecipeError, match=r"stage split has no seed; expected .*; set seed"):
        Split(kind="split").open()


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, float("nan")])
def test_impossible_share_is_refused(share):
    with pytest.raises(ValidationError, match=r"eval_share\n  Input should be (greater|less) than"):
        Split(kind="split", eval_share=share)


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_impossible_seed_is_refused(seed):
    with pytest.raises(ValidationError, match=r"seed\n  Input should be (greater|less) than"):
        Split(kind="split", seed=seed)
