"""What a run shows on the server's pages: progress, the funnel, the card, links to the files.

Keys hold the dataset's name, so each dataset has a history of its own under "Artifacts".
"""

import re
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect.artifacts import (
    create_link_artifact,
    create_markdown_artifact,
    create_progress_artifact,
    create_table_artifact,
    update_progress_artifact,
)

from curation.local import Progress
from curation.manifest import Manifest
from curation.plan import Plan
from curation.results import RunResult

UPDATE_SECONDS = 3.0
"""An update is a request to the server: a few a minute are seen, hundreds slow the run."""
CARD_CHARS = 200_000
"""A card that lists a hundred thousand shards is for the disk, not for the server's database."""


def artifact_key(kind: str, name: str) -> str:
    """Returns the key of an artifact: lower-case letters, digits and dashes only.

    Examples:
        >>> artifact_key("funnel", "Web_and.medicine")
        'funnel-web-and-medicine'
    """
    return f"{kind}-{re.sub('[^a-z0-9]+', '-', name.lower()).strip('-')}"


class ProgressBar:
    """A progress artifact that is updated now and then, and at the end."""

    def __init__(self, key: str, description: str) -> None:
        """Makes the artifact at once, so that the run's page shows it from the start."""
        self._description = description
        made = create_progress_artifact(0.0, key=key, description=description)
        assert isinstance(made, UUID)  # a coroutine only where a loop is running
        self._artifact = made
        self._next = time.monotonic() + UPDATE_SECONDS

    def show(self, ratio: float, note: str) -> None:
        """Shows a ratio of 0 to 1 with a note, unless it showed one just before."""
        if time.monotonic() >= self._next or ratio >= 1.0:
            text = f"{self._description}: {note}"
            update_progress_artifact(self._artifact, 100.0 * min(ratio, 1.0), description=text)
            self._next = time.monotonic() + UPDATE_SECONDS


class CurationProgress:
    """Shows how far a run of a plan is, counting each step as equally long."""

    def __init__(self, plan: Plan) -> None:
        """Counts the steps: a pass for each segment, keys and a decision for each global stage."""
        decisions = sum(len(segment.decisions) for segment in plan.segments)
        output = 4  # layout, shards, audit, clusters
        self._total = len(plan.segments) + 2 * decisions + output
        self._begun = 0
        self._items = 0
        self._bar = ProgressBar(artifact_key("progress", plan.recipe.name), plan.recipe.name)

    def __call__(self, progress: Progress) -> None:
        """Takes note of a step that begins or an item that is done."""
        if progress.item is None:
            self._begun, self._items = self._begun + 1, 0
        else:
            self._items += 1
        count = len(progress.step.items)
        ratio = (self._begun - 1 + self._items / max(count, 1)) / self._total
        note = f"{progress.step.name}, {self._items} of {count}"
        self._bar.show(min(ratio, 0.99), note)  # the manifest is written after the last item

    def finish(self) -> None:
        """Shows that the dataset is done."""
        self._bar.show(1.0, "done")


def publish_dataset(manifest: Manifest, out: Path) -> None:
    """Publishes the funnel as a table, the dataset card, and where the outputs lie."""
    totals = manifest.totals
    create_table_artifact(
        funnel_rows(manifest),
        key=artifact_key("funnel", manifest.name),
        description=f"{totals.documents_kept:,} of {totals.documents_in:,} documents kept",
    )
    card = (out / "README.md").read_text(encoding="utf-8")
    create_markdown_artifact(
        card[:CARD_CHARS],
        key=artifact_key("card", manifest.name),
        description=f"Dataset card of {manifest.name} {manifest.version}",
    )
    create_link_artifact(
        out.as_uri(),
        key=artifact_key("outputs", manifest.name),
        link_text=str(out),
        description=f"Shards, audit and manifest; read them with: curate stats {out}",
    )


def funnel_rows(manifest: Manifest) -> list[dict[str, Any]]:
    """Returns the funnel, one row for each stage, in the order in which documents meet them."""
    return [
        {
            "stage": stage.name,
            "in": stage.documents_in,
            "out": stage.documents_out,
            "rejected": ", ".join(f"{n:,} {why}" for why, n in sorted(stage.rejects.items())),
            "CPU seconds": round(stage.cpu_seconds, 2),
        }
        for stage in manifest.stages
    ]


def publish_model(result: RunResult, directory: Path) -> None:
    """Publishes the figures of a training, and where the model lies."""
    create_markdown_artifact(
        model_markdown(result, directory),
        key=artifact_key("result", result.name),
        description=f"Fine-tuning {result.name} on {result.corpus.name}",
    )
    create_link_artifact(
        directory.as_uri(),
        key=artifact_key("model", result.name),
        link_text=str(directory),
        description="Model, tokenizer, model card and result.json",
    )


def model_markdown(result: RunResult, directory: Path) -> str:
    """Returns the figures of a training as Markdown."""
    bits = result.bits_per_byte
    scores = "no eval split: not measured"
    if bits is not None:
        by_source = [
            f"| {name} | {before:.4f} | {after:.4f} |"
            for name, (before, after) in sorted(bits.by_source.items())
        ]
        total = f"| **all** | {bits.before:.4f} | {bits.after:.4f} |"
        header = ["| held out | bits per byte before | after |", "| --- | --- | --- |"]
        scores = "\n".join([*header, total, *by_source])
    return "\n".join(
        [
            f"# {result.name}",
            "",
            scores,
            "",
            f"- {result.tokens_per_second:,.0f} tokens/s on {result.device.name}, "
            f"{result.tokens.trained:,} tokens, {result.seconds.total:,.0f} s in all",
            f"- model: `{directory}`",
            f"- corpus: {result.corpus.name} {result.corpus.version}, "
            f"manifest `{result.corpus.manifest_sha256}`",
            *[f"- {note}" for note in result.notes],
        ]
    )
