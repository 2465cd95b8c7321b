"""The guard: limits hold against native code, and a death costs one document only."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import CurationError
from curation.guard import (
    Guard,
    GuardCrash,
    GuardFailure,
    GuardMemory,
    GuardTimeout,
    Limits,
    children_cpu_seconds,
)
from tests import guard_targets

TARGETS = "tests.guard_targets"


def make_guard(name: str, **limits: float) -> Guard:
    return Guard(f"{TARGETS}:{name}", Limits(**{"cpu_seconds": 5.0, **limits}))


def is_alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def wait_until(condition, seconds: float = 10.0) -> bool:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


@pytest.fixture(scope="module")
def echo():
    with make_guard("echo") as guard:
        yield guard


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_come_back_as_they_are(echo, data):
    assert echo(data) == data


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 1 << 20, (1 << 20) + 1, 20 << 20])
def test_sizes_around_the_pipes_come_back(echo, size):
    data = os.urandom(size)
    assert echo(memoryview(data)) == data


@pytest.mark.parametrize("name", ["power", "backtrack"])
def test_native_code_that_does_not_return_is_killed_at_the_cpu_limit(name):
    before = children_cpu_seconds()
    with (
        make_guard(name, cpu_seconds=0.2) as guard,
        pytest.raises(GuardTimeout, match=r"0\.2 CPU seconds"),
    ):
        guard(b"")
    assert 0.15 < children_cpu_seconds() - before < 2


def test_a_native_sleep_is_killed_at_the_wall_limit():
    with (
        make_guard("sleep_natively", cpu_seconds=5, wall_seconds=0.2) as guard,
        pytest.raises(GuardTimeout, match=r"0\.2 seconds"),
    ):
        guard(b"")


def test_the_wall_limit_follows_from_the_cpu_limit():
    assert Limits(cpu_seconds=2).wall == 25
    assert Limits(cpu_seconds=2, wall_seconds=3).wall == 3


def test_each_document_has_the_whole_limit():
    with make_guard("burn", cpu_seconds=0.5) as guard:
        assert [guard(b"0.2") for _ in range(4)] == [b"burnt"] * 4


def test_an_idle_child_is_not_killed_by_the_last_call_s_timers():
    with make_guard("process_id", cpu_seconds=0.1, wall_seconds=0.1) as guard:
        first = guard(b"")
        time.sleep(0.2)
        assert guard(b"") == first


def test_after_a_timeout_a_new_child_serves():
    with make_guard("burn", cpu_seconds=0.2) as guard:
        with pytest.raises(GuardTimeout, match="CPU"):
            guard(b"60")
        assert guard(b"0") == b"burnt"


@pytest.mark.parametrize(("name", "code"), [("segfault", -signal.SIGSEGV), ("leave", 3)])
def test_a_death_is_a_crash_with_its_exit_code(name, code):
    with make_guard(name) as guard, pytest.raises(GuardCrash, match=f"exit code {code}$"):
        guard(b"")


def test_a_crash_that_does_not_repeat_is_no_crash(tmp_path):
    with make_guard("segfault_without") as guard:
        assert guard(str(tmp_path / "mark").encode()) == b"there"


def test_a_child_killed_from_outside_between_calls_is_replaced():
    with make_guard("process_id") as guard:
        first = int(guard(b""))
        os.kill(first, signal.SIGKILL)
        second = int(guard(b""))
        assert second != first


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux limits the address space")
def test_memory_beyond_the_limit_is_told_apart():
    with make_guard("allocate", memory_bytes=1 << 28) as guard:
        assert guard(b"1000") == b"1000"
        with pytest.raises(GuardMemory, match="268435456 bytes"):
            guard(str(1 << 29).encode())
        assert guard(b"1000") == b"1000"


def test_an_exception_is_told_by_name_and_the_child_lives_on():
    with make_guard("fail") as guard:
        with pytest.raises(GuardFailure, match="KeyError: 'why'") as caught:
            guard(b"why")
        assert caught.value.code == "KeyError"
        child = guard._child
        with pytest.raises(GuardFailure, match="KeyError: 'again'"):
            guard(b"again")
        assert guard._child is child


def test_a_function_that_exits_fails_only():
    with make_guard("exit_politely") as guard, pytest.raises(GuardFailure, match="SystemExit: bye"):
        guard(b"")


def test_what_the_function_prints_goes_nowhere(capfd):
    with make_guard("chatter") as guard:
        assert [guard(b"x"), guard(b"y")] == [b"in:x", b"in:y"]
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("tests.no_such_module:echo", "No module named 'tests.no_such_module'"),
        (f"{TARGETS}:no_such_function", "no attribute 'no_such_function'"),
    ],
)
def test_a_function_that_cannot_be_imported_is_the_user_s_error(target, reason):
    with Guard(target) as guard, pytest.raises(CurationError, match=reason):
        guard(b"")


def test_imports_are_done_before_the_time_of_the_first_call_begins():
    with Guard("tests.guard_targets:modules", imports=("zipapp", "tests.conftest")) as guard:
        assert {"zipapp", "tests.conftest"} <= set(guard(b"").decode().split())
    with (
        Guard("tests.guard_targets:echo", imports=("no_such_module",)) as guard,
        pytest.raises(CurationError, match="No module named 'no_such_module'"),
    ):
        guard(b"")


def test_the_child_s_hash_seed_is_fixed(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "123")
    with make_guard("environment") as guard:
        assert guard(b"PYTHONHASHSEED") == b"0"


def test_cpu_seconds_of_children_are_counted_once():
    before = children_cpu_seconds()
    with make_guard("burn") as guard:
        guard(b"0.2")
        during = children_cpu_seconds() - before
    after = children_cpu_seconds() - before
    assert 0.2 <= during <= after < during + 0.1


def test_close_ends_the_child_and_a_later_call_starts_another():
    guard = make_guard("process_id")
    first = int(guard(b""))
    guard.close()
    assert not is_alive(first)
    second = int(guard(b""))
    assert second != first
    guard.close()


def test_a_forgotten_guard_is_closed_without_a_warning():
    guard = make_guard("process_id")
    pid = int(guard(b""))
    del guard
    gc.collect()
    assert wait_until(lambda: not is_alive(pid))


def test_an_interrupted_call_leaves_no_half_frame_behind(monkeypatch):
    with make_guard("echo") as guard:
        guard(b"1")
        monkeypatch.setattr(type(guard._child), "receive", _interrupt)
        with pytest.raises(KeyboardInterrupt, match="now"):
            guard(b"2")
        monkeypatch.undo()
        assert guard(b"3") == b"3"


def _interrupt(_: object) -> bytes:
    raise KeyboardInterrupt("now")


def test_threads_take_turns(echo):
    with ThreadPoolExecutor(8) as pool:
        payloads = [str(number).encode() * 1000 for number in range(200)]
        assert list(pool.map(echo, payloads)) == payloads


def test_a_guard_works_in_a_spawned_worker():
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert pool.submit(guard_targets.echo_through_guard, b"x").result() == b"x"


ORPHAN = """
from curation import guard as module
guard = module.Guard("tests.guard_targets:{name}", module.Limits(cpu_seconds=0.5))
guard._child = module._start(guard)
print(guard._child.process.pid, flush=True)
guard(b"")
input()
"""


@pytest.mark.skipif(not os.path.isdir("/proc"), reason="looks for the child in /proc")
@pytest.mark.parametrize("name", ["process_id", "power"])
def test_a_child_whose_parent_was_killed_ends_by_itself(name):
    """An idle child ends at once; a busy one at its limit, with nobody there to kill it."""
    script = ORPHAN.format(name=name)
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        time.sleep(0.1)  # the busy one has begun by then
        assert is_alive(pid)
        parent.kill()
    assert wait_until(lambda: not is_alive(pid))
