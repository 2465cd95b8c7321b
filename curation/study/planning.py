"""What a study will take, told before anything is spent, and what is left out above a cap."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from curation.errors import CurationError, RecipeError
from curation.job import DECAY_ONE_IN
from curation.study.design import GridCell, check_design
from curation.study.grid import Cell, Trunk, without
from curation.study.laws import PUBLISHED
from curation.study.prices import Catalogue, Range, load_catalogue
from curation.study.probe import Speed
from curation.study.spec import BudgetSpec, Group, Study


class Forecast(NamedTuple):
    """What some cells will take."""

    flops: float
    seconds: float
    """Of device time, one after the other."""
    dollars: Range | None
    """None where the device has no price."""


class StudyPlan(NamedTuple):
    """The cells that will be run, and what was decided about them."""

    cells: tuple[Cell, ...]
    forecasts: tuple[Forecast, ...]
    """Of each cell."""
    dropped: tuple[str, ...]
    """What was left out to stay below the caps, a line each."""
    warnings: tuple[str, ...]
    parallel: int
    price: Range | None

    @property
    def flops(self) -> float:
        """Of all cells."""
        return sum(part.flops for part in self.forecasts)

    @property
    def minutes(self) -> float:
        """Wall minutes of all cells, `parallel` at a time."""
        return _minutes(self.cells, self.forecasts, self.parallel)

    @property
    def dollars(self) -> Range | None:
        """Of all cells; None where the device has no price."""
        return _dollars(sum(part.seconds for part in self.forecasts), self.price)


def device_price(study: Study, hardware: Mapping[str, Any]) -> Range | None:
    """Returns the dollars of one hour on a device: the one that the study names, or the one met.

    Raises:
        RecipeError: The catalogue is wrong, or has no device of that name.
    """
    named, catalogue = study.prices.device, catalogue_of(study)
    if named is None and hardware["kind"] == "cpu":
        named = "cpu"
    item = catalogue.device(named) if named else catalogue.device_of(str(hardware["name"]))
    return item.range() if item is not None else None


def catalogue_of(study: Study) -> Catalogue:
    """Returns the price catalogue of a study.

    Raises:
        RecipeError: Its file is missing or wrong.
    """
    path = study.prices.catalogue
    return load_catalogue(Path(path) if path else None)


def plan_study(
    study: Study,
    cells: Sequence[Cell],
    speeds: Mapping[str, Speed],
    *,
    parallel: int = 1,
    price: Range | None = None,
) -> StudyPlan:
    """Predicts what each cell takes, and drops groups of cells as far as the study allows it.

    Args:
        study: The study.
        cells: All of its cells.
        speeds: What the probes found, by size.
        parallel: Cells at a time.
        price: Of the device.

    Raises:
        CurationError: The plan is above a cap, and nothing more may be dropped.
    """
    left = list(cells)
    dropped: list[str] = []
    groups = list(study.budget.drop)
    while True:
        plan = _plan(study, left, speeds, dropped, parallel, price)
        excess = above(plan, study.budget)
        if excess is None:
            return plan
        fewer, group = _drop(left, groups)
        if len(fewer) == len(left):
            raise CurationError(
                f"study {study.name}: {excess}; raise the cap, drop groups (budget.drop), or make "
                "the grid smaller; nothing was run"
            )
        dropped.append(f"{len(left) - len(fewer)} cells of '{group}': {excess}")
        left = fewer


def _drop(cells: Sequence[Cell], groups: list[Group]) -> tuple[list[Cell], str]:
    """Leaves out the first group that has cells; takes the used up ones off the list.

    Returns:
        What is left, all where no group can go, and the group.
    """
    while groups:
        group = groups[0]
        fewer = without(cells, group)
        if group != "grid" or len(fewer) == len(cells):
            groups.pop(0)
        if len(fewer) < len(cells):
            return fewer, group
    return list(cells), ""


def above(plan: StudyPlan, budget: BudgetSpec) -> str | None:
    """Says which cap a plan is above, or None."""
    dollars = plan.dollars.mid if plan.dollars else 0.0
    for name, needed, cap in (
        ("FLOP", plan.flops, budget.flops),
        ("minutes", plan.minutes, budget.minutes),
        ("dollars", dollars, budget.dollars),
    ):
        if cap is not None and needed > cap:
            return f"needs {needed:.3g} {name}, the cap is {cap:.3g}"
    return None


def forecast(cell: Cell, speed: Speed, price: Range | None, share: float = 1.0) -> Forecast:
    """Predicts one cell; several devices are counted as if they shared the work evenly.

    Args:
        cell: The cell.
        speed: Of its size.
        price: Of the device.
        share: Of its steps, those that it does not have from a longer training.
    """
    tokens = cell.tokens * share
    seconds = speed.seconds_apart + tokens / max(speed.tokens_per_second, 1e-9)
    return Forecast(tokens * speed.flops_per_token, seconds, _dollars(seconds, price))


def _shares(study: Study, cells: Sequence[Cell]) -> list[float]:
    """Returns for each cell which share of its steps is its own: all, or those of its decay."""
    if not study.training.branches:
        return [1.0] * len(cells)
    longest: dict[Trunk, int] = {}
    for cell in cells:
        longest[cell.trunk] = max(longest.get(cell.trunk, 0), cell.tokens)
    return [1 / DECAY_ONE_IN if cell.tokens < longest[cell.trunk] else 1.0 for cell in cells]


def _plan(
    study: Study,
    cells: Sequence[Cell],
    speeds: Mapping[str, Speed],
    dropped: Sequence[str],
    parallel: int,
    price: Range | None,
) -> StudyPlan:
    forecasts = tuple(
        forecast(cell, speeds[cell.size.name], price, share)
        for cell, share in zip(cells, _shares(study, cells), strict=True)
    )
    warnings = (*_warnings(study, cells), *_check_grid(study, cells, speeds))
    return StudyPlan(tuple(cells), forecasts, tuple(dropped), warnings, parallel, price)


def _warnings(study: Study, cells: Sequence[Cell]) -> list[str]:
    batch, few = study.training.batch_tokens, study.training.min_steps
    short = [cell for cell in cells if cell.group != "timing" and cell.tokens < few * batch]
    found = []
    if short:
        found.append(
            f"{len(short)} of {len(cells)} cells make fewer than {few:,} steps of {batch:,} tokens:"
            " their losses say more about steps than about data; use a smaller batch_tokens"
        )
    seeds = Counter((cell.size.name, cell.recipe) for cell in cells if cell.group == "seeds")
    if not seeds and not study.illustrative:
        found.append("every cell has one seed: the noise floor cannot be measured; add grid.seeds")
    if study.budget.dollars is not None and not study.prices.device:
        found.append("budget.dollars holds only as far as the device has a price (prices.device)")
    return found


def _check_grid(
    study: Study, cells: Sequence[Cell], speeds: Mapping[str, Speed]
) -> tuple[str, ...]:
    """Predicts what the grid can tell of data against model size; says so where it is nothing.

    Raises:
        RecipeError: It can tell nothing, and the study does not say that it need not.
    """
    seen = Counter(
        (speeds[cell.size.name].parameters, cell.tokens, cell.unique_tokens)
        for cell in cells
        if cell.recipe == study.reference and cell.group != "timing"
    )
    grid = [GridCell(*place, seeds=count) for place, count in seen.items()]
    found = check_design(grid, PUBLISHED["chinchilla-epoch"], noise=study.grid.noise)
    if not found.refused:
        return ()
    if study.grid.design == "refuse" and not study.illustrative:
        raise RecipeError(
            f"study {study.name}: {found.message}; or set grid.design to 'warn' where the question "
            "is about recipes alone"
        )
    return (found.message.replace("design refused", "this grid cannot tell data from model size"),)


def _minutes(cells: Sequence[Cell], forecasts: Sequence[Forecast], parallel: int) -> float:
    """Returns wall minutes: timing cells have the machine for themselves."""
    alone = sum(
        part.seconds for cell, part in zip(cells, forecasts, strict=True) if cell.group == "timing"
    )
    together = sum(part.seconds for part in forecasts) - alone
    return (alone + together / max(parallel, 1)) / 60


def _dollars(seconds: float, price: Range | None) -> Range | None:
    return None if price is None else price * (seconds / 3600)
