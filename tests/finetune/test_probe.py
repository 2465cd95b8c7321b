"""Communication is a share with an interval, or not measurable; never a negative overhead."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.finetune.pack import PackedSequences, pack, plan_order
from curation.finetune.probe import judge, probe_communication
from curation.finetune.ranks import Ranks
from tests.finetune.factory import micro_job, sentences
from tests.finetune.test_tokenizer import documents, make


def noisy(seconds, spread, seed, pairs=24):
    return seconds + np.random.default_rng(seed).normal(0, spread, pairs)


def test_clear_difference_is_measured():
    found = judge(noisy(0.103, 0.002, 0), noisy(0.087, 0.002, 1), 1.0)
    assert found.share == pytest.approx(0.16, abs=0.02)
    assert 0 < found.low <= found.share <= found.high
    assert found.pairs == 24


def test_difference_within_the_noise_is_not_measurable_here():
    found = judge(noisy(0.1, 0.02, 1), noisy(0.1, 0.02, 2), 2.5)
    assert found.share is None
    assert found.low <= 0 <= found.high
    assert found.note.startswith("not measurable here")
    assert found.load_average == 2.5


def test_steps_that_were_slower_without_exchange_measure_nothing():
    found = judge(noisy(0.09, 0.001, 1), noisy(0.1, 0.001, 2), 2.5)
    assert found.share is None
    assert found.high < 0


@given(st.floats(0.05, 0.15), st.floats(0, 0.05), st.integers(0, 999))
def test_no_negative_share_is_ever_reported(seconds, spread, seed):
    found = judge(noisy(seconds, spread, seed), noisy(0.1, spread, seed + 1), 0.0)
    assert found.share is None or 0 < found.low <= found.share < 1


def test_one_process_exchanges_nothing(tmp_path):
    tokenizer = make()
    stream = pack(tokenizer, documents(sentences(9)), tmp_path / "tokens")
    sequences = PackedSequences(stream, plan_order(4, 4, 0), 32, 4)
    found = probe_communication(micro_job(), None, sequences, Ranks())
    assert (found.share, found.pairs) == (None, 0)
    assert found.note == "one process exchanges nothing"
