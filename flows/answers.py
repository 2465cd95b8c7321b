"""Answers about documents, other bounds and pairs of datasets, as people see them."""

from collections.abc import Mapping
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from curation.audit import Difference, Hop, Outcome, Route
from curation.audit.bounds import Bound
from curation.audit.counterfactual import Flips
from curation.audit.scope import scope_words
from flows import families
from flows.display import number, one_line, plain


def route(found: Route) -> RenderableType:
    """Returns the route of one document: a line for each stage, with its scores and bounds."""
    document = found.document
    head = Text.assemble(
        (document["doc_id"], "bold"), "  ", document["source"], "  ",
        one_line(document["url"] or document["record_id"]),
    )  # fmt: skip
    table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 2))
    for hop in found.hops:
        style = {"kept": "green", "rejected": "bold red"}.get(hop.verdict, "dim")
        table.add_row(hop.stage, Text(hop.verdict.upper(), style=style), _hop_text(hop, document))
    lines: list[RenderableType] = [head, table]
    if found.twin is not None:
        twin = found.twin
        where = one_line(twin["url"] or twin["source"])
        lines.append(Text(f"  kept in its place: {twin['doc_id']}  {where}  ({twin['verdict']})"))
    if found.family:
        lines += families.family(found.family, document["doc_id"])
    return Group(*lines)


def _hop_text(hop: Hop, document: dict[str, Any]) -> Text:
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


def _short(column: str, hop: Hop) -> str:
    return column.removeprefix(f"{hop.stage}_")


def _interval(bound: dict[str, Any]) -> str:
    low = "" if bound["low"] is None else number(bound["low"])
    high = "" if bound["high"] is None else number(bound["high"])
    return f"[{low or '-inf'}, {high or 'inf'}]"


def document_panel(document: dict[str, Any], *, chars: int) -> Panel:
    """Returns one document to read: its head line, its verdict, and the start of its text."""
    text = document.get("text") or ""
    shown = plain(text[:chars]) + (f" ... ({len(text):,} characters)" if len(text) > chars else "")
    title = f"{document['doc_id'][:12]}  {document['source']}  {one_line(document['url'] or '')}"
    if document.get("reason"):
        value = f" {number(document['value'])}" if document.get("value") is not None else ""
        bound = f" (bound {number(document['bound'])})" if document.get("bound") is not None else ""
        title += f"  {document['stage']}.{document['reason']}{value}{bound}"
    return Panel(Text(shown), title=Text(title), title_align="left", box=box.ROUNDED)


def difference(found: Difference, *, examples: int = 10) -> RenderableType:
    """Returns settings, counts and documents in which two datasets differ."""
    parts: list[RenderableType] = []
    for title, rows in (("settings", found.settings), ("counts", found.counts)):
        table = Table(title, "A", "B", box=box.SIMPLE_HEAD, pad_edge=False)
        for key, a, b in rows:
            table.add_row(*(Text("-" if cell is None else one_line(cell)) for cell in (key, a, b)))
        parts.append(table if rows else Text(f"{title}: the same"))
    if not found.sources:
        return Group(
            *parts, Text("documents: the same are kept, and rejected for the same reasons")
        )
    parts += [_by_source(found), _by_reason(found)]
    for title, documents in (
        ("kept by A only", found.only_a),
        ("kept by B only", found.only_b),
        ("kept by both with other text", found.changed),
    ):
        parts += [Text(f"{title}, e.g.")] if documents and examples else []
        parts += [Text(_different(document)) for document in documents[:examples]]
    return Group(*parts)


def _by_source(found: Difference) -> Table:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("documents of source", style="bold")
    titles = {
        "only_a": "kept by A only",
        "only_b": "kept by B only",
        "changed": "kept by both with other text",
        "otherwise": "rejected for another reason",
    }
    for title in titles.values():
        table.add_column(title, justify="right")
    for row in found.sources:
        table.add_row(Text(plain(row["source"])), *(f"{row[name]:,}" for name in titles))
    return table


def _by_reason(found: Difference, most: int = 20) -> RenderableType:
    table = Table("source", "in A", "in B", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("documents", justify="right")
    for row in found.reasons[:most]:
        cells = [Text(plain(row[name])) for name in ("source", "why_a", "why_b")]
        table.add_row(*cells, f"{row['documents']:,}")
    left = sum(row["documents"] for row in found.reasons[most:])
    return Group(table, Text(f"and {left:,} documents more")) if left else table


def _different(document: Mapping[str, Any]) -> str:
    why = (
        f"  {document['text_bytes_a']:,} -> {document['text_bytes_b']:,} bytes"
        if ("text_bytes_a" in document)
        else f"  {_why(document) or document['why_there']}"
    )
    return f"  {document['doc_id']}  {one_line(document['url'] or '')}{why}"


_FATES = {
    "returning": "rejected -> kept so far",
    "leaving": "kept -> rejected",
    "staying": "rejected -> rejected by another rule",
    "unknown": "rejected -> not known: no text that a later stage could score",
}


def outcome(found: Outcome) -> RenderableType:
    """Returns what other bounds would have done, and what of it is not known."""
    parts: list[RenderableType] = [Text(_bound_line(bound)) for bound in found.bounds]
    if not parts:
        parts = [Text("the bounds are those of the dataset: nothing changes")]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("verdict")
    table.add_column("documents", justify="right")
    table.add_column("by source and reason")
    for fate, title in _FATES.items():
        flips: Flips = getattr(found, fate)
        if flips.documents or fate in ("returning", "leaving"):
            table.add_row(title, f"{flips.documents:,}", Text(_groups(flips)))
    so_far = "" if found.exact else " so far"
    share = f"{found.kept:,} kept -> {found.kept_so_far:,} kept{so_far}"
    parts += [table, Text(f"{share}{' (exact)' if found.exact else ''}", style="bold")]
    parts += [Text(line) for line in _caveats(found)]
    for fate, title in _FATES.items():
        parts += _examples(title, getattr(found, fate))
    return Group(*parts)


def _bound_line(bound: Bound) -> str:
    before = _interval({"low": bound.was_low, "high": bound.was_high})
    after = _interval({"low": bound.low, "high": bound.high})
    scope = scope_words(bound.scope)
    where = f"  ({scope})" if scope else ""
    return plain(f"{bound.stage}.{bound.reason}  {bound.column} in {before} -> {after}{where}")


def _groups(flips: Flips, most: int = 8) -> str:
    shown = [
        f"{plain(group['source'])} {_why(group)} {group['documents']:,}"
        for group in flips.groups[:most]
    ]
    if len(flips.groups) > most:
        shown.append(f"and {sum(group['documents'] for group in flips.groups[most:]):,} more")
    return ", ".join(shown)


def _why(row: Mapping[str, Any]) -> str:
    """Says the reason before, and the one after where there is one."""
    sides = []
    for prefix in ("", "new_"):
        if row.get(f"{prefix}stage"):
            side = f"{row[f'{prefix}stage']}.{row[f'{prefix}reason']}"
            value, bound = row.get(f"{prefix}value"), row.get(f"{prefix}bound")
            if value is not None:
                side += f" {number(value)} (bound {number(bound)})"
            sides.append(plain(side))
    return " -> ".join(sides)


def _caveats(found: Outcome) -> list[str]:
    lines = []
    if found.undecided_by:
        stages = ", ".join(f"{name} {count:,}" for name, count in found.undecided_by.items())
        lines.append(f"never saw documents that come back, and may reject them: {stages}")
    if found.decided_again:
        stages = ", ".join(found.decided_again)
        lines.append(f"decides between documents, and may choose others among others: {stages}")
    if found.freed:
        lines.append(
            f"duplicates whose kept twin would go, and that may come back: {found.freed:,}"
        )
    return lines


def _examples(title: str, flips: Flips) -> list[RenderableType]:
    lines = [
        f"  {row['doc_id']}  {plain(row['source'])}  {one_line(row['url'] or row['record_id'])}"
        f"  {_why(row)}"
        for row in flips.examples
    ]
    return [Text(line) for line in ([f"{title}, e.g.", *lines] if lines else [])]
