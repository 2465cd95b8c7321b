"""STUDY.toml: what is wrong in it is one line that names it."""

import pytest

from curation.errors import RecipeError
from curation.study.spec import load_study
from tests.study.factory import STUDY, write_study


def test_paths_start_from_the_file(tmp_path):
    loaded = load_study(write_study(tmp_path))
    assert loaded.study.recipes[0].recipe == str(tmp_path / "bad.toml")
    assert loaded.study.held_out.recipe == str(tmp_path / "held-out.toml")
    assert loaded.study.reference == "bad"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[grid]", "[gird]", r"unknown setting 'gird'; .*did you mean 'grid'"),
        ("seeds = [1, 2]", "seed = [1, 2]", r"setting of \[grid\] 'seed'; .*mean 'seeds'"),
        ('recipe = "bad.toml"', 'recpie = "bad.toml"', r"\[\[recipes\]\] 1 'recpie'"),
        ("width = 32", "widht = 32", r"\[\[grid.sizes\]\] 1 'widht'"),
        ('recipe = "bad.toml"', "", "neither given; expected one of them"),
        ('baseline = "bad"', 'baseline = "bda"', "baseline: no recipe 'bda'; known: bad, good"),
        ('name = "good"', 'name = "bad"', "'bad' is there twice"),
        ("seed_tokens = [8192]", "seed_tokens = [8000]", "8000, which is not among tokens"),
        ("batch_tokens = 128", "batch_tokens = 100", "not a multiple of sequence_length 64"),
        ("tokens = [4096, 8192, 16384]", "tokens = []", "at least 1 item"),
        ("seeds = [1, 2]", "seeds = [1, 1]", "seeds holds the same value twice"),
        ("[training]", "[budget]\nminutes = -1\n[training]", "greater than 0"),
    ],
)
def test_what_is_wrong_is_one_line(tmp_path, old, new, said):
    assert old in STUDY
    path = write_study(tmp_path, STUDY.replace(old, new, 1))
    with pytest.raises(RecipeError, match=said) as caught:
        load_study(path)
    assert "\n" not in str(caught.value)
    assert "study" in str(caught.value)


def test_settings_of_sources_are_handed_on_and_others_are_the_studys(tmp_path):
    overrides = ['sources.bad.paths=["x"]', "grid.seeds=[3]", "recipes.good.quality=0.5"]
    loaded = load_study(write_study(tmp_path), overrides)
    assert loaded.overrides == ('sources.bad.paths=["x"]',)
    assert loaded.study.grid.seeds == (3,)
    assert loaded.study.recipes[1].quality == 0.5


def test_a_preset_brings_grid_training_and_caps_and_leaves_the_recipes(tmp_path):
    other = tmp_path / "preset.toml"
    other.write_text(
        "illustrative = true\n[grid]\nsizes = [{ depth = 3 }]\ntokens = [128]\n"
        "[budget]\nflops = 1\n"
    )
    study = load_study(write_study(tmp_path), (), other).study
    assert study.illustrative
    assert [size.name for size in study.grid.sizes] == ["d3w192"]
    assert study.budget.flops == 1
    assert [recipe.name for recipe in study.recipes] == ["bad", "good"]
    assert study.training.batch_tokens == 128
