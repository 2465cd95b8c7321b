"""Which documents a recorded rule is for: those of its sources, in its languages."""

from collections.abc import Mapping
from typing import Any

from curation.audit.tables import literal, quoted

_LIMITS = {"sources": "source", "languages": "language_label"}
"""What a rule of the manifest may be limited to, and the audit's column that it is about."""


def in_scope(rule: Mapping[str, Any], document: Mapping[str, Any]) -> bool:
    """Says whether a rule of the manifest is for a document of the audit."""
    return all(
        rule.get(limit) is None or document.get(column) in rule[limit]
        for limit, column in _LIMITS.items()
    )


def scope_sql(scope: Mapping[str, Any]) -> str:
    """Returns the condition, in SQL, that a document is one of those that a rule is for.

    It is true or false, never null.
    """
    conditions = [
        f"coalesce({quoted(column)} IN ({', '.join(map(literal, scope[limit]))}), false)"
        if scope[limit]
        else "false"
        for limit, column in _LIMITS.items()
        if scope.get(limit) is not None
    ]
    return " AND ".join(conditions) or "true"


def scope_of(rule: Mapping[str, Any]) -> dict[str, list[str] | None]:
    """Returns a rule's limits alone."""
    return {limit: rule.get(limit) and list(rule[limit]) for limit in _LIMITS}


def scope_words(scope: Mapping[str, Any]) -> str:
    """Says for people what a rule is limited to; empty where it is for all documents."""
    return " ".join(", ".join(scope[limit]) for limit in _LIMITS if scope.get(limit) is not None)
