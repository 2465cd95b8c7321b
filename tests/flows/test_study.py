"""The study flow, with a trainer that answers by a law: a task for each cell that is not done."""

from pathlib import Path
from typing import Any

import pytest

from curation.study import concluding
from curation.study.runs import read_runs
from flows.params import StudyParams
from flows.study import run_study_flow, study_flow
from tests.flows.factory import artifacts, task_states
from tests.study.factory import FakeTrainer, use_trainer, write_study

pytest.importorskip("scipy", reason="needs: pip install 'curation[study]'")
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("server")]

CELLS = 16


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits and pictures have tests of their own."""
    monkeypatch.setattr(concluding, "FEW_DRAWS", 20)
    monkeypatch.setattr(concluding, "write_report", lambda *_: [])


def params(tmp_path: Path, **more: Any) -> StudyParams:
    """A small study that decides nothing."""
    path = write_study(tmp_path)
    overrides = ["illustrative=true"]
    out = str(tmp_path / "out")
    return StudyParams(path=str(path), out=out, overrides=overrides, workers=1, parallel=2, **more)


def test_each_cell_is_a_task_and_a_second_run_has_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = "good-d1w64-t8192-s2"
    use_trainer(monkeypatch, FakeTrainer(lambda name: "boom" if name == failing else None))
    asked = params(tmp_path)
    state = study_flow(asked, return_state=True)
    result = state.result()
    assert (result.done, result.failed, result.skipped) == (CELLS - 1, 1, 0)
    tasks = task_states(state.state_details.flow_run_id)
    assert tasks[failing] == "FailedCell"
    assert sum(name == "Completed" for name in tasks.values()) >= CELLS - 1
    keys = set(artifacts(state.state_details.flow_run_id))
    assert {"study-small", "cells-small", "verdict-small", "study-files-small"} <= keys

    again = use_trainer(monkeypatch, FakeTrainer())
    state = study_flow(asked, return_state=True)
    assert state.result().done == CELLS
    assert again.asked == [failing]
    tasks = task_states(state.state_details.flow_run_id)
    assert [name for name in tasks if name.startswith(("good-", "bad-"))] == [failing]


def test_the_command_is_told_of_each_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use_trainer(monkeypatch, FakeTrainer())
    events: list[Any] = []
    outcome, conclusion = run_study_flow(params(tmp_path), events.append)
    assert [event.done for event in events] == list(range(1, CELLS + 1))
    assert events[-1].seconds_left == 0
    assert outcome.count("done") == CELLS
    assert {one.status for one in conclusion.verdicts} == {"not decided"}
    assert read_runs(tmp_path / "out" / "runs.parquet").num_rows == CELLS


def test_an_error_is_one_line_for_who_called(tmp_path: Path) -> None:
    from curation.errors import RecipeError

    asked = params(tmp_path).model_copy(update={"overrides": ["grid.seds=[1]"]})
    with pytest.raises(RecipeError, match="did you mean 'seeds'"):
        run_study_flow(asked, lambda _: None)
