"""`curate study`: the plan, the run without Prefect, and what can be wrong, each in one line."""

import json

import pytest

from curation import results
from curation.study import concluding
from flows import cli
from tests.study.factory import FakeTrainer, use_trainer, write_study

pytest.importorskip("scipy", reason="needs: pip install 'curation[study]'")

SMALL = ("--set", "illustrative=true", "--set", "grid.seeds=[1]", "--set", "grid.seed_tokens=[]")


@pytest.fixture
def curate(capsys):
    """Runs a command in this process."""

    def run(*arguments):
        with pytest.raises(SystemExit) as ended:
            cli._guarded(lambda: cli.app([str(one) for one in arguments], prog_name="curate"))
        said = capsys.readouterr()
        return ended.value.code or 0, said.out, said.err

    return run


@pytest.fixture
def trainer(monkeypatch):
    """A trainer that answers by a formula, and quick conclusions."""
    monkeypatch.setattr(concluding, "FEW_DRAWS", 20)
    monkeypatch.setattr(concluding, "write_report", lambda *_: [])
    return use_trainer(monkeypatch, FakeTrainer())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "needs a STUDY.toml or --preset NAME"),
        (("--preset", "cpus"), "unknown preset 'cpus'; known: cpu"),
        (("study.toml",), "needs --out DIR, e.g. curate study study.toml --out data/out/study"),
        (("no.toml", "--out", "x"), "study no.toml: no such file"),
    ],
)
def test_wrong_usage_is_one_line(curate, tmp_path, monkeypatch, arguments, said):
    monkeypatch.chdir(tmp_path)
    code, out, err = curate("study", *arguments)
    assert code == 2
    assert out == ""
    assert said in err
    assert err.count("\n") == 1


def test_a_typo_in_the_study_is_one_line_and_nothing_is_made(curate, tmp_path):
    path = write_study(tmp_path)
    path.write_text(path.read_text().replace("tokens =", "tokns ="))
    code, _, err = curate("study", path, "--out", tmp_path / "out")
    assert code == 2
    assert "unknown setting of [grid] 'tokns'" in err
    assert "did you mean 'tokens'" in err
    assert not (tmp_path / "out").exists()


def test_without_torch_it_is_one_line_before_anything_is_curated(curate, tmp_path, monkeypatch):
    monkeypatch.setattr(results, "library_versions", lambda: {"torch": "not installed"})
    out = tmp_path / "out"
    code, _, err = curate("study", write_study(tmp_path), "--out", out, "--no-prefect")
    assert code == 2
    assert "needs torch, which is not installed here" in err.splitlines()[-1]
    assert not (out / "datasets").exists()


def test_the_plan_is_shown_and_no_recipe_is_run(curate, tmp_path, trainer):
    out = tmp_path / "out"
    code, said, _ = curate("study", write_study(tmp_path), "--out", out, "--plan", "--json")
    assert code == 0
    plan = json.loads(said)
    assert len(plan["cells"]) == 16
    assert plan["dollars"]["low"] < plan["dollars"]["high"]
    assert not (out / "datasets").exists()
    code, _, err = curate("study", tmp_path / "study.toml", "--out", out, "--plan")
    assert code == 0
    assert "16 cells" in err


def test_a_run_says_what_came_out_and_a_failed_cell_is_a_warning(curate, tmp_path, monkeypatch):
    monkeypatch.setattr(concluding, "FEW_DRAWS", 20)
    monkeypatch.setattr(concluding, "write_report", lambda *_: [])
    label = "bad-d1w32-t4096-s1"
    use_trainer(monkeypatch, FakeTrainer(lambda name: "no room" if name == label else None))
    path, out = write_study(tmp_path), tmp_path / "out"
    code, said, err = curate("study", path, "--out", out, "--no-prefect", *SMALL)
    assert code == 0
    assert "11 done, 1 failed" in said
    assert "NOT DECIDED: " in said
    assert f"{label} failed: no room" in err
    assert "warning: 1 cells failed, the first: no room" in err
    assert "12/12" in err


def test_all_cells_failed_ends_with_one_line_and_its_table(curate, tmp_path, monkeypatch):
    monkeypatch.setattr(concluding, "write_report", lambda *_: [])
    failing = FakeTrainer(lambda name: "no room" if name.startswith(("good", "bad")) else None)
    use_trainer(monkeypatch, failing)
    path, out = write_study(tmp_path), tmp_path / "out"
    code, _, err = curate("study", path, "--out", out, "--no-prefect", *SMALL)
    assert code == 1
    assert "all 12 cells failed" in err.splitlines()[-1]
    assert (out / "runs.parquet").exists()


def test_above_the_cap_nothing_runs(curate, tmp_path, trainer):
    path, out = write_study(tmp_path), tmp_path / "out"
    code, _, err = curate(
        "study", path, "--out", out, "--no-prefect", "--set", "budget.minutes=0.001"
    )
    assert code == 1
    assert "minutes, the cap is 0.001" in err.splitlines()[-1]
    assert not (out / "datasets").exists()
