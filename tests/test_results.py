"""Starting a run: a child process, its progress, its failures, and finished work reused."""

import json
import os
import subprocess
import sys
import time

import pytest

from curation import results
from curation.errors import CurationError, DataError, RecipeError
from curation.handoff import prepare_job
from curation.results import read_result, run_job
from tests.finetune.factory import micro_job, sentences, write_dataset

CHILD = """
import sys, json
job = json.load(open(sys.argv[-1]))
{body}
"""


@pytest.fixture
def job_json(tmp_path):
    dataset = write_dataset(tmp_path / "data", sentences(60), sentences(4))
    return prepare_job(micro_job(), dataset, tmp_path / "out")


@pytest.fixture
def fake_child(tmp_path, monkeypatch):
    """Replaces the trainer by a few lines of Python, started in the same way."""

    def replace(body):
        script = tmp_path / "child.py"
        script.write_text(CHILD.format(body=body))
        real = subprocess.Popen

        def start(command, **settings):
            return real([sys.executable, str(script), command[-1]], **settings)

        monkeypatch.setattr(results.subprocess, "Popen", start)

    return replace


def test_importing_results_loads_no_torch():
    code = "import curation.results, sys; print([m for m in ('torch', 'transformers', 'tokenizers')"
    code += " if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_missing_trainer_is_told_before_a_child_is_started(job_json, monkeypatch):
    monkeypatch.setattr(results, "library_versions", lambda: {"torch": "not installed"})
    monkeypatch.setattr(results.subprocess, "Popen", None)
    with pytest.raises(RecipeError, match=r"needs torch, .* pip install 'curation\[finetune\]'"):
        run_job(job_json)


def test_error_of_the_child_is_raised_as_its_own_class(job_json, fake_child):
    line = {"event": "error", "kind": "DataError", "message": "shard x: damaged"}
    fake_child(f"print(json.dumps({line!r})); sys.exit(1)")
    with pytest.raises(DataError, match=r"^shard x: damaged$"):
        run_job(job_json)


def test_unknown_failure_gives_the_last_line_and_the_log(job_json, fake_child):
    fake_child("raise MemoryError('no room\\nat all')")
    with pytest.raises(
        CurationError, match=r"exit code 1\): at all; log: .*finetune\.log"
    ) as caught:
        run_job(job_json)
    assert "\n" not in str(caught.value)


def test_killed_child_names_the_signal_and_the_likely_cause(job_json, fake_child):
    fake_child("import os; os.kill(os.getpid(), 9)")
    with pytest.raises(CurationError, match=r"ended by SIGKILL \(SIGKILL is often lack of memory"):
        run_job(job_json)


def test_silent_failure_is_said(job_json, fake_child):
    fake_child("sys.exit(3)")
    with pytest.raises(CurationError, match=r"exit code 3\): it said nothing"):
        run_job(job_json)


def test_progress_lines_are_passed_on_and_noise_is_not(job_json, fake_child):
    fake_child(
        "print('noise'); print('[1]'); print(json.dumps({'event': 'step', 'step': 1}))\n"
        "print(json.dumps({'event': 'phase', 'name': 'save'})); sys.exit(1)"
    )
    seen = []
    with pytest.raises(CurationError, match="exit code 1"):
        run_job(job_json, on_progress=seen.append)
    assert [event["event"] for event in seen] == ["step", "phase"]


def test_child_that_ends_well_without_a_result_is_an_error(job_json, fake_child):
    fake_child("pass")
    with pytest.raises(DataError, match=r"result\.json: no finished run is here"):
        run_job(job_json)


def test_interrupt_ends_the_child(job_json, fake_child, tmp_path):
    fake_child(
        "import os, time\n"
        "print(json.dumps({'event': 'step', 'pid': os.getpid()}), flush=True)\n"
        "time.sleep(60)"
    )
    seen = []

    def interrupt(event):
        seen.append(event["pid"])
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_job(job_json, on_progress=interrupt)
    assert time.monotonic() - begun < 10
    with pytest.raises(ProcessLookupError, match="No such process"):
        os.kill(seen[0], 0)


def test_child_that_ignores_the_first_signal_is_killed(job_json, fake_child, monkeypatch):
    monkeypatch.setattr(results, "GRACE_SECONDS", 0.5)
    fake_child(
        "import signal, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "print(json.dumps({'event': 'step'}), flush=True)\n"
        "time.sleep(60)"
    )

    def interrupt(_event):
        raise KeyboardInterrupt

    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        run_job(job_json, on_progress=interrupt)
    assert time.monotonic() - begun < 10


@pytest.mark.parametrize("content", ["", "{}", "{"])
def test_damaged_result_is_not_read(tmp_path, content):
    path = tmp_path / "result.json"
    path.write_text(content)
    with pytest.raises(DataError, match=r"is not a result\.json"):
        read_result(path)


OLD_RESULT = {
    "name": "demo",
    "job_digest": "d" * 64,
    "corpus": {
        "name": "demo", "version": "1", "fingerprint": "f" * 64, "manifest_sha256": "m" * 64,
        "shards_digest": "s" * 64,
    },
    "model": {
        "origin": "new", "architecture": "LlamaForCausalLM", "layers": 2, "width": 128,
        "vocab_size": 2048, "parameters": 656_000, "matmul_parameters": 655_360,
        "block_parameters": 393_216,
    },
    "tokens": {
        "packed": 600_000, "documents": 400, "unique": 599_808, "trained": 599_808,
        "text_bytes": 2_000_000, "sequence_length": 256, "sequences": 2343, "steps": 1172,
        "epochs": 1.0,
    },
    "losses": [{"step": 1, "tokens": 512, "loss": 7.6, "learning_rate": 1e-5}],
    "bits_per_byte": {
        "before": 3.3, "after": 2.6, "documents": 100, "bytes": 400_000,
        "by_source": {"web": [3.3, 2.6]}, "window": 256, "context": 64,
    },
    "flops": 2e12, "evaluation_flops": 1e11, "flops_convention": "6 N D",
    "seconds": {
        "startup": 5, "tokenizer": 1, "tokenize": 1, "evaluate": 2, "train": 40, "save": 1,
        "total": 50,
    },
    "tokens_per_second": 15_000.0, "data_wait_seconds": 0.5, "peak_rss_bytes": 600_000_000,
    "peak_cuda_bytes": None,
    "device": {"kind": "cpu", "name": "EPYC", "count": 1, "threads": 2, "precision": "fp32"},
    "versions": {}, "notes": [], "skipped_documents": {}, "outputs": {},
}  # fmt: skip
"""As version 0.1.0 wrote it, before there was a format number."""


def test_result_of_the_first_format_is_still_read(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps(OLD_RESULT))
    result = read_result(path)
    assert result.format == 1
    assert result.bits_per_byte.file == "evaluation.parquet"
    assert (result.batch, result.flop_counts, result.data_wait, result.cpu_seconds) == (None,) * 4


def test_result_of_a_later_format_is_refused_with_what_to_do(tmp_path):
    path = tmp_path / "result.json"
    path.write_text(json.dumps({**OLD_RESULT, "format": 3}))
    with pytest.raises(DataError, match=r"has format 3, this version reads up to 2; update cur"):
        read_result(path)


@pytest.mark.slow
def test_run_killed_by_the_system_goes_on_to_the_same_numbers(tmp_path):
    """SIGKILL between two logged points: no process had the time to tidy up."""
    dataset = write_dataset(tmp_path / "data", sentences(60), sentences(67)[60:])
    job = micro_job(data={"token_budget": 32 * 4 * 410}, training={"checkpoint_every_steps": 25})
    whole = run_job(prepare_job(job, dataset, tmp_path / "whole"))
    path = prepare_job(job, dataset, tmp_path / "killed")
    child = subprocess.Popen(
        [sys.executable, "-m", "curation.finetune", str(path)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    states = tmp_path / "killed" / "checkpoints"
    while not list(states.glob("*/run/checkpoint-*/spent.json")):
        assert child.poll() is None
        time.sleep(0.01)
    child.kill()
    assert child.wait() == -9
    assert not (tmp_path / "killed" / "result.json").exists()
    result = run_job(path)
    assert any(note.startswith("resumed at step") for note in result.notes)
    assert result.losses == whole.losses
    assert result.bits_per_byte == whole.bits_per_byte
    assert result.tokens == whole.tokens
    weights = "model/model.safetensors"
    assert result.outputs[weights] == whole.outputs[weights]
    assert result.seconds.train < result.seconds.total


@pytest.mark.slow
def test_run_in_a_child_then_reuse_then_force(job_json, tmp_path):
    events = []
    first = run_job(job_json, on_progress=events.append)
    phases = [event["name"] for event in events if event["event"] == "phase"]
    assert phases == ["tokenizer", "tokenize", "evaluate", "train", "evaluate", "save"]
    assert [e["when"] for e in events if e["event"] == "evaluation"] == ["before", "after"]
    assert events[-1]["event"] == "finished"
    assert not first.reused

    begun = time.monotonic()
    second = run_job(job_json, on_progress=events.clear)
    assert second.reused
    assert second.losses == first.losses
    assert time.monotonic() - begun < 2

    forced = run_job(job_json, force=True)
    assert not forced.reused
    assert forced.losses == first.losses


@pytest.mark.slow
def test_job_runs_by_hand_on_a_moved_dataset(job_json, tmp_path, request):
    moved, apart, out = (tmp_path / name for name in ("moved", "moved-apart", "elsewhere"))
    write_dataset(tmp_path / "apart", sentences(67)[60:])
    job = micro_job(data={"held_out": str(tmp_path / "apart")})
    prepare_job(job, tmp_path / "data", tmp_path / "out")
    (tmp_path / "data").rename(moved)
    (tmp_path / "apart").rename(apart)
    command = [sys.executable, "-m", "curation.finetune", str(job_json), "--dataset", str(moved)]
    command += ["--held-out", str(apart), "--out", str(out)]
    root = request.config.rootpath
    run = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert lines[-1] == {"event": "finished", "result": str(out / "result.json")}
    result = read_result(out / "result.json")
    assert (result.name, result.bits_per_byte.documents) == ("micro", 7)


@pytest.mark.slow
def test_interrupted_training_leaves_nothing_that_looks_done(job_json, tmp_path):
    def interrupt(event):
        if event.get("name") == "train":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(job_json, on_progress=interrupt)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {"job.json", "finetune.log", ".lock"}
    assert (tmp_path / "out" / "finetune.log").read_text().startswith("training: stopped")


@pytest.mark.slow
def test_two_processes_give_the_losses_of_one(job_json, tmp_path, request):
    """At the same global batch: the number of devices changes the seconds, not the result."""
    module = ["-m", "curation.finetune", str(job_json)]
    one = [sys.executable, *module, "--out", str(tmp_path / "1")]
    two = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", *module]
    two += ["--out", str(tmp_path / "2")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    for command in (one, two):
        root = request.config.rootpath
        run = subprocess.run(command, cwd=root, env=environment, capture_output=True, check=False)
        assert run.returncode == 0, run.stderr
    results_of = [read_result(tmp_path / name / "result.json") for name in ("1", "2")]
    first, second = ([point.loss for point in result.losses] for result in results_of)
    assert second == pytest.approx(first, rel=1e-5)
    assert [result.device.count for result in results_of] == [1, 2]


@pytest.mark.slow
def test_impossible_job_gives_one_line_and_exit_code_two(tmp_path, request):
    dataset = write_dataset(tmp_path / "data", sentences(10), sentences(2))
    job = micro_job(tokenizer={"vocab_size": 9000})
    path = prepare_job(job, dataset, tmp_path / "out")
    with pytest.raises(RecipeError, match=r"vocab_size 9,000 is too large for this corpus"):
        run_job(path)
    assert (tmp_path / "out" / "finetune.log").read_text().count("\n") == 1
