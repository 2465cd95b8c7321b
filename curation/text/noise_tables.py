"""What characters are mistaken for: neighbours on keyboards, look-alikes, letters without marks.

Each table says, for a character, what can stand in its place. Sources: the positions of keys on
ISO and ANSI keyboards; confusions of scanned text as in Nguyen et al. 2021, "Survey of post-OCR
processing approaches"; look-alikes from Unicode Technical Standard #39; decompositions from the
Unicode Character Database, in blocks in which no new letters come.
"""

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Table = Mapping[str, Sequence[str]]
"""By character (or pair of ASCII characters), its alternatives."""

LAYOUTS: Mapping[str, tuple[str, str, str, str]] = {
    "qwerty": ("1234567890", "qwertyuiop", "asdfghjkl", "zxcvbnm"),
    "azerty": ("1234567890", "azertyuiop", "qsdfghjklm\u00f9", "wxcvbn"),
    "qwertz": ("1234567890\u00df", "qwertzuiop\u00fc", "asdfghjkl\u00f6\u00e4", "yxcvbnm"),
    "spanish": ("1234567890", "qwertyuiop", "asdfghjkl\u00f1", "zxcvbnm"),
    "jcuken": (
        "1234567890",
        "\u0439\u0446\u0443\u043a\u0435\u043d\u0433\u0448\u0449\u0437\u0445\u044a",
        "\u0444\u044b\u0432\u0430\u043f\u0440\u043e\u043b\u0434\u0436\u044d",
        "\u044f\u0447\u0441\u043c\u0438\u0442\u044c\u0431\u044e",
    ),
}
"""Rows of keys from the digits down."""

_STAGGER = (0.0, 0.5, 0.75, 1.25)
"""How far each row is shifted to the right, in widths of a key."""
_REACH = 1.3
"""Keys whose centres are nearer than so many widths are neighbours."""

LIMIT = 0x3010
"""Characters from here on have no alternatives."""

_OCR = """
    o:0,c,e O:0,Q 0:o,O l:1,I,i I:l,1 1:l,I i:j,l,1 s:5 S:5,8 5:S,s B:8,3 8:B,3 g:9,q q:g 9:g z:2
    Z:2 2:Z e:c,o c:e,o a:o,e n:u,ri u:n,ii,v v:u,r h:b,li b:h,6 6:b,G G:6,C C:G D:O t:f,r f:t
    m:rn,nn d:cl w:vv E:F F:E,P P:F M:N N:M y:v k:lc
"""
_OCR_PAIRS = "rn:m cl:d vv:w ri:n ii:u li:h nn:m fi:h tt:n lc:k"

_ALIKE = """
    a:0430 c:0441,03f2 d:0501 e:0435 g:0261 h:04bb i:0456 j:0458 l:04cf o:043e,03bf p:0440,03c1
    q:051b s:0455 u:03c5 v:03bd w:051d x:0445,03c7 y:0443 A:0410,0391 B:0412,0392 C:0421 E:0415,0395
    H:041d,0397 I:0406,0399 J:0408 K:041a,039a M:041c,039c N:039d O:041e,039f P:0420,03a1 S:0405
    T:0422,03a4 X:0425,03a7 Y:03a5 Z:0396
"""

_BARE = {
    "\u00d8": "O", "\u00f8": "o", "\u0141": "L", "\u0142": "l", "\u0110": "D", "\u0111": "d",
    "\u00df": "ss", "\u00c6": "AE", "\u00e6": "ae", "\u0152": "OE", "\u0153": "oe", "\u0131": "i",
    "\u00de": "Th", "\u00fe": "th",
}  # fmt: skip
"""Letters whose mark Unicode does not take off."""

_LETTER_BLOCKS = (range(0xC0, 0x250), range(0x370, 0x530), range(0x1E00, 0x2000))
_MARKS = range(0x300, 0x370)
_CASED_BLOCKS = (range(0x41, 0x600), range(0x1E00, 0x2000))

_PUNCTUATION = {
    ".": ",;", ",": ".;", ";": ",:", ":": ";.", "!": ".?", "?": ".!", "'": "\"`", '"': "'",
    "-": "_", "(": "[", ")": "]", "[": "(", "]": ")", "\u2019": "'`", "\u2018": "'`",
    "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-", "\u2026": ".", "\u00ab": '"',
    "\u00bb": '"', "\u3001": "\u3002", "\u3002": "\u3001",
}  # fmt: skip
_SPACES = {" ": ["\n", "\t", "\u00a0", "  "], "\n": [" ", "\n\n"], "\t": [" "], "\u00a0": [" "]}

INSERTED_MARKS = ",.;:"
"""What `punctuation_insert` puts behind a word."""


def neighbours(layout: str) -> dict[str, list[str]]:
    """Returns which keys lie beside each key, for both cases of letters.

    Args:
        layout: A name in LAYOUTS.

    Examples:
        >>> neighbours("qwerty")["q"], neighbours("azerty")["A"]
        (['1', '2', 'w', 'a'], ['1', '2', 'Z', 'Q'])
    """
    keys = [
        (char, column + shift, row)
        for row, (chars, shift) in enumerate(zip(LAYOUTS[layout], _STAGGER, strict=True))
        for column, char in enumerate(chars)
    ]
    found = {
        char: [other for other, x, y in keys if other != char and _near(x - left, y - row)]
        for char, left, row in keys
    }
    upper = {
        _upper(char): [_upper(other) for other in others]
        for char, others in found.items()
        if _upper(char) != char
    }
    return found | upper


def _near(across: float, down: float) -> bool:
    return across * across + down * down < _REACH * _REACH


def _upper(char: str) -> str:
    return char.upper() if len(char.upper()) == 1 else char


def tables_of(layout: str) -> dict[str, Table]:
    """Returns the tables by operation, in the order in which kernels number them."""
    beside = neighbours(layout)
    marks = [char for char in _PUNCTUATION if char.isprintable()]
    return {
        "keyboard": beside,
        "insert": {char: [char + other for other in found] for char, found in beside.items()},
        "case": dict(_cases()),
        "ocr": _parsed(_OCR),
        "homoglyph": _homoglyphs(),
        "diacritics": dict(_without_marks()),
        "space_repeat": {char: [char * 2] for char in " \n\t"},
        "space_change": _SPACES,
        "punctuation_delete": {char: [""] for char in marks},
        "punctuation_change": {char: list(found) for char, found in _PUNCTUATION.items()},
    }


def ocr_pairs() -> Table:
    """Returns what two characters are read as together."""
    return _parsed(_OCR_PAIRS)


def _parsed(text: str) -> dict[str, list[str]]:
    entries = (entry.partition(":") for entry in text.split())
    return {char: found.split(",") for char, _, found in entries}


def _homoglyphs() -> dict[str, list[str]]:
    found = {
        char: [chr(int(code, 16)) for code in codes] for char, codes in _parsed(_ALIKE).items()
    }
    back = {other: [char] for char, others in found.items() for other in others}
    return found | back


def _cases() -> Iterable[tuple[str, list[str]]]:
    for char in (chr(code) for block in _CASED_BLOCKS for code in block):
        other = char.swapcase()
        if other != char and len(other) == 1 and other.swapcase() == char:
            yield char, [other]


def _without_marks() -> Iterable[tuple[str, list[str]]]:
    for char in (chr(code) for block in _LETTER_BLOCKS for code in block):
        parts = unicodedata.normalize("NFD", char)
        if len(parts) > 1 and all(unicodedata.combining(mark) for mark in parts[1:]):
            yield char, [parts[0]]
    yield from ((char, [bare]) for char, bare in _BARE.items())
    yield from ((chr(code), [""]) for code in _MARKS)


class Alternatives(NamedTuple):
    """Tables as a kernel reads them."""

    entries: npt.NDArray[np.int32]
    """int32[tables, LIMIT]: number of the entry of a character, or -1."""
    pairs: npt.NDArray[np.int32]
    """int32[128 * 128]: number of the entry of two ASCII characters, or -1."""
    firsts: npt.NDArray[np.int32]
    """int32[entries + 1]: number of the first alternative."""
    starts: npt.NDArray[np.int32]
    """int32[alternatives + 1]: where it starts in `data`."""
    data: npt.NDArray[np.uint8]
    """uint8: UTF-8."""


MOST_GROWTH = 4
"""An alternative has at most so many times the bytes of what it stands for."""


def packed(tables: Iterable[Table], pairs: Table) -> Alternatives:
    """Packs tables for the kernel.

    Raises:
        ValueError: An alternative is too long, or a character has no place in the tables.
    """
    tables = list(tables)
    entries = np.full((len(tables), LIMIT), -1, np.int32)
    doubles = np.full(128 * 128, -1, np.int32)
    found: list[Sequence[str]] = []
    for number, table in enumerate(tables):
        for char, others in table.items():
            entries[number, ord(char)] = _added(found, char, others)
    for pair, others in pairs.items():
        doubles[ord(pair[0]) << 7 | ord(pair[1])] = _added(found, pair, others)
    texts = [other.encode() for others in found for other in others]
    return Alternatives(
        entries,
        doubles,
        np.cumsum([0, *map(len, found)]).astype(np.int32),
        np.cumsum([0, *map(len, texts)]).astype(np.int32),
        np.frombuffer(b"".join(texts) or b"\0", np.uint8),
    )


def _added(found: list[Sequence[str]], chars: str, others: Sequence[str]) -> int:
    for other in others:
        if len(other.encode()) > MOST_GROWTH * len(chars.encode()):
            raise ValueError(
                f"alternative '{other}' of '{chars}' has more than {MOST_GROWTH} times its bytes"
            )
    found.append(others)
    return len(found) - 1
