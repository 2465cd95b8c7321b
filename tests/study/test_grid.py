"""Cells: which there are, in what order, and what their keys depend on."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.study.grid import cells_of, job_of, key_of, without
from curation.study.spec import Study, parse_study

TWO = {"recipes": [{"name": "a", "dataset": "a"}, {"name": "b", "dataset": "b"}]}
GRID = {"sizes": [{"depth": 1}, {"depth": 2}], "tokens": [1024, 2048, 4096, 8192]}


def study(**grid: object) -> Study:
    """A study of two datasets."""
    raw = {"name": "s", "held_out": {"dataset": "h"}, "grid": GRID | grid, **TWO}
    return parse_study(raw)


def test_every_recipe_meets_every_size_and_volume_once():
    cells = cells_of(study())
    assert Counter(cell.group for cell in cells) == {"grid": 16}
    assert len({cell.label for cell in cells}) == 16


def test_seeds_repeats_and_timing_stand_beside_the_grid():
    repeats = [{"unique_tokens": 1024, "epochs": [2, 4.5], "recipes": ["b"], "depths": [2]}]
    cells = cells_of(study(seeds=[1, 2, 3], seed_tokens=[2048], repeats=repeats, devices=[2, 1]))
    assert Counter(cell.group for cell in cells) == {
        "grid": 16, "seeds": 8, "repeats": 2, "timing": 6,
    }  # fmt: skip
    repeated = [cell for cell in cells if cell.group == "repeats"]
    assert [(cell.tokens, cell.unique_tokens) for cell in repeated] == [(2048, 1024), (4608, 1024)]
    assert [cell.devices for cell in cells[-6:]] == [1, 1, 1, 2, 2, 2]
    assert len({cell.label for cell in cells}) == len(cells)


@pytest.mark.parametrize(
    "grid",
    [
        {
            "repeats": [
                {"unique_tokens": 1024, "epochs": [2, 4]},
                {"unique_tokens": 1024, "epochs": [4]},
            ]
        },
        {"sizes": [{"depth": 1, "learning_rate": 1e-3}, {"depth": 1, "width": 64}]},
    ],
)
def test_cells_that_no_table_could_tell_apart_are_refused(grid):
    with pytest.raises(RecipeError, match=r"cell a-d1w64-t\d+.* is there twice; expected sizes"):
        cells_of(study(**grid))


def test_cheap_cells_come_first_and_no_recipe_waits_for_the_other():
    cells = cells_of(study())
    costs = [cell.tokens * cell.size.depth**3 for cell in cells]
    assert costs == sorted(costs)
    assert [cell.recipe for cell in cells] == ["a", "b"] * 8


def test_recipes_share_seeds_unless_they_are_to_have_their_own():
    assert {cell.own_seed for cell in cells_of(study())} == {17}
    own = {cell.recipe: cell.own_seed for cell in cells_of(study(own_seeds=True))}
    assert own["a"] != own["b"]
    assert {cell.seed for cell in cells_of(study(own_seeds=True))} == {17}


def test_a_job_has_the_budget_and_a_prefix_of_the_text():
    cell = cells_of(study())[0]
    job = job_of(cell, study(), tokenizer="/t/tokenizer.json", held_out="/h")
    assert job.data.token_budget == cell.tokens
    assert job.tokenizer.path == "/t/tokenizer.json"
    assert job.training.batch_size * job.data.sequence_length == 512
    assert {job.seed.init, job.seed.order, job.seed.sampling} == {17}


def test_a_size_may_have_a_rate_of_its_own():
    cells = cells_of(study(sizes=[{"depth": 1, "learning_rate": 0.5}, {"depth": 2}]))
    rates = {
        cell.size.depth: job_of(cell, study(), tokenizer=None, held_out=None).learning_rate
        for cell in cells
    }
    assert rates == {1: 0.5, 2: 3e-3}


def test_only_a_timing_cell_is_tied_to_its_machine():
    cells = cells_of(study(devices=[1]))
    one, timing = cells[0], cells[-1]
    here, there = {"name": "this"}, {"name": "that"}
    assert key_of(one, "d", here, 1) == key_of(one, "d", there, 1)
    assert key_of(timing, "d", here, 1) != key_of(timing, "d", there, 1)
    assert key_of(one, "d", here, 1) != key_of(one, "e", here, 1)
    assert key_of(one, "d", here, 1) != key_of(one, "d", here, 2)
    assert len(key_of(one, "d", here, 1)) == 32


def test_dropping_the_grid_takes_the_most_tokens_down_to_three_counts():
    cells = cells_of(study(seeds=[1, 2], seed_tokens=[2048], devices=[1]))
    fewer = without(cells, "grid")
    assert max(cell.tokens for cell in fewer) == 4096
    assert without(fewer, "grid") == fewer
    assert Counter(cell.group for cell in without(cells, "seeds")) == {"grid": 16, "timing": 2}


@given(st.permutations([1024, 2048, 4096]), st.permutations([1, 2, 3]))
def test_the_order_in_which_a_study_lists_things_changes_no_cell(tokens, depths):
    sizes = [{"depth": depth} for depth in depths]
    one = cells_of(study(tokens=tokens, sizes=sizes))
    other = cells_of(study(tokens=sorted(tokens), sizes=sorted(sizes, key=lambda s: s["depth"])))
    assert one == other


@pytest.mark.parametrize("recipe", ["a", "b"])
def test_smaller_budgets_are_of_the_same_seed_so_prefixes(recipe):
    cells = [cell for cell in cells_of(study()) if cell.recipe == recipe]
    jobs = [job_of(cell, study(), tokenizer=None, held_out=None) for cell in cells]
    assert len({job.seed for job in jobs}) == 1
    assert {job.data.unique_tokens for job in jobs} == {None}
