"""From cells to verdicts, with a trainer that answers by a law: a gain is found, nothing is not."""

import json

import pytest

from curation.study import concluding
from curation.study.concluding import conclude_study
from curation.study.lawfile import read_law
from curation.study.spec import load_study
from tests.study import factory
from tests.study.factory import FakeTrainer, run_it, use_trainer, write_study

pytest.importorskip("scipy", reason="needs: pip install 'curation[study]'")
pytest.importorskip("matplotlib", reason="needs: pip install 'curation[study]'")

CPU = {"kind": "cpu", "name": "test"}
GRID = """
sizes = [{ depth = 1, width = 32 }, { depth = 1, width = 96 }, { depth = 3, width = 96 }]
tokens = [131072, 262144, 524288, 1048576]
seeds = [1, 2, 3]
seed_tokens = [524288, 1048576]
own_seeds = true
"""
STUDY = (
    factory.STUDY.partition("[grid]")[0]
    + "[grid]"
    + GRID
    + "[training]"
    + factory.STUDY.partition("[training]")[2]
)


def conclude(path, out, overrides=()):
    """The conclusion of a study that ran."""
    outcome = run_it(path, out, overrides)
    return conclude_study(load_study(path, overrides).study, out, outcome.datasets, CPU)


def recipe_verdict(conclusion):
    """The verdict about the two recipes."""
    [one] = conclusion.recipes
    return one.verdict


@pytest.fixture
def few_draws(monkeypatch):
    """Small bootstraps: the tests of the laws look at large ones."""
    monkeypatch.setattr(concluding, "DRAWS", 60)


@pytest.mark.slow
@pytest.mark.usefixtures("few_draws")
def test_a_planted_gain_is_found_with_its_sign_and_an_interval_without_one(tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    out = tmp_path / "out"
    found = recipe_verdict(conclude(write_study(tmp_path, STUDY), out))
    low, high = found.ratio.interval(0.95)
    true = (90 / 60) ** (1 / 0.4)
    assert found.status == "decided"
    assert "good" in found.choice
    assert 1 < low < high
    assert found.ratio.mid == pytest.approx(true, rel=0.15)
    assert json.loads((out / "verdict.json").read_text())["status"] == "decided"
    assert "<html" in (out / "report.html").read_text()
    assert read_law(out / "law.json").recipes == ("bad", "good")


@pytest.mark.slow
@pytest.mark.usefixtures("few_draws")
def test_one_recipe_under_two_names_is_not_decided(tmp_path, monkeypatch):
    monkeypatch.setattr(factory, "_b", lambda _: 60.0)
    path, out = write_study(tmp_path, STUDY), tmp_path / "out"
    use_trainer(monkeypatch, FakeTrainer())
    states = []
    for seed in range(5):
        seeds = f"grid.seeds=[{3 * seed + 1}, {3 * seed + 2}, {3 * seed + 3}]"
        states.append(recipe_verdict(conclude(path, out, [seeds])).status)
    assert states == ["not decided"] * 5


@pytest.mark.usefixtures("few_draws")
def test_all_cells_failed_is_a_state_of_the_report(tmp_path, monkeypatch):
    failing = FakeTrainer(lambda name: "no <room>" if name.startswith(("good", "bad")) else None)
    use_trainer(monkeypatch, failing)
    conclusion = conclude(write_study(tmp_path, STUDY), tmp_path / "out")
    assert any("No cell is done" in state for state in conclusion.states)
    assert {one.status for one in conclusion.verdicts} == {"not decided"}
    page = (tmp_path / "out" / "report.html").read_text()
    assert "No cell is done" in page
    assert "<room>" not in page


@pytest.mark.usefixtures("few_draws")
def test_what_an_earlier_run_concluded_does_not_stay(tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    path, out = write_study(tmp_path), tmp_path / "out"
    outcome = run_it(path, out)
    (out / "laws").mkdir()
    for name in ("law.json", "laws/old.json", "report.html", "old.png"):
        (out / name).write_text("of other runs")
    study = load_study(path).study
    short = study.model_copy(update={"illustrative": True})
    conclude_study(short, out, outcome.datasets, CPU)
    assert not (out / "laws" / "old.json").exists()
    assert not (out / "old.png").exists()
    assert "of other runs" not in (out / "report.html").read_text()


@pytest.mark.usefixtures("few_draws")
def test_a_study_without_pictures_still_has_its_verdict(tmp_path, monkeypatch):
    from curation.errors import RecipeError

    def missing(*_):
        raise RecipeError("matplotlib is not installed")

    use_trainer(monkeypatch, FakeTrainer())
    monkeypatch.setattr(concluding, "write_report", missing)
    path, out = write_study(tmp_path), tmp_path / "out"
    conclusion = conclude(path, out, ["illustrative=true"])
    assert "report.html: matplotlib is not installed" in conclusion.states
    assert (out / "verdict.json").exists()


def test_prices_of_a_study_are_what_its_author_knows(tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    path, out = write_study(tmp_path), tmp_path / "out"
    outcome = run_it(path, out)
    from curation.study.runs import read_runs

    runs = read_runs(out / "runs.parquet")
    unknown = concluding.setting_of(load_study(path).study, runs, outcome.datasets, CPU).terms
    assert unknown.text is None
    assert "text" in unknown.unknown("bad")
    priced = load_study(path, ["prices.text_per_gigabyte=20.0", "prices.reuse=4"]).study
    terms = concluding.setting_of(priced, runs, outcome.datasets, CPU).terms
    assert terms.text.mid == pytest.approx(20e-9)
    assert terms.reuse == 4
    assert set(terms.curation) == {"bad", "good"}
