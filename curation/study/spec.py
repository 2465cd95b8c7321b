"""A study as its author writes it (STUDY.toml): recipes, held-out text, grid, caps, prices.

Paths are relative to the file. What is written about text (a recipe's sources and stages) stays
in the recipes; `--set sources.web.paths=...` on the command line is handed on to all of them.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from pydantic import BaseModel, Field, field_validator, model_validator

from curation.errors import RecipeError
from curation.job import Settings, check_can_branch
from curation.overriding import apply_override
from curation.toml import build, check_names, read_toml

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
Group = Literal["timing", "repeats", "seeds", "grid"]
_HANDED_ON = ("sources.", "stages.")
_PRESET = ("grid", "training", "budget", "illustrative")


class DataSpec(Settings):
    """Where a dataset comes from: a curation recipe, or one that is finished."""

    recipe: str | None = None
    """Recipe file."""
    set: tuple[str, ...] = ()
    """Settings of that recipe to change, each key=value."""
    dataset: str | None = None
    """Directory of a finished dataset."""

    @model_validator(mode="after")
    def _one_origin(self) -> "DataSpec":
        if (self.recipe is None) == (self.dataset is None):
            given = "both" if self.recipe else "neither"
            raise ValueError(f"recipe and dataset: {given} given; expected one of them")
        if self.dataset and self.set:
            raise ValueError("set changes a recipe; a finished dataset is taken as it is")
        return self

    def files_from(self, base: Path) -> "DataSpec":
        """Returns the same with absolute paths."""
        paths = {"recipe": self.recipe, "dataset": self.dataset}
        found = {
            name: str((base / Path(path).expanduser()).resolve())
            for name, path in paths.items()
            if path
        }
        return self.model_copy(update=found)


class RecipeSpec(DataSpec):
    """One way of making text, under the name that it has in tables and figures."""

    name: str = Field(pattern=NAME)
    quality: float | None = Field(default=None, gt=0, le=1)
    """Known share of undamaged text, where noise was added on purpose."""


class HeldOutSpec(DataSpec):
    """The text that every model is scored on: made before the recipes, and kept out of them."""

    documents: int | None = Field(default=200, ge=1)
    """Scored at most, chosen by a hash of their id; none: all of them."""
    decontaminate: bool = True
    """Ends every recipe with a stage that rejects documents that hold held-out text."""
    max_leak: float = Field(default=0.0, ge=0, le=1)
    """Largest share of held-out documents that may stand in a recipe's text, or it is refused."""


class SizeSpec(Settings):
    """A model size."""

    depth: int = Field(ge=1, le=128)
    width: int | None = Field(default=None, ge=32, le=1 << 16, multiple_of=32)
    """Default: 64 times the depth."""
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """Peak rate of this size; default: that of [training]."""

    @property
    def name(self) -> str:
        """How the size is called in the names of cells."""
        return f"d{self.depth}w{self.width or 64 * self.depth}"


class RepeatSpec(Settings):
    """Cells whose text ends before their tokens do."""

    unique_tokens: int = Field(ge=1)
    epochs: tuple[float, ...] = Field(min_length=1)
    """Passes over these tokens, each above 1."""
    recipes: tuple[str, ...] = ()
    """Default: all."""
    depths: tuple[int, ...] = ()
    """Sizes by their depth; default: all."""

    @field_validator("epochs")
    @classmethod
    def _above_one(cls, value: tuple[float, ...]) -> tuple[float, ...]:
        if min(value) <= 1:
            raise ValueError(f"epochs holds {min(value):g}; expected more than 1: one is the grid")
        return value


class GridSpec(Settings):
    """Which cells: recipes x sizes x tokens, with seeds, repeats and device counts beside it."""

    sizes: tuple[SizeSpec, ...] = Field(min_length=1)
    tokens: tuple[int, ...] = Field(min_length=1)
    """Tokens of one pass; a smaller number reads a prefix of what a larger one reads."""
    seeds: tuple[int, ...] = Field(default=(17,), min_length=1)
    """The first one everywhere, the others at `seed_tokens` and in timing cells: they make the
    noise floor, and intervals of speeds."""
    seed_tokens: tuple[int, ...] = ()
    """Token counts that all seeds are run at; default: all."""
    own_seeds: bool = False
    """Each recipe draws seeds of its own: one recipe under two names is then a test of noise."""
    repeats: tuple[RepeatSpec, ...] = ()
    devices: tuple[int, ...] = ()
    """Timing cells: trainings of each seed at the same global batch, on so many processes."""
    timing_tokens: int | None = Field(default=None, ge=1)
    """Tokens of a timing cell; default: the smallest of `tokens`."""
    noise: float = Field(default=0.02, gt=0, lt=1)
    """Expected standard deviation of ln loss over seeds, for the check of the design: 0.02 for
    tiny models, 0.003 from some millions of parameters on."""
    design: Literal["refuse", "warn"] = "refuse"
    """What to do about a grid that cannot tell data from model size: "warn" where the question
    is about recipes alone."""

    @model_validator(mode="after")
    def _counts(self) -> "GridSpec":
        for name in ("tokens", "devices"):
            if any(count < 1 for count in getattr(self, name)):
                raise ValueError(f"{name} holds {min(getattr(self, name))}; expected at least 1")
        if any(not 0 <= seed < 2**31 for seed in self.seeds):
            raise ValueError("seeds: expected numbers from 0 to 2**31 - 1")
        strange = sorted(set(self.seed_tokens) - set(self.tokens))
        if strange:
            raise ValueError(f"seed_tokens holds {strange[0]}, which is not among tokens")
        for name in ("sizes", "tokens", "seeds", "devices"):
            values = getattr(self, name)
            if len(set(values)) < len(values):
                raise ValueError(f"{name} holds the same value twice; leave one out")
        return self


class TrainingSpec(Settings):
    """What all cells share."""

    vocab_size: int = Field(default=258, ge=258, le=1 << 20)
    """Entries of the one tokenizer of all cells, trained on the baseline's text; 258 are bytes."""
    sequence_length: int = Field(default=128, ge=8, le=1 << 20)
    batch_tokens: int = Field(default=512, ge=8)
    """Tokens of a step; below a million parameters more than 512 make a law of steps, not data."""
    learning_rate: float = Field(default=3e-3, gt=0, lt=1)
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    warmup: float = Field(default=0.05, ge=0)
    """Below 1 a share of all steps, else a number of steps."""
    branches: bool = False
    """Cells that differ in their tokens alone are one training: where a shorter one would begin to
    decay, a copy of the model does. The numbers are those of trainings apart; where each number of
    tokens is twice the one before, up to two fifths of the time are saved. Needs schedule "wsd", a
    warm-up in steps, and token counts with a large common divisor: text is shuffled within
    stretches of it, so another divisor makes other cells."""
    weight_decay: float = Field(default=0.1, ge=0)
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    min_steps: int = Field(default=1000, ge=1)
    """Fewer steps in a cell are a warning."""
    checkpoint_every_steps: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _whole_sequences(self) -> "TrainingSpec":
        if self.batch_tokens % self.sequence_length:
            raise ValueError(
                f"batch_tokens {self.batch_tokens} is not a multiple of sequence_length "
                f"{self.sequence_length}"
            )
        return self

    @model_validator(mode="after")
    def _branches_can_decay(self) -> "TrainingSpec":
        if self.branches:
            check_can_branch("branches", self.schedule, self.warmup)
        return self

    @property
    def batch_size(self) -> int:
        """Sequences of a step."""
        return self.batch_tokens // self.sequence_length


class BudgetSpec(Settings):
    """Caps on what the cells may take; none: no cap."""

    minutes: float | None = Field(default=None, gt=0)
    """Wall minutes of all cells, with so many at a time as run here."""
    flops: float | None = Field(default=None, gt=0)
    dollars: float | None = Field(default=None, gt=0)
    """At the middle price of the device."""
    drop: tuple[Group, ...] = ()
    """Groups of cells to leave out, in this order, as long as the plan is above a cap; "grid" drops
    the largest token counts, one after the other, down to three."""


class PriceSpec(Settings):
    """What things cost, and what the answer is for."""

    device: str | None = None
    """Name in the price catalogue: h100, a10, cpu; default: by the device's own name."""
    catalogue: str | None = None
    """Catalogue file; default: the one that comes with the package."""
    text_per_gigabyte: float | None = Field(default=None, ge=0)
    """US$ to get a gigabyte of raw text; unknown where it is left out, and said to be so."""
    reuse: int = Field(default=1, ge=1)
    """Trainings that share one curation."""
    served_tokens: float | None = Field(default=None, ge=0)
    """Tokens that the model will serve in its life."""
    deadline_hours: float | None = Field(default=None, gt=0)


class Study(Settings):
    """A whole study."""

    name: str = Field(pattern=NAME)
    question: str = Field(default="Where does the next dollar go: data or GPUs?", max_length=500)
    illustrative: bool = False
    """Too small to answer anything: its verdict stays "not decided"."""
    baseline: str | None = None
    """Recipe that others are compared with; default: the first."""
    recipes: tuple[RecipeSpec, ...] = Field(min_length=1)
    held_out: HeldOutSpec
    grid: GridSpec
    training: TrainingSpec = TrainingSpec()
    budget: BudgetSpec = BudgetSpec()
    prices: PriceSpec = PriceSpec()

    @model_validator(mode="after")
    def _names(self) -> "Study":
        names = [recipe.name for recipe in self.recipes]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"recipes: '{twice[0]}' is there twice; give each a name of its own")
        used = {"baseline": [self.baseline] if self.baseline else []}
        used |= {"grid.repeats": [name for part in self.grid.repeats for name in part.recipes]}
        for where, found in used.items():
            for name in found:
                if name not in names:
                    raise ValueError(f"{where}: no recipe '{name}'; known: {', '.join(names)}")
        depths = {size.depth for size in self.grid.sizes}
        for depth in (depth for part in self.grid.repeats for depth in part.depths):
            if depth not in depths:
                raise ValueError(f"grid.repeats: no size of depth {depth} among grid.sizes")
        return self

    @model_validator(mode="after")
    def _branches_are_whole(self) -> "Study":
        least = self.training.batch_tokens
        if self.training.branches and self.stretch_tokens % least:
            raise ValueError(
                f"training.branches: the greatest common divisor of all token counts is "
                f"{self.stretch_tokens}; expected a multiple of batch_tokens {least}, because text "
                "is shuffled within stretches of so many tokens"
            )
        return self

    @property
    def stretch_tokens(self) -> int:
        """The greatest common divisor of the cells' token counts, repeats included."""
        repeated = [
            round(part.unique_tokens * epochs)
            for part in self.grid.repeats
            for epochs in (1, *part.epochs)
        ]
        return math.gcd(*self.grid.tokens, *repeated)

    @property
    def reference(self) -> str:
        """Name of the baseline."""
        return self.baseline or self.recipes[0].name


class LoadedStudy(NamedTuple):
    """A study with absolute paths, and what its recipes are told from the command line."""

    study: Study
    path: Path
    overrides: tuple[str, ...]
    """Settings of sources and stages, for every recipe that has them."""


_TABLES: dict[str, type[BaseModel]] = {
    "held_out": HeldOutSpec,
    "grid": GridSpec,
    "training": TrainingSpec,
    "budget": BudgetSpec,
    "prices": PriceSpec,
}
_LISTS: dict[tuple[str, ...], type[BaseModel]] = {
    ("recipes",): RecipeSpec,
    ("grid", "sizes"): SizeSpec,
    ("grid", "repeats"): RepeatSpec,
}


def load_study(
    path: Path, overrides: Sequence[str] = (), preset: Path | None = None
) -> LoadedStudy:
    """Reads and checks a study file.

    Args:
        path: The TOML file.
        preset: Another study file, whose grid, training, budget and `illustrative` take the place
            of this one's.
        overrides: `key=value` settings, applied before the check: `grid.seeds=[1, 2]`,
            `recipes.raw.quality=0.5`; those of `sources.` and `stages.` are for the recipes.

    Raises:
        RecipeError: The file is missing, is no TOML, or says something unknown or impossible.
    """
    raw = read_toml(path, "study")
    if preset is not None:
        other = read_toml(preset, "preset")
        raw |= {name: other[name] for name in _PRESET if name in other}
    handed_on = tuple(one for one in overrides if one.startswith(_HANDED_ON))
    for override in overrides:
        if override not in handed_on:
            apply_override(raw, override)
    study = parse_study(raw, f"study {path}")
    return LoadedStudy(_absolute(study, path.resolve().parent), path.resolve(), handed_on)


def parse_study(raw: Mapping[str, Any], where: str = "study") -> Study:
    """Checks a study given as plain values (what the TOML file holds).

    Raises:
        RecipeError: Something is unknown or impossible; one line that names it.
    """
    check_names(raw, Study, where, "setting")
    for name, model in _TABLES.items():
        if isinstance(raw.get(name), Mapping):
            check_names(raw[name], model, where, f"setting of [{name}]")
    for keys, model in _LISTS.items():
        for number, part in enumerate(_list_at(raw, keys), start=1):
            if isinstance(part, Mapping):
                check_names(part, model, where, f"setting of [[{'.'.join(keys)}]] {number}")
    if not raw.get("recipes"):
        raise RecipeError(f"{where}: has no [[recipes]]; expected at least one, with its name")
    return build(Study, raw, where)


def _list_at(raw: Mapping[str, Any], keys: Sequence[str]) -> Sequence[Any]:
    value: Any = raw
    for key in keys:
        value = value.get(key) if isinstance(value, Mapping) else None
    return value if isinstance(value, list) else []


def _absolute(study: Study, base: Path) -> Study:
    catalogue = study.prices.catalogue
    prices = study.prices
    if catalogue:
        found = str((base / Path(catalogue).expanduser()).resolve())
        prices = prices.model_copy(update={"catalogue": found})
    return study.model_copy(
        update={
            "recipes": tuple(recipe.files_from(base) for recipe in study.recipes),
            "held_out": study.held_out.files_from(base),
            "prices": prices,
        }
    )
