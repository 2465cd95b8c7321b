"""The order in which documents meet the stages of a finished dataset, and what each could not see.

A stage has a position, and so has what it rejects: its position times `ROOM`, and after that the
rule's number from 1; 0 is for what is no rule (a decision, a record that cannot be read). So of all
that a document breaks, the smallest place is the reason that a run gives.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from curation.audit.scope import scope_of, scope_sql
from curation.audit.tables import literal
from curation.manifest import Manifest
from curation.stage import ExpandStage, GlobalStage
from curation.stages import KINDS

ROOM = 1000


class Entry(NamedTuple):
    """A stage at its position; stages of one name that stand apart are several."""

    name: str
    decides: bool
    """It decides between documents."""
    sources: frozenset[str] | None
    """Whose documents it looks at; None: all."""
    scopes: list[dict[str, list[str] | None]]

    def meets(self, sources: frozenset[str] | None) -> bool:
        """Says whether the stage looks at documents of any of some sources."""
        return self.sources is None or sources is None or bool(self.sources & sources)


class Moved(NamedTuple):
    """Documents of one source that leave the pipeline at another stage than they did."""

    flip: str
    source: str
    old: float
    """Position of the stage that rejected them; infinite where they were kept."""
    new: float
    """The same under the other bounds, as far as it is known."""
    documents: int


class Order:
    """The stages of a dataset in order, and who of them decides between documents."""

    def __init__(self, manifest: Manifest, reasons: Mapping[str, Sequence[str]]) -> None:
        """Lays out the stages.

        Args:
            manifest: Of the dataset.
            reasons: Of each stage, the reasons of its rules in their order.
        """
        self.entries = _entries(manifest)
        self._reasons = reasons
        self._score_all = bool(manifest.recipe.get("score_all", True))
        self._unique = {stage.name for stage in manifest.stages if stage.kind == "unique_id"}

    def place_sql(self, stage: str, reason: str) -> str:
        """Returns, in SQL, the place of what two expressions name for a document."""
        stages = " ".join(
            f"WHEN {literal(name)} THEN {self._position(name)}"
            for name in dict.fromkeys(entry.name for entry in self.entries)
        )
        rules = " ".join(
            f"WHEN {literal(f'{name}.{one}')} THEN {number}"
            for name, mine in self._reasons.items()
            for number, one in enumerate(mine, 1)
        )
        number = f"CASE {stage} || '.' || {reason} {rules} ELSE 0 END" if rules else "0"
        return f"CAST((CASE {stage} {stages} END) * {ROOM} + {number} AS BIGINT)"

    def rule_place_sql(self, stage: str, reason: str) -> str:
        """Returns, in SQL, the place of a rule for a document."""
        number = self._reasons[stage].index(reason) + 1
        return f"CAST({self._position(stage)} * {ROOM} + {number} AS BIGINT)"

    def _position(self, name: str) -> str:
        """Returns the position of a stage; of several, the one whose scope a document is in."""
        *others, last = [k for k, entry in enumerate(self.entries) if entry.name == name]
        whens = " ".join(
            f"WHEN {scope_sql(scope)} THEN {position}"
            for position in others
            for scope in self.entries[position].scopes
        )
        return f"(CASE {whens} ELSE {last} END)" if whens else str(last)

    def decide_again(self, moved: Iterable[Moved], *, ids_repeat: bool) -> list[str]:
        """Returns the stages that would decide between other documents than they did.

        Where one of them does, whatever decides after it may, too.
        """
        moved = list(moved)
        again: list[Entry] = []
        for position, entry in enumerate(self.entries):
            if not entry.decides or (entry.name in self._unique and not ids_repeat):
                continue  # a single id passes wherever it comes from
            met = any(
                (one.old < position) != (one.new < position)
                and entry.meets(frozenset({one.source}))
                for one in moved
            )
            if met or any(entry.meets(other.sources) for other in again):
                again.append(entry)
        return list(dict.fromkeys(entry.name for entry in again))

    def never_saw(self, moved: Iterable[Moved], *, ids_repeat: bool) -> dict[str, int]:
        """Returns the stages that could reject documents that come back, which they never met."""
        counts: dict[str, int] = {}
        for one in moved:
            for position, entry in enumerate(self.entries):
                if entry.name in self._unique and not ids_repeat:
                    continue
                if one.flip == "returning" and self._is_unseen(one, position):
                    counts[entry.name] = counts.get(entry.name, 0) + one.documents
        names = dict.fromkeys(entry.name for entry in self.entries)
        return {name: counts[name] for name in names if name in counts}

    def _is_unseen(self, one: Moved, position: int) -> bool:
        entry = self.entries[position]
        rejects = entry.decides or bool(self._reasons.get(entry.name))
        if position <= one.old or not rejects or not entry.meets(frozenset({one.source})):
            return False
        # Whatever decides begins a new segment, into which a rejected document does not come.
        between = self.entries[int(one.old) + 1 : position + 1]
        return not self._score_all or any(other.decides for other in between)

    def deciding_positions(self) -> dict[str, int]:
        """Returns the position of each stage that decides between documents."""
        return {entry.name: k for k, entry in enumerate(self.entries) if entry.decides}


def _entries(manifest: Manifest) -> list[Entry]:
    parts: list[Mapping[str, Any]] = list(manifest.recipe.get("stages", ()))
    recorded = {part["name"] for part in parts}
    ours = [stage for stage in manifest.stages if stage.name not in recorded]
    if any(stage.kind not in ("read", "unique_id") for stage in ours):
        parts = [{"name": stage.name, "kind": stage.kind} for stage in manifest.stages]
        return [_entry([part]) for part in parts]
    found: list[list[Mapping[str, Any]]] = []
    for part in parts:
        if found and found[-1][0]["name"] == part["name"]:
            found[-1].append(part)
        else:
            found.append([part])
    entries = [_entry(mine) for mine in found]
    # Repeated ids are looked for before anything else is decided: see `curation.plan`.
    decides = [k for k, mine in enumerate(found) if _is(mine[0]["kind"], GlobalStage)]
    first = decides[0] if decides else len(entries)
    for stage in ours:
        place = 0 if stage.kind == "read" else first
        entries.insert(place, _entry([{"name": stage.name, "kind": stage.kind}]))
        first += place == 0
    return entries


def _entry(parts: Sequence[Mapping[str, Any]]) -> Entry:
    kind = parts[0]["kind"]
    sources = [part.get("sources") for part in parts]
    return Entry(
        parts[0]["name"],
        _is(kind, GlobalStage, ExpandStage),  # other parents have other children
        None if None in sources else frozenset(name for names in sources for name in names or ()),
        [scope_of(part) for part in parts],
    )


def _is(kind: str, *models: type) -> bool:
    return kind in KINDS and issubclass(KINDS[kind], models)


def position_of(place: int | None) -> float:
    """Returns the position of the stage of a place; None, which is no place, comes last."""
    return math.inf if place is None else place // ROOM
