"""What lies beside a trained quality model: how its texts are prepared, and how well it tells them.

`MODEL.json` beside `MODEL` names the model by its digest, so that no record is taken for another
model's. Scoring takes from it what must be the same as in training: the label that is wanted, the
normal form of the texts, and how much of each text counts.
"""

from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation.buffers import TextBuffers, text_buffers
from curation.errors import DataError
from curation.text.linear import word_lines

NormalForm = Literal["lines", "words"]
"""How texts are prepared. "lines": as they are, line ends count as spaces (what DCLM's and most
published classifiers take); "words": lower case, every sign a token of its own."""

FORMAT = 1


class BinCount(BaseModel):
    """One bin of a calibration table."""

    model_config = ConfigDict(frozen=True)

    low: float
    high: float
    documents: int
    mean_score: float | None
    """Mean score of the documents in the bin; null if it is empty."""
    positive_share: float | None
    """Share of them that are positive."""


class Bound(BaseModel):
    """What a bound on the score keeps of the held-out documents."""

    model_config = ConfigDict(frozen=True)

    keep_rate: float
    """Share that was wanted."""
    min_score: float
    kept: float
    """Share that scores as much or more; above `keep_rate` where scores are equal."""
    precision: float
    recall: float
    negatives_kept: float
    """Share of the negatives that is kept."""


class HeldOut(BaseModel):
    """How a model tells documents that it has not seen."""

    model_config = ConfigDict(frozen=True)

    positives: int
    negatives: int
    precision: float
    """Of what scores 0.5 or more."""
    recall: float
    f1: float
    auc: float
    """Probability that a positive scores more than a negative, ties count half."""
    average_precision: float
    calibration_error: float
    """Expected calibration error: mean distance of score and share over the bins."""
    bins: tuple[BinCount, ...]
    bounds: tuple[Bound, ...]


class InputCount(BaseModel):
    """What one side of the training data was."""

    paths: tuple[str, ...]
    documents: int
    """Records read."""
    unreadable: int
    empty: int
    """Documents without a token."""
    repeated: int
    """Documents whose prepared text was there already."""
    in_both: int
    """Documents that are on the other side, too; they teach nothing and are left out."""
    left_out: int
    """Documents beyond `limit`, or beyond `ratio` times the other side."""
    trained: int
    held_out: int
    digest: str
    """Of the prepared texts, in whatever order."""


class QualityRecord(BaseModel):
    """The record of a model that `curate train-quality` made."""

    format: int = FORMAT
    model_sha256: str
    model_bytes: int
    label: str
    """The positive label, without `__label__`."""
    normal_form: NormalForm
    head_chars: int = Field(ge=0)
    """Characters from the start that count; 0: all."""
    settings: dict[str, Any]
    versions: dict[str, str]
    positive: InputCount
    negative: InputCount
    held_out: HeldOut


def record_path(model: Path) -> Path:
    """Returns where the record of a model lies: `quality.bin.json` beside `quality.bin`."""
    return model.with_name(f"{model.name}.json")


def read_quality_record(model: Path, digest: str) -> QualityRecord | None:
    """Returns the record beside a model, or None where there is none.

    Args:
        model: The model's file.
        digest: Its SHA-256.

    Raises:
        DataError: The record is damaged, or of another model.
    """
    path = record_path(model)
    try:
        record = QualityRecord.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        line = str(error).splitlines()[0]
        raise DataError(
            f"record {path}: cannot be read ({line}); expected what `curate train-quality` wrote; "
            "train again, or delete it and give label and normal_form in the recipe"
        ) from error
    if record.model_sha256 != digest:
        raise DataError(
            f"record {path}: is of a model with digest {record.model_sha256:.12}..., but "
            f"{model.name} has {digest:.12}...; put the right one beside it, or delete it"
        )
    return record


def prepared(texts: pa.Array, normal_form: NormalForm, head_chars: int) -> TextBuffers:
    """Returns texts as a model is trained on them and scores them.

    Args:
        texts: A large_string array; null counts as empty.
        normal_form: Of the model.
        head_chars: Characters from the start that count; 0: all. A word may be cut in two.
    """
    if head_chars:
        longest = pc.max(pc.binary_length(texts)).as_py() or 0
        texts = pc.utf8_slice_codeunits(texts, 0, head_chars) if longest > head_chars else texts
    found = text_buffers(texts)
    if normal_form == "words":
        found = TextBuffers(*word_lines(*found))
        for array in found:
            array.flags.writeable = False  # as those of Arrow, or kernels are compiled twice
    return found
