"""Pages to main texts: all steps, for a column of pages, in one kernel.

A page is hostile input. The work on each byte is bounded whatever the page is, and so is the
memory: pages with more than `MOST_TAGS` tags are refused before they are read.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.assemble import Choice, certainty, keep_blocks, write_text
from curation.html.blocks import Lexicon, build_blocks
from curation.html.features import FEATURES, describe
from curation.html.forest import SCALE, Forest, load_forest, score_blocks
from curation.html.markdown import render
from curation.html.metadata import MOST_STATED, list_stated
from curation.html.room import MARK, Room, make_room
from curation.html.spans import Source
from curation.html.sums import Desk, make_desk
from curation.html.tokens import Names, Tokens, make_tokens, read_tokens
from curation.text.jit import kernel, lean

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]

MODEL = Path(__file__).parents[1] / "models" / "extractor.npz"
"""The model that is shipped."""

MOST_TAGS = 500_000
"""Of 19,000 pages of real crawls none had a tenth of that."""

READ, TOO_MANY_TAGS = range(2)
"""What became of a page."""

CHOICE = Choice(round(0.2 * SCALE), round(-1.386 * SCALE), 200)
"""Blocks of a probability of 0.55 or more; of 0.2 where those have under 200 characters."""


class Knowledge(NamedTuple):
    """What all pages are read with."""

    names: Names
    lexicon: Lexicon
    forest: Forest
    choice: Choice


class Bench(NamedTuple):
    """Room for one page at all steps."""

    tokens: Tokens
    room: Room
    desk: Desk
    places: Ints
    odds: Ints
    seen: Ints


class Texts(NamedTuple):
    """The main texts of n pages."""

    offsets: Longs
    """int64[n + 1]: where each begins."""
    data: Bytes
    """uint8: UTF-8."""
    states: Ints
    """int32[n]: READ or TOO_MANY_TAGS."""
    confidence: npt.NDArray[np.float64]
    """float64[n], 0 to 1: how sure it is what the main text is; less where it is short."""
    statements: Ints
    """int32[s, 5]: what the pages state about themselves (`metadata.list_stated`)."""


def load_knowledge(model: Path = MODEL, choice: Choice = CHOICE) -> Knowledge:
    """Loads what pages are read with."""
    return Knowledge(Names(), Lexicon(), load_forest(model), choice)


def make_bench(tags: int, size: int) -> Bench:
    """Makes room for pages with at most so many `<` and bytes."""
    slots = 64
    while slots < 4 * tags:
        slots *= 2
    return Bench(
        make_tokens(tags),
        make_room(tags, size),
        make_desk(tags, tags + 1, len(FEATURES)),
        np.empty(tags + 1, np.int32),
        np.empty(tags + 1, np.int32),
        np.empty(slots, np.int32),
    )


@lean
def _choose(page: Bytes, knowledge: Knowledge, bench: Bench) -> tuple[int, int, float]:
    """Reads a page; returns tokens, blocks and confidence, and leaves in `odds` what is kept."""
    count = read_tokens(page, knowledge.names, bench.tokens)
    build_blocks(page, bench.tokens, count, bench.room, knowledge.lexicon)
    blocks = describe(bench.room, bench.desk)
    score_blocks(bench.desk, blocks, knowledge.forest, bench.places, bench.odds)
    sure = certainty(bench.room, bench.odds, blocks)
    chars = keep_blocks(bench.room, bench.odds, blocks, knowledge.choice, bench.seen)
    return count, blocks, sure * min(1.0, chars / knowledge.choice.short)


@kernel
def count_tags(offsets: Longs, data: Bytes) -> Ints:
    """Returns int32[n], the `<` in each of n pages."""
    tags = np.zeros(len(offsets) - 1, np.int32)
    for page in range(len(tags)):
        for at in range(offsets[page], offsets[page + 1]):
            tags[page] += data[at] == 60
    return tags


@lean
def _read_pages(
    offsets: Longs, data: Bytes, knowledge: Knowledge, bench: Bench, texts: Texts
) -> tuple[int, int]:
    """Reads all pages; returns the length of their texts, and how many statements they make."""
    end = rows = 0
    for page in range(len(offsets) - 1):
        texts.offsets[page] = end
        if texts.states[page] != READ:
            continue
        count, blocks, sure = _choose(data[offsets[page] : offsets[page + 1]], knowledge, bench)
        texts.confidence[page] = sure
        if len(texts.statements):
            rows = list_stated(bench.tokens, count, page, texts.statements, rows)
        end = write_text(bench.room, bench.odds, blocks, texts.data, end)
    texts.offsets[len(offsets) - 1] = end
    return end, rows


class Extractor:
    """Finds the main texts of pages."""

    def __init__(
        self,
        knowledge: Knowledge,
        *,
        markdown: bool = False,
        links: bool = False,
        metadata: bool = False,
    ) -> None:
        """Takes what pages are read with, and what is wanted of them.

        Args:
            knowledge: Tables and model.
            markdown: Texts are Markdown instead of plain text.
            links: Markdown with the targets of links.
            metadata: Notes what pages state about themselves.
        """
        self._knowledge, self._metadata = knowledge, metadata
        self._markdown, self._links = markdown, links

    def __call__(self, offsets: Longs, data: Bytes) -> Texts:
        """Returns the main texts of n pages.

        Args:
            offsets: int64[n + 1], where each page begins in `data`.
            data: uint8, the pages, UTF-8.
        """
        tags, sizes = count_tags(offsets, data), np.diff(offsets)
        states = np.where(tags > MOST_TAGS, TOO_MANY_TAGS, READ).astype(np.int32)
        most = int(tags[states == READ].max(initial=0))
        bench = make_bench(most, int(sizes[states == READ].max(initial=0)))
        pages = len(sizes)
        rows = (pages + 1) * MOST_STATED if self._metadata else 0
        texts = Texts(
            np.zeros(pages + 1, np.int64),
            np.empty(3 * int(sizes.sum()) + 64, np.uint8),
            states,
            np.zeros(pages, np.float64),
            np.empty((rows, 5), np.int32),
        )
        if self._markdown:
            return self._render(offsets, data, bench, texts)
        end, stated = _read_pages(offsets, data, self._knowledge, bench, texts)
        return texts._replace(data=texts.data[:end].copy(), statements=texts.statements[:stated])

    def _render(self, offsets: Longs, data: Bytes, bench: Bench, texts: Texts) -> Texts:
        """Likewise as Markdown, page by page."""
        written: list[bytes] = []
        stated = 0
        for page in range(len(offsets) - 1):
            html = data[offsets[page] : offsets[page + 1]]
            written.append(b"")
            if texts.states[page] == READ:
                count, blocks, texts.confidence[page] = _choose(html, self._knowledge, bench)
                if self._metadata:
                    stated = list_stated(bench.tokens, count, page, texts.statements, stated)
                written[-1] = self._markdown_of(html, bench, count, blocks)
        texts.offsets[1:] = np.cumsum([len(text) for text in written])
        joined = np.frombuffer(b"".join(written), np.uint8)
        return texts._replace(data=joined, statements=texts.statements[:stated])

    def _markdown_of(self, html: Bytes, bench: Bench, count: int, blocks: int) -> bytes:
        tokens, room = bench.tokens, bench.room
        attributes = np.stack([tokens.begin[:count], tokens.end[:count]], axis=1)
        source = Source(html.tobytes(), room, attributes, blocks, int(room.registers[MARK]))
        return render(source, bench.odds[:blocks], links=self._links).encode()
