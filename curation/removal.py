"""The over-removal guard: after each segment, what share of each source its rules have removed.

Counts come from the records of the finished shards, so the check costs nothing; files are opened
only where a share is unusual, to name examples. `curation.limits` says which shares are.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.errors import RemovalError
from curation.limits import Limit
from curation.manifest import Record, Removal, RemovalReason, StageCount, explain, merge_counts
from curation.plan import Plan
from curation.shards import read_shard

MOST_REASONS, EXAMPLES = 3, 2
READ_SELECTS = frozenset({"http_status", "media_type"})
"""Reasons of reading that select by design: an archive holds images and redirects, too."""

_LEVELS = {"warn": 1, "stop": 2}
_SHOWN = ("doc_id", "record_id", "url", "value", "bound", "detail", "other_id", "similarity")

Files = Sequence[Sequence[Path]]


class Removals:
    """What has been removed of each source so far, and what of it is unusual."""

    def __init__(self, plan: Plan) -> None:
        """Starts with nothing read."""
        self._guard = plan.recipe.guard
        self._sources = [shard.source.name for shard in plan.shards]
        self._selects = {("read", reason) for reason in READ_SELECTS}
        for segment in plan.segments:
            for stage in (*segment.decisions, *segment.stages):
                self._selects |= {(stage.name, reason) for reason in stage.selects}
        self._entered: Counter[str] = Counter()
        self._removed: dict[str, Counter[tuple[str, str]]] = {}
        self._found: dict[tuple[str, str | None, str | None], Removal] = {}

    @property
    def warnings(self) -> list[Removal]:
        """All that was unusual and did not stop the run, in the order of segments and sources."""
        return list(self._found.values())

    def check(self, records: Sequence[Record], rejected: Files) -> None:
        """Adds the shards of a segment, and judges what it and those before it removed.

        Args:
            records: One for each shard of the plan, in its order.
            rejected: For each segment so far, the files of rejected documents in the same order.

        Raises:
            RemovalError: A share is above its `stop_above`.
        """
        stops: list[Removal] = []
        for source in dict.fromkeys(self._sources):
            mine = [place for place, name in enumerate(self._sources) if name == source]
            removals = list(self._unusual(source, merge_counts(records[place] for place in mine)))
            reasons = (
                self._reasons(
                    source, removals, [paths[place] for paths in rejected for place in mine]
                )
                if removals
                else []
            )
            for removal in removals:
                known = removal.model_copy(update={"reasons": reasons})
                self._found[removal.source, removal.stage, removal.reason] = known
                stops += [known] if known.level == "stop" else []
        if stops:
            raise _stopped(stops)

    def _unusual(self, source: str, stages: Sequence[StageCount]) -> Iterator[Removal]:
        """Yields unusual rules, stages where no rule says it all, and the total where none does."""
        worst = max(
            (_LEVELS[one.level] for one in self.warnings if one.source == source), default=0
        )
        for stage in stages:
            within = 0
            for removal in self._rules(source, stage):
                within = max(within, _LEVELS[removal.level])
                yield removal
            whole = self._stage(source, stage)
            if whole is not None and _LEVELS[whole.level] > within:
                within = _LEVELS[whole.level]
                yield whole
            worst = max(worst, within)
        total = self._total(source)
        if total is not None and _LEVELS[total.level] > worst:
            yield total

    def _rules(self, source: str, stage: StageCount) -> Iterator[Removal]:
        removed = self._removed.setdefault(source, Counter())
        self._entered[source] += stage.documents_made
        if stage.name == "read":
            self._entered[source] += stage.documents_in
        met = stage.documents_in + stage.documents_made
        for reason, count in sorted(stage.rejects.items(), key=lambda item: (-item[1], item[0])):
            removed[stage.name, reason] += count
            limit = self._limit(source, stage.name, reason)
            found = self._judge(limit, count, met)
            if found is not None:
                yield Removal(source=source, stage=stage.name, reason=reason, **found)

    def _stage(self, source: str, stage: StageCount) -> Removal | None:
        common = sum(
            count
            for reason, count in stage.rejects.items()
            if self._limit(source, stage.name, reason).own != "reason"
        )
        limit = self._guard.of_rule(source, stage.name, None, selects=False)
        found = self._judge(limit, common, stage.documents_in + stage.documents_made)
        return found if found is None else Removal(source=source, stage=stage.name, **found)

    def _total(self, source: str) -> Removal | None:
        common = own = 0
        for (stage, reason), count in self._removed.get(source, Counter()).items():
            if self._limit(source, stage, reason).own:
                own += count
            else:
                common += count
        found = self._judge(self._guard.of_source(source), common, self._entered[source] - own)
        return found if found is None else Removal(source=source, **found)

    def _limit(self, source: str, stage: str, reason: str) -> Limit:
        selects = (stage, reason) in self._selects
        return self._guard.of_rule(source, stage, reason, selects=selects)

    def _judge(self, limit: Limit, removed: int, documents: int) -> dict[str, Any] | None:
        """Returns level and numbers of an unusual share; None where it is usual, or of too few."""
        if documents < self._guard.min_documents:
            return None
        share = removed / documents
        for level, bound in (("stop", limit.stop_above), ("warn", limit.warn_above)):
            if share > bound:
                return {
                    "removed": removed, "documents": documents, "level": level, "bound": bound,
                    "setting": limit.setting,
                }  # fmt: skip
        return None

    def _reasons(
        self, source: str, found: Sequence[Removal], files: Sequence[Path]
    ) -> list[RemovalReason]:
        """Returns the most common reasons; one that no share counts is none of them."""
        told = {(one.stage, one.reason) for one in (*found, *self.warnings) if one.source == source}
        counted = {
            (stage, reason): count
            for (stage, reason), count in self._removed[source].items()
            for own in [self._limit(source, stage, reason).own]
            if not own or (stage, reason) in told or (own == "stage" and (stage, None) in told)
        }
        common = sorted(counted.items(), key=lambda item: (-item[1], item[0]))
        return [
            RemovalReason(
                stage=stage, reason=reason, documents=count,
                examples=_examples(files, stage, reason),
            )
            for (stage, reason), count in common[:MOST_REASONS]
        ]  # fmt: skip


def _examples(files: Sequence[Path], stage: str, reason: str) -> list[dict[str, Any]]:
    """Returns the documents of smallest id: the same ones however the input was cut."""
    found = []
    for path in files:
        table = read_shard(path)
        mask = pc.and_(
            pc.equal(table.column("stage"), stage), pc.equal(table.column("reason"), reason)
        )
        table = table.select(list(_SHOWN)).filter(mask)
        found.append(table.sort_by([("doc_id", "ascending")]).slice(0, EXAMPLES))
    if not found:
        return []
    joined = pa.concat_tables(found).sort_by([("doc_id", "ascending")]).slice(0, EXAMPLES)
    return [
        {name: value for name, value in row.items() if value is not None}
        for row in joined.to_pylist()
    ]


def _stopped(stops: Sequence[Removal]) -> RemovalError:
    first = stops[0]
    more = f" (and {len(stops) - 1} more)" if len(stops) > 1 else ""
    return RemovalError(
        f"{first.line()}{more}; if that is meant, allow it with --set {first.allow()} and run "
        "again: finished work is kept and reused",
        explain(stops) if more else first.details(),
    )
