"""The commands that ask a finished dataset: nothing is run again."""

from pathlib import Path
from typing import Annotated

import typer

from flows.command import AsJson, Dataset, app, print_json

PANEL = "Questions to a finished dataset"


@app.command(rich_help_panel=PANEL)
def stats(
    directory: Dataset,
    by_source: Annotated[bool, typer.Option("--sources", help="Per source, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print the funnel: in, out, per reason and seconds, per stage and source.

    Example: `curate stats data/out/demo --sources`
    """
    from curation.manifest import read_manifest
    from flows import display

    manifest = read_manifest(directory)
    if as_json:
        print_json(manifest.model_dump(mode="json", exclude={"recipe", "rules", "inputs"}))
        return
    display.OUT.print(display.funnel(manifest))
    display.warn(manifest)
    if by_source:
        display.OUT.print(display.sources(manifest))


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
    chars: Annotated[int, typer.Option(min=1, help="Characters of text shown.")] = 1200,
    seed: Annotated[int, typer.Option(min=0, help="Another seed shows others.")] = 0,
    as_json: AsJson = False,
) -> None:
    """Read kept or rejected documents in the terminal.

    Example: `curate show data/out/demo --rejected near_duplicate --sample 2`
    """
    from curation import audit
    from flows import answers, display

    documents = audit.sample(directory, sample, rejected=rejected, seed=seed)
    if as_json:
        print_json(documents)
        return
    for document in documents:
        display.OUT.print(answers.document_panel(document, chars=chars))


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
    as_json: AsJson = False,
) -> None:
    """Compare two datasets: settings, counts and documents that differ.

    Example: `curate diff data/out/demo data/out/demo-strict`
    """
    from curation import audit
    from flows import answers, display

    found = audit.diff(dir_a, dir_b)
    if as_json:
        print_json(found._asdict())
    else:
        display.OUT.print(answers.difference(found))
