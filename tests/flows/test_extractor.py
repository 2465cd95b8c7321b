"""`curate train-extractor` as people and machines use it."""

import json

import pytest
from typer.testing import CliRunner, Result

from curation.errors import CurationError
from flows.cli import app
from tests.extraction.factory import write_gold

pytest.importorskip("catboost", reason='needs: pip install "curation[train-extractor]"')

QUICK = ["--trees", 12, "--depth", 3, "--folds", 2]


def train(*arguments: object) -> Result:
    return CliRunner().invoke(app, ["train-extractor", *map(str, arguments)])


def test_table_names_the_scores_beside_those_of_others(tmp_path):
    gold, out = write_gold(tmp_path, "some", range(18)), tmp_path / "with space" / "some.npz"
    ended = train(gold, "--out", out, *QUICK)
    assert ended.exit_code == 0, ended.output
    for shown in ("blocks, unseen sites", "trafilatura", "resiliparse", "short"):
        assert shown in ended.stdout
    assert "growing the forest" in ended.stderr
    assert out.exists()
    assert json.loads(out.with_name("some.npz.json").read_text())["format"] == 1


def test_json_is_the_record(tmp_path):
    gold, out = write_gold(tmp_path, "some", range(15)), tmp_path / "some.npz"
    ended = train(gold, "--out", out, *QUICK, "--no-measure", "--json")
    shown = json.loads(ended.stdout)
    assert shown == json.loads((tmp_path / "some.npz.json").read_text())
    assert shown["sets"][0]["scores"] is None


@pytest.mark.parametrize(
    ("gold", "out", "message"),
    [
        ("missing.gold.jsonl", "m.npz", "cannot be read"),
        ("pages.jsonl", "m.npz", "expected a file NAME.gold.jsonl"),
        ("some.toml", "m.npz", "--pages WARC"),
        ("missing.gold.jsonl", "m.bin", "expected '.npz'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, gold, out, message):
    (tmp_path / "some.toml").write_text('[[templates]]\nfamily = "f"\nurl = "u"\nlicence = "l"\n')
    ended = train(tmp_path / gold, "--out", tmp_path / out)
    assert isinstance(ended.exception, CurationError)
    assert message in str(ended.exception)
    assert ended.exception.exit_code == 2
