"""Rewriting in runs, against a server that the test starts."""

from pathlib import Path

import pytest

from curation.errors import RecipeError, StageError
from curation.recipe import LoadedRecipe, parse_recipe
from curation.shards import read_shard
from tests.conftest import write_jsonl
from tests.endpoints import completion, serving, upper
from tests.test_runner import outputs, run_here

TEXTS = ["a text of some words", "another text of words", "bad", "one more text", "x" * 300]
PROMPT = "Say it again:{text}"


def _loaded(directory: Path, url: str, **settings: object) -> LoadedRecipe:
    rows = [{"id": str(number), "text": text} for number, text in enumerate(TEXTS)]
    write_jsonl(directory / "in.jsonl", rows)
    stage = {
        "kind": "rewrite", "base_url": url, "model": "m", "prompt": PROMPT, "max_chars": 200,
        "cache": str(directory / "cache"), "retries": 1, "backoff_seconds": 0.01,
        "prompt_price": 2.0, "completion_price": 10.0, **settings,
    }  # fmt: skip
    sources = [{"name": "in", "kind": "jsonl", "paths": ["in.jsonl"]}]
    raw = {"name": "x", "seed": 5, "sources": sources, "stages": [stage]}
    return LoadedRecipe(parse_recipe(raw), directory)


def _rows(out: Path) -> list[dict]:
    return [r for path in sorted((out / "shards").glob("*")) for r in read_shard(path).to_pylist()]


def _mixed(handler, question, number):
    if question["messages"][-1]["content"].endswith("bad"):
        handler.send(completion("cut", "length", prompt_tokens=100, completion_tokens=50))
    else:
        upper(handler, question, number)


def test_answers_become_children_and_failures_rejects_with_what_they_cost(tmp_path) -> None:
    with serving(_mixed) as server:
        loaded = _loaded(tmp_path, server.url, system="Be brief.")
        manifest, _ = run_here(loaded, tmp_path / "out")
    assert server.asked[0]["messages"][0] == {"role": "system", "content": "Be brief."}
    totals = manifest.totals
    assert (totals.documents_made, totals.documents_rejected) == (4, 1)
    assert totals.documents_kept == len(TEXTS) + 3
    children = [row for row in _rows(tmp_path / "out") if row["parent_id"]]
    assert sorted(row["text"] for row in children) == sorted(
        PROMPT.replace("{text}", text).upper() for text in (TEXTS[0], TEXTS[1], TEXTS[3])
    )
    assert {row["operation"] for row in children} == {"rewrite m"}
    assert {row["rewrite_prompt_tokens"] for row in children} == {11}
    assert {row["rewrite_cost"] for row in children} == {(11 * 2 + 7 * 10) / 1e6}
    [count] = [stage for stage in manifest.stages if stage.kind == "rewrite"]
    assert count.rejects == {"answer_cut": 1}
    assert count.sums["prompt_tokens"] == 3 * 11 + 100
    assert count.sums["completion_tokens"] == 3 * 7 + 50
    assert count.sums["cost"] == pytest.approx((133 * 2 + 71 * 10) / 1e6)


def test_what_was_answered_is_not_paid_for_again(tmp_path) -> None:
    with serving(_mixed) as server:
        loaded = _loaded(tmp_path, server.url)
        run_here(loaded, tmp_path / "one")
        asked = len(server.asked)
        run_here(loaded, tmp_path / "two", batch_rows=1)
        assert len(server.asked) == asked
        run_here(_loaded(tmp_path, server.url, temperature=0.1), tmp_path / "three")
        assert len(server.asked) == 2 * asked
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")


def test_a_run_goes_on_where_the_endpoint_died(tmp_path) -> None:
    with serving(_mixed) as server:
        loaded = _loaded(tmp_path, server.url, concurrency=1, retries=0)

        def dies(handler, question, number):
            if number < 2:
                _mixed(handler, question, number)
            else:
                handler.send(b"no such model", 404)

        server.answer = dies
        with pytest.raises(StageError, match="answers 404"):
            run_here(loaded, tmp_path / "out")
        server.answer = _mixed
        manifest, _ = run_here(loaded, tmp_path / "out")
        assert len(server.asked) == 3 + 2
    assert manifest.totals.documents_made == 4


def test_draws_differ_by_child_and_come_from_the_seed(tmp_path) -> None:
    with serving(upper) as server:
        run_here(_loaded(tmp_path, server.url, share=2), tmp_path / "out")
    seeds = [question["seed"] for question in server.asked]
    assert len(set(seeds)) == len(seeds) == 8
    assert all(0 <= seed < 2**31 for seed in seeds)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"prompt": "Rewrite it."}, r"prompt has no \{text\}"),
        ({"base_url": "localhost"}, "expected an address"),
        ({"api_key_env": "NO_SUCH_VARIABLE"}, "is not set"),
        ({"model": ""}, "model"),
    ],
)
def test_what_cannot_be_asked_is_an_error_of_the_recipe(tmp_path, settings, message) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        _loaded(tmp_path, "http://127.0.0.1:9/v1", **settings)
    assert "\n" not in str(caught.value)
