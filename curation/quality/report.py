"""The report of a trained model: Markdown tables, and a plot of calibration and scores."""

from io import BytesIO
from pathlib import Path
from typing import Any

from curation.quality_record import BinCount, InputCount, QualityRecord
from curation.shards import replacing


def write_report(model: Path, record: QualityRecord) -> None:
    """Writes `<model>.md`, and `<model>.png` where matplotlib is installed."""
    plot = model.with_name(f"{model.name}.png")
    plotted = _write_plot(plot, record)
    text = render_report(model.name, record, plot.name if plotted else None)
    with replacing(model.with_name(f"{model.name}.md")) as file:
        file.write(text.encode())


def render_report(name: str, record: QualityRecord, plot: str | None) -> str:
    """Returns the report as Markdown.

    Args:
        name: Of the model's file.
        record: Its record.
        plot: Name of the plot's file, if there is one.
    """
    found = record.held_out
    head = f"the first {record.head_chars:,} characters" if record.head_chars else "whole texts"
    lines = [
        f"# {name}",
        "",
        f"Label `{record.label}`; normal form `{record.normal_form}`, {head}; "
        f"{record.model_bytes:,} bytes, sha256 `{record.model_sha256}`.",
        "",
        "## Texts",
        "",
        *_table("side | files | read | unreadable | empty | repeated | on both sides | left out "
                "| trained | held out"),
        _side("positive", record.positive),
        _side("negative", record.negative),
        "",
        "## Held out",
        "",
        f"{found.positives:,} positives and {found.negatives:,} negatives that the model has not "
        "seen, nor near-duplicates of them.",
        "",
        *_table("precision at 0.5 | recall at 0.5 | F1 | AUC | average precision "
                "| calibration error"),
        f"| {found.precision:.4f} | {found.recall:.4f} | {found.f1:.4f} | {found.auc:.4f} "
        f"| {found.average_precision:.4f} | {found.calibration_error:.4f} |",
        "",
        "## Bounds for shares to keep",
        "",
        "Of the held-out texts; in another mix of texts the same bound keeps another share, where "
        "`keep_top` keeps exactly what is asked for.",
        "",
        *_table("wanted | min_score | kept | precision | recall | negatives kept"),
        *[
            f"| {bound.keep_rate:.0%} | {as_setting(bound.min_score)} | {bound.kept:.2%} "
            f"| {bound.precision:.4f} | {bound.recall:.4f} | {bound.negatives_kept:.2%} |"
            for bound in found.bounds
        ],
        "",
        "## Calibration",
        "",
        *([f"![calibration and scores]({plot})", ""] if plot else []),
        *_table("scores | texts | mean score | share of positives"),
        *map(_bin, found.bins),
        "",
        "## Settings",
        "",
        *_table("setting | value"),
        *[f"| {key} | {value} |" for key, value in {**record.settings, **record.versions}.items()],
        "",
    ]  # fmt: skip
    return "\n".join(lines)


def as_setting(min_score: float) -> str:
    """Returns a bound as a recipe can take it: a score has twelve decimals, and all of them count.

    Examples:
        >>> as_setting(0.99999970643)
        '0.99999970643'
    """
    return f"{min_score:.12f}".rstrip("0").removesuffix(".")


def _table(head: str) -> list[str]:
    return [f"| {head} |", f"| {' | '.join('---' for _ in head.split('|'))} |"]


def _side(name: str, side: InputCount) -> str:
    files = ", ".join(path.replace("|", "\\|") for path in side.paths)
    counts = (
        side.documents, side.unreadable, side.empty, side.repeated, side.in_both, side.left_out,
        side.trained, side.held_out,
    )  # fmt: skip
    return f"| {name} | {files} | {' | '.join(f'{count:,}' for count in counts)} |"


def _bin(one: BinCount) -> str:
    shown = [
        "" if value is None else f"{value:.3f}" for value in (one.mean_score, one.positive_share)
    ]
    return f"| {one.low:.1f} to {one.high:.1f} | {one.documents:,} | {shown[0]} | {shown[1]} |"


def _write_plot(path: Path, record: QualityRecord) -> bool:
    """Draws the bins; returns whether that was possible."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return False
    figure = Figure(figsize=(9, 4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    _draw_calibration(left, record)
    _draw_scores(right, record)
    drawn = BytesIO()
    figure.savefig(drawn, format="png", dpi=110, metadata={"Software": None})
    with replacing(path) as file:
        file.write(drawn.getvalue())
    return True


def _draw_calibration(axes: Any, record: QualityRecord) -> None:
    bins = [one for one in record.held_out.bins if one.documents]
    axes.plot([0, 1], [0, 1], color="0.7", linestyle="--", label="as it should be")
    axes.plot(
        [one.mean_score for one in bins],
        [one.positive_share for one in bins],
        marker="o",
        color="tab:blue",
        label=f"held out (error {record.held_out.calibration_error:.3f})",
    )
    axes.set(xlabel="score", ylabel="share of positives", xlim=(0, 1), ylim=(0, 1))
    axes.legend(loc="upper left")


def _draw_scores(axes: Any, record: QualityRecord) -> None:
    bins = record.held_out.bins
    positives = [round((one.positive_share or 0) * one.documents) for one in bins]
    negatives = [one.documents - right for one, right in zip(bins, positives, strict=True)]
    places = [one.low for one in bins]
    axes.bar(places, negatives, width=0.1, align="edge", color="tab:orange", label="negatives")
    axes.bar(
        places, positives, width=0.1, align="edge", bottom=negatives, color="tab:blue",
        label="positives",
    )  # fmt: skip
    axes.set(xlabel="score", ylabel="held-out texts", xlim=(0, 1))
    axes.set_yscale("symlog")
    axes.legend()
