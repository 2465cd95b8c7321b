"""The parts of a finished dataset's stages: settings and rules for the documents of one scope."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from curation.audit.addresses import Scope
from curation.audit.scope import scope_of
from curation.manifest import Manifest
from curation.scopes import Overrides
from curation.stage import Stage
from curation.stages import KINDS


class Sides(NamedTuple):
    """The bounds of one rule, as they are asked and as they were."""

    column: str
    low: float | None = None
    high: float | None = None
    was_low: float | None = None
    was_high: float | None = None

    def with_side(self, side: str, bound: float | None) -> "Sides":
        """Returns the same with another bound, "low" or "high"."""
        return self._replace(low=bound) if side == "low" else self._replace(high=bound)


class Piece(NamedTuple):
    """A stage, or a part of it, for the documents of one scope."""

    stage: str
    part: int
    """Number of the part in the stage; pieces of one part have had the same settings."""
    model: type[Stage]
    recorded: Mapping[str, Any] | None
    """Its table in the manifest's recipe; None where it has none."""
    overrides: Overrides
    scope: Scope
    rules: dict[str, Sides]
    """By reason, in their order."""
    changes: Mapping[str, Any] = MappingProxyType({})
    """Settings that were changed, with their new values."""
    said: str = ""
    """The last change, for messages."""


def make_pieces(manifest: Manifest) -> list[Piece]:
    """Returns the parts of all stages as they are recorded, stages in their order."""
    return [
        Piece(stage.name, number, KINDS.get(stage.kind) or Stage, part, own, scope, rules)
        for stage in manifest.stages
        for number, (part, own, scope) in enumerate(_parts(manifest, stage.name))
        for rules in [_rules(manifest, stage.name, scope)]
    ]


def _parts(manifest: Manifest, stage: str) -> list[tuple[Any, Overrides, Scope]]:
    """Returns a stage's tables in the recipe, or else the scopes of its rules alone."""
    parts = manifest.recipe.get("stages", [])
    own = [Overrides(**_tuples(names)) for names in manifest.overrides or [{}] * len(parts)]
    found = [
        (part, overrides, scope_of(part))
        for part, overrides in zip(parts, own, strict=True)
        if part["name"] == stage
    ]
    if found:
        return found
    scopes: list[Scope] = []
    for rule in manifest.rules.get(stage, ()):
        scopes += [scope_of(rule)] if scope_of(rule) not in scopes else []
    return [(None, Overrides(), scope) for scope in scopes]


def _rules(manifest: Manifest, stage: str, scope: Scope) -> dict[str, Sides]:
    return {
        rule["reason"]: Sides(rule["column"], *(rule["low"], rule["high"]) * 2)
        for rule in manifest.rules.get(stage, ())
        if scope_of(rule) == scope
    }


def _tuples(own: Mapping[str, list[str] | None]) -> dict[str, Any]:
    return {name: tuple(settings) for name, settings in own.items() if settings is not None}
