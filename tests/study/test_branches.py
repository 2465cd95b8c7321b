"""Cells that differ in tokens alone as one training: the same rows, fewer trainings."""

import pytest

from curation.errors import RecipeError
from curation.handoff import read_job
from curation.study.cells import RECORD, TIME_COLUMNS, CellStoppedError
from curation.study.running import prepare_study
from curation.study.runs import read_runs
from curation.study.spec import load_study
from tests.study.factory import FakeTrainer, run_it, use_trainer, write_study

WSD = ["training.schedule=wsd", "training.warmup=4"]
BRANCHES = [*WSD, "training.branches=true"]
REPEATS = "grid.repeats=[{unique_tokens = 4096, epochs = [2, 4]}]"


@pytest.fixture
def path(tmp_path):
    return write_study(tmp_path)


def cells_asked(trainer):
    return [name for name in trainer.asked if name.startswith(("good-", "bad-"))]


def numbers(out):
    """The rows without clocks, and without what names the job: it shuffles within stretches."""
    left_out = {*TIME_COLUMNS, "cell", "bits_file", "flops"}
    rows = read_runs(out / "runs.parquet").to_pylist()
    return [{name: row[name] for name in row if name not in left_out} for row in rows]


def test_one_training_answers_all_cells_of_a_trunk(path, tmp_path, monkeypatch):
    apart, joined = FakeTrainer(), FakeTrainer()
    use_trainer(monkeypatch, apart)
    run_it(path, tmp_path / "apart", [*WSD, REPEATS])
    use_trainer(monkeypatch, joined)
    outcome = run_it(path, tmp_path / "joined", [*BRANCHES, REPEATS])
    assert numbers(tmp_path / "joined") == numbers(tmp_path / "apart")
    assert (len(outcome.rows), len(cells_asked(apart))) == (24, 24)
    # For each size and recipe: the grid, the second seed, the repeats.
    assert len(cells_asked(joined)) == 2 * 2 * 3
    assert {row["status"] for row in outcome.rows} == {"done"}
    for row in outcome.rows:
        assert (tmp_path / "joined" / row["bits_file"]).is_file()
    assert not list((tmp_path / "joined" / "cells").rglob("branches"))
    again = use_trainer(monkeypatch, FakeTrainer())
    run_it(path, tmp_path / "joined", [*BRANCHES, REPEATS])
    assert again.asked == []


def left_states(job):
    return read_job(job).kept_states.is_dir()


def test_what_a_trunk_came_to_before_it_failed_is_kept(path, tmp_path, monkeypatch):
    label = "bad-d1w64-t16384-s1"
    use_trainer(monkeypatch, FakeTrainer(lambda name: "boom" if name == label else None))
    outcome = run_it(path, tmp_path / "out", BRANCHES)
    failed = [row for row in outcome.rows if row["status"] == "failed"]
    assert [(row["tokens"], row["reason"]) for row in failed] == [(16384, "boom")]
    # The trunk goes on from the states that it left: as the job that it was.
    [trunk] = [job for job in (tmp_path / "out").rglob("trunk.json") if left_states(job)]
    before = trunk.read_bytes()
    again = use_trainer(monkeypatch, FakeTrainer())
    assert run_it(path, tmp_path / "out", BRANCHES).count("done") == 16
    assert again.asked == [label]
    assert trunk.read_bytes() == before
    assert not left_states(trunk)


def test_cells_behind_a_failed_branch_say_why(path, tmp_path, monkeypatch):
    label = "bad-d1w64-t8192-s1"
    use_trainer(monkeypatch, FakeTrainer(lambda name: "boom" if name == label else None))
    outcome = run_it(path, tmp_path / "out", BRANCHES)
    failed = {row["tokens"]: row["reason"] for row in outcome.rows if row["status"] == "failed"}
    assert failed == {8192: "boom", 16384: "boom"}


def test_more_volumes_run_only_what_is_new(path, tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    run_it(path, tmp_path / "out", BRANCHES)
    more = use_trainer(monkeypatch, FakeTrainer())
    outcome = run_it(
        path, tmp_path / "out", [*BRANCHES, "grid.tokens=[4096, 8192, 16384, 32768, 65536]"]
    )
    assert outcome.count("done") == 24
    assert len(cells_asked(more)) == 4
    assert all("-t65536-" in name for name in cells_asked(more))


def test_a_stopped_trunk_leaves_no_half_record(path, tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    run_it(path, tmp_path / "out", BRANCHES, listen=lambda _: None)
    records = sorted((tmp_path / "out" / "cells").rglob(RECORD))
    before = numbers(tmp_path / "out")
    for record in records[:5]:
        record.unlink()

    def stop(name):
        raise CellStoppedError

    use_trainer(monkeypatch, FakeTrainer(stop))
    with pytest.raises(CellStoppedError):
        run_it(path, tmp_path / "out", BRANCHES)
    use_trainer(monkeypatch, FakeTrainer())
    run_it(path, tmp_path / "out", BRANCHES)
    assert numbers(tmp_path / "out") == before


def test_a_cap_leaves_out_a_trunk_with_all_its_cells(path, tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    # The plan holds; what the first trainings take does not leave room for the others.
    monkeypatch.setattr("curation.study.executing._Spending.settle", spend_all)
    caps = ["budget.dollars=0.001", "grid.seeds=[1]"]
    outcome = run_it(path, tmp_path / "out", [*BRANCHES, *caps])
    assert outcome.count("done") == 3
    skipped = [row for row in outcome.rows if row["status"] == "skipped"]
    assert len(skipped) == 9
    assert all("dollars in all, the cap is 0.001" in row["reason"] for row in skipped)


def spend_all(spending, one, seconds):
    spending._seconds += 1e6


def test_the_plan_counts_what_is_shared_once(path, tmp_path, monkeypatch):
    use_trainer(monkeypatch, FakeTrainer())
    seconds = []
    for number, overrides in enumerate((WSD, BRANCHES)):
        loaded = load_study(path, [*overrides, "grid.seeds=[1]"])
        plan = prepare_study(loaded, tmp_path / str(number), parallel=1).plan
        seconds.append(sum(cast.seconds - 3 for cast in plan.forecasts))  # beside the training
    whole, joined = 4096 + 8192 + 16384, (4096 + 8192) / 5 + 16384
    assert seconds[1] / seconds[0] == pytest.approx(joined / whole)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["training.branches=true"], r"branches with schedule 'cosine'.*expected schedule 'wsd'"),
        (
            ["training.branches=true", "training.schedule=wsd"],
            r"branches with warmup 0\.05.*expected a number of steps",
        ),
        (
            [*BRANCHES, "grid.tokens=[4096, 8192, 16064]", "grid.seed_tokens=[8192]"],
            r"greatest common divisor of all token counts is 64.*multiple of batch_tokens 128",
        ),
    ],
)
def test_branches_that_cannot_be_are_one_line(path, overrides, message):
    with pytest.raises(RecipeError, match=message):
        load_study(path, overrides)


@pytest.mark.slow
def test_real_trainings_give_the_number_of_each_cell_alone(path, tmp_path):
    one = [*BRANCHES, "grid.sizes=[{depth = 1, width = 32}]", "grid.seeds=[1]"]
    run_it(path, tmp_path / "joined", one)
    apart = [*one, "grid.tokens=[4096, 8192]", "grid.seed_tokens=[]"]
    run_it(path, tmp_path / "alone", [*apart[:-2], "grid.tokens=[4096]", apart[-1]])
    run_it(path, tmp_path / "alone", apart)  # 8192 is a training of its own now
    joined = {
        row["cell"]: row for row in read_runs(tmp_path / "joined" / "runs.parquet").to_pylist()
    }
    alone = read_runs(tmp_path / "alone" / "runs.parquet").to_pylist()
    assert sorted(row["tokens"] for row in alone) == [4096, 4096, 8192, 8192]
    for row in alone:
        same = joined[row["cell"]]
        left_out = set(TIME_COLUMNS)
        assert {n: same[n] for n in same if n not in left_out} == {
            n: row[n] for n in row if n not in left_out
        }
