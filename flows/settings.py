"""Settings that make Prefect quick, quiet and offline, and keep it out of the user's own.

Prefect reads the environment once, when it is imported, so `use_prefect` comes before that. With
`PREFECT_API_URL` in the environment the user has a server: it stays theirs, and only what they left
open is filled in. Without it flows run on a temporary server of their own (`flows.server`), whose
database lies in our cache directory; the user's profiles and `~/.prefect` are not even read.
"""

import logging
import os
import sys
from pathlib import Path

_EVERYWHERE = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    # INFO goes to the run's page, not to the terminal: the command has its own progress there.
    "PREFECT_LOGGING_EXTRA_LOGGERS": "curation",
    "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
    # Ray counts its users, too, and leaves a token in the home directory.
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "disabled",
}
_TEMPORARY_SERVER = {
    "PREFECT_PROFILE": "ephemeral",
    "PREFECT_SERVER_EPHEMERAL_ENABLED": "true",
    # The default of 20 s is less than a busy machine takes to make a new database.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "180",
    # Our flows use no blocks; writing all known kinds of them down takes half of a first start
    # (22 s instead of 43 s on a busy machine) and 1 s of each later one.
    "PREFECT_SERVER_REGISTER_BLOCKS_ON_START": "false",
    # One transaction for each event locks SQLite for the next flow: 33 s against 5 s here.
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_BATCH_SIZE": "200",
    "PREFECT_SERVER_SERVICES_TASK_RUN_RECORDER_FLUSH_INTERVAL": "1",
    "PREFECT_SERVER_SERVICES_EVENT_PERSISTER_BATCH_SIZE": "200",
    "PREFECT_SERVER_LOGGING_LEVEL": "CRITICAL",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}


def curation_home() -> Path:
    """Returns the directory for what outlives a run but is no result.

    `$CURATION_HOME`, else `curation` in `$XDG_CACHE_HOME`, else `~/.cache/curation`.
    """
    own = os.environ.get("CURATION_HOME")
    if own:
        return Path(own).expanduser().absolute()
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "curation"


def prefect_home() -> Path:
    """Returns the home of the temporary server: its database, and no profiles."""
    return curation_home() / "prefect"


def use_prefect() -> None:
    """Sets the environment for a Prefect that is not imported yet.

    In a process that has imported it (a worker's, a notebook's) the environment is left alone:
    nothing would read it there, and child processes would get two minds.
    """
    logging.getLogger("curation").setLevel(logging.INFO)
    if "prefect" in sys.modules:
        return
    if os.environ.get("PREFECT_API_URL"):
        for name, value in _EVERYWHERE.items():
            os.environ.setdefault(name, value)
        return
    wanted = temporary_environment()
    for name in set(os.environ) - set(wanted):
        del os.environ[name]
    os.environ.update(wanted)
    prefect_home().mkdir(parents=True, exist_ok=True)


def temporary_environment() -> dict[str, str]:
    """Returns the environment in which a temporary server and its flows run.

    It is this process's, except that no setting of Prefect is inherited but those of its logging:
    a database, a profile or a key of the user's own server must not reach the temporary one.
    """
    home = prefect_home()
    kept = {name: value for name, value in os.environ.items() if not _foreign(name)}
    for name, value in _EVERYWHERE.items():
        kept.setdefault(name, value)
    return (
        kept
        | _TEMPORARY_SERVER
        | {
            "PREFECT_HOME": str(home),
            "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        }
    )


def _foreign(name: str) -> bool:
    return name.startswith("PREFECT_") and not name.startswith("PREFECT_LOGGING_")
