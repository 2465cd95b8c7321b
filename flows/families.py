"""Augmented documents as people see them: beside their parents, in families, and in numbers."""

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from curation.audit import Operation
from flows.display import number, one_line, plain

_TOKEN = re.compile(r"\w+|\s+|[^\w\s]")
_LONG = 4000
"""Tokens from which common ones are no anchors: comparing all of them would take minutes."""
_STYLES = {"parent": "red strike", "child": "bold green"}
_MARKS = {"parent": ("[-", "-]"), "child": ("{+", "+}")}


def side_by_side(pair: dict[str, Any], *, chars: int, marks: bool) -> RenderableType:
    """Returns parent and child beside each other, what differs coloured.

    Args:
        pair: As `curation.audit.pairs` returns it.
        chars: Characters of each text that are shown.
        marks: What differs stands in [-signs-] and {+signs+}, too: where there are no colours.
    """
    sides = [pair["parent_text"] or "", pair["text"] or ""]
    shown = changed_words(*(text[:chars] for text in sides), marks=marks)
    for one, text in zip(shown, sides, strict=True):
        if len(text) > chars:
            one.append(f" ... ({len(text):,} characters)", style="dim")
    table = Table(title=Text(_title(pair)), title_justify="left", box=box.ROUNDED, expand=True)
    table.add_column(Text(f"parent {pair['parent_id'][:12]} ({pair['parent_verdict']})"), ratio=1)
    table.add_column(Text(f"child {pair['doc_id'][:12]} ({pair['verdict']})"), ratio=1)
    table.add_row(*shown)
    return table


def _title(pair: dict[str, Any]) -> str:
    title = f"{one_line(pair['source'])}  {one_line(pair['made_by'])}"
    if pair["operation"] != pair["made_by"]:
        title += f" {one_line(pair['operation'])}"
    return title + _why(pair)


def _why(row: dict[str, Any]) -> str:
    if not row.get("reason"):
        return ""
    value = f" {number(row['value'])}" if row.get("value") is not None else ""
    bound = f" (bound {number(row['bound'])})" if row.get("bound") is not None else ""
    return f"  {one_line(row['stage'])}.{one_line(row['reason'])}{value}{bound}"


def changed_words(parent: str, child: str, *, marks: bool = False) -> tuple[Text, Text]:
    """Returns two texts, made harmless for a terminal, in which the words that differ stand out.

    Args:
        parent: What was there.
        child: What was made of it.
        marks: Signs around what differs, too.
    """
    one, two = (_TOKEN.findall(plain(text)) for text in (parent, child))
    matcher = SequenceMatcher(None, one, two, autojunk=max(len(one), len(two)) > _LONG)
    found = Text(), Text()
    for tag, start, stop, other_start, other_stop in matcher.get_opcodes():
        parts = "".join(one[start:stop]), "".join(two[other_start:other_stop])
        for text, part, side in zip(found, parts, _STYLES, strict=True):
            if tag == "equal":
                text.append(part)
            elif part:
                before, after = _MARKS[side] if marks else ("", "")
                text.append(f"{before}{part}{after}", style=_STYLES[side])
    return found


def family(members: Sequence[dict[str, Any]], doc_id: str, most: int = 20) -> Iterator[Text]:
    """Yields a line for each member of a family: who made it of whom, and what became of it.

    Args:
        members: Parents first.
        doc_id: The one that was asked for.
        most: Members that are shown.
    """
    yield Text(f"  family of {len(members)}")
    for member in members[:most]:
        made = one_line(member["made_by"] or "as it was read")
        if member["operation"] not in (None, member["made_by"]):
            made += f" {one_line(member['operation'])}"
        line = Text("    " if member["parent_id"] is None else "      ")
        line.append(member["doc_id"], style="bold" if member["doc_id"] == doc_id else "")
        line.append(f"  {made}  ")
        style = "green" if member["verdict"] == "kept" else "bold red"
        line.append(member["verdict"].upper(), style=style)
        line.append(_why(member))
        yield line
    if len(members) > most:
        yield Text(f"      and {len(members) - most:,} more")


def operations_table(found: Sequence[Operation]) -> RenderableType:
    """Returns what each operation made, what became of it, and its mean scores."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("operation", style="bold")
    for name in ("made", "kept", "rejected", "s per 1,000"):
        table.add_column(name, justify="right")
    table.add_column("by reason")
    table.add_column("means")
    for one in found:
        name = one.stage if one.operation == one.stage else f"{one.stage} {one.operation}"
        rate = one.seconds_per_thousand
        table.add_row(
            Text(one_line(name)),
            f"{one.made:,}",
            f"{one.kept:,}",
            f"{sum(one.reasons.values()):,}",
            "" if rate is None else f"{rate:.1f}",
            Text(", ".join(f"{one_line(why)} {count:,}" for why, count in one.reasons.items())),
            Text(
                ", ".join(f"{one_line(column)} {mean:.3g}" for column, mean in one.scores.items())
            ),
        )
    made, kept = (sum(getattr(one, name) for one in found) for name in ("made", "kept"))
    share = f" ({kept / made:.1%})" if made else ""
    return Group(table, Text(f"{made:,} documents made, {kept:,} kept{share}"))


def _means(found: Operation) -> Iterator[str]:
    """Yields the stage's own scores, and of those of gates the one that says how much changed."""
    prefix = f"{found.stage}_"
    for column, mean in found.scores.items():
        if column.startswith(prefix):
            yield f"{one_line(column.removeprefix(prefix))} {mean:.3g}"
        elif column.endswith("_chrf"):
            yield f"chrf {mean:.3g}"
