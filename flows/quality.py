"""The command `curate train-quality`."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from flows.command import AsJson, app, print_json

if TYPE_CHECKING:
    from curation.quality_record import QualityRecord


class Form(StrEnum):
    """How texts are prepared."""

    lines = "lines"
    words = "words"


POS = "What is wanted: file, glob, URL or directory of a dataset (JSONL, Parquet, text, Arrow)."
NEG = "What is not wanted, or an unfiltered sample; the same kinds."


@app.command("train-quality")
def train_quality(
    pos: Annotated[str, typer.Argument(metavar="POS", help=POS)],
    neg: Annotated[str, typer.Argument(metavar="NEG", help=NEG)],
    out: Annotated[Path, typer.Option(metavar="MODEL", help="The model: .bin, or .ftz.")],
    more_pos: Annotated[
        list[str] | None, typer.Option("--pos", help="More of POS. Repeatable.", metavar="POS")
    ] = None,
    more_neg: Annotated[
        list[str] | None, typer.Option("--neg", help="More of NEG. Repeatable.", metavar="NEG")
    ] = None,
    field: Annotated[str, typer.Option(help="Field or column of the text.")] = "text",
    normal_form: Annotated[
        Form, typer.Option(help="Texts as they are, or in lower case with signs apart.")
    ] = Form.lines,
    head_chars: Annotated[int, typer.Option(min=0, help="Characters that count; 0: all.")] = 0,
    held_out: Annotated[float, typer.Option(help="Share of texts to measure on.")] = 0.1,
    limit: Annotated[int, typer.Option(min=0, help="Most texts of each side; 0: all.")] = 0,
    ratio: Annotated[
        float, typer.Option(min=0, help="Most training texts for one of the other side; 0: all.")
    ] = 1.0,
    epochs: Annotated[
        int, typer.Option(min=0, help="Times that each text is seen; 0: by their number.")
    ] = 0,
    learning_rate: Annotated[float, typer.Option(help="At the start.")] = 0.5,
    dim: Annotated[int, typer.Option(min=1, help="Numbers in a vector.")] = 16,
    word_ngrams: Annotated[int, typer.Option(min=1, help="Longest n-gram of words.")] = 2,
    min_count: Annotated[int, typer.Option(min=1, help="Rarer words have no vector.")] = 1,
    buckets: Annotated[int, typer.Option(min=1, help="Vectors for n-grams.")] = 2_000_000,
    seed: Annotated[int, typer.Option(min=0, help="Of every draw.")] = 0,
    quantize: Annotated[bool, typer.Option("--quantize", help="Smaller; MODEL is .ftz.")] = False,
    as_json: AsJson = False,
) -> None:
    """Train a fastText classifier of quality, and measure it on texts that it has not seen.

    Example: `curate train-quality data/sample/medquad.jsonl.gz data/sample/manpages.jsonl.gz --out
    data/out/quality.bin`
    """
    from curation.quality.train import TrainSettings
    from curation.quality.train import train_quality as train
    from curation.toml import build

    values = {
        "field": field, "normal_form": normal_form.value, "head_chars": head_chars,
        "held_out": held_out, "limit": limit, "ratio": ratio, "epochs": epochs,
        "learning_rate": learning_rate, "dim": dim, "word_ngrams": word_ngrams,
        "min_count": min_count, "buckets": buckets, "seed": seed, "quantize": quantize,
    }  # fmt: skip
    settings = build(TrainSettings, values, "train-quality")
    record = train([pos, *(more_pos or ())], [neg, *(more_neg or ())], out, settings)
    if as_json:
        print_json(record.model_dump(mode="json"))
    else:
        _print_record(out, record)


def _print_record(out: Path, record: "QualityRecord") -> None:
    from rich.table import Table

    from curation.quality.report import as_setting
    from flows import display

    found = record.held_out
    table: Any = Table("keep", "min_score", "precision", "recall", "negatives kept")
    for bound in found.bounds:
        table.add_row(
            f"{bound.keep_rate:.0%}",
            as_setting(bound.min_score),
            f"{bound.precision:.3f}",
            f"{bound.recall:.3f}",
            f"{bound.negatives_kept:.1%}",
        )
    display.OUT.print(table)
    display.OUT.print(
        f"held out: {found.positives:,} positives, {found.negatives:,} negatives; "
        f"precision {found.precision:.3f}, recall {found.recall:.3f}, F1 {found.f1:.3f}, "
        f"AUC {found.auc:.4f}, calibration error {found.calibration_error:.3f}"
    )
    display.OUT.print(f"model     {display.plain(str(out))}  ({record.model_bytes:,} bytes)")
    display.OUT.print(f"report    {display.plain(str(out))}.md")
