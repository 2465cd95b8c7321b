"""The question of a recipe: is it better than a baseline, and by which factor of data?"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from curation.study.evidence import Gap
from curation.study.ground import GAP, Ground, deciding, ground_conditions
from curation.study.predict import Estimate
from curation.study.verdict import (
    Condition,
    Deciding,
    Verdict,
    interval_conditions,
    interval_text,
    status_of,
)
from curation.study.words import number, short

MOST_SEEDS = 50


@dataclass(frozen=True)
class RecipeEvidence:
    """What is known of a recipe against a baseline."""

    measured: Estimate | None
    """Factor of data by the runs alone."""
    by_law: Estimate | None
    gap: Gap | None
    documents: Estimate | None
    """Bits per byte saved on paired held-out documents at the largest cell."""
    ended: Mapping[str, float] = field(default_factory=dict)
    """Recipes whose text has ended there -> how often they see it."""


def recipe_worth(baseline: str, recipe: str, evidence: RecipeEvidence, ground: Ground) -> Verdict:
    """Answers whether a recipe is better than a baseline, as a factor of data.

    Args:
        baseline: Name of the recipe that is compared with.
        recipe: Name of the other one.
        evidence: By runs, law, seeds and documents.
        ground: The runs as a whole.
    """
    factor = evidence.measured or evidence.by_law
    conditions = [
        *interval_conditions(factor),
        _gap_condition(evidence.gap, factor),
        _law_condition(evidence, factor),
        _documents_condition(evidence.documents, factor),
        *ground_conditions(ground, law_rests=False),
    ]
    status, why = status_of(conditions)
    better = recipe if factor is not None and factor.mid >= 1 else baseline
    return Verdict(
        f"Is {recipe} better than {baseline}?",
        better if factor is not None else "none",
        factor,
        status,
        why,
        _recipe_sentence(baseline, recipe, evidence, status),
        (),
        tuple(conditions),
        None if status == "decided" else _deciding(conditions, evidence, factor, ground),
        {"baseline": baseline, "recipe": recipe, "by": "runs" if evidence.measured else "law"},
    )


def _deciding(
    conditions: Sequence[Condition],
    evidence: RecipeEvidence,
    factor: Estimate | None,
    ground: Ground,
) -> Deciding:
    """Returns the seeds that would clear the gap where the noise hides it, else what is lacking."""
    gap, noise, each = evidence.gap, ground.noise, ground.run_dollars
    if gap is None or noise is None or gap.clear:
        return deciding(conditions, factor, ground)
    # The half-width is about 2 sd sqrt(2 / seeds): so many seeds make it the gap.
    wanted = 8 * (noise.sd / max(abs(gap.log_ratio), 1e-9)) ** 2
    if wanted > MOST_SEEDS:
        return Deciding(
            f"the gap is so small that more than {MOST_SEEDS} seeds of each could not tell it: "
            "take the cheaper recipe"
        )
    more = sum(max(1, math.ceil(wanted) - seeds) for seeds in gap.seeds)
    cost = None if each is None else each * more
    return Deciding("more seeds of the largest cell of both recipes", more, cost)


def _recipe_sentence(baseline: str, recipe: str, evidence: RecipeEvidence, status: str) -> str:
    factor, gap = evidence.measured or evidence.by_law, evidence.gap
    if factor is None:
        return f"{recipe} against {baseline}: no factor could be measured: {status}."
    said = (
        f"A token of {recipe} is worth {number(factor.mid)} tokens of {baseline} "
        f"({interval_text(factor)})"
    )
    if gap is not None:
        width = f" ± {gap.half_width:.2%}" if math.isfinite(gap.half_width) else ", noise unknown"
        said += (
            f"; at {short(gap.parameters)} parameters and {short(gap.tokens)} tokens"
            f"{_repeated(evidence.ended)} its loss is "
            f"{abs(gap.log_ratio):.2%} {'lower' if gap.log_ratio > 0 else 'higher'}{width}"
        )
    return f"{said}: {status}."


def _repeated(ended: Mapping[str, float]) -> str:
    """Says whose text has ended, so that its tokens are repeats."""
    said = [f"{name}'s text {times:.1f} times" for name, times in ended.items()]
    return f" ({', '.join(said)})" if said else ""


def _same_side(one: float, other: float) -> bool:
    return one != 0 and other != 0 and (one > 0) == (other > 0)


def _log(factor: Estimate | None) -> float:
    if factor is None or factor.mid <= 0:
        return 0.0 if factor is None else -math.inf
    return math.log(factor.mid)


def _gap_condition(gap: Gap | None, factor: Estimate | None) -> Condition:
    name, wanted = GAP, "clear, and on the factor's side"
    if gap is None:
        return Condition(name, "must", None, "no cell that both recipes have", wanted)
    met = gap.clear and _same_side(gap.log_ratio, _log(factor))
    width = f"± {gap.half_width:.2%}" if math.isfinite(gap.half_width) else "no noise floor"
    return Condition(name, "must", met, f"{gap.log_ratio:+.2%} {width}", wanted)


def _law_condition(evidence: RecipeEvidence, factor: Estimate | None) -> Condition:
    name, wanted = "the fitted law agrees", "a factor on the same side of 1"
    by_law = evidence.by_law
    if by_law is None:
        said = "no law knows both"
        if evidence.ended:
            said = "text has ended there, laws compare fresh text"
        return Condition(name, "full", None, said, wanted)
    met = _same_side(_log(by_law), _log(factor))
    return Condition(name, "full", met, f"{number(by_law.mid)} ({interval_text(by_law)})", wanted)


def _documents_condition(saved: Estimate | None, factor: Estimate | None) -> Condition:
    name = "held-out documents agree, in pairs"
    wanted = "an interval on the factor's side of 0"
    found = saved.interval() if saved is not None else None
    if saved is None or found is None:
        return Condition(name, "full", None, "no bits by document", wanted)
    met = not found[0] <= 0 <= found[1] and _same_side(saved.mid, _log(factor))
    return Condition(
        name,
        "full",
        met,
        f"{saved.mid:+.4f} bits per byte ({found[0]:+.4f} to {found[1]:+.4f})",
        wanted,
    )
