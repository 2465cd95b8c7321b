"""What people see in the terminal: tables and routes; text from the web is made harmless first."""

import sys
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from curation.manifest import Manifest, StageCount, explain
from curation.plan import Plan

if TYPE_CHECKING:
    from curation.results import RunResult

_PIPED = None if sys.stdout.isatty() else 160
OUT = Console(highlight=False, width=_PIPED)
"""Results. Columns that nobody watches are not squeezed into 80 characters."""
ERR = Console(stderr=True, highlight=False)
"""Progress."""


def plain(text: object) -> str:
    """Returns a text that a terminal only prints: no control characters, no direction overrides."""
    return "".join(
        "\ufffd" if char not in "\n\t" and _is_unsafe(char) else char for char in str(text)
    )


def one_line(text: object) -> str:
    """Returns a text for a line of a terminal: harmless, and without line breaks or tabs."""
    shown = plain(text)
    return shown[: len(shown) - len(shown.lstrip(" "))] + " ".join(shown.split())


_OVERRIDES = frozenset(map(chr, (*range(0x202A, 0x202F), *range(0x2066, 0x206A))))


def _is_unsafe(char: str) -> bool:
    return char in _OVERRIDES or unicodedata.category(char) in ("Cc", "Cs")


def seconds(value: float) -> str:
    """Returns a duration for people: 0.42 s, 12.3 s, 4 min 10 s."""
    if value < 60:
        return f"{value:.2f} s" if value < 10 else f"{value:.1f} s"
    return f"{int(value // 60)} min {int(value % 60)} s"


def size(value: float) -> str:
    """Returns a number of bytes for people, in powers of 1,000."""
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"


SHOWN_CHARS, SHOWN_ITEMS = 60, 3
"""How much is shown of a score that is a text or a list: `--json` gives all of it."""


def number(value: Any) -> str:
    """Returns a score for people: whole numbers with separators, others with four digits.

    Of a long text the start is shown, and of a list its length and its first items.
    """
    if value is None:
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{int(value):,}"
    if isinstance(value, list | tuple):
        shown = [number(item) for item in value[:SHOWN_ITEMS]]
        return (
            f"{len(value)} [{', '.join([*shown, *(['...'] if len(value) > len(shown) else [])])}]"
        )
    if isinstance(value, dict):
        return " ".join(f"{one_line(key)} {number(item)}" for key, item in value.items())
    text = one_line(value)
    return text if len(text) <= SHOWN_CHARS else f"{text[:SHOWN_CHARS]}..."


def funnel(manifest: Manifest) -> RenderableType:
    """Returns the funnel: one row a stage, its rejects by reason, its CPU seconds."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("stage", style="bold")
    for name in ("in", "out", "rejected"):
        table.add_column(name, justify="right")
    table.add_column("by reason")
    table.add_column("CPU s", justify="right")
    for stage in manifest.stages:
        table.add_row(
            stage.name,
            f"{stage.documents_in:,}",
            f"{stage.documents_out:,}",
            f"{sum(stage.rejects.values()):,}" if stage.rejects else "",
            _reasons(stage),
            f"{stage.cpu_seconds:.2f}",
        )
    totals = manifest.totals
    share = totals.documents_kept / totals.documents_in if totals.documents_in else 0.0
    summary = (
        f"{totals.documents_in:,} documents in, {totals.documents_kept:,} kept ({share:.1%}), "
        f"{totals.documents_rejected:,} rejected; {size(totals.bytes_in)} read, "
        f"{size(totals.text_bytes_kept)} of text kept"
    )
    return Group(table, Text(summary))


def _reasons(stage: StageCount) -> str:
    ordered = sorted(stage.rejects.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{escape(reason)} {count:,}" for reason, count in ordered)


def sources(manifest: Manifest) -> Table:
    """Returns what became of each source."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("source", style="bold")
    for name in ("in", "kept", "rejected", "read", "text kept"):
        table.add_column(name, justify="right")
    table.add_column("skipped records")
    for name, count in manifest.sources.items():
        table.add_row(
            name,
            f"{count.documents_in:,}",
            f"{count.documents_kept:,}",
            f"{count.documents_rejected:,}",
            size(count.bytes_in),
            size(count.text_bytes_kept),
            ", ".join(f"{kind} {found:,}" for kind, found in sorted(count.skipped.items())),
        )
    return table


def plan_table(plan: Plan, progress: Sequence[tuple[int, int]]) -> RenderableType:
    """Returns the segments of a plan with what is done of each."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("segment", "decides first", "stages", "done"):
        table.add_column(name)
    for segment, (done, count) in zip(plan.segments, progress, strict=True):
        table.add_row(
            segment.name,
            ", ".join(stage.name for stage in segment.decisions),
            ", ".join((["read"] if segment.index == 0 else []) + [s.name for s in segment.stages]),
            f"{done} of {count} shards",
        )
    files = len(plan.inputs)
    head = (
        f"{plan.recipe.name} {plan.recipe.version}, fingerprint {plan.fingerprint[:16]}: "
        f"{files:,} file{'s' if files != 1 else ''}, {size(plan.bytes_in)}, "
        f"{len(plan.shards):,} shards of input"
    )
    return Group(Text(head), table)


def warn(manifest: Manifest) -> None:
    """Prints the unusual shares that were removed, with reasons and examples, on stderr."""
    for line in explain(manifest.warnings):
        prefix = "" if line.startswith(" ") else "warning: "
        ERR.print(Text(one_line(f"{prefix}{line}")), soft_wrap=True)


def note(lines: Iterable[str]) -> None:
    """Prints what a user should know before a run on stderr, each line once."""
    for line in dict.fromkeys(lines):
        ERR.print(Text(one_line(f"warning: {line}")), soft_wrap=True)


def places(out: Path, manifest: Manifest) -> Text:
    """Returns where the outputs of a run lie."""
    splits: dict[str, int] = {}
    for shard in manifest.shards:
        splits[shard.split] = splits.get(shard.split, 0) + shard.documents
    counts = ", ".join(
        f"{split} {count:,}" for split, count in sorted(splits.items(), reverse=True)
    )
    lines = [
        f"shards    {out / 'shards'}  ({len(manifest.shards)} files; documents: {counts})",
        f"audit     {out / 'audit'}  (ask: curate trace {out} URL)",
        f"manifest  {out / 'manifest.json'}  (recipe fingerprint {manifest.fingerprint[:16]})",
    ]
    return Text("\n".join(lines))


def training(result: "RunResult", directory: Path) -> Text:
    """Returns what a fine-tuning run bought, and where it left the model."""
    held_out = "no held-out documents"
    if result.bits_per_byte is not None:
        bits = result.bits_per_byte
        held_out = (
            f"{bits.before:.4f} before, {bits.after:.4f} after "
            f"({bits.documents:,} documents, {size(bits.bytes)}"
            f"{'' if bits.se_after is None else f', standard error {bits.se_after:.4f}'})"
        )
    trained = (
        f"{result.tokens_per_second:,.0f} tokens/s on {result.device.name}; "
        f"{result.tokens.trained:,} tokens in {seconds(result.seconds.train)}"
    )
    lines = [
        f"model     {directory}{'  (reused)' if result.reused else ''}",
        f"trained   {trained}, {result.model.parameters:,} parameters",
        f"held-out bits per byte  {held_out}",
    ]
    return Text("\n".join(lines))
