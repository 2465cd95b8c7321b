"""Distributions of scores as pictures: kept and rejected documents, and the bounds between them."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.audit.scores import Histogram
from curation.errors import RecipeError
from curation.shards import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

KEPT, REJECTED, BOUND = "#4c8c5a", "#c8553d", "#222222"


def write_plots(directory: Path, found: Sequence[Histogram]) -> list[Path]:
    """Writes one PNG for each score, named after its column.

    Args:
        directory: Where they go; made if missing.
        found: The distributions (`curation.audit.scores.histograms`).

    Raises:
        RecipeError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RecipeError(
            f"pictures need matplotlib, which cannot be imported ({error}); "
            "run: pip install 'curation[plots]', or leave --plots out"
        ) from error
    directory.mkdir(parents=True, exist_ok=True)
    paths = []
    for one in found:
        figure = Figure(figsize=(7, 3.5), layout="constrained")
        FigureCanvasAgg(figure)
        _draw(figure.add_subplot(), one)
        path = directory / f"{_file_name(one.column)}.png"
        picture = BytesIO()
        # No version, no date: equal distributions give equal files.
        figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
        with replacing(path) as file:
            file.write(picture.getvalue())
        paths.append(path)
    return paths


def _file_name(column: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "_" for char in column)


def _draw(axes: "Axes", one: Histogram) -> None:
    edges = _drawn_edges(one)
    kept, rejected = np.array(one.kept), np.array(one.rejected)
    # Side by side in depth, not stacked: on this axis a stack would not show either number.
    for counts, colour, name in ((kept, KEPT, "kept"), (rejected, REJECTED, "rejected")):
        label = f"{name} {counts.sum():,}"
        axes.stairs(counts, edges, fill=True, color=colour, alpha=0.6, label=label)
        axes.stairs(counts, edges, color=colour, linewidth=1.2)
    for bound in one.bounds:
        for side, style in (("low", "--"), ("high", ":")):
            if bound[side] is not None and edges[0] <= bound[side] <= edges[-1]:
                label = _plain(f"{bound['reason']}: {side} {bound[side]:g}")
                axes.axvline(bound[side], color=BOUND, linestyle=style, linewidth=1.2, label=label)
    if one.log:
        axes.set_xscale("log")
    axes.set_yscale("symlog", linthresh=10)
    axes.set_title(_plain(one.column), loc="left", fontsize=10)
    axes.set_ylabel("documents")
    axes.legend(fontsize=7, frameon=False)


def _drawn_edges(one: Histogram) -> "np.ndarray[Any, np.dtype[np.float64]]":
    """Both ends included; what is 0 gets a place of its own on a logarithmic axis."""
    edges = np.array([one.low, *one.edges, one.high], dtype=np.float64)
    if one.log and one.low <= 0:
        smallest = edges[edges > 0][0]
        edges = np.concatenate([[smallest / 4, smallest / 2], edges[2:]])
    for place in range(1, len(edges)):  # a single value has a width, too
        if edges[place] <= edges[place - 1]:
            edges[place] = edges[place - 1] + max(1e-9, abs(edges[place - 1]) * 1e-3)
    return edges


def _plain(text: str) -> str:
    """A dollar sign would begin a formula."""
    return text.replace("$", r"\$")
