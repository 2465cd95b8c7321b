import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.study.conclude import Setting, conclude
from curation.study.costs import Terms
from curation.study.equivalence import by_law, measured_equivalence, measured_pairs
from curation.study.evidence import health, largest_gap, noise_floor, usable
from curation.study.ground import Ground
from curation.study.predict import Estimate, Point
from curation.study.prices import Range
from curation.study.questions import next_dollar
from curation.study.recipe_question import RecipeEvidence, recipe_worth
from curation.study.runs import make_runs
from curation.study.verdict import (
    Condition,
    interval_conditions,
    more_runs,
    status_of,
    write_verdict,
)
from curation.study.words import number, short
from tests.study.doubles import EPOCH, drawn, epoch_law, plain_law, recipe_law, tied_law
from tests.study.rows import study, study_rows

POINT = Point(1e9, 5e9)
# Here text returns 1.7 times as much as size at equal dollars.
TERMS = Terms(Range.exact(3.99), Range.exact(4e14), "h100", text=Range.exact(1e-10))


def ground(runs=None, **changes):
    table = study(noise=0.005, seeds=3, tokens=(1e6, 2e6, 4e6, 8e6)) if runs is None else runs
    values = {
        "health": health(table),
        "noise": noise_floor(usable(table)),
        "run_dollars": Range.exact(2.0),
    }
    return Ground(**(values | changes))


def two_forms(spread=0.005):
    return {"chinchilla": epoch_law(spread), "tied": tied_law(spread)}


def ask(laws=None, terms=TERMS, point=POINT, base=None):
    laws = laws or two_forms()
    return next_dollar(laws, next(iter(laws)), point, terms, base or ground())[0]


def test_a_clear_case_is_decided_with_every_condition_met():
    found = ask()
    assert found.status == "decided", found.why
    assert found.choice == "more text"
    low, high = found.ratio.interval()
    assert 1 < low < found.ratio.mid < high
    assert "decided" in found.sentence
    assert found.would_decide is None
    assert all(one.met for one in found.conditions)


@given(
    st.lists(st.floats(0.01, 100), min_size=20, max_size=60),
    st.lists(st.booleans(), min_size=3, max_size=3),
)
def test_nothing_is_decided_while_the_interval_holds_1(draws, others):
    ratio = Estimate(float(np.median(draws)), np.array(draws))
    conditions = interval_conditions(ratio)
    low, high = ratio.interval()
    status, why = status_of([*conditions, Condition("x", "full", True, "", "")])
    if low <= 1 <= high:
        assert status != "decided"
        assert "interval" in why
    else:
        assert status == "decided"


def test_an_interval_that_crosses_1_is_not_decided_and_says_what_would():
    level = Terms(Range.exact(3.99), Range.exact(4e14), "h100", text=Range.exact(1.1e-8))
    found = ask(two_forms(0.02), level)
    assert found.status == "not decided"
    low, high = found.ratio.interval()
    assert low < 1 < high
    assert found.would_decide is not None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"noise": None}, "noise between seeds"),
        ({"preset": "smoke"}, "smoke"),
        ({"health": health(study(sizes=(30_000,)))}, "grid spans"),
        ({"health": health(make_runs([{"status": "failed", "reason": "oom"}] * 5))}, "cells"),
    ],
)
def test_what_must_hold_makes_a_narrow_interval_worthless(change, reason):
    found = ask(base=ground(**change))
    assert found.status == "not decided"
    assert reason in found.why


def test_flags_of_the_design_undo_a_decision():
    laws = two_forms()
    laws["chinchilla"] = epoch_law(0.005, flags=("collinear: parameters and tokens",))
    found = ask(laws)
    assert found.status == "not decided"
    assert "collinear" in found.why
    assert found.would_decide.runs == 8
    assert found.would_decide.dollars == Range.exact(16)
    laws["chinchilla"] = epoch_law(0.005, flags=("unidentified: R_D",))
    assert ask(laws).status == "decided"  # repeats play no part in this ratio
    laws["chinchilla"] = epoch_law(0.005, flags=("unidentified: B",))
    assert ask(laws).status == "leaning"
    laws["chinchilla"] = epoch_law(0.005, flags=("unidentified: marginal ratio of data to model",))
    assert ask(laws).status == "not decided"


def test_forms_that_differ_in_sign_undo_a_decision():
    other = {**EPOCH, "alpha": 0.348, "A": 4000.0}
    laws = two_forms() | {"other": plain_law(other, drawn(other, 0.005))}
    found = ask(laws)
    assert found.status == "not decided"
    assert "all forms" in found.why


def test_one_form_alone_leans_at_most():
    found = ask({"chinchilla": epoch_law(0.005)})
    assert found.status == "leaning"


def test_a_law_of_other_data_leans_at_most():
    found = ask(base=Ground(None, None, law_name="Epoch's refit"))
    assert found.status == "leaning"
    assert "study of your own" in found.would_decide.sentence()


def test_a_law_without_draws_decides_nothing():
    laws = {"chinchilla": plain_law(), "other": plain_law()}
    found = ask(laws)
    assert found.status == "not decided"
    assert "no interval" in found.why
    assert found.as_json()["ratio"]["low"] is None


def test_an_unknown_price_is_not_decided_and_gives_the_price_that_would_flip():
    found = ask(terms=Terms(Range.exact(3.99), Range.exact(4e14), "h100"))
    assert found.status == "not decided"
    assert found.ratio is None
    assert "price of text" in found.sentence
    assert "million tokens" in found.sentence
    assert [one.price for one in found.flips] == ["text"]
    assert 0 < found.flips[0].at.mid < math.inf


def test_few_steps_and_many_failures_lean_at_most():
    assert ask(base=ground(study(noise=0.005, seeds=3))).status == "leaning"
    rows = study_rows(noise=0.005, seeds=3, tokens=(1e6, 2e6, 4e6, 8e6))
    rows += [{"status": "failed", "reason": "out of memory"}] * 20
    found = ask(base=ground(make_runs(rows)))
    assert found.status == "leaning"
    assert "failed cells: 20" in found.why


def test_a_wide_price_can_take_a_decision_away():
    sure = Terms(Range.exact(3.99), Range.exact(4e14), "h100", text=Range.exact(2e-9))
    unsure = Terms(Range.exact(3.99), Range.exact(4e14), "h100", text=Range(1e-10, 2e-9, 4e-7))
    assert ask(terms=sure).status == "decided"
    assert ask(terms=unsure).status != "decided"


# --- recipes -----------------------------------------------------------------------------------


def compare(table, names, law=None, documents=None):
    runs = usable(table)
    noise = noise_floor(runs)
    pairs = measured_pairs(runs, *names)
    evidence = RecipeEvidence(
        measured_equivalence(pairs, noise.sd if noise else None, 500),
        by_law(law, POINT, *names) if law else None,
        largest_gap(runs, *names, noise),
        documents,
    )
    return recipe_worth(*names, evidence, ground(table))


def test_a_planted_gain_is_found_with_its_sign_and_an_interval():
    found = compare(study(noise=0.004, seeds=3), ("raw", "clean"))
    assert found.choice == "clean"
    low, high = found.ratio.interval()
    assert 1.2 < low < 1.5 < high < 2.0
    assert found.status == "leaning"  # no law and no documents were given
    backwards = compare(study(noise=0.004, seeds=3), ("clean", "raw"))
    assert backwards.choice == "clean"
    assert backwards.ratio.interval()[1] < 1


def test_with_law_and_documents_it_is_decided():
    law = recipe_law(0.8)
    saved = Estimate(0.1, np.linspace(0.05, 0.15, 100))
    found = compare(study(noise=0.004, seeds=3), ("raw", "clean"), law, saved)
    assert found.status == "decided", found.why
    against = Estimate(-0.1, np.linspace(-0.15, -0.05, 100))
    assert compare(study(noise=0.004, seeds=3), ("raw", "clean"), law, against).status == "leaning"


@pytest.mark.parametrize("noise", [0.002, 0.02])
def test_one_recipe_under_two_names_is_not_decided(noise):
    statuses = [
        compare(study({"a": 1.0, "b": 1.0}, noise=noise, seeds=3, seed=seed), ("a", "b")).status
        for seed in range(100)
    ]
    assert statuses.count("not decided") >= 95


def test_text_that_has_ended_is_compared_as_it_is_and_said_to_be_repeated():
    rows = [
        row
        | {"unique_tokens": min(600_000, row["tokens"])}
        | {"epochs": row["tokens"] / min(600_000, row["tokens"])}
        if row["recipe"] == "raw"
        else row
        for row in study_rows({"raw": 1.0, "clean": 1.3}, noise=0.002, seeds=3)
    ]
    free = {"raw": Range.exact(0.0)}
    terms = Terms(Range.exact(4.0), Range.exact(4e14), text=Range.exact(1e-9), curation=free)
    [found] = conclude(make_runs(rows), Setting(terms, baseline="raw", draws=20)).recipes
    gap = found.verdict.sentence
    assert "at 360k parameters and 4M tokens (raw's text 6.7 times) its loss is" in gap
    assert found.worth.dollars is None
    assert found.worth.missing == ("text beyond all of raw's",)
    [law] = [one for one in found.verdict.conditions if one.name == "the fitted law agrees"]
    assert (law.met, law.found) == (None, "text has ended there, laws compare fresh text")


def test_one_seed_each_decides_nothing():
    found = compare(study(noise=0.001, seeds=1), ("raw", "clean"))
    assert found.status == "not decided"
    assert "two more seeds" in found.would_decide.action
    assert found.would_decide.runs == 4


# --- words and files ---------------------------------------------------------------------------


def test_runs_that_would_decide_by_hand():
    # A half-width of log 2 around log 1.5: (log 2 / log 1.5)^2 = 2.92 times the runs.
    ratio = Estimate(1.5, np.array([0.75, 3.0] * 50))
    found = more_runs(ratio, 10, Range.exact(3.0))
    assert found.runs == 20
    assert found.dollars == Range.exact(60)
    assert "level" in more_runs(Estimate(1.001, np.array([0.5, 2.0] * 50)), 10, None).action
    assert "unknown" in more_runs(ratio, 10, None).sentence()


def test_the_file_is_json_that_every_reader_takes(tmp_path):
    verdict = ask()
    endless = recipe_worth("a", "b", RecipeEvidence(Estimate(math.inf), None, None, None), ground())
    write_verdict(tmp_path / "verdict.json", [verdict, endless])
    text = (tmp_path / "verdict.json").read_text()
    assert "Infinity" not in text
    assert "NaN" not in text
    value = json.loads(text)
    assert value["status"] == "decided"
    assert set(value) >= {"question", "choice", "ratio", "why", "flips", "conditions"}
    assert value["ratio"]["low"] < value["ratio"]["mid"] < value["ratio"]["high"]
    assert value["others"][0]["status"] == "not decided"
    assert not list(tmp_path.glob("*.tmp"))


def test_numbers_for_people():
    assert (number(math.inf), number(math.nan)) == ("beyond any", "not a number")
    assert (short(999_900), short(1.5e12), short(7)) == ("1M", "1.5T", "7")
