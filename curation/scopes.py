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
from typing import Any, NamedTuple

from curation.errors import RecipeError, unknown_name

FOR_SOURCE, FOR_LANGUAGE = "for_source", "for_language"
TABLES = (FOR_SOURCE, FOR_LANGUAGE)


class Overrides(NamedTuple):
    """Names of the settings that tables give to one part of a stage, by the table.

    What the stage itself is given later on does not reach a part that has a setting of its own.
    """

    source: tuple[str, ...] = ()
    language: tuple[str, ...] = ()
    both: tuple[str, ...] | None = None
    """Those of the source's own table for the language; None: there is no such table."""

    def follows(self, name: str, *, source: bool, language: bool) -> bool:
        """Says whether a setting reaches the part.

        Args:
            name: The setting.
            source: It is given in the table for the part's source,
            language: in that for its language (both: in the one within the other).
        """
        if source and language:
            return True
        if language:
            return self.both is None
        own = {*self.language, *(self.both or ())}
        return name not in (own if source else own | {*self.source})


def overrides_of(table: Mapping[str, Any], part: Mapping[str, Any]) -> Overrides:
    """Returns which settings of a part that `expand_scopes` made are those of its tables."""
    by_source = table.get(FOR_SOURCE) or {}
    [source, *_] = part.get("sources") or [None]
    [language, *_] = part.get("languages") or [None]
    of_source = by_source.get(source, {})
    both = (of_source.get(FOR_LANGUAGE) or {}).get(language)
    of_language = {} if both is not None else (table.get(FOR_LANGUAGE) or {}).get(language, {})
    return Overrides(
        tuple(sorted(set(of_source) - set(TABLES))),
        tuple(sorted(of_language)),
        None if both is None else tuple(sorted(both)),
    )


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
