"""Settings for one source or one language: how they expand, and whom they reach."""

import json
from typing import Any

import pytest

from curation.errors import RecipeError
from curation.recipe import Recipe, parse_recipe
from curation.scopes import Overrides, expand_scopes, overrides_of
from curation.segment import SegmentRun
from curation.stage import BatchStage
from curation.verdicts import Verdicts
from tests.conftest import make_batch

SOURCES = [{"name": name, "kind": "jsonl", "paths": [f"{name}.jsonl"]} for name in ("web", "forum")]
LANGUAGE = {"kind": "language"}


def _recipe(*stages: dict[str, Any]) -> Recipe:
    return parse_recipe({"name": "scoped", "sources": SOURCES, "stages": list(stages)})


def _quality(recipe: Recipe) -> list[BatchStage]:
    return [s for s in recipe.stages if isinstance(s, BatchStage) and s.kind == "gopher_quality"]


def _bounds(recipe: Recipe) -> list[tuple[Any, ...]]:
    return [
        (s.sources, s.languages, s.except_languages, s.model_dump()["min_words"])
        for s in _quality(recipe)
    ]


def test_a_table_for_a_source_takes_it_from_the_stage() -> None:
    recipe = _recipe(
        {"kind": "gopher_quality", "min_words": 40, "for_source": {"forum": {"min_words": 9}}}
    )
    assert _bounds(recipe) == [(("web",), None, (), 40), (("forum",), None, (), 9)]


def test_tables_for_languages_leave_the_others_to_the_stage() -> None:
    own = {"de": {"min_words": 30}, "fi": {"min_words": 20}}
    recipe = _recipe(LANGUAGE, {"kind": "gopher_quality", "min_words": 40, "for_language": own})
    assert _bounds(recipe) == [
        (None, None, ("de", "fi"), 40),
        (None, ("de",), (), 30),
        (None, ("fi",), (), 20),
    ]


def test_a_source_may_have_languages_of_its_own_beside_the_stages() -> None:
    recipe = _recipe(
        LANGUAGE,
        {
            "kind": "gopher_quality",
            "for_language": {"de": {"min_words": 30}},
            "for_source": {"forum": {"for_language": {"fi": {"min_words": 20}}}},
        },
    )
    assert _bounds(recipe) == [
        (("web",), None, ("de",), 50),
        (("web",), ("de",), (), 30),
        (("forum",), None, ("de", "fi"), 50),
        (("forum",), ("de",), (), 30),
        (("forum",), ("fi",), (), 20),
    ]


def test_each_document_meets_the_bounds_of_its_own_language() -> None:
    recipe = _recipe(
        LANGUAGE,
        {"kind": "gopher_quality", "min_words": 4, "for_language": {"de": {"min_words": 2}}},
    )
    texts = ["eins zwei drei", "one two three", "three words here"]
    labels = ["de", "en", None]
    verdicts = Verdicts(3)
    scored = SegmentRun(_quality(recipe)).run(make_batch(texts, language_label=labels), verdicts)
    assert scored.column("gopher_quality_words").to_pylist() == [3, 3, 3]
    few = [found.rows.tolist() for found in verdicts.breaks if found.reason == "few_words"]
    assert few == [[1, 2]]


def test_the_written_recipe_reads_back_as_the_same_one() -> None:
    recipe = _recipe(
        LANGUAGE,
        {"kind": "gopher_quality", "for_language": {"de": {"min_words": 30}}},
    )
    assert parse_recipe(recipe.written()).fingerprint() == recipe.fingerprint()


@pytest.mark.parametrize(
    ("stage", "message"),
    [
        ({"for_source": {"wbe": {}}}, "unknown source 'wbe'.*web"),
        ({"for_source": {"web": 3}}, "for_source is no table of tables"),
        ({"for_source": {"web": {"sources": ["forum"]}}}, "for_source.web sets sources"),
        ({"for_language": {"de": {"kind": "split"}}}, "for_language.de sets kind"),
        ({"for_language": {"de": {"min_wrods": 3}}}, "unknown setting 'min_wrods'.*min_words"),
        ({"languages": ["de"], "for_language": {"fi": {}}}, "has languages and for_language"),
    ],
)
def test_tables_that_say_something_impossible(stage: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        _recipe(LANGUAGE, {"kind": "gopher_quality", **stage})


def test_languages_need_the_stage_that_labels_them() -> None:
    with pytest.raises(RecipeError, match="needs column 'language_label'"):
        _recipe({"kind": "gopher_quality", "languages": ["de"]})


def test_a_decision_over_all_documents_has_no_own_settings_for_some() -> None:
    with pytest.raises(RecipeError, match="decides over all documents at once"):
        _recipe({"kind": "minhash_dedup", "for_source": {"web": {"threshold": 0.7}}})


def test_two_stages_of_one_name_must_not_reach_the_same_documents() -> None:
    one = {"kind": "gopher_quality", "languages": ["de", "fi"]}
    other = {"kind": "gopher_quality", "languages": ["fi"]}
    with pytest.raises(RecipeError, match="two stages named 'gopher_quality' apply to source"):
        _recipe(LANGUAGE, one, other)
    assert _recipe(LANGUAGE, one, {**other, "languages": ["sv"]})


def test_a_part_knows_which_settings_its_tables_gave_it() -> None:
    recipe = _recipe(
        LANGUAGE,
        {
            "kind": "gopher_quality",
            "min_words": 40,
            "for_language": {"de": {"min_words": 30}},
            "for_source": {
                "forum": {"max_words": 900, "for_language": {"fi": {"min_words": 20}}},
            },
        },
    )
    assert recipe.overrides == (
        Overrides(),
        Overrides(),
        Overrides(language=("min_words",)),
        Overrides(source=("max_words",)),
        Overrides(source=("max_words",), language=("min_words",)),
        Overrides(source=("max_words",), both=("min_words",)),
    )


@pytest.mark.parametrize("source", [None, "web", "forum"])
@pytest.mark.parametrize("language", [None, "de", "fi"])
@pytest.mark.parametrize("name", ["min_words", "max_words", "max_mean_word_chars"])
def test_what_follows_a_setting_is_what_expanding_gives(
    source: str | None, language: str | None, name: str
) -> None:
    """Where a setting is given in a table, the parts that follow it are those that then have it."""
    table: dict[str, Any] = {
        "kind": "gopher_quality",
        "for_language": {"de": {"min_words": 30}},
        "for_source": {
            "forum": {"max_words": 900, "for_language": {"fi": {"min_words": 20}}},
            "web": {"min_words": 44},
        },
    }
    parts = expand_scopes(table, ["web", "forum"], "stage")
    changed: dict[str, Any] = json.loads(json.dumps(table))
    at = changed
    for scope, own in (("for_source", source), ("for_language", language)):
        at = at.setdefault(scope, {}).setdefault(own, {}) if own else at
    at[name] = 7
    after = expand_scopes(changed, ["web", "forum"], "stage")
    for part in parts:
        inside = source in (None, *part["sources"]) and language in (
            None,
            *part.get("languages", ()),
        )
        if not inside:
            continue
        [same] = [
            one
            for one in after
            if source in (None, *one["sources"])
            and one["sources"] == part["sources"]
            and one.get("languages") == part.get("languages")
        ]
        follows = overrides_of(table, part).follows(
            name, source=source is not None, language=language is not None
        )
        assert (same.get(name) == 7) == follows
