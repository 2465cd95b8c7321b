"""How large a share of a source rules and stages may reject before a run warns or stops.

    [guard]
    warn_above = 0.5
    stop_above = 0.95
    min_documents = 100
    [guard.sources.forum]               # all that is removed of one source
    stop_above = 0.99
    [guard.rules.minhash_dedup]         # one stage
    warn_above = 0.8
    [guard.rules.gopher_quality.few_words]   # one reason of a stage
    stop_above = 1
    [guard.sources.forum.rules.gopher_quality]
    warn_above = 0.7

The most precise limit holds. A rule with a limit of its own answers to that limit alone: what it
rejects is not counted for its stage or its source. The same goes for reasons that select by design
(a language, a share to keep; `Stage.selects`): of them, any share below all is expected.

Limits change no data, so they are no part of a recipe's fingerprint: with another limit, a stopped
run goes on from where it stopped.
"""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]

SELECTING = (0.95, 1.0)
"""Limits of a reason that selects by design: a warning where nearly nothing is left, no stop."""


class Limits(BaseModel):
    """Shares of rejected documents, 0 to 1; None: those of the next wider table."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warn_above: Share | None = None
    """A larger share is a warning: in the manifest, the card and the terminal."""
    stop_above: Share | None = None
    """A larger share stops the run; 1 never does."""


def _flat(tables: Any) -> Any:
    """Joins the names of nested tables: rules.stage.reason is the rule `stage.reason`."""
    if not isinstance(tables, Mapping):
        return tables
    flat: dict[str, Any] = {}
    for name, table in tables.items():
        below = {}
        if isinstance(table, Mapping):
            below = {key: part for key, part in table.items() if isinstance(part, Mapping)}
            flat |= {f"{name}.{key}": part for key, part in _flat(below).items()}
            table = {key: part for key, part in table.items() if key not in below}  # noqa: PLW2901
        if table or not below:
            flat[name] = table
    return flat


Rules = Annotated[dict[str, Limits], BeforeValidator(_flat)]


class SourceLimits(Limits):
    """Limits of one source."""

    rules: Rules = Field(default_factory=dict)
    """Of stages and reasons in this source, by `stage` or `stage.reason`."""


class Limit(NamedTuple):
    """What holds for one rule, stage or source."""

    warn_above: float
    stop_above: float
    own: Literal["reason", "stage", ""]
    """Whether the reason has a limit of its own (or selects by design), else its stage."""
    setting: str
    """The table that `stop_above` comes from: "guard", "guard.sources.web" ..."""


class Guard(BaseModel):
    """The over-removal guard's settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    warn_above: Share = 0.5
    """Share of a source that one reason, one stage, or all stages together may reject without a
    warning."""
    stop_above: Share = 0.95
    """Share above which the run stops; 1: never."""
    min_documents: int = Field(default=100, ge=1)
    """A source is judged by a stage that met at least so many documents of it."""
    sources: dict[str, SourceLimits] = Field(default_factory=dict)
    """Limits of single sources."""
    rules: Rules = Field(default_factory=dict)
    """Limits of stages and reasons in all sources, by `stage` or `stage.reason`."""

    def of_source(self, source: str) -> Limit:
        """Returns the limit of all that is removed of a source."""
        return self._limit(self._of_source(source), "")

    def of_rule(self, source: str, stage: str, reason: str | None, *, selects: bool) -> Limit:
        """Returns the limit of a stage (reason None) or of one of its reasons in a source."""
        of_reason = self._of_name(source, f"{stage}.{reason}") if reason else []
        of_stage = self._of_name(source, stage)
        if selects and not of_reason and not of_stage:
            return Limit(*SELECTING, own="reason", setting="guard")
        tables = [*of_reason, *of_stage, *self._of_source(source)]
        return self._limit(tables, "reason" if of_reason else "stage" if of_stage else "")

    def _of_name(self, source: str, name: str) -> list[tuple[str, Limits]]:
        in_source = self.sources[source].rules if source in self.sources else {}
        tables = ((f"guard.sources.{source}.rules", in_source), ("guard.rules", self.rules))
        return [(f"{table}.{name}", rules[name]) for table, rules in tables if name in rules]

    def _of_source(self, source: str) -> list[tuple[str, Limits]]:
        found = self.sources.get(source)
        return [] if found is None else [(f"guard.sources.{source}", found)]

    def _limit(
        self, tables: Sequence[tuple[str, Limits]], own: Literal["reason", "stage", ""]
    ) -> Limit:
        """Takes each share from the first table that has it."""
        warn, stop, setting = self.warn_above, self.stop_above, "guard"
        for name, table in reversed(tables):
            warn = warn if table.warn_above is None else table.warn_above
            if table.stop_above is not None:
                stop, setting = table.stop_above, name
        return Limit(warn, stop, own, setting)
