"""The three ways to run: by command with a temporary server, and as deployments with workers."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.flows.factory import write_job, write_recipe
from tests.flows.waiting import until

pytestmark = pytest.mark.slow

REPOSITORY = Path(__file__).resolve().parents[2]
PREFECT = Path(sys.executable).with_name("prefect")
COMMAND = [sys.executable, "-m", "flows.cli"]
PROFILE = 'active = "mine"\n\n[profiles.mine]\nPREFECT_API_URL = "http://127.0.0.1:9/api"\n'

INTERRUPTIBLE = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.SIG_DFL)  # in the background of a script it is ignored
os.execvp(sys.argv[1], sys.argv[1:])
"""
LOOPBACK_ONLY = """
import fcntl, os, socket, struct, sys
with socket.socket() as any_socket:
    fcntl.ioctl(any_socket, 0x8914, struct.pack("16sh", b"lo", 0x41))  # up and running
os.execvp(sys.argv[1], sys.argv[1:])
"""


def environment(home: Path, **extra: str) -> dict[str, str]:
    """An environment of a user whose home is `home`."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    kept.pop("XDG_CACHE_HOME", None)
    return {
        **kept,
        "HOME": str(home),
        "CURATION_HOME": str(home / "curation"),
        "PYTHONPATH": str(REPOSITORY),
        **extra,
    }


def without_network() -> list[str]:
    """What to put before a command to take all but the loopback from it; [] if that is denied."""
    if shutil.which("unshare") is None:
        return []
    prefix = ["unshare", "-rn", sys.executable, "-c", LOOPBACK_ONLY]
    allowed = subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0
    return prefix if allowed else []


def servers_of(home: Path) -> list[int]:
    """Processes of temporary servers whose database lies in a home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes()
            variables = (process / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if (
            b"flows.server" in command
            and f"CURATION_HOME={home / 'curation'}".encode() in variables
        ):
            found.append(int(process.name))
    return found


class User(NamedTuple):
    """A home directory with a Prefect profile in use, and a recipe."""

    home: Path
    recipe: Path
    out: Path

    def command(self, *arguments: str) -> list[str]:
        return [*COMMAND, "run", str(self.recipe), "--out", str(self.out), *arguments]


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> User:
    """A user of Prefect, whose own server is down."""
    home = tmp_path_factory.mktemp("home")
    (home / ".prefect").mkdir()
    (home / ".prefect" / "profiles.toml").write_text(PROFILE, encoding="utf-8")
    return User(home, write_recipe(home), home / "out")


def run(user: User, *arguments: str, prefix: list[str] | None = None) -> Any:
    """Runs the command to its end and returns what it printed as JSON."""
    done = subprocess.run(
        [*(prefix or []), *user.command("--json", *arguments)],
        env=environment(user.home, PREFECT_PROFILE="mine"),
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_command_works_offline_and_leaves_the_users_prefect_alone(user: User) -> None:
    printed = run(user, "--workers", "1", prefix=without_network())

    assert printed["manifest"]["totals"]["documents_kept"] == 12
    assert (user.home / ".prefect" / "profiles.toml").read_text(encoding="utf-8") == PROFILE
    assert [path.name for path in (user.home / ".prefect").iterdir()] == ["profiles.toml"]
    assert (user.home / "curation" / "prefect" / "prefect.db").exists()


def test_command_again_reuses_the_dataset_and_leaves_no_server_behind(user: User) -> None:
    manifest = (user.out / "manifest.json").read_bytes()

    run(user)

    assert (user.out / "manifest.json").read_bytes() == manifest
    assert until(lambda: not servers_of(user.home))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_stopped_command_can_be_run_again_and_leaves_no_process(
    user: User, tmp_path: Path, number: signal.Signals
) -> None:
    fresh = user._replace(out=tmp_path / "out")
    process = subprocess.Popen(
        [sys.executable, "-c", INTERRUPTIBLE, *fresh.command("--workers", "1")],
        env=environment(user.home),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    until(lambda: list((fresh.out / "work").glob("0*")) or process.poll() is not None, 200)
    process.send_signal(number)
    _, printed = process.communicate(timeout=60)

    assert process.returncode != 0
    assert "Traceback" not in printed
    if number is signal.SIGINT:
        assert process.returncode == 1
        assert "stopped; what is finished is kept" in printed.splitlines()[-1]
    assert until(lambda: not servers_of(user.home))
    if number is signal.SIGKILL:
        assert run(fresh)["manifest"]["totals"]["documents_kept"] == 12


def test_command_with_a_server_that_is_down_says_so_in_one_line(user: User) -> None:
    done = subprocess.run(
        user.command(),
        env=environment(user.home, PREFECT_API_URL="http://127.0.0.1:9/api"),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert done.returncode == 1
    assert "Prefect server http://127.0.0.1:9/api: does not answer" in done.stderr
    assert "Traceback" not in done.stderr


class Station(NamedTuple):
    """A lasting server with pools, deployments and workers."""

    url: str
    home: Path

    def prefect(self, *arguments: str) -> str:
        done = subprocess.run(
            [str(PREFECT), "--no-prompt", *arguments],
            env=self.environment(),
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=180,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def environment(self) -> Mapping[str, str]:
        return environment(
            self.home,
            PREFECT_API_URL=self.url,
            PREFECT_HOME=str(self.home / "prefect"),
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            DO_NOT_TRACK="1",
            CURATION_ROOT=str(REPOSITORY),
        )

    def ask(self, path: str, question: Mapping[str, Any]) -> Any:
        request = urllib.request.Request(
            f"{self.url}{path}",
            data=json.dumps(question).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def runs(self, flow: str, kinds: tuple[str, ...]) -> list[dict[str, Any]]:
        question = {
            "flows": {"name": {"any_": [flow]}},
            "flow_runs": {"state": {"type": {"any_": list(kinds)}}},
        }
        found: list[dict[str, Any]] = self.ask("/flow_runs/filter", question)
        return found

    def start(self, deployment: str, **parameters: Any) -> None:
        self.prefect("deployment", "run", deployment, "--params", json.dumps(parameters))

    def finished(self, flow: str, count: int) -> list[dict[str, Any]]:
        ended = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")
        runs = until(lambda: [r for r in [self.runs(flow, ended)] if len(r) >= count], 240)[0]
        assert {run["state"]["type"] for run in runs} == {"COMPLETED"}, runs
        return runs


def free_port() -> int:
    with socket.socket() as any_socket:
        any_socket.bind(("127.0.0.1", 0))
        return int(any_socket.getsockname()[1])


@pytest.fixture(scope="module")
def station(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Station]:
    """What docs/prefect.md tells a person to start."""
    home = tmp_path_factory.mktemp("station")
    port = free_port()
    station = Station(f"http://127.0.0.1:{port}/api", home)
    processes = []

    def background(*arguments: str) -> None:
        with open(home / f"{len(processes)}.log", "wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-c", INTERRUPTIBLE, str(PREFECT), *arguments],
                env=station.environment(),
                cwd=home,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        processes.append(process)

    def healthy() -> bool:
        assert processes[0].poll() is None, (home / "0.log").read_text(errors="replace")
        try:
            with urllib.request.urlopen(f"{station.url}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    try:
        background("server", "start", "--host", "127.0.0.1", "--port", str(port))
        until(healthy, 200)
        for pool in ("curation-cpu", "curation-gpu"):
            station.prefect("work-pool", "create", pool, "--type", "process")
        station.prefect("deploy", "--all")
        for pool in ("curation-cpu", "curation-gpu"):
            background("worker", "start", "--pool", pool, "--type", "process", "--limit", "1")
        yield station
    finally:
        for process in reversed(processes):
            stop_session(process)


def stop_session(process: "subprocess.Popen[bytes]") -> None:
    """Ends a process and whatever it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(20)
        except ProcessLookupError:
            break
        except subprocess.TimeoutExpired:
            continue
    process.wait(20)


def test_deployed_curation_runs_on_its_worker_and_trains_nothing(station: Station) -> None:
    recipe = write_recipe(station.home)

    station.start(
        "curate/cpu",
        recipe={"path": str(recipe)},
        options={"out": str(station.home / "out"), "workers": 1},
    )

    [run] = station.finished("curate", 1)
    assert run["work_pool_name"] == "curation-cpu"
    assert run["name"] == "tiny"
    assert (station.home / "out" / "manifest.json").exists()
    assert station.ask("/flow_runs/count", {"flows": {"name": {"any_": ["finetune"]}}}) == 0


def test_deployed_chain_hands_over_to_the_gpu_queue_by_event(station: Station) -> None:
    pytest.importorskip("torch", reason="needs: pip install 'curation[finetune]'")
    out = station.home / "chained"

    station.start(
        "curate-and-finetune/cpu",
        recipe={"path": str(write_recipe(station.home))},
        options={"out": str(out), "workers": 1},
        job={"path": str(write_job(station.home))},
    )

    [chain] = station.finished("curate-and-finetune", 1)
    [training] = station.finished("finetune", 1)
    assert chain["work_pool_name"] == "curation-cpu"
    assert training["work_pool_name"] == "curation-gpu"
    assert training["parameters"] == {
        "dataset": str(out),
        "job": {"path": str(station.home / "micro.toml"), "out": str(out / "models" / "micro")},
    }
    result = json.loads((out / "models" / "micro" / "result.json").read_bytes())
    assert result["corpus"]["name"] == "tiny"


def test_server_shows_a_form_for_each_deployment(station: Station) -> None:
    found = station.ask("/deployments/filter", {})

    forms = {d["entrypoint"].partition(":")[2]: d["parameter_openapi_schema"] for d in found}
    assert set(forms) == {"curate_flow", "finetune_flow", "curate_and_finetune"}
    options = forms["curate_flow"]["definitions"]["OptionsParams"]["properties"]
    assert options["runner"]["enum"] == ["local", "dask", "ray"]
    assert options["workers"]["type"] == "integer"
    for model in ("RecipeParams", "OptionsParams", "JobParams"):
        fields = forms["curate_and_finetune"]["definitions"][model]["properties"]
        assert all(field["description"] for field in fields.values())
