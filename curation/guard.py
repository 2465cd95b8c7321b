"""Runs a function on one document at a time in a child process that is killed at its limits.

Native code that loops without returning holds the interpreter's lock: no thread and no Python
signal handler can stop it. So the function runs in a child, and the child arms kernel timers whose
default action ends it. That needs nobody's help: a child that lost its parent dies at the same
limits, and an idle one leaves when the pipe that it reads from closes.

The criterion is CPU time, so that a busy machine does not change what times out; the kernel
samples it, and may be off by some 0.04 seconds. A wall-clock limit, far above it, ends a function
that sleeps.

    parent  --  length, bytes                              -->  child
            <--  status, length, CPU seconds so far, bytes  --
"""

# ruff: noqa: N818 - the four kinds of GuardError read better without the word twice

import contextlib
import functools
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import IO, NamedTuple, Self

from curation.errors import CurationError

BytesFunction = Callable[[bytes], bytes]

_REQUEST = struct.Struct("<Q")
_REPLY = struct.Struct("<BQd")
_DONE, _RAISED = 0, 1
_OUT_OF_MEMORY = 75
"""Exit code of a child that met its memory limit; from sysexits.h, "temporary failure"."""
_PIPE_BYTES = 1 << 20
_BUFFER_BYTES = 1 << 16


class GuardError(Exception):
    """The function gave no answer for one document; `code` is short and stable."""

    code = "failed"


class GuardTimeout(GuardError):
    """The CPU limit or the wall-clock limit was reached; the child was killed."""

    code = "timeout"


class GuardCrash(GuardError):
    """The child died: a segmentation fault, or a kill from outside."""

    code = "crash"


class GuardMemory(GuardError):
    """The memory limit was reached."""

    code = "memory"


class GuardFailure(GuardError):
    """The function raised a Python exception; `code` is the exception's type name."""

    def __init__(self, type_name: str, message: str) -> None:
        super().__init__(f"{type_name}: {message}")
        self.code = type_name


class Limits(NamedTuple):
    """What one call may use up."""

    cpu_seconds: float = 5.0
    wall_seconds: float | None = None
    """Default: ten times the CPU seconds, plus five."""
    memory_bytes: int | None = None
    """Address space of the child, its interpreter included; None is no limit. Linux only."""

    @property
    def wall(self) -> float:
        """Wall-clock seconds for one call."""
        return self.cpu_seconds * 10 + 5 if self.wall_seconds is None else self.wall_seconds


class _Meter:
    """Adds up CPU seconds; each child's meter passes on what is new to the process's."""

    total = 0.0
    lock = threading.Lock()

    def __init__(self) -> None:
        self.seen = 0.0

    def read(self, seconds: float) -> None:
        """Takes a child's seconds since its start."""
        with self.lock:
            _Meter.total += max(0.0, seconds - self.seen)
        self.seen = max(self.seen, seconds)


def children_cpu_seconds() -> float:
    """Returns the CPU seconds that the guard children of this process have used so far."""
    return _Meter.total


class Guard:
    """Calls a function of bytes to bytes in a child process, under limits.

    The child starts with the first call, serves any number of them, and is replaced after it was
    killed. One call runs at a time; threads wait for each other. Use it as a context manager or
    call `close`; a forgotten guard is closed when it is collected.

    Examples:
        >>> with Guard("zlib:compress") as guard:
        ...     len(guard(b"a" * 1000)) < 20
        True
    """

    def __init__(
        self, target: str, limits: Limits | None = None, *, imports: tuple[str, ...] = ()
    ) -> None:
        """Takes the function's name; nothing is imported or started yet.

        Args:
            target: "package.module:function", importable by a new interpreter. Its module should
                be light, because the child waits for it at every start.
            limits: What one call may use up.
            imports: Modules that the function will import: the child does so when it starts, so
                that no document pays for it with its time.
        """
        self.target, self.imports = target, imports
        self.limits = limits or Limits()
        self._child: _Child | None = None
        self._lock = threading.Lock()

    def __call__(self, payload: bytes | memoryview) -> bytes:
        """Returns the function's result for one document.

        A child that died of anything but its CPU limit is replaced and asked once more: a crash
        may come from what earlier documents left behind or from outside (a machine that slept,
        another process that took the memory), and a document's result must not depend on that.

        Raises:
            GuardTimeout: The function used more than its time.
            GuardCrash: It died, twice.
            GuardMemory: It needed more memory than allowed, twice.
            GuardFailure: It raised an exception.
            CurationError: The child could not start, or could not import the function.
        """
        with self._lock:
            try:
                return self._call(payload)
            except _Death:
                pass
            try:
                return self._call(payload)
            except _Death as death:
                raise self._verdict(death.exit_code) from None

    def _call(self, payload: bytes | memoryview) -> bytes:
        if self._child is None:
            self._child = _start(self)
        child = self._child
        try:
            return child.call(payload)
        except EOFError:
            self._discard()
            if child.exit_code == -signal.SIGPROF:
                raise GuardTimeout(f"more than {self.limits.cpu_seconds:g} CPU seconds") from None
            raise _Death(child.exit_code) from None
        except GuardError:
            raise
        except BaseException:  # an interrupted call leaves half a frame in the pipes
            self._discard()
            raise

    def _verdict(self, exit_code: int) -> GuardError:
        if exit_code == -signal.SIGALRM:
            return GuardTimeout(f"more than {self.limits.wall:g} seconds")
        if exit_code == _OUT_OF_MEMORY:
            return GuardMemory(f"more than {self.limits.memory_bytes} bytes of memory")
        return GuardCrash(f"the child died with exit code {exit_code}")

    def _discard(self) -> None:
        if self._child is not None:
            self._child.end()
            self._child = None

    def close(self) -> None:
        """Ends the child; a later call starts another."""
        with self._lock:
            self._discard()

    def __enter__(self) -> Self:
        """Returns the guard itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the child."""
        self.close()


class _Death(Exception):
    """The child died of something that may not be this document's fault."""

    def __init__(self, exit_code: int) -> None:
        super().__init__(exit_code)
        self.exit_code = exit_code


class _Child:
    """The parent's view of one child process."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self.stdin, self.stdout = process.stdin, process.stdout
        self.process, self.meter = process, _Meter()
        self.end = weakref.finalize(self, _end, process, self.meter)

    @property
    def exit_code(self) -> int:
        """How it ended; negative: the signal that killed it."""
        return self.process.wait()

    def call(self, payload: bytes | memoryview) -> bytes:
        """Sends one document and returns the result; EOFError when the child died."""
        with contextlib.suppress(BrokenPipeError):  # then reading meets the end, too
            _send(self.stdin.fileno(), _REQUEST.pack(len(payload)), payload)
        return self.receive()

    def receive(self) -> bytes:
        """Reads one reply."""
        status, length, cpu_seconds = _REPLY.unpack(_read(self.stdout, _REPLY.size))
        data = _read(self.stdout, length)
        self.meter.read(cpu_seconds)
        if status == _RAISED:
            raise GuardFailure(*json.loads(data))
        return data


def _start(guard: Guard) -> _Child:
    try:
        child = _Child(_popen(guard.target, guard.limits, guard.imports))
        child.receive()
    except (EOFError, GuardFailure, OSError) as error:
        reason = f": {error}" if str(error) else ""
        raise CurationError(
            f"guarded function {guard.target}: its process did not start{reason}; expected "
            f"that a new {sys.executable} can import it; install what is missing"
        ) from error
    _widen(child.stdin.fileno(), child.stdout.fileno())
    return child


def _popen(target: str, limits: Limits, imports: tuple[str, ...]) -> "subprocess.Popen[bytes]":
    paths = [os.path.abspath(path) for path in sys.path]  # the child sees the modules that we see
    return subprocess.Popen(  # noqa: S603 - our own interpreter and module
        [sys.executable, "-P", "-m", "curation.guard", target, json.dumps(limits), *imports],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=_BUFFER_BYTES,
        # A fixed hash seed: what iterates over a set gives the same text in every child.
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "PYTHONHASHSEED": "0"},
    )


def _widen(*pipes: int) -> None:
    """Lets a whole page fit into a pipe, so that a call costs two switches; Linux only."""
    if sys.platform == "linux":
        import fcntl

        for pipe in pipes:
            with contextlib.suppress(OSError):  # a user's pipe memory is limited, too
                fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)


def _end(process: "subprocess.Popen[bytes]", meter: _Meter) -> None:
    """Kills and reaps a child; one that has died already keeps its own exit code."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()
    with contextlib.suppress(ProcessLookupError, ChildProcessError):
        os.kill(process.pid, signal.SIGKILL)
        # wait4, because Popen.wait does not tell what this one child has used.
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        meter.read(usage.ru_utime + usage.ru_stime)


def _send(pipe: int, head: bytes, body: bytes | memoryview) -> None:
    sent = os.writev(pipe, [head, body])
    rest = memoryview(head + bytes(body) if sent < len(head) else body)
    done = sent if sent < len(head) else sent - len(head)
    while done < len(rest):
        done += os.write(pipe, rest[done:])


def _read(pipe: IO[bytes], size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError
    return data


def _serve(target: str, limits: Limits, imports: Sequence[str]) -> None:
    """Is the child: answers one request after another until its input ends."""
    requests, replies = _private_pipes()
    reply = functools.partial(_reply, replies)
    try:
        for module in imports:
            import_module(module)
        function = _load(target)
    except Exception as error:
        reply(_RAISED, _told(error))
        return
    _limit(limits)
    reply(_DONE, b"")
    while True:
        try:
            (length,) = _REQUEST.unpack(_read(requests, _REQUEST.size))
            payload = _read(requests, length)
        except EOFError:
            return
        reply(*_timed(function, payload, limits))


def _timed(function: BytesFunction, payload: bytes, limits: Limits) -> tuple[int, bytes]:
    """Calls the function between two timers; the default action of their signals is death."""
    signal.setitimer(signal.ITIMER_REAL, limits.wall)
    signal.setitimer(signal.ITIMER_PROF, limits.cpu_seconds)
    try:
        return _DONE, function(payload)
    except MemoryError:
        os._exit(_OUT_OF_MEMORY)  # the next document gets a heap without gaps
    except (Exception, SystemExit) as error:
        return _RAISED, _told(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)


def _told(error: BaseException) -> bytes:
    return json.dumps([type(error).__name__, str(error)]).encode()


def _reply(pipe: int, status: int, data: bytes) -> None:
    try:
        _send(pipe, _REPLY.pack(status, len(data), time.process_time()), data)
    except BrokenPipeError:
        os._exit(0)


def _private_pipes() -> tuple[IO[bytes], int]:
    """Moves the two pipes to numbers of their own; what the function prints goes nowhere."""
    requests, replies = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.dup2(nowhere, 0)
    os.dup2(nowhere, 1)
    return open(requests, "rb", _BUFFER_BYTES), replies


def _load(target: str) -> BytesFunction:
    module, _, name = target.partition(":")
    function: BytesFunction = getattr(import_module(module), name)
    return function


def _limit(limits: Limits) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's; we end with its pipe
    for number in (signal.SIGPROF, signal.SIGALRM):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGPROF, signal.SIGALRM))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a crash is expected, a core file is not
    if limits.memory_bytes is not None:
        _, most = resource.getrlimit(resource.RLIMIT_AS)
        with contextlib.suppress(ValueError, OSError):  # macOS has no such limit
            resource.setrlimit(resource.RLIMIT_AS, (limits.memory_bytes, most))


if __name__ == "__main__":
    _serve(sys.argv[1], Limits(*json.loads(sys.argv[2])), sys.argv[3:])
