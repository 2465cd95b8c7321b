"""Settings given on the command line, `key=value`, put into a recipe before it is checked."""

import tomllib
from collections.abc import Mapping, Sequence
from typing import Any

from curation.errors import RecipeError, unknown_name
from curation.scopes import FOR_SOURCE

_TABLES = ("stages", "sources", "output", "guard")


def apply_override(raw: dict[str, Any], override: str) -> None:
    """Sets one value of a recipe as its file has it; of several stages of one name, in all.

    Args:
        raw: What the TOML file holds; it is changed.
        override: `key=value`, e.g. `stages.minhash_dedup.threshold=0.7`.

    Raises:
        RecipeError: It has another form, or leads nowhere.
    """
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"--set {override}: expected key=value, e.g. seed=3 or output.shards=16")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text
    *parents, last = key.strip().split(".")
    _must_say_where(raw, parents, override)
    targets: list[Any] = [raw]
    for place, parent in enumerate(parents):
        if parent in ("sources", "stages") and targets[0] is raw and parent not in raw:
            raise RecipeError(f"--set {override}: the recipe has no [[{parent}]]")
        if parent == FOR_SOURCE and place + 1 < len(parents):
            targets = _of_source(targets, parents[place + 1])
        targets = [below for target in targets for below in _descend(target, parent, override)]
    for target in targets:
        if not isinstance(target, dict):
            raise RecipeError(
                f"--set {override}: name the source or stage, e.g. stages.split.seed=3"
            )
        target[last] = value


def _must_say_where(raw: Mapping[str, Any], parents: Sequence[str], override: str) -> None:
    """Names the table that the name of a stage or source stands under, where it was left out."""
    if not parents or parents[0] in _TABLES:
        return
    for table in ("stages", "sources"):
        parts = raw.get(table)
        for part in parts if isinstance(parts, list) else ():
            if isinstance(part, dict) and _name(part) == parents[0]:
                raise RecipeError(
                    f"--set {override}: '{parents[0]}' is one of the recipe's {table}; "
                    f"write --set {table}.{override}"
                )


def _of_source(stages: list[Any], source: str) -> list[Any]:
    """Returns those of several stages of one name that a source's table can stand under."""
    named = [stage.get("sources") if isinstance(stage, dict) else None for stage in stages]
    mine = [
        stage
        for stage, sources in zip(stages, named, strict=True)
        if not isinstance(sources, list) or source in sources
    ]
    return mine or stages


def _descend(target: Any, name: str, override: str) -> list[Any]:
    """Returns what a name stands for: of stages of one name, each for other documents, all."""
    if isinstance(target, list):
        names = [_name(part) for part in target]
        if name not in names:
            raise RecipeError(f"--set {override}: {unknown_name('name', name, names)}")
        return [part for part, own in zip(target, names, strict=True) if own == name]
    if not isinstance(target, dict):
        raise RecipeError(
            f"--set {override}: what stands before '{name}' is no table; leave it out"
        )
    return [target.setdefault(name, {})]


def _name(part: Mapping[str, Any]) -> str:
    return str(part.get("name", part.get("kind")))
