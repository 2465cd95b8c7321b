"""From a recipe to work: shards of input, segments of stages, directories and fingerprints.

Consecutive batch and expand stages form a segment: one pass over a shard. Global stages end a
segment; the next one applies their decisions as it reads. They share one unless one has to see
what another writes. Shard k of a segment comes from shard k of the one before, and the last segment
is written out in a seeded order of its own:

    00 read extract normalize ...  ->  01 unique_id exact_dedup minhash_dedup | split  ->  output
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from curation.manifest import fingerprint_of
from curation.recipe import LoadedRecipe, Recipe, identity
from curation.source import InputFile, Source, Split
from curation.stage import BatchStage, ExpandStage, GlobalStage
from curation.stages.unique_id import UniqueId


class InputShard(NamedTuple):
    """The byte ranges that one shard of the first segment reads."""

    source: Source
    splits: tuple[Split, ...]

    @property
    def name(self) -> str:
        """Names the shard's files: by its source and ranges, so that no other shard shifts it."""
        ranges = [[split.file.name, split.start, split.end] for split in self.splits]
        return f"{self.source.name}-{fingerprint_of(ranges)[:16]}"

    def identity(self) -> list[Any]:
        """Returns what the shard's content depends on: its source, files, stamps and ranges."""
        source = {name: value for name, value in identity(self.source).items() if name != "paths"}
        ranges = [
            [split.file.name, split.file.size, split.file.stamp, split.start, split.end]
            for split in self.splits
        ]
        return [source, ranges]

    @property
    def bytes(self) -> int:
        """Input bytes of the shard."""
        return sum(split.end - split.start for split in self.splits)


def record_name(shard: InputShard) -> str:
    """Returns the stem of the record that each segment leaves of a shard."""
    return f"shard-{shard.name}"


@dataclass(frozen=True)
class Segment:
    """Decisions that are applied on entry, then batch and expand stages, in one pass a shard."""

    index: int
    decisions: tuple[GlobalStage, ...]
    stages: tuple[BatchStage | ExpandStage, ...]
    fingerprint: str

    @property
    def name(self) -> str:
        """Readable directory name: place, stages, start of the fingerprint."""
        kinds = [stage.name for stage in (*self.decisions, *self.stages)]
        first = ["read"] if self.index == 0 else []
        parts = first + kinds
        shown = parts if len(parts) <= 3 else [parts[0], "to", parts[-1]]
        return f"{self.index:02d}-{'-'.join(shown) or 'copy'}-{self.fingerprint[:8]}"

    def decision_fingerprint(self, position: int, upstream: str) -> str:
        """Returns the identity of the `position`-th global decision of this segment.

        It knows of stages alone, like that of the segment: the documents are in the items' keys.
        """
        chain = [identity(stage) for stage in self.decisions[: position + 1]]
        return fingerprint_of("decision", upstream, chain)

    def decision_name(self, position: int, upstream: str) -> str:
        """Readable directory name of a global decision's keys and answer."""
        fingerprint = self.decision_fingerprint(position, upstream)
        return f"{self.index:02d}-{self.decisions[position].name}-decide-{fingerprint[:8]}"


class Plan(NamedTuple):
    """All that is to be done for a recipe; pure, printable, nothing has run."""

    recipe: Recipe
    base: Path
    inputs: tuple[tuple[str, InputFile], ...]
    shards: tuple[InputShard, ...]
    segments: tuple[Segment, ...]
    fingerprint: str

    @property
    def bytes_in(self) -> int:
        """Bytes of all input files."""
        return sum(file.size for _, file in self.inputs)


def make_plan(loaded: LoadedRecipe) -> Plan:
    """Lists the input files and lays the recipe's stages out as segments.

    Raises:
        RecipeError: A source's path matches nothing.
    """
    recipe, base = loaded
    inputs: list[tuple[str, InputFile]] = []
    shards: list[InputShard] = []
    for source in recipe.sources:
        files = source.files(base)
        inputs.extend((source.name, file) for file in files)
        shards.extend(InputShard(source, splits) for splits in source.shards(files))
    return Plan(
        recipe, base, tuple(inputs), tuple(shards), tuple(segments_of(recipe)), recipe.fingerprint()
    )


def segments_of(recipe: Recipe) -> list[Segment]:
    """Lays stages out as segments; repeated ids are looked for as soon as all shards are read."""
    layout: list[tuple[list[GlobalStage], list[BatchStage | ExpandStage]]] = [([], [])]
    for stage in recipe.stages:
        if isinstance(stage, BatchStage | ExpandStage):
            layout[-1][1].append(stage)
        elif isinstance(stage, GlobalStage):
            decided, scored = layout[-1]
            if scored or len(layout) == 1 or any(_matters(other, stage) for other in decided):
                layout.append(([], []))
            layout[-1][0].append(stage)
    if len(layout) == 1:
        layout.append(([], []))
    if not any(isinstance(stage, UniqueId) for stage in recipe.stages):
        layout[1][0].insert(0, UniqueId(kind="unique_id"))
    return _fingerprinted(recipe, layout)


def _matters(stage: GlobalStage, later: GlobalStage) -> bool:
    """Says whether what one stage writes, or rejects as it is applied, may matter to a later."""
    return bool(stage.rules() or later.reads() & set(stage.writes().names))


def _fingerprinted(
    recipe: Recipe, layout: Sequence[tuple[list[GlobalStage], list[BatchStage | ExpandStage]]]
) -> list[Segment]:
    upstream = fingerprint_of(recipe.score_all)
    segments = []
    for index, (decisions, stages) in enumerate(layout):
        parts = [identity(stage) for stage in (*decisions, *stages)]
        upstream = fingerprint_of(upstream, parts)
        segments.append(Segment(index, tuple(decisions), tuple(stages), upstream))
    return segments
