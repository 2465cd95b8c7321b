"""Which documents a recorded rule is for: those of its sources, in its languages."""

from collections.abc import Mapping
from typing import Any

from curation.audit.tables import literal, quoted
from curation.schema import LANGUAGE_LABEL

Scope = Mapping[str, list[str] | None]
"""`sources`, `languages`, `except_languages`; None (or nothing to except): no limit."""

_COLUMNS = {
    "sources": "source",
    "languages": LANGUAGE_LABEL,
    "except_languages": LANGUAGE_LABEL,
}
"""What a rule of the manifest may be limited to, and the audit's column that it is about."""


def scope_of(rule: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Returns a rule's limits alone."""
    return {limit: list(rule[limit]) if rule.get(limit) else None for limit in _COLUMNS}


def in_scope(rule: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Says whether a rule of the manifest is for a document of the audit."""
    return all(
        names is None or (document.get(_COLUMNS[limit]) in names) != (limit == "except_languages")
        for limit, names in scope_of(rule).items()
    )


def scope_sql(scope: Scope) -> str:
    """Returns the condition, in SQL, that a document is one of those that a rule is for.

    It is true or false, never null.
    """
    conditions = []
    for limit, names in scope.items():
        if names:
            inside = f"{quoted(_COLUMNS[limit])} IN ({', '.join(map(literal, names))})"
            negated = "NOT " if limit == "except_languages" else ""
            conditions.append(f"{negated}coalesce({inside}, false)")
    return " AND ".join(conditions) or "true"


def scope_words(scope: Scope) -> str:
    """Says for people what a rule is limited to; empty where it is for all documents.

    Examples:
        >>> scope_words({"sources": ["web"], "languages": None, "except_languages": ["de", "fr"]})
        'web, not de or fr'
    """
    parts = [_names(scope.get(limit)) for limit in ("sources", "languages")]
    excluded = _names(scope.get("except_languages"))
    return ", ".join(part for part in (*parts, excluded and f"not {excluded}") if part)


def _names(names: list[str] | None, most: int = 3) -> str:
    shown = list(names or ())
    if len(shown) > most:
        shown = [*shown[: most - 1], f"{len(shown) - most + 1} others"]
    return " or ".join(shown)
