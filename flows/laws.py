"""The command `curate fit`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import AsJson, UsageError, app, print_json

if TYPE_CHECKING:
    from rich.text import Text

    from curation.study.fitting import Laws
    from curation.study.worth import Worth


class Starts(StrEnum):
    """Where fits begin."""

    projection = "projection"
    published = "published"


@app.command("fit")
def fit(
    runs: Annotated[Path, typer.Argument(metavar="RUNS", help="Runs: .csv or .parquet.")],
    columns: Annotated[
        list[str] | None,
        typer.Option(help="Names in the file: loss=VAL,parameters=N. Repeatable."),
    ] = None,
    form: Annotated[
        list[str] | None, typer.Option(help="Form of law. Repeatable. Default: all that apply.")
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(help="Runs to leave out: 'loss>5', recipe=raw, highest-loss=5. Repeatable."),
    ] = None,
    baseline: Annotated[
        str | None, typer.Option(help="Recipe to compare with.", show_default="the worst")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Directory for laws and pictures.", metavar="DIR")
    ] = None,
    unit: Annotated[str, typer.Option(help="Of loss, for the record.")] = "bits per byte",
    convention: Annotated[
        str | None,
        typer.Option(help="How parameters are counted, for the record.", show_default="the column"),
    ] = None,
    delta: Annotated[
        float | None,
        typer.Option(help="Bound of the Huber loss.", show_default="from seeds, or 0.001"),
    ] = None,
    starts: Annotated[
        Starts, typer.Option(help="Where fits begin: by projection, or Hoffmann's 4,500.")
    ] = Starts.projection,
    draws: Annotated[int, typer.Option(min=0, max=100_000, help="Of the bootstrap.")] = 1000,
    seed: Annotated[int, typer.Option(min=0, help="Of the bootstrap.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Fit scaling laws to runs: every form side by side, intervals, flags, and which one to use.

    Example: `curate fit docs/data/simulated-runs.csv --out data/out/laws`

    With other names: `--columns loss=val_loss --columns "parameters=Model Size"`
    """
    from curation.study.fit import FitSettings
    from curation.study.fitting import fit_laws
    from curation.study.points import points_of
    from curation.study.running import few_threads
    from curation.study.runs import read_runs
    from curation.study.worth import check_recipe, worth_of_recipes

    names = _mapping(columns or ())
    table = read_runs(runs, names)
    points, excluded = points_of(table, exclude or ())
    check_recipe(points, baseline)
    settings = FitSettings(
        delta=delta, starts=starts.value, draws=draws, seed=seed, unit=unit,
        convention=_convention(runs, names, table, convention),
    )  # fmt: skip
    with few_threads():
        laws = fit_laws(points, settings, forms=form, excluded=excluded)
    found = worth_of_recipes(laws, baseline)
    paths = _write(out, laws, unit) if out is not None else []
    if as_json:
        print_json(_as_json(laws, found, paths))
    else:
        _print(laws, found, excluded, paths)


def _mapping(said: "tuple[str, ...] | list[str]") -> dict[str, str]:
    found = {}
    for part in (part for one in said for part in one.split(",")):
        name, sign, value = part.partition("=")
        if not sign or not name.strip() or not value.strip():
            raise UsageError(
                f"--columns {part!r:.60}: expected NAME=COLUMN, e.g. loss=val_loss; "
                "for a name with a comma rename the column"
            )
        found[name.strip()] = value.strip()
    return found


def _convention(runs: Path, names: dict[str, str], table: Any, said: str | None) -> str:
    """How N and D were counted: as said, as our own tables count, or as the file does."""
    from curation.study.fit import FitSettings

    column = names.get("parameters", "parameters")
    ours = runs.suffix == ".parquet" and column == "parameters"
    found = said or (FitSettings().convention if ours else f"as column '{column}' counts")
    derived = (table.schema.metadata or {}).get(b"derived", b"").decode()
    return f"{found}; {derived}" if derived else found


def _write(out: Path, laws: "Laws", unit: str) -> list[Path]:
    from curation.errors import RecipeError
    from curation.study.lawfile import write_law
    from curation.study.pictures import write_picture
    from flows import display

    (out / "laws").mkdir(parents=True, exist_ok=True)
    paths = [out / "laws" / f"{name}.json" for name in laws.laws]
    for path, law in zip(paths, laws.laws.values(), strict=True):
        write_law(path, law)
    try:
        write_picture(out / "fit.png", laws.fits[laws.chosen], unit)
        paths.append(out / "fit.png")
    except RecipeError as error:
        display.note([str(error)])
    write_law(out / "law.json", laws.law)  # last: its presence says that all is there
    return [out / "law.json", *paths]


def _as_json(laws: "Laws", found: "list[Worth]", paths: list[Path]) -> dict[str, Any]:
    from curation.study.lawfile import law_json

    rows = {name: law_json(law) for name, law in laws.laws.items()}
    for row in rows.values():
        row["draws"] = {}
    return {
        "chosen": laws.chosen,
        "why": laws.why,
        "laws": rows,
        "skipped": laws.skipped,
        "recipes": [
            {
                "recipe": one.factor.recipe,
                "baseline": one.factor.baseline,
                "law": one.law,
                "parameters": one.factor.parameters,
                "tokens": one.factor.tokens,
                "factor": vars(one.factor.factor),
                "decided": one.factor.decided,
                "crossing": vars(one.crossing.tokens),
                "crossing_share": one.crossing.share,
            }
            for one in found
        ],
        "files": [str(path) for path in paths],
    }


def _print(
    laws: "Laws", found: "list[Worth]", excluded: list[tuple[str, str]], paths: list[Path]
) -> None:
    from rich.table import Table

    from flows import display

    table: Any = Table("form", "constants (95 %)", "largest", "AICc", "R2", "data : model", "flags")
    for name, law in laws.laws.items():
        record = law.record
        held = record["leave_largest_out"]
        table.add_row(
            f"{name} *" if name == laws.chosen else name,
            _text(_constants(law)),
            f"{held['error']:.2%}" if held else "-",
            "-" if record["aicc"] is None else f"{record['aicc']:.1f}",
            f"{record['r2']:.4f}",
            _text(_ratios(record["marginal_ratio"])),
            str(len(law.flags)) if law.flags else "",
        )
    display.OUT.print(table)
    runs = len(laws.points)
    left = f", {len(excluded)} left out" if excluded else ""
    display.OUT.print(_text(f"{runs} runs{left}; * {laws.chosen}: {laws.why}"))
    for name, law in laws.laws.items():
        if law.flags:
            display.OUT.print(_text(f"  {name}: {_together(law.flags)}"))
    for name, why in laws.skipped.items():
        display.OUT.print(_text(f"  {name}: not fitted: {why}"))
    for one in found:
        display.OUT.print(_text(f"{one.sentence()} (law {one.law})"))
    for path in paths[:1]:
        display.OUT.print(_text(f"law       {path}"))


def _together(flags: tuple[str, ...]) -> str:
    """Flags in one line: what is not identified in one list."""
    groups: dict[str, list[str]] = {}
    for flag in flags:
        kind, _, what = flag.partition(": ")
        groups.setdefault(kind, []).append(what)
    return "; ".join(f"{kind}: {', '.join(what)}" for kind, what in groups.items())


def _text(said: str) -> "Text":
    """Names of recipes are whatever a file says: no markup, no control characters."""
    from rich.text import Text

    from flows import display

    return Text(display.plain(said))


def _constants(law: Any) -> str:
    from curation.study.bootstrap import interval

    said = []
    for name in law.record["fitted"]:
        one = interval(law.parameters[name], law.draws.get(name, []))
        span = f" ({one.low:.3g} to {one.high:.3g})" if one.known else ""
        said.append(f"{name} {one.mid:.4g}{span}")
    return "\n".join(said)


def _ratios(ratios: dict[str, dict[str, Any]]) -> str:
    said = []
    for name, one in ratios.items():
        prefix = f"{name} " if name else ""
        if not one["identified"]:
            said.append(f"{prefix}not identified")
        else:
            said.append(f"{prefix}{one['mid']:.3g} ({one['low']:.3g} to {one['high']:.3g})")
    return "\n".join(said)
