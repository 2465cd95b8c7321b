"""What every child process of ours is given: an environment in which it finds this package."""

import os
from collections.abc import Mapping
from pathlib import Path


def child_environment(base: Mapping[str, str] | None = None) -> dict[str, str]:
    """Returns an environment for `python -m` of our own modules, whatever directory it starts in.

    Args:
        base: What to start from; default: this process's environment.
    """
    environment = dict(os.environ if base is None else base)
    root = str(Path(__file__).resolve().parent.parent)
    paths = [root, *filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))]
    return {**environment, "PYTHONPATH": os.pathsep.join(paths)}
