"""Main text of HTML pages.

Our own engine takes pages apart into blocks and asks a forest of trees of each block whether it
belongs to the main text (`curation.html`, docs/extraction.md). Two others can be chosen, or can
take the pages of which ours is not sure.

Source: ours, after Kohlschütter et al. 2010, "Boilerplate Detection using Shallow Text Features";
resiliparse (Bevendorff et al. 2018) and trafilatura (Barbaresi 2021).
"""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.engines import BlocksEngine, Engine, GuardedEngine, MainTexts, WithFallback
from curation.guard import GuardTimeout, Limits
from curation.html.forest import load_forest
from curation.html.metadata import Metadata
from curation.html.pages import MODEL, Extractor, load_knowledge
from curation.plainfile import settled_digest
from curation.schema import DOCUMENT, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule

HTML_TYPES = ("text/html", "application/xhtml+xml")
"""Media types that are extracted; parameters after a semicolon and letter case do not matter."""

Other = Literal["resiliparse", "trafilatura"]


class Extract(BatchStage):
    """Replaces HTML by its main text; rows of other media types pass through.

    A page that gives no text, for whatever reason, has null as its text: later stages leave it
    alone.
    """

    version: ClassVar[int] = 2
    needs = frozenset({"text", "media_type", "url"})
    files: ClassVar[frozenset[str]] = frozenset({"model"})

    kind: Literal["extract"] = "extract"
    engine: Literal["blocks", "resiliparse", "trafilatura"] = "blocks"
    """blocks is ours; trafilatura (extra `precise`) is some thirty times slower."""
    format: Literal["text", "markdown"] = "text"
    """markdown keeps headings, lists, tables, code, quotes and emphasis; of `blocks` only."""
    links: bool = False
    """Keeps the targets of links in Markdown."""
    metadata: bool = True
    """Writes what the page states about itself; of `blocks` only."""
    min_confidence: float = Field(default=0.0, ge=0, le=1)
    """Least confidence of `blocks` in what it found; pages below are rejected."""
    fallback: Other | None = None
    """Engine for the pages of which `blocks` is not sure."""
    fallback_below: float = Field(default=0.7, ge=0, le=1)
    """Confidence from which on `blocks` is taken to be sure."""
    model: str = ""
    """Another model of `blocks`, from `curate train-extractor`; default: the shipped one."""
    model_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the model's file: identity, filled in by itself; where given it must be right."""
    timeout_seconds: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """CPU seconds for one page of another engine than `blocks`, which needs no limit."""
    max_html_chars: int = Field(default=5_000_000, ge=1)
    """Longer pages are not parsed. Common Crawl cuts pages at 1 MiB (5 MiB since 2025)."""
    memory_bytes: int = Field(default=1 << 30, ge=1 << 28)
    """Address space of the process that another engine runs in, 256 MiB or more; on Linux."""

    @model_validator(mode="after")
    def _is_installed(self) -> Self:
        for engine in filter(None, (self.engine, self.fallback)):
            if engine != "blocks" and find_spec(engine) is None:
                raise ValueError(
                    f"engine '{engine}' is not installed; "
                    'install it with: pip install "curation[precise]"'
                )
        return self

    @model_validator(mode="after")
    def _fits_the_engine(self) -> Self:
        wanted = {
            "format": self.format != "text",
            "links": self.links,
            "min_confidence": self.min_confidence > 0,
            "fallback": self.fallback is not None,
            "model": bool(self.model),
        }
        if self.engine != "blocks" and any(wanted.values()):
            named = next(name for name, is_set in wanted.items() if is_set)
            raise ValueError(
                f"{named} is for engine 'blocks' only, and engine is '{self.engine}'; leave it out"
            )
        if self.links and self.format != "markdown":
            raise ValueError('links are kept in Markdown only; add format = "markdown"')
        return self

    @model_validator(mode="after")
    def _has_its_model(self) -> Self:
        if self.engine != "blocks":
            return self
        path = Path(self.model) if self.model else MODEL
        if not path.is_file():
            raise ValueError(
                f"model '{self.model}': no such file; give one that `curate train-extractor` made"
            )
        digest = settled_digest("model_digest", path, self.model_digest)
        if self.model:
            load_forest(path)  # says now what is wrong with it
        object.__setattr__(self, "model_digest", digest)
        return self

    def writes(self) -> pa.Schema:
        """Returns the text, its media type, and what the extraction was like."""
        return pa.schema(
            [
                DOCUMENT.field("text"),
                DOCUMENT.field("media_type"),
                _chars(self.column("html_chars"), "Length of the page."),
                _chars(self.column("text_chars"), "Length of its main text."),
                score(
                    self.column("text_ratio"),
                    pa.float64(),
                    "Main text by page; a text can be longer than its page, by list bullets.",
                    unit="ratio",
                    low=0,
                ),
                score(
                    self.column("confidence"),
                    pa.float64(),
                    "How sure it is what the main text is; null: the engine does not say.",
                    low=0,
                    high=1,
                ),
                _flag(self.column("fallback"), "The text is the other engine's."),
                _flag(self.column("timeout"), "The engine exceeded its time."),
                _flag(self.column("failed"), "The engine crashed, ran out of memory or raised."),
                _text(
                    self.column("error"),
                    "too_large, too_many_tags, timeout, crash, memory or an exception's name.",
                ),
                *(_text(self.column(name), about) for name, about in _STATED.items()),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns one reason for each way in which a page gives no text."""
        return (
            Rule("extract_too_large", self.column("html_chars"), high=self.max_html_chars),
            Rule("extract_timeout", self.column("timeout"), high=0),
            Rule("extract_failed", self.column("failed"), high=0),
            Rule("extract_empty", self.column("text_chars"), low=1),
            Rule("extract_unsure", self.column("confidence"), low=self.min_confidence),
        )

    def open(self) -> BatchFunction:
        """Loads the model, or makes the guard, whose process starts with its first page."""
        engine = self._engine()
        return lambda batch: self._extract(engine, batch)

    def _engine(self) -> Engine:
        limits = Limits(cpu_seconds=self.timeout_seconds, memory_bytes=self.memory_bytes)
        if self.engine != "blocks":
            return GuardedEngine(self.engine, limits)
        knowledge = load_knowledge(Path(self.model) if self.model else MODEL)
        ours = BlocksEngine(
            Extractor(
                knowledge,
                markdown=self.format == "markdown",
                links=self.links,
                metadata=self.metadata,
            )
        )
        if self.fallback is None:
            return ours
        return WithFallback(ours, GuardedEngine(self.fallback, limits), self.fallback_below)

    def _extract(self, engine: Engine, batch: pa.RecordBatch) -> Columns:
        is_html = _is_html(batch)
        old = batch.column("text").cast(pa.large_string())
        html_chars = pc.utf8_length(old).fill_null(0).to_numpy(zero_copy_only=False)
        too_large = is_html & (html_chars > self.max_html_chars)
        rows = np.flatnonzero(is_html & ~too_large)
        found = engine(old.take(pa.array(rows)), batch.column("url").take(pa.array(rows)))
        place = np.full(batch.num_rows, -1, np.int64)
        place[rows] = np.arange(len(rows))
        spread = pa.array(place, mask=place < 0)
        media_type = pc.if_else(
            pa.array(is_html), pa.scalar("text/plain"), batch.column("media_type")
        )
        return {
            "text": pc.if_else(pa.array(is_html), found.texts.take(spread), old),
            "media_type": media_type,
            self.column("html_chars"): pa.array(html_chars.astype(np.int64), mask=~is_html),
            **self._scores(found, spread, html_chars, too_large),
        }

    def _scores(
        self,
        found: MainTexts,
        spread: pa.Int64Array,
        html_chars: npt.NDArray[np.int64],
        too_large: npt.NDArray[np.bool_],
    ) -> dict[str, pa.Array]:
        """Returns the score columns of all rows; `spread` says which of those found each one is."""
        errors = pa.array(found.errors, pa.string())
        timed_out = pc.equal(errors, GuardTimeout.code).fill_null(False)  # noqa: FBT003
        failed = pc.and_not(errors.is_valid(), timed_out)
        chars = pc.utf8_length(found.texts).fill_null(0).cast(pa.int64())
        text_chars = pc.if_else(errors.is_null(), chars, pa.scalar(None, pa.int64())).take(spread)
        ratio = pc.divide(text_chars.cast(pa.float64()), pa.array(np.maximum(html_chars, 1)))
        errors = pc.if_else(pa.array(too_large), "too_large", errors.take(spread))
        none = pa.nulls(len(spread), pa.float64())
        sure = none if found.confidence is None else pa.array(found.confidence).take(spread)
        fell = (
            pa.nulls(len(found.errors), pa.bool_())
            if found.fallen_back is None
            else found.fallen_back
        )
        return {
            self.column("text_chars"): text_chars,
            self.column("text_ratio"): ratio,
            self.column("confidence"): sure,
            self.column("fallback"): fell.cast(pa.uint8()).take(spread),
            self.column("timeout"): _or_no(timed_out.take(spread), too_large),
            self.column("failed"): _or_no(failed.take(spread), too_large),
            self.column("error"): errors,
            **self._stated(found.metadata, spread),
        }

    def _stated(
        self, metadata: Sequence[Metadata] | None, spread: pa.Int64Array
    ) -> dict[str, pa.Array]:
        if metadata is None:
            return {self.column(name): pa.nulls(len(spread), pa.string()) for name in _STATED}
        columns = zip(*metadata, strict=True) if metadata else [()] * len(_STATED)
        return {
            self.column(name): pa.array(values, pa.string()).take(spread)
            for name, values in zip(_STATED, columns, strict=True)
        }


_STATED = {
    "title": "Title that the page states.",
    "author": "Authors that the page states, divided by semicolons.",
    "date": "Day of publication that the page states, YYYY-MM-DD.",
    "language": "Language that the page states (BCP 47).",
    "canonical_url": "Address that the page states as its own.",
    "license": "Licence that the page states: an address, or a sentence on rights.",
}


def _or_no(flags: pa.BooleanArray, too_large: npt.NDArray[np.bool_]) -> pa.UInt8Array:
    """Returns flags of pages; of those that were not looked at, as they are too large, 0."""
    return pc.if_else(pa.array(too_large), pa.scalar(0, pa.uint8()), flags.cast(pa.uint8()))


def _text(name: str, about: str) -> pa.Field:
    return score(name, pa.string(), about)


def _chars(name: str, about: str) -> pa.Field:
    return score(name, pa.int64(), about, unit="characters", low=0)


def _flag(name: str, about: str) -> pa.Field:
    return score(name, pa.uint8(), about, low=0, high=1)


def _is_html(batch: pa.RecordBatch) -> npt.NDArray[np.bool_]:
    types = pc.utf8_lower(batch.column("media_type")).fill_null("")
    bare = pc.utf8_trim_whitespace(pc.replace_substring_regex(types, ";.*", ""))
    found = pc.is_in(bare, pa.array(HTML_TYPES))
    has_text = batch.column("text").is_valid()
    mask: npt.NDArray[np.bool_] = pc.and_(found, has_text).to_numpy(zero_copy_only=False)
    return mask
