"""The command curate fit."""

import json
import sys

import pytest
from typer.testing import CliRunner

from curation.errors import DataError, RecipeError
from curation.study.lawfile import read_law
from flows.cli import app
from flows.command import UsageError
from tests.study import simulated

pytest.importorskip("scipy")

FORMS = ["--form", "tied", "--form", "recipes-shared", "--draws", "60"]


def curate(*arguments):
    return CliRunner().invoke(app, ["fit", *map(str, arguments)], env={"COLUMNS": "200"})


def test_people_get_a_table_and_the_chosen_law(tmp_path):
    shown = curate(simulated.CSV, *FORMS, "--out", tmp_path / "laws")
    assert shown.exit_code == 0, shown.output
    assert "recipes-shared *" in shown.output
    assert "B[curated]" in shown.output  # no markup eats it
    assert "curated is worth 1.6 times the data of raw" in shown.output
    assert "tied: unidentified: " in shown.output
    law = read_law(tmp_path / "laws" / "law.json")
    assert law.form == "recipes-shared"
    assert law.recipes == ("curated", "raw")
    assert sorted(path.name for path in (tmp_path / "laws").rglob("*.*")) == [
        "fit.png", "law.json", "recipes-shared.json", "tied.json",
    ]  # fmt: skip


def test_the_same_runs_give_the_same_files(tmp_path):
    for name in ("one", "two"):
        assert curate(simulated.CSV, *FORMS, "--out", tmp_path / name).exit_code == 0
    for path in (tmp_path / "one").rglob("*.*"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        assert path.read_bytes() == other.read_bytes(), path.name


def test_machines_get_json(tmp_path):
    shown = curate(simulated.CSV, *FORMS, "--baseline", "curated", "--json")
    assert shown.exit_code == 0, shown.output
    found = json.loads(shown.stdout)
    assert found["chosen"] == "recipes-shared"
    assert found["laws"]["recipes-shared"]["record"]["runs"] == 64
    [one] = found["recipes"]
    assert (one["recipe"], one["baseline"]) == ("raw", "curated")
    assert one["factor"]["high"] < 1
    assert one["decided"] is True
    assert found["files"] == []


def test_columns_and_runs_are_chosen(tmp_path):
    path = tmp_path / "others.csv"
    lines = simulated.CSV.read_text(encoding="utf-8").splitlines()
    lines[0] = "mix,Model Size,D,U,seed,val loss"
    path.write_text("\n".join(lines), encoding="utf-8")
    names = ["--columns", "recipe=mix,parameters=Model Size,tokens=D", "--columns", "loss=val loss"]
    shown = curate(path, *names, *FORMS, "--exclude", "recipe=raw", "--json")
    found = json.loads(shown.stdout)
    record = found["laws"]["tied"]["record"]
    assert record["runs"] == 36
    assert {one["why"] for one in record["excluded"]} == {"recipe=raw"}
    assert record["recipes"] == {"curated": 36}


def test_recipe_names_cannot_write_to_the_terminal(tmp_path):
    path = tmp_path / "runs.csv"
    text = simulated.CSV.read_text(encoding="utf-8").replace("raw,", "\x1b[31m[red]raw,")
    path.write_text(text, encoding="utf-8")
    shown = curate(path, *FORMS)
    assert shown.exit_code == 0
    assert "\x1b[31m" not in shown.output
    assert "[red]raw" in shown.output


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        (["--columns", "loss"], UsageError, "--columns 'loss': expected NAME=COLUMN"),
        (["--columns", "los=loss"], RecipeError, "did you mean 'loss'"),
        (["--form", "chinchila"], RecipeError, "unknown form of law 'chinchila'"),
        (["--exclude", "loss>0"], DataError, "none of 64 can be fitted"),
        (["--delta", "0"], RecipeError, "delta 0.0: expected a number above 0"),
        ([*FORMS, "--baseline", "row"], RecipeError, "unknown recipe of the runs 'row'"),
    ],
)
def test_wrong_use_is_one_line(arguments, kind, message):
    ended = curate(simulated.CSV, *arguments)
    assert isinstance(ended.exception, kind), ended.output
    assert message in str(ended.exception)
    assert "\n" not in str(ended.exception)


def test_without_scipy_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "scipy", None)
    ended = curate(simulated.CSV, *FORMS)
    assert isinstance(ended.exception, RecipeError)
    assert "pip install 'curation[study]'" in str(ended.exception)


def test_without_matplotlib_there_are_laws_and_no_picture(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    ended = curate(simulated.CSV, "--form", "tied", "--draws", "10", "--out", tmp_path / "laws")
    assert ended.exit_code == 0, ended.output
    assert "pictures need matplotlib" in ended.output
    assert (tmp_path / "laws" / "law.json").exists()
    assert not (tmp_path / "laws" / "fit.png").exists()
