"""Each figure is worked by hand from published numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import RecipeError
from curation.manifest import Manifest, StageCount, Totals
from curation.study.costs import (
    Dollars,
    Purchase,
    Terms,
    curation_cost,
    device_hours,
    money,
    recipe_costs,
    total,
    training_flops,
    tuning_flops,
)
from curation.study.inference import (
    Served,
    break_even_days,
    daily_cost,
    lifetime_flops,
    queries_per_day,
    token_speed,
)
from curation.study.prices import Item, Range, load_catalogue

PRICES = load_catalogue()
H100, A100 = PRICES.device("h100"), PRICES.device("a100")
ONE = Range.exact(1.0)


def test_a_small_gpt_costs_48_dollars_on_eight_h100():
    # nanochat: about 2 hours of 8 x H100 at about $3 an hour.
    assert money(Range.exact(3.0) * (2 * 8)) == "$48.00"


def test_hours_of_a_training_by_hand():
    # 1e9 parameters, 20e9 tokens: 1.2e20 FLOP; at 40% of 989e12: 84.26 hours, at $3.99: $336.
    flops = training_flops(1e9, 20e9)
    assert flops == 1.2e20
    hours = device_hours(flops, H100, Range.exact(0.4))
    assert hours.mid == pytest.approx(84.26, abs=0.01)
    assert (hours * Range.exact(3.99)).mid == pytest.approx(336.2, abs=0.1)


def test_the_dclm_ladder_is_met_within_its_utilisation():
    # DCLM: 412M parameters, 8.2B tokens, 2.0e19 FLOP took 26 H100-hours: 21.6% of the peak.
    assert training_flops(412e6, 8.2e9) == pytest.approx(2.03e19, rel=0.01)
    assert device_hours(2.0e19, H100, Range.exact(0.216)).mid == pytest.approx(26, rel=0.01)


def test_attention_and_frozen_parts_count():
    assert training_flops(10, 1, layers=2, width=3, sequence=4) == 60 + 12 * 24
    assert tuning_flops(300, 1, trainable=300) == training_flops(300, 1)
    assert tuning_flops(300, 1, trainable=0) / training_flops(300, 1) == pytest.approx(2 / 3)
    with pytest.raises(RecipeError, match="trainable"):
        tuning_flops(300, 1, trainable=301)


def test_a_device_without_a_peak_is_refused_in_words():
    with pytest.raises(RecipeError, match="peak_flops"):
        device_hours(1e18, PRICES.device("gh200"), ONE)


def test_an_unknown_price_is_never_free():
    known = Dollars.of("GPU", 2, Range(1, 3, 5))
    both = total([known, Purchase("licences", 100, "GB", None).dollars()])
    assert both.range() is None
    assert not both.complete
    assert both.text() == "at least $6.00 (2.00 to 10.00), and unknown: licences"
    assert Purchase("labels", 100, "label", Range.exact(0.08)).dollars().text() == "$8.00"
    assert Dollars.of("GPU", 0, None).complete  # none of it is bought


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6))))
def test_a_sum_is_complete_only_if_every_part_is(values):
    parts = [
        Dollars.of(str(k), 1, v if v is None else Range.exact(v)) for k, v in enumerate(values)
    ]
    found = total(parts)
    assert found.complete == (None not in values)
    assert len(found.unknown) == values.count(None)


def manifest(**changes):
    stages = [
        StageCount(name="extract", kind="extract", cpu_seconds=60, text_bytes_in=0),
        StageCount(name="gopher", kind="gopher", cpu_seconds=30, text_bytes_in=4_000_000_000),
    ]
    values = {"cpu_seconds": 120.0, "totals": Totals(text_bytes_kept=2_000_000_000), **changes}
    return Manifest(
        name="m",
        version="1",
        fingerprint="f",
        recipe={},
        package_version="0",
        stages=stages,
        **values,
    )


def test_curation_is_priced_from_its_manifest_and_shared_by_trainings():
    cost = curation_cost(manifest(), Range.exact(0.06))
    assert cost.dollars.known.mid == pytest.approx(0.002)  # 120 s at 6 cents an hour
    assert cost.per_gigabyte().known.mid == pytest.approx(0.001)
    assert cost.per_gigabyte(reuse=4).known.mid == pytest.approx(0.00025)
    assert cost.share_kept == 0.5
    assert cost.stages[1].seconds_per_gigabyte == 7.5
    assert cost.stages[0].seconds_per_gigabyte is None
    assert recipe_costs({"a": cost}, 4.0)["a"].mid == pytest.approx(0.001 * 4 / 1e9)


def test_curation_without_a_price_or_without_text_is_unknown():
    assert curation_cost(manifest(), None).per_gigabyte().range() is None
    nothing = curation_cost(manifest(totals=Totals()), ONE)
    assert nothing.per_gigabyte().range() is None
    assert recipe_costs({"a": nothing}, 4.0) == {"a": None}
    with pytest.raises(RecipeError, match="reuse"):
        nothing.per_gigabyte(reuse=0)


def test_terms_name_what_they_do_not_know():
    terms = Terms(hour=None, flops_per_second=ONE, device="h100")
    assert terms.unknown() == ("hour of h100", "text")
    assert terms.unknown("clean") == ("hour of h100", "text", "curation")
    assert terms.flop_price() is None


# --- serving -----------------------------------------------------------------------------------


def test_a_query_of_500_tokens_by_100_billion_parameters_is_a_second_of_h100():
    # Epoch AI 2025: 100e9 x 2 x 500 = 1e14 FLOP at 10% of 989e12 FLOP/s, about one second.
    speed = token_speed(Served(active=100e9, batch=1e9), H100, PRICES.rate("serving"))
    assert speed.bound == "compute"
    assert speed.seconds.mid * 500 == pytest.approx(1.011, abs=0.001)


def test_the_bill_of_694_thousand_dollars_a_day_is_a_dollar_an_hour():
    # SemiAnalysis 2023: 28,936 A100 day and night for about $694k, 0.36 cents a query.
    assert pytest.approx(694_464) == 28_936 * 24 * 1.0
    assert queries_per_day(694_464, 0.0036) == pytest.approx(192.9e6, rel=0.001)


def test_decoding_alone_is_bound_by_memory():
    # 7e9 weights of 2 bytes over 2e12 B/s: 7 ms a token; the compute bound is 0.45 ms.
    speed = token_speed(Served(active=7e9), A100, Range.exact(0.1))
    assert speed.bound == "memory"
    assert speed.seconds.mid == pytest.approx(0.007)
    assert speed.compute.mid == pytest.approx(0.000449, rel=0.01)


def test_a_batch_shares_the_reading_until_compute_binds():
    one = token_speed(Served(active=7e9, batch=1), A100, Range.exact(0.1))
    many = token_speed(Served(active=7e9, batch=64), A100, Range.exact(0.1))
    assert many.memory == pytest.approx(one.memory / 64)
    assert many.bound == "compute"


def test_experts_that_a_batch_uses_are_read():
    sparse = Served(active=10e9, parameters=100e9, batch=4)
    assert sparse.read_bytes == 4 * 20e9
    assert Served(active=10e9, parameters=100e9, batch=64).read_bytes == 200e9


def test_a_day_of_serving_by_hand():
    # 1e8 tokens, 7 ms each: 194.4 device-hours; 9 devices; at $2: $388.9 worked, $432 held.
    day = daily_cost(Served(active=7e9), 1e8, A100, Range.exact(0.1), Range.exact(2.0))
    assert day.busy_hours.mid == pytest.approx(194.44, abs=0.01)
    assert day.devices == 9
    assert day.busy_dollars.mid == pytest.approx(388.9, abs=0.1)
    assert day.held_dollars.mid == 432
    assert day.dollars_per_million.mid == pytest.approx(3.889, abs=0.001)


def test_weights_that_do_not_fit_hold_more_devices():
    day = daily_cost(Served(active=70e9), 10, H100, Range.exact(0.1), None)
    assert day.devices == 2  # 140 GB of weights on 80 GB each
    assert day.busy_dollars is None
    assert day.held_dollars is None


def test_a_device_without_bandwidth_says_so():
    speed = token_speed(Served(active=1e9), PRICES.device("a10"), Range.exact(0.1))
    assert speed.bound == "compute (bandwidth unknown)"


def test_when_a_quantised_model_has_paid_for_itself():
    # $1,000 once, $100 a day, half as dear: 20 days.
    days = break_even_days(Range.exact(1000), Range.exact(100), 0.5)
    assert days == Range.exact(20)
    assert break_even_days(Range.exact(1000), Range.exact(100), 1.0) is None
    assert break_even_days(Range.exact(1), Range.exact(0), 0.5) is None
    with pytest.raises(RecipeError):
        break_even_days(Range.exact(1), Range.exact(1), -1)


def test_wrong_models_are_refused():
    with pytest.raises(RecipeError, match="batch"):
        Served(active=1, batch=0)
    with pytest.raises(RecipeError, match="active"):
        Served(active=10, parameters=5)


def test_the_compute_of_a_life():
    assert lifetime_flops(2, 10, 100) == 120 + 400


def test_a_catalogue_item_of_ones_own_serves():
    own = Item(name="own", source="bench", mid=1, peak_flops=1e12, bandwidth=1e11)
    assert token_speed(Served(active=1e9, bytes_per_weight=1), own, ONE).memory == 0.01
