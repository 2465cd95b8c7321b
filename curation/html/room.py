"""Room for one page on its way: the tree of containers, the blocks of text, and where we are.

Made once for many pages and used over and over, so that it stays in the processor's cache. Tables
rather than an array for each quantity: a kernel hands on few arrays at much less cost than many.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Table = npt.NDArray[np.int32]
Longs = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

(
    BEGIN, STOP, NODE, CHARS, WORDS, LINKED, SENTENCES, CLAUSES, DIGITS, CAPITALS, STOPS, WIDE,
    LINKS, HINTS, BREAKS, FIRST, LAST, BOLD, PRE, IMAGES, TEXT_HINTS, HASH,
) = range(22)  # fmt: skip
"""Columns of `blocks`:

BEGIN, STOP: its bytes in the text. NODE: its container. CHARS: characters but for white space, and
of them LINKED in a link, BOLD in bold type, DIGITS, CAPITALS (ASCII), WIDE (Han, kana, hangul).
WORDS, and of them STOPS frequent words. SENTENCES, CLAUSES: signs that end one. LINKS: links that
begin. HINTS: of inline elements. BREAKS: `br`. FIRST, LAST: code points. PRE: 1 if preformatted.
IMAGES: `img`. TEXT_HINTS: groups of words in a short text. HASH: of the text.
"""
BLOCK_COLUMNS = 22

ELEMENT, PARENT, DEPTH, FINAL, OWN_HINTS, ALL_HINTS, ANCESTORS, TOKEN = range(8)
"""Columns of `nodes`, the containers in the order of their start tags, of which 0 is the page:

ELEMENT: number of the name. PARENT: the container that it is in; of the page -1. DEPTH. FINAL: the
last container within it. OWN_HINTS: groups of words in its attributes; ALL_HINTS with those of all
it is in. ANCESTORS: bits of the elements that it is in (`tree.ANCESTORS`). TOKEN: its start tag.
"""
NODE_COLUMNS = 8

PATH, ATTRIBUTES = range(2)
"""Columns of `keys`: hash of the names from the page down to a container, and of the words in its
attributes."""

AT, MARKED, STARTED = range(3)
"""Columns of `marks`, where inline elements begin and end: byte of the text, number of the
element, and its start tag, of an end -1."""

(
    OPEN_NODE, NODES, BLOCK, OUT, PENDING, WORD, IN_LINK, LINK_DEPTH, IN_BOLD, IN_PRE, BROKEN,
    DROPPED_ELEMENT, DROPPED_DEPTH, DROPPED_INNER, MARK, COUNTS,
) = range(16)  # fmt: skip
"""Registers: where the building of a page has got to.

OPEN_NODE: the innermost container. NODES, BLOCK, MARK: how many there are. OUT: bytes of text.
PENDING: white space before the next character. WORD: hash of the present word, or NO_WORD.
IN_LINK, IN_BOLD, IN_PRE: how deep. BROKEN: `br` in a row. DROPPED_*: the element that is left out.
From COUNTS on: characters of each class in the present stretch of text.
"""
REGISTERS = 32

NO_WORD = 0
"""No word has this hash."""

NOTHING, BLANK, NEWLINE = range(3)
"""Kinds of pending white space."""


class Room(NamedTuple):
    """All of it."""

    nodes: Table
    """int32[n, NODE_COLUMNS]."""
    keys: Keys
    """uint64[n, 2]."""
    blocks: Table
    """int32[b, BLOCK_COLUMNS]."""
    text: Bytes
    """uint8: the texts of all blocks, one after another, UTF-8."""
    marks: Table
    """int32[m, 3]."""
    registers: Longs
    """int64[REGISTERS]."""


def make_room(tags: int, size: int) -> Room:
    """Makes room for pages with at most so many `<` and so many bytes."""
    most = tags + 2
    return Room(
        np.empty((most, NODE_COLUMNS), np.int32),
        np.empty((most, 2), np.uint64),
        np.empty((most, BLOCK_COLUMNS), np.int32),
        np.empty(3 * size + 64, np.uint8),  # what is no UTF-8 becomes U+FFFD, which has 3 bytes
        np.empty((most, 3), np.int32),
        np.empty(REGISTERS, np.int64),
    )
