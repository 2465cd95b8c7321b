"""What recipes are worth by the laws of a fit: which law to ask, at which point, against which."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from curation.errors import RecipeError, unknown_name
from curation.study.comparing import Crossing, Equivalence, Side, crossing, equivalence
from curation.study.fitting import Laws, largest_run
from curation.study.law import FittedLaw, form_named
from curation.study.points import Points


@dataclass(frozen=True)
class Worth:
    """One recipe against the baseline."""

    law: str
    """Form of the law that was asked."""
    factor: Equivalence
    crossing: Crossing
    """At the same model size, between a tenth of the least and ten times the most data."""

    def sentence(self) -> str:
        """Says it in plain language."""
        one, where = self.factor, self.factor.factor
        whose = one.recipe if one.held == "recipe" else one.baseline
        held = f"{one.parameters:.3g} parameters and {one.tokens:.3g} tokens of {whose}"
        if not where.low > 0 or not where.known:
            return f"{one.recipe} against {one.baseline}: not measured, there are no draws"
        said = f"{where.mid:.3g} times the data of {one.baseline}"
        span = f"{where.low:.3g} to {where.high:.3g}"
        verdict = "decided" if one.decided else "not decided: the interval holds 1"
        return f"{one.recipe} is worth {said} ({span}) at {held}; {verdict}"


def law_of_recipes(laws: Laws) -> FittedLaw | None:
    """Returns the law that tells recipes apart: the chosen one, or that with the least error."""
    telling = [law for law in laws.laws.values() if form_named(law.form).recipes_differ]
    if laws.chosen in {law.form for law in telling}:
        return laws.law
    return min(telling, key=_error, default=None)


def _error(law: FittedLaw) -> tuple[float, float]:
    held = law.record["leave_largest_out"]
    return (held["error"] if held else float("inf"), law.record["aicc"] or float("inf"))


def check_recipe(points: Points, name: str | None) -> None:
    """Refuses a recipe that the runs do not have.

    Raises:
        RecipeError: They do not; the line lists those that they have.
    """
    if name is not None and name not in points.recipes:
        raise RecipeError(unknown_name("recipe of the runs", name, points.recipes))


def worth_of_recipes(laws: Laws, baseline: str | None = None) -> list[Worth]:
    """Compares every recipe with the baseline at the largest run; empty for a single recipe.

    The worse of the two is held at the largest run, so that the other's data lies within what was
    measured.

    Args:
        laws: Of runs of several recipes.
        baseline: Default: the recipe with the highest loss there.

    Raises:
        RecipeError: The baseline is not one of the recipes.
    """
    names = laws.points.recipes
    check_recipe(laws.points, baseline)
    law = law_of_recipes(laws)
    if law is None or len(names) < 2:
        return []
    size, tokens = largest_run(laws.points)
    base = baseline if baseline is not None else _worst(law, names, size, tokens)
    facts = laws.points.facts
    span = _around(float(facts.tokens.min()), float(facts.tokens.max()))
    return [
        Worth(
            law.form,
            equivalence(
                law, name, base, size, tokens, held=_worse(law, (name, base), size, tokens)
            ),
            crossing(law, name, base, size, span),
        )
        for name in names
        if name != base
    ]


def _worse(law: FittedLaw, pair: tuple[str, str], size: float, tokens: float) -> Side:
    one, two = (float(law.loss(size, tokens, recipe=name)) for name in pair)
    return "recipe" if one > two else "baseline"


def _worst(law: FittedLaw, names: Sequence[str], size: float, tokens: float) -> str:
    return max(names, key=lambda name: (float(law.loss(size, tokens, recipe=name)), name))


def _around(low: float, high: float) -> tuple[float, float]:
    return math.exp(low) / 10, math.exp(high) * 10
