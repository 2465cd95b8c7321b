"""Work items as Prefect tasks: one task for each shard of a step, or for a few shards together.

A task costs 4 ms on threads, 100 ms on Dask or Ray, and 20 kB in the server's database, so a step
never becomes more than some tens of tasks. Tasks hold neither data nor results of Prefect's
own: an item's record beside its files is the only cache, and a task says "Reused" where all its
records fit. An error of the user's is a state with one line, not a traceback in three places.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from functools import partial, wraps
from importlib import import_module
from typing import Any, ParamSpec, TypeVar

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.futures import PrefectFuture, as_completed
from prefect.states import Completed, Failed
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from curation.errors import CurationError, RecipeError
from curation.local import Listener, Progress
from curation.manifest import Record
from curation.passes import Step
from curation.work import Item
from curation.worker import WorkerPool
from flows.params import OptionsParams

TASKS_PER_STEP = 64

P = ParamSpec("P")
R = TypeVar("R")
RunItem = Callable[[Item], Record]

LISTENER: ContextVar[Listener] = ContextVar("LISTENER", default=lambda _: None)
"""Who is told of progress in this process, besides the server: the command's progress bars."""


def run_here(item: Item) -> Record:
    """Does the work in this very process: what a worker of Dask or Ray does."""
    return item.done() or item.run()


def run_in_pool(pool: WorkerPool, item: Item) -> Record:
    """Has the work done by a process of our own pool, and waits for it."""
    return item.done() or pool.run(item)


def failing_in_one_line(function: Callable[P, R]) -> Callable[P, R]:
    """Makes a user's error the message of a failed state, instead of a logged traceback.

    Whoever called the flow or task gets the error itself; any other error is a bug and goes on.
    """

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except CurationError as error:
            return Failed(message=str(error), data=error)  # type: ignore[return-value]

    return wrapped


def completed(result: R, *, reused: bool, message: str | None = None) -> R:
    """Returns the final state of a task whose caller gets `result`, which must not be None."""
    name = "Reused" if reused else "Completed"
    return Completed(name=name, message=message, data=result)  # type: ignore[return-value]


class Group:
    """The items of one task. A class without fields, so that Prefect and Dask do not look in.

    They would visit every field of every item in search of futures, and rebuild what they visit.
    """

    def __init__(self, label: str, items: Sequence[Item]) -> None:
        """Takes the name of the task run and what it does, in order."""
        self.label = label
        self.items = items


@task(name="work", task_run_name="{group.label}", cache_policy=NO_CACHE, persist_result=False)
@failing_in_one_line
def work(group: Group, run: RunItem) -> list[Record]:
    """Runs some items one after the other; a failing one does not stop its neighbours.

    Returns:
        The records in item order; the state is `Reused` where all were there.

    Raises:
        CurationError: The first failure.
    """
    records: list[Record] = []
    failure: CurationError | None = None
    for item in group.items:
        try:
            records.append(run(item))
        except CurationError as error:
            failure = failure or error
    if failure is not None:
        raise failure
    reused = sum(record.reused for record in records)
    return completed(
        records, reused=reused == len(records), message=f"{reused} of {len(records)} reused"
    )


def grouped(step: Step, workers: int) -> Iterator[Group]:
    """Cuts a step into tasks: one for each item, or at most 64 (or two for each worker)."""
    count = len(step.items)
    size = -(-count // max(TASKS_PER_STEP, 2 * workers))
    if size <= 1:
        yield from (Group(item.label, [item]) for item in step.items)
        return
    for start in range(0, count, size):
        part = step.items[start : start + size]
        yield Group(f"{step.name} {start + 1}-{start + len(part)} of {count}", part)


class TaskSteps:
    """Executes steps as tasks, and tells listeners as tasks end; made by `open_runner`."""

    def __init__(self, runner: TaskRunner[Any], run: RunItem, workers: int) -> None:
        """Takes the runner of the tasks, what a task calls for each item, and its width."""
        self._runner, self._run, self._workers = runner, run, workers
        self._listeners: list[Listener] = [LISTENER.get()]

    def listen(self, listener: Listener) -> None:
        """Adds a listener; it is called in the flow's thread."""
        self._listeners.append(listener)

    def __call__(self, step: Step) -> list[Record]:
        """Runs a step's items to the end, and returns their records in item order.

        Raises:
            CurationError: Some failed: the first one's error, after all others had their turn.
        """
        self._tell(Progress(step))
        groups = list(grouped(step, self._workers))
        futures = [self._submit(group) for group in groups]
        places = {id(future): place for place, future in enumerate(futures)}
        outcomes: dict[int, list[Record] | Exception] = {}
        for future in as_completed(futures):
            place = places[id(future)]
            outcomes[place] = outcome = _outcome(future, groups[place].label)
            if not isinstance(outcome, Exception):
                for item, record in zip(groups[place].items, outcome, strict=True):
                    self._tell(Progress(step, item, record))
        records: list[Record] = []
        for place in range(len(groups)):
            outcome = outcomes[place]
            if isinstance(outcome, Exception):
                raise outcome
            records.extend(outcome)
        return records

    def _submit(self, group: Group) -> PrefectFuture[Any]:
        parameters = {"group": group, "run": self._run}
        future: PrefectFuture[Any] = self._runner.submit(work, parameters)
        return future

    def _tell(self, progress: Progress) -> None:
        for listener in self._listeners:
            listener(progress)


def _outcome(future: PrefectFuture[Any], label: str) -> list[Record] | Exception:
    """Returns a finished task's records, or what it failed with."""
    try:
        records: list[Record] = future.result()
    except CurationError as error:
        return error
    except Exception as error:
        # A task that ends without a state of ours: its worker was lost, or we have a bug.
        error.add_note(f"in task '{label}'")
        return error
    return records


@contextmanager
def open_runner(options: OptionsParams) -> Iterator[TaskSteps]:
    """Opens what runs the tasks: threads before a pool of processes, or a cluster.

    Raises:
        RecipeError: The runner's package is not installed.
    """
    with ExitStack() as stack:
        runner = stack.enter_context(_task_runner(options))
        run: RunItem = run_here
        if options.runner == "local":
            # Entered last, so closed first: threads that wait for its processes are set free.
            run = partial(run_in_pool, stack.enter_context(WorkerPool(options.workers)))
        yield TaskSteps(runner, run, options.workers)


def _task_runner(options: OptionsParams) -> TaskRunner[Any]:
    if options.runner == "dask":
        return _dask(options)
    if options.runner == "ray":
        return _ray(options)
    if options.cluster:
        raise RecipeError(
            f"cluster {options.cluster}: runner 'local' uses none; choose runner dask or ray"
        )
    return ThreadPoolTaskRunner(max_workers=options.workers)


def _dask(options: OptionsParams) -> TaskRunner[Any]:
    runner = _load("dask", "prefect_dask", "DaskTaskRunner")
    if options.cluster:
        return runner(address=options.cluster)
    local = {
        "n_workers": options.workers,
        "threads_per_worker": 1,
        "processes": True,
        "dashboard_address": None,
        "silence_logs": "CRITICAL",
    }
    return runner(cluster_kwargs=local)


def _ray(options: OptionsParams) -> TaskRunner[Any]:
    runner = _load("ray", "prefect_ray", "RayTaskRunner")
    if options.cluster:
        return runner(address=options.cluster)
    local = {
        "num_cpus": options.workers,
        "include_dashboard": False,
        "log_to_driver": False,
        "logging_level": "ERROR",
    }
    return runner(init_kwargs=local)


def _load(extra: str, module: str, name: str) -> Callable[..., TaskRunner[Any]]:
    try:
        runner: Callable[..., TaskRunner[Any]] = getattr(import_module(module), name)
    except ImportError as error:
        raise RecipeError(
            f"runner {extra}: cannot be imported ({error}); "
            f"run: pip install 'curation[{extra}]', or choose runner local"
        ) from error
    return runner
