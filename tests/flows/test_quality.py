"""`curate train-quality` as people and machines use it."""

import json

from typer.testing import CliRunner

from curation.errors import RecipeError
from flows.cli import app
from tests.conftest import write_jsonl

SMALL = ["--buckets", "3000", "--dim", "4", "--epochs", "3", "--held-out", "0.3"]


def curate(*arguments):
    return CliRunner().invoke(app, ["train-quality", *map(str, arguments)])


def sides(tmp_path):
    return [
        write_jsonl(
            tmp_path / f"{word}.jsonl", [{"text": f"{word} {k} {k * k}"} for k in range(80)]
        )
        for word in ("good", "bad")
    ]


def test_people_get_tables_and_machines_the_record(tmp_path):
    out = tmp_path / "q.bin"
    shown = curate(*sides(tmp_path), "--out", out, *SMALL)
    assert shown.exit_code == 0, shown.output
    assert "keep" in shown.output
    assert "AUC" in shown.output
    found = json.loads(curate(*sides(tmp_path), "--out", out, *SMALL, "--json").output)
    assert found == json.loads((tmp_path / "q.bin.json").read_text())
    assert found["settings"]["epochs"] == 3
    for bound in found["held_out"]["bounds"]:
        assert f" {bound['min_score']} " in shown.output


def test_a_setting_that_cannot_be_is_one_line(tmp_path):
    ended = curate(*sides(tmp_path), "--out", tmp_path / "q.bin", "--held-out", "1.5")
    assert isinstance(ended.exception, RecipeError)
    assert "train-quality: held_out: Input should be less than 1" in str(ended.exception)


def test_more_files_of_a_side_can_be_named(tmp_path):
    good, bad = sides(tmp_path)
    more = write_jsonl(tmp_path / "more.jsonl", [{"text": f"more {k}"} for k in range(20)])
    ended = curate(good, bad, "--pos", more, "--out", tmp_path / "q.bin", *SMALL, "--json")
    assert json.loads(ended.output)["positive"]["documents"] == 100
