"""A study end to end with a trainer that answers by a formula: rows, reuse, failures, caps."""

import pyarrow.parquet as pq
import pytest

from curation.errors import CurationError, DataError, RecipeError
from curation.study.cells import RECORD, TIME_COLUMNS, CellStoppedError
from curation.study.executing import STOP
from curation.study.running import check_some_done, exclusive_study, prepare_study
from curation.study.runs import RUN_COLUMNS, read_runs
from curation.study.spec import load_study
from tests.study.factory import FakeTrainer, run_it, run_one_by_one, use_trainer, write_study

CELLS = 16


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A study that ran once; its datasets need not be made again by each test."""
    directory = tmp_path_factory.mktemp("study")
    path = write_study(directory)
    with pytest.MonkeyPatch.context() as patch:
        trainer = use_trainer(patch, FakeTrainer())
        outcome = run_it(path, directory / "out")
    return path, directory / "out", outcome, trainer


@pytest.fixture
def fresh(made, tmp_path):
    """The same study before any cell ran."""
    import shutil

    path, out, _, _ = made
    shutil.copytree(out, tmp_path / "out", ignore=shutil.ignore_patterns("cells", "*.parquet"))
    for name in ("datasets", "held-out", "work"):
        shutil.rmtree(tmp_path / "out" / name, ignore_errors=True)
        shutil.copytree(out / name, tmp_path / "out" / name)
    return path, tmp_path / "out"


def test_every_cell_is_a_row_of_the_agreed_columns(made):
    _, out, outcome, _ = made
    table = read_runs(out / "runs.parquet")
    assert table.schema.names == RUN_COLUMNS.names
    assert table.num_rows == CELLS == outcome.count("done")
    rows = table.to_pylist()
    assert len({row["cell"] for row in rows}) == CELLS
    for row in rows:
        assert row["loss"] > 1
        assert 0 < row["loss_se"] < 0.1
        assert row["epochs"] == 1
        assert row["batch_tokens"] == 128
        assert 3.0 <= row["train_loss"] <= 3.1
        assert row["dollars_low"] < row["dollars_mid"] < row["dollars_high"]
        assert row["curation_seconds"] > 0
        assert row["fingerprint"]
        assert (out / row["bits_file"]).is_file()


def test_weights_and_packed_tokens_are_not_kept(made):
    _, out, _, _ = made
    assert not list((out / "cells").rglob("weights"))


def test_second_run_trains_nothing_and_gives_the_same_bytes(made, monkeypatch):
    path, out, _, _ = made
    before = (out / "runs.parquet").read_bytes()
    again = use_trainer(monkeypatch, FakeTrainer())
    events = []
    run_it(path, out, listen=events.append)
    assert again.asked == []
    assert all(event.reused for event in events)
    assert (out / "runs.parquet").read_bytes() == before


def test_another_rate_makes_other_cells_and_the_old_ones_are_found_again(fresh, monkeypatch):
    path, out = fresh
    counts = []
    for overrides in ([], ["training.learning_rate=0.001"], []):
        trainer = use_trainer(monkeypatch, FakeTrainer())
        run_it(path, out, overrides)
        counts.append(sum(name.startswith(("good-", "bad-")) for name in trainer.asked))
    assert counts == [CELLS, CELLS, 0]


def test_more_volumes_run_only_what_is_new(fresh, monkeypatch):
    path, out = fresh
    use_trainer(monkeypatch, FakeTrainer())
    run_it(path, out)
    more = use_trainer(monkeypatch, FakeTrainer())
    run_it(path, out, ["grid.tokens=[4096, 8192, 16384, 32768]"])
    assert len(more.asked) == 4
    assert all("-t32768-" in name for name in more.asked)


def test_a_failed_cell_is_a_row_and_is_tried_again(fresh, monkeypatch):
    path, out = fresh
    label = "bad-d1w64-t8192-s2"
    use_trainer(monkeypatch, FakeTrainer(lambda name: "boom\nbang" if name == label else None))
    outcome = run_it(path, out)
    assert (outcome.count("done"), outcome.count("failed")) == (CELLS - 1, 1)
    [row] = [row for row in read_runs(out / "runs.parquet").to_pylist() if row["reason"]]
    assert (row["status"], row["reason"]) == ("failed", "boom bang")
    assert (row["recipe"], row["tokens"], row["seed"]) == ("bad", 8192, 2)
    check_some_done(outcome, "small", out)
    again = use_trainer(monkeypatch, FakeTrainer())
    assert run_it(path, out).count("done") == CELLS
    assert again.asked == [label]


def test_all_cells_failed_is_one_line(fresh, monkeypatch):
    path, out = fresh
    use_trainer(
        monkeypatch,
        FakeTrainer(lambda name: "no room" if name.startswith(("good", "bad")) else None),
    )
    outcome = run_it(path, out)
    with pytest.raises(CurationError, match=r"all 16 cells failed .*: no room; rows are in"):
        check_some_done(outcome, "small", out)
    assert set(read_runs(out / "runs.parquet").column("status").to_pylist()) == {"failed"}


def test_a_damaged_cell_is_run_again(made, monkeypatch):
    path, out, outcome, _ = made
    row = outcome.rows[3]
    (out / row["bits_file"]).write_bytes(b"no longer")
    again = use_trainer(monkeypatch, FakeTrainer())
    assert run_it(path, out).rows[3]["loss"] == row["loss"]
    assert len(again.asked) == 1


def test_stopped_cells_leave_no_record_and_the_rest_is_kept(fresh, monkeypatch):
    path, out = fresh
    use_trainer(monkeypatch, FakeTrainer())
    done = []

    def stopping(event):
        done.append(event)
        if len(done) == 5:
            STOP.flag.set()

    with pytest.raises(CellStoppedError):
        run_it(path, out, listen=stopping)
    assert read_runs(out / "runs.parquet").num_rows == 5
    assert len(list((out / "cells").rglob(RECORD))) == 5
    again = use_trainer(monkeypatch, FakeTrainer())
    assert run_it(path, out).count("done") == CELLS
    assert len(again.asked) == CELLS - 5


def test_any_order_of_ending_gives_the_same_table_but_for_clocks(made, fresh, monkeypatch):
    _, out, _, _ = made
    path, other = fresh
    use_trainer(monkeypatch, FakeTrainer())

    def backwards(waiting, run, width):
        yield from run_one_by_one(waiting[::-1], run, width)

    run_it(path, other, execute=backwards)
    tables = [pq.read_table(where / "runs.parquet").drop(TIME_COLUMNS) for where in (out, other)]
    assert tables[0].equals(tables[1])


def test_minutes_above_the_cap_skip_the_cells_that_are_left(fresh, monkeypatch):
    path, out = fresh
    use_trainer(monkeypatch, FakeTrainer())
    loaded = load_study(path)
    prepared = prepare_study(loaded, out, parallel=1)
    flops = sorted(cast.flops for cast in prepared.plan.forecasts)
    study = loaded.study
    budget = study.budget.model_copy(update={"flops": sum(flops[:3]) * 1.001})
    tight = loaded._replace(study=study.model_copy(update={"budget": budget}))
    from curation.study.running import run_study
    from tests.study.factory import make_dataset

    outcome = run_study(prepared._replace(loaded=tight), make_dataset, run_one_by_one)
    assert outcome.count("done") == 3
    assert outcome.count("skipped") == CELLS - 3
    assert "budget: would take" in outcome.rows[-1]["reason"]


def test_held_out_text_in_a_recipe_is_rejected_by_its_last_stage(made):
    _, _, outcome, _ = made
    for dataset in outcome.datasets:
        assert dataset.manifest.recipe["stages"][-1]["name"] == "held_out"
        assert dataset.leaks == 0


def test_held_out_text_in_a_recipe_is_refused_where_nothing_takes_it_out(tmp_path, monkeypatch):
    path = write_study(tmp_path)
    lines = (tmp_path / "held-out.jsonl").read_text().splitlines(keepends=True)
    with open(tmp_path / "good.jsonl", "a", encoding="utf-8") as file:
        file.writelines(line.replace('"id": "', '"id": "x') for line in lines[:3])
    use_trainer(monkeypatch, FakeTrainer())
    overrides = ["held_out.decontaminate=false", "held_out.max_leak=0.1"]
    with pytest.raises(RecipeError, match=r"recipe good: 3 of 20 held-out documents stand in"):
        run_it(path, tmp_path / "out", overrides)


def test_settings_for_recipes_reach_those_that_have_the_source(tmp_path, monkeypatch):
    path = write_study(tmp_path)
    (tmp_path / "bad.jsonl").rename(tmp_path / "moved.jsonl")
    use_trainer(monkeypatch, FakeTrainer())
    outcome = run_it(path, tmp_path / "out", ['sources.bad.paths=["moved.jsonl"]'])
    assert outcome.count("done") == CELLS
    with pytest.raises(RecipeError, match=r"no recipe of the study has that source; known: bad"):
        run_it(path, tmp_path / "other", ['sources.worse.paths=["moved.jsonl"]'])


def test_a_finished_dataset_can_stand_for_a_recipe(made, tmp_path, monkeypatch):
    path, out, outcome, _ = made
    text = path.read_text().replace(
        'recipe = "bad.toml"', f'dataset = "{out / "datasets" / "bad"}"'
    )
    other = path.with_name("finished.toml")
    other.write_text(text)
    use_trainer(monkeypatch, FakeTrainer())
    again = run_it(other, tmp_path / "out")
    assert [row["loss"] for row in again.rows] == [row["loss"] for row in outcome.rows]
    with pytest.raises(DataError, match="no finished dataset is here"):
        run_it(write_study(tmp_path, text.replace("datasets", "nowhere")), tmp_path / "third")


def test_two_studies_cannot_share_a_directory(tmp_path):
    with (
        exclusive_study(tmp_path),
        pytest.raises(CurationError, match="another study runs there"),
        exclusive_study(tmp_path),
    ):
        pass
