"""Trains a quality model: fastText on two sides of texts, measured on lines that it has not seen.

One thread and a fixed seed: the same texts and settings give the same file, byte for byte.

Source: Li et al. 2024, "DataComp-LM", arXiv 2406.11794, section 4.4: a fastText classifier with
word bigrams, the positives against random pages of the crawl. Differs: vectors of 16 numbers
instead of 100, as two labels need no more, and larger steps for the smaller sets that most people
have (docs/quality-model.md has the figures).
"""

import platform
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curation import __version__
from curation.buffers import text_buffers
from curation.errors import DataError, RecipeError
from curation.fasttext_file import Classifier, load_classifier
from curation.manifest import installed_versions, write_json
from curation.quality.lines import Draw, Parts, Side, Spool, part_lines
from curation.quality.measure import measure
from curation.quality.report import write_report
from curation.quality.texts import read_side
from curation.quality_record import (
    InputCount,
    NormalForm,
    QualityRecord,
    record_path,
)
from curation.shards import file_sha256

POSITIVE, NEGATIVE = "hq", "lq"
"""Names of the two labels."""

LEAST_TRAINED, LEAST_HELD_OUT = 20, 5
"""Fewest lines of each side: with fewer, every figure of the report would be chance."""

_SCORED_AT_ONCE = 1000
_WANTED_STEPS = 50_000


class TrainSettings(BaseModel):
    """All that decides a model, beside the texts."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: str = "text"
    """Field or column that holds the text."""
    normal_form: NormalForm = "lines"
    """How texts are prepared, in training and in scoring."""
    head_chars: int = Field(default=0, ge=0)
    """Characters from the start that count; 0: all."""
    held_out: float = Field(default=0.1, gt=0, lt=1)
    """Share of the texts that the model is measured on instead of trained."""
    limit: int = Field(default=0, ge=0)
    """Most texts of each side, drawn at random; 0: all."""
    ratio: float = Field(default=1.0, ge=0)
    """Most training texts for each one of the other side; 0: all. A model that has seen one
    negative for each positive says probabilities for such a mix."""
    epochs: int = Field(default=0, ge=0, le=1000)
    """Times that each text is seen; 0: as many as make 50,000 steps, from 5 to 100."""
    learning_rate: float = Field(default=0.5, gt=0, le=10)
    """At the start; it falls to 0."""
    dim: int = Field(default=16, ge=1, le=1000)
    """Numbers in a vector."""
    word_ngrams: int = Field(default=2, ge=1, le=10)
    """Longest n-gram of words."""
    min_count: int = Field(default=1, ge=1)
    """Rarer words have no vector of their own; their n-grams count."""
    buckets: int = Field(default=2_000_000, ge=1, le=1 << 28)
    """Vectors that n-grams share by their hash."""
    seed: int = Field(default=0, ge=0, lt=2**31)
    """Of the held-out draw, the order of the lines and the first vectors."""
    quantize: bool = False
    """Write a quantised model: a fraction of the size, scores that differ a little."""


def train_quality(
    positives: Sequence[str], negatives: Sequence[str], out: Path, settings: TrainSettings
) -> QualityRecord:
    """Trains a model and writes it, its record, its report and a plot.

    Args:
        positives: Files, globs, dataset directories: texts that are wanted.
        negatives: Texts that are not, or an unfiltered sample.
        out: The model's file, `.bin`, or `.ftz` for a quantised one; the others lie beside it.
        settings: All else.

    Returns:
        The record, as it lies in `<out>.json`.

    Raises:
        RecipeError: A path matches nothing or holds no text; `out` has another suffix.
        DataError: There are too few different texts, or none in the field.
    """
    wanted = ".ftz" if settings.quantize else ".bin"
    if out.suffix != wanted:
        raise RecipeError(
            f"model {out}: ends in '{out.suffix}'; expected '{wanted}' "
            f"{'with' if settings.quantize else 'without'} --quantize"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".train-quality-", dir=out.parent) as name:
        record = _train_in(Path(name), (positives, negatives), out, settings)
    write_report(out, record)
    write_json(record_path(out), record)
    return record


def _train_in(
    directory: Path,
    paths: tuple[Sequence[str], Sequence[str]],
    out: Path,
    settings: TrainSettings,
) -> QualityRecord:
    with Spool(directory / "lines", settings.normal_form, settings.head_chars) as spool:
        sides = [
            spool.add(read_side(name, given, settings.field))
            for name, given in zip(("positives", "negatives"), paths, strict=True)
        ]
        _check_field(paths, sides, settings.field)
        draw = Draw(settings.seed, settings.held_out, settings.limit, settings.ratio)
        parts = part_lines(sides[0], sides[1], draw)
        _check_enough(paths, parts)
        _write_lines(directory / "train.txt", spool, sides, parts)
        record_path(out).unlink(missing_ok=True)
        settings = _with_epochs(settings, sum(len(part.train) for part in parts))
        _fit(directory, out, settings)
        digest = file_sha256(out)
        classifier = load_classifier(out, digest, POSITIVE)
        scores = [
            _score(classifier, list(spool.read(side, part.held_out)))
            for side, part in zip(sides, parts, strict=True)
        ]
    positive, negative = map(_count, paths, sides, parts)
    return QualityRecord(
        model_sha256=digest,
        model_bytes=out.stat().st_size,
        label=POSITIVE,
        normal_form=settings.normal_form,
        head_chars=settings.head_chars,
        settings=settings.model_dump(mode="json"),
        versions={
            "curation": __version__,
            "python": platform.python_version(),
            **installed_versions(("fasttext-community", "numpy")),
        },
        positive=positive,
        negative=negative,
        held_out=measure(scores[0], scores[1]),
    )


def _with_epochs(settings: TrainSettings, lines: int) -> TrainSettings:
    """Fills in how often each line is seen: a step a line, and few steps teach nothing."""
    fitting = min(max(-(-_WANTED_STEPS // lines), 5), 100)
    return settings.model_copy(update={"epochs": settings.epochs or fitting})


def _check_field(paths: Sequence[Sequence[str]], sides: Sequence[Side], field: str) -> None:
    for name, given, side in zip(("positives", "negatives"), paths, sides, strict=True):
        if side.documents and side.documents == side.unreadable:
            raise DataError(
                f"{name} ({', '.join(given)}): none of {side.documents:,} records has a text in "
                f"field '{field}'; expected one in each; name another with --field"
            )


def _check_enough(paths: Sequence[Sequence[str]], parts: Sequence[Parts]) -> None:
    """Refuses too few texts, and names the side that has fewest: the other is cut to its size."""
    named = list(zip(("positives", "negatives"), paths, parts, strict=True))
    for name, given, part in sorted(named, key=lambda one: one[2].different):
        if len(part.train) < LEAST_TRAINED or len(part.held_out) < LEAST_HELD_OUT:
            raise DataError(
                f"{name} ({', '.join(given)}): {part.different} different texts, of which "
                f"{len(part.train)} to train on and {len(part.held_out)} held out; {part.in_both} "
                f"left out as they are on both sides; expected {LEAST_TRAINED} and "
                f"{LEAST_HELD_OUT} or more; name more data"
            )


def _write_lines(path: Path, spool: Spool, sides: Sequence[Side], parts: Sequence[Parts]) -> None:
    """Writes the training lines of both sides in turns: each part is in a random order already."""
    streams = [
        (label, len(part.train), spool.read(side, part.train))
        for label, side, part in zip((POSITIVE, NEGATIVE), sides, parts, strict=True)
    ]
    turns = np.concatenate([(np.arange(count) + 0.5) / count for _, count, _ in streams])
    owner = np.repeat([0, 1], [count for _, count, _ in streams])
    with open(path, "wb") as file:
        for at in owner[np.argsort(turns, kind="stable")]:
            label, _, stream = streams[at]
            file.write(b"__label__%s %s\n" % (label.encode(), next(stream)))


def _fit(directory: Path, out: Path, settings: TrainSettings) -> None:
    """Trains, and puts the model in its place when it is whole."""
    import fasttext

    lines, model_path = str(directory / "train.txt"), directory / out.name
    try:
        model: Any = fasttext.train_supervised(
            lines,
            lr=settings.learning_rate,
            dim=settings.dim,
            epoch=settings.epochs,
            wordNgrams=settings.word_ngrams,
            minCount=settings.min_count,
            bucket=settings.buckets,
            seed=settings.seed,
            thread=1,
            verbose=0,
        )
        if settings.quantize:
            model.quantize(lines, thread=1, verbose=0)
    except (RuntimeError, ValueError) as error:
        raise DataError(
            f"model {out}: fastText stopped ({error}); try a smaller learning_rate, or more texts"
        ) from error
    model.save_model(str(model_path))
    model_path.replace(out)


def _score(classifier: Classifier, lines: list[bytes]) -> npt.NDArray[np.float64]:
    """Scores prepared lines, which preparing leaves as they are."""
    found = [
        classifier.scores(
            text_buffers(pa.array(lines[at : at + _SCORED_AT_ONCE], pa.large_binary()))
        )
        for at in range(0, len(lines), _SCORED_AT_ONCE)
    ]
    return np.concatenate(found)


def _count(paths: Sequence[str], side: Side, part: Parts) -> InputCount:
    return InputCount(
        paths=tuple(paths),
        documents=side.documents,
        unreadable=side.unreadable,
        empty=side.empty,
        repeated=part.repeated,
        in_both=part.in_both,
        left_out=part.left_out,
        trained=len(part.train),
        held_out=len(part.held_out),
        digest=part.digest,
    )
