"""Held-out documents of another dataset: pinned, checked, never among the training texts."""

import json
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import DataError
from curation.finetune import run as run_module
from curation.finetune.batch import few_steps
from curation.finetune.evaluate import standard_errors
from curation.finetune.heldout import word_keys
from curation.finetune.progress import Progress
from curation.finetune.run import run
from curation.handoff import prepare_job, read_job
from curation.results import read_result
from curation.shards import file_sha256
from curation.text.fold import plain_fold
from tests.finetune.factory import micro_job, sentences, write_dataset

TEXTS = sentences(80)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("dataset") / "dir", TEXTS[:60], TEXTS[60:62])


@pytest.fixture(scope="module")
def apart(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("apart") / "dir", TEXTS[70:75], TEXTS[62:70])


def prepare(dataset, out, held_out, **tables):
    job = micro_job(**{**tables, "data": {"held_out": str(held_out), **tables.get("data", {})}})
    return read_job(prepare_job(job, dataset, out))


def run_micro(dataset, out, held_out, **tables):
    return run(prepare(dataset, out, held_out, **tables), Progress(None, time.perf_counter()))


@pytest.fixture(scope="module")
def finished(dataset, apart, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    run_micro(dataset, out, apart)
    return out


def test_eval_documents_of_the_other_dataset_are_scored(dataset, apart, finished):
    scores = read_result(finished / "result.json").bits_per_byte
    assert scores.documents == 8
    assert scores.dataset == read_job(finished / "job.json").held_out
    assert scores.bytes == sum(len(text.encode()) for text in TEXTS[62:70])


def test_bits_of_each_document_lie_in_a_file_listed_with_its_digest(finished):
    result = read_result(finished / "result.json")
    file = finished / result.bits_per_byte.file
    assert result.outputs["held_out.parquet"].sha256 == file_sha256(file)
    table = pq.read_table(file)
    assert {"doc_id", "source", "bytes", "bits_before", "bits_after"} <= set(table.column_names)
    rows = table.to_pydict()
    assert result.bits_per_byte.after == pytest.approx(sum(rows["bits_after"]) / sum(rows["bytes"]))


def test_dataset_without_eval_documents_is_scored_whole(dataset, tmp_path):
    apart = write_dataset(tmp_path / "apart", TEXTS[62:65])
    assert run_micro(dataset, tmp_path / "out", apart).bits_per_byte.documents == 3


def test_score_does_not_depend_on_where_the_dataset_lies(dataset, apart, finished, tmp_path):
    moved = shutil.copytree(apart, tmp_path / "moved")
    prepared = prepare(dataset, tmp_path / "out", moved)
    assert prepared.digest == read_job(finished / "job.json").digest


def test_digest_depends_on_the_held_out_documents(dataset, finished, tmp_path):
    other = write_dataset(tmp_path / "other", (), TEXTS[62:69])
    digest = prepare(dataset, tmp_path / "out", other).digest
    assert digest != read_job(finished / "job.json").digest


def test_changed_held_out_set_is_refused_before_anything_is_made(
    dataset, apart, tmp_path, monkeypatch
):
    copy = shutil.copytree(apart, tmp_path / "copy")
    prepared = prepare(dataset, tmp_path / "out", copy)
    shard = copy / "shards" / "eval-00000-of-00002.arrow"
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    monkeypatch.setattr(run_module, "make_tokenizer", None)  # would fail if it came to that
    with pytest.raises(DataError, match=r"eval-00000-of-00002.arrow: sha256 .*the manifest says"):
        run(prepared, Progress(None, 0.0))


def test_missing_held_out_set_is_told_when_the_job_is_prepared(dataset, tmp_path):
    with pytest.raises(DataError, match=r"no manifest\.json"):
        prepare(dataset, tmp_path / "out", tmp_path / "nowhere")


def test_held_out_set_without_text_is_refused(dataset, tmp_path):
    apart = write_dataset(tmp_path / "apart", (), ["", None])
    with pytest.raises(DataError, match=r"held_out .*: has no documents with text"):
        run_micro(dataset, tmp_path / "out", apart)


@pytest.mark.parametrize("change", [str, str.upper, lambda text: text.replace(" ", "\n* ")])
def test_training_text_with_the_words_of_a_held_out_document_stops_the_run(
    dataset, tmp_path, monkeypatch, change
):
    apart = write_dataset(tmp_path / "apart", (), [TEXTS[65], change(TEXTS[7]), TEXTS[66]])
    monkeypatch.setattr(run_module, "make_tokenizer", None)
    with pytest.raises(DataError, match=r"held_out .*: 1 of 3 documents have the words of a train"):
        run_micro(dataset, tmp_path / "out", apart)


def test_refusal_does_not_depend_on_the_budget(dataset, tmp_path):
    apart = write_dataset(tmp_path / "apart", (), [TEXTS[7]])
    for budget in (32, 512):
        with pytest.raises(DataError, match="words of a training text"):
            run_micro(dataset, tmp_path / str(budget), apart, data={"token_budget": budget})


def test_own_eval_documents_that_were_trained_on_are_counted_and_said(tmp_path):
    dataset = write_dataset(tmp_path / "data", TEXTS[:60], [TEXTS[3].upper(), TEXTS[61]])
    prepared = read_job(prepare_job(micro_job(), dataset, tmp_path / "out"))
    result = run(prepared, Progress(None, time.perf_counter()))
    assert result.bits_per_byte.also_in_training == 1
    assert result.notes == [
        "1 of 2 held-out documents have the words of a training text: their bits are no held-out "
        "bits",
        *few_steps(2),
    ]


def test_cap_takes_the_same_documents_for_every_corpus_and_seed(dataset, apart, tmp_path):
    other = write_dataset(tmp_path / "other", TEXTS[30:60])
    ids = []
    for number, corpus in enumerate((dataset, other)):
        out = tmp_path / str(number)
        run_micro(corpus, out, apart, data={"eval_documents": 3}, seed=number)
        ids.append(sorted(pq.read_table(out / "held_out.parquet")["doc_id"].to_pylist()))
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=6))
def test_keys_agree_exactly_where_the_words_do(texts):
    keys = word_keys(pa.array(texts, pa.large_string()))
    words = [plain_fold(text, ignore_digits=False) for text in texts]
    for first, key in zip(words, keys, strict=True):
        for second, other in zip(words, keys, strict=True):
            assert (first == second) == (key == other)


def test_standard_error_is_that_of_many_samples_of_documents():
    """Checked against samples from the population itself, which a single set never sees."""
    draw = np.random.default_rng(5)
    sizes = draw.integers(200, 2000, (400, 60))
    bits = sizes * draw.normal(2.0, 0.4, sizes.shape)
    truth = (bits.sum(axis=1) / sizes.sum(axis=1)).std(ddof=1)
    found = [standard_errors(b[None], s)[0] for b, s in zip(bits[:20], sizes[:20], strict=True)]
    assert np.mean(found) == pytest.approx(truth, rel=0.12)


def test_paired_change_is_known_better_than_either_end(finished):
    scores = read_result(finished / "result.json").bits_per_byte
    assert 0 < scores.se_change < scores.se_before
    assert scores.se_after > 0


def test_one_document_has_no_standard_error():
    assert standard_errors(np.ones((3, 1)), np.ones(1, np.int64)) == [None, None, None]


def test_relative_path_starts_from_the_job_file(tmp_path):
    from curation.job import load_job

    path = tmp_path / "job.toml"
    path.write_text('name = "a"\n[data]\nheld_out = "../apart"\n')
    assert load_job(path).data.held_out == str(tmp_path.parent / "apart")


def test_job_json_names_the_held_out_set(dataset, apart, finished):
    held_out = json.loads((finished / "job.json").read_text())["held_out"]
    assert held_out["name"] == "small-language"
    assert held_out["manifest_sha256"] == file_sha256(apart / "manifest.json")
