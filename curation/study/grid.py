"""The cells of a study, in the order in which they run: cheap first, so a part is a study too."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from curation.errors import RecipeError
from curation.job import Job, parse_job
from curation.manifest import fingerprint_of
from curation.study.spec import Group, SizeSpec, Study

Trunk = tuple[str, str, int | None, int, int | None]

GRID_FORMAT = 1
"""Raised by hand when the same cell gives other numbers than before."""


class Cell(NamedTuple):
    """One training of a study."""

    group: Group
    recipe: str
    size: SizeSpec
    tokens: int
    """Presented."""
    unique_tokens: int | None
    """Where the text ends; None: it may last for all of `tokens`."""
    seed: int
    """As the study has it; `own_seed` is what the training is given."""
    own_seed: int
    devices: int = 1

    @property
    def trunk(self) -> Trunk:
        """What cells have in common that can be one training, left at several numbers of tokens.

        A timing cell has none to be one with.
        """
        timed = self.devices if self.group == "timing" else None
        return self.recipe, self.size.name, self.unique_tokens, self.own_seed, timed

    @property
    def label(self) -> str:
        """A name for people, which says all that a study varies."""
        repeated = f"-u{self.unique_tokens}" if self.unique_tokens else ""
        shared = f"-k{self.devices}" if self.group == "timing" else ""
        return f"{self.recipe}-{self.size.name}-t{self.tokens}{repeated}-s{self.seed}{shared}"


def cells_of(study: Study) -> list[Cell]:
    """Lists the cells of a study, cheap ones first, timing cells last.

    Cost is tokens x depth x width^2: what a transformer's blocks cost, known before any run. The
    order decides nothing but who waits.

    Raises:
        RecipeError: Two of them are the same to those who read the tables.
    """
    cells = [*_grid(study), *_repeats(study)]
    twice = [label for label, count in Counter(cell.label for cell in cells).items() if count > 1]
    if twice:
        raise RecipeError(
            f"study {study.name}: cell {twice[0]} is there twice; expected sizes that differ in "
            "depth or width, and repeats that do not overlap: leave one out"
        )
    cells.sort(key=lambda cell: (_cost(cell), cell.tokens, cell.seed, cell.recipe))
    return [*cells, *_timing(study)]


def job_of(cell: Cell, study: Study, *, tokenizer: str | None, held_out: str | None) -> Job:
    """Returns the fine-tuning job of a cell.

    Args:
        cell: The cell.
        study: Its study.
        tokenizer: Directory of the study's tokenizer; None: the job trains one.
        held_out: Directory of the held-out dataset; None: the recipe's own eval split.
    """
    spec = study.training
    data: dict[str, Any] = {
        "token_budget": cell.tokens,
        "unique_tokens": cell.unique_tokens,
        "sequence_length": spec.sequence_length,
        "eval_documents": study.held_out.documents,
    }
    if held_out is not None:
        data["held_out"] = held_out
    if spec.branches:
        data["shuffle_tokens"] = study.stretch_tokens
    training = {
        "batch_size": spec.batch_size,
        "learning_rate": cell.size.learning_rate or spec.learning_rate,
        **spec.model_dump(
            include={"schedule", "warmup", "weight_decay", "precision", "checkpoint_every_steps"}
        ),
    }
    tokens = {"path": tokenizer} if tokenizer else {"vocab_size": spec.vocab_size}
    return parse_job(
        {
            "name": cell.label,
            "seed": cell.own_seed,
            "data": data,
            "tokenizer": tokens,
            "model": {"depth": cell.size.depth, "width": cell.size.width},
            "training": training,
        },
        f"cell {cell.label}",
    )


def key_of(cell: Cell, digest: str, hardware: Mapping[str, Any], threads: int | None) -> str:
    """Returns the key of a cell: 32 hex digits of all that can change its number.

    Args:
        cell: The cell.
        digest: Of its prepared job: settings, shards of corpus and held-out set, tokenizer,
            versions of the libraries.
        hardware: What a speed depends on; only a timing cell's key holds it.
        threads: Of one process: another number changes the order of sums.
    """
    machine = dict(hardware) if cell.group == "timing" else {}
    return fingerprint_of(GRID_FORMAT, digest, cell.devices, threads, machine)[:32]


def without(cells: Sequence[Cell], group: Group) -> list[Cell]:
    """Returns the cells that are left when a group is dropped; "grid" loses its most tokens.

    Fewer than three token counts say nothing about data: the grid stays as it is then.
    """
    if group != "grid":
        return [cell for cell in cells if cell.group != group]
    counts = sorted({cell.tokens for cell in cells if cell.group == "grid"})
    if len(counts) <= 3:
        return list(cells)
    return [cell for cell in cells if cell.group == "timing" or cell.tokens < counts[-1]]


def _grid(study: Study) -> Iterator[Cell]:
    grid = study.grid
    first, *others = grid.seeds
    noisy = set(grid.seed_tokens or grid.tokens)
    for recipe in study.recipes:
        for size in grid.sizes:
            for tokens in grid.tokens:
                yield _cell(study, "grid", recipe.name, size, tokens, seed=first)
                if tokens in noisy:
                    for seed in others:
                        yield _cell(study, "seeds", recipe.name, size, tokens, seed=seed)


def _repeats(study: Study) -> Iterator[Cell]:
    for part in study.grid.repeats:
        for recipe in part.recipes or [recipe.name for recipe in study.recipes]:
            for size in study.grid.sizes:
                if part.depths and size.depth not in part.depths:
                    continue
                for epochs in part.epochs:
                    tokens = round(part.unique_tokens * epochs)
                    cell = _cell(study, "repeats", recipe, size, tokens, seed=study.grid.seeds[0])
                    yield cell._replace(unique_tokens=part.unique_tokens)


def _timing(study: Study) -> Iterator[Cell]:
    tokens = study.grid.timing_tokens or min(study.grid.tokens)
    largest = max(study.grid.sizes, key=_blocks)
    for devices in sorted(study.grid.devices):
        for seed in study.grid.seeds:  # several timings make an interval
            cell = _cell(study, "timing", study.reference, largest, tokens, seed=seed)
            yield cell._replace(devices=devices)


def _cell(
    study: Study, group: Group, recipe: str, size: SizeSpec, tokens: int, *, seed: int
) -> Cell:
    own = _seed_for(recipe, seed) if study.grid.own_seeds else seed
    return Cell(group, recipe, size, tokens, None, seed, own)


def _seed_for(recipe: str, seed: int) -> int:
    digest = hashlib.blake2b(f"{recipe}\0{seed}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little") >> 1


def _blocks(size: SizeSpec) -> int:
    return size.depth * (size.width or 64 * size.depth) ** 2


def _cost(cell: Cell) -> int:
    return cell.tokens * _blocks(cell.size)
