"""What the trainer's process sets before torch and transformers are loaded."""

import os

import pytest

from curation.finetune import run as run_module
from curation.finetune.__main__ import _train
from curation.finetune.progress import Progress
from curation.handoff import PreparedJob, prepare_job, read_job
from tests.finetune.factory import micro_job, sentences, write_dataset

NAMES = ("HF_HUB_OFFLINE", "HF_HUB_DISABLE_TELEMETRY", "CUDA_VISIBLE_DEVICES", "OMP_WAIT_POLICY")


@pytest.fixture
def prepared(tmp_path):
    dataset = write_dataset(tmp_path / "data", sentences(3))
    return read_job(prepare_job(micro_job(), dataset, tmp_path / "out"))


def environment_of_run(prepared: PreparedJob, monkeypatch, **given):
    for name in NAMES:
        monkeypatch.setenv(name, given.get(name, ""))  # restored at the end, whatever is set now
        if name not in given:
            monkeypatch.delenv(name)
    seen = {}
    monkeypatch.setattr(run_module, "run", lambda *_: seen.update(os.environ))
    _train(prepared, Progress(None, 0.0))
    return seen


def test_job_without_a_hub_checkpoint_is_offline_whatever_the_user_set(prepared, monkeypatch):
    seen = environment_of_run(prepared, monkeypatch, HF_HUB_OFFLINE="0")
    assert (seen["HF_HUB_OFFLINE"], seen["HF_HUB_DISABLE_TELEMETRY"]) == ("1", "1")


def test_job_with_a_hub_checkpoint_may_use_the_network(prepared, monkeypatch):
    model = prepared.job.model.model_copy(update={"checkpoint": "hub:a/b"})
    job = prepared.job.model_copy(update={"model": model})
    seen = environment_of_run(prepared.model_copy(update={"job": job}), monkeypatch)
    assert "HF_HUB_OFFLINE" not in seen


def test_one_process_sees_one_device_of_those_it_may_use(prepared, monkeypatch):
    assert environment_of_run(prepared, monkeypatch)["CUDA_VISIBLE_DEVICES"] == "0"
    seen = environment_of_run(prepared, monkeypatch, CUDA_VISIBLE_DEVICES="3,1")
    assert seen["CUDA_VISIBLE_DEVICES"] == "3"


def test_waiting_threads_sleep_unless_the_user_says_otherwise(prepared, monkeypatch):
    assert environment_of_run(prepared, monkeypatch)["OMP_WAIT_POLICY"] == "PASSIVE"
    seen = environment_of_run(prepared, monkeypatch, OMP_WAIT_POLICY="ACTIVE")
    assert seen["OMP_WAIT_POLICY"] == "ACTIVE"
