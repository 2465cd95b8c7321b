"""Figures without a display: one theme for light pages, one for dark ones, as SVG and PNG.

Text in figures is the users' own (names of recipes): it is never read as mathematics, and the SVG
writer escapes it. Equal figures give equal bytes.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any, cast

from curation.errors import RecipeError
from curation.study.words import short


@dataclass(frozen=True)
class Theme:
    """Colours of a page."""

    name: str
    ink: str
    faint: str
    paper: str
    colours: tuple[str, ...]
    """Told apart by people with any kind of colour blindness (after Okabe and Ito), and by their
    markers and lines in any case."""


LIGHT = Theme(
    "light", "#1b1f24", "#c9d1d9", "#ffffff",
    ("#0072b2", "#d55e00", "#007a5a", "#a63a8a", "#8a6d00", "#4c4c4c"),
)  # fmt: skip
DARK = Theme(
    "dark", "#e6edf3", "#454c56", "#161b22",
    ("#56b4e9", "#ff9f4a", "#2fc79a", "#e79ccb", "#f0e442", "#c9d1d9"),
)  # fmt: skip
MARKERS = ("o", "s", "^", "D", "v", "P")
LINES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)))
LABEL_CHARS = 28

Draw = Callable[[Any, Theme], None]
"""Draws on a matplotlib figure in a theme."""


@dataclass(frozen=True)
class Picture:
    """A drawn figure."""

    light: bytes
    """SVG."""
    dark: bytes
    """SVG."""
    png: bytes
    """In light colours."""


def label(text: object) -> str:
    """Returns a text that a legend can show: printable, short, and not hidden by its first sign.

    Examples:
        >>> label("_clean" + "x" * 40)
        ' _cleanxxxxxxxxxxxxxxxxxxxx…'
    """
    shown = "".join(char if char.isprintable() else "\ufffd" for char in str(text))
    shown = f" {shown}" if shown.startswith("_") else shown
    return shown if len(shown) <= LABEL_CHARS else shown[: LABEL_CHARS - 1] + "…"


def style(theme: Theme, place: int) -> dict[str, Any]:
    """Returns colour, marker and line of the series at a place."""
    return {
        "color": theme.colours[place % len(theme.colours)],
        "marker": MARKERS[place % len(MARKERS)],
        "linestyle": LINES[place % len(LINES)],
    }


def counts(axis: Any) -> None:
    """Labels an axis with 10k, 1M, 2B at its decades (and between them where it spans few)."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = axis.get_view_interval()
    steps: Sequence[float] = (1.0, 2.0, 5.0) if high / max(low, 1e-300) < 300 else (1.0,)
    axis.set_major_locator(LogLocator(subs=steps, numticks=8))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def paint(draw: Draw, size: tuple[float, float] = (6.8, 4.2)) -> Picture:
    """Draws a figure in both themes.

    Args:
        draw: Draws on a figure.
        size: Inches.

    Raises:
        RecipeError: matplotlib is not installed.
    """
    light, png = _drawn(draw, LIGHT, size, png=True)
    dark, _ = _drawn(draw, DARK, size, png=False)
    return Picture(light, dark, png)


def _drawn(
    draw: Draw, theme: Theme, size: tuple[float, float], *, png: bool
) -> tuple[bytes, bytes]:
    try:
        import matplotlib as mpl
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise RecipeError(
            "a report needs matplotlib, which is not installed here; "
            "run: pip install 'curation[study]'"
        ) from error
    with mpl.rc_context(cast("Any", _settings(theme))), _quiet():
        figure = Figure(figsize=size, layout="constrained", facecolor=theme.paper)
        FigureCanvasAgg(figure)
        draw(figure, theme)
        vector, raster = BytesIO(), BytesIO()
        figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None})
        if png:
            figure.savefig(raster, format="png", dpi=130, metadata={"Software": None})
    return vector.getvalue(), raster.getvalue()


def _settings(theme: Theme) -> dict[str, Any]:
    ink = theme.ink
    return {
        "text.parse_math": False,
        "svg.hashsalt": "curation",
        "svg.fonttype": "path",
        "font.size": 11,
        "axes.facecolor": theme.paper,
        "axes.edgecolor": ink,
        "axes.labelcolor": ink,
        "axes.titlesize": 11,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": theme.faint,
        "grid.linewidth": 0.6,
        "text.color": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "legend.frameon": False,
        "legend.fontsize": 10,
        "lines.linewidth": 1.8,
        "axes.formatter.use_mathtext": False,
        "axes.unicode_minus": True,
    }


@contextmanager
def _quiet() -> Iterator[None]:
    """Leaves out the warning that a font lacks a sign of somebody's recipe name."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield
