"""Packing loses nothing, and every token leads back to its document."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.finetune import pack as pack_module
from curation.finetune.corpus import Document
from curation.finetune.pack import TOKENS, PackedSequences, pack, plan_order
from tests.finetune.factory import sentences
from tests.finetune.test_tokenizer import documents, make


@pytest.fixture(scope="module")
def tokenizer():
    return make()


@pytest.fixture(scope="module")
def stream(tokenizer, tmp_path_factory):
    return pack(tokenizer, documents(sentences(9)), tmp_path_factory.mktemp("pack") / "tokens")


def test_stream_is_every_document_behind_its_boundary(tokenizer, stream):
    ids = stream.read(0, len(stream)).tolist()
    expected = []
    for encoded in tokenizer.encode(sentences(9)):
        expected += [tokenizer.begin, *encoded]
    assert ids == expected


def test_map_has_the_schema_and_leads_back(tokenizer, stream):
    assert stream.map.schema == TOKENS
    for row in stream.map.to_pylist():
        ids = stream.read(row["start"] + 1, row["start"] + row["tokens"]).tolist()
        assert tokenizer.decode(ids) == sentences(9)[int(row["doc_id"])]


def test_small_vocabulary_takes_two_bytes_a_token(stream, tmp_path_factory):
    assert stream.read(0, 1).dtype == np.int64
    assert stream._shards[0].dtype == np.uint16


def test_documents_of_a_range_are_those_that_touch_it(stream):
    starts = stream.map.column("start").to_pylist()
    assert stream.documents(0, 1) == ["0"]
    assert stream.documents(starts[3], starts[4]) == ["3"]
    assert stream.documents(starts[3] - 1, starts[4] + 1) == ["2", "3", "4"]


def test_positions_restart_at_every_document(stream):
    second = stream.map.column("start").to_pylist()[1]
    assert stream.positions(second - 2, second + 3).tolist() == [0, 1, 0, 1, 2]


def test_limit_is_exact_and_a_prefix(tokenizer, stream, tmp_path):
    for limit in (1, 100, 101):
        short = pack(tokenizer, documents(sentences(9)), tmp_path / str(limit), limit)
        assert len(short) == limit
        assert short.read(0, limit).tolist() == stream.read(0, limit).tolist()
        assert sum(short.map.column("tokens").to_pylist()) == limit


def test_limit_beyond_the_corpus_takes_all(tokenizer, stream, tmp_path):
    assert len(pack(tokenizer, documents(sentences(9)), tmp_path / "t", 10**9)) == len(stream)


def test_stream_over_many_files_reads_as_one(tokenizer, stream, tmp_path, monkeypatch):
    monkeypatch.setattr(pack_module, "SHARD_TOKENS", 37)
    cut = pack(tokenizer, documents(sentences(9)), tmp_path / "tokens")
    lengths = [len(shard) for shard in cut._shards]
    assert set(lengths[:-1]) == {37}
    assert sum(lengths) == len(stream)
    for start, stop in ((0, len(stream)), (30, 120), (37, 74), (36, 38)):
        assert cut.read(start, stop).tolist() == stream.read(start, stop).tolist()


def test_empty_corpus_packs_to_nothing(tokenizer, tmp_path):
    stream = pack(tokenizer, [], tmp_path / "tokens")
    assert (len(stream), stream.map.num_rows) == (0, 0)


@settings(max_examples=60)
@given(st.integers(1, 40), st.integers(1, 200), st.integers(0, 5))
def test_every_epoch_presents_each_sequence_once(available, presented, seed):
    order = plan_order(available, presented, seed).order
    assert len(order) == presented
    for at in range(0, presented - available + 1, available):
        assert sorted(order[at : at + available]) == list(range(available))
    assert len(set(order[: min(presented, available)])) == min(presented, available)


def test_epochs_have_orders_of_their_own_and_seeds_too():
    order = plan_order(50, 100, 1).order
    assert order[:50].tolist() != order[50:].tolist()
    assert order.tolist() != plan_order(50, 100, 2).order.tolist()


def test_shorter_training_is_a_prefix_of_a_longer_one():
    assert plan_order(50, 70, 1).order.tolist() == plan_order(50, 130, 1).order[:70].tolist()


@given(
    st.integers(1, 6), st.integers(0, 6), st.integers(1, 12), st.integers(0, 5), st.integers(1, 3)
)
def test_order_of_whole_stretches_is_a_prefix_of_any_longer_one(few, more, stretch, seed, epochs):
    """The data and the order of a smaller budget, where every sequence is fresh."""
    small, large = few * stretch, (few + more) * stretch
    short = plan_order(small, small, seed, stretch).order
    long = plan_order(large, epochs * large, seed, stretch).order
    assert short.tolist() == long[:small].tolist()
    assert sorted(short) == list(range(small))


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 200), st.integers(0, 5))
def test_stretches_present_each_sequence_once_an_epoch(available, stretch, presented, seed):
    order = plan_order(available, presented, seed, stretch).order
    for at in range(0, presented - available + 1, available):
        assert sorted(order[at : at + available]) == list(range(available))


@given(st.integers(1, 40), st.integers(1, 99), st.integers(1, 99), st.integers(0, 5))
def test_repeats_of_the_same_text_are_nested_too(available, presented, more, seed):
    short, long = (plan_order(available, n, seed) for n in (presented, presented + more))
    assert short.order.tolist() == long.order[:presented].tolist()
    assert short.unique == min(presented, available)


def test_last_step_is_filled_with_sequences_that_have_no_target(stream):
    plan = plan_order(len(stream) // 16, 6, 0)
    sequences = PackedSequences(stream, plan, 16, batch=4)
    assert (sequences.steps, len(sequences)) == (2, 8)
    assert all((sequences[at]["labels"] == sequences[at]["input_ids"]).all() for at in range(6))
    assert all((sequences[at]["labels"] == -100).all() for at in (6, 7))


def test_bytes_of_the_last_document_are_those_within_the_limit(tokenizer, tmp_path):
    texts = sentences(9)
    whole = len(tokenizer.encode(texts[:1])[0]) + 1
    short = pack(tokenizer, documents(texts), tmp_path / "tokens", whole + 11)
    first, second = short.map.column("text_bytes").to_pylist()
    assert first == len(texts[0].encode())
    cut = tokenizer.decode(short.read(whole + 1, whole + 11).tolist())
    assert texts[1].startswith(cut)
    assert second == len(cut.encode())


def test_sequences_come_in_the_planned_order(stream):
    plan = plan_order(len(stream) // 16, 12, 0)
    sequences = PackedSequences(stream, plan, 16)
    assert len(sequences) == 12
    item = sequences[5]
    start = int(plan.order[5]) * 16
    assert item["input_ids"].tolist() == stream.read(start, start + 16).tolist()
    assert item["labels"].tolist() == item["input_ids"].tolist()
    assert item["position_ids"].tolist() == stream.positions(start, start + 16).tolist()


@settings(
    max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), max_size=8))
def test_any_documents_come_back_from_the_stream(tokenizer, tmp_path_factory, texts):
    directory = tmp_path_factory.mktemp("any") / "tokens"
    packed = pack(tokenizer, documents(texts), directory)
    found = [
        tokenizer.decode(packed.read(row["start"] + 1, row["start"] + row["tokens"]).tolist())
        for row in packed.map.to_pylist()
    ]
    assert found == texts


def test_tokenizer_with_its_own_end_token_closes_documents(tokenizer, tmp_path):
    closing = tokenizer._replace(end=1)
    text = Document("0", "web", "a b", 3)
    ids = pack(closing, [text], tmp_path / "tokens").read(0, 2**20).tolist()
    assert (ids[0], ids[-1]) == (tokenizer.begin, 1)
