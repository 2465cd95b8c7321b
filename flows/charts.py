"""Tables of groups and rules, and distributions of scores, for the terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from curation.audit.funnels import Groups, RuleEffect
from curation.audit.scope import scope_words
from curation.audit.scores import Histogram
from flows.display import number, one_line, size

_EIGHTHS = " ▁▂▃▄▅▆▇█"
_KEPT, _REJECTED, _BOUND = "green", "red", "bold yellow"
BAR_CHARS = 50


def groups_table(found: Groups) -> RenderableType:
    """Returns what became of each group: in, kept, rejected, share kept, most common reasons."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(found.by, style="bold", overflow="fold")
    last = "CPU s" if found.by == "stage" else "text kept"
    for name in ("in", "kept", "rejected", "share kept", last):
        table.add_column(name, justify="right")
    table.add_column("most common reasons")
    for group in found.groups:
        into, kept = group["documents_in"], group["documents_kept"]
        reasons = [f"{one_line(reason)} {count:,}" for reason, count in group["reasons"].items()]
        table.add_row(
            Text(one_line(group["name"])[:80]),
            f"{into:,}",
            f"{kept:,}",
            f"{group['documents_rejected']:,}",
            f"{kept / into:.1%}" if into else "",
            f"{group['cpu_seconds']:.2f}"
            if found.by == "stage"
            else size(group["text_bytes_kept"]),
            Text(", ".join(reasons)),
        )
    left = found.total - len(found.groups)
    return Group(table, Text(f"and {left:,} more; --top shows them")) if left > 0 else table


def effects_table(effects: Sequence[RuleEffect]) -> Table:
    """Returns each rule with what it rejected first, what broke it, and what broke only it."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("rule", style="bold")
    table.add_column("bound")
    for name in ("rejected", "broken", "only this"):
        table.add_column(name, justify="right")
    for effect in effects:
        table.add_row(
            one_line(f"{effect.stage}.{effect.reason}"),
            Text("; ".join(_rule_words(effect.bounds))),
            *(f"{count:,}" for count in (effect.first, effect.broken, effect.only)),
        )
    return table


def _rule_words(bounds: Sequence[Mapping[str, Any]]) -> list[str]:
    """Says a rule's bounds; each with its scope, unless they are the same everywhere."""
    sides = dict.fromkeys(_sides(bound) for bound in bounds)
    if len(sides) == 1:
        return list(sides)
    return list(dict.fromkeys(_scoped_sides(bound) for bound in bounds))


def _sides(bound: Mapping[str, Any]) -> str:
    sides = [
        f"{sign} {number(float(bound[side]))}"
        for side, sign in (("low", ">="), ("high", "<="))
        if bound[side] is not None
    ]
    return " and ".join(sides)


def _scoped_sides(bound: Mapping[str, Any]) -> str:
    limits = {name: bound[name] for name in ("sources", "languages", "except_languages")}
    scope = scope_words(limits)
    return one_line(_sides(bound) + (f" ({scope})" if scope else ""))


def overview(found: Sequence[Histogram]) -> RenderableType:
    """Returns a line for each score: its range, its distribution, and where its bounds lie."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("score", style="bold")
    table.add_column("documents", justify="right")
    table.add_column("least", justify="right")
    table.add_column("distribution", no_wrap=True)
    table.add_column("most")
    table.add_column("kept where")
    for one in found:
        rules: dict[str, list[Mapping[str, Any]]] = {}
        for bound in one.bounds:
            rules.setdefault(bound["reason"], []).append(bound)
        words = [f"{reason}: {'; '.join(_rule_words(mine))}" for reason, mine in rules.items()]
        table.add_row(
            one.column,
            f"{one.scored:,}",
            number(one.low),
            _sparkline(one),
            number(one.high) + (" log" if one.log else ""),
            Text(", ".join(words)),
        )
    caption = Text.assemble(
        "bar: square root of the documents, ", ("most of them kept", _KEPT), " or ",
        ("rejected", _REJECTED), " for whatever reason; ", ("│", _BOUND), ": bound",
    )  # fmt: skip
    return Group(table, caption)


def _sparkline(one: Histogram) -> Text:
    totals = [kept + rejected for kept, rejected in zip(one.kept, one.rejected, strict=True)]
    top = math.sqrt(max(totals))
    marked = _marks(one)
    line = Text()
    for place, total in enumerate(totals):
        height = math.ceil(math.sqrt(total) / top * 8)
        line.append(_EIGHTHS[height], style=_KEPT if 2 * one.kept[place] >= total else _REJECTED)
        if place in marked:
            line.append("│", style=_BOUND)
    return line


def _marks(one: Histogram) -> dict[int, list[str]]:
    """Returns the bins that a bound lies behind, with the bounds."""
    marks: dict[int, list[str]] = {}
    for bound in one.bounds:
        for side in ("low", "high"):
            limit = bound[side]
            if limit is None:
                continue
            inside = [e for e in one.edges if (e < limit if side == "low" else e <= limit)]
            if not inside or (side == "high" and limit >= one.high):
                continue
            words = _scoped_sides({**bound, "low": None, "high": None, side: limit})
            marks.setdefault(len(inside) - 1, []).append(f"{bound['reason']}: {words}")
    return marks


def histogram(one: Histogram) -> RenderableType:
    """Returns one score's distribution: a line for each bin, bounds between them."""
    totals = [kept + rejected for kept, rejected in zip(one.kept, one.rejected, strict=True)]
    marked, lines = _marks(one), [_title(one)]
    labels = _labels(one)
    width = max(map(len, labels))
    for place, total in enumerate(totals):
        line = Text(f"{labels[place]:>{width}}  ")
        kept = round(one.kept[place] / max(totals) * BAR_CHARS)
        rejected = round(one.rejected[place] / max(totals) * BAR_CHARS)
        line.append("█" * kept or ("▏" if one.kept[place] else ""), style=_KEPT)
        line.append("░" * rejected or ("▏" if one.rejected[place] else ""), style=_REJECTED)
        parts = [f"{one.kept[place]:,} kept"] if one.kept[place] else []
        parts += [f"{one.rejected[place]:,} rejected"] if one.rejected[place] else []
        lines.append(line.append(f"  {', '.join(parts)}" if total else ""))
        lines += [Text(f"{'─' * width}  {words}", style=_BOUND) for words in marked.get(place, ())]
    return Group(*lines)


def _labels(one: Histogram) -> list[str]:
    """Returns the range of each bin; of whole numbers, those that are in it."""
    lows = [one.low, *(edge + one.whole for edge in one.edges)]
    highs = [*one.edges, one.high]
    return [
        _short(low) if low == high and one.whole else f"{_short(low)} .. {_short(high)}"
        for low, high in zip(lows, highs, strict=True)
    ]


def _title(one: Histogram) -> Text:
    log = ", bins on a logarithmic axis" if one.log else ""
    return Text(f"{one.column}: {one.scored:,} documents{log}", style="bold")


def _short(value: float) -> str:
    return number(float(f"{value:.4g}")) if abs(value) < 1e4 else f"{value:,.0f}"
