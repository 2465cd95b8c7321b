"""Which documents flip when bounds change, from the audit alone: nothing is scored again.

A rejected document keeps its scores and all bounds that it broke, so the rules of its segment can
be decided again exactly. What later segments would say of a document that comes back is not known:
they never saw it. And where other documents come to a stage that decides between documents, or some
no longer do, it may choose others. Both are said beside the counts.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import duckdb

from curation.audit.bounds import Asked, Bound, changed_bounds
from curation.audit.order import ROOM, Moved, Order, position_of
from curation.audit.scope import scope_sql
from curation.audit.tables import connect, literal, quoted, rows
from curation.errors import DataError
from curation.manifest import read_manifest
from curation.schema import LANGUAGE_LABEL

_BREAK = "STRUCT(place BIGINT, stage VARCHAR, reason VARCHAR, value DOUBLE, bound DOUBLE)"

# Of all that a document breaks, the first in the order of stages and rules is the reason; those
# that it broke are listed in this order. Most documents neither lose nor gain one: they drop out
# before anything is put in order.
_FLIPS = """
CREATE TEMP TABLE flips AS
WITH judged AS (
    SELECT doc_id, record_id, source, {scopes} url, verdict, stage, reason, value, bound,
        text_bytes,
        [item FOR item IN coalesce(broken, []) IF NOT ({lifted})] AS remaining,
        len(coalesce(broken, [])) > len(remaining) AS touched,
        [item FOR item IN [{added}] IF item IS NOT NULL] AS added
    FROM documents),
placed AS MATERIALIZED (
    SELECT *, remaining[1] AS left_over, list_sort(added)[1] AS new,
        CASE WHEN verdict = 'rejected' THEN {place} END AS place,
        CASE WHEN len(remaining) > 0 THEN {left_place} END AS left_place
    FROM judged WHERE touched OR len(added) > 0),
decided AS MATERIALIZED (
    SELECT * EXCLUDE (touched, remaining, added, left_over, new, left_place),
        CASE WHEN left_over IS NULL OR new.place < left_place THEN new
            ELSE CAST(struct_pack(place := left_place, stage := left_over.stage,
                reason := left_over.reason, value := left_over.value, bound := left_over.bound)
                AS {struct}) END AS why
    FROM placed)
SELECT *,
    CASE
        WHEN verdict = 'kept' THEN 'leaving'
        WHEN why IS NOT NULL THEN 'staying'
        WHEN text_bytes IS NULL THEN 'unknown'
        ELSE 'returning'
    END AS flip
FROM decided
WHERE CASE WHEN verdict = 'kept' THEN why IS NOT NULL
    ELSE why IS NULL OR why.stage <> stage OR why.reason <> reason END
"""

_MOVED = """
SELECT flip, source, place, why.place AS new_place, count(*) AS documents FROM flips GROUP BY ALL
"""

# A twin that met the stage that compared them, and would not any more; the member still would.
_FREED = """
SELECT count(DISTINCT member.doc_id) AS documents
FROM documents AS member
LEFT JOIN clusters ON clusters.member = member.doc_id
JOIN flips AS twin ON twin.doc_id IN (member.other_id, clusters.survivor)
WHERE member.other_id IS NOT NULL
    AND (twin.place IS NULL OR twin.place >= {decided}) AND twin.why.place < {decided}
    AND NOT EXISTS (FROM flips WHERE flips.doc_id = member.doc_id AND flips.why.place < {decided})
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
    """Rejected so far, and now by another rule that saw them."""
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
    asked = changed_bounds(manifest, settings)
    order = Order(manifest, asked.reasons)
    with connect(directory) as connection:
        _find_flips(connection, asked, order)
        fates = {
            fate: _flips(connection, fate, examples)
            for fate in ("returning", "leaving", "staying", "unknown")
        }
        moved = [
            Moved(
                row["flip"], row["source"], position_of(row["place"]),
                position_of(row["new_place"]), row["documents"],
            )
            for row in rows(connection, _MOVED)
        ]  # fmt: skip
        repeat = _some_ids_repeat(connection)
        freed = _freed(connection, order)
    undecided = order.never_saw(moved, ids_repeat=repeat)
    again = order.decide_again(moved, ids_repeat=repeat)
    kept = manifest.totals.documents_kept
    return Outcome(
        bounds=[bound for bound in asked.bounds if bound.changed],
        kept=kept,
        kept_so_far=kept + fates["returning"].documents - fates["leaving"].documents,
        exact=not (undecided or again or fates["unknown"].documents),
        undecided_by=undecided,
        decided_again=again,
        freed=freed,
        **fates,
    )


def _find_flips(connection: duckdb.DuckDBPyConnection, asked: Asked, order: Order) -> None:
    columns = connection.view("documents").columns
    for bound in asked.bounds:
        if bound.column not in columns:
            raise DataError(
                f"rule {bound.stage}.{bound.reason}: the audit has no column '{bound.column}'; "
                "the dataset was made without that score; run again"
            )
    rules: dict[tuple[str, str], list[Bound]] = {}
    for bound in asked.bounds:
        rules.setdefault((bound.stage, bound.reason), []).append(bound)
    lifted = [
        f"(item.stage = {literal(stage)} AND item.reason = {literal(reason)} "
        f"AND ({' OR '.join(scope_sql(piece.scope) for piece in pieces)}))"
        for (stage, reason), pieces in rules.items()
    ]
    added = [_broken(pieces, order) for pieces in rules.values()]
    connection.execute(
        _FLIPS.format(
            struct=_BREAK,
            place=order.place_sql("stage", "reason"),
            left_place=order.place_sql("remaining[1].stage", "remaining[1].reason"),
            scopes=f"{quoted(LANGUAGE_LABEL)}," if LANGUAGE_LABEL in columns else "",
            lifted=" OR ".join(lifted) or "false",
            added=", ".join(added) or f"CAST(NULL AS {_BREAK})",
        )
    )


def _broken(pieces: Sequence[Bound], order: Order) -> str:
    """Returns, in SQL, what a document breaks of one rule: a struct, or null.

    NaN and null lie inside of all bounds, as they do in `curation.segment`.
    """
    cases = " ".join(f"WHEN {scope_sql(one.scope)} THEN {_sides(one, order)}" for one in pieces)
    return f"CAST(CASE {cases} END AS {_BREAK})"


def _sides(piece: Bound, order: Order) -> str:
    value = f"CAST({quoted(piece.column)} AS DOUBLE)"
    place = order.rule_place_sql(piece.stage, piece.reason)
    stage, reason = literal(piece.stage), literal(piece.reason)
    cases = [
        f"WHEN {value} {sign} {_double(bound)} THEN struct_pack("
        f"place := {place}, stage := {stage}, reason := {reason}, "
        f"value := {value}, bound := {_double(bound)})"
        for sign, bound in (("<", piece.low), (">", piece.high))
        if bound is not None
    ]
    return f"CASE WHEN isnan({value}) THEN NULL {' '.join(cases)} END" if cases else "NULL"


def _double(number: float) -> str:
    return f"CAST('{float(number)!r}' AS DOUBLE)"


def _freed(connection: duckdb.DuckDBPyConnection, order: Order) -> int:
    positions = order.deciding_positions()
    if not positions:
        return 0
    whens = " ".join(
        f"WHEN {literal(name)} THEN {position * ROOM}" for name, position in positions.items()
    )
    [found] = rows(connection, _FREED.format(decided=f"(CASE member.stage {whens} END)"))
    return int(found["documents"])


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


def outcome_json(outcome: Outcome) -> Mapping[str, Any]:
    """Returns an outcome as plain values for machines."""
    fates = ("returning", "leaving", "staying", "unknown")
    return {
        **outcome._asdict(),
        "bounds": [bound._asdict() for bound in outcome.bounds],
        **{fate: getattr(outcome, fate)._asdict() for fate in fates},
    }
