"""How the plan of a study is shown: what it takes, by group and size, before anything is spent."""

from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from curation.study.costs import cents, money
from curation.study.grid import Cell
from curation.study.planning import Forecast
from curation.study.prices import Range
from curation.study.words import short

if TYPE_CHECKING:
    from curation.study.running import Prepared


def plan_table(prepared: "Prepared") -> RenderableType:
    """Returns the plan as a table: one row for each group of cells and size."""
    plan = prepared.plan
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("cells of", style="bold")
    for name in ("size", "parameters", "cells", "tokens", "FLOP", "minutes", "dollars"):
        table.add_column(name, justify="right", no_wrap=True)
    for (group, size), parts in _grouped(prepared).items():
        casts = [cast for _, cast in parts]
        table.add_row(
            group,
            size,
            short(prepared.probes.speeds[size].parameters),
            f"{len(parts)}",
            short(sum(cell.tokens for cell, _ in parts)),
            f"{sum(cast.flops for cast in casts):.2e}",
            f"{sum(cast.seconds for cast in casts) / 60:.1f}",
            _short(_sum(casts)),
        )
    hardware = prepared.probes.hardware
    head = f"study {prepared.study.name}: {prepared.study.question}"
    total = (
        f"{len(plan.cells)} cells, {plan.flops:.2e} FLOP, about {plan.minutes:.1f} minutes with "
        f"{plan.parallel} at a time on {hardware['name']}, {money(plan.dollars)}; curation is "
        "not in it"
    )
    return Group(Text(head), table, Text(total))


def plan_values(prepared: "Prepared") -> dict[str, Any]:
    """Returns the plan for machines."""
    plan = prepared.plan
    return {
        "study": prepared.study.name,
        "hardware": dict(prepared.probes.hardware),
        "parallel": plan.parallel,
        "cells": [
            {"label": cell.label, "group": cell.group, "flops": cast.flops, "seconds": cast.seconds}
            for cell, cast in zip(plan.cells, plan.forecasts, strict=True)
        ],
        "flops": plan.flops,
        "minutes": plan.minutes,
        "dollars": plan.dollars and vars(plan.dollars),
        "dropped": list(plan.dropped),
        "warnings": list(plan.warnings),
    }


def _grouped(prepared: "Prepared") -> dict[tuple[str, str], list[tuple[Cell, Forecast]]]:
    found: dict[tuple[str, str], list[tuple[Cell, Forecast]]] = {}
    for cell, cast in zip(prepared.plan.cells, prepared.plan.forecasts, strict=True):
        found.setdefault((cell.group, cell.size.name), []).append((cell, cast))
    return found


def _short(dollars: Range | None) -> str:
    return "unknown" if dollars is None else f"${cents(dollars.mid)}"


def _sum(casts: list[Forecast]) -> Range | None:
    total = Range.exact(0.0)
    for cast in casts:
        if cast.dollars is None:
            return None
        total = total + cast.dollars
    return total
