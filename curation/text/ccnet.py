r"""The normal form in which CCNet's language models read text: plain letters, signs and digits.

Source: Wenzek et al. 2020, "CCNet: Extracting High Quality Monolingual Datasets from Web Crawl
Data", arXiv 1911.00359, and the code that made it (facebookresearch/cc_net). In order: lower case;
no accents (NFD without its marks, so Hangul is left in its parts); each digit as 0; 33 signs as
what ASCII has for them; no control characters. Line feeds are control characters, too: unless they
are kept, lines are joined without a space, which is what CCNet's code does with a document.

Differs: musical signs that combine are left in the order in which they stand.
"""

import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel
from curation.text.shingles import is_final_sigma
from curation.text.unicode import CAPITAL_SIGMA, FINAL_SIGMA, decode, encode

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]

_SIGNS = {
    **dict(zip("，。、∶：？！（）；–～’´━〈〉【】％►", ",.,::?!();-~''-<>[]%-", strict=True)),  # noqa: RUF001
    **dict.fromkeys("„”“«»」「《》", '"'),
    "—": " - ",
    "\uff0e": ". ",
    "…": "...",
}
_CONTROLS = frozenset((*range(32), *range(127, 160)))
_CODES = (*range(0x30000), *range(0xE0100, 0xE01F0))
"""Where characters can change: beyond are neither letters with a case nor marks nor digits."""
_LF = 0x0A


class Replacements(NamedTuple):
    """What becomes of each character; made by `replacements`."""

    which: npt.NDArray[np.int32]
    """int32[0x110000]: number of the replacement of a code point; 0: it stays."""
    starts: Ints
    """int64[m + 1]: replacement k is `data[starts[k] : starts[k + 1]]`."""
    data: Bytes
    """uint8, UTF-8."""
    plain: npt.NDArray[np.int16]
    """int16[128]: the byte that becomes of each of ASCII; -1 for none."""
    growth: int
    """Largest number of bytes that becomes of one."""
    lower: bool
    """Case goes, so a capital sigma is to be looked at."""


def plain_ccnet(text: str, *, cased: bool, keep_lines: bool) -> str:
    """Returns a text in the normal form in plain Python: the meaning of `ccnet_rows`.

    Args:
        text: Any text.
        cased: Case and accents stay, as for the models of Wikipedia that came after CCNet's.
        keep_lines: Line feeds stay.

    Examples:
        >>> plain_ccnet("Café № 12 — “ΌΣΟΣ”…", cased=False, keep_lines=True)
        'cafe № 00  -  "οσος"...'
    """
    if not cased:
        text = "".join(unicodedata.normalize("NFD", char) for char in text.lower())
        text = "".join(char for char in text if unicodedata.category(char) != "Mn")
    text = "".join("0" if char.isdecimal() else char for char in text)
    text = "".join(_SIGNS.get(char, char) for char in text)
    dropped = _CONTROLS - {_LF} if keep_lines else _CONTROLS
    return "".join(char for char in text if ord(char) not in dropped)


@lru_cache(maxsize=4)
def replacements(*, cased: bool, keep_lines: bool) -> Replacements:
    """Makes the table for `ccnet_rows`; takes some tenths of a second, once per process."""
    which = np.zeros(0x110000, np.int32)
    found: dict[str, int] = {"": 1}
    growth = 3  # a malformed byte becomes U+FFFD
    for code in _may_change(cased=cased):
        char = chr(code)
        new = plain_ccnet(char, cased=cased, keep_lines=keep_lines)
        if new != char:
            which[code] = found.setdefault(new, len(found) + 1)
            growth = max(growth, -(-len(new.encode()) // len(char.encode())))
    pieces = [b"", *(new.encode() for new in found)]
    plain = [plain_ccnet(chr(code), cased=cased, keep_lines=keep_lines) for code in range(128)]
    return Replacements(
        which,
        np.cumsum([0, *map(len, pieces)]).astype(np.int64),
        np.frombuffer(b"".join(pieces), np.uint8),
        np.array([ord(char) if char else -1 for char in plain], np.int16),
        growth,
        not cased,
    )


def _may_change(*, cased: bool) -> list[int]:
    """Returns the code points that the normal form may change, and some more."""
    digits = {code for code in _CODES if chr(code).isdecimal()}
    changing = digits.union(_CONTROLS, map(ord, _SIGNS))
    if not cased:
        changing.update(code for code in _CODES if _is_dressed(chr(code)))
    return sorted(changing)


def _is_dressed(char: str) -> bool:
    return (
        char.lower() != char
        or unicodedata.category(char) == "Mn"
        or not unicodedata.is_normalized("NFD", char)
    )


@kernel
def ccnet_rows(offsets: Ints, data: Bytes, table: Replacements) -> tuple[Ints, Bytes]:
    """Returns n texts in the normal form.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        table: What becomes of each character.

    Returns:
        The same as the first two arguments, of the new texts.
    """
    new = np.empty(table.growth * (offsets[-1] - offsets[0]) + 16, np.uint8)
    bounds = np.zeros(len(offsets), np.int64)
    fill = int64(0)
    for row in range(len(offsets) - 1):
        text = data[offsets[row] : offsets[row + 1]]
        at = int64(0)
        while at < len(text):
            if text[at] < 0x80:
                plain = table.plain[text[at]]
                if plain >= 0:
                    new[fill] = plain
                    fill += 1
                at += 1
            else:
                at, fill = _write(text, at, table, new, fill)
        bounds[row + 1] = fill
    return bounds, new[:fill].copy()


@inlined
def _write(text: Bytes, at: int, table: Replacements, new: Bytes, fill: int) -> tuple[int, int]:
    """Writes what becomes of a character beyond ASCII; returns both next positions."""
    code, after = decode(text, at, len(text))
    if code == CAPITAL_SIGMA and table.lower and is_final_sigma(text, at, after):
        code = FINAL_SIGMA
    which = table.which[code]
    if which == 0:
        return after, encode(code, new, fill)
    for k in range(table.starts[which], table.starts[which + 1]):
        new[fill] = table.data[k]
        fill += 1
    return after, fill
