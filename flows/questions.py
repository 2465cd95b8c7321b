"""The commands that ask a finished dataset: nothing is run again."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import AsJson, Dataset, app, print_json

if TYPE_CHECKING:
    from curation.audit.scores import Histogram

PANEL = "Questions to a finished dataset"


class By(StrEnum):
    """What a table of `curate stats` has a row for."""

    source = "source"
    domain = "domain"
    language = "language"
    stage = "stage"
    rule = "rule"


@app.command(rich_help_panel=PANEL)
def stats(
    directory: Dataset,
    by_source: Annotated[
        bool, typer.Option("--sources", help="Bytes and skipped records per source, too.")
    ] = False,
    by: Annotated[
        list[By] | None, typer.Option("--by", help="A table of these, instead. Repeatable.")
    ] = None,
    top: Annotated[int, typer.Option(min=1, help="Most rows of a table.")] = 20,
    scores: Annotated[
        bool, typer.Option("--scores", help="The distribution of every score, with its bounds.")
    ] = False,
    score: Annotated[
        list[str] | None,
        typer.Option(help="The distribution of this score, in detail.", metavar="COLUMN"),
    ] = None,
    plots: Annotated[
        Path | None,
        typer.Option(help="Write distributions as PNG files there.", metavar="DIR"),
    ] = None,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="What each operation made, and what became of it.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Print the funnel, or other tables: by source, domain, language; each rule's effect; scores.

    Example: `curate stats data/out/demo --by domain --by rule --score gopher_quality_words`
    """
    from curation.audit import operations
    from curation.manifest import read_manifest
    from flows import display, families

    manifest = read_manifest(directory)
    tables = {kind.value: _table(directory, kind, top) for kind in by or ()}
    found = _distributions(directory, score, plots, wanted=scores)
    made = operations(directory) if augmented else None
    if as_json:
        values = manifest.model_dump(mode="json", exclude={"recipe", "rules", "inputs"})
        values |= {"by": tables} if by else {}
        values |= {"scores": [one._asdict() for one in found]} if found is not None else {}
        values |= {"augmented": [one._asdict() for one in made]} if made is not None else {}
        print_json(values)
        return
    if not by and found is None and made is None:
        display.OUT.print(display.funnel(manifest))
        display.warn(manifest)
    if by_source:
        display.OUT.print(display.sources(manifest))
    _print_tables(tables, found, detailed=bool(score))
    if made is not None:
        display.OUT.print(families.operations_table(made))


def _table(directory: Path, kind: By, top: int) -> Any:
    from curation.audit.funnels import groups, rule_effects

    if kind is By.rule:
        return [effect._asdict() for effect in rule_effects(directory)]
    return groups(directory, kind.value, most=top)._asdict()


def _distributions(
    directory: Path, columns: list[str] | None, plots: Path | None, *, wanted: bool
) -> "list[Histogram] | None":
    from curation.audit.scores import histograms

    if not (wanted or columns or plots):
        return None
    found = histograms(directory, columns or ())
    if plots is not None:
        from curation.audit.plots import write_plots

        typer.echo(f"wrote {len(write_plots(plots, found))} pictures to {plots}", err=True)
    return found


def _print_tables(
    tables: dict[str, Any], found: "list[Histogram] | None", *, detailed: bool
) -> None:
    from curation.audit.funnels import Groups, RuleEffect
    from flows import charts, display

    for kind, table in tables.items():
        if kind == By.rule:
            display.OUT.print(charts.effects_table([RuleEffect(**row) for row in table]))
        else:
            display.OUT.print(charts.groups_table(Groups(**table)))
    if found is not None and detailed:
        for one in found:
            display.OUT.print(charts.histogram(one))
    elif found is not None:
        display.OUT.print(charts.overview(found))


@app.command(rich_help_panel=PANEL)
def trace(
    directory: Dataset,
    document: Annotated[str, typer.Argument(metavar="DOC_ID|URL", help="Which document.")],
    as_json: AsJson = False,
) -> None:
    """Print the route of a document: every stage, score, bound, and the kept twin.

    Example: `curate trace data/out/demo https://www.debian.org/doc/manuals/debian-faq/`
    """
    from curation import audit
    from flows import answers, display

    routes = audit.trace(directory, document)
    if as_json:
        print_json([{**r._asdict(), "hops": [hop._asdict() for hop in r.hops]} for r in routes])
        return
    for route in routes:
        display.OUT.print(answers.route(route))


@app.command(rich_help_panel=PANEL)
def show(
    directory: Dataset,
    sample: Annotated[int, typer.Option(min=1, help="How many documents.")] = 3,
    rejected: Annotated[
        str | None,
        typer.Option(help='Rejects of a reason ("any": of all) instead.', metavar="REASON"),
    ] = None,
    augmented: Annotated[
        bool, typer.Option("--augmented", help="Augmented documents, each beside its parent.")
    ] = False,
    chars: Annotated[int, typer.Option(min=1, help="Characters of text shown.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows others.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read kept or rejected documents in the terminal.

    Example: `curate show data/out/demo --rejected near_duplicate --sample 2`
    """
    from curation import audit
    from flows import answers, display, families

    draw = audit.pairs if augmented else audit.sample
    documents = draw(directory, sample, rejected=rejected, seed=seed)
    if as_json:
        print_json(documents)
        return
    marks = not display.OUT.is_terminal
    for document in documents:
        display.OUT.print(
            families.side_by_side(document, chars=chars, marks=marks)
            if augmented
            else answers.document_panel(document, chars=chars)
        )


@app.command(rich_help_panel=PANEL)
def decide(
    directory: Dataset,
    set_: Annotated[
        list[str],
        typer.Option(
            "--set",
            help="Another bound: stage.reason=value, or stage.setting=value. Repeatable.",
            metavar="STAGE.RULE=VALUE",
        ),
    ],
    listed: Annotated[int, typer.Option("--list", min=0, help="Documents listed each way.")] = 5,
    as_json: AsJson = False,
) -> None:
    """Say which documents would flip under other bounds, from the audit alone.

    Example: `curate decide data/out/demo --set gopher_quality.min_words=40`
    """
    from curation import audit
    from flows import answers, display

    found = audit.decide(directory, set_, examples=listed)
    if as_json:
        print_json(audit.outcome_json(found))
    else:
        display.OUT.print(answers.outcome(found))


@app.command(rich_help_panel=PANEL)
def verify(directory: Dataset, as_json: AsJson = False) -> None:
    """Recompute digests and check that every document is accounted for.

    Example: `curate verify data/out/demo`
    """
    from curation import audit

    broken = audit.verify(directory)
    if as_json:
        print_json({"whole": not broken, "broken": broken})
    else:
        typer.echo("\n".join(broken) if broken else f"{directory}: whole; every promise holds")
    if broken:
        raise typer.Exit(1)


@app.command(rich_help_panel=PANEL)
def diff(
    dir_a: Annotated[Path, typer.Argument(metavar="DIR_A")],
    dir_b: Annotated[Path, typer.Argument(metavar="DIR_B")],
    listed: Annotated[
        int | None,
        typer.Option("--list", min=0, help="Documents listed; default 10, as JSON 100,000."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Compare two datasets: settings, counts, and documents that differ, with why.

    Example: `curate diff data/out/demo data/out/demo-strict`
    """
    from curation import audit
    from flows import answers, display

    found = audit.diff(dir_a, dir_b, limit=100_000 if listed is None else listed)
    if as_json:
        print_json(found._asdict())
    else:
        examples = 10 if listed is None else listed
        display.OUT.print(answers.difference(found, examples=examples))
