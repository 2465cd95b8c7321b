"""The command `curate train-extractor`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import AsJson, UsageError, app, print_json

if TYPE_CHECKING:
    from curation.extraction.gold import GoldSet
    from curation.extraction.record import ExtractorRecord

GOLD = "NAME.gold.jsonl with NAME.warc.gz beside it, or templates (.toml) for the pages of --pages."


@app.command("train-extractor")
def train_extractor(
    gold: Annotated[list[Path], typer.Argument(metavar="GOLD...", help=GOLD)],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="The model: .npz.")],
    pages: Annotated[
        list[Path] | None,
        typer.Option(metavar="WARC", help="Archive that templates apply to. Repeatable."),
    ] = None,
    trees: Annotated[int, typer.Option(min=1, help="Trees of the forest.")] = 300,
    depth: Annotated[int, typer.Option(min=1, max=10, help="Questions in a tree.")] = 6,
    learning_rate: Annotated[float, typer.Option(help="How much a tree corrects.")] = 0.1,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts to hold out in turn.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 1,
    repeats: Annotated[int, typer.Option(min=1, max=20, help="Seeds to measure with.")] = 1,
    no_measure: Annotated[
        bool, typer.Option("--no-measure", help="Train only; hold nothing out.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train the extractor on gold pages, and measure it on sites that it has not seen.

    Example: `curate train-extractor data/gold/more-gold.gold.jsonl --out data/out/extractor.npz`
    """
    from curation.extraction.train import TrainSettings
    from curation.extraction.train import train_extractor as train
    from curation.toml import build

    if out.suffix != ".npz":
        raise UsageError(f"model {out}: ends in '{out.suffix}'; expected '.npz'")
    values = {
        "trees": trees, "depth": depth, "learning_rate": learning_rate,
        "folds": folds, "seed": seed, "repeats": repeats,
    }  # fmt: skip
    settings = build(TrainSettings, values, "train-extractor")
    sets = [_read(path, pages or []) for path in gold]
    record = train(sets, out, settings, measure=not no_measure, tell=_tell)
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        _print_record(out, record)


def _read(path: Path, archives: list[Path]) -> "GoldSet":
    from curation.extraction.gold import read_gold, read_templates

    if path.suffix != ".toml":
        return read_gold(path)
    if not archives:
        raise UsageError(f"templates {path}: name the archive that they are for: --pages WARC")
    return read_templates(path, archives)


def _tell(what: str) -> None:
    from flows.display import ERR

    ERR.print(what, highlight=False)


def _print_record(out: Path, record: "ExtractorRecord") -> None:
    from rich.table import Table

    from flows import display

    table: Any = Table("gold", "pages", "engine", "precision", "recall", "F1")
    for one in record.sets:
        if one.scores is None:
            table.add_row(one.name, f"{one.pages:,}", "not measured", "", "", "")
            continue
        rows = {"blocks, unseen sites": one.scores, **one.others}
        for engine, scores in rows.items():
            figures = (scores.precision, scores.recall, scores.f1)
            table.add_row(one.name, f"{scores.pages:,}", engine, *(f"{f:.4f}" for f in figures))
        for name, scores in one.slices.items():
            table.add_row(f"  {name}", f"{scores.pages:,}", "blocks", "", "", f"{scores.f1:.4f}")
    display.OUT.print(table)
    display.OUT.print(f"model   {display.plain(str(out))}  ({record.model_bytes:,} bytes)")
    display.OUT.print(f"record  {display.plain(str(out))}.json")
