"""From a table of runs to laws: every form that applies, side by side, and the chosen one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from curation import __version__
from curation.errors import DataError
from curation.manifest import installed_versions
from curation.study.bootstrap import interval, resample
from curation.study.fit import (
    FitSettings,
    PointFit,
    chosen_delta,
    fit_point,
    seed_noise,
)
from curation.study.forms import Array, Form
from curation.study.identify import FEW_RUNS, condition, law_flags, profile_interval
from curation.study.judge import REPEATED, Candidate, HeldOut, aicc, choose, leave_largest_out
from curation.study.law import FORMS, FittedLaw, form_named
from curation.study.points import Points
from curation.study.ratio import Marginal, marginal
from curation.study.solver import Objective, minimise_all


@dataclass(frozen=True)
class Laws:
    """All laws fitted to one table of runs."""

    laws: dict[str, FittedLaw]
    """By form, in the order of tables."""
    chosen: str
    why: str
    skipped: dict[str, str]
    """Forms that could not be fitted, and why not."""
    points: Points
    fits: dict[str, PointFit]

    @property
    def law(self) -> FittedLaw:
        """The chosen one."""
        return self.laws[self.chosen]


def default_forms(points: Points) -> tuple[str, ...]:
    """Returns the names of the forms that apply to some runs."""
    facts = points.facts
    several = len(points.recipes) > 1
    repeated = bool((facts.tokens - facts.unique > np.log(REPEATED)).any())
    chosen = {
        "recipes-shared": several,
        "recipes": several,
        "recipes-floors": several,
        "repeats": repeated,
        "data-constrained": repeated,
        "recipes-repeats": repeated and several,
        "quality": bool(np.ptp(facts.quality) > 1e-9),
        "bounded-repeats": repeated,
    }
    return tuple(name for name in FORMS if chosen.get(name, True))


def fit_laws(
    points: Points,
    settings: FitSettings,
    *,
    forms: Sequence[str] | None = None,
    excluded: Sequence[tuple[str, str]] = (),
) -> Laws:
    """Fits all forms to runs and chooses one.

    Args:
        points: The runs.
        settings: How.
        forms: Names; default: all that apply.
        excluded: Cells left out and why, for the record.

    Raises:
        RecipeError: A name is none of a form.
        DataError: None could be fitted.
    """
    laws, fits, skipped, candidates = {}, {}, {}, []
    for name in forms or default_forms(points):
        form = form_named(name)
        try:
            with np.errstate(all="ignore"):  # wild constants are tried, and refused by their value
                law, fit = fit_law(form, points, settings, excluded=excluded)
        except DataError as error:
            skipped[name] = str(error)
            continue
        laws[name], fits[name] = law, fit
        held = law.record["leave_largest_out"]
        candidates.append(Candidate(name, held and held["error"], law.record["aicc"] or np.inf))
    if not laws:
        raise DataError("; ".join(skipped.values()))
    chosen, why = choose(candidates, seed_noise(points)[0])
    return Laws(laws, chosen, why, skipped, points, fits)


def fit_law(
    form: Form,
    points: Points,
    settings: FitSettings,
    *,
    excluded: Sequence[tuple[str, str]] = (),
) -> tuple[FittedLaw, PointFit]:
    """Fits one form: constants, draws, flags and the record of how.

    Raises:
        DataError: There are fewer runs than constants.
        RecipeError: A setting does not fit the form.
    """
    own = _with_held(form, points, settings)
    fit = fit_point(form, points, own)
    recipes = points.recipes
    natural = {name: float(value) for name, value in form.natural(fit.theta, recipes).items()}
    theta, stuck = resample(fit, own.draws, own.seed)
    draws = form.natural(theta, recipes) if own.draws else {}
    draws |= form.derived(draws) if draws else {}
    parameters = natural | {
        name: float(value)
        for name, value in form.derived(
            {key: np.array(one) for key, one in natural.items()}
        ).items()
    }
    held = leave_largest_out(form, points, own)
    record = _record(fit, own, excluded) | {"leave_largest_out": held and _held_json(held)}
    record["draws"] = {"many": own.draws, "seed": own.seed, "stuck": stuck, "of": "runs"}
    law = FittedLaw(form.name, parameters, draws, (), record, recipes)
    flags = law_flags(fit, natural, draws)
    ratios = _ratios(replace(law, flags=flags), points)
    record["marginal_ratio"] = {name: _ratio_json(one) for name, one in ratios.items()}
    record["resource_effect"] = _resource_effect(law, points)
    flags += _stuck_flag(stuck, own.draws) + tuple(
        f"unidentified: marginal ratio of data to model{name and f' ({name})'}"
        for name, one in ratios.items()
        if draws and not one.identified
    )
    flags += tuple(f"held: {name}" for name in own.fixed if name not in settings.fixed)
    return replace(law, flags=flags), fit


def _resource_effect(law: FittedLaw, points: Points) -> dict[str, float | None] | None:
    """Returns what more devices do to loss at the largest run, if the law has a term for them."""
    least, most = np.exp([points.facts.resources.min(), points.facts.resources.max()])
    if law.form != "additive" or not most > least:
        return None
    size, tokens = largest_run(points)
    ends = [law.loss(size, tokens, resources=many) for many in (least, most)]
    drawn = [law.loss_draws(size, tokens, resources=many) for many in (least, most)]
    found = interval(float(ends[1] - ends[0]), drawn[1] - drawn[0])
    return {
        "devices_from": float(least),
        "devices_to": float(most),
        "mid": found.mid,
        "low": _finite(found.low),
        "high": _finite(found.high),
    }


def _stuck_flag(stuck: int, draws: int) -> tuple[str, ...]:
    """A few draws that wander off are the tail of an interval; many are no interval."""
    return (f"not converged: {stuck} of {draws} draws",) if stuck > 0.05 * draws else ()


def _with_held(form: Form, points: Points, settings: FitSettings) -> FitSettings:
    """Holds what no run can tell: the device term where all runs had as many."""
    constant = np.ptp(points.facts.resources) < 1e-9
    if form.name != "additive" or not constant:
        return settings
    return replace(settings, fixed={"e": 0.0, "eps": 1.0} | dict(settings.fixed))


def _ratios(law: FittedLaw, points: Points) -> dict[str, Marginal]:
    """Returns the marginal ratio at the largest run, for each recipe that the law tells apart."""
    size, tokens = largest_run(points)
    differ = form_named(law.form).recipes_differ
    names = law.recipes if differ else ("",)
    return {name: marginal(law, size, tokens, recipe=name if differ else None) for name in names}


def largest_run(points: Points) -> tuple[float, float]:
    """Returns N and D of the run with the largest N D."""
    place = max(range(len(points)), key=lambda row: (points.compute[row], points.cells[row]))
    facts = points.facts
    return float(np.exp(facts.parameters[place])), float(np.exp(facts.tokens[place]))


def _ratio_json(one: Marginal) -> dict[str, Any]:
    return {
        "parameters": one.parameters,
        "tokens": one.tokens,
        "mid": _finite(one.ratio.mid),
        "low": _finite(one.ratio.low),
        "high": _finite(one.ratio.high),
        "log_sd": _finite(one.log_sd),
        "identified": one.identified,
    }


def _held_json(held: HeldOut) -> dict[str, Any]:
    return {"runs": held.runs, "error": held.error, "bias": held.bias}


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _span(log: Array) -> list[float]:
    return [float(np.exp(log.min())), float(np.exp(log.max()))]


def _record(
    fit: PointFit, settings: FitSettings, excluded: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """Returns all that is needed to do the fit again: (Mis)Fitting's list (arXiv 2502.18969)."""
    points, facts = fit.points, fit.points.facts
    noise, freedom = seed_noise(points)
    criterion, scale = aicc(fit)
    names = fit.form.names(points.recipes)
    return {
        "unit": settings.unit,
        "convention": settings.convention,
        "runs": len(points),
        "runs_sha256": points.digest(),
        "excluded": [{"cell": cell, "why": why} for cell, why in excluded],
        "recipes": {
            name: int((facts.recipe == place).sum()) for place, name in enumerate(points.recipes)
        },
        "range": {
            "parameters": _span(facts.parameters),
            "tokens": _span(facts.tokens),
            "tokens_per_parameter": _span(facts.tokens - facts.parameters),
            "epochs": _span(facts.tokens - facts.unique),
            "loss": [float(points.loss.min()), float(points.loss.max())],
        },
        "fitted": [names[place] for place in fit.free],
        "held": dict(settings.fixed),
        "residual": "ln observed - ln predicted loss",
        "loss": "sum of Huber",
        "delta": fit.delta,
        "delta_from": chosen_delta(points, settings)[1],
        "noise_of_seeds": noise if freedom else None,
        "noise_freedom": freedom,
        "objective": fit.objective,
        "optimizer": "BFGS for all starts, then BFGS of scipy for the best, analytic gradients",
        "starts": fit.starts,
        "starts_from": settings.starts,
        "starts_agreeing": fit.agreeing,
        "gradient": fit.gradient,
        "promised_decrease": _finite(fit.decrease),
        "converged": fit.converged,
        "aicc": _finite(criterion),
        "noise_of_likelihood": scale,
        "r2": _explained(fit),
        "condition": _finite(condition(fit)),
        "sensitivity": _sensitivity(fit),
        "profiles": _profiles(fit),
        "versions": {"curation": __version__, **installed_versions(("numpy", "scipy"))},
    }


def _explained(fit: PointFit) -> float:
    """Returns R2 of loss."""
    loss = fit.points.loss
    rest = loss - np.exp(np.log(loss) - fit.residuals)
    total = float(((loss - loss.mean()) ** 2).sum())
    return 1.0 - float((rest**2).sum()) / total if total else 0.0


def _sensitivity(fit: PointFit) -> dict[str, dict[str, float]]:
    """Returns the constants under four times less and more delta, from the best ones."""
    found = {}
    weights = np.ones(len(fit.points))
    for delta in (fit.delta / 4, fit.delta * 4):
        objective = Objective(fit.form, fit.points, delta, fit.theta, fit.free, weights)
        again = minimise_all(objective, fit.theta[fit.free][None])
        natural = fit.form.natural(objective.whole(again.constants[0]), fit.points.recipes)
        found[f"{delta:.6g}"] = {name: float(value) for name, value in natural.items()}
    return found


def _profiles(fit: PointFit) -> dict[str, list[float | None]]:
    """Returns likelihood intervals of the exponents where runs are few."""
    if len(fit.points) >= FEW_RUNS or not fit.form.positive:
        return {}
    names = fit.form.names(fit.points.recipes)
    free = [names[place] for place in fit.free]
    exponents = [name for name in free if name.partition("[")[0] in ("alpha", "beta", "gamma")]
    return {name: list(profile_interval(fit, name)) for name in exponents}
