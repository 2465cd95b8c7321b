"""Scores documents with a fastText classifier of quality, one's own or a published one.

`curate train-quality` makes such a model, with a record beside it that says which label is the
wanted one, how texts are prepared and how much of each counts. Any other fastText classifier works
as well; then these are settings. How a model is run, and why that is several times faster than
fastText and yet the same, is said in `curation.text.linear`.

The score is the label's probability. fastText itself reports 0.00001 more: it takes the logarithm
of p + 0.00001, so that nothing is minus infinity. For losses of one label at a time (`ova`, `ns`)
it reads the logistic function off a table of 512 steps, and is up to 0.008 beside the value.

Source: Li et al. 2024, "DataComp-LM", arXiv 2406.11794: a fastText classifier with word bigrams,
of which the upper tenth is kept; the classifier is that of Joulin et al. 2016, arXiv 1607.01759.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.errors import CurationError, unknown_name
from curation.fasttext_file import load_classifier, read_header
from curation.plainfile import check_planned, settled_digest
from curation.quality_record import NormalForm, QualityRecord, prepared, read_quality_record
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule, Stage
from curation.stages.keep_top import KeepTop

WANTED_LABELS = ("hq", "high_quality", "high", "positive", "pos", "good", "quality", "keep", "yes")
"""Names by which published models call what is to be kept."""


class QualityModel(BatchStage):
    """Scores each document with a fastText classifier; rejects outside of the bounds."""

    files: ClassVar[frozenset[str]] = frozenset({"model"})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"model": "quality.ftz", "label": "hq", "min_score": 0.5, "max_score": 1.0}
    )

    kind: Literal["quality_model"] = "quality_model"
    model: str
    """A fastText classifier, .bin or .ftz; with a record beside it, that fills in what follows."""
    label: str | None = None
    """Label whose probability is the score; default: the record's, else one called "hq" or so."""
    normal_form: NormalForm | None = None
    """How texts are prepared: "lines" (as they are) or "words" (lower case, signs apart); default:
    the record's, else "lines"."""
    head_chars: int | None = Field(default=None, ge=0)
    """Characters from the start that count, 0 for all; default: the record's, else all."""
    min_score: float | None = Field(default=None, ge=0, le=1)
    """Least score that is kept."""
    max_score: float | None = Field(default=None, ge=0, le=1)
    """Largest score that is kept: for models of what is not wanted."""
    keep_top: float | None = Field(default=None, gt=0, le=1)
    """Keep this share of all documents that have a score, the best ones, exactly: a stage
    `keep_top` named `<name>_top` follows."""
    keep_top_per: Literal["source", "language_label"] | None = None
    """Keep that share of each source, or of each language; default: of all together."""
    model_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the model's file: identity, filled in by itself; where given it must be right."""

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        path = Path(self.model)
        if not path.is_file():
            raise ValueError(
                f"model '{self.model}': no such file; give a fastText .bin or .ftz, e.g. one that "
                "`curate train-quality` made"
            )
        digest = settled_digest("model_digest", path, self.model_digest)
        object.__setattr__(self, "model_digest", digest)
        try:
            record = read_quality_record(path, digest)
        except CurationError as error:
            raise ValueError(str(error)) from error
        self._fill_in(record, read_header(path, digest).labels)
        return self

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        self.refuse_crossed("score")
        if self.keep_top_per is not None and self.keep_top is None:
            raise ValueError(
                f"keep_top_per is '{self.keep_top_per}' without keep_top, so nothing is kept by "
                "it; expected both or neither; set keep_top"
            )
        return self

    def _fill_in(self, record: QualityRecord | None, labels: Iterable[str]) -> None:
        """Makes the settings that were not given explicit, so that they are identity."""
        known = list(labels)
        label = self.label.removeprefix("__label__") if self.label is not None else None
        if label is None:
            label = record.label if record else _wanted_label(known, Path(self.model).name)
        if label not in known:
            raise ValueError(unknown_name(f"label of {Path(self.model).name}", label, known))
        form = self.normal_form or (record.normal_form if record else "lines")
        head = self.head_chars
        if head is None:
            head = record.head_chars if record else 0
        for name, value in (("label", label), ("normal_form", form), ("head_chars", head)):
            object.__setattr__(self, name, value)

    def writes(self) -> pa.Schema:
        """Returns the score."""
        return pa.schema(
            [
                score(
                    self.column("score"),
                    pa.float64(),
                    f"Probability of the label '{self.label}', to twelve decimals.",
                    unit="probability",
                    low=0,
                    high=1,
                )
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that are set."""
        column, rules = self.column("score"), []
        if self.min_score is not None:
            rules.append(Rule("low_quality_score", column, low=self.min_score))
        if self.max_score is not None:
            rules.append(Rule("high_quality_score", column, high=self.max_score))
        return tuple(rules)

    def implied(self) -> tuple[Stage, ...]:
        """Returns the stage that keeps the best share, where that is asked for."""
        if self.keep_top is None:
            return ()
        return (
            KeepTop.after(self, self.column("score"), share=self.keep_top, per=self.keep_top_per),
        )

    def open(self) -> BatchFunction:
        """Loads the model, once per process.

        Raises:
            DriftError: The file is not the one that the recipe was planned with.
        """
        path = Path(self.model)
        check_planned(self.name, path, self.model_digest)
        assert self.label is not None
        assert self.normal_form is not None
        classifier = load_classifier(path, self.model_digest, self.label)
        form, head, column = self.normal_form, self.head_chars or 0, self.column("score")

        def score_batch(batch: pa.RecordBatch) -> Columns:
            return {column: classifier.scores(prepared(batch.column("text"), form, head))}

        return score_batch


def _wanted_label(known: list[str], model: str) -> str:
    found = [label for label in known if label.lower() in WANTED_LABELS]
    if len(found) != 1:
        raise ValueError(
            f"model {model} has no record that says which label is wanted; known: "
            f'{", ".join(known[:20])}; set label = "..."'
        )
    return found[0]
