"""What `curation.text.text_statistics` measures, in plain Python: the meaning of its kernels."""

import re
import unicodedata

import numpy as np

from curation.text.chars import code_points
from curation.text.fineweb import END_CHARS
from curation.text.statistics_tables import (
    CLOSING,
    DATA_JUICER_SPECIAL,
    DEFINITIONS,
    PARENTHESES,
)
from curation.text.text_statistics import BOILERPLATE

_URL = re.compile(r"https?://(?:[A-Za-z0-9$\-_@.&+/:=?#~!*(),]|%[0-9A-Fa-f]{2})+")
_SPECIAL = set(map(chr, code_points(DATA_JUICER_SPECIAL)))
_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def plain_statistics(text: str, definition: str) -> dict[str, float]:
    """Returns the statistics of one text, by name.

    Args:
        text: Any text.
        definition: One of `DEFINITIONS`.

    Examples:
        >>> plain_statistics("It was 1999 (or so).", "unicode")["digit_ratio"]
        0.2
    """
    words, lines = plain_words(text, definition), _lines(text, definition)
    chars = len(text)
    letters = sum(map(str.isalpha, text))
    line_chars = chars if DEFINITIONS[definition].all_lines else sum(map(len, lines))
    kinds = {
        f"{kind}_ratio": (sum(is_kind(char, kind, definition) for char in text), chars)
        for kind in ("alphanumeric", "digit", "white_space", "special", "parenthesis")
    }
    parts = kinds | {
        "mean_line_chars": (line_chars, len(lines)),
        "upper_ratio": (sum(char.isupper() and char.isalpha() for char in text), letters),
        "url_ratio": (sum(map(len, _URL.findall(text))), chars),
        "no_end_mark_ratio": (sum(not _is_ended(line, definition) for line in lines), len(lines)),
        "boilerplate_ratio": _boilerplate(text),
    }
    return {
        "chars": chars,
        "words": len(words),
        "longest_word_chars": max(map(len, words), default=0),
        "lines": len(lines),
        "longest_line_chars": max(map(len, lines), default=0),
        **{name: part / whole if whole else np.nan for name, (part, whole) in parts.items()},
    }


def is_kind(char: str, kind: str, definition: str) -> bool:
    """Says whether a character is of a kind, by a definition."""
    if kind == "alphanumeric" and definition == "curator":
        return (char.isascii() and char.isalnum()) or char in "\n?!,."
    if kind == "digit" and definition == "curator":
        return char.isascii() and char.isdecimal()
    if kind == "white_space" and definition == "curator":
        return char in "\t\n\r\b "
    if kind == "special" and definition == "data_juicer":
        return char in _SPECIAL
    return {
        "alphanumeric": char.isalnum(),
        "digit": char.isdecimal(),
        "white_space": char.isspace(),
        "special": unicodedata.category(char)[0] in "PS",
        "parenthesis": char in PARENTHESES,
    }[kind]


def plain_words(text: str, definition: str) -> list[str]:
    """Returns the words of a text."""
    if definition != "data_juicer":
        return text.split()
    return [word for word in re.split("[ \\n\\t]", text) if set(word) - _SPECIAL]


def _lines(text: str, definition: str) -> list[str]:
    if DEFINITIONS[definition].all_lines:
        return text.splitlines()
    return [line for line in text.split("\n") if line.strip()]


def _is_ended(line: str, definition: str) -> bool:
    marks = ".?!\"'" if definition == "curator" else END_CHARS + CLOSING
    return line.strip().endswith(tuple(marks))


def _boilerplate(text: str) -> tuple[int, int]:
    paragraphs = text.translate(_TO_LOWER).split("\n\n")
    if any("lorem ipsum" in paragraph for paragraph in paragraphs):
        return 1, 1
    found = [any(phrase in paragraph for phrase in BOILERPLATE) for paragraph in paragraphs]
    return sum(found), len(paragraphs)
