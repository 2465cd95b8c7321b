"""Settings that hold for one source or one language only, written once under the stage.

    [[stages]]
    kind = "gopher_quality"
    [stages.for_language.de]
    max_mean_word_chars = 12
    [stages.for_source.forum]
    min_words = 20

becomes stages of one name whose scopes do not meet: the first has the stage's own settings and
leaves out what the others take. Where a document has both an own source and an own language, the
tables of the source come first, and may have tables for languages themselves.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from curation.errors import RecipeError, unknown_name

FOR_SOURCE, FOR_LANGUAGE = "for_source", "for_language"
TABLES = (FOR_SOURCE, FOR_LANGUAGE)


def scoped_tables(table: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yields a stage's table and all tables under it that override its settings."""
    yield table
    for name in TABLES:
        overrides = table.get(name)
        for override in overrides.values() if isinstance(overrides, dict) else ():
            if isinstance(override, dict):
                yield from scoped_tables(override)


def expand_scopes(
    table: Mapping[str, Any], sources: Sequence[str], where: str
) -> list[dict[str, Any]]:
    """Returns one plain table for each scope of a stage, the stage's own first.

    Args:
        table: The stage as the recipe has it.
        sources: Names of all sources of the recipe.
        where: Starts every message.

    Raises:
        RecipeError: A table is none, names an unknown source, or widens its scope.
    """
    by_source = _overrides(table, FOR_SOURCE, where)
    if not by_source:
        return _expand_languages(dict(table), where)
    base = {name: value for name, value in table.items() if name != FOR_SOURCE}
    mine = list(base.get("sources") or sources)
    for name in by_source:
        if name not in mine:
            raise RecipeError(f"{where}: {FOR_SOURCE}: {unknown_name('source', name, mine)}")
    left = [name for name in mine if name not in by_source]
    tables = [{**base, "sources": left}] if left else []
    tables += [_merged(base, own, {"sources": [name]}) for name, own in by_source.items()]
    return [plain for one in tables for plain in _expand_languages(one, where)]


def _expand_languages(table: dict[str, Any], where: str) -> list[dict[str, Any]]:
    by_language = _overrides(table, FOR_LANGUAGE, where)
    if not by_language:
        return [{name: value for name, value in table.items() if name != FOR_LANGUAGE}]
    base = {name: value for name, value in table.items() if name != FOR_LANGUAGE}
    for name in ("languages", "except_languages"):
        if base.get(name):
            raise RecipeError(
                f"{where}: has {name} and {FOR_LANGUAGE}; expected one of the two; "
                "write two stages with names of their own"
            )
    others = {**base, "except_languages": sorted(by_language)}
    own = [_merged(base, own, {"languages": [name]}) for name, own in by_language.items()]
    return [others, *own]


def _merged(
    base: Mapping[str, Any], own: Mapping[str, Any], scope: Mapping[str, Any]
) -> dict[str, Any]:
    """Lays an override over a stage; tables for languages are joined, not replaced."""
    merged = {**base, **own, **scope}
    if FOR_LANGUAGE in base and FOR_LANGUAGE in own:
        merged[FOR_LANGUAGE] = {**base[FOR_LANGUAGE], **own[FOR_LANGUAGE]}
    return merged


def _overrides(table: Mapping[str, Any], name: str, where: str) -> dict[str, Mapping[str, Any]]:
    found = table.get(name, {})
    if not isinstance(found, Mapping) or not all(
        isinstance(own, Mapping) for own in found.values()
    ):
        raise RecipeError(
            f"{where}: {name} is no table of tables; write [stages.{name}.NAME] and settings below"
        )
    for scope, own in found.items():
        fixed = {"kind", "name", "sources", "languages", "except_languages"} & set(own)
        if name == FOR_LANGUAGE:
            fixed |= set(TABLES) & set(own)
        if fixed:
            raise RecipeError(
                f"{where}: {name}.{scope} sets {min(fixed)}, which is the stage's own; "
                "write a second stage for that"
            )
    return dict(found)
