import sys

import pytest

from curation.errors import DriftError, RecipeError, StageError
from curation.recipe import LoadedRecipe, parse_recipe
from curation.shards import read_shard
from curation.stages.paraphrase import Paraphrase
from tests.conftest import write_jsonl
from tests.test_runner import outputs, run_here

MODULE = """
def shout(texts, seeds):
    return [f"{text.upper()} {seed % 1000}" if text != "none" else None
            for text, seed in zip(texts, seeds)]

def short(texts, seeds):
    return texts[1:]

def numbers(texts, seeds):
    return seeds

def picky(texts, seeds):
    if "bad" in texts:
        raise ValueError("a bad text")
    return [text + "!" for text in texts]

constant = 7
"""


@pytest.fixture
def module(tmp_path, monkeypatch):
    (tmp_path / "hook_of_a_test.py").write_text(MODULE)
    (tmp_path / "broken_of_a_test.py").write_text("raise RuntimeError('not\\ntoday')")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path / "hook_of_a_test.py"
    sys.modules.pop("hook_of_a_test", None)


def _loaded(directory, name="shout", texts=("one text", "none", "another text"), **settings):
    rows = [{"id": str(number), "text": text} for number, text in enumerate(texts)]
    write_jsonl(directory / "in.jsonl", rows)
    stage = {"kind": "paraphrase", "function": f"hook_of_a_test:{name}", **settings}
    sources = [{"name": "in", "kind": "jsonl", "paths": ["in.jsonl"]}]
    raw = {"name": "x", "seed": 5, "sources": sources, "stages": [stage]}
    return LoadedRecipe(parse_recipe(raw), directory)


def test_what_the_function_makes_are_children(module, tmp_path) -> None:
    loaded = _loaded(tmp_path, share=2)
    manifest, _ = run_here(loaded, tmp_path / "a")
    run_here(loaded, tmp_path / "b", batch_rows=1)
    assert outputs(tmp_path / "a") == outputs(tmp_path / "b")
    assert manifest.totals.documents_made == 4
    rows = [r for p in (tmp_path / "a" / "shards").glob("*") for r in read_shard(p).to_pylist()]
    children = [row for row in rows if row["parent_id"]]
    assert len({row["text"] for row in children}) == 4  # each child has a seed of its own
    assert {row["operation"] for row in children} == {"paraphrase hook_of_a_test:shout"}
    assert manifest.recipe["stages"][0]["function_digest"]


def test_a_document_that_it_fails_on_is_a_reject(module, tmp_path) -> None:
    texts = [*(f"text {number}" for number in range(9)), "bad"]
    manifest, _ = run_here(_loaded(tmp_path, "picky", texts), tmp_path / "out")
    assert manifest.totals.documents_made == 10
    assert manifest.totals.documents_rejected == 1
    [count] = [stage for stage in manifest.stages if stage.kind == "paraphrase"]
    assert count.rejects == {"paraphrase_error": 1}


@pytest.mark.parametrize(
    ("name", "message"),
    [("short", "gave 2 answers for 3 texts"), ("numbers", "gave a int for 3 texts")],
)
def test_a_function_of_another_kind_stops_the_run(module, tmp_path, name, message) -> None:
    with pytest.raises(StageError, match=message):
        run_here(_loaded(tmp_path, name), tmp_path / "out")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("hook_of_a_test:nothing", "has no such name under 'nothing'"),
        ("hook_of_a_test:constant", "has a int under 'constant'"),
        ("no_such_module_here:f", "cannot be imported"),
        ("broken_of_a_test:f", "RuntimeError: not today"),
        ("hook_of_a_test", "function"),
        ("os;system:f", "function"),
    ],
)
def test_what_cannot_be_called_is_an_error_of_the_recipe(
    module, tmp_path, function, message
) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        _loaded(tmp_path, function=function)
    assert "\n" not in str(caught.value)


def test_the_fingerprint_follows_the_code(module, tmp_path) -> None:
    one = _loaded(tmp_path).recipe
    [stage] = one.stages
    module.write_text(MODULE + "\n# another version\n")
    assert _loaded(tmp_path).recipe.fingerprint() != one.fingerprint()
    assert isinstance(stage, Paraphrase)
    with pytest.raises(DriftError, match="as planned; restore it"):
        stage.open()
    with pytest.raises(RecipeError, match="restore that file"):
        _loaded(tmp_path, function_digest="0" * 64)
