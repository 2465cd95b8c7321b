"""A whole run: what it writes, that it repeats itself, and that nothing half-done looks done."""

import json
import math
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from curation.errors import DataError, RecipeError
from curation.finetune import run as run_module
from curation.finetune.batch import few_steps
from curation.finetune.model import make_model
from curation.finetune.pack import TokenStream
from curation.finetune.progress import Progress
from curation.finetune.report import NO_EVAL
from curation.finetune.run import run
from curation.finetune.tokenizer import load_tokenizer
from curation.handoff import prepare_job, read_job
from curation.results import finished_result, read_result
from tests.finetune.factory import micro_job, sentences, write_dataset


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    texts = sentences(67)
    return write_dataset(tmp_path_factory.mktemp("dataset") / "dir", texts[:60], texts[60:])


def run_micro(dataset, out, **tables):
    prepared = read_job(prepare_job(micro_job(**tables), dataset, out))
    return run(prepared, Progress(None, time.perf_counter()))


@pytest.fixture(scope="module")
def finished(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "out"
    run_micro(dataset, out)
    return out


def test_result_on_disk_accounts_for_every_output(finished):
    result = read_result(finished / "result.json")
    on_disk = {
        path.relative_to(finished).as_posix()
        for path in finished.rglob("*")
        if path.is_file() and path.name not in ("job.json", "result.json", ".lock")
    }
    assert set(result.outputs) == on_disk
    assert {"model/model.safetensors", "model/tokenizer.json", "model/README.md"} <= on_disk
    assert {"tokens/documents.arrow", "held_out.parquet"} <= on_disk
    assert not (finished / ".work").exists()


def test_finished_run_is_found_by_its_job_and_by_no_other(dataset, finished):
    prepared = read_job(finished / "job.json")
    found = finished_result(prepared)
    assert found is not None
    assert found.reused
    assert finished_result(prepared.model_copy(update={"digest": "0" * 64})) is None


def test_damaged_output_is_not_finished(dataset, tmp_path):
    run_micro(dataset, tmp_path)
    prepared = read_job(tmp_path / "job.json")
    weights = tmp_path / "model" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    assert finished_result(prepared) is None


def test_result_counts_tokens_flops_and_seconds(finished):
    result = read_result(finished / "result.json")
    assert (result.tokens.trained, result.tokens.sequences, result.tokens.steps) == (256, 8, 2)
    assert result.tokens.packed == 256  # no more than the budget is packed
    per_token = 6 * result.model.matmul_parameters + 12 * 1 * 32 * 32
    assert result.flops == 256 * per_token
    parts = result.seconds.model_dump()
    total = parts.pop("total")
    assert all(value > 0 for value in parts.values())
    assert sum(parts.values()) < total
    assert 0 <= result.data_wait_seconds <= result.seconds.train
    assert result.peak_rss_bytes > 50e6
    assert result.device.threads >= 1
    assert {"torch", "transformers", "tokenizers", "curation"} <= set(result.versions)


def test_smaller_budgets_and_unique_tokens_read_a_prefix(dataset, finished, tmp_path):
    """Across seeds of weights and order, and with repeats: one stream, cut at other places."""
    longest = TokenStream(finished / "tokens")
    cases = [
        {"token_budget": 96},
        {"token_budget": 512, "unique_tokens": 160},
        {"token_budget": 131, "unique_tokens": 1000},
    ]
    for number, data in enumerate(cases):
        seeds = {"init": number, "order": 40 + number, "sampling": 3}
        result = run_micro(dataset, tmp_path / str(number), data=data, seed=seeds)
        stream = TokenStream(tmp_path / str(number) / "tokens")
        expected = min(data["token_budget"], data.get("unique_tokens", 10**9))
        assert len(stream) == result.tokens.packed == expected
        assert stream.read(0, expected).tolist() == longest.read(0, expected).tolist()
        assert result.tokens.trained == data["token_budget"] // 32 * 32
        assert result.tokens.unique == expected // 32 * 32
        assert result.tokens.epochs == pytest.approx(result.tokens.trained / result.tokens.unique)


def test_presented_bytes_count_repeats(dataset, tmp_path):
    data = {"token_budget": 1280, "unique_tokens": 640}
    tokens = run_micro(dataset, tmp_path, data=data).tokens
    assert tokens.presented_bytes == 2 * tokens.text_bytes
    packed = TokenStream(tmp_path / "tokens").map.column("text_bytes").to_pylist()
    assert tokens.text_bytes == sum(packed)


def test_result_times_steps_and_waits_and_counts_processor_time(dataset, tmp_path):
    result = run_micro(dataset, tmp_path, data={"token_budget": 32 * 4 * 30})
    assert (result.steps.timed, result.steps.skipped) == (20, 10)
    assert 0 < result.steps.seconds < result.seconds.train
    assert 0 <= result.data_wait.share < 1
    assert 0 < result.data_wait.seconds <= result.data_wait_seconds
    assert result.steps.tokens_per_second > 0
    assert result.cpu_seconds > 0
    assert (result.mfu, result.peak_flops, result.communication) == (None, None, None)


def test_batch_follows_from_the_model_and_is_recorded(dataset, tmp_path):
    result = run_micro(dataset, tmp_path, training={"batch_size": "auto"})
    assert (result.batch.sequences, result.batch.tokens) == (16, 512)
    assert result.batch.rule.startswith("auto, from ")
    assert result.tokens.steps == 1


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_partial_training_changes_the_last_layers_alone(dataset, tmp_path, precision):
    training = {"last_layers": 1, "precision": precision}
    result = run_micro(dataset, tmp_path, model={"depth": 2}, training=training)
    job = micro_job(model={"depth": 2})
    fresh = make_model(job, load_tokenizer(tmp_path / "model")).state_dict()
    trained = load_file(tmp_path / "model" / "model.safetensors")
    moved = {name for name, weight in trained.items() if not torch.equal(weight, fresh[name])}
    assert moved
    assert all(".layers.1." in name or name == "model.norm.weight" for name in moved)
    assert result.device.precision == precision
    assert result.flops < result.flop_counts.matmul


def test_loss_of_new_weights_is_that_of_a_uniform_guess(finished):
    first = read_result(finished / "result.json").losses[0]
    assert first.loss == pytest.approx(math.log(300), rel=0.02)


def test_bits_per_byte_are_the_sums_of_the_documents(finished):
    scores = read_result(finished / "result.json").bits_per_byte
    table = pq.read_table(finished / "held_out.parquet").to_pydict()
    assert scores.documents == len(table["doc_id"]) == 7
    assert scores.before == pytest.approx(sum(table["bits_before"]) / sum(table["bytes"]))
    assert scores.after == pytest.approx(sum(table["bits_after"]) / sum(table["bytes"]))
    assert set(scores.by_source) == {"web", "books"}


@pytest.mark.slow
def test_longer_training_lowers_held_out_bits(dataset, tmp_path):
    data, training = {"token_budget": 32 * 200}, {"learning_rate": 1e-2}
    scores = run_micro(dataset, tmp_path, data=data, training=training).bits_per_byte
    assert scores.after < 0.8 * scores.before


def test_same_job_twice_gives_the_same_bytes(dataset, finished, tmp_path):
    again = run_micro(dataset, tmp_path)
    first = read_result(finished / "result.json")
    assert again.losses == first.losses
    assert again.bits_per_byte == first.bits_per_byte
    for name in ("model/model.safetensors", "model/tokenizer.json", "tokens/tokens-00000.npy"):
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes()


def test_number_of_shards_does_not_matter(finished, tmp_path):
    texts = sentences(67)
    other = write_dataset(tmp_path / "data", texts[:60], texts[60:], shards=5)
    losses = run_micro(other, tmp_path / "out").losses
    assert losses == read_result(finished / "result.json").losses


@pytest.mark.parametrize("seed", ["init", "order", "sampling"])
def test_each_seed_moves_the_losses(dataset, finished, tmp_path, seed):
    seeds = {"init": 3, "order": 3, "sampling": 3, seed: 4}
    losses = run_micro(dataset, tmp_path, seed=seeds).losses
    assert losses != read_result(finished / "result.json").losses


def test_saved_model_loads_and_is_the_trained_one(finished):
    model = AutoModelForCausalLM.from_pretrained(finished / "model")
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    ids = model.generate(**tokenizer("the model", return_tensors="pt"), max_new_tokens=4)
    assert ids.shape[1] <= 4 + len(tokenizer("the model")["input_ids"])
    weights = load_file(finished / "model" / "model.safetensors")
    assert weights["model.embed_tokens.weight"].shape == (300, 32)


def test_training_goes_on_from_a_finished_model(dataset, finished, tmp_path):
    model = {"checkpoint": str(finished / "model"), "depth": None, "width": None}
    tokenizer = {"kind": "checkpoint", "vocab_size": 4096}
    result = run_micro(dataset, tmp_path, model=model, tokenizer=tokenizer)
    before = read_result(finished / "result.json").bits_per_byte.after
    assert result.bits_per_byte.before == pytest.approx(before, rel=1e-6)


def test_training_sequence_leads_back_to_its_documents(dataset, finished):
    stream = TokenStream(finished / "tokens")
    tokenizer = AutoTokenizer.from_pretrained(finished / "model")
    text = tokenizer.decode(stream.read(32, 64).tolist())
    ids = stream.documents(32, 64)
    assert ids
    assert set(ids) <= set(stream.map.column("doc_id").to_pylist())
    assert len(ids) == text.count("<|document|>") + (stream.positions(0, 64)[32] != 0)


def test_card_names_corpus_recipe_licences_and_results(finished):
    card = (finished / "model" / "README.md").read_text()
    result = read_result(finished / "result.json")
    for expected in (
        "f" * 64,
        result.corpus.manifest_sha256,
        "small-language",
        "CC0-1.0: 40 documents",
        "not stated: 20 documents",
        f"| all | {result.bits_per_byte.before:.4f} | {result.bits_per_byte.after:.4f} |",
        f"| standard error | {result.bits_per_byte.se_before:.4f} | ",
        "2 of 4 sequences (set)",
        '"kind": "split"',
        result.job_digest,
    ):
        assert expected in card


def test_dataset_without_eval_documents_is_trained_and_says_so(tmp_path):
    dataset = write_dataset(tmp_path / "data", sentences(60))
    result = run_micro(dataset, tmp_path / "out")
    assert result.bits_per_byte is None
    assert result.notes == [NO_EVAL, *few_steps(2)]
    assert not (tmp_path / "out" / "held_out.parquet").exists()
    assert json.loads((tmp_path / "out" / "result.json").read_text())["bits_per_byte"] is None
    assert NO_EVAL in (tmp_path / "out" / "model" / "README.md").read_text()


def test_documents_without_text_are_counted(tmp_path):
    dataset = write_dataset(tmp_path / "data", [*sentences(60), None, ""], sentences(2))
    assert run_micro(
        dataset, tmp_path / "out", data={"token_budget": None, "epochs": 1}
    ).skipped_documents == {"no_text": 2}


def test_eval_cap_takes_the_same_documents_whatever_the_seeds(dataset, tmp_path):
    ids = []
    for seed in (1, 2):
        run_micro(dataset, tmp_path, data={"eval_documents": 3}, seed=seed)
        ids.append(set(pq.read_table(tmp_path / "held_out.parquet")["doc_id"].to_pylist()))
    assert ids[0] == ids[1]
    assert len(ids[0]) == 3


@pytest.mark.parametrize("train", [[], ["", None]])
def test_dataset_without_train_documents_is_refused(tmp_path, train):
    dataset = write_dataset(tmp_path / "data", train, sentences(2))
    with pytest.raises(DataError, match=r"train documents, none with text"):
        run_micro(dataset, tmp_path / "out")


def test_sequence_longer_than_the_corpus_is_refused(tmp_path):
    dataset = write_dataset(tmp_path / "data", sentences(30), sentences(2))
    data = {"sequence_length": 1 << 16, "token_budget": 1 << 17}
    with pytest.raises(RecipeError, match=r"65,536 is longer than the whole packed corpus of \d,"):
        run_micro(dataset, tmp_path / "out", data=data)


def test_tampered_shard_stops_the_run_before_anything_is_made(dataset, tmp_path, monkeypatch):
    data = write_dataset(tmp_path / "data", sentences(60), sentences(2))
    path = prepare_job(micro_job(), data, tmp_path / "out")
    shard = data / "shards" / "train-00001-of-00002.arrow"
    content = bytearray(shard.read_bytes())
    content[-100] ^= 1
    shard.write_bytes(content)
    monkeypatch.setattr(run_module, "make_tokenizer", None)  # would fail if it came to that
    with pytest.raises(DataError, match=r"train-00001-of-00002.arrow: sha256 .*the manifest says"):
        run(read_job(path), Progress(None, 0.0))
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"job.json", ".lock"}


def test_failed_run_leaves_the_earlier_result_whole(dataset, tmp_path, monkeypatch):
    run_micro(dataset, tmp_path)
    prepared = read_job(tmp_path / "job.json")

    def stopped(*_arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("curation.finetune.answers.train", stopped)
    with pytest.raises(KeyboardInterrupt):
        run(prepared, Progress(None, 0.0))
    assert finished_result(prepared) is not None
    assert not (tmp_path / ".work").exists()


def test_result_is_gone_before_its_outputs_are_replaced(dataset, tmp_path, monkeypatch):
    run_micro(dataset, tmp_path)

    def full(_path, _model):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(run_module, "write_json", full)
    with pytest.raises(OSError, match="No space left"):
        run_micro(dataset, tmp_path, seed=9)
    assert finished_result(read_job(tmp_path / "job.json")) is None
    assert not (tmp_path / "result.json").exists()


def test_two_runs_cannot_write_to_one_directory(dataset, tmp_path, monkeypatch):
    prepared = read_job(prepare_job(micro_job(), dataset, tmp_path))

    def second_run(*_arguments):
        run(prepared, Progress(None, 0.0))

    monkeypatch.setattr(run_module, "_prepare", second_run)
    with pytest.raises(DataError, match="another training writes there"):
        run(prepared, Progress(None, 0.0))


def test_killed_run_goes_on_from_its_last_state_to_the_same_losses(dataset, tmp_path, monkeypatch):
    tables = {
        "data": {"token_budget": 32 * 4 * 6},
        "training": {"checkpoint_every_steps": 2},
    }
    whole = run_micro(dataset, tmp_path / "whole", **tables)

    def killed_at_step_five(self, args, state, control, **_):
        if state.global_step == 5:
            raise KeyboardInterrupt

    out = tmp_path / "killed"
    with monkeypatch.context() as patch:
        patch.setattr("curation.finetune.train._Reporter.on_step_begin", killed_at_step_five)
        with pytest.raises(KeyboardInterrupt):
            run_micro(dataset, out, **tables)
    result = run_micro(dataset, out, **tables)
    assert result.notes == ["resumed at step 4", *few_steps(6)]
    assert result.losses == whole.losses
    name = Path("model/model.safetensors")
    assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    assert not (out / "checkpoints").exists()
