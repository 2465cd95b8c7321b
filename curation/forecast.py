"""What a plan still costs: counted from the records of finished work, never guessed.

A rate is CPU seconds per input byte, measured on shards of the same segment in the same work
directory, or else on an earlier finished dataset in the output directory.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import CurationError
from curation.manifest import read_manifest
from curation.passes import RunOptions
from curation.plan import Plan, record_name
from curation.runner import finished


class Forecast(NamedTuple):
    """The state of a plan's work and what the rest should take."""

    finished: bool
    """The dataset is there and whole: a run returns at once."""
    progress: tuple[tuple[int, int], ...]
    """Per segment: shards with a record, shards in all."""
    cpu_seconds: float | None
    """CPU seconds that the rest should take; None where nothing was measured yet."""

    def sentence(self) -> str:
        """Says it for people."""
        if self.finished:
            return "done: the dataset is there and whole; a run returns at once"
        if self.cpu_seconds is None:
            return "cost not known yet: no shard of this recipe has been measured here"
        return f"the rest should take about {self.cpu_seconds:.0f} CPU seconds"

    def as_json(self, plan: Plan) -> dict[str, Any]:
        """Returns plan and forecast for machines."""
        return {
            "name": plan.recipe.name,
            "version": plan.recipe.version,
            "fingerprint": plan.fingerprint,
            "input_files": len(plan.inputs),
            "input_bytes": plan.bytes_in,
            "input_shards": len(plan.shards),
            "segments": [
                {
                    "name": segment.name,
                    "fingerprint": segment.fingerprint,
                    "decides": [stage.name for stage in segment.decisions],
                    "stages": [stage.name for stage in segment.stages],
                    "shards_done": done,
                    "shards": count,
                }
                for segment, (done, count) in zip(plan.segments, self.progress, strict=True)
            ],
            "finished": self.finished,
            "predicted_cpu_seconds": self.cpu_seconds,
        }


def forecast(plan: Plan, options: RunOptions) -> Forecast:
    """Returns what is done of a plan and what the rest should cost."""
    if finished(plan, options) is not None:
        every = tuple((len(plan.shards), len(plan.shards)) for _ in plan.segments)
        return Forecast(finished=True, progress=every, cpu_seconds=0.0)
    progress = []
    seconds: float | None = 0.0
    for segment in plan.segments:
        rate, done = _measured(options.work_directory / segment.name, plan)
        progress.append((len(done), len(plan.shards)))
        left = sum(shard.bytes for index, shard in enumerate(plan.shards) if index not in done)
        seconds = (
            None if seconds is None or (rate is None and left) else seconds + (rate or 0) * left
        )
    cost = _from_manifest(plan, options) if seconds is None else seconds
    return Forecast(finished=False, progress=tuple(progress), cpu_seconds=cost)


def _measured(directory: Path, plan: Plan) -> tuple[float | None, set[int]]:
    """CPU seconds per input byte of the finished shards of one segment, and which they are."""
    cpu, size, done = 0.0, 0, set()
    for index, shard in enumerate(plan.shards):
        try:
            record = json.loads((directory / f"{record_name(shard)}.json").read_bytes())
        except (OSError, ValueError):
            continue
        cpu += record["cpu_seconds"]
        size += shard.bytes
        done.add(index)
    return (cpu / size if size else None), done


def _from_manifest(plan: Plan, options: RunOptions) -> float | None:
    try:
        manifest = read_manifest(options.out)
    except CurationError:
        return None
    read = sum(entry.bytes for entry in manifest.inputs)
    return manifest.cpu_seconds / read * plan.bytes_in if read else None
