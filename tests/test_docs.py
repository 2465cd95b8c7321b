"""The README and the docs against the code."""

import re
from pathlib import Path

import pytest

from curation.job import load_job
from curation.plan import segments_of
from curation.recipe import load_recipe
from curation.reference import stage_pages, stage_table, with_parts
from curation.sources import KINDS as SOURCE_KINDS
from curation.stages import KINDS as STAGE_KINDS

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "docs/stages.md", "docs/noise.md"])
def test_the_reference_of_stages_is_the_codes(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")
    assert with_parts(page) == page, f"run: python -m curation.reference {name}"


def test_every_stage_has_its_row_and_its_section() -> None:
    assert len(stage_table().splitlines()) == len(STAGE_KINDS) + 2
    assert re.findall("^## (.*)$", stage_pages(), re.MULTILINE) == list(STAGE_KINDS)


def test_every_source_and_command_is_in_the_readme() -> None:
    from flows.cli import app

    for kind in SOURCE_KINDS:
        assert f"`{kind}`" in README
    for command in app.registered_commands:
        assert command.callback is not None
        assert f"curate {command.name or command.callback.__name__}" in README


def test_a_command_comes_within_the_first_100_words() -> None:
    before, fence, _ = README.partition("```")
    assert fence
    assert len(before.split()) < 100


def test_links_lead_somewhere() -> None:
    for page in [
        ROOT / "README.md",
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "data").rglob("*.md"),
    ]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{page}: {target}"


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "recipes").glob("*.toml")), ids=str)
def test_every_recipe_can_be_planned(path: Path) -> None:
    assert segments_of(load_recipe(path).recipe)


@pytest.mark.parametrize("path", sorted((ROOT / "data" / "jobs").glob("*.toml")), ids=str)
def test_every_job_can_be_read(path: Path) -> None:
    assert load_job(path).name == path.stem
