"""Bits per byte is what its formula says, whatever the windows and the batches."""

import math

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curation.finetune import evaluate
from curation.finetune.evaluate import (
    EVALUATION,
    context_of,
    cut_windows,
    document_bits,
    hold_out,
    summarize,
    write_evaluation,
)
from curation.finetune.model import make_model
from tests.finetune.factory import micro_job, sentences
from tests.finetune.test_tokenizer import documents, make


@pytest.fixture(scope="module")
def tokenizer():
    return make()


@pytest.fixture(scope="module")
def model(tokenizer):
    return make_model(micro_job(data={"sequence_length": 256}), tokenizer).eval()


@torch.no_grad()
def bits_token_by_token(model, tokenizer, text, window, context):
    """The definition, spelled out: one forward pass for each token, no batch and no padding."""
    ids = [tokenizer.begin, *tokenizer.encode([text])[0]]
    bits, start, stop = 0.0, 0, window
    for at in range(1, len(ids)):
        if at >= stop:
            start = at - context
            stop = start + window
        logits = model(input_ids=torch.tensor([ids[start:at]])).logits[0, -1].double()
        bits -= float(torch.log_softmax(logits, -1)[ids[at]]) / math.log(2)
    return bits


def test_bits_are_the_sum_over_tokens_of_their_surprise(model, tokenizer):
    texts = [sentences(3)[2], "a", "日本 über\n\n", "zz"]
    held_out = hold_out(documents(texts), tokenizer, 256)
    expected = [bits_token_by_token(model, tokenizer, text, 256, 64) for text in texts]
    np.testing.assert_allclose(document_bits(model, held_out), expected, rtol=1e-5)


def test_long_documents_are_read_in_windows_with_context(model, tokenizer):
    texts = sentences(2)
    held_out = hold_out(documents(texts), tokenizer, 16)
    expected = [bits_token_by_token(model, tokenizer, text, 16, 4) for text in texts]
    np.testing.assert_allclose(document_bits(model, held_out), expected, rtol=1e-5)


def test_batch_size_does_not_matter(model, tokenizer, monkeypatch):
    held_out = hold_out(documents(sentences(9)), tokenizer, 32)
    together = document_bits(model, held_out)
    monkeypatch.setattr(evaluate, "_LOGIT_VALUES", 1)
    np.testing.assert_allclose(document_bits(model, held_out), together, rtol=1e-5)


@given(st.integers(0, 300), st.integers(8, 64))
def test_every_token_but_the_boundary_is_scored_once(length, window):
    ids = list(range(length))
    context = context_of(window)
    scored = []
    for part in cut_windows(0, ids, window, context):
        assert 1 <= part.scored_from < len(part.ids) <= window
        assert part.scored_from == (context if part.ids[0] else 1)
        scored += part.ids[part.scored_from :]
    assert scored == ids[1:]


def test_uniform_model_needs_log2_of_its_vocabulary_for_each_token(tokenizer):
    model = make_model(micro_job(), tokenizer)
    with torch.no_grad():
        model.lm_head.weight.zero_()
    held_out = hold_out(documents(sentences(3)), tokenizer, 32)
    bits = document_bits(model, held_out)
    np.testing.assert_allclose(bits, held_out.tokens * math.log2(300), rtol=1e-6)


def test_summary_divides_summed_bits_by_summed_bytes_of_the_text(tokenizer):
    held_out = hold_out(documents(["abcd", "日本"]), tokenizer, 32)
    scores = summarize(held_out, np.array([40.0, 60.0]), np.array([4.0, 6.0]))
    assert (scores.before, scores.after, scores.bytes) == (10.0, 1.0, 10)


def test_sources_are_scored_apart(tokenizer):
    first, second = documents(["abcd", "efgh"])
    held_out = hold_out([first, second._replace(source="books")], tokenizer, 32)
    scores = summarize(held_out, np.array([40.0, 20.0]), np.array([4.0, 8.0]))
    assert scores.by_source == {"books": (5.0, 2.0), "web": (10.0, 1.0)}


def test_every_document_has_its_row(tokenizer, tmp_path):
    held_out = hold_out(documents(["abcd", "日本"]), tokenizer, 32)
    path = tmp_path / "held_out.parquet"
    write_evaluation(path, held_out, np.array([40.0, 60.0]), np.array([4.0, 6.0]))
    table = pq.read_table(path)
    assert table.schema.equals(EVALUATION)
    assert table.column("bytes").to_pylist() == [4, 6]
    assert table.column("bits_after").to_pylist() == [4.0, 6.0]
