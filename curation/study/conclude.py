"""From the runs of a study to all that its report says: laws, verdicts, worth, plane, scaling."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pyarrow as pa

from curation.errors import CurationError
from curation.study.comparing import Crossing, crossing
from curation.study.costs import Terms, money
from curation.study.equivalence import (
    Worth,
    by_law,
    measured_equivalence,
    measured_pairs,
    worth,
)
from curation.study.evidence import (
    Agreement,
    Health,
    Noise,
    Run,
    fresh_runs,
    health,
    is_fresh,
    largest_gap,
    noise_floor,
    one_device,
    paired_documents,
    rank_agreement,
    usable,
    whole_text_runs,
)
from curation.study.fit import FitSettings
from curation.study.fitting import Laws, fit_laws
from curation.study.ground import LEAST_GRID, Ground, deciding, ground_conditions
from curation.study.law import FittedLaw
from curation.study.marginal import Return
from curation.study.plane import Plane, plane
from curation.study.points import points_of
from curation.study.predict import Estimate, Point, told_apart
from curation.study.prices import Range
from curation.study.questions import QUESTION, next_dollar
from curation.study.recipe_question import RecipeEvidence, recipe_worth
from curation.study.repeats import Repeat, measured_repeats
from curation.study.scaling import Efficiency, Scalability, efficiencies, scalability
from curation.study.states import states_of
from curation.study.verdict import Condition, Status, Verdict, status_of


@dataclass(frozen=True)
class Setting:
    """What a study was, and at which prices its question is asked."""

    terms: Terms
    name: str = "study"
    question: str = QUESTION
    preset: str = ""
    """"smoke" keeps every verdict undecided."""
    baseline: str | None = None
    """Recipe that others are compared with; None: the first by name."""
    catalogue: str = ""
    """Name and date of the price catalogue."""
    unit: str = "bits per byte"
    """Of the losses."""
    draws: int = 500
    """Of each law's bootstrap."""
    forms: tuple[str, ...] | None = None
    """Of laws to fit; None: all that apply."""


@dataclass(frozen=True)
class RecipeWorth:
    """A recipe against the baseline, in data, device-hours and dollars."""

    baseline: str
    recipe: str
    verdict: Verdict
    worth: Worth | None
    crossing: Crossing | None


@dataclass(frozen=True)
class Conclusion:
    """All that a report says, computed."""

    setting: Setting
    health: Health
    noise: Noise | None
    runs: Sequence[Run]
    laws: Laws | None
    point: Point | None
    """Where the next dollar is asked about: the largest cell of the baseline."""
    returns: list[Return]
    verdicts: list[Verdict]
    """Of the recipes, where there are several, then of the next dollar."""
    recipes: list[RecipeWorth]
    plane: Plane | None
    efficiencies: list[Efficiency]
    scalability: Scalability | None
    agreement: list[Agreement]
    repeats: list[Repeat]
    states: list[str]
    """What is missing or went wrong, in plain words; a reader sees them first."""
    failures: list[tuple[str, str]] = field(default_factory=list)
    """Form of law -> why it could not be fitted."""


def measured_terms(runs: pa.Table, hour: Range | None, device: str, **more: Any) -> Terms:
    """Returns terms whose speed is that of the runs: FLOPs by their own count over their seconds.

    Args:
        runs: The table of runs.
        hour: US$ per device-hour (a vCPU-hour where CPUs trained); None: unknown.
        device: Its name.
        **more: Further fields of `Terms`: text, curation, kept, reuse, deadline_hours ...
    """
    rows = usable(runs)
    largest = max((row["parameters"] for row in rows), default=0)
    speeds = [
        row["flops"] / row["seconds_train"] / (row["devices"] or 1)
        for row in rows
        if row["flops"] and row["seconds_train"] and row["parameters"] == largest
    ]
    if not speeds:
        return Terms(None, Range.exact(1.0), device, notes=("no timings",), **more)
    low, high = np.quantile(speeds, [0.1, 0.9])
    return Terms(hour, Range.around(float(low), median(speeds), float(high)), device, **more)


def conclude(runs: pa.Table, setting: Setting, directory: Path | None = None) -> Conclusion:
    """Draws every conclusion that the runs allow, and says of the others why not.

    Nothing here fails on bad runs: what cannot be computed is a state, and its verdict undecided.

    Args:
        runs: `RUN_COLUMNS`.
        setting: Prices and names.
        directory: Of the study, where `bits_file` paths start; None: no bits by document.
    """
    # Laws of a few tiny runs have draws beyond all bounds; flags and states say so.
    with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
        return _conclude(runs, setting, directory)


def _conclude(runs: pa.Table, setting: Setting, directory: Path | None) -> Conclusion:
    found, rows = health(runs), usable(runs)
    noise = noise_floor(rows)
    baseline = _baseline(rows, setting)
    laws, failures = _fit(runs, setting, found)
    point = _present(rows, baseline)
    ground = Ground(found, noise, setting.preset, _run_dollars(rows))
    recipe_names = sorted({row["recipe"] for row in rows if row["recipe"]})
    recipes = [
        _recipe((baseline, name), rows, laws, (setting, ground), directory)
        for name in recipe_names
        if baseline is not None and name != baseline
    ]
    statuses = {one.recipe: _status(one.verdict) for one in recipes}
    dollar, returns = _dollar_question(laws, point, setting.terms, ground, statuses)
    scaled = efficiencies(rows, noise)
    return Conclusion(
        setting, found, noise, rows, laws, point, returns,
        [*(one.verdict for one in recipes), dollar], recipes,
        _plane(laws, point, setting.terms), scaled, scalability(scaled), rank_agreement(rows),
        measured_repeats(one_device(rows), noise),
        states_of(found, noise, (setting.preset, setting.terms, recipe_names), scaled, failures),
        failures,
    )  # fmt: skip


def _baseline(rows: Sequence[Run], setting: Setting) -> str | None:
    names = sorted({row["recipe"] for row in rows if row["recipe"]})
    if setting.baseline in names:
        return setting.baseline
    return names[0] if names else None


def _fit(
    runs: pa.Table, setting: Setting, found: Health
) -> tuple[Laws | None, list[tuple[str, str]]]:
    """Fits all forms to the cells on one device; says why where none could be."""
    if min(found.sizes, found.amounts) < LEAST_GRID:
        said = f"{found.sizes} sizes and {found.amounts} amounts of text"
        return None, [("all", f"{said} are done, expected {LEAST_GRID} or more of each")]
    keep = [row["status"] != "done" or (row["devices"] or 1) == 1 for row in runs.to_pylist()]
    try:
        points, excluded = points_of(runs.filter(pa.array(keep, pa.bool_())))
        settings = FitSettings(draws=setting.draws, unit=setting.unit)
        laws = fit_laws(points, settings, forms=setting.forms, excluded=excluded)
    except CurationError as error:
        return None, [("all", str(error))]
    return laws, sorted(laws.skipped.items())


def _present(rows: Sequence[Run], baseline: str | None) -> Point | None:
    """Returns the largest cell of the baseline that sees its text once."""
    own = [row for row in one_device(fresh_runs(rows)) if row["recipe"] == baseline]
    if not own:
        return None
    best = max(own, key=lambda row: (row["parameters"], row["tokens"]))
    return Point(float(best["parameters"]), float(best["tokens"]), None, baseline)


def _status(one: Verdict) -> Status:
    """Returns how sure it is that a recipe is better: a worse one is not to be bought."""
    return one.status if one.choice == one.facts["recipe"] else "not decided"


def _run_dollars(rows: Sequence[Run]) -> Range | None:
    """Returns the mean dollars of a run; None if one of them is unknown."""
    priced = [row["dollars_mid"] for row in rows]
    if not priced or None in priced:
        return None
    mid = float(np.mean(priced))
    low = float(np.mean([row["dollars_low"] or row["dollars_mid"] for row in rows]))
    high = float(np.mean([row["dollars_high"] or row["dollars_mid"] for row in rows]))
    return Range.around(low, mid, high)


def _dollar_question(
    laws: Laws | None,
    point: Point | None,
    terms: Terms,
    ground: Ground,
    statuses: Mapping[str, Status],
) -> tuple[Verdict, list[Return]]:
    if laws is not None and point is not None:
        return next_dollar(laws.laws, laws.chosen, point, terms, ground, statuses)
    lacking = Condition("a law could be fitted", "must", None, "none", "a law with draws")
    conditions = (lacking, *ground_conditions(ground, law_rests=True))
    status, why = status_of(conditions)
    sentence = (
        "It is not decided whether the next dollar should go to data or to GPUs: "
        "no law could be fitted to these runs."
    )
    return Verdict(
        QUESTION, "none", None, status, why, sentence, (), conditions,
        deciding(conditions, None, ground),
    ), []  # fmt: skip


def law_of_recipes(laws: Laws | None, pair: tuple[str, str]) -> FittedLaw | None:
    """Returns the law that tells two recipes apart: the chosen one, else the simplest."""
    if laws is None:
        return None
    for name in (laws.chosen, "recipes-shared", "recipes", "recipes-floors", "recipes-repeats"):
        law = laws.laws.get(name)
        if law is not None and set(pair) <= set(told_apart(law)):
            return law
    return None


def _recipe(
    pair: tuple[str, str],
    rows: Sequence[Run],
    laws: Laws | None,
    given: tuple[Setting, Ground],
    directory: Path | None,
) -> RecipeWorth:
    setting, ground = given
    baseline, recipe = pair
    runs = whole_text_runs(one_device(rows))
    noise = ground.noise
    measured = measured_equivalence(
        measured_pairs(runs, baseline, recipe), noise.sd if noise else None
    )
    gap = largest_gap(runs, baseline, recipe, noise)
    law, lawful, crossed = law_of_recipes(laws, pair), None, None
    place = None if gap is None else Point(gap.parameters, gap.tokens, None, recipe)
    ended = {} if place is None else _ended(runs, pair, place)
    if law is not None and place is not None and not ended:
        lawful = by_law(law, place, baseline, recipe)
        span = (place.tokens / 100, place.tokens * 100)
        crossed = crossing(law, recipe, baseline, place.parameters, span)
    documents = None
    if place is not None and directory is not None:
        documents = _documents(runs, pair, place, directory)
    evidence = RecipeEvidence(measured, lawful, gap, documents, ended)
    verdict = recipe_worth(baseline, recipe, evidence, ground)
    factor = measured or lawful
    priced = None
    if factor is not None and place is not None:
        priced = worth(factor, place, setting.terms, baseline, tuple(ended))
    return RecipeWorth(baseline, recipe, verdict, priced, crossed)


def _runs_at(runs: Sequence[Run], recipe: str, place: Point) -> list[Run]:
    wanted = (recipe, place.parameters, place.tokens)
    return [run for run in runs if (run["recipe"], run["parameters"], run["tokens"]) == wanted]


def _ended(runs: Sequence[Run], pair: tuple[str, str], place: Point) -> dict[str, float]:
    """Returns the recipes that see their text more than once at a place, and how often."""
    repeated = {
        name: [run["epochs"] for run in _runs_at(runs, name, place) if not is_fresh(run)]
        for name in pair
    }
    return {name: max(times) for name, times in repeated.items() if times}


def _documents(
    runs: Sequence[Run], pair: tuple[str, str], place: Point, directory: Path
) -> Estimate | None:
    """Compares held-out documents of the largest cells, seed by seed, first seeds first."""
    files: list[list[Path]] = [
        [
            directory / run["bits_file"]
            for run in sorted(
                _runs_at(runs, name, place), key=lambda run: (run["seed"] or 0, run["cell"] or "")
            )
            if run["bits_file"]
        ]
        for name in pair
    ]
    found = [
        one
        for before, after in zip(*files, strict=False)
        if (one := paired_documents(before, after)) is not None
    ]
    if not found:
        return None
    draws = np.concatenate([one.draws for one in found])
    return Estimate(float(np.mean([one.mid for one in found])), draws)


def _plane(laws: Laws | None, point: Point | None, terms: Terms) -> Plane | None:
    if laws is None or point is None:
        return None
    return plane(laws.law, point, terms)


def prices_table(terms: Terms, recipes: Sequence[str]) -> list[tuple[str, str]]:
    """Returns every price that a report rests on, with "unknown" where there is none."""

    def million(price: Range | None) -> str:
        return money(None if price is None else price * 1e6)

    rows = [
        (f"hour of {terms.device}", money(terms.hour)),
        ("million tokens of text", million(terms.text)),
    ]
    rows += [
        (f"curation of a million tokens, {name}", million(terms.curation_price(name)))
        for name in recipes
    ]
    flop = terms.flop_price()
    rows.append(("10^18 FLOP of training", money(None if flop is None else flop * 1e18)))
    return rows


def waits(runs: Sequence[Run]) -> dict[float, list[float]]:
    """Returns the shares of time that devices waited for data, by model size."""
    found: dict[float, list[float]] = {}
    for run in runs:
        if run["data_wait_share"] is not None and math.isfinite(run["data_wait_share"]):
            found.setdefault(float(run["parameters"]), []).append(run["data_wait_share"])
    return dict(sorted(found.items()))


def residual_rows(conclusion: Conclusion) -> list[Mapping[str, float | str]]:
    """Returns tokens, recipe and log residual of each fitted run under the chosen law."""
    if conclusion.laws is None:
        return []
    laws = conclusion.laws
    fit, points = laws.fits[laws.chosen], laws.points
    return [
        {
            "tokens": float(np.exp(points.facts.tokens[place])),
            "parameters": float(np.exp(points.facts.parameters[place])),
            "recipe": points.recipes[int(points.facts.recipe[place])],
            "residual": float(fit.residuals[place]),
        }
        for place in range(len(points))
    ]
