"""The recipe: what a dataset is made from and how; it and nothing else enters the fingerprint."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from curation.errors import RecipeError, SchemaError, unknown_name
from curation.families import CLUSTER_SUFFIX, FAMILY, PARENT_TEXT, SPLIT
from curation.limits import Guard
from curation.manifest import fingerprint_of
from curation.overriding import apply_override
from curation.schema import DOCUMENT
from curation.scopes import Overrides, expand_scopes, overrides_of, scoped_tables
from curation.source import Source
from curation.sources import KINDS as SOURCE_KINDS
from curation.stage import ExpandStage, GlobalStage, Stage
from curation.stages import KINDS as STAGE_KINDS
from curation.toml import build, check_names, read_toml
from curation.translation.checkpoint import HUB


class Output(BaseModel):
    """How the kept documents are written."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: int | None = Field(default=None, ge=1, le=100_000)
    """Shards of each split; default: a multiple of 8 of about `shard_bytes` each."""
    shard_bytes: int = Field(default=256 << 20, ge=1 << 16)
    """Text bytes that a shard should hold when `shards` is not given."""


class Recipe(BaseModel):
    """An ordered list of sources and stages with a name, a version and a seed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the dataset."""
    version: str = "0"
    """Version of the dataset, for people; calendar versions suit."""
    seed: int = Field(default=0, ge=0, lt=2**32)
    """Decides the split, the order of the output and every other draw."""
    score_all: bool = True
    """Later stages of a segment score a document that an earlier one rejected, too."""
    sources: tuple[Source, ...]
    stages: tuple[Stage, ...] = ()
    output: Output = Output()
    guard: Guard = Guard()
    """When an unusual share of a source is rejected; it changes no data, so it is no identity."""
    _overrides: tuple[Overrides, ...] = PrivateAttr(default=())

    @property
    def overrides(self) -> tuple[Overrides, ...]:
        """Which settings of each stage are those of its tables for a source or a language."""
        return self._overrides

    def with_stages(self, parts: Sequence[tuple[Stage, Overrides]]) -> "Recipe":
        """Returns the recipe with these stages, and after each those that it asks for."""
        makers = [isinstance(stage, ExpandStage) for stage, _ in parts]
        parts = [
            (_told(stage, children=any(makers[:place])), own)
            for place, (stage, own) in enumerate(parts)
        ]
        all_parts = [
            (_seeded(one, self.seed), own)
            for stage, overrides in parts
            for one, own in ((stage, overrides), *((part, Overrides()) for part in stage.implied()))
        ]
        recipe = self.model_copy(update={"stages": tuple(stage for stage, _ in all_parts)})
        recipe._overrides = tuple(overrides for _, overrides in all_parts)  # noqa: SLF001 - ours
        return recipe

    def settings(self) -> dict[str, Any]:
        """Returns the recipe as plain JSON values, with every default filled in."""
        return {
            "name": self.name,
            "version": self.version,
            "seed": self.seed,
            "score_all": self.score_all,
            "sources": [source.model_dump(mode="json") for source in self.sources],
            "stages": [stage.model_dump(mode="json") for stage in self.stages],
            "output": self.output.model_dump(mode="json"),
            "guard": self.guard.model_dump(mode="json"),
        }

    def written(self) -> dict[str, Any]:
        """Returns the recipe as plain values, without the settings that are at their defaults."""
        parts: dict[str, Any] = {}
        implied = [part for stage in self.stages for part in stage.implied()]
        for name in ("sources", "stages"):
            parts[name] = [
                {"kind": part.kind, **part.model_dump(mode="json", exclude_defaults=True)}
                for part in getattr(self, name)
                if part not in implied
            ]
        guard = self.guard.model_dump(mode="json", exclude_defaults=True)
        return {
            "name": self.name,
            "version": self.version,
            "seed": self.seed,
            "score_all": self.score_all,
            **parts,
            "output": self.output.model_dump(mode="json", exclude_defaults=True),
            **({"guard": guard} if guard else {}),
        }

    def fingerprint(self) -> str:
        """Returns the recipe's identity: settings and the versions of stages and sources.

        The name and the version are for people and stay out; so does the order of input paths.
        """
        return fingerprint_of(
            [identity(source) for source in self.sources],
            [identity(stage) for stage in self.stages],
            self.seed,
            self.score_all,
            self.output.model_dump(mode="json"),
        )


def identity(part: Source | Stage) -> dict[str, Any]:
    """Returns what decides the output of a source or a stage, as plain JSON values."""
    settings = part.model_dump(mode="json")
    if isinstance(part, Source):
        settings["paths"] = sorted(set(part.paths))
    else:
        settings = {name: value for name, value in settings.items() if name not in part.files}
    return {"version": type(part).version, **settings}


class LoadedRecipe(NamedTuple):
    """A recipe and the directory that its relative paths start from."""

    recipe: Recipe
    base: Path


def load_recipe(
    path: Path, overrides: Sequence[str] = (), more_stages: Sequence[Mapping[str, Any]] = ()
) -> LoadedRecipe:
    """Reads and checks a recipe file.

    Args:
        path: The TOML file.
        overrides: `key=value` settings, applied before the check: `seed=3`,
            `output.shards=16`, `stages.minhash_dedup.threshold=0.7`,
            `sources.web.license="CC0"` (stages and sources go by name).
        more_stages: Tables of stages that follow the recipe's own.

    Raises:
        RecipeError: The file is missing, is no TOML, or says something impossible.
    """
    raw = read_toml(path, "recipe")
    for override in overrides:
        apply_override(raw, override)
    if more_stages:
        raw["stages"] = [*raw.get("stages", []), *map(dict, more_stages)]
    base = path.resolve().parent
    _resolve_files(raw.get("stages"), base)
    return LoadedRecipe(parse_recipe(raw, f"recipe {path}"), base)


def _resolve_files(stages: Any, base: Path) -> None:
    """Makes the files that stages name absolute; what is malformed is for the check to say."""
    for stage in stages if isinstance(stages, list) else []:
        model = STAGE_KINDS.get(str(stage.get("kind"))) if isinstance(stage, dict) else None
        if model is None:
            continue
        for table in scoped_tables(stage):
            for name in model.files & set(table):
                table[name] = _resolved(table[name], base, model.named)


def _resolved(value: Any, base: Path, named: frozenset[str]) -> Any:
    if isinstance(value, list):
        return [_resolved(part, base, named) for part in value]
    if isinstance(value, dict):
        return {name: _resolved(part, base, named) for name, part in value.items()}
    if isinstance(value, str) and (value in named or value.startswith(HUB)):
        return value
    return str(base / Path(value).expanduser()) if isinstance(value, str) else value


def parse_recipe(raw: Mapping[str, Any], where: str = "recipe") -> Recipe:
    """Checks a recipe given as plain values (what the TOML file holds).

    Args:
        raw: The values.
        where: Named at the start of every message.

    Raises:
        RecipeError: Something is unknown or impossible; one line that names it.
    """
    values = dict(raw)
    found = _parse_parts(values.pop("sources", []), "source", SOURCE_KINDS, where)
    sources = tuple(source for source, _ in found)
    names = [source.name for source in sources]
    stages = _parse_parts(values.pop("stages", []), "stage", STAGE_KINDS, where, names)
    check_names(values, Recipe, where, "setting")
    if isinstance(values.get("output"), Mapping):
        check_names(values["output"], Output, where, "setting of [output]")
    if isinstance(values.get("guard"), Mapping):
        check_names(values["guard"], Guard, where, "setting of [guard]")
    bare = build(Recipe, {**values, "sources": (), "stages": ()}, where)
    recipe = bare.model_copy(update={"sources": sources}).with_stages(stages)
    _check_sources(recipe, where)
    _check_stages(recipe, where)
    _check_guard(recipe, where)
    return recipe


def _parse_parts(
    tables: Any,
    what: str,
    kinds: Mapping[str, type],
    where: str,
    sources: Sequence[str] | None = None,
) -> list[tuple[Any, Overrides]]:
    if not isinstance(tables, list) or not all(isinstance(table, Mapping) for table in tables):
        raise RecipeError(f"{where}: '{what}s' is not a list of tables; write [[{what}s]]")
    parts: list[tuple[Any, Overrides]] = []
    for number, table in enumerate(tables, 1):
        place = f"{where}: {what} {number}"
        kind = table.get("kind")
        if not isinstance(kind, str):
            known = ", ".join(sorted(kinds))
            raise RecipeError(f'{place} has no kind; add kind = "..." (known: {known})')
        if kind not in kinds:
            raise RecipeError(f"{where}: {unknown_name(f'{what} kind', kind, kinds)}")
        model = kinds[kind]
        label = f"{place} ({table.get('name', kind)})"
        for plain in [table] if sources is None else _scopes(table, model, sources, label):
            check_names(plain, model, label, "setting")
            parts.append((build(model, plain, label), overrides_of(table, plain)))
    return parts


def _scopes(
    table: Mapping[str, Any], model: type, sources: Sequence[str], label: str
) -> list[dict[str, Any]]:
    tables = expand_scopes(table, sources, label)
    if len(tables) > 1 and issubclass(model, GlobalStage):
        raise RecipeError(
            f"{label}: has settings for single sources or languages, but decides over all "
            "documents at once; write two stages with a name and sources of their own"
        )
    return tables


def _seeded(stage: Stage, seed: int) -> Stage:
    """Fills the recipe's seed in where a stage draws and has none of its own."""
    if "seed" in type(stage).model_fields and getattr(stage, "seed", 0) is None:
        return stage.model_copy(update={"seed": seed})
    return stage


def _told(stage: Stage, *, children: bool) -> Stage:
    """Fills in whether there are augmented documents, where a stage asks and was not told."""
    if "reject_children" in type(stage).model_fields and getattr(stage, "reject_children") is None:  # noqa: B009 - no field of Stage
        return stage.model_copy(update={"reject_children": children})
    return stage


def _check_sources(recipe: Recipe, where: str) -> None:
    names = [source.name for source in recipe.sources]
    if not names:
        raise RecipeError(f"{where}: has no sources; add at least one [[sources]] table")
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"{where}: two sources are named '{name}'; give each its own name")
    for stage in recipe.stages:
        _check_names(stage.sources or (), names, where, f"source in stage {stage.name}")
        for setting, found in stage.named_sources().items():
            what = f"source in {setting} of stage {stage.name}"
            _check_names(found, stage.sources or names, where, what)


def _check_names(found: Iterable[str], known: Sequence[str], where: str, what: str) -> None:
    for name in found:
        if name not in known:
            raise RecipeError(f"{where}: {unknown_name(what, name, known)}")


def _check_stages(recipe: Recipe, where: str) -> None:
    """Checks that columns exist when they are read, and that no score overwrites another."""
    everywhere = frozenset(source.name for source in recipe.sources)
    met: dict[str, list[Stage]] = {}
    columns = set(DOCUMENT.names)
    for stage in recipe.stages:
        for other in met.get(stage.name, []):
            both = _shared_sources(stage, other, everywhere)
            if both:
                raise RecipeError(
                    f"{where}: two stages named '{stage.name}' apply to source '{min(both)}'; "
                    'give one of them name = "..." or disjoint sources or languages'
                )
        if isinstance(stage, GlobalStage) and stage.name in met:
            raise RecipeError(
                f"{where}: two {stage.kind} stages are named '{stage.name}'; "
                'give one of them name = "..."'
            )
        met.setdefault(stage.name, []).append(stage)
        missing = sorted(stage.reads() - columns)
        if missing:
            raise RecipeError(
                f"{where}: stage {stage.name} needs column '{missing[0]}', which no earlier stage "
                f"writes; found {', '.join(sorted(columns))}; put the stage that writes it before"
            )
        try:
            stage.check_columns(sorted(columns))
        except SchemaError as error:
            raise RecipeError(f"{where}: {error}") from error
        columns.update(stage.writes().names)
        _add_family(stage, columns)
    _check_families(recipe, where)


def _add_family(stage: Stage, columns: set[str]) -> None:
    if isinstance(stage, ExpandStage):
        columns.update([*FAMILY.names, PARENT_TEXT.name])
    elif isinstance(stage, GlobalStage):  # a segment ends, and with it what is not written
        columns.discard(PARENT_TEXT.name)


def _check_families(recipe: Recipe, where: str) -> None:
    """Checks that a child can follow its parent to one side of the split.

    A child knows the cluster that its parent had when it was made. Clusters that are found between
    that and the draw can hold one of the two and not the other, and would tear them.
    """
    maker = clustering = ""
    for stage in recipe.stages:
        names = stage.writes().names
        if isinstance(stage, ExpandStage):
            maker = maker or stage.name
        elif maker and any(name.endswith(CLUSTER_SUFFIX) for name in names):
            clustering = clustering or stage.name
        elif clustering and SPLIT in names:
            raise RecipeError(
                f"{where}: stage {clustering} stands between {maker} and {stage.name}, and its "
                "clusters could part children from their parents; "
                f"put {stage.name} before {maker}, or {clustering} before it"
            )


def _check_guard(recipe: Recipe, where: str) -> None:
    """Checks that limits are for sources and stages that there are."""
    guard, names = recipe.guard, [source.name for source in recipe.sources]
    for name in guard.sources:
        if name not in names:
            raise RecipeError(f"{where}: {unknown_name('source in [guard.sources]', name, names)}")
    stages = {"read", "unique_id", *(stage.name for stage in recipe.stages)}
    for rules in (guard.rules, *(limits.rules for limits in guard.sources.values())):
        for rule in rules:
            if not any(rule == name or rule.startswith(f"{name}.") for name in stages):
                raise RecipeError(
                    f"{where}: {unknown_name('stage in [guard.rules]', rule, stages)}"
                )


def _shared_sources(one: Stage, other: Stage, everywhere: frozenset[str]) -> frozenset[str]:
    """Returns the sources in which there may be documents that both stages apply to."""
    for this, that in ((one, other), (other, one)):
        if this.languages is not None and (
            set(this.languages) <= set(that.except_languages)
            or (that.languages is not None and not set(this.languages) & set(that.languages))
        ):
            return frozenset()
    of = [everywhere if part.sources is None else set(part.sources) for part in (one, other)]
    return frozenset(of[0] & of[1])
