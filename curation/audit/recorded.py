"""The stages of a finished dataset, from what its manifest has of them.

Validators of stages look at files: lists, models, evaluation sets. Where a dataset is asked these
can be gone, moved or edited, and no rule depends on them. So a stage is made of its recorded
settings as they are, and of a changed one only the value itself is checked.
"""

import math
from collections.abc import Mapping
from typing import Any

from curation.errors import RecipeError
from curation.stage import Rule, Stage
from curation.stages import KINDS
from curation.toml import build, check_value


def recorded_stage(part: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> Stage:
    """Returns a stage of the manifest with some settings changed.

    Args:
        part: The stage's table in the manifest's recipe.
        changes: Values by setting.
        where: Starts the message.

    Raises:
        RecipeError: A value does not fit its setting.
    """
    model = KINDS[part["kind"]]
    checked = {name: check_value(model, name, value, where) for name, value in changes.items()}
    return model.model_construct(**{**part, **checked})


def check_together(part: Mapping[str, Any], changes: Mapping[str, Any], where: str) -> None:
    """Checks what a stage says of several settings at once, where no file has a say in it.

    Raises:
        RecipeError: Together they do not fit, as a recipe would be told.
    """
    model = KINDS[part["kind"]]
    if not model.files:
        try:
            build(model, part, where)
        except RecipeError:  # what it needs is not installed here: nothing to do with the change
            return
        build(model, {**part, **changes}, where)


def rules_of(stage: Stage, where: str) -> dict[str, Rule]:
    """Returns the rules of a recorded stage by their reason.

    Raises:
        RecipeError: A setting that they follow from is not recorded.
    """
    try:
        return {rule.reason: rule for rule in stage.rules()}
    except (AttributeError, TypeError, KeyError) as error:
        raise RecipeError(
            f"{where}: stage {stage.name} was recorded by another version ({error}); run again"
        ) from error


def governed(before: Stage, after: Stage, setting: str, where: str) -> list[tuple[str, str]]:
    """Returns the rules, and the side of each, that follow a setting.

    Where the value is the one that it was before, nothing differs; so another one is tried, too.
    """
    rules = rules_of(before, where)
    other = before.model_copy(update={setting: _another(getattr(before, setting))})
    tried = [rules_of(after, where), rules_of(other, where)]
    return [
        (reason, side)
        for reason in dict.fromkeys(name for found in (rules, *tried) for name in found)
        for side in ("low", "high")
        if any(_side(rules, reason, side) != _side(found, reason, side) for found in tried)
    ]


def _another(value: Any) -> Any:
    """Returns a value that no rule can have had: NaN differs even from itself."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float | None):
        return math.nan
    return value


def _side(rules: Mapping[str, Rule], reason: str, side: str) -> float | None:
    number: float | None = getattr(rules[reason], side) if reason in rules else None
    return number


def only_bounds(stage: type[Stage], old: Any, new: Any) -> bool:
    """Says whether two values of a setting can differ in bounds alone.

    Numbers bound scores; words, lists and tables of words say what is scored and how.
    """
    return old == new or (_is_bound(old) and _is_bound(new)) or {str(old), str(new)} <= stage.alike


def _is_bound(value: Any) -> bool:
    if isinstance(value, Mapping):
        return all(_is_bound(one) and one is not None for one in value.values())
    return isinstance(value, bool | int | float | None)
