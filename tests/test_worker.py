"""The pool of worker processes, without a run around it."""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from curation.errors import CurationError, DataError
from curation.manifest import Record
from curation.work import Item
from curation.worker import WorkerPool
from tests.flows.items import numbers


@dataclass(frozen=True)
class ProcessItem(Item):
    """Says which process it ran in, and whether that holds or can load pandas."""

    def work(self) -> Record:
        import importlib.util
        import sys

        import pyarrow as pa

        pa.array([1])
        try:
            found = importlib.util.find_spec("pandas") is not None
        except ModuleNotFoundError:
            found = False
        return Record(key=f"{os.getpid()} {'pandas' in sys.modules or found}", files={}, stages=[])


@pytest.fixture
def pool() -> Iterator[WorkerPool]:
    with WorkerPool(2) as pool:
        yield pool


def children() -> set[int]:
    """Our child processes that are no zombies."""
    found = set()
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            rest = (directory / "stat").read_text().rpartition(")")[2]
        except OSError:
            continue
        state, parent = rest.split()[:2]
        if int(parent) == os.getpid() and state != "Z":
            found.add(int(directory.name))
    return found


def test_a_started_pool_has_its_workers_before_the_first_item(
    pool: WorkerPool, tmp_path: Path
) -> None:
    before = children()
    pool.start()
    started = children() - before
    assert len(started) == 2
    record = pool.run(ProcessItem("where", tmp_path, "where", "key"))
    assert int(record.key.split()[0]) in started


def test_starting_twice_starts_no_more(pool: WorkerPool) -> None:
    before = children()
    pool.start()
    pool.start()
    assert len(children() - before) == 2


def test_workers_end_with_their_pool(tmp_path: Path) -> None:
    before = children()
    with WorkerPool(2) as pool:
        pool.start()
    assert children() == before
    with pytest.raises(DataError, match="the run was stopped"):
        pool.run(numbers(tmp_path, 1)[0])


def test_a_worker_that_dies_is_replaced(pool: WorkerPool, tmp_path: Path) -> None:
    before = children()
    pool.start()
    for process in children() - before:
        os.kill(process, 9)
    time.sleep(0.1)
    records = pool.map(numbers(tmp_path, 1, 2, 3), lambda *_: None)
    assert [record.files[f"n-{i:03d}.txt"].rows for i, record in enumerate(records)] == [1, 2, 3]


def test_workers_do_without_pandas(pool: WorkerPool, tmp_path: Path) -> None:
    record = pool.run(ProcessItem("where", tmp_path, "where", "key"))
    assert record.key.endswith("False")


def test_one_failing_item_leaves_its_neighbours_alone(pool: WorkerPool, tmp_path: Path) -> None:
    done: list[str] = []
    with pytest.raises(DataError, match="number -1 is negative"):
        pool.map(numbers(tmp_path, 1, -1, 2), lambda item, _: done.append(item.name))
    assert sorted(done) == ["n-000", "n-002"]
    with pytest.raises(CurationError, match="ZeroDivisionError: thirteen"):
        pool.run(numbers(tmp_path, 13)[0])
