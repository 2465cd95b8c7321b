"""Where a translation model lies: a directory, or a commit of a repository on a hub."""

import re
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from curation.errors import DataError

HUB = "hub:"
"""Prefix of a model on the Hugging Face hub, as fine-tuning jobs have it."""
_NAME = re.compile(r"hub:([\w.-]+/[\w.-]+)@([0-9a-f]{40})")


def need_packages(engine: str, *packages: str) -> None:
    """Checks that packages are installed, without importing them.

    Raises:
        ValueError: One is not; one line.
    """
    for package in packages:
        if find_spec(package) is None:
            raise ValueError(
                f"engine {engine} needs {package}, which is not installed; install it with: "
                'pip install "curation[translate-models]"'
            )


def model_directory(engine: str, model: str | None) -> Path | None:
    """Returns the directory of a model; None where it is one of a hub.

    Raises:
        ValueError: None is named, it is not there, or the name on the hub lacks its commit.
    """
    if not model:
        raise ValueError(
            f'engine {engine} needs a model for each direction; write models = {{ "en-pt" = '
            '"DIRECTORY", "pt-en" = "DIRECTORY" }'
        )
    if model.startswith(HUB):
        if not _NAME.fullmatch(model):
            raise ValueError(
                f"model '{model}': expected hub:owner/name@commit with all 40 digits of the "
                "commit, as what a name stands for may change"
            )
        return None
    if not Path(model).is_dir():
        raise ValueError(f"model '{model}': no such directory; expected one with a Marian model")
    return Path(model)


def identity_of(engine: str, model: str | None, checked: Callable[[Path], str]) -> list[str]:
    """Returns what `checked` says of a model's directory, or the name of a commit on a hub.

    Raises:
        ValueError: None is named, or what is there is not whole; one line.
    """
    directory = model_directory(engine, model)
    return [str(model)] if directory is None else [checked(directory)]


def whole(model: str, patterns: list[str], checked: Callable[[Path], str]) -> Path:
    """Returns the directory of a model, fetched if need be, that `checked` found nothing wrong in.

    Raises:
        DataError: It cannot be fetched, or is not whole.
    """
    directory = fetched(model, patterns)
    try:
        checked(directory)
    except ValueError as error:
        raise DataError(str(error)) from error
    return directory


def fetched(model: str, patterns: list[str]) -> Path:
    """Returns the directory of a model, fetched from the hub where it is one of it.

    Raises:
        DataError: It cannot be fetched.
    """
    found = _NAME.fullmatch(model)
    if found is None:
        return Path(model)
    from huggingface_hub import snapshot_download

    try:
        place = snapshot_download(found[1], revision=found[2], allow_patterns=patterns)
    except Exception as error:  # its errors are those of several HTTP libraries
        raise DataError(
            f"model '{model}' cannot be fetched ({' '.join(str(error).split()):.160}); expected a "
            "repository that this machine can reach; fetch it elsewhere and name its directory"
        ) from error
    return Path(place)
