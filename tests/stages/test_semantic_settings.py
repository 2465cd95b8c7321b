"""Settings of semantic_dedup: recall, the model and its identity, and wrong ones by name."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from curation import static_model
from curation.errors import DriftError, RecipeError
from curation.recipe import identity, load_recipe
from curation.stages.semantic_dedup import SemanticDedup
from curation.static_model import find_model
from curation.text.embed import largest_number
from tests.conftest import write_jsonl
from tests.stages.global_stage import decide, document
from tests.static_models import make_static_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return str(make_static_model(tmp_path_factory.mktemp("model"), {"a": [1, 2], "b": [2, 1]}))


@given(st.floats(0.1, 1), st.floats(0.01, 0.99))
def test_banding_reaches_the_recall_of_the_settings(threshold, recall):
    stage = SemanticDedup.model_construct(threshold=threshold, recall=recall, hyperplanes=1536)
    agreement = 1 - math.acos(threshold) / math.pi
    assert stage.banding.recall(agreement) >= recall - 1e-12
    assert stage.banding.permutations <= 1536


@pytest.mark.parametrize(("threshold", "recall"), [(0.95, 0.9), (0.8, 0.9), (0.95, 0.5)])
def test_of_pairs_at_the_threshold_as_many_are_found_as_asked_for(tmp_path, threshold, recall):
    # Pairs a hair above the threshold, each in a direction of its own; fewer hyperplanes make
    # the recall what was asked for, and hardly more.
    rng, pairs, most = np.random.default_rng(4), 400, largest_number(64)
    vectors = {}
    for pair in range(pairs):
        one, other = np.linalg.qr(rng.standard_normal((64, 2)))[0].T
        two = (threshold + 1e-3) * one + math.sqrt(1 - (threshold + 1e-3) ** 2) * other
        for side, own in enumerate((one, two)):
            vectors[f"p{pair}s{side}"] = (own / np.abs(own).max() * most).tolist()
    model = str(make_static_model(tmp_path / "model", vectors))
    stage = SemanticDedup(
        model=model, threshold=threshold, recall=recall, hyperplanes=400, min_token_chars=0, seed=1
    )
    shards = [[document(name, name) for name in vectors]]
    found = sum(row["rejected"] for row in decide(stage, shards, tmp_path))
    expected = stage.banding.recall(1 - math.acos(threshold + 1e-3) / math.pi)
    assert expected >= recall
    assert found / pairs == pytest.approx(
        expected, abs=5 * math.sqrt(expected * (1 - expected) / pairs)
    )


def test_settings_that_cannot_reach_the_recall_say_what_is_needed(model):
    message = r"10 hyperplanes cannot find pairs of cosine 0.05 .* expected 13 or more"
    with pytest.raises(ValidationError, match=message):
        SemanticDedup(model=model, threshold=0.05, recall=0.9999, hyperplanes=10)


def test_a_model_that_is_none_is_named(tmp_path):
    message = "'.*nowhere': model.safetensors is not there; expected a directory"
    with pytest.raises(ValidationError, match=message):
        SemanticDedup(model=str(tmp_path / "nowhere"))


def test_a_missing_extra_is_named(monkeypatch):
    monkeypatch.setattr(static_model, "find_spec", lambda _: None)
    with pytest.raises(ValidationError, match=r'pip install "curation\[semantic\]"'):
        SemanticDedup()


def test_the_models_content_is_identity_and_its_place_is_not(tmp_path):
    places = {name: tmp_path / name for name in ("one", "two", "three")}
    for name, place in places.items():
        make_static_model(place, {"a": [1, 2], "b": [3, 4 + (name == "three")]})
    one, two, three = (identity(SemanticDedup(model=str(place))) for place in places.values())
    assert one == two != three
    assert one["model_digest"] == find_model(str(places["one"])).digest()
    assert "model" not in one
    with pytest.raises(ValidationError, match=r"model_digest is .*, but model '.*three' has "):
        SemanticDedup(model=str(places["three"]), model_digest=one["model_digest"])


def test_a_model_that_was_changed_since_the_plan_is_named(tmp_path):
    directory = make_static_model(tmp_path, {"a": [1, 2]})
    stage = SemanticDedup(model=str(directory))
    make_static_model(tmp_path, {"a": [1, 3]})
    with pytest.raises(DriftError, match=r"semantic_dedup: model '.*' has digest .*as planned"):
        stage.keys()


def test_a_recipe_names_a_directory_beside_it_or_the_package(tmp_path):
    write_jsonl(tmp_path / "a.jsonl", [{"id": "1", "text": "x"}])
    make_static_model(tmp_path / "wordy", {"a": [1, 2]})
    recipe = tmp_path / "r.toml"
    text = (
        'name = "r"\nseed = 7\n[[sources]]\nname = "a"\nkind = "jsonl"\npaths = ["a.jsonl"]\n'
        '[[stages]]\nkind = "semantic_dedup"\nmodel = "{}"\n'
    )
    recipe.write_text(text.format("wordy"))
    [stage] = load_recipe(recipe).recipe.stages
    assert (stage.model, stage.seed) == (str(tmp_path / "wordy"), 7)
    recipe.write_text(text.format("nowhere"))
    with pytest.raises(RecipeError, match=r"stage 1 \(semantic_dedup\): .*nowhere': model"):
        load_recipe(recipe)
    recipe.write_text(text.format("wordllama"))
    if static_model.find_spec("wordllama"):
        assert load_recipe(recipe).recipe.stages[0].model == "wordllama"
    else:
        with pytest.raises(RecipeError, match="model 'wordllama' is not installed"):
            load_recipe(recipe)


def test_writes_are_columns_of_the_decision(model):
    assert SemanticDedup(model=model).writes().names == [
        "semantic_dedup_cluster",
        "semantic_dedup_similarity",
    ]
