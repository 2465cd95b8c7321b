"""Noise that people, keyboards, scanners and crawlers make, in copies of the documents.

Each child is its document with noise at the rates asked for: in characters, words, white space,
punctuation and sentences, or with spans of words masked, for training on denoising. All chance
comes from (seed, name of the stage, doc_id, number of the child, level of the operation), so a
document gets the same noise on any machine, in any batch, in any order. What each operation does
is in `docs/noise.md`.

Sources: keyboard, spelling and scanning noise as in Belinkov and Bisk 2018, arXiv 1711.02173, and
Naplava et al. 2021, arXiv 2110.07428; masked spans as in Raffel et al. 2020, arXiv 1910.10683, and
Lewis et al. 2020, arXiv 1910.13461.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.buffers import TextBuffers, text_buffers
from curation.errors import unknown_name
from curation.noising import (
    CODESPELL,
    LEVELS,
    MASKS,
    OPERATIONS,
    Noised,
    Spans,
    Task,
    codespell_dictionary,
    read_misspellings,
)
from curation.noising import (
    Noise as Noiser,
)
from curation.plainfile import check_planned, settled_digest
from curation.schema import score
from curation.stage import BatchFunction, Columns, ExpandStage, Rule
from curation.text.chance import keys_of
from curation.text.edits import UNKNOWN
from curation.text.noise_tables import LAYOUTS

MISSPELL = "word_misspell"
_T5_MASK, _BART_MASK = "<extra_id_{n}>", "<mask>"
_SHOWN = 3


class Noise(ExpandStage):
    """Makes copies of documents with noise in them, and measures how much it became.

    Operations of one level share the draw of a character, a word or a sentence: each meets one of
    them at most, so the rates of a level add up to 1 at most.
    """

    version: ClassVar[int] = 1
    files: ClassVar[frozenset[str]] = frozenset({"misspellings"})
    named: ClassVar[frozenset[str]] = frozenset({CODESPELL})
    needs: ClassVar[frozenset[str]] = frozenset({"text", "target", "doc_id"})
    selects: ClassVar[frozenset[str]] = frozenset({"unchanged", "has_target"})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType({"rates": {"keyboard": 0.01}})

    kind: Literal["noise"] = "noise"
    rates: dict[str, float]
    """Probability by operation: for each character, word or sentence that it is for, that it meets
    it; of `span_mask` the share of words that are masked."""
    choose: Literal["all", "one"] = "all"
    """"all": a child meets all operations; "one": a single one, drawn for each child."""
    task: Task = "none"
    """What a child's `target` is: "none": its parent's; "clean": its parent's text, to train on
    correction; "t5": the masked spans; "bart": its parent's text, with spans masked."""
    layout: str = "qwerty"
    """Keyboard: qwerty, azerty, qwertz, spanish or jcuken."""
    misspellings: str = CODESPELL
    """List for `word_misspell`, lines `wrong->right`; "codespell": that of the package."""
    mean_span_words: float = Field(default=3.0, ge=1, le=32)
    """Mean words of a masked span."""
    mask: str | None = None
    """What stands for a span; default: "<extra_id_{n}>" with task "t5", "<mask>" with "bart"."""
    max_spans: int = Field(default=100, ge=2)
    """Sentinels that a model of the manner of T5 knows; a document that takes more is a reject."""
    keep_unchanged: bool = False
    """Keeps children in which no operation hit: identities, for training on correction."""
    max_char_rate: float | None = Field(default=None, gt=0)
    """Largest edit distance per character of a child that is kept."""
    max_word_rate: float | None = Field(default=None, gt=0)
    """Largest word error rate of a child that is kept."""
    misspellings_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the list: identity, filled in by itself; where given it must be right."""

    @model_validator(mode="after")
    def _check_rates(self) -> Self:
        for name, rate in self.rates.items():
            if name not in OPERATIONS:
                raise ValueError(unknown_name("operation in rates", name, OPERATIONS))
            if not 0 <= rate <= 1:
                raise ValueError(f"rate of {name} is {rate}, expected 0 to 1")
        if not any(self.rates.values()):
            raise ValueError("rates has no operation above 0; expected one or more")
        for level, names in LEVELS.items():
            total = sum(self.rates.get(name, 0) for name in names)
            if total > 1:
                raise ValueError(
                    f"rates of {level} add up to {total:g}, expected 1 at most, as each of the "
                    f"{level} meets one operation; lower them, or write a second stage with "
                    "from_children = true"
                )
        if self.layout not in LAYOUTS:
            raise ValueError(unknown_name("layout", self.layout, LAYOUTS))
        return self

    @model_validator(mode="after")
    def _check_task(self) -> Self:
        masks = self.rates.get(MASKS, 0) > 0
        if masks != (self.task in ("t5", "bart")):
            raise ValueError(
                f'task is "{self.task}" and rates has {MASKS} = {self.rates.get(MASKS, 0):g}; '
                f'{MASKS} is for task = "t5" or "bart", and these need it'
            )
        if self.task == "t5" and len(self.operations) > 1:
            raise ValueError(
                f'task "t5" takes {MASKS} alone, as its targets are parts of the text; found '
                f"{', '.join(self.operations)}; make the noise in a stage before, and give this "
                "one from_children = true"
            )
        if self.choose == "one" and self.task == "bart":
            raise ValueError('choose = "one" and task "bart" do not go together; use "all"')
        if self.mask is not None and (not self.mask or ("{n}" in self.mask) != (self.task == "t5")):
            raise ValueError(
                f"mask is '{self.mask}'; expected text, with {{n}} for the number of a span in "
                'task "t5", and without it else'
            )
        return self

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if not self.rates.get(MISSPELL):
            return self
        path = self._list()
        if path is None:
            raise ValueError(
                f'{MISSPELL} with misspellings = "{CODESPELL}" needs that package; install it '
                'with: pip install "curation[noise]", or give a file with lines wrong->right'
            )
        if not path.is_file():
            raise ValueError(f"misspellings '{path}': no such file; give lines wrong->right")
        digest = settled_digest("misspellings_digest", path, self.misspellings_digest)
        object.__setattr__(self, "misspellings_digest", digest)
        return self

    def _list(self) -> Path | None:
        own = self.misspellings != CODESPELL
        return Path(self.misspellings) if own else codespell_dictionary()

    @property
    def operations(self) -> tuple[str, ...]:
        """Operations with a rate above 0, in the order in which they work."""
        return tuple(name for name in OPERATIONS if self.rates.get(name, 0) > 0)

    def writes(self) -> pa.Schema:
        """Returns the measured rates and what they are made of."""
        chars = "Edit distance to the parent's text per character of it; null: not measured."
        words = "Edit distance to the parent's text in words, per word of it; null: not measured."
        masked = "Share of words that are masked; null without masks."
        changed = "The text differs from the parent's."
        edits = "Operations that hit, and masked words."
        length = "Characters of the child."
        column, number = self.column, pa.float64()
        return pa.schema(
            [
                score(column("char_rate"), number, chars, unit="edits/character", low=0),
                score(column("word_rate"), number, words, unit="edits/word", low=0),
                score(column("mask_rate"), number, masked, unit="ratio", low=0, high=1),
                score(column("edits"), pa.int64(), edits, unit="edits", low=0),
                score(column("chars"), pa.int64(), length, unit="characters", low=0),
                score(column("changed"), pa.bool_(), changed),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns that something changed, that something is left, and the bounds that are set."""
        rules = [] if self.keep_unchanged else [Rule("unchanged", self.column("changed"), low=1)]
        rules.append(Rule("no_text_left", self.column("chars"), low=1))
        for reason, name in (("much_noise", "char_rate"), ("many_word_errors", "word_rate")):
            high = getattr(self, f"max_{name}")
            if high is not None:
                rules.append(Rule(reason, self.column(name), high=high))
        return tuple(rules)

    def open(self) -> BatchFunction:
        """Packs the tables; returns the function that makes the children of a batch.

        Raises:
            DriftError: The list of misspellings is not the one that the recipe was planned with.
            DataError: It cannot be read.
        """
        wrong: Mapping[str, Sequence[str]] = {}
        path = self._list()
        if self.rates.get(MISSPELL) and path is not None:
            check_planned(self.name, path, self.misspellings_digest)
            wrong = read_misspellings(path, self.misspellings_digest)
        spans = Spans(self.mean_span_words, self._mask(), self.task == "bart")
        groups = [self.operations] if self.choose == "all" else [(o,) for o in self.operations]
        noisers = [
            Noiser({name: self.rates[name] for name in names}, self.layout, wrong, spans)
            for names in groups
        ]
        labels = [_label(names) for names in groups]
        return lambda batch: self._make(batch, noisers, labels)

    def _mask(self) -> str:
        return self.mask or (_T5_MASK if self.task == "t5" else _BART_MASK)

    def _make(
        self, batch: pa.RecordBatch, noisers: Sequence[Noiser], labels: Sequence[str]
    ) -> Columns:
        assert self.seed is not None  # filled in by the recipe; the runner has looked
        ids, children = batch.column("doc_id").to_pylist(), batch.column("child").to_pylist()
        names = [f"{doc_id}:{child}" for doc_id, child in zip(ids, children, strict=True)]
        draws = keys_of(self.seed, names, f"{self.name}/operation")
        which = np.array([_pick(int(bits), len(noisers)) for bits in draws], np.int64)
        parts, order = [], []
        for number, (noiser, label) in enumerate(zip(noisers, labels, strict=True)):
            rows = np.flatnonzero(which == number)
            if len(rows):
                part = batch.take(pa.array(rows))
                buffers = text_buffers(part.column("text"))
                noised = noiser(buffers, [names[row] for row in rows], self.seed, self.name)
                parts.append(self._columns(part, noised, label))
                order.append(rows)
        joined = pa.Table.from_batches(parts).take(pa.array(np.argsort(np.concatenate(order))))
        return {name: joined.column(name).combine_chunks() for name in joined.column_names}

    def _columns(self, part: pa.RecordBatch, noised: Noised, label: str) -> pa.RecordBatch:
        text, parent = _strings(noised.texts), part.column("text")
        target, error, detail = self._target(part, noised)
        chars, words = noised.distances[:, :2], noised.distances[:, 2:]
        masks = noised.spans
        columns = {
            "text": text,
            "target": target,
            "operation": pa.array([label] * part.num_rows, pa.string()),
            "error": error,
            "detail": detail,
            self.column("char_rate"): _rate(chars),
            self.column("word_rate"): _rate(words),
            self.column("mask_rate"): _rate(masks[:, 1::-1]) if self.task in ("t5", "bart")
            else pa.nulls(part.num_rows, pa.float64()),
            self.column("edits"): pa.array(noised.edits.sum(1)),
            self.column("chars"): pc.utf8_length(text).cast(pa.int64()),
            self.column("changed"): pc.not_equal(text, parent),
        }  # fmt: skip
        return pa.RecordBatch.from_pydict(columns)

    def _target(self, part: pa.RecordBatch, noised: Noised) -> tuple[pa.Array, pa.Array, pa.Array]:
        """Returns targets, and of rows that can have none the reason and what was found."""
        rows = part.num_rows
        none = pa.nulls(rows, pa.string())
        if self.task == "none":
            return pa.nulls(rows, pa.large_string()), none, none
        wanted = _strings(noised.targets) if self.task == "t5" else part.column("text")
        assert self.task != "t5" or noised.targets is not None
        supervised = _mask(part.column("target").is_valid())
        checks = [("has_target", "the document is a supervised one", supervised)]
        if self.task != "clean":
            mark = self._mask().partition("{n}")[0]
            there = pc.match_substring(part.column("text"), mark)
            checks.append(("has_mask", f"the text holds {mark}", _mask(there)))
        if self.task == "t5":
            many = noised.spans[:, 2] + 1 > self.max_spans
            checks.append(("many_spans", f"more than max_spans = {self.max_spans}", many))
        reasons = np.full(rows, None, object)
        details = np.full(rows, None, object)
        for reason, detail, found in reversed(checks):
            reasons[found], details[found] = reason, detail
        return wanted, pa.array(reasons, pa.string()), pa.array(details, pa.string())


def _label(names: Sequence[str]) -> str:
    return "+".join(names) if len(names) <= _SHOWN else f"{len(names)} operations"


def _pick(bits: int, number: int) -> int:
    return (bits >> 32) * number >> 32


def _mask(values: pa.Array) -> npt.NDArray[np.bool_]:
    mask: npt.NDArray[np.bool_] = values.to_numpy(zero_copy_only=False).astype(np.bool_)
    return mask


def _strings(buffers: TextBuffers | None) -> pa.Array:
    assert buffers is not None
    offsets, data = pa.py_buffer(buffers.offsets), pa.py_buffer(buffers.data)
    return pa.LargeStringArray.from_buffers(len(buffers.offsets) - 1, offsets, data)


def _rate(counts: npt.NDArray[np.int64]) -> pa.Array:
    """Returns a count per unit of int64[n, 2]; null where either is not known."""
    known = (counts[:, 0] != UNKNOWN) & (counts[:, 1] > 0)
    return pa.array(counts[:, 0] / np.maximum(counts[:, 1], 1), mask=~known)
