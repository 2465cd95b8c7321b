"""Laws as functions: gradients, units, limits, and the values that their authors print."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.study.laws import FORMS, PUBLISHED, FittedLaw
from curation.study.points import make_points
from curation.study.ratio import marginal

RECIPES = ("a", "b", "c")


def some_points(seed, count=9):
    random = np.random.default_rng(seed)
    tokens = random.uniform(1e7, 1e10, count)
    return make_points(
        np.ones(count),
        random.uniform(1e6, 1e9, count),
        tokens,
        unique_tokens=tokens / random.uniform(1, 20, count),
        quality=random.uniform(0.3, 1, count),
        resources=random.integers(1, 9, count),
        recipe=[RECIPES[place % 3] for place in range(count)],
    )


def some_theta(form, seed):
    """Constants near those that laws have, for three draws."""
    random = np.random.default_rng(seed)
    theta = random.normal(0, 0.3, (3, len(form.names(RECIPES))))
    for name, where in form.slots(len(RECIPES)).items():
        if form.positive:
            theta[:, where] += {"A": 6, "B": 6, "alpha": -1, "beta": -1}.get(name, 0)
    return theta


@pytest.mark.parametrize("name", list(FORMS))
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_gradients_are_those_of_finite_differences(name, seed):
    form, points = FORMS[name], some_points(seed)
    theta = some_theta(form, seed)
    _, gradient = form.evaluate(theta, points.facts, 3)
    step = 1e-6
    for place in range(theta.shape[1]):
        above, below = theta.copy(), theta.copy()
        above[:, place] += step
        below[:, place] -= step
        ends = [form.evaluate(one, points.facts, 3)[0] for one in (above, below)]
        found = (ends[0] - ends[1]) / (2 * step)
        assert found == pytest.approx(gradient[..., place], rel=2e-5, abs=2e-5)


@pytest.mark.parametrize("name", list(FORMS))
def test_constants_survive_the_way_into_natural_units_and_back(name):
    form = FORMS[name]
    theta = some_theta(form, 3)
    back = form.internal(form.natural(theta, RECIPES), RECIPES)
    assert back == pytest.approx(theta, abs=1e-7)
    assert set(form.natural(theta, RECIPES)) == set(form.names(RECIPES))


@pytest.mark.parametrize("name", list(FORMS))
def test_one_draw_alone_is_what_it_is_among_others(name):
    form, points = FORMS[name], some_points(1)
    theta = some_theta(form, 1)
    together, gradient = form.evaluate(theta, points.facts, 3)
    for draw in range(3):
        value, slope = form.evaluate(theta[draw], points.facts, 3)
        assert value == pytest.approx(together[draw], rel=1e-13)
        assert slope == pytest.approx(gradient[draw], rel=1e-12, abs=1e-13)


def test_the_data_constrained_law_gives_the_published_values():
    law = PUBLISHED["data-constrained"]
    found = law.loss([6.34e9, 8.67e9], [242e9, 178e9], unique_tokens=25e9)
    assert found == pytest.approx([2.22564409, 2.22696341], abs=1e-6)


def test_the_best_split_of_1e22_flop_with_25_billion_tokens_is_the_published_one():
    law = PUBLISHED["data-constrained"]
    sizes = np.exp(np.linspace(np.log(1e9), np.log(4e10), 200_001))
    tokens = 1e22 / (6 * sizes)
    loss = law.loss(sizes, tokens, unique_tokens=25e9)
    best = int(np.argmin(loss))
    assert tokens[best] == pytest.approx(237.3e9, rel=1e-3)
    assert tokens[best] / 25e9 == pytest.approx(9.49, rel=1e-3)
    assert sizes[best] == pytest.approx(7.02e9, rel=1e-3)


def test_without_repeats_the_repeat_law_is_chinchillas():
    constants = {"A": 482.0, "B": 2085.0, "E": 1.8, "alpha": 0.348, "beta": 0.366}
    plain = FittedLaw("chinchilla", constants)
    repeats = FittedLaw("repeats", constants | {"R_D": 15.0})
    assert repeats.loss(1e8, [1e9, 1e10]) == pytest.approx(plain.loss(1e8, [1e9, 1e10]))
    once, four = (repeats.loss(1e8, tokens, unique_tokens=1e9) for tokens in (1e9, 4e9))
    fresh = plain.loss(1e8, 4e9)
    assert once > four > fresh
    # Four epochs are worth nearly as much as fresh text.
    assert (once - four) / (once - fresh) > 0.85


def test_the_additive_law_with_falling_powers_is_chinchillas():
    plain = PUBLISHED["chinchilla-epoch"]
    same = {"E": plain.parameters["E"], "a": -plain.parameters["A"], "b": -plain.parameters["B"]}
    same |= {"g": 1 + plain.parameters["alpha"], "d": -plain.parameters["beta"]}
    law = FittedLaw("additive", same | {"e": 0.0, "eps": 1.0})
    sizes, tokens = np.meshgrid(np.geomspace(1e7, 1e10, 4), np.geomspace(1e8, 1e12, 4))
    assert law.loss(sizes, tokens) == pytest.approx(plain.loss(sizes, tokens), rel=1e-10)


def test_the_bounded_law_stays_between_its_ends():
    law = FittedLaw(
        "bounded", {"E": 1.0, "span": 7.0, "A": 50.0, "alpha": 0.4, "B": 90.0, "beta": 0.4}
    )
    loss = law.loss(np.geomspace(1, 1e15, 40), np.geomspace(1, 1e15, 40))
    assert (np.diff(loss) < 0).all()
    assert loss[0] < 8.0
    assert loss[0] == pytest.approx(8.0, rel=0.01)
    assert loss[-1] == pytest.approx(1.0, rel=0.01)


def test_less_quality_is_less_data():
    constants = {"A": 50.0, "B": 900.0, "E": 1.0, "alpha": 0.3, "beta": 0.3, "gamma": 0.2}
    law = FittedLaw("quality", constants)
    assert law.loss(1e8, 1e9, quality=0.5) == pytest.approx(
        law.loss(1e8, 1e9 * 0.5 ** (0.2 / 0.3)), rel=1e-12
    )


@pytest.mark.parametrize("name", list(PUBLISHED))
def test_the_marginal_ratio_is_the_analytic_one(name):
    law = PUBLISHED[name]
    one = marginal(law, 1e9, 2e10)
    constants = law.parameters
    by_size = -constants["alpha"] * constants["A"] * 1e9 ** -constants["alpha"]
    by_tokens = -constants["beta"] * constants["B"] * 2e10 ** -constants["beta"]
    assert one.by_parameters.mid == pytest.approx(by_size, rel=1e-6)
    assert one.by_tokens.mid == pytest.approx(by_tokens, rel=1e-6)
    assert one.ratio.mid == pytest.approx(by_tokens / by_size, rel=1e-6)
    per = one.per_flop()
    assert per[1].mid == pytest.approx(by_tokens / (6 * 1e9 * 2e10), rel=1e-6)


def test_draws_of_the_published_law_have_the_published_spread():
    """Intervals of Besiroglu et al., table 1; the draws are lognormal, theirs a little skewed."""
    law = PUBLISHED["chinchilla-epoch"]
    expected = {"E": (1.769, 1.871), "alpha": (0.317, 0.373), "beta": (0.331, 0.415)}
    for name, ends in expected.items():
        assert np.quantile(law.draws[name], [0.025, 0.975]) == pytest.approx(ends, rel=0.03)
    assert law.loss_draws(1e9, [1e10, 2e10]).shape == (1000, 2)
    assert PUBLISHED["chinchilla-hoffmann"].loss_draws(1e9, 1e10).shape == (0,)


def test_a_recipe_that_a_law_does_not_know_is_named_with_those_it_knows():
    constants = {"A": 5.0, "E": 1.0, "alpha": 0.3, "beta": 0.3, "B[raw]": 9.0, "B[clean]": 8.0}
    law = FittedLaw("recipes-shared", constants, recipes=("clean", "raw"))
    assert law.loss(1e6, 1e6, recipe=["raw", "clean"]).shape == (2,)
    with pytest.raises(
        RecipeError, match="unknown recipe of the law 'row'; known: clean, raw; did"
    ):
        law.loss(1e6, 1e6, recipe="row")
    with pytest.raises(RecipeError, match="unknown recipe"):
        law.loss(1e6, 1e6)


@pytest.mark.parametrize("bad", [0.0, -1.0, float("nan"), float("inf")])
def test_a_law_refuses_what_is_no_size(bad):
    with pytest.raises(RecipeError, match=r"tokens of a law: .* is not a number above 0"):
        PUBLISHED["chinchilla-epoch"].loss(1e9, [1e9, bad])
