"""Several processes under torchrun: the numbers of one, and no time-out while one works alone."""

import os
import subprocess
import sys
import threading
import time

import pytest

from curation import results
from curation.finetune.ranks import Ranks
from curation.handoff import prepare_job
from curation.results import read_result, run_job
from tests.finetune.factory import micro_job, sentences, write_dataset

SLOW_FIRST_PROCESS = """
import sys, time
from datetime import timedelta
from accelerate import PartialState
from curation.finetune import answers, ranks
from curation.finetune.__main__ import main

real = answers.document_bits

def slow(*arguments):
    time.sleep({seconds} + 3)
    return real(*arguments)

answers.document_bits = slow
ranks.join_processes = lambda: PartialState(
    cpu=True, backend="gloo", timeout=timedelta(seconds={seconds})
)
sys.exit(main([sys.argv[-1]]))
"""


@pytest.fixture
def dataset(tmp_path):
    texts = sentences(67)
    return write_dataset(tmp_path / "data", texts[:60], texts[60:])


@pytest.fixture(autouse=True)
def one_thread(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def one_of_two(*, is_main):
    """One of two processes that can do nothing together."""
    ranks = Ranks.__new__(Ranks)
    ranks.count, ranks.is_main = 2, is_main
    return ranks


def test_waiting_for_the_first_process_is_no_collective_operation(tmp_path):
    mark = tmp_path / "mark"
    first = threading.Timer(0.3, one_of_two(is_main=True).await_main, [mark])
    first.start()
    begun = time.monotonic()
    one_of_two(is_main=False).await_main(mark)
    assert time.monotonic() - begun >= 0.25
    first.join()


def test_torchrun_meets_on_this_machine_alone(tmp_path):
    command = results._command(tmp_path / "job.json", 3)
    assert "--nproc-per-node=3" in command
    assert {"--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"} <= set(command)
    assert "torch.distributed.run" not in results._command(tmp_path / "job.json", 1)


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one_where_no_batch_is_filled(dataset, tmp_path):
    """Five of eight sequences in the last step: one process would read others twice."""
    job = micro_job(
        data={"token_budget": 32 * 21},
        training={"batch_size": 8, "gradient_accumulation": 2, "communication_probe": True},
    )
    runs = []
    for processes in (1, 2):
        path = prepare_job(job, dataset, tmp_path / str(processes))
        runs.append(run_job(path, processes=processes))
    one, two = runs
    assert [r.device.count for r in runs] == [1, 2]
    assert one.tokens == two.tokens
    assert one.tokens.trained == 32 * 21
    assert [p.loss for p in two.losses] == pytest.approx([p.loss for p in one.losses], rel=1e-5)
    assert two.bits_per_byte.after == pytest.approx(one.bits_per_byte.after, rel=1e-5)
    assert one.flop_counts == two.flop_counts
    assert one.communication.note == "one process exchanges nothing"
    assert two.communication.pairs >= 8
    assert two.communication.share is None or two.communication.low > 0
    assert two.cpu_seconds > 0
    assert two.steps.timed + two.steps.skipped == 3

    path = prepare_job(job, dataset, tmp_path / "2")
    assert run_job(path).reused
    assert run_job(path, processes=2).reused
    assert not run_job(path, processes=1).reused


@pytest.mark.slow
def test_first_process_may_score_longer_than_the_time_out(dataset, tmp_path, request):
    path = prepare_job(micro_job(), dataset, tmp_path / "out")
    script = tmp_path / "slow.py"
    script.write_text(SLOW_FIRST_PROCESS.format(seconds=10))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    root = request.config.rootpath
    environment = {**os.environ, "PYTHONPATH": str(root)}
    run = subprocess.run(
        [*command, str(path)], cwd=root, env=environment, capture_output=True, check=False
    )
    assert run.returncode == 0, run.stderr
    assert read_result(tmp_path / "out" / "result.json").seconds.evaluate > 20


@pytest.mark.slow
def test_branches_of_two_processes_are_those_of_one(dataset, tmp_path):
    data = {"token_budget": 1280, "branches": [640], "shuffle_tokens": 640}
    job = micro_job(data=data, training={"schedule": "wsd", "warmup": 1})
    one, two = (
        run_job(prepare_job(job, dataset, tmp_path / str(count)), processes=count)
        for count in (1, 2)
    )
    assert two.bits_per_byte.after == pytest.approx(one.bits_per_byte.after, rel=1e-5)
    first, second = (
        read_result(tmp_path / name / "branches" / "640" / "result.json") for name in "12"
    )
    assert second.bits_per_byte.after == pytest.approx(first.bits_per_byte.after, rel=1e-5)
    assert (first.device.count, second.device.count) == (1, 2)
