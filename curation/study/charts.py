"""The figures of a report; each is None where there is nothing to draw."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from curation.study.canvas import MARKERS, Picture, Theme, counts, label, paint, style
from curation.study.conclude import Conclusion, law_of_recipes, residual_rows, waits
from curation.study.evidence import Run, is_fresh, one_device, whole_text_runs
from curation.study.law import FittedLaw
from curation.study.marginal import Return
from curation.study.plane import Plane
from curation.study.predict import Floats, law_recipe
from curation.study.questions import percent_dollars
from curation.study.scaling import Efficiency
from curation.study.words import number, short

MOST_PANELS, MOST_RECIPES = 4, 6


def figures(conclusion: Conclusion) -> dict[str, Picture]:
    """Returns every figure that can be drawn, by the name of its file."""
    makers = {
        "loss": loss_chart,
        "returns": returns_chart,
        "plane": plane_chart,
        "crossing": crossing_chart,
        "scaling": scaling_chart,
        "wait": wait_chart,
        "residuals": residual_chart,
    }
    drawn = {name: make(conclusion) for name, make in makers.items()}
    return {name: picture for name, picture in drawn.items() if picture is not None}


def _recipes(runs: Sequence[Run]) -> list[str]:
    return sorted({run["recipe"] or "" for run in runs})[:MOST_RECIPES]


def _some(values: Sequence[float], most: int) -> list[float]:
    """Returns at most so many of the values, spread evenly, the ends included."""
    if len(values) <= most:
        return list(values)
    return [values[round(place)] for place in np.linspace(0, len(values) - 1, most)]


def loss_chart(conclusion: Conclusion) -> Picture | None:
    """Loss against tokens, a panel for each size: runs, and the law with its 95% band."""
    runs = whole_text_runs(one_device(conclusion.runs))
    if not runs:
        return None
    sizes = _some(sorted({float(run["parameters"]) for run in runs}), MOST_PANELS)
    recipes = _recipes(runs)

    def draw(figure: Any, theme: Theme) -> None:
        columns = min(2, len(sizes))
        rows = math.ceil(len(sizes) / columns)
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes, size in zip(grid.flat, sizes, strict=False):
            _loss_panel(axes, theme, (conclusion, runs, recipes), size)
        for axes in list(grid.flat)[len(sizes) :]:
            axes.set_visible(False)
        figure.supxlabel("tokens of text", fontsize=11)
        figure.supylabel(f"loss, {conclusion.setting.unit}", fontsize=11)
        handles, names = grid.flat[0].get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=min(3, len(names)))

    return paint(draw, (7.2, 2.4 + 2.3 * math.ceil(len(sizes) / 2)))


def _loss_panel(
    axes: Any, theme: Theme, given: tuple[Conclusion, Sequence[Run], list[str]], size: float
) -> None:
    conclusion, runs, recipes = given
    axes.set_title(f"{short(size)} parameters")
    axes.set_xscale("log")
    tokens = [float(run["tokens"]) for run in runs]
    for place, recipe in enumerate(recipes):
        look = style(theme, place)
        own = [r for r in runs if (r["recipe"] or "") == recipe and r["parameters"] == size]
        for filled in (True, False):  # first the one that the legend shows
            shown = [r for r in own if is_fresh(r) == filled]
            axes.plot(
                [r["tokens"] for r in shown], [r["loss"] for r in shown], marker=look["marker"],
                color=look["color"], linestyle="none", markersize=5,
                fillstyle="full" if filled else "none",
                label=label(recipe or "runs") if filled else None,
            )  # fmt: skip
        law = _law_for(conclusion, recipe)
        if law is not None:
            span = np.logspace(math.log10(min(tokens)), math.log10(max(tokens)) + 0.15, 60)
            _law_line(axes, look, law, (size, span, recipe))
    counts(axes.xaxis)


def _law_for(conclusion: Conclusion, recipe: str) -> FittedLaw | None:
    """Returns the chosen law if its curve is one of this recipe."""
    laws = conclusion.laws
    if laws is None:
        return None
    known = laws.law.recipes
    return laws.law if recipe in known or known == ("",) else None


def _law_line(
    axes: Any, look: dict[str, Any], law: FittedLaw, where: tuple[float, Floats, str]
) -> None:
    size, tokens, recipe = where
    name = law_recipe(law, recipe)
    axes.plot(
        tokens, law.loss(size, tokens, recipe=name), color=look["color"],
        linestyle=look["linestyle"], marker=None,
    )  # fmt: skip
    if law.draws:
        drawn = law.loss_draws(size, tokens, recipe=name)
        low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
        axes.fill_between(tokens, low, high, color=look["color"], alpha=0.18, linewidth=0)


def returns_chart(conclusion: Conclusion) -> Picture | None:
    """What 1% more spending buys in each way, with intervals; unknown returns are named so."""
    found = conclusion.returns
    if not found:
        return None
    dollars = percent_dollars(found)

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        if _wide(found):
            axes.set_xscale("log")
            counts(axes.xaxis)
        else:
            axes.locator_params(axis="x", nbins=5)  # more labels of five digits run together
        for place, one in enumerate(reversed(found)):
            _return_mark(axes, theme, (place, dollars), one)
        names = [label(one.name) for one in reversed(found)]
        axes.set_yticks(range(len(found)), names)
        axes.set_ylim(-0.6, len(found) - 0.4)
        axes.set_xlabel(f"fall of the loss for ${dollars:.3g}, {conclusion.setting.unit}")
        axes.grid(visible=False, axis="y")
        axes.margins(x=0.08)

    return paint(draw, (7.2, 3.4))


def _wide(found: Sequence[Return]) -> bool:
    """Whether returns are all above 0 and so far apart that only a logarithmic axis shows them."""
    known = [one.per_dollar for one in found if one.per_dollar is not None]
    lows = [(one.interval() or (one.mid, one.mid))[0] for one in known]
    return bool(known) and min(lows) > 0 and max(one.mid for one in known) > 8 * min(lows)


def _return_mark(axes: Any, theme: Theme, where: tuple[int, float], one: Return) -> None:
    place, dollars = where
    if one.per_dollar is None:
        said = one.why if len(one.why) < 62 else one.why[:61] + "…"
        axes.text(
            0.02, place, said, va="center", fontsize=9, style="italic", color=theme.ink,
            transform=axes.get_yaxis_transform(),
        )  # fmt: skip
        return
    side = 0 if one.way.side == "data" else 1
    scaled = one.bought(dollars) or one.per_dollar
    axes.plot(scaled.mid, place, color=theme.colours[side], marker=MARKERS[side], markersize=11)
    found = scaled.interval()
    if found is not None:
        axes.plot(found, [place, place], color=theme.ink, linewidth=1.6)
        axes.plot(found, [place, place], "|", color=theme.ink, markersize=9)


def plane_chart(conclusion: Conclusion) -> Picture | None:
    """Lines of equal loss over dollars of data and of GPUs, the present point, the best path."""
    found = conclusion.plane
    if found is None:
        return None

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        _plane_lines(axes, theme, found)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("unique tokens (text has no price)" if found.in_tokens else "US$ of data")
        axes.set_ylabel("FLOP (devices have no price)" if found.in_flops else "US$ of GPUs")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(handles, names, loc="outside upper center", ncols=3, fontsize=9)
        for axis in (axes.xaxis, axes.yaxis):
            _money_axis(axis)

    return paint(draw, (7.2, 5.0))


def _money_axis(axis: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axis.set_major_locator(LogLocator(numticks=7))
    axis.set_major_formatter(FuncFormatter(lambda value, _: short(value)))
    axis.set_minor_formatter(NullFormatter())


def _plane_lines(axes: Any, theme: Theme, found: Plane) -> None:
    levels = np.unique(np.quantile(found.loss, np.linspace(0.08, 0.92, 8)))
    if len(levels) > 1:
        lines = axes.contour(
            found.data, found.compute, found.loss, levels=levels, colors=theme.colours[-1],
            linewidths=0.9,
        )  # fmt: skip
        axes.clabel(lines, fmt=lambda value: number(float(value)), fontsize=9)
    axes.contour(
        found.data, found.compute, found.loss, levels=[found.reach], colors=theme.colours[0],
        linewidths=2.2,
    )  # fmt: skip
    axes.plot(
        *found.present, marker="o", color=theme.colours[1], markersize=9, linestyle="none",
        label="this study's largest cell",
    )  # fmt: skip
    if len(found.path):
        inside = (found.path[:, 0] >= found.data[0]) & (found.path[:, 0] <= found.data[-1])
        inside &= (found.path[:, 1] >= found.compute[0]) & (found.path[:, 1] <= found.compute[-1])
        axes.plot(*found.path[inside].T, color=theme.colours[2], linestyle="--",
                  label="cheapest path")  # fmt: skip
    if found.cheapest is not None:
        axes.plot(
            *found.cheapest, marker="*", color=theme.colours[2], markersize=14, linestyle="none",
            label="same loss for the least money",
        )  # fmt: skip
    axes.set_xlim(found.data[0], found.data[-1])
    axes.set_ylim(found.compute[0], found.compute[-1])


def crossing_chart(conclusion: Conclusion) -> Picture | None:
    """By how much each recipe beats the baseline as text grows, at the largest size."""
    pairs = [one for one in conclusion.recipes if _pair_law(conclusion, one) is not None]
    if not pairs or conclusion.point is None:
        return None
    size, tokens = conclusion.point.parameters, conclusion.point.tokens
    span = np.logspace(math.log10(min(_tokens(conclusion)) / 2), math.log10(tokens) + 1, 80)

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        for place, one in enumerate(pairs[:MOST_RECIPES]):
            law = _pair_law(conclusion, one)
            assert law is not None
            _gap_line(axes, style(theme, place), law, (size, span, one.baseline, one.recipe))
        axes.axhline(0, color=theme.ink, linewidth=1)
        axes.axvspan(
            min(_tokens(conclusion)), max(_tokens(conclusion)), color=theme.faint, alpha=0.35
        )
        axes.set_xscale("log")
        counts(axes.xaxis)
        axes.set_xlabel(f"tokens of text, at {short(size)} parameters (grey: where runs are)")
        axes.set_ylabel(f"loss saved against {label(pairs[0].baseline)}")
        handles, names = axes.get_legend_handles_labels()
        axes.legend(handles, names, loc="best")

    return paint(draw)


def _tokens(conclusion: Conclusion) -> list[float]:
    return [float(run["tokens"]) for run in conclusion.runs]


def _pair_law(conclusion: Conclusion, pair: Any) -> FittedLaw | None:
    return law_of_recipes(conclusion.laws, (pair.baseline, pair.recipe))


def _gap_line(
    axes: Any, look: dict[str, Any], law: FittedLaw, where: tuple[float, Floats, str, str]
) -> None:
    size, tokens, baseline, recipe = where
    gap = law.loss(size, tokens, recipe=baseline) - law.loss(size, tokens, recipe=recipe)
    axes.plot(tokens, gap, color=look["color"], linestyle=look["linestyle"], label=label(recipe))
    if law.draws:
        before, after = (law.loss_draws(size, tokens, recipe=name) for name in (baseline, recipe))
        low, high = np.quantile(before - after, [0.025, 0.975], axis=0)
        axes.fill_between(tokens, low, high, color=look["color"], alpha=0.18, linewidth=0)


def scaling_chart(conclusion: Conclusion) -> Picture | None:
    """Efficiency of each device count, with intervals where timings were repeated."""
    found = conclusion.efficiencies
    if not found:
        return None

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        for place, kind in enumerate(("strong", "weak")):
            own = [one for one in found if one.kind == kind]
            if own:
                _efficiency_points(axes, theme, place, own)
        axes.axhline(1, color=theme.ink, linewidth=1, linestyle=":")
        law = conclusion.scalability
        if law is not None:
            span = np.linspace(1, max(one.devices for one in found), 80)
            axes.plot(span, law.efficiency(span), color=theme.colours[2],
                      label="scalability law")  # fmt: skip
        axes.set_xlabel("devices")
        axes.set_ylabel("efficiency")
        axes.set_ylim(0, None)
        axes.set_xticks(sorted({1, *(one.devices for one in found)}))
        axes.legend(loc="lower left")

    return paint(draw)


def _efficiency_points(axes: Any, theme: Theme, place: int, own: Sequence[Efficiency]) -> None:
    colour = theme.colours[place]
    axes.plot(
        [one.devices for one in own], [one.efficiency.mid for one in own], linestyle="none",
        marker=MARKERS[place], color=colour, markersize=8, label=f"{own[0].kind} scaling",
    )  # fmt: skip
    for one in own:
        found = one.efficiency.interval()
        if found is not None:
            axes.plot([one.devices, one.devices], found, color=colour, linewidth=1.6)


def wait_chart(conclusion: Conclusion) -> Picture | None:
    """Share of the training time in which devices waited for data, by model size."""
    found = waits(conclusion.runs)
    if not found:
        return None

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        for place, shares in enumerate(found.values()):
            middle = float(np.median(shares)) * 100
            axes.bar(place, middle, color=theme.colours[0], width=0.55)
            ends = [100 * min(shares), 100 * max(shares)]
            axes.plot([place, place], ends, color=theme.ink, linewidth=1.6)
        axes.set_xticks(range(len(found)), [short(size) for size in found])
        axes.axhline(5, color=theme.colours[1], linestyle="--", label="5%: look at the loader")
        axes.set_xlabel("parameters")
        axes.set_ylabel("waiting for data, % of time")
        axes.legend(loc="best")

    return paint(draw, (6.8, 3.4))


def residual_chart(conclusion: Conclusion) -> Picture | None:
    """What the chosen law leaves unexplained: trends here are what it does not know."""
    rows = residual_rows(conclusion)
    if not rows:
        return None
    recipes = sorted({str(row["recipe"]) for row in rows})[:MOST_RECIPES]

    def draw(figure: Any, theme: Theme) -> None:
        axes = figure.subplots()
        for place, recipe in enumerate(recipes):
            look = style(theme, place)
            own = [row for row in rows if row["recipe"] == recipe]
            axes.plot(
                [row["tokens"] for row in own], [100 * float(row["residual"]) for row in own],
                linestyle="none", marker=look["marker"], color=look["color"], markersize=6,
                label=label(recipe or "runs"),
            )  # fmt: skip
        noise = conclusion.noise
        if noise is not None:
            axes.axhspan(-200 * noise.sd, 200 * noise.sd, color=theme.faint, alpha=0.45,
                         label="twice the noise of seeds")  # fmt: skip
        axes.axhline(0, color=theme.ink, linewidth=1)
        axes.set_xscale("log")
        counts(axes.xaxis)
        axes.set_xlabel("tokens of text")
        axes.set_ylabel("observed over predicted loss, %")
        axes.legend(loc="best", fontsize=9)

    return paint(draw, (6.8, 3.8))
