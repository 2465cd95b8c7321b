"""A law against its runs as a picture: loss over data for each model size, and residuals."""

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from curation.errors import RecipeError
from curation.shards import replacing
from curation.study.fit import PointFit
from curation.study.forms import Facts

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST_SIZES = 8
_MARKS = "osD^vP*X"


def write_picture(path: Path, fit: PointFit, unit: str) -> None:
    """Writes loss over tokens with the law's curves, and the residuals, as PNG.

    Args:
        path: Of the PNG.
        fit: A fitted form.
        unit: Of loss.

    Raises:
        RecipeError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RecipeError(
            f"pictures need matplotlib, which cannot be imported ({error}); "
            "run: pip install 'curation[study]'"
        ) from error
    figure = Figure(figsize=(11, 4.5), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_curves(left, fit, unit)
    _draw_residuals(right, fit)
    picture = BytesIO()
    # No version, no date: equal fits give equal files.
    figure.savefig(picture, format="png", dpi=110, metadata={"Software": None})
    with replacing(path) as file:
        file.write(picture.getvalue())


def _groups(fit: PointFit) -> list[Any]:
    """Returns rows by model size: by value where they are few, else by range."""
    size = np.round(fit.points.facts.parameters, 3)
    values = np.unique(size)
    if len(values) <= _MOST_SIZES:
        return [np.flatnonzero(size == value) for value in values]
    edges = np.quantile(size, np.linspace(0, 1, _MOST_SIZES + 1))
    place = np.clip(np.searchsorted(edges, size, side="right") - 1, 0, _MOST_SIZES - 1)
    return [rows for k in range(_MOST_SIZES) if len(rows := np.flatnonzero(place == k))]


def _colour(place: int, count: int) -> tuple[float, float, float]:
    share = place / max(1, count - 1)
    return (0.15 + 0.75 * share, 0.45 - 0.15 * share, 0.7 - 0.55 * share)


def _draw_curves(axes: "Axes", fit: PointFit, unit: str) -> None:
    points, groups = fit.points, _groups(fit)
    tokens = np.linspace(points.facts.tokens.min(), points.facts.tokens.max(), 80)
    for place, rows in enumerate(groups):
        colour = _colour(place, len(groups))
        size = float(np.median(points.facts.parameters[rows]))
        label: str | None = f"N = {np.exp(size):.3g}"
        for recipe in np.unique(points.facts.recipe[rows]):
            mine = rows[points.facts.recipe[rows] == recipe]
            x, y = np.exp(points.facts.tokens[mine]), points.loss[mine]
            mark = _MARKS[int(recipe) % len(_MARKS)]
            axes.plot(x, y, mark, color=colour, markersize=4, label=label)
            axes.plot(np.exp(tokens), _curve(fit, size, tokens, int(recipe)), color=colour, lw=1)
            label = None
    axes.set(xscale="log", yscale="log", xlabel="tokens", ylabel=f"loss ({_plain(unit)})")
    axes.xaxis.set_minor_formatter("")
    axes.yaxis.set_minor_formatter("{x:.3g}")
    axes.set_title(f"{fit.form.name}: runs and law, at one epoch", loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False)


def _curve(fit: PointFit, size: float, tokens: "np.ndarray[Any, Any]", recipe: int) -> Any:
    count, none = len(tokens), np.zeros(len(tokens))
    places = np.full(count, recipe, np.int64)
    devices = np.full(count, float(np.median(fit.points.facts.resources)))
    facts = Facts(np.full(count, size), tokens, tokens, none, devices, places)
    return np.exp(fit.form.evaluate(fit.theta, facts, len(fit.points.recipes))[0])


def _draw_residuals(axes: "Axes", fit: PointFit) -> None:
    points = fit.points
    residuals, compute = 100 * fit.residuals, 6 * np.exp(points.compute)
    for place, name in enumerate(points.recipes):
        rows = np.flatnonzero(points.facts.recipe == place)
        mark = _MARKS[place % len(_MARKS)]
        axes.plot(compute[rows], residuals[rows], mark, markersize=4, label=_plain(name) or "runs")
    axes.axhline(0, color="#222222", lw=1)
    axes.set(xscale="log", xlabel="6 N D (FLOP)", ylabel="observed - predicted loss (%)")
    axes.set_title("what the law leaves over", loc="left", fontsize=10)
    axes.legend(fontsize=7, frameon=False)


def _plain(text: str) -> str:
    """A dollar sign would begin a formula; an underscore in front hides a label."""
    return text.replace("$", r"\$").lstrip("_")
