"""The table behind `word_breaks`: the Word_Break class of each code point, and three facts more.

Made by `python -m curation.text.word_break_tables DIRECTORY` from the files of the Unicode
Character Database (Debian's package `unicode-data` puts them into /usr/share/unicode). Code points
that `UNICODE_VERSION` does not know yet are of no class, so the files of 14.0 and of 15.0 give the
same table: no character changed its class between them. Stored as two stages, like
`unicode_tables`.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.unicode_tables import (
    ASSIGNED,
    PAGE_BITS,
    SPACE,
    UNICODE_VERSION,
    WORD,
    Tables,
    load_tables,
)

__all__ = ["CLASS_NAMES", "KNOWN", "LETTER_OR_DIGIT", "PICTURE", "VISIBLE", "load_breaks"]

CLASS_NAMES = (
    "Other",
    "CR",
    "LF",
    "Newline",
    "Extend",
    "Format",
    "ZWJ",
    "Regional_Indicator",
    "Katakana",
    "Hebrew_Letter",
    "ALetter",
    "Single_Quote",
    "Double_Quote",
    "MidNumLet",
    "MidLetter",
    "MidNum",
    "Numeric",
    "ExtendNumLet",
    "WSegSpace",
)
"""Values of the property Word_Break; the low five bits of a code point's byte are its number."""

PICTURE = 32
"""Extended_Pictographic: joins what a zero-width joiner stands before."""
LETTER_OR_DIGIT = 64
"""`str.isalnum`: what makes a segment a word."""
VISIBLE = 128
"""Is no white space (`str.isspace`)."""

KNOWN = UNICODE_VERSION
"""The version of Unicode that the table states: that of `unicode_tables`."""

BREAK_FILE = Path(__file__).with_name("word_break_tables.npz")


class Breaks(NamedTuple):
    """Two stages: code point -> page -> byte of class and bits."""

    page_of: npt.NDArray[np.uint8]
    """uint8[8704]: the page of each 128 code points."""
    pages: npt.NDArray[np.uint8]
    """uint8[n * 128]: the byte of each code point of each distinct page."""


def load_breaks(path: Path = BREAK_FILE) -> Breaks:
    """Reads the table; takes about a millisecond."""
    with np.load(path, allow_pickle=False) as file:
        return Breaks(file["page_of"], file["pages"])


def make_breaks(directory: Path) -> Breaks:
    """Builds the table from the Unicode Character Database.

    Args:
        directory: Holds `auxiliary/WordBreakProperty.txt` and `emoji/emoji-data.txt`.
    """
    known = _classes(load_tables())
    grid: npt.NDArray[np.uint8] = np.zeros(sys.maxunicode + 1, np.uint8)
    for span, name in _spans(directory / "auxiliary" / "WordBreakProperty.txt"):
        grid[span] = CLASS_NAMES.index(name)
    for span, name in _spans(directory / "emoji" / "emoji-data.txt"):
        if name == "Extended_Pictographic":
            grid[span] |= PICTURE
    # Pictographs are reserved ahead of their assignment, and the standard counts on it.
    grid &= np.where(known & ASSIGNED, 255, PICTURE).astype(np.uint8)
    is_word = (known & WORD > 0) & (np.arange(len(grid)) != ord("_"))
    grid |= LETTER_OR_DIGIT * is_word.astype(np.uint8)
    grid |= VISIBLE * (known & SPACE == 0).astype(np.uint8)
    pages, page_of = np.unique(grid.reshape(-1, 1 << PAGE_BITS), axis=0, return_inverse=True)
    return Breaks(page_of.ravel().astype(np.uint8), pages.ravel())


def _classes(tables: Tables) -> npt.NDArray[np.uint8]:
    """Returns the class bits of every code point (uint8[0x110000])."""
    pages = tables.classes[tables.pages].reshape(-1, 1 << PAGE_BITS)
    return pages[tables.page_of].ravel()


def _spans(path: Path) -> Iterator[tuple[slice, str]]:
    """Reads lines like `0041..005A ; ALetter # ...` of a property file."""
    for line in path.read_text(encoding="utf-8").splitlines():
        fields = [field.strip() for field in line.partition("#")[0].split(";")]
        if len(fields) == 2:
            first, _, last = fields[0].partition("..")
            yield slice(int(first, 16), int(last or first, 16) + 1), fields[1]


if __name__ == "__main__":
    np.savez_compressed(BREAK_FILE, **make_breaks(Path(sys.argv[1]))._asdict())
