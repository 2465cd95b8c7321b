"""What people see in the terminal: tables and routes; text from the web is made harmless first."""

import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from curation.manifest import Manifest, StageCount
from curation.plan import Plan

if TYPE_CHECKING:
    from curation.audit import Difference, Hop, Route
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


def number(value: Any) -> str:
    """Returns a score for people: whole numbers with separators, others with four digits."""
    if value is None:
        return "-"
    if isinstance(value, list):
        return f"{len(value):,} listed"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:.4g}"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{int(value):,}"
    return plain(value)


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


def route(found: "Route") -> RenderableType:
    """Returns the route of one document: a line for each stage, with its scores and bounds."""
    document = found.document
    head = Text.assemble(
        (document["doc_id"], "bold"), "  ", document["source"], "  ",
        plain(document["url"] or document["record_id"]),
    )  # fmt: skip
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    for hop in found.hops:
        style = {"kept": "green", "rejected": "bold red"}.get(hop.verdict, "dim")
        table.add_row(hop.stage, Text(hop.verdict.upper(), style=style), _hop_text(hop, document))
    lines: list[RenderableType] = [head, table]
    if found.twin is not None:
        twin = found.twin
        where = plain(twin["url"] or twin["source"])
        lines.append(Text(f"  kept in its place: {twin['doc_id']}  {where}  ({twin['verdict']})"))
    return Group(*lines)


def _hop_text(hop: "Hop", document: dict[str, Any]) -> Text:
    text = Text()
    if hop.verdict == "rejected":
        text.append(plain(document["reason"]), style="bold red")
        for name in ("similarity", "detail", "other_id"):
            if document.get(name) is not None:
                text.append(f"  {name} {number(document[name])}")
        text.append("  " if hop.scores else "")
    bounds = _by_column(hop.bounds)
    bounded = {bound["column"] for bound in bounds}
    for bound in bounds:
        shown = f"{_short(bound['column'], hop)} {number(bound['value'])} in {_interval(bound)}; "
        text.append(shown, style="red" if bound["broken"] else "")
    for name, value in hop.scores.items():
        if name not in bounded and not name.endswith(("_cluster", "_similarity")):
            text.append(f"{_short(name, hop)} {number(value)}; ", style="dim")
    return text


def _by_column(bounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Joins the rules on one score into one interval."""
    joined: dict[str, dict[str, Any]] = {}
    for bound in bounds:
        one = joined.setdefault(bound["column"], {**bound})
        for side in ("low", "high"):
            one[side] = bound[side] if one[side] is None else one[side]
        one["broken"] = one["broken"] or bound["broken"]
    return list(joined.values())


def _short(column: str, hop: "Hop") -> str:
    return column.removeprefix(f"{hop.stage}_")


def _interval(bound: dict[str, Any]) -> str:
    low = "" if bound["low"] is None else number(bound["low"])
    high = "" if bound["high"] is None else number(bound["high"])
    return f"[{low or '-inf'}, {high or 'inf'}]"


def document_panel(document: dict[str, Any], *, chars: int) -> Panel:
    """Returns one document to read: its head line, its verdict, and the start of its text."""
    text = document.get("text") or ""
    shown = plain(text[:chars]) + (f" ... ({len(text):,} characters)" if len(text) > chars else "")
    title = f"{document['doc_id'][:12]}  {document['source']}  {plain(document['url'] or '')}"
    if document.get("reason"):
        value = f" {number(document['value'])}" if document.get("value") is not None else ""
        bound = f" (bound {number(document['bound'])})" if document.get("bound") is not None else ""
        title += f"  {document['stage']}.{document['reason']}{value}{bound}"
    return Panel(Text(shown), title=Text(title), title_align="left", box=box.ROUNDED)


def difference(found: "Difference", *, examples: int = 10) -> RenderableType:
    """Returns settings, counts and documents in which two datasets differ."""
    parts: list[RenderableType] = []
    for title, rows in (("settings", found.settings), ("counts", found.counts)):
        table = Table(title, "A", "B", box=box.SIMPLE_HEAD, pad_edge=False)
        for key, a, b in rows:
            table.add_row(key, plain(a), plain(b))
        parts.append(table if rows else Text(f"{title}: the same"))
    for title, documents in (
        ("kept by A only", found.only_a),
        ("kept by B only", found.only_b),
        ("kept by both with other text", found.changed),
    ):
        parts.append(Text(f"{title}: {len(documents):,}"))
        for document in documents[:examples]:
            why = f"  {document['stage']}.{document['reason']}" if document.get("reason") else ""
            parts.append(Text(f"  {document['doc_id']}  {plain(document['url'] or '')}{why}"))
    return Group(*parts)


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
            f"({bits.documents:,} documents, {size(bits.bytes)})"
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
