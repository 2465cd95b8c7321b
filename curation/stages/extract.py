"""Main text of HTML pages, by an engine that runs under limits.

A page is hostile input: 200,000 open `div`s (1 MB) or 300,000 attributes keep resiliparse busy
for minutes inside native code. So the engine runs in a child process (`curation.guard`), which
is killed at its limits; the page becomes a reject with a reason, and its neighbours go on.

Source: resiliparse (Bevendorff et al. 2018) and trafilatura (Barbaresi 2021).
"""

from importlib.util import find_spec
from typing import Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.guard import Guard, GuardError, GuardTimeout, Limits
from curation.schema import DOCUMENT, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule

HTML_TYPES = ("text/html", "application/xhtml+xml")
"""Media types that are extracted; parameters after a semicolon and letter case do not matter."""

TARGETS = {
    "resiliparse": "curation.extractors:resiliparse_text",
    "trafilatura": "curation.extractors:trafilatura_text",
}
IMPORTS = {"resiliparse": ("resiliparse.extract.html2text",), "trafilatura": ("trafilatura",)}
"""What takes a while to import (trafilatura 0.4 s), before the first page's time begins."""


class _Page(NamedTuple):
    text: bytes | None
    error: str | None


class Extract(BatchStage):
    """Replaces HTML by its main text; rows of other media types pass through.

    A page that gives no text, for whatever reason, has null as its text: later stages leave it
    alone.
    """

    needs = frozenset({"text", "media_type"})

    kind: Literal["extract"] = "extract"
    engine: Literal["resiliparse", "trafilatura"] = "resiliparse"
    """resiliparse is fast, trafilatura precise (extra `precise`)."""
    timeout_seconds: float = Field(default=5.0, gt=0, allow_inf_nan=False)
    """CPU seconds for one page; resiliparse took 0.08 for the slowest of 8,681 up to 400 kB."""
    max_html_chars: int = Field(default=5_000_000, ge=1)
    """Longer pages are not parsed. Common Crawl cuts pages at 1 MiB (5 MiB since 2025)."""
    memory_bytes: int = Field(default=1 << 30, ge=1 << 28)
    """Address space of the process that extracts, 256 MiB or more; enforced on Linux."""

    @model_validator(mode="after")
    def _is_installed(self) -> Self:
        if find_spec(self.engine) is None:
            raise ValueError(
                f"engine '{self.engine}' is not installed; "
                'install it with: pip install "curation[precise]"'
            )
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
                _flag(self.column("timeout"), "The engine exceeded its time."),
                _flag(self.column("failed"), "The engine crashed, ran out of memory or raised."),
                score(
                    self.column("error"),
                    pa.string(),
                    "too_large, timeout, crash, memory or the exception's name; null: none.",
                ),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns one reason for each way in which a page gives no text."""
        return (
            Rule("extract_too_large", self.column("html_chars"), high=self.max_html_chars),
            Rule("extract_timeout", self.column("timeout"), high=0),
            Rule("extract_failed", self.column("failed"), high=0),
            Rule("extract_empty", self.column("text_chars"), low=1),
        )

    def open(self) -> BatchFunction:
        """Makes the guard; its child process starts with the first page."""
        guard = Guard(
            TARGETS[self.engine],
            Limits(cpu_seconds=self.timeout_seconds, memory_bytes=self.memory_bytes),
            imports=IMPORTS[self.engine],
        )
        return lambda batch: self._extract(guard, batch)

    def _extract(self, guard: Guard, batch: pa.RecordBatch) -> Columns:
        is_html = _is_html(batch)
        old = batch.column("text").cast(pa.large_string())
        html_chars = pc.utf8_length(old).fill_null(0).to_numpy(zero_copy_only=False)
        text = old
        errors: list[str | None] = [None] * len(old)
        if is_html.any():
            pages = [
                self._page(guard, cell, int(chars)) if html else _Page(_bytes(cell), None)
                for cell, chars, html in zip(
                    old.cast(pa.large_binary()), html_chars, is_html, strict=True
                )
            ]
            text = pa.array([page.text for page in pages], pa.large_binary()).cast(old.type)
            errors = [page.error for page in pages]
        media_type = pc.if_else(
            pa.array(is_html), pa.scalar("text/plain"), batch.column("media_type")
        )
        scores = self._scores(text, html_chars, errors, is_html)
        return {"text": text, "media_type": media_type} | scores

    def _page(self, guard: Guard, cell: pa.LargeBinaryScalar, chars: int) -> _Page:
        if chars > self.max_html_chars:
            return _Page(None, "too_large")
        try:
            return _Page(guard(memoryview(cell.as_buffer())) or None, None)
        except GuardError as error:
            return _Page(None, error.code)

    def _scores(
        self,
        text: pa.LargeStringArray,
        html_chars: npt.NDArray[np.int64],
        errors: list[str | None],
        is_html: npt.NDArray[np.bool_],
    ) -> dict[str, pa.Array]:
        timeout = np.array([error == GuardTimeout.code for error in errors], np.bool_)
        too_large = html_chars > self.max_html_chars
        answered = np.array([error is None for error in errors], np.bool_)
        text_chars = pc.utf8_length(text).fill_null(0).to_numpy(zero_copy_only=False)
        ratio = text_chars / np.maximum(html_chars, 1)
        no_text = ~(is_html & answered)
        return {
            self.column("html_chars"): pa.array(html_chars.astype(np.int64), mask=~is_html),
            self.column("text_chars"): pa.array(text_chars.astype(np.int64), mask=no_text),
            self.column("text_ratio"): pa.array(ratio, mask=no_text),
            self.column("timeout"): pa.array(timeout.astype(np.uint8), mask=~is_html),
            self.column("failed"): pa.array(
                (~answered & ~timeout & ~too_large).astype(np.uint8), mask=~is_html
            ),
            self.column("error"): pa.array(errors, pa.string()),
        }


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


def _bytes(cell: pa.LargeBinaryScalar) -> bytes | None:
    return None if cell.as_buffer() is None else bytes(cell.as_buffer())
