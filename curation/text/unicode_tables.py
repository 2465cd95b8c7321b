"""The tables behind `unicode`: what they hold, how they are made, how they are read.

Made by `python -m curation.text.unicode_tables`, on a Python of the stated Unicode version only:
class bits and lower case of each code point come from Python's own `str` methods. They are stored
as two stages, because most pages of 128 code points are equal, and as numbers of distinct records.
"""

import sys
import unicodedata
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

UNICODE_VERSION = "14.0.0"

WORD = 1
"""`\\w` of `re`: letters, all that `str.isnumeric` calls so, and the underscore; no marks."""
ALPHA = 2
"""`str.isalpha`: the categories L*."""
SPACE = 4
"""`str.isspace`, which is also where `str.split` splits."""
DIGIT = 8
"""`str.isdigit`: decimal digits, superscripts and the like; no fractions."""
UPPER = 16
"""`str.isupper` of the single character."""
CASED = 32
"""Ends the search for a final sigma's neighbours with yes: cased and not ignorable."""
CASE_IGNORABLE = 64
"""Is skipped in that search: apostrophes, dots, marks, modifier letters."""
ASSIGNED = 128
"""Is a character of this Unicode version: the category is neither Cn nor Cs."""

CAPITAL_SIGMA, FINAL_SIGMA = "\u03a3", "\u03c2"
PAGE_BITS = 7
TABLE_FILE = Path(__file__).with_name("unicode_tables.npz")


class Tables(NamedTuple):
    """Two stages and the distinct records: code point -> page -> record."""

    page_of: npt.NDArray[np.uint8]
    """uint8[8704]: the page of each 128 code points."""
    pages: npt.NDArray[np.uint8]
    """uint8[n * 128]: the record of each code point of each distinct page."""
    classes: npt.NDArray[np.uint8]
    """uint8[m]: the class bits of each record."""
    lower: npt.NDArray[np.int32]
    """int32[m]: what to add to a code point of each record to get its lower case."""


def load_tables(path: Path = TABLE_FILE) -> Tables:
    """Reads the tables; takes about a millisecond."""
    with np.load(path, allow_pickle=False) as file:
        return Tables(file["page_of"], file["pages"], file["classes"], file["lower"])


def python_class(char: str) -> int:
    """Returns the class bits that the running Python gives a character."""
    # Python tells cased and ignorable characters only by what it makes of a sigma after them.
    is_cased = (char + CAPITAL_SIGMA).lower()[-1] == FINAL_SIGMA
    is_skipped = not is_cased and ("A" + char + CAPITAL_SIGMA).lower()[-1] == FINAL_SIGMA
    return (
        WORD * (char.isalnum() or char == "_")
        | ALPHA * char.isalpha()
        | SPACE * char.isspace()
        | DIGIT * char.isdigit()
        | UPPER * char.isupper()
        | CASED * is_cased
        | CASE_IGNORABLE * is_skipped
        | ASSIGNED * (unicodedata.category(char) not in ("Cn", "Cs"))
    )


def make_tables() -> Tables:
    """Builds the tables from the running Python's own Unicode data.

    Raises:
        RuntimeError: This Python knows another Unicode version.
    """
    if unicodedata.unidata_version != UNICODE_VERSION:
        raise RuntimeError(
            f"Unicode tables: this Python has version {unicodedata.unidata_version}, expected "
            f"{UNICODE_VERSION}; run it with Python 3.11"
        )
    records = [
        (python_class(char), ord(char.lower()[0]) - ord(char))
        for char in map(chr, range(sys.maxunicode + 1))
    ]
    distinct = sorted(set(records))
    number = {record: at for at, record in enumerate(distinct)}
    grid: npt.NDArray[Any] = np.array([number[record] for record in records], np.uint8)
    pages, page_of = np.unique(grid.reshape(-1, 1 << PAGE_BITS), axis=0, return_inverse=True)
    return Tables(
        page_of.ravel().astype(np.uint8),
        pages.ravel(),
        np.array([record[0] for record in distinct], np.uint8),
        np.array([record[1] for record in distinct], np.int32),
    )


if __name__ == "__main__":
    np.savez_compressed(TABLE_FILE, **make_tables()._asdict())
