"""What was decided about the rows of a batch: which bounds each one broke, and which came first."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Mask = npt.NDArray[np.bool_]

BROKEN = pa.struct(
    [
        ("stage", pa.string()),
        ("reason", pa.string()),
        ("value", pa.float64()),
        ("bound", pa.float64()),
    ]
)
VERDICT = pa.schema(
    [
        pa.field("stage", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("bound", pa.float64()),
        pa.field("broken", pa.list_(BROKEN)),
        pa.field("other_id", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("detail", pa.string()),
    ]
)
"""Appended to rejected rows: the first broken bound, all broken bounds, the kept twin, and in
`detail` what was found where a record could not be read or a stage failed on it."""


class Break(NamedTuple):
    """The rows of a batch that broke one rule."""

    stage: str
    reason: str
    rows: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64] | None = None
    bounds: npt.NDArray[np.float64] | None = None
    other_ids: Sequence[str] | None = None
    details: Sequence[str | None] | None = None

    def at(self, index: int) -> dict[str, Any]:
        """Returns what one of the rows broke, as a BROKEN value."""
        return {
            "stage": self.stage,
            "reason": self.reason,
            "value": None if self.values is None else float(self.values[index]),
            "bound": None if self.bounds is None else float(self.bounds[index]),
        }


class Verdicts:
    """What was decided about each row of a batch, in the order of the stages."""

    def __init__(self, rows: int) -> None:
        """Starts with every row kept."""
        self.rejected: Mask = np.zeros(rows, dtype=np.bool_)
        self.breaks: list[Break] = []

    def add(self, found: Break) -> int:
        """Notes broken rows; returns how many of them had been kept so far."""
        if not len(found.rows):
            return 0
        newly = int((~self.rejected[found.rows]).sum())
        self.rejected[found.rows] = True
        self.breaks.append(found)
        return newly

    def spread(self, places: npt.NDArray[np.int64], rows: int) -> None:
        """Goes over to a batch of more rows, of which the new ones are kept.

        Args:
            places: int64[n], the new row of each old one.
            rows: All rows.
        """
        rejected = np.zeros(rows, dtype=np.bool_)
        rejected[places] = self.rejected
        self.rejected = rejected
        self.breaks = [found._replace(rows=places[found.rows]) for found in self.breaks]

    def table(self) -> dict[str, pa.Array]:
        """Returns the VERDICT columns of the rejected rows, in row order."""
        rows = np.flatnonzero(self.rejected)
        place = {int(row): index for index, row in enumerate(rows)}
        cells: list[dict[str, Any]] = [{"broken": []} for _ in rows]
        for found in self.breaks:
            for index, row in enumerate(found.rows):
                cell = cells[place[int(row)]]
                broken = found.at(index)
                if not cell["broken"]:
                    cell.update(broken)
                cell["broken"].append(broken)
                if found.other_ids is not None and found.other_ids[index] is not None:
                    cell.update(other_id=found.other_ids[index], similarity=broken["value"])
                if found.details is not None:
                    cell["detail"] = found.details[index]
        return {
            field.name: pa.array([cell.get(field.name) for cell in cells], field.type)
            for field in VERDICT
        }
