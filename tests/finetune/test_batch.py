"""A batch that follows from the model: small for small ones, the same whatever the budget."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.finetune.batch import batch_tokens, choose_batch, few_steps, with_batch
from curation.job import parse_job
from curation.results import ModelFacts


def facts(parameters):
    return ModelFacts(
        origin="new", architecture="llama", layers=1, width=32, vocab_size=300,
        parameters=parameters, matmul_parameters=parameters, block_parameters=parameters,
    )  # fmt: skip


def job_of(batch_size="auto", length=128):
    training = {} if batch_size is None else {"batch_size": batch_size}
    return parse_job({"name": "a", "data": {"sequence_length": length}, "training": training})


@pytest.mark.parametrize(
    ("parameters", "tokens"),
    [(30_000, 512), (1_000_000, 512), (4_000_000, 36_300), (108_000_000, 327_680)],
)
def test_rule_at_its_anchors(parameters, tokens):
    assert batch_tokens(parameters) == pytest.approx(tokens, rel=0.01)


@given(st.integers(1, 10**10), st.integers(1, 10**9))
def test_larger_models_never_get_a_smaller_batch(parameters, more):
    assert batch_tokens(parameters) <= batch_tokens(parameters + more)


@pytest.mark.parametrize("edge", [1_000_000, 4_000_000])
def test_rule_has_no_jump(edge):
    assert batch_tokens(edge - 1) == pytest.approx(batch_tokens(edge + 1), rel=1e-3)


@given(st.integers(1, 10**9), st.integers(8, 4096))
def test_batch_is_a_power_of_two_of_sequences_within_the_rule(parameters, length):
    batch = choose_batch(job_of(length=length), facts(parameters))
    assert batch.sequences & (batch.sequences - 1) == 0
    assert batch.tokens == batch.sequences * length
    assert batch.tokens <= max(length, batch_tokens(parameters)) < 2 * max(batch.tokens, length)


def test_default_is_the_rule_and_says_so():
    batch = choose_batch(job_of(None), facts(110_000))
    assert (batch.sequences, batch.rule) == (4, "auto, from 110,000 matmul parameters")


def test_batch_of_the_job_stands():
    job = job_of(6)
    batch = choose_batch(job, facts(110_000))
    assert (batch.sequences, batch.tokens, batch.rule) == (6, 768, "set")
    assert with_batch(job_of(), batch).training.batch_size == 6


def test_few_steps_are_said():
    assert few_steps(1000) == []
    (note,) = few_steps(999)
    assert note.startswith("only 999 optimiser steps: below 1,000 a comparison of data may be")
