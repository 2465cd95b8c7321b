"""The fine-tuning flow and the chain, with a training that takes no time."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextvars import copy_context
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from curation.errors import DataError, RecipeError
from curation.results import RunResult
from flows import finetune
from flows.finetune import curate_and_finetune, finetune_flow, run_finetuning
from flows.params import JobParams, OptionsParams, RecipeParams
from tests.flows.factory import (
    artifacts,
    events,
    fake_run_job,
    task_states,
    write_job,
    write_recipe,
)

pytest.importorskip("torch", reason="needs: pip install 'curation[finetune]'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("server")]


@pytest.fixture(autouse=True)
def quick_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """Trains nothing: what is tested here is the flow."""
    monkeypatch.setattr(finetune, "run_job", fake_run_job)


@pytest.fixture(scope="module")
def dataset(server: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished dataset."""
    from flows.curate import curate_flow

    directory = tmp_path_factory.mktemp("dataset")
    recipe = RecipeParams(path=str(write_recipe(directory)))
    curate_flow(recipe, OptionsParams(out=str(directory / "out"), workers=1))
    return directory / "out"


def train(dataset: Path, job: Path, **options: Any) -> Any:
    """The final state of a fine-tuning flow."""
    return finetune_flow(str(dataset), JobParams(path=str(job), **options), return_state=True)


def chain(tmp_path: Path, **options: Any) -> Any:
    """The final state of a curate-and-finetune flow."""
    return curate_and_finetune(
        RecipeParams(path=str(write_recipe(tmp_path, tmp_path.name.replace("_", "-")))),
        OptionsParams(out=str(tmp_path / "out"), workers=1),
        JobParams(path=str(write_job(tmp_path))),
        return_state=True,
        **options,
    )


def test_flow_returns_where_the_model_lies_and_its_figures(dataset: Path, tmp_path: Path) -> None:
    model = train(dataset, write_job(tmp_path)).result()

    assert model.directory == str(dataset / "models" / "micro")
    assert (model.bits_per_byte_before, model.bits_per_byte_after) == (8.0, 2.5)
    assert (model.tokens_per_second, model.dataset, model.reused) == (4321.0, "tiny", False)


def test_flow_publishes_result_progress_and_link(dataset: Path, tmp_path: Path) -> None:
    state = train(dataset, write_job(tmp_path, "shown"), out=str(tmp_path / "model"))

    shown = artifacts(state.state_details.flow_run_id)
    assert {"result-shown", "model-shown"} <= set(shown)
    assert "| **all** | 8.0000 | 2.5000 |" in str(shown["result-shown"].data)
    assert "4,321 tokens/s" in str(shown["result-shown"].data)
    assert (tmp_path / "model").as_uri() in str(shown["model-shown"].data)
    assert shown["training-shown"].data == 100.0


def test_finished_training_is_a_reused_task(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(job_json: Path, **_: Any) -> RunResult:
        return fake_run_job(job_json).model_copy(update={"reused": True})

    monkeypatch.setattr(finetune, "run_job", found)

    state = train(dataset, write_job(tmp_path, "again"))

    assert state.result().reused
    assert list(task_states(state.state_details.flow_run_id).values()) == ["Reused"]


def test_failed_training_fails_the_flow_with_one_line(
    dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def damaged(job_json: Path, **_: Any) -> RunResult:
        raise DataError("shards/train-00000.arrow: digest differs; run curate again")

    monkeypatch.setattr(finetune, "run_job", damaged)

    state = train(dataset, write_job(tmp_path))

    with pytest.raises(DataError, match="digest differs; run curate again"):
        state.result()
    assert state.message == "shards/train-00000.arrow: digest differs; run curate again"
    assert "Traceback" not in capfd.readouterr().err


def test_missing_dataset_and_wrong_job_are_found_before_training(
    dataset: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError, match=r"no manifest\.json, so no finished dataset is here"):
        train(tmp_path, write_job(tmp_path)).result()
    with pytest.raises(RecipeError, match=r"job .*nothing\.toml: no such file"):
        train(dataset, tmp_path / "nothing.toml").result()


@pytest.fixture
def gpu_limit() -> Iterator[None]:
    """The global limit that a person makes with: prefect gcl create gpu --limit 1."""
    with get_client(sync_client=True) as client:
        limit = {"name": "gpu", "limit": 1, "active": True}
        client.request("POST", "/v2/concurrency_limits/", json=limit)
        yield
        client.request("DELETE", "/v2/concurrency_limits/{id_or_name}", path_params={
            "id_or_name": "gpu",
        })  # fmt: skip


@pytest.mark.usefixtures("gpu_limit")
def test_two_trainings_on_one_gpu_take_turns(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    running, most = [], []

    def slow(
        job_json: Path, *, on_progress: Callable[[Mapping[str, Any]], None] | None = None
    ) -> RunResult:
        running.append(job_json)
        most.append(len(running))
        time.sleep(1.0)
        running.remove(job_json)
        return fake_run_job(job_json, on_progress=on_progress)

    monkeypatch.setattr(finetune, "run_job", slow)
    jobs = [write_job(tmp_path, name) for name in ("first", "second")]
    threads = [  # each in a copy of the context, in which Prefect keeps its settings
        threading.Thread(target=copy_context().run, args=(train, dataset, job)) for job in jobs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)

    assert most == [1, 1]


def test_chain_in_ones_own_terminal_trains_directly(tmp_path: Path) -> None:
    made = chain(tmp_path).result()

    assert made.model.bits_per_byte_after == 2.5
    assert made.model.directory == str(tmp_path / "out" / "models" / "micro")
    [event] = events("curation.dataset.ready", f"curation.dataset.{made.dataset.name}")
    assert event["resource"]["curation.hand-off"] == "none"


def test_chain_with_a_wrong_job_stops_before_the_curation(tmp_path: Path) -> None:
    state = curate_and_finetune(
        RecipeParams(path=str(write_recipe(tmp_path))),
        OptionsParams(out=str(tmp_path / "out")),
        JobParams(path=str(tmp_path / "missing.toml")),
        return_state=True,
    )

    with pytest.raises(RecipeError, match=r"missing\.toml: no such file"):
        state.result()
    assert not (tmp_path / "out").exists()


def test_chain_by_event_without_a_listening_deployment_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="no deployment finetune/gpu to hear it"):
        chain(tmp_path, hand_off="event").result()


@pytest.fixture
def finetune_deployment() -> Iterator[None]:
    """The deployment that hears the event, without a worker."""
    with get_client(sync_client=True) as client:
        flow_id = client.create_flow_from_name("finetune")
        deployment_id = client.create_deployment(flow_id=flow_id, name="gpu")
        yield
        client.delete_deployment(deployment_id)


@pytest.mark.usefixtures("finetune_deployment")
def test_chain_in_a_workers_run_hands_over_by_event(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT__RUNTIME__DEPLOYMENT__ID", "0b0b0b0b-0000-0000-0000-000000000000")

    made = chain(tmp_path).result()

    assert made.model is None
    assert not (tmp_path / "out" / "models").exists()
    [event] = events("curation.dataset.ready", f"curation.dataset.{made.dataset.name}")
    assert event["resource"]["curation.hand-off"] == "finetune"
    assert event["payload"]["job"] == str(tmp_path / "micro.toml")
    assert event["payload"]["model"] == str(tmp_path / "out" / "models" / "micro")


def test_command_line_entry_tells_its_listener_and_returns_the_result(
    dataset: Path, tmp_path: Path
) -> None:
    heard: list[dict[str, Any]] = []

    result = run_finetuning(dataset, write_job(tmp_path), tmp_path / "model", heard.append)

    assert result.bits_per_byte is not None
    assert result.bits_per_byte.after == 2.5
    assert [event["step"] for event in heard] == [1, 2]
