"""Runs a recipe on this machine with worker processes and nothing else: no Prefect, no server."""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from curation.errors import CurationError
from curation.manifest import Manifest, Record
from curation.passes import RunOptions, Step
from curation.plan import Plan
from curation.runner import drive, finished, steps
from curation.work import Item
from curation.worker import WorkerPool


class Progress(NamedTuple):
    """What a caller is told: a step begins (record is None), or one of its items is done."""

    step: Step
    item: Item | None = None
    record: Record | None = None


Listener = Callable[[Progress], None]


def run_plan(
    plan: Plan,
    options: RunOptions,
    listen: Listener = lambda _: None,
    pool: WorkerPool | None = None,
) -> Manifest:
    """Makes the dataset of a plan, or returns its manifest at once if it is there and whole.

    Work that an earlier run finished is reused, shard by shard, after its digests were checked.

    Args:
        plan: What to do.
        options: Where and with what.
        listen: Is told of progress.
        pool: Workers that the caller has started already; closed at the end.

    Raises:
        CurationError: With one line that says what to do; finished work is kept.
    """
    with exclusive(options):
        manifest = finished(plan, options)
        if manifest is not None:
            return manifest
        with pool or WorkerPool(options.workers) as workers:

            def execute(step: Step) -> list[Record]:
                listen(Progress(step))
                return run_step(step, workers, listen)

            return drive(steps(plan, options), execute)


def run_step(step: Step, pool: WorkerPool, listen: Listener) -> list[Record]:
    """Runs the items of a step that are not done yet; returns all records in item order."""
    records = {item.name: item.done() for item in step.items}
    for item in step.items:
        found = records[item.name]
        if found is not None:
            listen(Progress(step, item, found))
    waiting = [item for item in step.items if records[item.name] is None]
    made = pool.map(waiting, lambda item, record: listen(Progress(step, item, record)))
    records |= {item.name: record for item, record in zip(waiting, made, strict=True)}
    return [record for item in step.items if (record := records[item.name]) is not None]


def _sweep(options: RunOptions) -> None:
    """Removes what a killed run was writing; nobody else writes there while we hold the lock."""
    for directory in {options.work_directory, options.out / "shards", options.out / "audit"}:
        for path in directory.rglob(".*.tmp"):
            path.unlink(missing_ok=True)


@contextmanager
def exclusive(options: RunOptions) -> Iterator[None]:
    """Holds the dataset directory for one run; the lock goes with the process that holds it."""
    directory = options.work_directory
    directory.mkdir(parents=True, exist_ok=True)
    with open(directory / ".lock", "a+") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise CurationError(
                f"{directory}: another run is using it; wait for it to end, or choose another --out"
            ) from error
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        _sweep(options)
        yield
