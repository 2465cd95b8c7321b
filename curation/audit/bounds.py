"""Bounds that can be changed after a run: which rules a `stage.rule=value` is about.

    gopher_quality.few_words=40                  the rule's one bound
    gopher_quality.few_words.low=40              the side is named, where a rule has two
    gopher_quality.few_words=none                no bound: what if the rule were not there
    gopher_quality.min_words=40                  the setting, as the recipe has it
    gopher_quality.for_source.web.min_words=40   for one source, or for_language: one language

A setting means what it means to `curate run --set stages.<the same>`. One that decides what is
scored, and a bound on which other documents depend, is no bound on one document: what follows from
it only a run can tell.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from curation.audit.addresses import Scope, parse_address
from curation.audit.changes import changed_pieces, must_be_possible
from curation.audit.pieces import Piece, Sides, make_pieces
from curation.manifest import Manifest


class Bound(NamedTuple):
    """A rule of a finished dataset for the documents of one scope, as it was and as it is asked."""

    stage: str
    reason: str
    column: str
    scope: Scope
    """The documents that this bound is for; see `curation.audit.scope`."""
    low: float | None
    high: float | None
    was_low: float | None
    was_high: float | None

    @property
    def changed(self) -> bool:
        """Whether the rule would say anything else than it said."""
        return (self.low, self.high) != (self.was_low, self.was_high)


class Asked(NamedTuple):
    """All rules of a dataset, as other bounds would have them."""

    bounds: list[Bound]
    """The rules of which a part changes, whole. Of the bounds of one rule, the first that a
    document is in the scope of holds for it."""
    reasons: dict[str, list[str]]
    """Of each stage, the reasons of its rules in their order, unchanged ones too."""


def changed_bounds(manifest: Manifest, settings: Iterable[str]) -> Asked:
    """Returns the rules as the settings would have them.

    Args:
        manifest: Of the finished dataset.
        settings: Each `stage.rule=value`, see above; of two for the same rule the later one holds.

    Raises:
        RecipeError: An address is unknown, no bound, or the value does not fit; one line.
    """
    pieces = make_pieces(manifest)
    for setting in settings:
        address, value = parse_address(setting, manifest)
        pieces = changed_pieces(pieces, address, value, manifest)
    for piece in pieces:
        must_be_possible(piece)
    stages = dict.fromkeys(piece.stage for piece in pieces)
    mine = {stage: [piece for piece in pieces if piece.stage == stage] for stage in stages}
    reasons = {stage: _in_order(mine[stage]) for stage in stages}
    return Asked(
        [
            bound
            for stage in stages
            for reason in reasons[stage]
            for bound in _whole_rule(mine[stage], reason)
        ],
        reasons,
    )


def _in_order(pieces: Sequence[Piece]) -> list[str]:
    """Returns the reasons of a stage in the order of its rules: parts can have some of them."""
    reasons: list[str] = []
    for piece in pieces:
        known = (reasons.index(reason) for reason in piece.rules if reason in reasons)
        place = next(known, len(reasons))
        for reason in piece.rules:
            if reason in reasons:
                place = reasons.index(reason) + 1
            else:
                reasons.insert(place, reason)
                place += 1
    return reasons


def _whole_rule(pieces: Sequence[Piece], reason: str) -> list[Bound]:
    """Returns a rule's bounds, one for each piece of a part that has it; none if none changes."""
    columns = {piece.part: piece.rules[reason].column for piece in pieces if reason in piece.rules}
    bounds = [
        Bound(piece.stage, reason, sides.column, piece.scope, *sides[1:])
        for piece in pieces
        if piece.part in columns
        for sides in [piece.rules.get(reason, Sides(columns[piece.part]))]
    ]
    return bounds if any(bound.changed for bound in bounds) else []
