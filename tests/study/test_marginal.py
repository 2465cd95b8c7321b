import numpy as np
import pytest

from curation.study.costs import HOUR, Terms
from curation.study.flips import flip
from curation.study.marginal import price_draws, ratio, returns, ways
from curation.study.predict import Estimate, Point, knows_repeats
from curation.study.prices import Range
from tests.study.doubles import EPOCH, epoch_law, plain_law, recipe_law

RATE = 989e12 * 0.4
POINT = Point(1e9, 20e9)


def terms(**changes):
    values = {
        "hour": Range.exact(3.99),
        "flops_per_second": Range.exact(RATE),
        "device": "h100",
        "text": Range.exact(1e-9),
    }
    return Terms(**(values | changes))


def by_name(law, point=POINT, prices=None, **options):
    found = returns(ways(law, point, prices or terms(), **options))
    return {one.name.split(" (")[0]: one for one in found}


def test_a_dollar_of_model_and_of_text_by_hand():
    found = by_name(epoch_law())
    hours = 6 * 1e9 * 20e9 / RATE / HOUR
    model = EPOCH["alpha"] * EPOCH["A"] / 1e9 ** EPOCH["alpha"] / (hours * 3.99)
    text = EPOCH["beta"] * EPOCH["B"] / 20e9 ** EPOCH["beta"] / (hours * 3.99 + 20)
    assert found["a bigger model"].per_dollar.mid == pytest.approx(model, rel=1e-4)
    assert found["more text"].per_dollar.mid == pytest.approx(text, rel=1e-4)


def test_every_return_has_an_interval_that_holds_its_point():
    for one in by_name(epoch_law()).values():
        if one.per_dollar is not None:
            low, high = one.per_dollar.interval()
            assert low < one.per_dollar.mid < high


def test_a_law_without_draws_has_no_interval():
    found = by_name(plain_law())["a bigger model"]
    assert found.per_dollar.interval() is None
    assert found.per_dollar.as_json()["low"] is None


def test_an_uncertain_price_widens_the_interval_and_keeps_the_law_apart():
    sure = by_name(epoch_law())["a bigger model"]
    unsure = by_name(epoch_law(), prices=terms(hour=Range(1.99, 3.99, 5)))["a bigger model"]
    width = [np.log(np.divide(*one.per_dollar.interval()[::-1])) for one in (sure, unsure)]
    assert width[1] > 1.5 * width[0]
    assert unsure.at_mid_prices.interval() == pytest.approx(sure.per_dollar.interval())


def test_an_unknown_price_is_no_return_and_not_the_best_one():
    found = by_name(epoch_law(), prices=terms(text=None))["more text"]
    assert found.per_dollar is None
    assert found.why == "the price of text is unknown"
    assert by_name(epoch_law(), prices=terms(hour=None))["a bigger model"].per_dollar is None


def test_the_flip_price_makes_both_returns_equal():
    law = epoch_law()
    text, _, model, *_ = ways(law, POINT, terms())
    for price, change in (("hour", "hour"), ("text", "text")):
        found = flip(text, model, price)
        unit = 1e-6 if price == "text" else 1.0
        there = terms(**{change: Range.exact(found.at.mid * unit)})
        at = by_name(law, prices=there)
        assert at["more text"].per_dollar.mid == pytest.approx(at["a bigger model"].per_dollar.mid)
        low, high = found.at.interval()
        assert low < found.at.mid < high


def test_the_flip_says_which_way():
    text, _, model, *_ = ways(epoch_law(), POINT, terms())
    found = flip(text, model, "hour")
    assert found.above == "more text"
    dear = by_name(epoch_law(), prices=terms(hour=Range.exact(found.at.mid * 3)))
    assert dear["more text"].per_dollar.mid > dear["a bigger model"].per_dollar.mid
    assert flip(text, model, "text").above == "a bigger model"


def test_the_price_of_text_flips_also_where_it_is_unknown():
    text, _, model, *_ = ways(epoch_law(), POINT, terms(text=None))
    found = flip(text, model, "text")
    assert 0 < found.at.mid < np.inf
    assert flip(text, model, "hour") is None  # would need the price of text


def test_no_price_flips_what_is_worse_for_free():
    # So far past the best ratio that a FLOP for the model returns more than one for free text.
    text, _, model, *_ = ways(epoch_law(), Point(1e6, 1e15), terms())
    assert flip(text, model, "text").at.mid == np.inf
    assert "no price" in flip(text, model, "text").sentence()


def test_epochs_are_unknown_to_a_law_without_repeats():
    assert not knows_repeats(epoch_law(), POINT)
    found = by_name(epoch_law())["more epochs"]
    assert found.per_dollar is None
    assert "repeated" in found.why


def test_epochs_return_less_than_fresh_text_and_less_each_time():
    law = epoch_law(form="repeats")
    free = terms(text=Range.exact(0))
    once = by_name(law, Point(1e9, 20e9, 20e9), free)
    often = by_name(law, Point(1e9, 160e9, 20e9), free)
    assert once["more epochs"].per_dollar.mid < once["more text"].per_dollar.mid
    assert often["more epochs"].per_dollar.mid < once["more epochs"].per_dollar.mid


def test_devices_without_a_deadline_change_nothing():
    found = by_name(epoch_law())["more GPUs"]
    assert found.per_dollar is None
    assert "time, not the loss" in found.why


def test_a_deadline_that_is_met_changes_nothing():
    found = by_name(epoch_law(), prices=terms(deadline_hours=1000, devices=8))["more GPUs"]
    assert "before the deadline" in found.why


def test_a_device_more_before_a_binding_deadline_is_more_tokens():
    perfect = terms(deadline_hours=10, devices=8, scaling=Range.exact(1.0), text=Range.exact(0))
    found = by_name(epoch_law(), prices=perfect)
    # 80 device-hours are less than the 84 needed: what they present costs what tokens cost.
    gain = EPOCH["beta"] * EPOCH["B"] / 20e9 ** EPOCH["beta"]
    assert found["more GPUs"].per_dollar.mid == pytest.approx(gain / (80 * 3.99), rel=1e-4)
    halved = terms(deadline_hours=10, devices=8, scaling=Range.exact(0.75), text=Range.exact(0))
    less = by_name(epoch_law(), prices=halved)["more GPUs"].per_dollar.mid
    assert less < 0.6 * found["more GPUs"].per_dollar.mid


def test_curation_is_a_step_priced_by_what_it_costs_more():
    point = Point(1e9, 20e9, recipe="raw")
    prices = terms(curation={"raw": Range.exact(0), "clean": Range.exact(2e-9)})
    found = by_name(recipe_law(0.8), point, prices)["curation"]
    gain = 0.2 * EPOCH["B"] / 20e9 ** EPOCH["beta"]
    assert found.way.name == "curation (raw to clean)"
    assert found.per_dollar.mid == pytest.approx(gain / 40, rel=1e-6)


def test_text_that_curation_throws_away_is_paid():
    point = Point(1e9, 20e9, recipe="raw")
    prices = {"raw": Range.exact(0), "clean": Range.exact(2e-9)}
    kept = by_name(recipe_law(), point, terms(curation=prices))["curation"]
    half = by_name(recipe_law(), point, terms(curation=prices, kept={"clean": 0.5}))["curation"]
    assert half.per_dollar.mid == pytest.approx(kept.per_dollar.mid * 40 / 60)
    unknown = terms(curation=prices, kept={"clean": 0.5}, text=None)
    assert by_name(recipe_law(), point, unknown)["curation"].per_dollar is None


def test_a_recipe_without_a_price_is_unknown_and_reuse_divides():
    point = Point(1e9, 20e9, recipe="raw")
    assert by_name(recipe_law(), point)["curation"].per_dollar is None
    prices = {"raw": Range.exact(0), "clean": Range.exact(2e-9)}
    once = by_name(recipe_law(), point, terms(curation=prices))["curation"]
    tenth = by_name(recipe_law(), point, terms(curation=prices, reuse=10))["curation"]
    assert tenth.per_dollar.mid == pytest.approx(10 * once.per_dollar.mid)


def test_served_tokens_make_a_bigger_model_dearer():
    life = terms(served_tokens=1e12)
    plain, served = (by_name(epoch_law(), prices=one)["a bigger model"] for one in (terms(), life))
    # 6 N D = 1.2e20 of training, 2 N T = 2e21 of serving.
    assert plain.per_dollar.mid / served.per_dollar.mid == pytest.approx(1 + 2e21 / 1.2e20)


def test_ratios_are_taken_draw_by_draw():
    one = Estimate(2.0, np.array([2.0, 4.0, -1.0, -1.0, 1.0]))
    other = Estimate(1.0, np.array([1.0, 2.0, 1.0, -1.0, -1.0]))
    found = ratio(one, other)
    assert found.mid == 2
    assert found.draws.tolist() == [2, 2, 0, 1, np.inf]


def test_draws_of_prices_fill_their_ranges_and_do_not_move_together():
    found = price_draws({"a": Range(1, 2, 4), "b": Range(1, 2, 4), "c": None}, 500)
    assert set(found) == {"a", "b"}
    assert abs(np.median(found["a"]) - 2) < 0.05
    assert found["a"].min() < 1.02
    assert found["a"].max() > 3.9
    assert abs(np.corrcoef(found["a"], found["b"])[0, 1]) < 0.05
    again = price_draws({"b": Range(1, 2, 4), "a": Range(1, 2, 4)}, 500)
    assert np.array_equal(again["a"], found["a"])
