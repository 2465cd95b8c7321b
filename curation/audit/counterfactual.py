"""Which documents flip when bounds change, from the audit alone: nothing is scored again.

A rejected document keeps its scores and all bounds that it broke, so the rules of its segment can
be decided again exactly. What later segments would say of a document that comes back is not known:
they never saw it. And where other documents come in, a stage that decides between documents may
choose others. Both are said beside the counts.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from curation.audit.bounds import Bound, changed_bounds
from curation.audit.scope import scope_sql
from curation.audit.tables import connect, literal, quoted, rows
from curation.errors import DataError
from curation.manifest import Manifest, read_manifest
from curation.stage import GlobalStage
from curation.stages import KINDS

_FLIPS = """
CREATE TEMP TABLE flips AS
WITH judged AS (
    SELECT doc_id, record_id, source, url, verdict, stage, reason, value, bound, text_bytes,
        [item FOR item IN coalesce(broken, []) IF NOT ({lifted})] AS remaining,
        len(coalesce(broken, [])) > len(remaining) AS touched,
        [item FOR item IN [{added}] IF item IS NOT NULL] AS added
    FROM documents)
SELECT * EXCLUDE (touched),
    CASE
        WHEN verdict = 'kept' THEN 'leaving'
        WHEN len(remaining) + len(added) > 0 THEN 'staying'
        WHEN text_bytes IS NULL THEN 'unknown'
        ELSE 'returning'
    END AS flip,
    coalesce(remaining[1], added[1]) AS why
FROM judged
WHERE (verdict = 'kept' AND len(added) > 0)
    OR (verdict = 'rejected' AND touched
        AND NOT list_contains([item.stage || '.' || item.reason FOR item IN remaining],
                              stage || '.' || reason)
        AND NOT list_contains([item.stage || '.' || item.reason FOR item IN added],
                              stage || '.' || reason))
"""

_FREED = """
SELECT lost.why.stage AS stage, member.stage AS dedup, count(DISTINCT member.doc_id) AS documents
FROM flips AS lost
JOIN clusters ON clusters.survivor = lost.doc_id AND lost.flip = 'leaving'
JOIN documents AS member ON member.doc_id = clusters.member AND member.other_id IS NOT NULL
GROUP BY ALL
"""


class Flips(NamedTuple):
    """Documents of one fate."""

    documents: int
    groups: list[dict[str, Any]]
    """Counts by source and by the reason before and after."""
    examples: list[dict[str, Any]]
    """Some of them, in the order of a hash: doc_id, url, source, and each reason with value and
    bound."""


class Outcome(NamedTuple):
    """What other bounds would have done to a finished dataset."""

    bounds: list[Bound]
    """The changed rules; those of unchanged scopes are left out."""
    kept: int
    """Documents that were kept."""
    kept_so_far: int
    """Documents that no known rule would reject: exact where `exact` is true."""
    exact: bool
    """Every verdict is known: a run with these bounds keeps just these documents."""
    returning: Flips
    """Rejected so far, and now by no rule that saw them."""
    leaving: Flips
    """Kept so far, and now rejected."""
    staying: Flips
    """Free of the reason that rejected them, and rejected by another rule that saw them."""
    unknown: Flips
    """Free of the reason that rejected them, but without a text that anything else could score."""
    undecided_by: dict[str, int]
    """Stages that never saw documents of `returning`, with the number of those."""
    decided_again: list[str]
    """Stages that decide between documents, and would meet others than they did."""
    freed: int
    """Duplicates whose kept twin would be rejected before they are compared."""


def decide(directory: Path, settings: Sequence[str], *, examples: int = 5) -> Outcome:
    """Returns which documents would flip under other bounds.

    Args:
        directory: The dataset.
        settings: Each `stage.rule=value`; `curation.audit.bounds` says how rules are addressed.
        examples: Documents listed of each fate.

    Raises:
        RecipeError: A setting is unknown, no bound, or does not fit.
        DataError: The dataset has no such scores.
    """
    manifest = read_manifest(directory)
    bounds = changed_bounds(manifest, settings)
    order = _Order(manifest)
    with connect(directory) as connection:
        _find_flips(connection, bounds)
        fates = {
            fate: _flips(connection, fate, examples)
            for fate in ("returning", "leaving", "staying", "unknown")
        }
        repeated = _some_ids_repeat(connection)
        freed = sum(
            row["documents"]
            for row in rows(connection, _FREED)
            if order.is_before(row["stage"], row["dedup"])
        )
    undecided = _undecided_by(order, fates["returning"])
    again = order.global_after(
        [group["stage"] for group in fates["returning"].groups]
        + [group["new_stage"] for group in fates["leaving"].groups]
    )
    if not repeated:  # a single id passes wherever it comes from
        for name in order.unique:
            undecided.pop(name, None)
        again = [name for name in again if name not in order.unique]
    kept = manifest.totals.documents_kept
    return Outcome(
        bounds=[bound for bound in bounds if bound.changed],
        kept=kept,
        kept_so_far=kept + fates["returning"].documents - fates["leaving"].documents,
        exact=not (undecided or again or fates["unknown"].documents),
        undecided_by=undecided,
        decided_again=again,
        freed=freed,
        **fates,
    )


def _find_flips(connection: duckdb.DuckDBPyConnection, bounds: Sequence[Bound]) -> None:
    columns = connection.view("documents").columns
    for bound in bounds:
        if bound.column not in columns:
            raise DataError(
                f"rule {bound.stage}.{bound.reason}: the audit has no column '{bound.column}'; "
                "the dataset was made without that score; run again"
            )
    rules: dict[tuple[str, str], list[Bound]] = {}
    for bound in bounds:
        rules.setdefault((bound.stage, bound.reason), []).append(bound)
    lifted = [
        f"(item.stage = {literal(stage)} AND item.reason = {literal(reason)} "
        f"AND ({_scope(pieces)}))"
        for (stage, reason), pieces in rules.items()
    ]
    added = [_broken(stage, reason, pieces) for (stage, reason), pieces in rules.items()]
    connection.execute(
        _FLIPS.format(lifted=" OR ".join(lifted) or "false", added=", ".join(added) or "NULL")
    )


def _scope(pieces: Sequence[Bound]) -> str:
    return " OR ".join(f"({scope_sql(piece.scope)})" for piece in pieces)


def _broken(stage: str, reason: str, pieces: Sequence[Bound]) -> str:
    """Returns, in SQL, what a document breaks of one rule: a struct, or null.

    NaN and null lie inside of all bounds, as they do in `curation.segment`.
    """
    value = f"CAST({quoted(pieces[0].column)} AS DOUBLE)"
    cases = [f"WHEN {scope_sql(piece.scope)} THEN {_side(piece, value)}" for piece in pieces]
    bound = f"CASE WHEN {value} IS NULL OR isnan({value}) THEN NULL {' '.join(cases)} END"
    return (
        f"CASE WHEN {bound} IS NOT NULL THEN {{'stage': {literal(stage)}, "
        f"'reason': {literal(reason)}, 'value': {value}, 'bound': {bound}}} END"
    )


def _side(piece: Bound, value: str) -> str:
    cases = []
    if piece.low is not None:
        cases.append(f"WHEN {value} < {_double(piece.low)} THEN {_double(piece.low)}")
    if piece.high is not None:
        cases.append(f"WHEN {value} > {_double(piece.high)} THEN {_double(piece.high)}")
    return f"(CASE {' '.join(cases)} END)" if cases else "CAST(NULL AS DOUBLE)"


def _double(number: float) -> str:
    return f"CAST('{float(number)!r}' AS DOUBLE)"


def _flips(connection: duckdb.DuckDBPyConnection, fate: str, examples: int) -> Flips:
    groups = rows(
        connection,
        "SELECT source, stage, reason, why.stage AS new_stage, why.reason AS new_reason, "
        "count(*) AS documents FROM flips WHERE flip = $1 GROUP BY ALL "
        "ORDER BY documents DESC, source, stage, reason, new_stage, new_reason",
        fate,
    )
    listed = rows(
        connection,
        "SELECT doc_id, record_id, source, url, stage, reason, value, bound, "
        "why.stage AS new_stage, why.reason AS new_reason, why.value AS new_value, "
        "why.bound AS new_bound FROM flips WHERE flip = $1 "
        "ORDER BY md5(doc_id), record_id LIMIT $2",
        fate,
        examples,
    )
    return Flips(sum(group["documents"] for group in groups), groups, listed)


def _some_ids_repeat(connection: duckdb.DuckDBPyConnection) -> bool:
    found = connection.execute(
        "SELECT 1 FROM documents WHERE doc_id IN (SELECT doc_id FROM flips) "
        "GROUP BY doc_id HAVING count(*) > 1 LIMIT 1"
    ).fetchall()
    return bool(found)


def _undecided_by(order: "_Order", returning: Flips) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for group in returning.groups:
        for stage in order.never_saw(group["stage"], group["source"]):
            counts[stage] += group["documents"]
    return {stage: counts[stage] for stage in order.names if stage in counts}


class _Order:
    """Which stages a document meets after it was rejected by one, and which of them it does not."""

    def __init__(self, manifest: Manifest) -> None:
        self.names = [stage.name for stage in manifest.stages]
        self.unique = [stage.name for stage in manifest.stages if stage.kind == "unique_id"]
        self._score_all = bool(manifest.recipe.get("score_all", True))
        self._global = {
            stage.name for stage in manifest.stages
            if issubclass(KINDS.get(stage.kind, object), GlobalStage)
        }  # fmt: skip
        self._rejecting = self._global | set(manifest.rules)
        self._segment = self._segments()
        self._sources = _stage_sources(manifest)

    def _segments(self) -> dict[str, int]:
        """As `curation.plan` lays them out: a global stage after a batch stage begins one."""
        segment, before_is_global = 0, False
        segments = {}
        for name in self.names:
            is_global = name in self._global
            segment += is_global and not before_is_global
            before_is_global = is_global
            segments[name] = segment
        return segments

    def is_before(self, stage: str, other: str) -> bool:
        """Whether what `stage` rejects is gone before `other`, a global stage, decides."""
        return self._segment[stage] < self._segment[other]

    def never_saw(self, stage: str, source: str) -> list[str]:
        """Returns the rejecting stages that a document has not met when `stage` rejects it."""
        later = self.names[self.names.index(stage) + 1 :]
        return [
            name for name in later
            if (not self._score_all or name in self._global or self.is_before(stage, name))
            and name in self._rejecting and source in self._sources.get(name, (source,))
        ]  # fmt: skip

    def global_after(self, stages: Sequence[str]) -> list[str]:
        """Returns the global stages that come after any of some stages has decided."""
        return [
            name
            for name in self.names
            if name in self._global and any(self._is_later(name, stage) for stage in stages)
        ]

    def _is_later(self, name: str, stage: str) -> bool:
        both_global = name in self._global and stage in self._global
        if both_global and self._segment[name] == self._segment[stage]:
            return self.names.index(name) > self.names.index(stage)
        return self.is_before(stage, name)


def _stage_sources(manifest: Manifest) -> dict[str, set[str]]:
    """Returns the sources that each stage is for; a stage of the recipe that names none: all."""
    sources: dict[str, set[str]] = {}
    for part in manifest.recipe["stages"]:
        sources.setdefault(part["name"], set()).update(part.get("sources") or manifest.sources)
    return sources


def outcome_json(outcome: Outcome) -> Mapping[str, Any]:
    """Returns an outcome as plain values for machines."""
    fates = ("returning", "leaving", "staying", "unknown")
    return {
        **outcome._asdict(),
        "bounds": [bound._asdict() for bound in outcome.bounds],
        **{fate: getattr(outcome, fate)._asdict() for fate in fates},
    }
