"""Decided, leaning or not decided: by rules that a reader can check one by one.

A condition that must hold and does not makes a question undecided, however narrow its interval;
one that is only needed for a full decision makes it leaning at most. What is not known counts as
not met. The interval of the ratio is one of them: at 1 there is nothing to choose.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from curation.shards import replacing
from curation.study.flips import Flip
from curation.study.predict import Estimate
from curation.study.prices import Range
from curation.study.words import number

Status = Literal["decided", "leaning", "not decided"]
Weight = Literal["must", "full", "note"]
"""must: or it is not decided; full: or it is leaning at most; note: said, and nothing more."""

_MUST: Weight = "must"
_FULL: Weight = "full"
IDENTIFIED = "the design identifies the law"
FULL, LEAN = 0.95, 0.80
"""Intervals that must exclude 1 to decide, and to lean."""


@dataclass(frozen=True)
class Condition:
    """One thing that a decision rests on."""

    name: str
    weight: Weight
    met: bool | None
    """None: not known, which does not count as met."""
    found: str
    expected: str

    @property
    def state(self) -> str:
        """Says whether it is met."""
        return {True: "met", False: "not met", None: "not known"}[self.met]

    def as_json(self) -> dict[str, Any]:
        """Returns it for verdict.json."""
        return {
            "name": self.name,
            "weight": self.weight,
            "state": self.state,
            "found": self.found,
            "expected": self.expected,
        }


@dataclass(frozen=True)
class Deciding:
    """What would decide an undecided question, and what that would cost."""

    action: str
    runs: int | None = None
    dollars: Range | None = None
    """None: not known; never 0 by default."""

    def sentence(self) -> str:
        """Says it, costs included."""
        if self.runs is None:
            return f"{self.action}."
        cost = f"about ${number(self.dollars.mid)}" if self.dollars else "at a cost that is unknown"
        return f"{self.action}: {self.runs:,} more run{'s' * (self.runs != 1)}, {cost}."

    def as_json(self) -> dict[str, Any]:
        """Returns it for verdict.json."""
        dollars = self.dollars
        return {
            "action": self.action,
            "runs": self.runs,
            "dollars": dollars and {"low": dollars.low, "mid": dollars.mid, "high": dollars.high},
        }


@dataclass(frozen=True)
class Verdict:
    """The answer to one question."""

    question: str
    choice: str
    """The better side, also where it is not decided; `status` says how far to trust it."""
    ratio: Estimate | None
    """Of the first side to the second; None: it could not be computed."""
    status: Status
    why: str
    sentence: str
    flips: tuple[Flip, ...] = ()
    conditions: tuple[Condition, ...] = ()
    would_decide: Deciding | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    """Further figures of the sentence."""

    def as_json(self) -> dict[str, Any]:
        """Returns the content of verdict.json; infinite numbers are null there."""
        none = {"mid": None, "low": None, "high": None}
        return {
            "question": self.question,
            "choice": self.choice,
            "status": self.status,
            "ratio": self.ratio.as_json() if self.ratio else none,
            "why": self.why,
            "sentence": self.sentence,
            "flips": [_flip_json(one) for one in self.flips],
            "conditions": [one.as_json() for one in self.conditions],
            "would_decide": self.would_decide.as_json() if self.would_decide else None,
            "facts": dict(self.facts),
        }


def _flip_json(one: Flip) -> dict[str, Any]:
    now = one.now
    return {
        "price": one.price,
        "unit": one.unit,
        "at": one.at.as_json(),
        "now": now and {"low": now.low, "mid": now.mid, "high": now.high},
        "better_above": one.above,
        "better_below": one.below,
        "sentence": one.sentence(),
    }


def excludes_one(ratio: Estimate | None, share: float) -> bool | None:
    """Whether an interval lies on one side of 1; None where there is none."""
    found = ratio.interval(share) if ratio is not None else None
    return None if found is None else not found[0] <= 1.0 <= found[1]


def interval_conditions(ratio: Estimate | None) -> list[Condition]:
    """Returns the two conditions on the interval of a ratio."""

    def on(share: float, weight: Weight) -> Condition:
        name = f"{share:.0%} interval of the ratio"
        met, said = excludes_one(ratio, share), interval_text(ratio, share)
        return Condition(name, weight, met, said, "excludes 1")

    return [on(LEAN, "must"), on(FULL, "full")]


def interval_text(ratio: Estimate | None, share: float = FULL) -> str:
    """Returns "0.8 to 1.9", or that there is no interval."""
    found = ratio.interval(share) if ratio is not None else None
    return "no interval" if found is None else f"{number(found[0])} to {number(found[1])}"


def status_of(conditions: Sequence[Condition]) -> tuple[Status, str]:
    """Returns the status that conditions allow, and the reason in one line.

    Without any condition nothing is decided.
    """
    lacking = {
        weight: [one for one in conditions if one.weight == weight and one.met is not True]
        for weight in ("must", "full")
    }
    if not conditions:
        return "not decided", "nothing was examined"
    if lacking["must"]:
        return "not decided", _reasons(lacking["must"])
    if lacking["full"]:
        return "leaning", _reasons(lacking["full"])
    return "decided", "every condition is met"


def _reasons(lacking: Sequence[Condition]) -> str:
    return "; ".join(f"{one.name}: {one.found}, expected {one.expected}" for one in lacking)


def forms_condition(mids: Mapping[str, float]) -> Condition:
    """Returns whether all forms of a law put the ratio on the same side of 1.

    Args:
        mids: Form -> its ratio.
    """
    name = "all forms of the law agree"
    said = ", ".join(f"{form} {number(ratio)}" for form, ratio in sorted(mids.items()))
    if len(mids) < 2:
        return Condition(name, "full", None, said or "none", "two forms or more, one side of 1")
    signs = {ratio > 1 for ratio in mids.values()}
    return Condition(name, "must", len(signs) == 1, said, "the same side of 1")


HARD = ("collinear", "unidentified: marginal", "not converged")
"""Starts of flags that undo a decision."""


def identified_conditions(flags: Sequence[str], *, repeats: bool) -> list[Condition]:
    """Returns whether the design identifies what the ratio rests on.

    A flag of the ratio itself or of the whole grid undoes a decision; one of a constant alone is
    already in the interval of the ratio, and only keeps a verdict from being a full one.

    Args:
        flags: Of the law.
        repeats: Whether the ratio rests on repeated tokens: else flags of R_D and R_N are left out.
    """
    said = [flag for flag in flags if repeats or not flag.startswith("unidentified: R_")]
    hard = [flag for flag in said if flag.startswith(HARD)]
    soft = [flag for flag in said if flag not in hard]
    return [
        Condition(name, weight, not found, "; ".join(found) or "no flag", "no flag")
        for name, weight, found in (
            (IDENTIFIED, _MUST, hard), ("every constant of the law is sure", _FULL, soft)
        )
    ]  # fmt: skip


def more_runs(ratio: Estimate | None, runs: int, dollars: Range | None) -> Deciding:
    """Returns how many more runs are expected to decide: widths shrink with the root of the runs.

    Args:
        ratio: With draws.
        runs: That were done.
        dollars: Of one run; None: unknown.
    """
    found = ratio.interval(FULL) if ratio is not None else None
    if ratio is None or found is None or not 0 < found[0] <= found[1] < math.inf:
        return Deciding("repeat the fit with an interval: more seeds and more cells")
    half = max(math.log(found[1] / found[0]) / 2, 1e-12)
    distance = abs(math.log(max(ratio.mid, 1e-300)))
    if distance < half / 10:
        return Deciding(
            "the sides are level within what a hundred times the runs could tell: "
            "take the cheaper or the simpler one"
        )
    more = max(1, math.ceil(runs * ((half / distance) ** 2 - 1)))
    return Deciding(
        "more cells and seeds like these", more, None if dollars is None else dollars * more
    )


def write_verdict(path: Path, verdicts: Sequence[Verdict]) -> None:
    """Writes the first verdict with the others under `others`, whole or not at all."""
    first, *others = [_finite(one.as_json()) for one in verdicts]
    text = json.dumps({**first, "others": others}, indent=1, ensure_ascii=False, allow_nan=False)
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return value
