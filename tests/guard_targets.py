"""Functions that a guard's child process runs in the tests: light to import, badly behaved."""

import ctypes
import os
import re
import sys
import time


def echo(data: bytes) -> bytes:
    return data


def process_id(_: bytes) -> bytes:
    return str(os.getpid()).encode()


def environment(name: bytes) -> bytes:
    return os.environ.get(name.decode(), "").encode()


def modules(_: bytes) -> bytes:
    return " ".join(sys.modules).encode()


def power(_: bytes) -> bytes:
    """Holds the interpreter's lock in native code for minutes."""
    return str(3 ** (1 << 28)).encode()


def backtrack(_: bytes) -> bytes:
    return str(re.match("(a+)+$", "a" * 60 + "b")).encode()


def sleep_natively(_: bytes) -> bytes:
    """Sleeps with the interpreter's lock held, and uses no CPU time."""
    ctypes.PyDLL(None).sleep(60)
    return b""


def burn(seconds: bytes) -> bytes:
    end = time.process_time() + float(seconds)
    while time.process_time() < end:
        pass
    return b"burnt"


def segfault(_: bytes) -> bytes:
    return ctypes.string_at(0)


def segfault_without(path: bytes) -> bytes:
    """Crashes the first time only."""
    if os.path.exists(path):
        return b"there"
    open(path, "w").close()
    return ctypes.string_at(0)


def leave(_: bytes) -> bytes:
    os._exit(3)


def exit_politely(_: bytes) -> bytes:
    sys.exit("bye")


def allocate(size: bytes) -> bytes:
    return str(len(bytearray(int(size)))).encode()


def chatter(data: bytes) -> bytes:
    sys.stdout.write("to stdout\n")
    sys.stdout.flush()
    sys.stderr.write("to stderr\n")
    os.write(1, b"raw")
    return b"in:" + sys.stdin.read().encode() + data


def fail(message: bytes) -> bytes:
    raise KeyError(message.decode())


def echo_through_guard(data: bytes) -> bytes:
    """Runs in a pool's worker, and starts a guard there."""
    from curation.guard import Guard

    with Guard("tests.guard_targets:echo") as guard:
        return guard(data)
