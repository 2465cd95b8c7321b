"""Answers about single documents and pairs of datasets, as people see them in the terminal."""

from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from curation.audit import Difference, Hop, Route
from flows.display import number, plain


def route(found: Route) -> RenderableType:
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
    title = f"{document['doc_id'][:12]}  {document['source']}  {plain(document['url'] or '')}"
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
