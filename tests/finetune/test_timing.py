"""Steps and waits of the slowest process, the first ones left out; what a killed one spent."""

import time

import pytest

from curation.finetune.timing import (
    RankTimes,
    Spent,
    StepClock,
    cpu_seconds,
    data_wait,
    read_spent,
    step_times,
    write_spent,
)


def slow(items, seconds):
    for item in items:
        time.sleep(seconds)
        yield item


def clock_of(waits, work):
    clock = StepClock()
    clock.begin(Spent())
    for wait in waits:
        assert list(clock.timed(slow([1], wait))) == [1]
        time.sleep(work)
        clock.step()
    return clock.read()


def test_waiting_is_told_from_working():
    timing = clock_of([0.02] * 4, 0.03)
    assert len(timing.steps) == len(timing.waits) == 2  # half of few steps is left out
    assert timing.all_waits >= 0.08
    rank = RankTimes.of(timing, 0.0, 0, None)
    assert 0.02 < data_wait([rank]).share < 0.9
    assert rank.waited >= 0.04
    assert rank.seconds >= 0.1


def test_first_steps_are_left_out():
    timing = clock_of([0.05] * 10 + [0.0] * 12, 0.0)
    assert len(timing.steps) == 12
    assert timing.all_waits >= 0.5
    assert sum(timing.waits) < timing.all_waits / 2


def test_saving_is_no_part_of_a_step():
    clock = StepClock()
    clock.begin(Spent())
    for _ in range(4):
        clock.step()
        time.sleep(0.05)
        clock.resume()
    timing = clock.read()
    assert sum(timing.steps) < 0.1
    assert timing.spent.seconds >= 0.2


def test_slowest_process_and_longest_waiter_count():
    timing = clock_of([0.0] * 4, 0.01)
    ranks = [RankTimes(1.0, 10.0, 5.0, 0, 0, -1), RankTimes(2.0, 20.0, 1.0, 0, 0, -1)]
    assert data_wait(ranks).share == 0.5
    steps = step_times(ranks, timing, 4, 100)
    assert (steps.timed, steps.skipped, steps.seconds) == (2, 2, 2.0)
    assert steps.tokens_per_second == pytest.approx(2 * 100 / 20.0)


def test_what_a_killed_process_spent_is_added(tmp_path):
    write_spent(tmp_path, Spent(100.0, 50.0))
    clock = StepClock()
    clock.begin(read_spent(tmp_path))
    spent = clock.read().spent
    assert 100 <= spent.seconds < 110
    assert 50 <= spent.cpu_seconds < 60


@pytest.mark.parametrize("content", ["", "[]", '{"seconds": 1, "more": 2}'])
def test_damaged_note_counts_as_nothing(tmp_path, content):
    (tmp_path / "spent.json").write_text(content)
    assert read_spent(tmp_path) == read_spent(None) == Spent()


def test_processor_time_grows_with_work():
    before = cpu_seconds()
    sum(number * number for number in range(2_000_000))
    assert cpu_seconds() > before
