"""The datasets of a study: where they lie, how they are made, and that none holds held-out text."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.errors import DataError, RecipeError
from curation.manifest import Manifest, damaged_files, read_manifest
from curation.plan import Plan, make_plan
from curation.recipe import load_recipe
from curation.shards import read_shard
from curation.study.spec import DataSpec, LoadedStudy
from curation.text.overlap import find_overlaps, make_index
from curation.toml import read_toml

NGRAM, LEAST, SHARE = 13, 8, 0.5
"""A held-out document stands in a text if the text has more than this share of its 13-grams."""

MakeDataset = Callable[[Plan, Path], Manifest]
"""Makes a planned dataset in a directory, or finds it made."""


class Dataset(NamedTuple):
    """A finished dataset of a study."""

    name: str
    directory: Path
    manifest: Manifest
    leaks: int = 0
    """Held-out documents that stand in its text."""


def make_corpora(
    loaded: LoadedStudy, out: Path, make: MakeDataset
) -> tuple[Dataset, list[Dataset]]:
    """Makes or finds the held-out set, then the recipes' datasets, and checks them against it.

    Args:
        loaded: The study.
        out: Its directory.
        make: Makes one dataset.

    Raises:
        RecipeError: A recipe is wrong, or its text holds more held-out documents than allowed.
        DataError: A finished dataset is missing, damaged, or has no held-out documents.
    """
    study = loaded.study
    check_overrides(loaded)
    held_out = _made("held-out", study.held_out, loaded, out / "held-out", make, [])
    guard = held_out_stages(held_out) if study.held_out.decontaminate else []
    found = []
    for recipe in study.recipes:
        directory = out / "datasets" / recipe.name
        dataset = _made(recipe.name, recipe, loaded, directory, make, guard)
        leaks, documents = count_leaks(dataset, held_out)
        if leaks > study.held_out.max_leak * documents:
            raise RecipeError(
                f"recipe {recipe.name}: {leaks:,} of {documents:,} held-out documents stand in "
                f"its text, more than held_out.max_leak {study.held_out.max_leak:g}; make it with "
                "a decontaminate stage, or hold out other text"
            )
        found.append(dataset._replace(leaks=leaks))
    return held_out, found


def plan_of(
    spec: DataSpec, loaded: LoadedStudy, more_stages: Sequence[dict[str, Any]] = ()
) -> Plan | None:
    """Returns the plan of a recipe with the study's settings; None for a finished dataset."""
    if spec.recipe is None:
        return None
    names = _sources(Path(spec.recipe))
    mine = [one for one in loaded.overrides if _meant(one, names)]
    return make_plan(load_recipe(Path(spec.recipe), (*spec.set, *mine), more_stages))


def check_overrides(loaded: LoadedStudy) -> None:
    """Refuses a setting for recipes that none of them has a place for.

    Raises:
        RecipeError: No recipe has the source.
    """
    specs: list[DataSpec] = [loaded.study.held_out, *loaded.study.recipes]
    names = {name for spec in specs if spec.recipe for name in _sources(Path(spec.recipe))}
    for override in loaded.overrides:
        if not _meant(override, names):
            raise RecipeError(
                f"--set {override}: no recipe of the study has that source; "
                f"known: {', '.join(sorted(names))}"
            )


def held_out_stages(held_out: Dataset) -> list[dict[str, Any]]:
    """Returns the stage that rejects what holds held-out text, as a recipe's table."""
    files = [str(path) for path in held_out_files(held_out)]
    return [
        {
            "kind": "decontaminate",
            "name": "held_out",
            "evals": files,
            "fields": ["text"],
            "id_field": "doc_id",
            "ngram": NGRAM,
            "min_tokens": LEAST,
            "max_overlap": SHARE,
        }
    ]


def held_out_files(dataset: Dataset) -> list[Path]:
    """Returns the shards with held-out documents: the eval split, or all where there is none.

    Raises:
        DataError: There are no documents.
    """
    shards = [shard for shard in dataset.manifest.shards if shard.documents]
    wanted = [shard for shard in shards if shard.split == "eval"] or shards
    if not wanted:
        raise DataError(f"{dataset.directory}: no documents; expected some to hold out")
    return [dataset.directory / shard.path for shard in wanted]


def count_leaks(dataset: Dataset, held_out: Dataset) -> tuple[int, int]:
    """Returns how many held-out documents stand in a dataset's train text, and how many there are.

    A document counts if some training document has more than half of its 13-grams of words.
    """
    passages = _texts(held_out_files(held_out))
    index = make_index(*text_buffers(passages), NGRAM, LEAST, None)
    found: set[int] = set()
    shards = [shard for shard in dataset.manifest.shards if shard.split == "train"]
    for shard in shards:
        texts = _texts([dataset.directory / shard.path])
        if not len(texts):
            continue
        overlap = find_overlaps(*text_buffers(texts), index)
        found.update(overlap.passages[overlap.overlaps > SHARE].tolist())
    return len(found), len(passages)


def _texts(paths: Iterable[Path]) -> pa.LargeStringArray:
    chunks = [chunk for path in paths for chunk in read_shard(path, ["text"]).column(0).chunks]
    return pa.concat_arrays(chunks) if chunks else pa.array([], pa.large_string())


def _made(
    name: str,
    spec: DataSpec,
    loaded: LoadedStudy,
    directory: Path,
    make: MakeDataset,
    more_stages: Sequence[dict[str, Any]],
) -> Dataset:
    plan = plan_of(spec, loaded, more_stages)
    if plan is not None:
        return Dataset(name, directory, make(plan, directory))
    found = Path(spec.dataset or "")
    manifest = read_manifest(found)
    damaged = damaged_files(found, manifest)
    if damaged:
        raise DataError(f"{found / damaged[0]}: missing or damaged; make the dataset again")
    return Dataset(name, found, manifest)


def _sources(path: Path) -> set[str]:
    """Returns the names of a recipe's sources; what is wrong in it is for the check to say."""
    sources = read_toml(path, "recipe").get("sources")
    parts = sources if isinstance(sources, list) else []
    return {str(part.get("name")) for part in parts if isinstance(part, dict)}


def _meant(override: str, names: set[str]) -> bool:
    table, name = override.partition("=")[0].split(".")[:2]
    return table.strip() == "stages" or name.strip() in names


def train_bytes(dataset: Dataset) -> int:
    """Returns the UTF-8 bytes of the text that a dataset has to train on."""
    shards = [shard for shard in dataset.manifest.shards if shard.split == "train"]
    texts = _texts([dataset.directory / shard.path for shard in shards])
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)
