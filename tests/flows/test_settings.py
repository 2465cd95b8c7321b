"""Which environment Prefect is given; each case in a process of its own that imports no Prefect."""

import json
import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]

PRINT = """
import json, os, sys
from flows.settings import use_prefect
use_prefect()
assert "prefect" not in sys.modules
print(json.dumps(dict(os.environ)))
"""


def environment_after(home: Path, **given: str) -> dict[str, str]:
    """The environment that `use_prefect` leaves to Prefect."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
    for name in ("CURATION_HOME", "XDG_CACHE_HOME", "DO_NOT_TRACK"):
        clean.pop(name, None)
    done = subprocess.run(
        [sys.executable, "-c", PRINT],
        env={**clean, "HOME": str(home), "PYTHONPATH": str(REPOSITORY), **given},
        capture_output=True,
        check=True,
    )
    found: dict[str, str] = json.loads(done.stdout)
    return found


def test_without_a_server_prefect_lives_in_our_cache(tmp_path: Path) -> None:
    found = environment_after(tmp_path)

    home = tmp_path / ".cache" / "curation" / "prefect"
    assert found["PREFECT_HOME"] == str(home)
    assert found["PREFECT_SERVER_DATABASE_CONNECTION_URL"].endswith(f"{home}/prefect.db")
    assert found["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"] == "180"
    assert home.is_dir()
    assert not (tmp_path / ".prefect").exists()


def test_nothing_of_the_users_own_prefect_reaches_the_temporary_server(tmp_path: Path) -> None:
    found = environment_after(
        tmp_path,
        PREFECT_PROFILE="mine",
        PREFECT_HOME=str(tmp_path / "theirs"),
        PREFECT_API_KEY="secret",
        PREFECT_API_DATABASE_CONNECTION_URL="postgresql+asyncpg://theirs/prefect",
        PREFECT_LOGGING_LEVEL="DEBUG",
    )

    assert found["PREFECT_PROFILE"] == "ephemeral"
    assert found["PREFECT_LOGGING_LEVEL"] == "DEBUG"
    assert "theirs" not in json.dumps(found)
    assert "secret" not in json.dumps(found)


def test_nothing_is_reported_to_anyone(tmp_path: Path) -> None:
    for given in ({}, {"PREFECT_API_URL": "http://127.0.0.1:4200/api"}):
        found = environment_after(tmp_path, **given)

        assert found["DO_NOT_TRACK"] == "1"
        assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
        assert found["RAY_USAGE_STATS_ENABLED"] == "0"


def test_a_server_of_the_users_is_left_as_they_set_it(tmp_path: Path) -> None:
    given = {
        "PREFECT_API_URL": "http://127.0.0.1:4200/api",
        "PREFECT_API_KEY": "secret",
        "PREFECT_HOME": str(tmp_path / "theirs"),
        "PREFECT_LOGGING_EXTRA_LOGGERS": "theirs",
    }

    found = environment_after(tmp_path, **given)

    assert {name: found[name] for name in given} == given
    assert not (tmp_path / ".cache").exists()


def test_curation_home_can_be_chosen(tmp_path: Path) -> None:
    chosen = environment_after(tmp_path, CURATION_HOME=str(tmp_path / "here"))
    cache = environment_after(tmp_path, XDG_CACHE_HOME=str(tmp_path / "cache"))

    assert chosen["PREFECT_HOME"] == str(tmp_path / "here" / "prefect")
    assert cache["PREFECT_HOME"] == str(tmp_path / "cache" / "curation" / "prefect")
