"""Texts without some of their lines or paragraphs, and where in the old text those stood.

The bytes of the units that stay are as they were, and so is what lies between two that were
neighbours. Between two that became neighbours stays, of the gaps that were there, the one with the
most line ends, the first of those. At either end nothing stays of what was cut, nor of its gaps.
"""

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, kernel, read_only
from curation.text.units import NEWLINE, Unit, next_unit, plain_units

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]


class Runs(NamedTuple):
    """Units to cut out of n texts: k runs of neighbours."""

    bounds: Ints
    """int64[n + 1]: the runs of text i are `bounds[i]` to `bounds[i + 1]`."""
    first: Places
    """int32[k]: the first unit of each run, ascending within a text."""
    last: Places
    """int32[k]: the last one."""
    paragraphs: bool
    """Units are paragraphs, not lines."""


class CutTexts(NamedTuple):
    """n texts without some of their units."""

    offsets: Ints
    """int64[n + 1], from 0."""
    data: Bytes
    """uint8: the texts, one after another."""
    spans: Ints
    """int64[k, 2]: first character of each run in the old text, and the one after its last."""
    units: Ints
    """int64[n]: units that were cut."""
    chars: Ints
    """int64[n]: characters of the units that were cut."""
    total: Ints
    """int64[n]: characters of all units."""


class _Gap(NamedTuple):
    """The gap that is to be written before the next unit that stays."""

    begin: int
    end: int
    line_ends: int
    """-1 for a gap that is none."""


@inlined
def _wider(gap: _Gap, data: Bytes, begin: int, end: int) -> _Gap:
    """Returns the one of two gaps with more line ends, the first of equal ones."""
    line_ends = 0
    for at in range(begin, end):
        line_ends += data[at] == NEWLINE
    return _Gap(begin, end, line_ends) if line_ends > gap.line_ends else gap


@inlined
def _copy(data: Bytes, begin: int, end: int, new: Bytes, fill: int) -> int:
    for at in range(begin, end):
        new[fill] = data[at]
        fill += 1
    return fill


_UNITS, _CHARS, _TOTAL = range(3)


class _Output(NamedTuple):
    data: Bytes
    spans: Ints
    counts: Ints
    """int64[n, 3]: units cut, characters of these, characters of all units."""


@inlined
def _note_cut(output: _Output, runs: Runs, row: int, run: int, number: int, unit: Unit) -> int:
    """Notes that a unit was cut; returns the run that the next one may belong to."""
    if number == runs.first[run]:
        output.spans[run, 0] = unit.first_char
    output.spans[run, 1] = unit.last_char
    output.counts[row, _UNITS] += 1
    output.counts[row, _CHARS] += unit.last_char - unit.first_char
    return run + 1 if number == runs.last[run] else run


@inlined
def _cut_row(offsets: Ints, data: Bytes, runs: Runs, row: int, output: _Output, fill: int) -> int:
    """Writes one text from `fill` on; returns where it ends."""
    tail, end = offsets[row], offsets[row + 1]
    run, number, lost, kept = runs.bounds[row], 0, False, False
    gap = _Gap(tail, tail, -1)
    unit = next_unit(data, tail, 0, end, runs.paragraphs)
    while unit.first >= 0:
        gap = _wider(gap, data, tail, unit.begin)
        lost = run < runs.bounds[row + 1] and number >= runs.first[run]
        output.counts[row, _TOTAL] += unit.last_char - unit.first_char
        if lost:
            run = _note_cut(output, runs, row, run, number, unit)
        else:
            if kept or number == 0:
                fill = _copy(data, gap.begin, gap.end, output.data, fill)
            fill = _copy(data, unit.begin, unit.end, output.data, fill)
            kept, gap = True, _Gap(unit.end, unit.end, -1)
        number, tail = number + 1, unit.end
        unit = next_unit(data, unit.at, unit.seen, end, runs.paragraphs)
    return fill if lost else _copy(data, tail, end, output.data, fill)


def cut_units(offsets: Ints, data: Bytes, runs: Runs) -> CutTexts:
    """Returns n texts without some of their units.

    Args:
        offsets: int64[n + 1], text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        runs: Which units to cut.
    """
    bounds, first, last, paragraphs = runs
    runs = Runs(read_only(bounds), read_only(first), read_only(last), paragraphs)
    new_offsets, output = _cut_units(read_only(offsets), read_only(data), runs)
    units, chars, total = output.counts.T
    data = output.data[: new_offsets[-1]]
    return CutTexts(new_offsets, data, output.spans, units, chars, total)


@kernel
def _cut_units(offsets: Ints, data: Bytes, runs: Runs) -> tuple[Ints, _Output]:
    rows = len(offsets) - 1
    new_offsets = np.zeros(rows + 1, np.int64)
    output = _Output(
        np.empty(offsets[rows] - offsets[0], np.uint8),
        np.zeros((len(runs.first), 2), np.int64),
        np.zeros((rows, 3), np.int64),
    )
    fill = 0
    for row in range(rows):
        fill = _cut_row(offsets, data, runs, row, output, fill)
        new_offsets[row + 1] = fill
    return new_offsets, output


def plain_cut(text: str, cut: Collection[int], *, paragraphs: bool) -> str:
    r"""Returns a text without some units in plain Python: the meaning of `cut_units`.

    Examples:
        >>> plain_cut("Menu\n\nOne.\nShare\n\nTwo.\nHome", {0, 2, 4}, paragraphs=False)
        'One.\n\nTwo.'
    """
    units = plain_units(text, paragraphs=paragraphs)
    kept = [number for number in range(len(units)) if number not in cut]
    if not kept:
        return text if not units else ""
    parts = [text[: units[0].begin] if kept[0] == 0 else ""]
    for number, after in zip(kept, [*kept[1:], None], strict=True):
        parts.append(units[number].text)
        if after is not None:
            gaps = [text[units[k].end : units[k + 1].begin] for k in range(number, after)]
            parts.append(max(gaps, key=lambda gap: gap.count("\n")))
    if kept[-1] == len(units) - 1:
        parts.append(text[units[-1].end :])
    return "".join(parts)
