"""A pool of worker processes that outlive neither their work nor their parent.

Each worker is `python -m curation.worker`, a fresh interpreter (spawned, never forked: Arrow's
threads do not survive a fork, and the caller's `__main__` is not imported again). Items go in by
its standard input and records come back by its standard output. A worker that dies takes only
its item with it; a parent that dies, even by kill -9, closes the pipe, and the worker ends.
"""

import json
import os
import pickle  # our own items, from parent to child only; answers come back as JSON
import queue
import signal
import struct
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from importlib import import_module
from typing import IO, TYPE_CHECKING

from curation import errors
from curation.children import child_environment
from curation.errors import CurationError, DataError

if TYPE_CHECKING:
    from curation.manifest import Record
    from curation.work import Item

_HEADER = struct.Struct(">Q")
_LIMITED = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "ARROW_IO_THREADS")
_AHEAD = ("curation.work", "curation.deciding", "curation.output", "duckdb")


class WorkerPool:
    """Runs items in worker processes; thread-safe, so that task threads can share it."""

    def __init__(self, workers: int) -> None:
        """Starts nothing yet: a worker process starts when an item first needs one."""
        self.workers = workers
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._all: set[_Worker] = set()
        self._lock = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Starts all workers at once: they load what items need while the caller still plans."""
        for _ in range(self.workers):
            self._idle.put(self._idle.get() or self._start())

    def __enter__(self) -> "WorkerPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def run(self, item: "Item") -> "Record":
        """Runs one item in an idle worker; waits for one if all are busy.

        Raises:
            CurationError: What the item raised, or that its worker died.
        """
        worker = self._idle.get()
        try:
            if worker is not None and not worker.alive:
                worker.kill()  # closes its pipes
                worker = None
            worker = worker or self._start()
            return worker.run(item)
        finally:
            self._idle.put(worker)

    def map(
        self, items: Sequence["Item"], finished: Callable[["Item", "Record"], None]
    ) -> "list[Record]":
        """Runs items in all workers and returns their records in item order.

        One failing item does not stop its neighbours; the first failure is raised at the end.
        """

        def one(item: "Item") -> "Record":
            record = self.run(item)
            finished(item, record)
            return record

        with ThreadPoolExecutor(max_workers=self.workers) as threads:
            futures = [threads.submit(one, item) for item in items]
            try:
                failures = [failure for future in futures if (failure := future.exception())]
            except BaseException:
                self.close()
                threads.shutdown(wait=False, cancel_futures=True)
                raise
        if failures:
            raise failures[0]
        return [future.result() for future in futures]

    def close(self) -> None:
        """Kills all workers; what they were doing is done again by the next run."""
        with self._lock:
            self._closed = True
            for worker in self._all:
                worker.kill()
            self._all.clear()

    def _start(self) -> "_Worker":
        with self._lock:
            if self._closed:
                raise DataError("the run was stopped; run again to resume")
            worker = _Worker()
            self._all = {other for other in self._all if other.alive} | {worker}
            return worker


class _Worker:
    """The parent's end of one worker process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "curation.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=child_environment() | dict.fromkeys(_LIMITED, "1"),
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def run(self, item: "Item") -> "Record":
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            _send(self._process.stdin, pickle.dumps(item))
            answer = _receive(self._process.stdout)
        except OSError:
            answer = None
        if answer is None:
            code = self._process.wait()
            raise DataError(
                f"{item.label}: its worker process died ({_cause(code)}); what is finished is "
                "kept: free memory or use fewer --workers, then run again to resume"
            )
        reply = json.loads(answer)
        if "record" in reply:
            return _record(reply["record"])
        kind = getattr(errors, reply["error"], None)
        if kind is None:
            print(reply["traceback"], file=sys.stderr)  # noqa: T201 - a bug, not a user's error
            raise CurationError(f"{item.label}: {reply['error']}: {reply['message']}")
        raise kind(reply["message"])

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except OSError:
                    continue


def _record(values: object) -> "Record":
    from curation.manifest import Record  # late: a pool can start before the caller has loaded it

    return Record.model_validate(values)


def _cause(code: int) -> str:
    return f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"


def _send(stream: IO[bytes], data: bytes) -> None:
    stream.write(_HEADER.pack(len(data)) + data)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    header = stream.read(_HEADER.size)
    if len(header) < _HEADER.size:
        return None
    (length,) = _HEADER.unpack(header)
    data = stream.read(length)
    return data if len(data) == length else None


def _answer(data: bytes) -> dict[str, object]:
    try:
        item: Item = pickle.loads(data)  # noqa: S301 - written by our own parent process
        return {"record": item.run().model_dump(mode="json")}
    except Exception as error:
        message = str(error) if isinstance(error, CurationError) else _os_message(error)
        return {
            "error": "DataError" if isinstance(error, OSError) else type(error).__name__,
            "message": message,
            "traceback": traceback.format_exc(),
        }


def _os_message(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        where = f" ({error.filename})" if error.filename else ""
        return f"{error.strerror}{where}; mend that, then run again to resume"
    return str(error) or type(error).__name__


def _read_items(items: "queue.SimpleQueue[bytes]") -> None:
    """Feeds items to the main thread; ends the process when the parent is gone."""
    while (data := _receive(sys.stdin.buffer)) is not None:
        items.put(data)
    os._exit(0)


def _load_ahead() -> None:
    """Imports what items are made of and runs a first kernel, for which numba loads its types.

    Together they take a second, which is over before an item comes if the pool started early. What
    goes wrong here goes wrong with the first item, too, and is told then.
    """
    with suppress(Exception):
        for module in _AHEAD:
            import_module(module)
        import_module("curation.shuffle").Repeats(1, 1).told(import_module("numpy").zeros(1, "u8"))


class _WithoutPandas:
    """Import hook: Arrow and DuckDB load pandas, in a third of a second, to see what is of it."""

    @staticmethod
    def find_spec(name: str, *_: object) -> None:
        if name == "pandas":
            raise ModuleNotFoundError("worker processes do without it", name=name)


def main() -> None:
    """Serves items until standard input closes."""
    sys.meta_path.insert(0, _WithoutPandas)
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever libraries print must not mix with the replies
    items: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_read_items, args=(items,), daemon=True).start()
    _load_ahead()
    while True:
        _send(replies, json.dumps(_answer(items.get())).encode())


if __name__ == "__main__":
    main()
