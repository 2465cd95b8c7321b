"""What one `stage.rule=value` does to the stages of a finished dataset, and what it may not.

A change is by reason, one rule's bound, or by setting, all rules that follow it. What is more than
a bound on documents one by one is refused: a setting that says what is scored, and a bound on which
a text or other documents depend.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from curation.audit.addresses import Address, Scope, covers, narrowed
from curation.audit.pieces import Piece, Sides
from curation.audit.recorded import (
    check_together,
    governed,
    only_bounds,
    recorded_stage,
    rules_of,
)
from curation.errors import RecipeError, unknown_name
from curation.manifest import Manifest
from curation.stage import GlobalStage, Rule, Stage
from curation.stages import KINDS

_NOT_BOUNDS = frozenset({*Stage.model_fields, "seed"})


class _Reason(NamedTuple):
    """A rule, and which of its bounds is meant; no side: the one that it has."""

    reason: str
    side: str


def changed_pieces(
    pieces: Sequence[Piece], address: Address, value: Any, manifest: Manifest
) -> list[Piece]:
    """Returns the parts of all stages after one change.

    Of the pieces of one part, the first that a document is in the scope of holds for it.

    Args:
        pieces: The parts before.
        address: What is changed.
        value: The new value.
        manifest: Of the dataset.

    Raises:
        RecipeError: It is unknown, no bound, or the value does not fit.
    """
    mine = [piece for piece in pieces if piece.stage == address.stage]
    rule = _meant(mine, address, value)
    if rule is None:
        _must_be_setting(address, mine, manifest)
    _must_be_about_some(address, mine)
    _must_be_recorded(address, mine, manifest, by_setting=rule is None)
    changed: list[Piece] = []
    reached = False
    for piece, inside in _narrowed(pieces, address):
        if inside is None or not (rule or _reaches(piece, address)):
            changed.append(piece)
            continue
        new = (
            _by_reason(piece, address, rule, value) if rule else _by_setting(piece, address, value)
        )
        reached = True
        # The changed piece is met first: what lies behind it is what the piece leaves over.
        changed += [new] if inside == piece.scope else [new._replace(scope=inside), piece]
    if not reached:
        raise RecipeError(
            f"{address.text}: tables of stage {address.stage} for single sources or languages set "
            f"{address.setting} themselves; name one, e.g. {address.stage}.for_source.NAME."
            f"{address.rule}=..."
        )
    return changed


def _meant(pieces: Sequence[Piece], address: Address, value: Any) -> _Reason | None:
    """Returns the rule that an address names; None where it names a setting, or nothing.

    Some settings are called like the reason of their rule: those are no numbers.
    """
    reasons = {reason for piece in pieces for reason in piece.rules}
    reason, _, side = address.rule.rpartition(".")
    if side in ("low", "high") and reason in reasons:
        return _Reason(reason, side)
    number = value is None or (isinstance(value, int | float) and not isinstance(value, bool))
    named = address.rule in reasons and (number or address.rule not in _settings(pieces))
    return _Reason(address.rule, "") if named else None


def _narrowed(pieces: Sequence[Piece], address: Address) -> Iterator[tuple[Piece, Scope | None]]:
    """Yields each piece with its part that an address is about; None: no document is."""
    for place, piece in enumerate(pieces):
        inside = narrowed(piece.scope, address) if piece.stage == address.stage else None
        before = [one.scope for one in pieces[:place] if one[:2] == piece[:2]]
        hidden = inside is not None and any(covers(scope, inside) for scope in before)
        yield piece, None if hidden else inside


def _settings(pieces: Sequence[Piece]) -> set[str]:
    """Returns the names of the settings of a stage that could be bounds."""
    kinds = {piece.recorded["kind"] for piece in pieces if piece.recorded is not None}
    return {name for kind in kinds & set(KINDS) for name in KINDS[kind].model_fields} - _NOT_BOUNDS


def _must_be_setting(address: Address, pieces: Sequence[Piece], manifest: Manifest) -> None:
    settings = _settings(pieces)
    if not settings:
        known = ", ".join(sorted(manifest.rules))
        raise RecipeError(f"{address.text}: stage {address.stage} has no bounds; known: {known}")
    if address.setting not in settings:
        reasons = {reason for piece in pieces for reason in piece.rules}
        what = f"rule or setting of stage {address.stage}"
        raise RecipeError(f"{address.text}: {unknown_name(what, address.rule, reasons | settings)}")


def _decides(pieces: Sequence[Piece]) -> bool:
    return any(issubclass(piece.model, GlobalStage) for piece in pieces)


def _must_be_recorded(
    address: Address, pieces: Sequence[Piece], manifest: Manifest, *, by_setting: bool
) -> None:
    """Refuses where an older version left out what an exact answer takes."""
    takes_more = _decides(pieces) or (by_setting and len(pieces) > 1)
    if manifest.overrides is None and takes_more and _settings(pieces):
        raise RecipeError(
            f"{address.text}: an older version made this dataset, and did not record all that the "
            "answer takes; run again (what is finished is reused)"
        )


def _must_be_about_some(address: Address, pieces: Sequence[Piece]) -> None:
    scoped = address.source is not None or address.language is not None
    if _decides(pieces) and scoped:
        raise RecipeError(
            f"{address.text}: stage {address.stage} decides over all documents at once, so it has "
            "no settings for single sources or languages"
        )
    if all(narrowed(piece.scope, address) is None for piece in pieces):
        raise RecipeError(
            f"{address.text}: no rule of stage {address.stage} is for these documents; "
            "see the scopes in the manifest's rules"
        )


def _reaches(piece: Piece, address: Address) -> bool:
    """Says whether a run with this setting would give it to the documents of a piece."""
    source, language = address.source is not None, address.language is not None
    own = piece.overrides
    if source and language and own.both is None and set(own.language) - {address.setting}:
        raise RecipeError(
            f"{address.text}: such a table would replace for_language.{address.language} for this "
            "source, and more than the bound with it, so only a run can tell"
        )
    return own.follows(address.setting, source=source, language=language)


def _by_reason(piece: Piece, address: Address, rule: _Reason, value: Any) -> Piece:
    reason, side = rule
    number = _number(value, address)
    if reason in piece.model.entangled:
        raise _only_a_run(piece, address)
    if reason not in piece.rules:
        return piece
    sides = piece.rules[reason]
    side = side or _only_side(sides, reason, address)
    return piece._replace(rules={**piece.rules, reason: sides.with_side(side, number)})


def _only_side(sides: Sides, reason: str, address: Address) -> str:
    recorded = (sides.was_low, sides.was_high)
    low, high = recorded if recorded != (None, None) else (sides.low, sides.high)
    if (low is None) == (high is None):
        where = f"{address.stage}.{reason}"
        raise RecipeError(
            f"{address.text}: rule {where} is bounded from {low} to {high}; "
            f"say which side: {where}.low=... or {where}.high=..."
        )
    return "low" if high is None else "high"


def _number(value: Any, address: Address) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise RecipeError(
            f"{address.text}: a bound is a number, or none for no bound; found {value!r}"
        )
    return value


def _by_setting(piece: Piece, address: Address, value: Any) -> Piece:
    """Gives the rules of a piece the sides that its changed setting gives them."""
    assert piece.recorded is not None
    where, name = address.text, address.setting
    if isinstance(value, float):
        _number(value, address)
    known = {**piece.recorded, **piece.changes}
    changes = {**piece.changes, name: address.given(known.get(name), value)}
    before = recorded_stage(piece.recorded, piece.changes, where)
    after = recorded_stage(piece.recorded, changes, where)
    sides = governed(before, after, name, where)
    old, new = getattr(before, name), getattr(after, name)
    if old != new:
        bare = recorded_stage(piece.recorded, {}, where)
        alone = recorded_stage(piece.recorded, {name: changes[name]}, where)
        reasons = {reason for reason, _ in (*sides, *governed(bare, alone, name, where))}
        bounds = reasons and not reasons & piece.model.entangled
        if not (bounds and only_bounds(piece.model, old, new)):
            raise _only_a_run(piece, address)
    rules = _with_sides(piece.rules, sides, rules_of(after, where))
    return piece._replace(changes=changes, said=where, rules=rules)


def _with_sides(
    rules: Mapping[str, Sides], sides: Sequence[tuple[str, str]], after: Mapping[str, Rule]
) -> dict[str, Sides]:
    """Returns rules of which some sides are as a changed stage has them, in its order."""
    changed = dict(rules)
    for reason, side in sides:
        rule = after.get(reason)
        if rule is not None:
            known = changed.get(reason, Sides(rule.column))
            changed[reason] = known.with_side(side, getattr(rule, side))
        elif reason in changed:
            changed[reason] = changed[reason].with_side(side, None)
    return {reason: changed[reason] for reason in (*after, *changed) if reason in changed}


def _only_a_run(piece: Piece, address: Address) -> RecipeError:
    known = ", ".join(sorted(set(piece.rules) - piece.model.entangled))
    run = "run again"
    if piece.recorded is not None and address.setting in piece.recorded:
        run += f" with --set stages.{address.path}=..."
    return RecipeError(
        f"{address.text}: decides more than a bound, so only a run can tell: "
        f"{run} (what comes before is reused); bounds of this stage: {known or 'none'}"
    )


def must_be_possible(piece: Piece) -> None:
    """Refuses settings that a run would refuse; to be asked once all of them are known.

    Raises:
        RecipeError: Settings do not fit together, or no document can pass.
    """
    if piece.recorded is None or not piece.changes:
        return
    check_together(piece.recorded, piece.changes, piece.said)
    for column in {sides.column for sides in piece.rules.values()}:
        mine = [sides for sides in piece.rules.values() if sides.column == column]
        low = max((sides.low for sides in mine if sides.low is not None), default=-math.inf)
        high = min((sides.high for sides in mine if sides.high is not None), default=math.inf)
        if low > high:
            raise RecipeError(
                f"{piece.said}: {column} would have to be {low} or more and {high} or less, so no "
                "document can pass; expected the minimum to be the smaller one"
            )
