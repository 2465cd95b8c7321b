"""Bounds that can be changed after a run: how a rule is addressed, and what it then says.

A rule is addressed by its stage and its reason, or by its stage and the setting that bounds it:

    gopher_quality.few_words=40                  the rule's one bound
    gopher_quality.few_words.low=40              the side is named, where a rule has two
    gopher_quality.few_words=none                no bound: what if the rule were not there
    gopher_quality.min_words=40                  the setting, as the recipe has it
    gopher_quality.for_source.web.min_words=40   for one source, or for_language: one language

A setting that decides what is scored, or a stage that decides between documents, is no bound on one
document: what follows from it only a run can tell.
"""

import math
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from curation.audit.scope import scope_of
from curation.errors import RecipeError, unknown_name
from curation.manifest import Manifest
from curation.stage import Rule, Stage
from curation.stages import KINDS
from curation.toml import build

_NOT_BOUNDS = frozenset({*Stage.model_fields, "seed"})


class Bound(NamedTuple):
    """A rule of a finished dataset for the documents of one scope, as it was and as it is asked."""

    stage: str
    reason: str
    column: str
    recorded: dict[str, list[str] | None]
    """The documents that the recorded rule is for; see `curation.audit.scope`."""
    scope: dict[str, list[str] | None]
    """Those that this bound is for: the same, or a part of them."""
    low: float | None
    high: float | None
    was_low: float | None
    was_high: float | None

    @property
    def changed(self) -> bool:
        """Whether the rule would say anything else than it said."""
        return (self.low, self.high) != (self.was_low, self.was_high)


class _Address(NamedTuple):
    """What stands before the equals sign."""

    stage: str
    source: str | None
    language: str | None
    rule: str


def changed_bounds(manifest: Manifest, settings: Iterable[str]) -> list[Bound]:
    """Returns the rules that the settings change, in the order in which documents met them.

    A rule of which a part changes comes whole; of its bounds, the first that a document is in the
    scope of holds for it.

    Args:
        manifest: Of the finished dataset.
        settings: Each `stage.rule=value`, see above; of two for the same rule the later one holds.

    Raises:
        RecipeError: An address is unknown, no bound, or the value does not fit; one line.
    """
    bounds = _recorded(manifest)
    for setting in settings:
        address, value = _parse(setting, manifest)
        reasons = {bound.reason for bound in bounds if bound.stage == address.stage}
        reason, dot, side = address.rule.rpartition(".")
        if address.rule in reasons or (dot and side in ("low", "high") and reason in reasons):
            bounds = _set_reason(bounds, address, value, setting)
        else:
            bounds = _set_setting(bounds, address, value, manifest)
    touched = {(bound.stage, bound.reason) for bound in bounds if bound.changed}
    return [bound for bound in bounds if (bound.stage, bound.reason) in touched]


def _recorded(manifest: Manifest) -> list[Bound]:
    order = [stage.name for stage in manifest.stages if stage.name in manifest.rules]
    return [
        Bound(
            stage, rule["reason"], rule["column"], scope_of(rule), scope_of(rule),
            rule["low"], rule["high"], rule["low"], rule["high"],
        )
        for stage in order
        for rule in manifest.rules[stage]
    ]  # fmt: skip


def _parse(setting: str, manifest: Manifest) -> tuple[_Address, Any]:
    key, equals, text = setting.partition("=")
    key = key.strip().removeprefix("stages.")
    if not equals or "." not in key:
        raise RecipeError(
            f"--set {setting}: expected stage.rule=value, e.g. gopher_quality.min_words=40"
        )
    known = [stage.name for stage in manifest.stages]
    stage = max((name for name in known if key.startswith(f"{name}.")), key=len, default=None)
    if stage is None:
        raise RecipeError(f"--set {setting}: {unknown_name('stage', key.partition('.')[0], known)}")
    rest, source = _scoped(key.removeprefix(f"{stage}."), "for_source", list(manifest.sources))
    rest, language = _scoped(rest, "for_language", None)
    return _Address(stage, source, language, rest), _value(text.strip())


def _scoped(rest: str, table: str, known: Sequence[str] | None) -> tuple[str, str | None]:
    """Splits `for_source.web.min_words` into the rule and the name of the scope."""
    if not rest.startswith(f"{table}."):
        return rest, None
    rest = rest.removeprefix(f"{table}.")
    names = [name for name in known or () if rest.startswith(f"{name}.")]
    name = max(names, key=len) if names else rest.partition(".")[0]
    if known is not None and not names:
        raise RecipeError(f"--set {table}.{rest}: {unknown_name('source', name, known)}")
    return rest.removeprefix(f"{name}."), name


def _value(text: str) -> Any:
    if text.lower() in ("none", "off"):
        return None
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        pass
    try:
        return float(text)  # .9 is a number to everyone but TOML
    except ValueError:
        return text


def _narrowed(
    scope: Mapping[str, list[str] | None], address: _Address
) -> dict[str, list[str] | None] | None:
    """Returns the part of a scope that an address is about; None where there is none."""
    new = dict(scope)
    if address.source is not None:
        if address.source not in (scope["sources"] or [address.source]):
            return None
        new["sources"] = [address.source]
    if address.language is not None:
        allowed = address.language in (scope["languages"] or [address.language])
        if not allowed or address.language in (scope["except_languages"] or ()):
            return None
        new |= {"languages": [address.language], "except_languages": None}
    return new


def _apply(bound: Bound, address: _Address, low: float | None, high: float | None) -> list[Bound]:
    """Returns a bound with new sides where the address is about all of it, or cut in pieces."""
    inside = _narrowed(bound.scope, address)
    if inside is None:
        return [bound]
    new = bound._replace(scope=inside, low=low, high=high)
    # The changed piece is met first: what lies behind it is what the piece leaves over.
    return [new] if inside == bound.scope else [new, bound]


def _set_reason(bounds: list[Bound], address: _Address, value: Any, setting: str) -> list[Bound]:
    number = _number(value, setting)
    reason, _, side = address.rule.rpartition(".")
    if side not in ("low", "high") or not reason:
        reason, side = address.rule, ""
    changed: list[Bound] = []
    for bound in bounds:
        if (bound.stage, bound.reason) != (address.stage, reason):
            changed.append(bound)
            continue
        mine = side or _only_side(bound, setting)
        low, high = (number, bound.high) if mine == "low" else (bound.low, number)
        changed += _apply(bound, address, low, high)
    _must_differ_in_scope(bounds, address, setting)
    return changed


def _only_side(bound: Bound, setting: str) -> str:
    if (bound.was_low is None) == (bound.was_high is None):
        where = f"{bound.stage}.{bound.reason}"
        raise RecipeError(
            f"--set {setting}: rule {where} is bounded from {bound.was_low} to {bound.was_high}; "
            f"say which side: {where}.low=... or {where}.high=..."
        )
    return "low" if bound.was_high is None else "high"


def _number(value: Any, setting: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or math.isnan(value):
        raise RecipeError(
            f"--set {setting}: a bound is a number, or none for no bound; found {value!r}"
        )
    return value


def _must_differ_in_scope(bounds: Sequence[Bound], address: _Address, setting: str) -> None:
    mine = [bound for bound in bounds if bound.stage == address.stage]
    if all(_narrowed(bound.scope, address) is None for bound in mine):
        raise RecipeError(
            f"--set {setting}: no rule of stage {address.stage} is for these documents; "
            "see the scopes in the manifest's rules"
        )


def _set_setting(
    bounds: list[Bound], address: _Address, value: Any, manifest: Manifest
) -> list[Bound]:
    parts = [part for part in manifest.recipe["stages"] if part["name"] == address.stage]
    setting = f"{address.stage}.{address.rule}"
    _check_setting(bounds, address, parts, value)
    _must_differ_in_scope(bounds, address, setting)
    governed = False
    for part in parts:
        where = f"--set {setting}"
        model = KINDS[part["kind"]]
        before = build(model, part, f"{where}: as recorded, by another version?")
        after = build(model, {**part, address.rule: value}, where)
        for reason, side in _governed(before, after, address.rule):
            rule = _rules(after).get(reason) or _rules(before)[reason]._replace(low=None, high=None)
            bounds = _set_side(bounds, address, rule, side, scope_of(part))
            governed = True
    if not governed:
        raise RecipeError(
            f"--set {setting}: decides more than a bound, so only a run can tell: "
            f"run again with --set stages.{setting}=...; bounds of this stage: "
            f"{', '.join(sorted({b.reason for b in bounds if b.stage == address.stage}))}"
        )
    return bounds


def _rules(stage: Stage) -> dict[str, Rule]:
    return {rule.reason: rule for rule in stage.rules()}


def _governed(before: Stage, after: Stage, setting: str) -> list[tuple[str, str]]:
    """Returns the rules, and the side of each, that follow a setting.

    A value that is the recorded one changes nothing, so another one, NaN, is tried as well.
    """
    rules = _rules(before)
    others = [_rules(after)]
    if isinstance(getattr(before, setting), int | float | None):
        others.append(_rules(before.model_copy(update={setting: math.nan})))
    return [
        (reason, side)
        for reason in dict.fromkeys(name for found in (rules, *others) for name in found)
        for side in ("low", "high")
        if any(_side(rules, reason, side) != _side(found, reason, side) for found in others)
    ]


def _side(rules: Mapping[str, Rule], reason: str, side: str) -> float | None:
    number: float | None = getattr(rules[reason], side) if reason in rules else None
    return number


def _set_side(
    bounds: list[Bound],
    address: _Address,
    rule: Rule,
    side: str,
    recorded: dict[str, list[str] | None],
) -> list[Bound]:
    """Gives the rule of one part of a stage the side that its changed setting gives."""
    changed: list[Bound] = []
    met = False
    for bound in bounds:
        same = (bound.stage, bound.reason) == (address.stage, rule.reason)
        if same and bound.recorded == recorded:
            met = True
            sides = {"low": bound.low, "high": bound.high, side: getattr(rule, side)}
            changed += _apply(bound, address, sides["low"], sides["high"])
        else:
            changed.append(bound)
    if not met:
        new = Bound(address.stage, rule.reason, rule.column, recorded, recorded, *(None,) * 4)
        sides = {"low": None, "high": None, side: getattr(rule, side)}
        changed += _apply(new, address, sides["low"], sides["high"])
    return changed


def _check_setting(
    bounds: Sequence[Bound], address: _Address, parts: Sequence[Mapping[str, Any]], value: Any
) -> None:
    """Refuses what is no setting, or none of a stage that judges documents one by one."""
    setting = f"{address.stage}.{address.rule}"
    reasons = {bound.reason for bound in bounds if bound.stage == address.stage}
    if not parts or parts[0]["kind"] not in KINDS:
        known = ", ".join(sorted({bound.stage for bound in bounds}))
        raise RecipeError(f"--set {setting}: stage {address.stage} has no bounds; known: {known}")
    fields = set(KINDS[parts[0]["kind"]].model_fields) - _NOT_BOUNDS
    if address.rule not in fields:
        what = f"rule or setting of stage {address.stage}"
        raise RecipeError(f"--set {setting}: {unknown_name(what, address.rule, reasons | fields)}")
    if not reasons:
        raise RecipeError(
            f"--set {setting}: stage {address.stage} has no bound on single documents; "
            f"run again with --set stages.{setting}={value} (what comes before it is reused)"
        )
