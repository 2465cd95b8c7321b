import math

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.study.costs import Terms
from curation.study.equivalence import (
    by_law,
    measured_equivalence,
    measured_pairs,
    meeting,
    worth,
)
from curation.study.evidence import (
    health,
    largest_gap,
    noise_floor,
    paired_documents,
    rank_agreement,
    t95,
    usable,
    whole_text_runs,
)
from curation.study.plane import best_losses, plane
from curation.study.predict import Estimate, Point
from curation.study.prices import Range
from curation.study.repeats import measured_repeats
from curation.study.runs import make_runs
from curation.study.scaling import efficiencies, scalability
from tests.study.doubles import EPOCH, epoch_law, recipe_law
from tests.study.rows import study, study_rows

# --- evidence ----------------------------------------------------------------------------------


def test_failed_cells_are_counted_with_their_reasons():
    rows = study_rows()
    rows[0] = {**rows[0], "status": "failed", "reason": "out of memory", "loss": None}
    rows[1] = {**rows[1], "status": "skipped", "reason": "over the budget", "loss": None}
    found = health(make_runs(rows))
    assert (found.done, found.failed, found.skipped) == (22, 1, 1)
    assert found.reasons == (("out of memory", 1), ("over the budget", 1))
    assert found.least_steps == 976
    assert found.few_steps


def test_text_that_has_ended_is_repeated_and_text_that_was_held_back_is_left_out():
    def run(recipe, tokens, unique, given=None):
        names = ("recipe", "tokens", "unique_tokens", "given_tokens")
        return dict(zip(names, (recipe, tokens, unique, given), strict=True))

    fresh = [run("long", 1000, 1000), run("long", 2000, 2000)]
    ended = [run("short", 400, 400), run("short", 1000, 800), run("short", 2000, 800)]
    held_back = [run("long", 2000, 500), run("short", 800, 400), run("long", 8000, 2000, 2000)]
    imported = [run("other", 1000, None)]
    wanted = fresh + ended + imported
    assert whole_text_runs(fresh + held_back + ended + imported) == wanted


def test_the_noise_floor_is_that_of_the_rows():
    runs = usable(study(noise=0.02, seeds=40))
    found = noise_floor(runs)
    assert found.sd == pytest.approx(0.02, rel=0.15)
    assert (found.most_seeds, found.cells, found.degrees) == (40, 6, 6 * 39)
    assert noise_floor(usable(study())) is None


def test_the_gap_is_taken_where_both_are_largest():
    runs = usable(study(noise=0.0, seeds=3))
    gap = largest_gap(runs, "raw", "clean", noise_floor(usable(study(noise=0.01, seeds=3))))
    assert (gap.parameters, gap.tokens, gap.seeds) == (360_000, 4_000_000, (3, 3))
    assert gap.log_ratio > 0
    assert largest_gap(runs, "raw", "clean", None).half_width == math.inf
    assert not largest_gap(runs, "raw", "clean", None).clear


def test_equal_recipes_show_a_clear_gap_in_at_most_one_of_ten():
    clear = 0
    for seed in range(100):
        runs = usable(study({"a": 1.0, "b": 1.0}, noise=0.01, seeds=3, seed=seed))
        clear += largest_gap(runs, "a", "b", noise_floor(runs)).clear
    assert clear <= 10


def test_quantiles_of_t():
    assert t95(0) == math.inf
    assert t95(20) == pytest.approx(2.086, rel=0.02)
    assert t95(10_000) == pytest.approx(1.96, abs=0.001)


def test_smaller_sizes_that_rank_as_the_largest():
    found = rank_agreement(usable(study({"a": 1.0, "b": 1.4, "c": 2.0}, noise=0.0)))
    assert [(one.right, one.pairs) for one in found] == [(3, 3), (3, 3)]


def bits(path, ids, values):
    table = {"doc_id": ids, "bytes": [100] * len(ids), "bits_after": values}
    pq.write_table(pa.table(table), path)
    return path


def test_documents_are_compared_in_pairs(tmp_path):
    rng = np.random.default_rng(0)
    hard = rng.uniform(50, 400, 200)
    ids = [str(k) for k in range(200)]
    one = bits(tmp_path / "one.parquet", ids, hard)
    other = bits(tmp_path / "other.parquet", ids[::-1], (hard - 5 + rng.normal(0, 2, 200))[::-1])
    found = paired_documents(one, other)
    low, high = found.interval()
    # Documents differ by hundreds of bits, the pairs by 5 with an sd of 2.
    assert 0.045 < low < found.mid < high < 0.055
    assert paired_documents(one, tmp_path / "absent.parquet") is None
    assert paired_documents(one, bits(tmp_path / "third.parquet", ["x"], [1.0])) is None


# --- equivalence -------------------------------------------------------------------------------


def test_the_factor_of_a_law_by_hand():
    # B_clean = 0.8 B_raw: raw needs (1 / 0.8)^(1 / beta) times the tokens.
    found = by_law(recipe_law(0.8), Point(1e9, 20e9), "raw", "clean")
    assert found.mid == pytest.approx((1 / 0.8) ** (1 / EPOCH["beta"]), rel=1e-4)
    low, high = found.interval()
    assert 1 < low < found.mid < high


def test_what_a_baseline_never_reaches_is_infinite():
    law = recipe_law(1e-9)
    assert by_law(law, Point(1e9, 20e9), "raw", "clean").mid == math.inf
    assert by_law(epoch_law(), Point(1e9, 20e9), "raw", "clean") is None


def test_a_factor_is_priced():
    terms = Terms(
        Range.exact(3.6),
        Range.exact(1e15),
        text=Range.exact(1e-9),
        curation={"raw": Range.exact(0)},
    )
    point = Point(1e9, 20e9)
    found = worth(Estimate(1.5, np.array([1.2, 1.8])), point, terms, "raw")
    # 1.2e20 FLOP at 1e15/s are 33.3 hours; half of them 16.7; at $3.60 $60, and $10 of text.
    assert found.device_hours.mid == pytest.approx(16.67, abs=0.01)
    assert found.dollars.mid == pytest.approx(70)
    assert found.dollars.draws == pytest.approx([28, 112])
    assert worth(Estimate(1.5), point, Terms(None, Range.exact(1e15)), "raw").dollars is None
    ended = worth(Estimate(1.5, np.array([1.2, 1.8])), point, terms, "raw", ["raw"])
    assert (ended.dollars, ended.missing) == (None, ("text beyond all of raw's",))
    assert ended.device_hours.mid == found.device_hours.mid


def test_the_factor_of_runs_is_found_and_has_an_interval_only_with_a_noise_floor():
    runs = usable(study(noise=0.003, seeds=3))
    pairs = measured_pairs(runs, "raw", "clean")
    found = measured_equivalence(pairs, noise_floor(runs).sd)
    low, high = found.interval()
    assert low < 1.5 < high
    assert low > 1
    assert measured_equivalence(pairs, None).interval() is None
    assert measured_equivalence([], 0.1) is None


def test_a_curve_ends_where_repeated_text_makes_the_loss_rise():
    def run(recipe, tokens, loss):
        return {"recipe": recipe, "parameters": 1000, "tokens": tokens, "loss": loss}

    falling = [run("raw", 1000, 2.0), run("raw", 2000, 1.8), run("raw", 4000, 1.7)]
    clean = [run("clean", 1000, 1.9), run("clean", 2000, 1.75)]
    before = measured_pairs([*falling, *clean], "raw", "clean")
    assert len(before) == 2
    assert measured_pairs([*falling, run("raw", 8000, 1.71), *clean], "raw", "clean") == before
    rising = [run("raw", 1000, 2.0), run("raw", 2000, 2.1)]
    assert measured_pairs([*rising, *clean], "raw", "clean") == []


def test_equal_recipes_have_a_factor_of_one():
    holds = 0
    for seed in range(60):
        runs = usable(study({"a": 1.0, "b": 1.0}, noise=0.01, seeds=3, seed=seed))
        found = measured_equivalence(measured_pairs(runs, "a", "b"), noise_floor(runs).sd, 500)
        low, high = found.interval()
        holds += low <= 1 <= high
    assert holds >= 54


def test_repeats_are_worth_what_fresh_tokens_do_the_same():
    rows = study_rows({"raw": 1.0}, noise=0.001, seeds=3)
    # Four epochs of 500k as good as 1.5M fresh tokens: three quarters of the 2M presented.
    worth = next(r["loss"] for r in study_rows({"raw": 0.75}, noise=0.0) if r["tokens"] == 2e6)
    rows.append({**rows[0], "tokens": 2_000_000, "epochs": 4.0, "unique_tokens": 500_000,
                 "loss": worth})  # fmt: skip
    runs = usable(make_runs(rows))
    found = measured_repeats(runs, noise_floor(runs))
    assert [(one.epochs, one.unique_tokens) for one in found] == [(4, 500_000)]
    low, high = found[0].share.interval()
    assert low < 0.75 < high
    assert 0.7 < low < high < 0.8
    assert measured_repeats(runs, None)[0].share.interval() is None
    beyond = usable(make_runs([*rows[:-1], {**rows[-1], "loss": 1.0}]))
    assert measured_repeats(beyond, None)[0].share is None


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=6), st.floats(0, 1))
def test_a_curve_runs_through_its_points_and_falls(falls, where):
    losses = 5.0 - np.cumsum(falls)
    places = np.arange(len(falls), dtype=float)
    for loss, place in zip(losses, places, strict=True):
        assert meeting(losses, places, loss)[0] == pytest.approx(place, abs=1e-9)
    between = losses[-1] + where * (losses[0] - losses[-1])
    at, slope = meeting(losses, places, between)
    assert 0 <= at <= places[-1]
    assert slope < 0
    assert meeting(losses, places, losses[0] + 100) is None


# --- the plane ---------------------------------------------------------------------------------

TERMS = Terms(Range.exact(4.0), Range.exact(4e14), text=Range.exact(1e-9))


def test_the_best_loss_of_a_pair_is_that_of_the_best_size():
    law = epoch_law(form="repeats")
    sizes = np.logspace(7, 11, 4001)
    tokens = 1e20 / (6 * sizes)
    by_hand = law.loss(sizes, tokens, unique_tokens=np.minimum(tokens, 5e9)).min()
    found = best_losses(law, Point(1e9, 20e9), np.array(5e9), np.array(1e20))
    assert float(found) == pytest.approx(by_hand, rel=1e-4)


def test_more_of_either_never_raises_the_loss():
    found = plane(epoch_law(), Point(1e9, 20e9), TERMS, steps=15)
    assert (np.diff(found.loss, axis=0) <= 1e-12).all()
    assert (np.diff(found.loss, axis=1) <= 1e-12).all()


def test_the_cheapest_pair_is_cheaper_and_as_good():
    point = Point(1e8, 200e9)
    found = plane(epoch_law(), point, TERMS)
    assert found.present == pytest.approx((200, 6e8 * 200e9 / 4e14 / 3600 * 4))
    assert sum(found.cheapest) < sum(found.present)
    data, compute = found.cheapest
    flops = compute / TERMS.flop_price().mid
    again = best_losses(epoch_law(), point, np.array(data / 1e-9), np.array(flops))
    assert float(again) == pytest.approx(found.reach, rel=1e-3)


@pytest.mark.parametrize("text", [None, Range.exact(0)])
def test_without_a_price_of_text_the_axis_counts_tokens(text):
    found = plane(
        epoch_law(), Point(1e9, 20e9), Terms(Range.exact(4), Range.exact(4e14), text=text)
    )
    assert found.in_tokens
    assert not found.in_dollars
    assert found.cheapest is None
    assert found.present[0] == 20e9


# --- devices -----------------------------------------------------------------------------------


def timing(devices, speeds, loss=2.0, batch=4096, **more):
    return [
        {
            "recipe": "raw", "parameters": 10, "tokens": 100, "devices": devices, "loss": loss,
            "batch_tokens": batch, "tokens_per_second": speed, "seed": k, "precision": "fp32",
            "device": "cpu", **more,
        }
        for k, speed in enumerate(speeds)
    ]  # fmt: skip


def test_strong_scaling_by_hand():
    # 12.0k tokens/s alone, 19.9k with two: 83%.
    rows = timing(1, [12000, 12010, 11990]) + timing(2, [19900, 19910, 19890])
    found = efficiencies(usable(make_runs(rows)), None)
    assert [one.kind for one in found] == ["strong"]
    assert found[0].efficiency.mid == pytest.approx(0.829, abs=0.001)
    low, high = found[0].efficiency.interval()
    assert 0.82 < low < high < 0.84
    assert found[0].state == ""
    assert found[0].loss_gap == 0


def test_noise_of_timings_is_not_called_a_cost():
    rows = timing(1, [170, 231]) + timing(2, [330, 460])
    assert "noise of the timings" in efficiencies(usable(make_runs(rows)), None)[0].state
    rows = timing(1, [170]) + timing(2, [330])
    assert "no interval" in efficiencies(usable(make_runs(rows)), None)[0].state


def test_a_loss_that_changes_with_the_devices_is_told():
    rows = timing(1, [10, 10]) + timing(2, [19, 19], loss=2.2)
    rows[1]["loss"] = 2.001
    runs = usable(make_runs(rows))
    found = efficiencies(runs, noise_floor(runs))[0]
    assert found.loss_same is False


def test_losses_are_compared_seed_by_seed():
    alone = timing(1, [10, 10, 10])
    for row, loss in zip(alone, (2.0, 1.8, 1.9), strict=True):
        row["loss"] = loss
    runs = usable(make_runs([*alone, *timing(2, [19], loss=2.02)]))
    found = efficiencies(runs, noise_floor(runs))[0]
    assert found.loss_gap == pytest.approx(math.log(2.02 / 2.0))
    assert found.loss_same is True
    others = usable(make_runs([*alone, *[{**timing(2, [19])[0], "seed": 9}]]))
    assert efficiencies(others, None)[0].loss_gap == pytest.approx(
        math.log(2.0) - np.mean(np.log([2.0, 1.8, 1.9]))
    )


def test_weak_scaling_is_told_apart():
    rows = timing(1, [100], batch=512) + timing(4, [380], batch=2048, tokens=400)
    found = efficiencies(usable(make_runs(rows)), None)
    assert [(one.kind, one.efficiency.mid) for one in found] == [("weak", 0.95)]


def test_the_scalability_law_needs_four_counts():
    def curve(counts):
        speeds = {k: 100 * k / (1 + 0.05 * (k - 1) + 0.002 * k * (k - 1)) for k in counts}
        rows = [row for k, speed in speeds.items() for row in timing(k, [speed])]
        return scalability(efficiencies(usable(make_runs(rows)), None))

    found = curve([1, 2, 4, 8])
    assert (found.sigma, found.kappa) == (pytest.approx(0.05), pytest.approx(0.002))
    assert found.efficiency(np.array([1.0])) == 1
    assert curve([1, 2, 4]) is None
