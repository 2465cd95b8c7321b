"""What each program calls a letter, a special character, a word or a line, as tables of characters.

`DEFINITIONS` holds three readings of `curation.text.text_statistics`:

- `unicode`: ours: letters, digits and white space as Python's `str` knows them; special characters
  are punctuation and symbols (the categories P* and S*).
- `curator`: the string filters of NeMo Curator 1.4. ASCII letters, digits, line feeds and `?!,.`
  are alphanumeric, so a space is not; digits are those of ASCII; white space is tab, line feed,
  carriage return, backspace and space.
- `data_juicer`: the filters of Data-Juicer 1.6. Words are parted by space, tab and line feed, and
  are none if all of their characters are special: ASCII punctuation, digits, white space, its list
  of signs, and emoji (of one code point, as emoji 2.2 knows them). Lines end where
  `str.splitlines` ends them, and their mean counts the line ends.

What a program does not measure is measured as ours. Characters are those of Unicode 14.0.
"""

import unicodedata
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chars import code_points
from curation.text.fineweb import END_CHARS
from curation.text.unicode import ALPHA, ASSIGNED, DIGIT, SPACE, UPPER, WORD
from curation.text.unicode_tables import load_tables

Flags = npt.NDArray[np.uint16]

COUNTED = ("alphanumeric", "digit", "letter", "upper", "white_space", "special", "parenthesis")
"""Kinds of character that are counted; their bits are the lowest, in this order."""
_ALPHANUMERIC, _DIGIT, _LETTER, _UPPER, _WHITE, _SPECIAL, _PARENTHESIS = (
    1 << bit for bit in range(len(COUNTED))
)
BREAK = 1 << 8
"""Parts words."""
MEANT = 1 << 9
"""Makes a run between breaks a word."""
LINE_END = 1 << 10
"""Ends a line."""
END_MARK = 1 << 11
"""Is what the last character of a line should be."""

PARENTHESES = "{}⟨⟩[]()"
"""NeMo Curator's."""
CLOSING = "\"'”’»›」』"  # noqa: RUF001 - quotation marks of several scripts
"""Quotation marks that may stand behind a sentence; ours."""

_PRIVATE = ((0xE000, 0xF900), (0xF0000, 0x110000))
_LINE_ENDS = "\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"
DATA_JUICER_SPECIAL = """
    0009-000d 0020-0040 005b-0060 007b-007e 0081-0085 0091-0093 0095-0099 009c-009d 00a1-00ab
    00ad-00b4 00b7-00bf 00d7 00f7-00f8 0131 026a 02ba-02bc 02c8 02cc 02d0 02d8 02da 02dc 03c0 0413
    060c 0647 066a 066c 06e9 093e 0940 0947 094d 097d 09be 0e51 2002-2003 2005 2008-200b 2010-2011
    2013-2016 2018-201a 201c-2020 2022 2024 2026 202f-2030 2032-2033 2039-203a 203c 203f 2043-2044
    2049 20a8 20aa 20ac 2103 2122 2139 2190-2199 21a9-21aa 21d3 2206 2208 2212 221a 221e-221f 223c
    2248 2256 2264-2265 2295 22c5 231a-231b 2328 23cf 23e9-23f3 23f8-23fa 24c2 2550 25a0 25aa-25ac
    25b2 25b4 25b6-25b7 25ba-25bc 25c0 25c6 25cf 25e6 25fb-25fe 2600-2606 260e 2611 2614-2615 2618
    261b 261d 2620 2622-2623 2626 262a 262e-262f 2638-263b 2640 2642 2648-2653 265f-2661 2663
    2665-2666 2668 266b 267b 267e-267f 2692-2697 2699 269b-269c 26a0-26a1 26a7 26aa-26ab 26b0-26b1
    26bd-26be 26c4-26c5 26c8 26ce-26cf 26d1 26d3-26d4 26e9-26ea 26f0-26f5 26f7-26fa 26fd 2702 2705
    2708-270d 270f 2712-2714 2716 271d 2721 2726 2728 2731 2733-2734 2744 2747 274c 274e 2753-2757
    2763-2764 2795-2797 27a1 27a4 27a9 27b0 27bf 2800 2934-2935 2b05-2b07 2b1b-2b1c 2b50 2b55
    3000-3002 300a-300d 3010-3011 3030 303d 309c 30b7 30c3-30c4 30f3 30fb-30fc 3297 3299 4e00 4e0a
    58eb fd3e-fd3f feff ff01 ff08-ff09 ff0c ff0e ff11 ff1a-ff1b ff1f ff3e ff5e fffc-fffd 1f004 1f0cf
    1f170-1f171 1f17e-1f17f 1f18e 1f191-1f19a 1f201-1f202 1f21a 1f22f 1f232-1f23a 1f250-1f251
    1f300-1f321 1f324-1f393 1f396-1f397 1f399-1f39b 1f39e-1f3f0 1f3f3-1f3f5 1f3f7-1f4fd 1f4ff-1f53d
    1f549-1f54e 1f550-1f567 1f56f-1f570 1f573-1f57a 1f587 1f58a-1f58d 1f590 1f595-1f596 1f5a4-1f5a5
    1f5a8 1f5b1-1f5b2 1f5bc 1f5c2-1f5c4 1f5d1-1f5d3 1f5dc-1f5de 1f5e1 1f5e3 1f5e8 1f5ef 1f5f3
    1f5fa-1f64f 1f680-1f6c5 1f6cb-1f6d2 1f6d5-1f6d7 1f6dc-1f6e5 1f6e9 1f6eb-1f6ec 1f6f0 1f6f3-1f6fc
    1f7e0-1f7eb 1f7f0 1f90c-1f93a 1f93c-1f945 1f947-1f9ff 1fa70-1fa7c 1fa80-1fa88 1fa90-1fabd
    1fabf-1fac5 1face-1fadb 1fae0-1fae8 1faf0-1faf8
"""
"""Code points of Data-Juicer's special characters, emoji among them."""


class Definition(NamedTuple):
    """One reading: beside its table of characters, how lines count, and the bounds that go with it.

    The bounds are what the program itself has as defaults, and none of ours.
    """

    all_lines: bool
    """Blank lines count, too, and line ends count in the mean length of lines."""
    settings: dict[str, Any]
    """Defaults of the stage `text_statistics`, by name."""


DEFINITIONS = {
    "unicode": Definition(all_lines=False, settings={}),
    "curator": Definition(
        all_lines=False,
        settings={
            "min_words": 50,
            "max_words": 100_000,
            "max_longest_word_chars": 1000,
            "min_alphanumeric_ratio": 0.75,
            "max_digit_ratio": 0.15,
            "max_white_space_ratio": 0.25,
            "max_parenthesis_ratio": 0.1,
            "max_url_ratio": 0.2,
            "max_no_end_mark_ratio": 0.85,
            "max_boilerplate_ratio": 0.4,
        },
    ),
    "data_juicer": Definition(
        all_lines=True,
        settings={
            "min_chars": 10,
            "min_words": 10,
            "min_mean_line_chars": 10,
            "min_longest_line_chars": 10,
            "min_alphanumeric_ratio": 0.25,
            "max_special_ratio": 0.25,
        },
    ),
}
"""The readings, by name."""


@lru_cache(maxsize=len(DEFINITIONS))
def flag_table(definition: str) -> Flags:
    """Returns what each code point is, by one of `DEFINITIONS`.

    Returns:
        uint16[0x110000]: bits of `COUNTED` (the lowest the first), `BREAK`, `MEANT`, `LINE_END`
        and `END_MARK`; made in some hundredths of a second, once per process.
    """
    classes = _classes()
    table = np.zeros(len(classes), np.uint16)
    table[(classes & WORD > 0) & (np.arange(len(classes)) != ord("_"))] |= _ALPHANUMERIC
    table[_decimal_digits(classes)] |= _DIGIT
    table[classes & ALPHA > 0] |= _LETTER
    table[classes & (ALPHA | UPPER) == ALPHA | UPPER] |= _UPPER
    table[classes & SPACE > 0] |= _WHITE | BREAK
    table[_signs(classes)] |= _SPECIAL
    table[_codes(PARENTHESES)] |= _PARENTHESIS
    table[_codes("\n")] |= LINE_END
    table[_codes(END_CHARS + CLOSING)] |= END_MARK
    if definition == "curator":
        _as_curator(table)
    elif definition == "data_juicer":
        _as_data_juicer(table)
    else:
        table[table & BREAK == 0] |= MEANT
    table.setflags(write=False)
    return table


def _as_curator(table: Flags) -> None:
    table &= ~np.uint16(_ALPHANUMERIC | _DIGIT | _WHITE | END_MARK)
    table[: ord("z") + 1] |= _ALPHANUMERIC * _is_ascii_alphanumeric()
    table[_codes("\n?!,.")] |= _ALPHANUMERIC
    table[_codes("0123456789")] |= _DIGIT
    table[_codes("\t\n\r\b ")] |= _WHITE
    table[_codes(".?!\"'")] |= END_MARK
    table[table & BREAK == 0] |= MEANT


def _as_data_juicer(table: Flags) -> None:
    table &= ~np.uint16(_SPECIAL | BREAK)
    table[code_points(DATA_JUICER_SPECIAL)] |= _SPECIAL
    table[_codes(" \n\t")] |= BREAK
    table[_codes(_LINE_ENDS)] |= LINE_END
    table[table & _SPECIAL == 0] |= MEANT


def _is_ascii_alphanumeric() -> Flags:
    return np.array([chr(code).isalnum() for code in range(ord("z") + 1)], np.uint16)


def _codes(chars: str) -> list[int]:
    return [ord(char) for char in chars]


def _classes() -> npt.NDArray[np.uint8]:
    """Returns the class bits of each code point: uint8[0x110000]."""
    tables = load_tables()
    return tables.classes[tables.pages.reshape(-1, 128)[tables.page_of].ravel()]


def _decimal_digits(classes: npt.NDArray[np.uint8]) -> list[int]:
    return [code for code in np.flatnonzero(classes & DIGIT).tolist() if chr(code).isdecimal()]


def _signs(classes: npt.NDArray[np.uint8]) -> list[int]:
    """Returns the code points of the categories P* and S*, which no bit of the classes tells."""
    maybe = (classes & ASSIGNED > 0) & (classes & (WORD | SPACE) == 0)
    for first, last in _PRIVATE:
        maybe[first:last] = False
    maybe[ord("_")] = True
    codes: list[int] = np.flatnonzero(maybe).tolist()
    return [code for code in codes if unicodedata.category(chr(code))[0] in "PS"]
