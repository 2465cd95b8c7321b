"""Fitted laws: constants with draws of a bootstrap, and what they say of a run not yet made.

`FORMS` are all forms that fits try. `curation.study.laws` adds the laws that others published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from curation.errors import RecipeError, unknown_name
from curation.study.forms import Array, Facts, Form
from curation.study.other_forms import AdditiveForm, BoundedForm, MultiplicativeForm
from curation.study.power import PowerForm

_HOFFMANN = "Hoffmann et al. 2022, arXiv 2203.15556"
_REPEATED = "Muennighoff et al. 2023, arXiv 2305.16264"
_BOUNDED = "arXiv 2605.09189"
_OURS = "QualityPajama (ICLR 2026) finds that data moves exponents too"
_D_LEFT = "D' = U (1 + R_D (1 - exp(-(D/U - 1)/R_D)))"
_N_LEFT = "N' likewise beyond the best N for U, with R_N"

_ALL: tuple[Form, ...] = (
    PowerForm("chinchilla", "L = A/N^alpha + B/D^beta + E", _HOFFMANN),
    PowerForm(
        "tied",
        "L = A/N^alpha + B/D^alpha + E",
        "Gadre et al. 2024, arXiv 2403.08540",
        tied=True,
    ),
    PowerForm(
        "recipes-shared",
        "L = A/N^alpha + B_r/D^beta + E",
        "ours: a recipe is worth a factor of data",
        by_recipe=("B",),
    ),
    PowerForm("recipes", "L = A/N^alpha + B_r/D^beta_r + E", _OURS, by_recipe=("B", "beta")),
    PowerForm(
        "recipes-floors",
        "L = A/N^alpha + B_r/D^beta_r + E_r",
        _OURS,
        by_recipe=("B", "E", "beta"),
    ),
    PowerForm(
        "repeats",
        f"L = A/N^alpha + B/D'^beta + E, {_D_LEFT}",
        f"{_REPEATED}, data alone",
        repeats=True,
    ),
    PowerForm(
        "data-constrained",
        f"L = A/N'^alpha + B/D'^beta + E, {_D_LEFT}, {_N_LEFT}",
        _REPEATED,
        repeats=True,
        excess=True,
    ),
    PowerForm(
        "recipes-repeats",
        f"L = A/N^alpha + B_r/D'^beta + E, {_D_LEFT}",
        f"{_REPEATED}, data alone, a factor of data for each recipe",
        by_recipe=("B",),
        repeats=True,
    ),
    PowerForm(
        "quality",
        "L = A/N^alpha + B/(D^beta Q^gamma) + E",
        "arXiv 2510.03313",
        quality=True,
    ),
    BoundedForm("bounded", "L = E + (L0 - E) h/(1 + h), h = A/N^alpha + B/D^beta", _BOUNDED),
    BoundedForm(
        "bounded-repeats",
        "L = E + (L0 - E) h/(1 + h), h = A/N^alpha + B/D^beta + C N^gamma/U^delta",
        _BOUNDED,
        overfits=True,
    ),
    MultiplicativeForm(),
    AdditiveForm(),
)

FORMS: Mapping[str, Form] = {form.name: form for form in _ALL}
"""Every form by name, in the order in which tables show them."""

Numbers = npt.ArrayLike


def form_named(name: str) -> Form:
    """Returns the form of a name.

    Raises:
        RecipeError: There is none; the line lists those that are.
    """
    if name not in FORMS:
        raise RecipeError(unknown_name("form of law", name, FORMS))
    return FORMS[name]


@dataclass(frozen=True)
class FittedLaw:
    """A law with its constants; also what `law.json` holds."""

    form: str
    parameters: dict[str, float]
    """Point estimates in natural units: A, B, ...; `B[raw]` where a recipe has its own."""
    draws: dict[str, Array] = field(default_factory=dict)
    """Bootstrap draws by constant, of equal length; empty where there are none."""
    flags: tuple[str, ...] = ()
    """What stands against it: "unidentified: beta", "collinear: parameters and tokens", ..."""
    record: dict[str, Any] = field(default_factory=dict)
    """How it was fitted; see docs/scaling-laws.md."""
    recipes: tuple[str, ...] = ("",)

    def loss(
        self,
        parameters: Numbers,
        tokens: Numbers,
        *,
        unique_tokens: Numbers | None = None,
        recipe: str | Sequence[str] | None = None,
        quality: Numbers | None = None,
        resources: Numbers | None = None,
    ) -> Array:
        """Returns the loss that the point estimate predicts, in the law's unit.

        Args:
            parameters: N, in the convention of the law's record.
            tokens: D, presented.
            unique_tokens: Default: all are (no repeats).
            recipe: Needed where recipes have constants of their own.
            quality: In (0, 1]; default 1.
            resources: Devices; default 1.

        Raises:
            RecipeError: The recipe is not one of the law's, or a number is not above 0.
        """
        facts, shape = self._facts(parameters, tokens, unique_tokens, recipe, quality, resources)
        return np.exp(self.log_loss(facts)).reshape(shape)

    def loss_draws(
        self,
        parameters: Numbers,
        tokens: Numbers,
        *,
        unique_tokens: Numbers | None = None,
        recipe: str | Sequence[str] | None = None,
        quality: Numbers | None = None,
        resources: Numbers | None = None,
    ) -> Array:
        """Returns the loss by every draw, `[draws, ...]`; `[0, ...]` where there are none."""
        facts, shape = self._facts(parameters, tokens, unique_tokens, recipe, quality, resources)
        if not self.draws:
            return np.empty((0, *shape))
        return np.exp(self.log_loss(facts, draws=True)).reshape(-1, *shape)

    def log_loss(self, facts: Facts, *, draws: bool = False) -> Array:
        """Returns ln loss `[n]` for facts of the law's recipes, or `[draws, n]` by every draw."""
        form, constants = form_named(self.form), self.draws if draws else self.parameters
        theta = form.internal(constants, self.recipes)
        return form.evaluate(theta, facts, len(self.recipes))[0]

    def place_of(self, recipe: str | None) -> int:
        """Returns a recipe's place among the law's, 0 where it does not tell them apart.

        Raises:
            RecipeError: It is not one of them, or none was named and there are several.
        """
        if not form_named(self.form).recipes_differ:
            return 0
        if recipe is None and len(self.recipes) == 1:
            return 0
        if recipe not in self.recipes:
            raise RecipeError(unknown_name("recipe of the law", recipe or "", self.recipes))
        return self.recipes.index(recipe)

    def _facts(
        self,
        parameters: Numbers,
        tokens: Numbers,
        unique: Numbers | None,
        recipe: str | Sequence[str] | None,
        quality: Numbers | None,
        resources: Numbers | None,
    ) -> tuple[Facts, tuple[int, ...]]:
        names = [recipe] if recipe is None or isinstance(recipe, str) else list(recipe)
        places = np.array([self.place_of(name) for name in names], np.int64)
        places = places if len(places) > 1 else places[0]
        given = {
            "parameters": parameters,
            "tokens": tokens,
            "unique_tokens": tokens if unique is None else unique,
            "quality": 1.0 if quality is None else quality,
            "resources": 1.0 if resources is None else resources,
        }
        arrays = [np.asarray(values, float) for values in given.values()]
        for name, values in zip(given, arrays, strict=True):
            if not (np.isfinite(values) & (values > 0)).all():
                raise RecipeError(f"{name} of a law: {values.min()} is not a number above 0")
        *arrays, places = np.broadcast_arrays(*arrays, places)
        size, presented, unique, known, devices = (np.log(values).ravel() for values in arrays)
        unique = np.asarray(np.minimum(unique, presented))
        return Facts(size, presented, unique, known, devices, places.ravel()), arrays[0].shape
