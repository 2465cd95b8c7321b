import numpy as np
import pytest

from curation.errors import RecipeError
from curation.study.advise import Curation, ScaledLaw, advise, law_caveats
from curation.study.costs import HOUR, Terms
from curation.study.laws import PUBLISHED
from curation.study.predict import Point
from curation.study.prices import Range
from curation.study.spending import Ask, best_plan
from tests.study.doubles import EPOCH, epoch_law, plain_law, recipe_law

RATE = 4e14


def terms(**changes):
    values = {
        "hour": Range.exact(4.0),
        "flops_per_second": Range.exact(RATE),
        "device": "h100",
        "text": Range.exact(2e-9),
    }
    return Terms(**(values | changes))


def ask(budget=500.0, **changes):
    own = {
        name: changes.pop(name)
        for name in ("unique_tokens", "recipe", "devices")
        if name in changes
    }
    return Ask(budget, terms(**changes), **own)


def test_with_free_text_the_best_size_is_that_of_the_formula():
    # Hoffmann et al. 2022, eq. 4: N = G (C / 6)^a, G = (alpha A / beta B)^(1 / (alpha + beta)).
    plan = best_plan(epoch_law(), ask(text=Range.exact(0)))
    flops = 500 / 4 * HOUR * RATE
    total = EPOCH["alpha"] + EPOCH["beta"]
    scale = (EPOCH["alpha"] * EPOCH["A"] / EPOCH["beta"] / EPOCH["B"]) ** (1 / total)
    best = scale * (flops / 6) ** (EPOCH["beta"] / total)
    assert plan.point.parameters == pytest.approx(best, rel=0.003)
    assert 6 * plan.point.parameters * plan.point.tokens == pytest.approx(flops, rel=1e-9)
    assert plan.hours == pytest.approx(125)


def test_the_split_spends_the_budget_and_no_more():
    plan = best_plan(epoch_law(), ask())
    assert plan.total.known.mid == pytest.approx(500)
    assert plan.text.known.mid == pytest.approx(plan.point.unique * 2e-9)


def test_no_other_split_is_better():
    law, question = epoch_law(), ask()
    plan = best_plan(law, question)
    for size in plan.point.parameters * np.array([0.5, 0.8, 1.25, 2.0]):
        tokens = 500 / (2e-9 + 6 * size / RATE / HOUR * 4)
        assert law.loss(size, tokens) > plan.loss


def test_dearer_text_is_bought_less_and_the_model_grows():
    plans = [best_plan(epoch_law(), ask(text=Range.exact(p))) for p in (1e-9, 1e-8, 1e-7)]
    tokens = [plan.point.tokens for plan in plans]
    sizes = [plan.point.parameters for plan in plans]
    assert tokens == sorted(tokens, reverse=True)
    assert sizes == sorted(sizes)


def test_served_tokens_shrink_the_model_and_cost_part_of_the_budget():
    plain, served = (best_plan(epoch_law(), ask(served_tokens=t)) for t in (0.0, 1e12))
    assert served.point.parameters < 0.7 * plain.point.parameters
    assert served.serving.known.mid == pytest.approx(
        2 * served.point.parameters * 1e12 / RATE / HOUR * 4
    )
    assert served.total.known.mid == pytest.approx(500)


def test_text_that_is_short_is_repeated_only_by_a_law_that_knows_repeats():
    once = best_plan(epoch_law(), ask(unique_tokens=1e9))
    assert once.point.tokens == pytest.approx(1e9)
    assert once.point.epochs == 1
    again = best_plan(epoch_law(form="repeats"), ask(unique_tokens=1e9))
    assert again.point.unique == pytest.approx(1e9)
    assert 4 < again.point.epochs < 100


def test_a_deadline_takes_devices_and_some_of_the_budget():
    plan = best_plan(epoch_law(), ask(deadline_hours=10.0, text=Range.exact(0)))
    # 125 hours at 99.4% for each doubling of 13 devices.
    assert plan.devices == 13
    alone = 6 * plan.point.parameters * plan.point.tokens / RATE / HOUR
    assert plan.hours / alone == pytest.approx(13 ** -np.log2(0.994), rel=0.01)
    assert plan.training.known.mid == pytest.approx(500, rel=0.01)
    limited = best_plan(epoch_law(), ask(deadline_hours=10.0, devices=4))
    assert limited.devices <= 4
    assert limited.total.known.mid < 200
    assert limited.loss > plan.loss


def test_every_figure_has_an_interval_that_holds_it():
    found = advise(epoch_law(0.005), ask())
    assert found.status == "split"
    for name in ("parameters", "tokens", "loss", "hours", "text", "training"):
        low, high = found.spread[name].interval()
        assert low < found.spread[name].mid < high, name


def test_uncertain_prices_widen_the_interval():
    narrow = advise(epoch_law(0.005), ask()).spread["tokens"].interval()
    wide = advise(epoch_law(0.005), ask(hour=Range(2.0, 4.0, 8.0))).spread["tokens"].interval()
    assert wide[0] < 0.9 * narrow[0]
    assert wide[1] > 1.1 * narrow[1]


def test_an_unknown_price_of_text_is_not_decided_and_not_free():
    found = advise(epoch_law(), ask(text=None))
    assert found.status == "not decided"
    assert found.plan.text.range() is None
    assert found.plan.total.unknown == ("text",)
    assert "not free" in found.caveats[0]
    at = next(one.at for one in found.flips if one.price == "text")
    assert at > 0


def test_a_law_without_draws_is_not_decided():
    found = advise(PUBLISHED["chinchilla-hoffmann"], ask())
    assert found.status == "not decided"
    assert any("without draws" in one for one in found.caveats)


def test_the_plan_changes_at_its_flip_prices():
    law, question = epoch_law(), ask()
    found = {one.says: one for one in advise(law, question).flips}
    text = found["most of the budget goes to data"]
    hours = [one for one in advise(law, question).flips if one.price == "hour"]
    for one in (text, *hours):
        unit = 1e-6 if one.price == "text" else 1.0
        shares, sizes = zip(
            *(
                (plan.data_share, plan.point.parameters)
                for plan in (
                    best_plan(law, question.at(one.price, one.at * unit * by))
                    for by in (0.98, 1.02)
                )
            ),
            strict=True,
        )
        if "half" in one.says:
            half = best_plan(law, question).point.parameters / 2
            assert sizes[1] < half < sizes[0]
        else:
            assert min(shares) < 0.5 < max(shares)


def test_curation_pays_up_to_its_break_even_price():
    law, question = epoch_law(), ask()
    free = advise(law, question, Curation(Range.exact(1.5)))
    assert free.curated[0].status == "not decided: its price is unknown"
    below = free.curated[0].pays_below * 1e-6
    cheap = advise(law, question, Curation(Range.exact(1.5), Range.exact(below * 0.5)))
    dear = advise(law, question, Curation(Range.exact(1.5), Range.exact(below * 6)))
    assert cheap.curated[0].status == "pays"
    assert cheap.plan.point.recipe == "curated"
    assert cheap.plan.curation.known.mid > 0
    assert dear.curated[0].status == "does not pay"
    assert dear.plan.point.recipe is None


def test_a_gain_that_may_be_none_is_not_decided():
    unsure = Curation(Range(0.7, 1.05, 1.6), Range.exact(1e-10))
    found = advise(epoch_law(), ask(), unsure)
    assert found.curated[0].status == "not decided: the interval holds 0"
    assert found.plan.point.recipe is None


def test_an_example_gain_never_enters_the_plan():
    found = advise(epoch_law(), ask())
    assert found.curated[0].supposed
    assert found.curated[0].plan is None
    assert found.plan.point.recipe is None


def test_recipes_of_the_law_are_weighed():
    prices = {"raw": Range.exact(0), "clean": Range.exact(1e-10)}
    found = advise(recipe_law(0.8), ask(recipe="raw", curation=prices))
    assert [one.name for one in found.curated] == ["clean"]
    assert found.plan.point.recipe == "clean"
    unpriced = advise(recipe_law(0.8), ask(recipe="raw", curation={"raw": Range.exact(0)}))
    assert unpriced.plan.point.recipe == "raw"
    assert "price is unknown" in unpriced.curated[0].status


def test_text_that_curation_drops_is_paid_for():
    half = Curation(Range.exact(1.5), Range.exact(0), kept=0.5)
    found = advise(epoch_law(), ask(), half)
    assert found.plan.text.known.mid == pytest.approx(found.plan.point.unique * 4e-9)


def test_a_scaled_law_counts_tokens_several_times():
    law = epoch_law()
    assert ScaledLaw(law, 2.0).loss(1e9, 1e9) == law.loss(1e9, 2e9)
    assert np.array_equal(ScaledLaw(law, 2.0).loss_draws(1e9, 1e9), law.loss_draws(1e9, 2e9))


def test_a_plan_beyond_the_runs_of_the_law_says_so():
    law = plain_law()
    law.record["range"] = {"parameters": [1e6, 1e8], "tokens": [1e8, 1e12]}
    assert any("outside" in one for one in law_caveats(law, Point(1e9, 1e9)))
    assert not any("outside" in one for one in law_caveats(law, Point(1e7, 1e9)))


@pytest.mark.parametrize(
    "wrong", [{"budget": 0.0}, {"unique_tokens": -1.0}, {"budget": float("nan")}]
)
def test_wrong_questions_are_refused(wrong):
    with pytest.raises(RecipeError, match="above 0"):
        Ask(**({"budget": 1.0, "terms": terms()} | wrong))


def test_what_cannot_be_bought_is_refused():
    with pytest.raises(RecipeError, match="no price"):
        best_plan(epoch_law(), ask(hour=None))
    with pytest.raises(RecipeError, match="budget"):
        best_plan(epoch_law(), ask(1e-9, text=Range.exact(1.0)))
