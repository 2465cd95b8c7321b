"""Recipes compared, designs checked, laws written and read."""

import json

import numpy as np
import pytest

from curation.errors import DataError, RecipeError
from curation.study.comparing import crossing, equivalence
from curation.study.design import GridCell, check_design
from curation.study.fit import FitSettings
from curation.study.fitting import fit_laws
from curation.study.lawfile import read_law, write_law
from curation.study.laws import FORMS, PUBLISHED, FittedLaw
from curation.study.points import make_points, points_of
from curation.study.ratio import marginal
from curation.study.runs import read_runs
from curation.study.worth import worth_of_recipes
from tests.study import simulated

pytest.importorskip("scipy")

EPOCH = PUBLISHED["chinchilla-epoch"]
SHARED = {"A": 20.0, "B[clean]": 300 * 1.7**-0.4, "B[raw]": 300.0, "E": 1.5, "alpha": 0.3}
SHARED |= {"beta": 0.4}


def test_a_factor_of_data_is_found_whatever_the_size():
    law = FittedLaw("recipes-shared", SHARED, recipes=("clean", "raw"))
    for size, tokens in ((1e5, 1e6), (1e9, 1e11)):
        found = equivalence(law, "clean", "raw", size, tokens).factor
        assert found.mid == pytest.approx(1.7, rel=1e-9)
        assert equivalence(law, "raw", "clean", size, tokens).factor.mid == pytest.approx(1 / 1.7)
    assert not equivalence(law, "clean", "raw", 1e6, 1e6).decided


def test_with_the_baseline_held_the_factor_is_read_off_where_it_was_measured():
    constants = {"A": 20.0, "alpha": 0.3, "E": 1.0, "B[a]": 30.0, "B[b]": 300.0}
    law = FittedLaw("recipes", constants | {"beta[a]": 0.3, "beta[b]": 0.4}, recipes=("a", "b"))
    one = equivalence(law, "a", "b", 1e6, 1e6, held="baseline")
    needed = 1e6 / one.factor.mid
    assert law.loss(1e6, needed, recipe="a") == pytest.approx(law.loss(1e6, 1e6, recipe="b"))
    two = equivalence(law, "a", "b", 1e6, needed, held="recipe")
    assert two.factor.mid == pytest.approx(one.factor.mid)


def test_the_miniature_study_of_the_specification():
    """24 trainings on 8 MB of documentation, half of the raw text damaged; worth 1.2 to 2.0."""
    clean = [4.12, 3.54, 3.12, 2.76, 4.10, 3.10, 2.63, 2.32, 3.97, 2.81, 2.43, 2.13]
    raw = [4.40, 3.87, 3.33, 3.02, 4.28, 3.47, 2.87, 2.52, 4.19, 3.26, 2.65, 2.37]
    size, tokens = np.meshgrid([0.03e6, 0.11e6, 0.36e6], [0.26e6, 0.52e6, 1.05e6, 2.1e6])
    size, tokens = np.tile(size.T.ravel(), 2), np.tile(tokens.T.ravel(), 2)
    points = make_points([*clean, *raw], size, tokens, recipe=["clean"] * 12 + ["raw"] * 12)
    for form in ("recipes-shared", "recipes"):
        laws = fit_laws(points, FitSettings(delta=0.02, draws=300), forms=[form])
        [one] = worth_of_recipes(laws)
        assert one.factor.held == "baseline"
        assert 1.2 < one.factor.factor.mid < 2.0
        assert one.factor.factor.low > 1
        # Yet twelve cells a recipe do not tell the exponents.
        assert "unidentified: alpha" in laws.law.flags


def test_where_no_amount_of_data_is_enough_the_factor_is_infinite():
    constants = {"A": 20.0, "alpha": 0.3, "B[a]": 300.0, "B[b]": 300.0, "beta[a]": 0.4}
    constants |= {"beta[b]": 0.4, "E[a]": 1.0, "E[b]": 2.0}
    draws = {name: np.full(5, value) for name, value in constants.items()}
    law = FittedLaw("recipes-floors", constants, draws, recipes=("a", "b"))
    found = equivalence(law, "a", "b", 1e6, 1e9)
    assert found.factor.mid == np.inf
    assert found.decided
    assert equivalence(law, "b", "a", 1e6, 1e9).factor.high < 1


def test_recipes_cross_where_their_curves_do():
    constants = {"A": 20.0, "alpha": 0.3, "E": 1.0, "B[a]": 30.0, "B[b]": 300.0}
    constants |= {"beta[a]": 0.2, "beta[b]": 0.4}
    draws = {name: value * np.ones(3) for name, value in constants.items()}
    draws["B[b]"] = np.array([290.0, 300.0, 1e9])  # the last crosses beyond the range
    law = FittedLaw("recipes", constants, draws, recipes=("a", "b"))
    exact = (300 / 30) ** (1 / 0.2)
    found = crossing(law, "a", "b", 1e6, (1e3, 1e9))
    assert found.tokens.mid == pytest.approx(exact, rel=1e-3)
    assert (found.better_below, found.better_above) == ("a", "b")
    assert found.share == pytest.approx(2 / 3)
    far = crossing(law, "a", "b", 1e6, (1e7, 1e9))
    assert np.isnan(far.tokens.mid)


def test_only_laws_that_know_recipes_compare_them():
    with pytest.raises(
        RecipeError, match=r"chinchilla: does not tell recipes apart.*recipes-shared"
    ):
        equivalence(EPOCH, "a", "b", 1e6, 1e6)


def test_the_simulated_recipe_is_worth_what_it_was_made_to_be():
    points, _ = points_of(read_runs(simulated.CSV))
    laws = fit_laws(points, FitSettings(draws=200), forms=["chinchilla", "recipes-repeats"])
    [one] = worth_of_recipes(laws)
    assert (one.factor.recipe, one.factor.baseline) == ("curated", "raw")
    assert one.factor.decided
    assert one.factor.factor.low < simulated.WORTH < one.factor.factor.high
    assert "curated is worth 1.6" in one.sentence()
    assert one.sentence().endswith("decided")
    [other] = worth_of_recipes(laws, "curated")
    assert other.factor.factor.high < 1
    with pytest.raises(RecipeError, match="did you mean 'curated'"):
        worth_of_recipes(laws, "curate")


def product(sizes, tokens, **more):
    return [GridCell(float(n), float(d), **more) for n in sizes for d in tokens]


def test_a_good_grid_is_told_how_well_it_will_do():
    grid = product(np.geomspace(5e6, 3e8, 5), np.geomspace(1e8, 3e10, 5))
    found = check_design(grid, EPOCH, noise=0.003)
    assert not found.refused
    assert found.runs == 25
    # The specification's simulation of this grid: sd of ln ratio 0.028, of alpha 0.0086.
    assert found.log_sd == pytest.approx(0.028, rel=0.25)
    assert found.spread["alpha"] * 0.348 == pytest.approx(0.0086, rel=0.25)
    assert found.ratio_low < found.ratio < found.ratio_high
    seeds = check_design([GridCell(**{**vars(c), "seeds": 4}) for c in grid], EPOCH, noise=0.003)
    assert seeds.log_sd == pytest.approx(found.log_sd / 2)
    assert seeds.runs == 100
    assert found.at == (3e8, 3e10)


def test_added_cells_are_worth_what_the_message_says():
    line = [GridCell(float(n), float(20 * n)) for n in np.geomspace(5e6, 3e8, 8)]
    found = check_design(line, EPOCH, noise=0.003)
    assert found.refused
    said = found.message.partition("add ")[2].partition(" (standard")[0]
    added = [part.replace("N ", "").split(" with D ") for part in said.split("; ")]
    cells = [GridCell(float(n), float(d)) for n, d in added]
    then = check_design([*line, *cells], EPOCH, noise=0.003, at=found.at)
    assert then.log_sd < 0.3
    assert f"{then.log_sd:.1g}"[:4] in found.message


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (product([1e7], np.geomspace(1e8, 1e10, 6)), "all cells have one model size"),
        (product(np.geomspace(1e7, 1e9, 6), [1e9]), "all cells have one amount of data"),
    ],
)
def test_a_grid_of_one_row_is_refused(grid, message):
    found = check_design(grid, EPOCH, noise=0.003)
    assert found.refused
    assert message in found.message


def test_a_grid_that_is_too_noisy_is_refused():
    grid = product([1e7, 1.2e7, 1.4e7], [1e9, 1.2e9, 1.4e9])
    found = check_design(grid, EPOCH, noise=0.05)
    assert found.refused
    assert found.log_sd > 0.5
    assert "standard deviation" in found.message


def test_a_design_with_recipes_and_repeats():
    cells = [GridCell(float(n), float(d), float(u), recipe=r)
             for r, n, d, u, _ in simulated.cells()]  # fmt: skip
    found = check_design(cells, simulated.LAW, noise=simulated.NOISE)
    assert not found.refused
    assert found.spread["R_D"] < 0.3
    once = [GridCell(cell.parameters, cell.tokens, recipe=cell.recipe) for cell in cells]
    blind = check_design(once, simulated.LAW, noise=simulated.NOISE)
    assert blind.condition == np.inf
    assert blind.spread["R_D"] > 100
    assert not blind.refused  # the question is data against model


def test_designs_need_cells_and_noise():
    with pytest.raises(RecipeError, match="design: 0 cells"):
        check_design([], EPOCH, noise=0.003)
    with pytest.raises(RecipeError, match="noise 0"):
        check_design(product([1e6], [1e6]), EPOCH, noise=0)


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_laws_survive_their_file(tmp_path, name):
    law = PUBLISHED[name]
    path = tmp_path / "law.json"
    write_law(path, law)
    first = path.read_bytes()
    found = read_law(path)
    assert found.parameters == law.parameters
    assert found.record == law.record
    assert found.flags == law.flags
    assert all(np.array_equal(found.draws[key], law.draws[key]) for key in law.draws)
    assert found.loss(1e9, 2e10) == law.loss(1e9, 2e10)
    assert marginal(found, 1e9, 2e10).ratio.mid == marginal(law, 1e9, 2e10).ratio.mid
    write_law(path, found)
    assert path.read_bytes() == first


def broken(value, **changes):
    return json.dumps({**value, **changes})


def test_damaged_law_files_are_one_line(tmp_path):
    path = tmp_path / "law.json"
    write_law(path, EPOCH)
    text = path.read_text()
    value = json.loads(text)
    constants, draws = value["parameters"], value["draws"]
    cases = {
        text[:-40]: "is no JSON",
        text.replace("482.01", "NaN"): "NaN is no number of JSON",
        text.replace("482.01", "1e999"): "its constant 'A' is 'inf', not a finite number",
        text.replace("482.01", "-2"): "its constant 'A' is -2, expected above 0",
        "[]": "its format is 'list'",
        broken(value, format="law 9"): "its format is 'law 9', expected 'curation law 1'",
        broken(value, form="chinchila"): "unknown form of law 'chinchila'; .*'chinchilla'",
        broken(value, flags=None): "its field 'flags' is missing or no list",
        broken(value, recipes=[]): "its field 'recipes' is no list of names",
        broken(value, parameters={**constants, "A": True}): "its constant 'A' is 'True'",
        broken(value, parameters={"A": 1.0}): "needs the constant 'B'",
        broken(value, draws={**draws, "A": [1.0]}): "not equally many",
        broken(value, draws={"A": [1.0]}): "its draws lack the constant 'B'",
        broken(value, draws={**draws, "A": ["x"]}): "its constant 'A' is 'x'",
    }
    for said, message in cases.items():
        path.write_text(said)
        with pytest.raises(DataError, match=message) as error:
            read_law(path)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="cannot be read"):
        read_law(tmp_path / "missing.json")


def test_a_law_with_an_infinite_number_is_not_written(tmp_path):
    law = FittedLaw("tied", {"A": 1.0, "B": 1.0, "E": float("inf"), "alpha": 1.0})
    with pytest.raises(DataError, match="not finite"):
        write_law(tmp_path / "law.json", law)
    assert not list(tmp_path.iterdir())


def test_every_form_names_its_source():
    for form in FORMS.values():
        assert form.source
        assert form.formula.startswith("L = ")
