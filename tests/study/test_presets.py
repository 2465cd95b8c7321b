"""The study files here: they can be planned as they stand, and say what the docs say of them."""

import os
import shutil
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from curation.study.corpora import plan_of
from curation.study.grid import cells_of
from curation.study.spec import load_study
from flows import studies
from flows.studies import SHIPPED

STUDIES = Path(__file__).resolve().parents[2] / "data" / "studies"
FILES = sorted(STUDIES.glob("*.toml"))
PRESETS = ("smoke", "cpu", "nightly", "gpu1", "gpu8")


@pytest.fixture(scope="module")
def planted():
    """The text of the planted fault, in the place where its recipes look for it."""
    script = STUDIES / "make_planted_fault.py"
    subprocess.run([sys.executable, str(script)], check=True, capture_output=True)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_study_and_its_recipes_can_be_planned(path, planted):
    loaded = load_study(path)
    assert loaded.study.name == path.stem
    for spec in (loaded.study.held_out, *loaded.study.recipes):
        assert plan_of(spec, loaded)
    assert len({cell.label for cell in cells_of(loaded.study)}) == len(cells_of(loaded.study))


def test_presets_are_in_the_package():
    project = tomllib.loads((STUDIES.parents[1] / "pyproject.toml").read_text())
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    shipped = {
        name: target for name, target in included.items() if name.startswith("data/studies/")
    }
    place = SHIPPED.relative_to(STUDIES.parents[1])
    assert shipped == {f"data/studies/{name}.toml": f"{place}/{name}.toml" for name in PRESETS}


def test_a_package_has_grids_but_no_text(tmp_path, monkeypatch):
    from curation.errors import CurationError

    shutil.copytree(STUDIES, tmp_path / "shipped", ignore=shutil.ignore_patterns("recipes", "*.py"))
    monkeypatch.setattr(studies, "SHIPPED", tmp_path / "shipped")
    own = tmp_path / "my.toml"
    assert studies._files(own, "gpu1") == (own, tmp_path / "shipped" / "gpu1.toml")
    with pytest.raises(CurationError, match=r"--preset gpu1: .* no text; name a STUDY.toml"):
        studies._files(None, "gpu1")


def test_presets_grow_on_one_code_path():
    studies = [load_study(STUDIES / f"{name}.toml").study for name in PRESETS]
    tokens = [sum(cell.tokens for cell in cells_of(study)) for study in studies]
    assert tokens == sorted(tokens)
    assert [study.illustrative for study in studies] == [True, False, False, False, False]


@pytest.mark.parametrize("name", ["cpu", "nightly", "gpu1", "gpu8"])
def test_presets_span_ratios_have_three_seeds_and_enough_steps(name):
    study = load_study(STUDIES / f"{name}.toml").study
    cells = cells_of(study)
    tokens = [cell.tokens for cell in cells if cell.group != "timing"]
    assert min(tokens) >= 1000 * study.training.batch_tokens
    assert len(study.grid.sizes) >= 3
    assert len(study.grid.tokens) >= 4
    assert len(study.grid.seeds) == 3
    blocks = [size.depth * (size.width or 64 * size.depth) ** 2 for size in study.grid.sizes]
    ratios = [count / size for count in study.grid.tokens for size in blocks]
    assert max(ratios) / min(ratios) >= 10


def test_the_planted_fault_is_of_half_of_the_documents(planted):
    import json

    directory = STUDIES.parent / "work" / "planted"
    clean, damaged = (
        [json.loads(line) for line in (directory / f"{name}.jsonl").read_text().splitlines()]
        for name in ("clean", "damaged")
    )
    assert [row["id"] for row in clean] == [row["id"] for row in damaged]
    changed = [
        row for before, row in zip(clean, damaged, strict=True) if row["text"] != before["text"]
    ]
    assert 0.45 < len(changed) / len(clean) < 0.55
    copies = Counter(row["text"] for row in damaged)
    assert sum(count for _, count in copies.most_common(20)) > 0.2 * len(damaged)


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.skipif("CURATION_LONG" not in os.environ, reason="20 minutes; set CURATION_LONG=1")
@pytest.mark.parametrize(("name", "found"), [("planted-fault", True), ("null", False)])
def test_a_real_study_finds_what_is_there_and_nothing_else(tmp_path, planted, name, found):
    import json

    command = [sys.executable, "-m", "flows.cli", "study", str(STUDIES / f"{name}.toml")]
    command += ["--out", str(tmp_path / "out"), "--no-prefect", "--json"]
    ended = subprocess.run(command, check=True, capture_output=True, cwd=STUDIES.parents[1])
    verdict = json.loads(ended.stdout)["verdicts"][0]
    if not found:
        assert verdict["status"] == "not decided"
        return
    assert "clean" in verdict["choice"]
    assert 1.2 <= verdict["ratio"]["mid"] <= 2.0
    assert verdict["ratio"]["low"] > 1
