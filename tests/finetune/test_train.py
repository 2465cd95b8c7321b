"""Budgets are exact, batches are the job's, and a diverging loss is said."""

import io
import json
import time

import pytest
import torch

from curation.errors import CurationError, RecipeError
from curation.finetune.device import resolve_precision
from curation.finetune.model import make_model
from curation.finetune.pack import PackedSequences, pack, plan_order
from curation.finetune.progress import Progress
from curation.finetune.train import States, sequences_to_present, train
from tests.finetune.factory import micro_job, sentences
from tests.finetune.test_tokenizer import documents, make


@pytest.fixture(scope="module")
def tokenizer():
    return make()


@pytest.fixture(scope="module")
def stream(tokenizer, tmp_path_factory):
    return pack(tokenizer, documents(sentences(30)), tmp_path_factory.mktemp("pack") / "tokens")


def states_in(directory):
    return States(directory / "run", directory / "trunk")


def train_micro(job, tokenizer, stream, states, lines=None):
    plan = plan_order(len(stream) // 32, sequences_to_present(job, len(stream) // 32), 0)
    sequences = PackedSequences(stream, plan, 32, job.training.batch_size)
    progress = Progress(lines, time.perf_counter())
    return train(job, make_model(job, tokenizer), sequences, states_in(states), progress)


@pytest.mark.parametrize(
    ("data", "training", "expected"),
    [
        ({"token_budget": None}, {}, 10),
        ({"token_budget": None, "epochs": 2.5}, {}, 25),
        ({"token_budget": 32 * 7 + 31}, {}, 7),
        ({"token_budget": 32 * 70}, {}, 70),
        ({"token_budget": None, "epochs": 2}, {"max_steps": 3}, 12),
    ],
)
def test_budget_becomes_whole_sequences(data, training, expected):
    assert sequences_to_present(micro_job(data=data, training=training), 10) == expected


@pytest.mark.parametrize("data", [{"token_budget": 31}, {"token_budget": None, "epochs": 0.01}])
def test_budget_below_one_sequence_is_told(data):
    with pytest.raises(RecipeError, match="holds no whole sequence of 32 tokens"):
        sequences_to_present(micro_job(data=data), 10)


def test_budget_that_fills_no_batch_is_still_presented(tokenizer, stream, tmp_path):
    job = micro_job(data={"token_budget": 32 * 6})
    trained = train_micro(job, tokenizer, stream, tmp_path)
    assert trained.steps == 2
    assert [point.step for point in trained.losses] == [1, 2]


def test_accumulation_leaves_the_result_alone(tokenizer, stream, tmp_path):
    losses = [
        [point.loss for point in train_micro(job, tokenizer, stream, tmp_path).losses]
        for job in (micro_job(), micro_job(training={"gradient_accumulation": 4}))
    ]
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant", "wsd"])
def test_schedules_warm_up_and_end_as_they_say(tokenizer, stream, tmp_path, schedule):
    training = {"schedule": schedule, "warmup": 2, "learning_rate": 1e-3}
    job = micro_job(data={"token_budget": 32 * 40}, training=training)
    rates = [point.learning_rate for point in train_micro(job, tokenizer, stream, tmp_path).losses]
    assert len(rates) == 10
    assert rates[0] < max(rates) == pytest.approx(1e-3)
    assert (rates[-1] == pytest.approx(1e-3)) == (schedule == "constant")
    assert (rates[6] == pytest.approx(1e-3)) == (schedule in ("constant", "wsd"))


def test_progress_lines_tell_step_loss_and_speed(tokenizer, stream, tmp_path):
    lines = io.StringIO()
    train_micro(micro_job(), tokenizer, stream, tmp_path, lines)
    last = json.loads(lines.getvalue().splitlines()[-1])
    assert (last["event"], last["step"], last["total_steps"]) == ("step", 2, 2)
    assert last["loss"] > 0
    assert last["tokens_per_second"] > 0


def test_loss_that_is_not_finite_stops_the_run(tokenizer, stream, tmp_path):
    job = micro_job()
    model = make_model(job, tokenizer)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = float("nan")
    sequences = PackedSequences(stream, plan_order(10, 8, 0), 32, 4)
    with pytest.raises(CurationError, match=r"the loss is nan at step 1; lower .*learning_rate"):
        train(job, model, sequences, states_in(tmp_path), Progress(None, 0.0))


def test_full_device_is_one_line_with_a_remedy(tokenizer, stream, tmp_path, monkeypatch):
    def full(*_arguments, **_settings):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB")

    job = micro_job()
    model = make_model(job, tokenizer)
    monkeypatch.setattr(model, "forward", full)
    sequences = PackedSequences(stream, plan_order(10, 8, 0), 32, 4)
    with pytest.raises(CurationError, match=r"batch_size 4 x sequence_length 32; raise .*accumul"):
        train(job, model, sequences, states_in(tmp_path), Progress(None, 0.0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what happens without CUDA")
def test_precision_without_cuda():
    assert resolve_precision("auto").name == "fp32"
    assert resolve_precision("fp32").autocast is None
    assert resolve_precision("bf16").autocast is torch.bfloat16
    with pytest.raises(RecipeError, match="fp16 needs a CUDA device"):
        resolve_precision("fp16")
