from pathlib import Path
from typing import Any

import pytest

from curation.errors import RecipeError
from curation.plan import segments_of
from curation.recipe import load_recipe, parse_recipe


def recipe(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "name": "r",
        "seed": 3,
        "sources": [{"name": "web", "kind": "jsonl", "paths": ["a.jsonl", "b.jsonl"]}],
        "stages": [
            {"kind": "normalize"},
            {"kind": "gopher_quality"},
            {"kind": "exact_dedup"},
            {"kind": "minhash_dedup"},
            {"kind": "split", "eval_share": 0.1},
        ],
    }
    return values | changes


def stage(**values: Any) -> dict[str, Any]:
    return recipe(stages=[values])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (recipe(sede=1), r"recipe: unknown setting 'sede'; known: .*; did you mean 'seed'\?"),
        (recipe(seed=-1), r"recipe: seed: .*greater than or equal to 0 \(found -1\)"),
        (recipe(sources=[]), r"recipe: has no sources; add at least one \[\[sources\]\]"),
        (stage(kind="minhash"), r"unknown stage kind 'minhash'; .* did you mean 'minhash_dedup'\?"),
        (stage(name="x"), r"recipe: stage 1 has no kind; add kind = "),
        (
            stage(kind="gopher_quality", min_word=3),
            r"stage 1 \(gopher_quality\): unknown setting 'min_word'; .* mean 'min_words'\?",
        ),
        (stage(kind="split", eval_share=2), r"stage 1 \(split\): eval_share: .*\(found 2\)"),
        (
            stage(kind="minhash_dedup", threshold=1.5),
            r"minhash_dedup\): threshold: .*\(found 1.5\)",
        ),
        (
            stage(kind="normalize", sources=["wep"]),
            r"unknown source in stage normalize 'wep'; known: web; did you mean 'web'\?",
        ),
        (
            stage(kind="mix", weights={"web": 1, "wep": 2}),
            r"unknown source in weights of stage mix 'wep'; known: web; did you mean 'web'\?",
        ),
        (
            stage(kind="exact_dedup", keep=["source"], source_priority=["wen"]),
            r"source in source_priority of stage exact_dedup 'wen'; .*did you mean 'web'\?",
        ),
        (
            recipe(stages=[{"kind": "normalize"}, {"kind": "normalize"}]),
            r"two stages named 'normalize' apply to source 'web'",
        ),
        (
            recipe(
                stages=[
                    {"kind": "minhash_dedup"},
                    {"kind": "minhash_dedup", "name": "loose", "threshold": 0.5},
                    {"kind": "split"},
                ]
            ),
            r"recipe: stage split found the clusters of several near-duplicate stages: loose_",
        ),
        (
            recipe(output={"shard": 3}),
            r"unknown setting of \[output\] 'shard'.*did you mean 'shards'",
        ),
    ],
)
def test_a_mistake_is_one_line_that_names_it(values: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as caught:
        parse_recipe(values)
    assert "\n" not in str(caught.value)
    assert caught.value.exit_code == 2


def test_fingerprint_holds_what_decides_the_output_and_nothing_else() -> None:
    base = parse_recipe(recipe()).fingerprint()
    same = recipe(name="other", version="9")
    same["sources"] = [{**same["sources"][0], "paths": ["b.jsonl", "a.jsonl"]}]
    assert parse_recipe(same).fingerprint() == base
    assert parse_recipe(recipe(seed=4)).fingerprint() != base
    assert parse_recipe(recipe(score_all=False)).fingerprint() != base
    assert parse_recipe(recipe(output={"shards": 3})).fingerprint() != base
    assert parse_recipe(recipe(stages=recipe()["stages"][:-1])).fingerprint() != base


def test_a_changed_setting_keeps_the_prefix_before_it() -> None:
    first = segments_of(parse_recipe(recipe()))
    changed = recipe()
    changed["stages"][-1] = {"kind": "split", "eval_share": 0.2}
    second = segments_of(parse_recipe(changed))
    assert first[0].fingerprint == second[0].fingerprint
    assert first[1].fingerprint != second[1].fingerprint
    for position in range(len(first[1].decisions)):
        assert first[1].decision_fingerprint(position, "") == second[1].decision_fingerprint(
            position, ""
        )


def test_global_stages_end_a_segment_and_repeated_ids_come_first() -> None:
    segments = segments_of(parse_recipe(recipe()))
    assert [[s.kind for s in segment.decisions] for segment in segments] == [
        [],
        ["unique_id", "exact_dedup", "minhash_dedup"],
    ]
    assert [[s.kind for s in segment.stages] for segment in segments] == [
        ["normalize", "gopher_quality"],
        ["split"],
    ]


def test_a_recipe_without_stages_still_looks_for_repeated_ids() -> None:
    segments = segments_of(parse_recipe(recipe(stages=[])))
    assert [[s.kind for s in segment.decisions] for segment in segments] == [[], ["unique_id"]]


def test_a_stage_that_draws_gets_the_recipes_seed() -> None:
    stages = {stage.kind: stage for stage in parse_recipe(recipe()).stages}
    assert stages["split"].model_dump()["seed"] == 3


RECIPE_TOML = """
name = "r"
[[sources]]
name = "web"
kind = "text"
paths = ["*.txt"]
[[stages]]
kind = "split"
eval_share = 0.1
"""


def test_overrides_go_by_name(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE_TOML)
    overrides = [
        "seed=9",
        "stages.split.eval_share=0.5",
        "sources.web.license=CC0",
        "output.shards=2",
    ]
    recipe, base = load_recipe(path, overrides)
    assert base == tmp_path
    assert recipe.seed == 9
    assert recipe.stages[0].model_dump()["eval_share"] == 0.5
    assert recipe.sources[0].license == "CC0"
    assert recipe.output.shards == 2


def test_an_override_is_for_all_stages_of_its_name(tmp_path: Path) -> None:
    path = tmp_path / "r.toml"
    quality = '[[stages]]\nkind = "gopher_quality"\nname = "q"\nsources = ["{}"]\n'
    sources = '[[sources]]\nname = "forum"\nkind = "text"\npaths = ["*.txt"]\n'
    path.write_text(RECIPE_TOML + sources + quality.format("web") + quality.format("forum"))
    recipe, _ = load_recipe(
        path, ["stages.q.min_words=7", "stages.q.for_source.forum.max_words=900"]
    )
    found = [stage.model_dump() for stage in recipe.stages if stage.name == "q"]
    assert [(one["min_words"], one["max_words"]) for one in found] == [(7, 100_000), (7, 900)]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("name.of.x=3", "--set name.of.x=3: what stands before 'of' is no table"),
        ("split.eval_share=0.3", "'split' is one of the recipe's stages; write --set stages.split"),
        ("web.license=CC0", "one of the recipe's sources; write --set sources.web.license=CC0"),
        ("seed", "--set seed: expected key=value"),
        ("stages.splitt.seed=1", "unknown name 'splitt'; known: split; did you mean 'split'"),
        ("sed=1", "unknown setting 'sed'"),
    ],
)
def test_a_wrong_override_is_named(tmp_path: Path, override: str, message: str) -> None:
    path = tmp_path / "r.toml"
    path.write_text(RECIPE_TOML)
    with pytest.raises(RecipeError, match=message):
        load_recipe(path, [override])


def test_a_missing_or_broken_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"none\.toml: no such file"):
        load_recipe(tmp_path / "none.toml")
    path = tmp_path / "r.toml"
    path.write_text("name = \n")
    with pytest.raises(RecipeError, match=r"r\.toml: is not valid TOML: .*line 1"):
        load_recipe(path)
