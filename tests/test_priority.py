import pytest
from pydantic import ValidationError

from curation.errors import RecipeError, SchemaError
from curation.priority import Priority
from curation.recipe import parse_recipe
from curation.stages.exact_dedup import ExactDedup
from curation.stages.minhash_dedup import MinhashDedup
from tests.conftest import make_batch
from tests.stages.global_stage import dealt, decide, document, kept_ids

TEXT = " ".join(f"w{k}" for k in range(40))

DOCUMENTS = [
    document("a", TEXT, created=2020) | {"source": "web", "label": "3"},
    document("b", TEXT + "!!", created=2022) | {"source": "books"},
    document("c", TEXT.upper() + "!", created=2021) | {"source": "news", "label": "9"},
    document("d", TEXT) | {"source": "web", "label": "5"},
]
"""Near-duplicates of one another, and duplicates of one normalised text."""

STAGES = [MinhashDedup, lambda **settings: ExactDedup(normalize="text", **settings)]


@pytest.mark.parametrize("make", STAGES, ids=["near", "exact"])
@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"keep": ["longest"]}, "b"),
        ({"keep": ["shortest"]}, "a"),
        ({"keep": ["shortest", "newest"]}, "a"),
        ({"keep": ["newest"]}, "b"),
        ({"keep": ["oldest"]}, "a"),
        ({"keep": []}, "a"),
        ({"keep": ["source", "oldest"], "source_priority": ["news", "web"]}, "c"),
        ({"keep": ["source", "oldest"], "source_priority": ["web"]}, "a"),
        ({"keep": ["source", "longest"], "source_priority": ["nowhere"]}, "b"),
    ],
)
def test_policies_decide_the_same_way_for_all_duplicates(tmp_path, make, settings, kept):
    for shards in (1, 3):
        documents = dealt(DOCUMENTS, shards, shards)
        found = decide(make(**settings), documents, tmp_path / str(shards))
        assert kept_ids(documents, found) == [kept]


@pytest.mark.parametrize("make", STAGES, ids=["near", "exact"])
@pytest.mark.parametrize("keep", [["longest"], ["shortest"], ["oldest"], ["newest"], []])
def test_a_parent_comes_before_its_children_whatever_the_policies(tmp_path, make, keep):
    """The children are older, newer, longer and shorter than what they were made of."""
    children = [
        document("1", f"{TEXT} !", created=2019), document("2", f"{TEXT}", created=2030),
    ]  # fmt: skip
    family = [document("z", f"{TEXT}!", created=2021)]
    family += [child | {"parent_id": family[0]["doc_id"]} for child in children]
    for shards in (1, 2):
        documents = dealt(family, shards, shards)
        found = decide(make(keep=keep), documents, tmp_path / str(shards))
        assert kept_ids(documents, found) == [family[0]["doc_id"]]


def test_scores_decide_and_documents_without_one_come_last():
    batch = make_batch(["x"] * 4, quality=[0.5, None, float("nan"), 0.75])
    keys = Priority(("highest:quality", "lowest:quality")).keys(batch)
    assert keys["score_0"].to_pylist() == [0.5, None, None, 0.75]
    assert Priority(("highest:quality", "lowest:quality", "oldest")).order(["x"], ["y"]) == (
        "x, augmented ASC NULLS LAST, score_0 DESC NULLS LAST, score_1 ASC NULLS LAST, "
        "created ASC NULLS LAST, y"
    )


def test_a_column_of_words_is_no_score():
    with pytest.raises(
        SchemaError, match="keep by column 'url': it holds string; expected numbers"
    ):
        Priority(("highest:url",)).keys(make_batch(["x"]))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"keep": ["longst"]}, "unknown policy to keep 'longst'.*did you mean 'longest'"),
        ({"keep": ["highest:"]}, "unknown policy to keep 'highest:'"),
        ({"keep": ["oldest", "oldest"]}, "keep has 'oldest' twice"),
        ({"keep": ["source"]}, "keep has 'source' and source_priority names 0 sources"),
        ({"source_priority": ["web"]}, "keep lacks 'source' and source_priority names 1 sources"),
    ],
)
@pytest.mark.parametrize("kind", [MinhashDedup, ExactDedup])
def test_what_cannot_be_meant_is_refused(kind, settings, message):
    with pytest.raises(ValidationError, match=message):
        kind(**settings)


def test_a_score_that_nobody_writes_is_named_when_the_recipe_is_read():
    source = {"name": "docs", "kind": "jsonl", "paths": ["a.jsonl"]}
    stage = {"kind": "minhash_dedup", "keep": ["highest:gopher_quality_words"]}
    with pytest.raises(RecipeError, match="minhash_dedup needs column 'gopher_quality_words'"):
        parse_recipe({"name": "x", "sources": [source], "stages": [stage]})
    stages = [{"kind": "gopher_quality"}, stage]
    parse_recipe({"name": "x", "sources": [source], "stages": stages})
