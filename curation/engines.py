"""The ways to find the main texts of a column of pages.

Ours (`curation.html`) does bounded work on each byte and runs here. The others are native code that
may not come back from a page, so they run in a child process that is killed at its limits.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.guard import Guard, GuardError, Limits
from curation.html.metadata import Metadata, read_metadata
from curation.html.pages import READ, Extractor

TARGETS = {
    "resiliparse": "curation.extractors:resiliparse_text",
    "trafilatura": "curation.extractors:trafilatura_text",
}
IMPORTS = {"resiliparse": ("resiliparse.extract.html2text",), "trafilatura": ("trafilatura",)}
"""What takes a while to import (trafilatura 0.4 s), before the first page's time begins."""


class MainTexts(NamedTuple):
    """What was found on n pages."""

    texts: pa.LargeStringArray
    """large_string[n]: null where there is none, or an engine failed."""
    errors: list[str | None]
    """Why there is none: timeout, crash, memory, too_many_tags, or an exception's name."""
    confidence: npt.NDArray[np.float64] | None = None
    """float64[n], of our own engine."""
    metadata: list[Metadata] | None = None
    fallen_back: pa.BooleanArray | None = None
    """bool[n]: the text is one of another engine."""


class Engine(Protocol):
    """Finds main texts."""

    def __call__(self, pages: pa.LargeStringArray, urls: pa.Array) -> MainTexts:
        """Returns the main texts of n pages, none of which is null.

        Args:
            pages: large_string[n].
            urls: string[n], their addresses.
        """


class GuardedEngine:
    """One of the others, in a child process."""

    def __init__(self, name: str, limits: Limits) -> None:
        """Takes its name; the process starts with the first page."""
        self._guard = Guard(TARGETS[name], limits, imports=IMPORTS[name])

    def __call__(self, pages: pa.LargeStringArray, urls: pa.Array) -> MainTexts:  # noqa: ARG002
        """Returns the main texts of pages."""
        found = [self._read(cell) for cell in pages.cast(pa.large_binary())]
        texts = pa.array([text for text, _ in found], pa.large_binary()).cast(pa.large_string())
        return MainTexts(texts, [error for _, error in found])

    def _read(self, cell: pa.LargeBinaryScalar) -> tuple[bytes | None, str | None]:
        try:
            return self._guard(memoryview(cell.as_buffer())) or None, None
        except GuardError as error:
            return None, error.code


class BlocksEngine:
    """Our own, in this process."""

    def __init__(self, extractor: Extractor) -> None:
        """Takes what reads the pages."""
        self._extractor = extractor

    def __call__(self, pages: pa.LargeStringArray, urls: pa.Array) -> MainTexts:
        """Returns the main texts of pages, how sure they are, and what the pages state."""
        offsets, data = text_buffers(pages)
        found = self._extractor(offsets, data)
        buffers = [None, pa.py_buffer(found.offsets), pa.py_buffer(found.data)]
        texts = pa.Array.from_buffers(pa.large_string(), len(pages), buffers)
        none = pa.scalar(None, texts.type)
        texts = pc.if_else(pa.array(np.diff(found.offsets) == 0), none, texts)
        errors = [None if state == READ else "too_many_tags" for state in found.states]
        stated: list[list[tuple[int, bool, str]]] = [[] for _ in errors]
        for page, element, is_content, begin, end in found.statements.tolist():
            text = bytes(data[offsets[page] + begin : offsets[page] + end]).decode()
            stated[page].append((element, bool(is_content), text))
        told = [read_metadata(*pair) for pair in zip(stated, urls.to_pylist(), strict=True)]
        return MainTexts(texts, errors, found.confidence, told)


class WithFallback:
    """An engine, and another one for the pages of which the first is not sure."""

    def __init__(self, first: Engine, second: Engine, below: float) -> None:
        """Takes both, and the confidence from which on the text of the first is taken."""
        self._first, self._second, self._below = first, second, below

    def __call__(self, pages: pa.LargeStringArray, urls: pa.Array) -> MainTexts:
        """Returns the main texts of n pages; where the second finds none, those of the first."""
        found = self._first(pages, urls)
        assert found.confidence is not None
        rows = np.flatnonzero(found.confidence < self._below)
        if not len(rows):
            return found
        other = self._second(pages.take(pa.array(rows)), urls.take(pa.array(rows)))
        places = np.full(len(pages), -1, np.int64)
        places[rows] = np.arange(len(rows))
        theirs = other.texts.take(pa.array(places, mask=places < 0))
        fallen_back = pc.is_valid(theirs)
        errors = [
            None if fell else error
            for fell, error in zip(fallen_back.to_pylist(), found.errors, strict=True)
        ]
        return found._replace(
            texts=pc.if_else(fallen_back, theirs, found.texts),
            errors=errors,
            fallen_back=fallen_back,
        )
