"""The curation flow on a temporary server: states, reuse, artifacts, event, failures."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from curation.errors import CurationError, DriftError, RecipeError
from curation.local import Progress, exclusive
from curation.manifest import read_manifest
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import load_recipe
from flows.artifacts import artifact_key
from flows.curate import curate_flow, run_curation
from flows.params import OptionsParams, RecipeParams
from tests.flows.factory import artifacts, events, task_states, write_recipe

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("server")]


class Made(NamedTuple):
    """A dataset that a flow made, and the final state of its run."""

    recipe: Path
    out: Path
    state: Any

    @property
    def run_id(self) -> Any:
        return self.state.state_details.flow_run_id


def curate(recipe: Path, out: Path, *overrides: str, **options: Any) -> Any:
    """The final state of a curation flow."""
    return curate_flow(
        RecipeParams(path=str(recipe), overrides=list(overrides)),
        OptionsParams(out=str(out), workers=2, **options),
        return_state=True,
    )


@pytest.fixture(scope="module")
def made(server: None, tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A dataset for all tests of this module that leave it whole."""
    directory = tmp_path_factory.mktemp("made")
    recipe = write_recipe(directory, "Shown_Off")
    return Made(recipe, directory / "out", curate(recipe, directory / "out"))


def test_flow_makes_the_dataset_and_returns_a_reference(made: Made) -> None:
    dataset = made.state.result()

    assert (dataset.name, dataset.directory) == ("Shown_Off", str(made.out))
    assert (dataset.documents_in, dataset.documents_kept, dataset.documents_rejected) == (13, 12, 1)
    assert dataset.fingerprint == read_manifest(made.out).fingerprint
    assert not dataset.reused


def test_flow_has_one_task_for_each_shard_of_each_step(made: Made) -> None:
    states = task_states(made.run_id)

    shards = len(make_plan(load_recipe(made.recipe)).shards)
    assert shards > 1
    assert set(states.values()) == {"Completed"}
    assert sum(name.startswith("00-read") for name in states) == shards
    assert sum(name.startswith("audit shard") for name in states) == shards
    assert sum("train-0000" in name for name in states) == 2
    assert {"look for dataset", "layout", "clusters"} <= set(states)


def test_flow_publishes_funnel_card_progress_and_link(made: Made) -> None:
    shown = artifacts(made.run_id)

    assert set(shown) == {
        "progress-shown-off",
        "funnel-shown-off",
        "card-shown-off",
        "outputs-shown-off",
    }
    assert shown["progress-shown-off"].data == 100.0
    assert '"stage": "exact_dedup"' in str(shown["funnel-shown-off"].data)
    assert "1 exact_duplicate" in str(shown["funnel-shown-off"].data)
    assert "# Shown_Off 1" in str(shown["card-shown-off"].data)
    assert made.out.as_uri() in str(shown["outputs-shown-off"].data)


def test_flow_emits_that_the_dataset_is_ready(made: Made) -> None:
    dataset = made.state.result()

    event = events("curation.dataset.ready", "curation.dataset.Shown_Off")[-1]

    assert event["payload"]["directory"] == str(made.out)
    assert event["payload"]["fingerprint"] == dataset.fingerprint
    assert event["payload"]["manifest_sha256"] == dataset.manifest_sha256
    assert event["resource"]["curation.hand-off"] == "none"


def test_second_run_of_a_finished_dataset_is_a_single_reused_task(made: Made) -> None:
    manifest = (made.out / "manifest.json").read_bytes()

    second = curate(made.recipe, made.out)

    assert second.result() == made.state.result().model_copy(update={"reused": True})
    assert (made.out / "manifest.json").read_bytes() == manifest
    assert task_states(second.state_details.flow_run_id) == {"look for dataset": "Reused"}


def test_dask_makes_the_same_bytes_as_the_local_pool(made: Made, tmp_path: Path) -> None:
    pytest.importorskip("prefect_dask", reason="needs: pip install 'curation[dask]'")

    curate(made.recipe, tmp_path / "dask", runner="dask").result()

    assert read_manifest(tmp_path / "dask").shards == read_manifest(made.out).shards


def test_directory_of_another_dataset_is_left_alone(made: Made, tmp_path: Path) -> None:
    state = curate(write_recipe(tmp_path, "another"), made.out)

    with pytest.raises(DriftError, match="holds dataset 'Shown_Off', the recipe makes 'another'"):
        state.result()
    assert read_manifest(made.out).name == "Shown_Off"


def test_directory_in_use_by_another_run_is_refused(made: Made) -> None:
    with exclusive(RunOptions(out=made.out)):
        state = curate(made.recipe, made.out)

    with pytest.raises(CurationError, match="another run is using it"):
        state.result()


def test_run_after_a_shard_was_lost_makes_that_shard_alone(made: Made) -> None:
    lost = made.out / "shards" / "train-00001-of-00002.arrow"
    content = lost.read_bytes()
    lost.unlink()

    state = curate(made.recipe, made.out)

    assert lost.read_bytes() == content
    states = task_states(state.state_details.flow_run_id)
    again = {name for name, state in states.items() if state == "Completed"}
    assert len(again) == 2
    assert "look for dataset" in again
    assert any("train-00001-of-00002" in name for name in again)


def test_recipe_that_cannot_be_used_fails_with_its_one_line(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    state = curate(write_recipe(tmp_path), tmp_path / "out", "stages.exact_dedup.colour=1")

    with pytest.raises(RecipeError, match="unknown setting 'colour'"):
        state.result()
    assert state.is_failed()
    assert "unknown setting 'colour'" in state.message
    assert "Traceback" not in capfd.readouterr().err


def test_command_line_entry_tells_its_listener_and_returns_the_manifest(tmp_path: Path) -> None:
    recipe = write_recipe(tmp_path)
    options = RunOptions(out=tmp_path / "out", workers=1)
    request: Any = SimpleNamespace(
        recipe=recipe,
        overrides=("seed=2",),
        plan=make_plan(load_recipe(recipe, ["seed=2"])),
        options=options,
        runner="local",
        job=None,
    )
    heard: list[Progress] = []

    manifest, result = run_curation(request, heard.append, lambda _: None)

    assert result is None
    assert manifest.recipe["seed"] == 2
    assert [progress.step.name for progress in heard if progress.item is None][-4:] == [
        "layout",
        "write shards",
        "write audit",
        "write clusters",
    ]
    assert sum(progress.record is not None for progress in heard) == sum(
        len(progress.step.items) for progress in heard if progress.item is None
    )


@pytest.mark.parametrize(
    ("name", "key"),
    [("Web 2.0", "funnel-web-2-0"), ("__a--b__", "funnel-a-b"), ("täglich", "funnel-t-glich")],
)
def test_artifact_key_keeps_to_what_the_server_takes(name: str, key: str) -> None:
    assert artifact_key("funnel", name) == key
