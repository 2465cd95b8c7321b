"""A temporary Prefect server: starts with the first flow, ends with the process that wanted it.

Prefect can start one by itself. Ours differs in four ways: it starts while Prefect is still being
imported, it takes a free port instead of guessing one, Ctrl-C in the terminal does not kill it
before the run is recorded, and it ends when its parent does, even by kill -9 (its standard input
closes), so that no server is left behind.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import IO, Any

from curation.children import child_environment
from curation.errors import CurationError
from flows.settings import prefect_home, temporary_environment, use_prefect

STARTUP_SECONDS = 180.0
"""Making a new database takes 12 s on an idle machine, and a minute on a very busy one."""
STOP_SECONDS = 10.0


@contextmanager
def prefect_server() -> Iterator[None]:
    """Provides the flows inside with a server: the user's, or a temporary one.

    May be nested; the outermost starts and stops the temporary server.

    Raises:
        CurationError: The user's server does not answer, or the temporary one does not start.
    """
    url = configured_server()
    if url is not None:
        _check_answers(url)
        yield
        return
    process = _start()
    try:
        use_prefect()
        from prefect.settings import (
            PREFECT_API_URL,
            PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
            temporary_settings,
        )

        url = _wait_until_healthy(process)
        with ExitStack() as stack:
            # The heartbeat serves zombie detection on a lasting server; joining its thread costs
            # up to a second at the end of each flow.
            own = {PREFECT_API_URL: url, PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None}
            stack.enter_context(temporary_settings(own))
            stack.callback(_send_what_is_queued)
            yield
    finally:
        _release(process)


def configured_server() -> str | None:
    """Returns the API URL that flows of this process would talk to now, if one is set."""
    if "prefect" not in sys.modules:
        return os.environ.get("PREFECT_API_URL") or None
    from prefect.settings import PREFECT_API_URL

    url: str | None = PREFECT_API_URL.value()
    return url or None


def _check_answers(url: str) -> None:
    if not _healthy(url, timeout=10.0):
        raise CurationError(
            f"Prefect server {url}: does not answer; start it (prefect server start), or unset "
            "PREFECT_API_URL to run on a temporary server, or use --no-prefect"
        )


def _healthy(url: str, timeout: float) -> bool:
    request = urllib.request.Request(f"{url}/health")  # noqa: S310 - http by construction
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except urllib.error.HTTPError as error:
        return error.code in (401, 403)  # it answers; whether the key fits is Prefect's to say
    except (OSError, ValueError):
        return False


def _start() -> "subprocess.Popen[bytes]":
    prefect_home().mkdir(parents=True, exist_ok=True)
    with open(prefect_home() / "server.log", "wb") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.server"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd=prefect_home(),  # a prefect.toml or .env of the current directory is not ours
            env=child_environment(temporary_environment()),
            start_new_session=True,
        )


def _wait_until_healthy(process: "subprocess.Popen[bytes]") -> str:
    assert process.stdout is not None
    port = process.stdout.readline().strip().decode()
    deadline = time.monotonic() + STARTUP_SECONDS
    while port and process.poll() is None and time.monotonic() < deadline:
        url = f"http://127.0.0.1:{port}/api"
        if _healthy(url, timeout=5.0):
            return url
        time.sleep(0.05)
    raise CurationError(
        f"temporary Prefect server: did not start within {STARTUP_SECONDS:.0f} s; "
        f"see {prefect_home() / 'server.log'}, or use --no-prefect"
    )


def _send_what_is_queued() -> None:
    from prefect.events.worker import EventsWorker
    from prefect.logging.handlers import APILogHandler

    APILogHandler().flush()
    EventsWorker.drain_all(timeout=5)


def _release(process: "subprocess.Popen[bytes]") -> None:
    """Lets the server go: it writes down what it has received (2 to 5 s), and ends unwaited for."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    process.stdout.close()
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind


def main() -> None:
    """Serves the API on a free port, printed to standard output, until standard input closes."""
    import socket

    import uvicorn

    port_line = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # nothing that a library prints may pass for the port
    with socket.socket() as listening, open("server.lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two servers that migrate one new database both fail
        from prefect.server.api.server import create_app

        listening.bind(("127.0.0.1", 0))
        app = create_app(ephemeral=True, final=True)
        config = uvicorn.Config(app, log_level="critical", timeout_graceful_shutdown=3)
        server = uvicorn.Server(config)
        for watch in (_end_with_parent, _unlock_when_started):
            threading.Thread(target=watch, args=(server, lock), daemon=True).start()
        port_line.write(f"{listening.getsockname()[1]}\n")
        port_line.close()
        server.run(sockets=[listening])


def _end_with_parent(server: Any, _: IO[str]) -> None:
    sys.stdin.buffer.read()
    server.should_exit = True
    time.sleep(STOP_SECONDS)
    os._exit(1)


def _unlock_when_started(server: Any, lock: IO[str]) -> None:
    while not server.started:
        time.sleep(0.05)
    fcntl.flock(lock, fcntl.LOCK_UN)


if __name__ == "__main__":
    main()
