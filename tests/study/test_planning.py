"""What a study will take, and what is left out above a cap."""

import pytest

from curation.errors import CurationError, RecipeError
from curation.study.grid import cells_of
from curation.study.planning import device_price, plan_study
from curation.study.prices import Range
from curation.study.probe import Speed, Watch
from curation.study.spec import Study, parse_study

SPEEDS = {"d1w64": Speed(1000, 6000.0, 1000.0, 4.0)}
PRICE = Range(1.0, 2.0, 4.0)


def study(**tables: object) -> Study:
    """A study whose cells take 5 to 36 s."""
    grid = {
        "sizes": [{"depth": 1}],
        "tokens": [1000, 2000, 4000, 8000],
        "seeds": [1, 2],
        "seed_tokens": [2000],
        "devices": [1],
        "design": "warn",
    }
    raw = {
        "name": "s",
        "held_out": {"dataset": "h"},
        "recipes": [{"name": "a", "dataset": "a"}],
        "grid": grid,
    }
    return parse_study(raw | tables)


def plan(asked: Study, **options: object) -> object:
    """The plan of all cells."""
    return plan_study(asked, cells_of(asked), SPEEDS, **options)


def test_flops_seconds_and_dollars_add_up():
    found = plan(study(), price=PRICE)
    tokens = 1000 + 2000 + 4000 + 8000 + 2000 + 2 * 1000
    assert found.flops == tokens * 6000
    seconds = tokens / 1000 + 7 * 4
    assert found.minutes == pytest.approx(seconds / 60)
    assert found.dollars.high == pytest.approx(seconds / 3600 * 4)


def test_timing_cells_have_the_machine_for_themselves():
    alone = 2 * (1000 / 1000 + 4)
    both = plan(study(), parallel=2).minutes * 60
    assert both == pytest.approx(alone + (17_000 / 1000 + 5 * 4) / 2)


def test_above_a_cap_nothing_is_run():
    with pytest.raises(CurationError, match=r"needs 1.14e\+08 FLOP, the cap is 1e\+07; .*nothing"):
        plan(study(budget={"flops": 1e7}))


def test_groups_are_left_out_in_the_order_of_the_study_as_far_as_needed():
    found = plan(study(budget={"flops": 1.02e8, "drop": ["seeds", "timing", "grid"]}))
    assert {cell.group for cell in found.cells} == {"grid", "timing"}
    assert found.dropped == ("1 cells of 'seeds': needs 1.14e+08 FLOP, the cap is 1.02e+08",)
    found = plan(study(budget={"flops": 5e7, "drop": ["seeds", "timing", "grid"]}))
    assert [cell.tokens for cell in found.cells] == [1000, 2000, 4000]
    with pytest.raises(CurationError, match="the cap is 4"):
        plan(study(budget={"flops": 4e7, "drop": ["seeds", "timing", "grid"]}))


def test_a_dropped_group_that_is_empty_is_no_line():
    found = plan(study(budget={"flops": 1.02e8, "drop": ["repeats", "seeds"]}))
    assert len(found.dropped) == 1


@pytest.mark.parametrize(
    ("step", "after", "gives_up"), [(1, 29, False), (1, 31, True), (5, 49, False), (5, 51, True)]
)
def test_a_probe_of_endless_steps_is_given_up(step, after, gives_up):
    times = iter([100.0, 100.0 + after])
    watch = Watch("d9w576", 65_536, lambda: next(times))
    watch({"event": "phase", "name": "evaluate"})
    watch({"event": "phase", "name": "train"})
    said = {"event": "step", "step": step, "total_steps": 60}
    if not gives_up:
        watch(said)
        return
    with pytest.raises(RecipeError, match=r"probe of d9w576: a step of 65,536 tokens takes .* GPU"):
        watch(said)


def test_unknown_price_is_no_number():
    assert plan(study()).dollars is None


def test_few_steps_and_single_seeds_are_warned_of():
    few, *_ = plan(study()).warnings
    assert "fewer than 1,000 steps" in few
    single = study(grid={"sizes": [{"depth": 1}], "tokens": [10**6], "design": "warn"})
    assert any("one seed" in line for line in plan(single).warnings)


def test_the_device_that_was_met_has_its_price_unless_the_study_names_one():
    cpu = {"kind": "cpu", "name": "AMD EPYC"}
    assert device_price(study(), cpu).mid < 0.2
    h100 = {"kind": "cuda", "name": "NVIDIA H100 80GB HBM3"}
    assert device_price(study(), h100).mid > 1
    assert device_price(study(), {"kind": "cuda", "name": "Abacus"}) is None
    assert device_price(study(prices={"device": "h100"}), cpu).mid > 1
    with pytest.raises(RecipeError, match="unknown GPU 'h10'"):
        device_price(study(prices={"device": "h10"}), cpu)


def test_a_grid_that_cannot_answer_is_refused_before_any_run_unless_it_need_not():
    grid = {"sizes": [{"depth": 1}], "tokens": [1000, 2000, 4000]}
    with pytest.raises(RecipeError, match=r"study s: design refused: .*one model size.*'warn'"):
        plan(study(grid=grid))
    said = plan(study(grid=grid | {"design": "warn"})).warnings
    assert any("cannot tell data from model size" in line for line in said)
    assert plan(study(grid=grid, illustrative=True)).warnings
