"""The studies in docs/studies: what they say still follows from the runs beside it."""

import json
from pathlib import Path

import numpy as np
import pytest

from curation.study.conclude import Setting, conclude, measured_terms
from curation.study.runs import read_runs

STUDIES = Path(__file__).resolve().parents[2] / "docs" / "studies"
NAMES = sorted(path.parent.name for path in STUDIES.glob("*/verdict.json"))


def said(name):
    """The verdicts of a study, the recipes' first."""
    verdict = json.loads((STUDIES / name / "verdict.json").read_text())
    return [verdict, *verdict["others"]]


def about_recipes(name):
    return [verdict for verdict in said(name) if verdict["facts"].get("by") == "runs"]


@pytest.mark.parametrize("name", NAMES)
def test_verdicts_on_recipes_follow_from_the_runs(name, tmp_path):
    runs = read_runs(STUDIES / name / "runs.parquet")
    expected = {one["facts"]["recipe"]: one for one in about_recipes(name)}
    if not expected:
        pytest.skip("a study of one recipe")
    baseline = next(iter(expected.values()))["facts"]["baseline"]
    terms = measured_terms(runs, None, "cpu")
    setting = Setting(terms, baseline=baseline, draws=20, forms=("chinchilla",))
    with np.errstate(all="ignore"):
        found = {one.recipe: one.verdict for one in conclude(runs, setting, tmp_path).recipes}
    assert found.keys() == expected.keys()
    for recipe, verdict in expected.items():
        assert found[recipe].as_json()["ratio"] == pytest.approx(verdict["ratio"], rel=1e-6)
        # Without the bits of documents a verdict can be weaker than that, not stronger.
        order = ["not decided", "leaning", "decided"]
        assert order.index(found[recipe].status) <= order.index(verdict["status"])


@pytest.mark.parametrize("name", NAMES)
def test_a_page_names_no_place_of_the_machine_it_was_made_on(name):
    for path in (STUDIES / name).iterdir():
        assert b"/work/" not in path.read_bytes(), path.name
        assert b"/tmp/" not in path.read_bytes(), path.name


def test_the_planted_fault_was_found():
    [verdict] = about_recipes("planted-fault")
    assert verdict["status"] == "decided"
    assert 1.2 <= verdict["ratio"]["mid"] <= 2.0
    assert verdict["ratio"]["low"] > 1


def test_the_same_recipe_twice_was_not_decided():
    [verdict] = about_recipes("null")
    assert verdict["status"] == "not decided"


def test_every_study_has_its_line_in_the_table():
    table = (STUDIES / "README.md").read_text()
    assert [name for name in NAMES if f"]({name}/report.html)" not in table] == []
