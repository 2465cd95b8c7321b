"""`curate advise` as people and machines use it."""

import json

import pytest
from typer.testing import CliRunner

from curation.errors import CurationError
from curation.study.lawfile import write_law
from flows.cli import app
from tests.study.doubles import recipe_law


def curate(*arguments):
    return CliRunner().invoke(app, ["advise", *map(str, arguments)])


def test_people_get_a_split_with_intervals_and_flips():
    shown = curate("--budget", 500, "--text-price", "0.002")
    assert shown.exit_code == 0, shown.output
    for word in ("text", "training", "model", "parameters", "an hour of h100", "arXiv 2404.10102"):
        assert word in shown.output
    assert " to " in shown.output
    assert "no interval" not in shown.output


def test_an_unknown_price_is_shown_as_unknown():
    shown = curate("--budget", 500)
    assert "Not decided: the price of text is unknown" in shown.output
    row = next(line for line in shown.output.splitlines() if line.startswith(" text"))
    assert "unknown" in row
    assert "0.00" not in row
    found = json.loads(curate("--budget", 500, "--json").output)
    assert found["status"] == "not decided"
    assert found["dollars"]["text"] == {"mid": None, "unknown": ["text"]}


def test_machines_get_json():
    found = json.loads(
        curate("--budget", 500, "--text-price", "0.001:0.002:0.004", "--json").output
    )
    assert found["status"] == "split"
    assert found["law"]["published"]
    tokens = found["figures"]["unique_tokens"]
    assert tokens["low"] < tokens["mid"] < tokens["high"]
    assert {one["price"] for one in found["flips"]} == {"hour", "text"}


def test_a_law_of_ones_own_with_a_hostile_recipe(tmp_path):
    law = recipe_law()
    bad = "[red]clean\x1b[31m"
    renamed = {name.replace("clean", bad): value for name, value in law.parameters.items()}
    draws = {name.replace("clean", bad): value for name, value in law.draws.items()}
    hostile = type(law)("recipes", renamed, draws, (), law.record, ("raw", bad))
    write_law(tmp_path / "law.json", hostile)
    shown = curate(
        "--budget", 500, "--law", tmp_path / "law.json", "--text-price", "0.002",
        "--curation-price", "0.0001",
    )  # fmt: skip
    assert shown.exit_code == 0, shown.output
    assert "\x1b[31m" not in shown.output
    assert "[red]clean" in shown.output


def test_serving_is_priced_by_the_day():
    shown = curate("--budget", 500, "--text-price", "0.002", "--served-tokens-per-day", "1e7")
    assert "a day for worked hours" in shown.output.replace("\n", " ")
    found = json.loads(curate("--budget", 500, "--served-tokens-per-day", "1e7", "--json").output)
    assert found["serving"]["dollars_per_day"]["busy"]["mid"] > 0


def test_curation_is_priced_from_a_dataset(tmp_path):
    from curation.manifest import Manifest, Totals, write_json

    manifest = Manifest(
        name="m", version="1", fingerprint="f", recipe={}, package_version="0",
        cpu_seconds=3600.0, totals=Totals(text_bytes_kept=10**9),
    )  # fmt: skip
    write_json(tmp_path / "manifest.json", manifest)
    found = json.loads(
        curate("--budget", 500, "--text-price", "0.002", "--dataset", tmp_path,
               "--curation-gain", "1.5", "--json").output
    )  # fmt: skip
    # An hour of a CPU for 1 GB: 3.74 cents; at 4 bytes a token $0.00015 a million tokens.
    tokens = found["figures"]["unique_tokens"]["mid"]
    assert found["recipe"] == "curated"
    assert found["dollars"]["curation"]["mid"] == pytest.approx(tokens * 0.0374 * 4 / 1e9, rel=1e-6)


def test_a_model_that_is_there_gets_a_verdict_on_its_next_dollar():
    options = ["--budget", 500, "--text-price", "0.002", "--parameters", "1e9", "--tokens", "5e9"]
    shown = curate(*options)
    assert "the next $" in shown.output.replace("\n", " ")
    found = json.loads(curate(*options, "--json").output)["next_dollar"]
    assert found["choice"] == "more text"
    assert found["status"] == "leaning"  # the law is of others' data
    low, high = found["ratio"]["low"], found["ratio"]["high"]
    assert 1 < low < found["ratio"]["mid"] < high


def test_a_quantised_model_pays_after_some_days():
    options = ["--budget", 500, "--served-tokens-per-day", "1e8", "--shrink-factor", "0.5",
               "--shrink-cost", "100"]  # fmt: skip
    found = json.loads(curate(*options, "--json").output)
    daily = found["serving"]["dollars_per_day"]["busy"]["mid"]
    assert found["shrinking"]["days"]["mid"] == pytest.approx(100 / (daily / 2))
    assert "has paid for its making" in curate(*options).output.replace("\n", " ")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--gpu", "h10"], "unknown GPU 'h10'.*did you mean 'h100'"),
        (["--gpu", "l4"], "no price read; give --gpu-price"),
        (["--gpu", "gh200"], "peak FLOP/s is not in the catalogue"),
        (["--law", "epok"], "unknown law 'epok'.*'epoch'"),
        (["--law", "absent.json"], "absent.json: cannot be read"),
        (["--text-price", "cheap"], "--text-price: found 'cheap'"),
        (["--mfu", "2"], "--mfu"),
        (["--curation-gain", "-1"], "--curation-gain"),
        (["--parameters", "1e9"], "--tokens go together"),
        (["--shrink-factor", "0.5"], "--shrink-cost go together"),
        (["--dataset", "absent", "--curation-gain", "2"], "no manifest.json"),
    ],
)
def test_wrong_usage_is_one_line(options, message):
    found = curate("--budget", 500, *options)
    assert isinstance(found.exception, CurationError)
    import re

    assert re.search(message, str(found.exception))
    assert "\n" not in str(found.exception)
