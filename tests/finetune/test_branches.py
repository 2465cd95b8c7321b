"""One trunk, several budgets: each branch is, to the bit, the run of that budget alone."""

import json
import time
from pathlib import Path

import pytest

from curation.errors import RecipeError
from curation.finetune.progress import Progress
from curation.finetune.run import run
from curation.handoff import prepare_job, read_job
from curation.job import parse_job
from curation.results import finished_result, read_result
from tests.finetune.factory import micro_job, sentences, write_dataset

STEP = 4 * 32
BUDGETS = (10 * STEP, 20 * STEP)
LONGEST = 40 * STEP
DATA = {"token_budget": LONGEST, "shuffle_tokens": 10 * STEP}
TRAINING = {"schedule": "wsd", "warmup": 2}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    texts = sentences(107)
    return write_dataset(tmp_path_factory.mktemp("dataset") / "dir", texts[:100], texts[100:])


def prepare(dataset, out, budget=LONGEST, branches=(), **data):
    job = micro_job(
        data={**DATA, "token_budget": budget, "branches": list(branches), **data}, training=TRAINING
    )
    return read_job(prepare_job(job, dataset, out))


def train(prepared):
    return run(prepared, Progress(None, time.perf_counter()))


@pytest.fixture(scope="module")
def branched(dataset, tmp_path_factory):
    out = tmp_path_factory.mktemp("branched") / "out"
    train(prepare(dataset, out, branches=BUDGETS))
    return out


def numbers(result):
    """What a law is fitted to, and all that identifies it; no seconds."""
    return (
        result.job_digest, result.tokens, result.bits_per_byte, result.flops, result.flop_counts,
        result.batch, [(p.step, p.loss, p.learning_rate) for p in result.losses][-1],
    )  # fmt: skip


@pytest.mark.parametrize("budget", BUDGETS)
def test_branch_is_the_run_of_its_budget(dataset, branched, tmp_path, budget):
    alone = train(prepare(dataset, tmp_path, budget))
    branch = read_result(branched / "branches" / str(budget) / "result.json")
    assert numbers(branch) == numbers(alone)
    file = Path(branch.bits_per_byte.file)
    bits = (branched / "branches" / str(budget) / file).read_bytes()
    assert bits == (tmp_path / file).read_bytes()


def test_longest_run_is_that_of_its_budget_to_the_last_weight(dataset, branched, tmp_path):
    alone = train(prepare(dataset, tmp_path))
    whole = read_result(branched / "result.json")
    assert numbers(whole)[1:] == numbers(alone)[1:]
    weights = Path("model/model.safetensors")
    assert (branched / weights).read_bytes() == (tmp_path / weights).read_bytes()


def test_shared_part_is_trained_once_and_charged_to_each(branched):
    results = [read_result(branched / "result.json")]
    results += [read_result(branched / path) for path in results[0].branches]
    assert [result.tokens.trained for result in results] == [LONGEST, *BUDGETS]
    longest, short, middle = results
    starts = [next(n for n in r.notes if n.startswith("resumed")) for r in (middle, longest)]
    assert starts == ["resumed at step 8", "resumed at step 16"]
    assert short.steps.timed + short.steps.skipped == 10
    assert middle.steps.timed + middle.steps.skipped == 12
    assert longest.seconds.train > middle.seconds.train > short.seconds.train > 0
    assert longest.cpu_seconds > 0


def test_result_accounts_for_the_files_of_its_branches(branched):
    assert finished_result(read_job(branched / "job.json")) is not None
    result = read_result(branched / "result.json")
    assert {
        f"branches/{b}/{n}" for b in BUDGETS for n in ("result.json", "held_out.parquet")
    } <= set(result.outputs)
    file = branched / "branches" / str(BUDGETS[0]) / "held_out.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-1])
    try:
        assert finished_result(read_job(branched / "job.json")) is None
    finally:
        file.write_bytes(content)
    assert not (branched / "checkpoints").exists()


def test_branches_with_repeats_are_the_runs_of_their_budgets(dataset, tmp_path):
    unique = {"unique_tokens": 10 * STEP}
    both = train(prepare(dataset, tmp_path / "both", 20 * STEP, [10 * STEP], **unique))
    alone = train(prepare(dataset, tmp_path / "alone", 20 * STEP, **unique))
    assert numbers(both)[1:] == numbers(alone)[1:]
    assert both.tokens.epochs == 2


@pytest.mark.parametrize("step", [3, 9, 12, 30])
def test_killed_at_any_place_it_ends_with_the_same_numbers(
    dataset, branched, tmp_path, monkeypatch, step
):
    """Within the trunk, a branch's decay, between branches, and in the last run."""

    def killed(self, args, state, control, **_):
        if state.global_step == step:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("curation.finetune.train._Reporter.on_step_begin", killed)
        with pytest.raises(KeyboardInterrupt):
            train(prepare(dataset, tmp_path, branches=BUDGETS))
    assert not (tmp_path / "result.json").exists()
    train(prepare(dataset, tmp_path, branches=BUDGETS))
    for path in ("result.json", *(f"branches/{budget}/result.json" for budget in BUDGETS)):
        assert numbers(read_result(tmp_path / path)) == numbers(read_result(branched / path))


def test_finished_branch_is_not_trained_again(dataset, tmp_path, monkeypatch):
    def killed(self, args, state, control, **_):
        if state.global_step == 12:
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("curation.finetune.train._Reporter.on_step_begin", killed)
        with pytest.raises(KeyboardInterrupt):
            train(prepare(dataset, tmp_path, branches=BUDGETS))
    (done,) = tmp_path.glob(f"checkpoints/*/branches/{BUDGETS[0]}/result.json")
    written = json.loads(done.read_text())
    train(prepare(dataset, tmp_path, branches=BUDGETS))
    again = json.loads((tmp_path / "branches" / str(BUDGETS[0]) / "result.json").read_text())
    assert again == written  # its seconds too


@pytest.mark.parametrize(
    ("data", "training", "message"),
    [
        ({"branches": [256]}, {}, r"branches need token_budget .* and shuffle_tokens"),
        ({"branches": [256], "shuffle_tokens": 256}, {}, r"need token_budget"),
        ({"branches": [512, 256]}, {}, r"must ascend"),
        ({"branches": [1024]}, {}, r"expected less than token_budget 1024"),
        ({"branches": [300]}, {}, r"300 tokens is not a multiple of shuffle_tokens 256"),
        ({"branches": [0]}, {}, r"greater than or equal to 1"),
        ({"shuffle_tokens": 100}, {}, r"not a multiple of sequence_length 64"),
        ({"branches": [256]}, {"schedule": "cosine"}, r"expected training.schedule 'wsd'"),
        ({"branches": [256]}, {"warmup": 0.1}, r"warmup 0.1, a share .*expected a number of steps"),
        ({"branches": [256]}, {"max_steps": 3}, r"branches and training.max_steps"),
    ],
)
def test_branches_that_would_not_be_runs_of_their_own_are_refused(data, training, message):
    needs = {} if "need" in message else {"token_budget": 1024, "shuffle_tokens": 256}
    raw = {
        "name": "a",
        "data": {"sequence_length": 64, **needs, **data},
        "training": {"schedule": "wsd", "warmup": 0, **training},
    }
    with pytest.raises(RecipeError, match=message):
        parse_job(raw)
