"""Steps as Prefect tasks: grouping, states, failures, listeners, runners."""

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect import flow

from curation.errors import CurationError, DataError, RecipeError
from curation.local import Progress
from curation.manifest import Record
from curation.passes import Step
from flows.params import OptionsParams
from flows.tasks import LISTENER, failing_in_one_line, grouped, open_runner
from tests.flows.factory import task_states
from tests.flows.items import numbers

REPOSITORY = Path(__file__).resolve().parents[2]


def run_step(step: Step, tmp_path: Path, **options: Any) -> Any:
    """The final state of a flow of a single step."""
    params = OptionsParams(out=str(tmp_path), **{"workers": 2, **options})

    @flow(name="one-step", persist_result=False)
    @failing_in_one_line
    def one_step() -> list[Record]:
        with open_runner(params) as execute:
            return execute(step)

    return one_step(return_state=True)


@given(count=st.integers(0, 700), workers=st.integers(1, 100))
def test_grouping_any_number_of_items_keeps_all_in_order(count: int, workers: int) -> None:
    step = Step("numbers", numbers(Path("unused"), *range(count)))

    groups = list(grouped(step, workers))

    assert [item for group in groups for item in group.items] == list(step.items)
    assert len(groups) <= max(64, 2 * workers)
    assert len({group.label for group in groups}) == len(groups)
    assert all(group.items for group in groups)


def test_grouping_few_items_names_each_task_by_its_item() -> None:
    step = Step("numbers", numbers(Path("unused"), 1, 2))

    assert [group.label for group in grouped(step, 1)] == [
        "numbers shard 1 of 2",
        "numbers shard 2 of 2",
    ]


def test_grouping_many_items_names_their_range() -> None:
    step = Step("numbers", numbers(Path("unused"), *range(130)))

    assert [group.label for group in grouped(step, 1)][:2] == [
        "numbers 1-3 of 130",
        "numbers 4-6 of 130",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_step_run_twice_reuses_only_what_is_still_whole(tmp_path: Path) -> None:
    step = Step("numbers", numbers(tmp_path, 1, 2, 3))

    first = run_step(step, tmp_path)
    (tmp_path / "n-001.txt").write_text("tampered with", encoding="utf-8")
    second = run_step(step, tmp_path)

    assert [record.files["n-001.txt"].rows for record in first.result()[1:2]] == [2]
    assert [record.reused for record in first.result()] == [False, False, False]
    assert [record.reused for record in second.result()] == [True, False, True]
    assert (tmp_path / "n-001.txt").read_text(encoding="utf-8") == "2"
    assert task_states(second.state_details.flow_run_id) == {
        "numbers shard 1 of 3": "Reused",
        "numbers shard 2 of 3": "Completed",
        "numbers shard 3 of 3": "Reused",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_step_with_bad_shards_finishes_the_others_and_raises_the_first_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    step = Step("numbers", numbers(tmp_path, 1, -2, -3, 4))

    state = run_step(step, tmp_path)

    with pytest.raises(DataError, match=r"shard 2 of 4: number -2 is negative; give 0 or more"):
        state.result()
    assert state.is_failed()
    assert state.message == "numbers shard 2 of 4: number -2 is negative; give 0 or more"
    assert (tmp_path / "n-003.txt").exists()
    assert "Traceback" not in capfd.readouterr().err
    assert task_states(state.state_details.flow_run_id) == {
        "numbers shard 1 of 4": "Completed",
        "numbers shard 2 of 4": "Failed",
        "numbers shard 3 of 4": "Failed",
        "numbers shard 4 of 4": "Completed",
    }


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_group_with_a_bad_shard_still_runs_its_other_shards(tmp_path: Path) -> None:
    values = [-1 if place == 0 else place for place in range(100)]  # 13 is a bug, see below
    values[13] = 0
    step = Step("numbers", numbers(tmp_path, *values))

    state = run_step(step, tmp_path)

    with pytest.raises(DataError, match="shard 1 of 100: number -1 is negative"):
        state.result()
    assert len(list(tmp_path.glob("n-*.txt"))) == 99


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_bug_in_a_worker_process_names_item_and_error(tmp_path: Path) -> None:
    state = run_step(Step("numbers", numbers(tmp_path, 13)), tmp_path)

    with pytest.raises(CurationError, match="numbers shard 1 of 1: ZeroDivisionError: thirteen"):
        state.result()


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_listener_hears_the_step_and_each_item_in_the_flows_thread(tmp_path: Path) -> None:
    import threading

    heard: list[tuple[str | None, int]] = []

    def listen(progress: Progress) -> None:
        heard.append((progress.item and progress.item.name, threading.get_ident()))

    token = LISTENER.set(listen)
    try:
        run_step(Step("numbers", numbers(tmp_path, 5, 6)), tmp_path)
    finally:
        LISTENER.reset(token)

    assert heard[0][0] is None
    assert sorted(name for name, _ in heard if name) == ["n-000", "n-001"]
    assert {thread for _, thread in heard} == {threading.get_ident()}


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_dask_runs_the_same_items_in_its_own_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("prefect_dask", reason="needs: pip install 'curation[dask]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(REPOSITORY)]))
    step = Step("numbers", numbers(tmp_path, 1, -2, 3))

    state = run_step(step, tmp_path, runner="dask")

    with pytest.raises(DataError, match="number -2 is negative"):
        state.result()
    assert sorted(path.name for path in tmp_path.glob("n-*.txt")) == ["n-000.txt", "n-002.txt"]


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_runner_that_is_not_installed_names_the_extra(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "prefect_ray", None)

    state = run_step(Step("numbers", numbers(tmp_path, 1)), tmp_path, runner="ray")

    with pytest.raises(RecipeError, match=r"pip install 'curation\[ray\]', or choose runner local"):
        state.result()


@pytest.mark.slow
@pytest.mark.usefixtures("server")
def test_cluster_address_without_a_cluster_runner_is_refused(tmp_path: Path) -> None:
    step = Step("numbers", numbers(tmp_path, 1))

    state = run_step(step, tmp_path, cluster="tcp://127.0.0.1:1")

    with pytest.raises(RecipeError, match=r"cluster tcp://.*: runner 'local' uses none"):
        state.result()
