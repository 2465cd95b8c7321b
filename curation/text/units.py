"""Lines and paragraphs: where they are in a text, and digests to compare them by.

A *line* ends at U+000A; a *paragraph* is a run of lines between blank ones. Lines of white space
alone are no units. The content of a unit is what is between its first and its last character that
is no white space; its length and its digest are those of its content.

Two units are equal if their contents are after folding: runs of white space are one space; case
and, if wanted, digits do not count (a run of digits is one). Digests are BLAKE2b of 128 bits.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.blake2b import Hasher, add_byte, finish, make_hasher, start
from curation.text.jit import inlined, int64, kernel, read_only
from curation.text.unicode import (
    DIGIT,
    FINAL_SIGMA,
    SPACE,
    char_class,
    decode,
    encode,
    lower_char,
)

NEWLINE, _BLANK, _ZERO, _DELETE = 0x0A, 0x20, 0x30, 0x7F
_SMALL_SIGMA = 0x3C3

Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
Bytes = npt.NDArray[np.uint8]
Words = npt.NDArray[np.uint64]


class Fold(NamedTuple):
    """What does not count when units are compared."""

    case: bool
    """Upper and lower case are the same."""
    digits: bool
    """Each run of digits is the same as any other."""


class Units(NamedTuple):
    """The m units of n texts that are long enough."""

    bounds: Ints
    """int64[n + 1]: those of text k are `bounds[k]` to `bounds[k + 1]`."""
    place: Places
    """int32[m]: which unit of its text, short ones counted, from 0."""
    chars: Places
    """int32[m]: length in characters."""
    high: Words
    """uint64[m]: first half of the digest."""
    low: Words
    """uint64[m]: second half of the digest."""
    total: Ints
    """int64[n]: characters of all units of each text, short ones included."""


class Unit(NamedTuple):
    """One unit of a text, as bytes and as characters."""

    begin: int
    """First byte; with it the spaces that the first line starts with."""
    end: int
    """The byte after the last, which is a line end or the end of the text."""
    first: int
    """First byte of the content; -1 if there is no further unit."""
    last: int
    """The byte after the content."""
    first_char: int
    """Place of the content's first character in the text."""
    last_char: int
    """Place of the character after the content."""
    words: int
    at: int
    """The byte where the search for the next unit goes on."""
    seen: int
    """Characters before that byte."""


@inlined
def _is_space(code: int) -> bool:
    if _BLANK < code < _DELETE:
        return False
    return (char_class(code) & SPACE) > 0


@inlined
def _skip_blank(data: Bytes, at: int, seen: int, end: int) -> tuple[int, int, int]:
    """Returns where the line with the next content begins, that content's byte and character."""
    begin = at
    while at < end:
        code, after = decode(data, at, end)
        if code == NEWLINE:
            begin = after
        elif not _is_space(code):
            break
        at, seen = after, seen + 1
    return begin, at, seen


@kernel
def next_unit(data: Bytes, at: int, seen: int, end: int, paragraphs: bool) -> Unit:  # noqa: FBT001
    """Returns the first unit of a text from one of its bytes on.

    Args:
        data: uint8, UTF-8.
        at: The byte; where a line starts, or where the unit before says.
        seen: Characters of the text before that byte.
        end: Where the text ends.
        paragraphs: Paragraphs, not lines.
    """
    begin, at, seen = _skip_blank(data, at, seen, end)
    if at >= end:
        return Unit(end, end, -1, -1, seen, seen, 0, end, seen)
    first, first_char = at, seen
    last, last_char, line_end = at, seen, -1
    words, in_word = 0, False
    while at < end:
        code, after = decode(data, at, end)
        if code == NEWLINE:
            if not paragraphs or line_end >= 0:
                break
            line_end, in_word = at, False
        elif _is_space(code):
            in_word = False
        else:
            words += not in_word
            in_word, line_end = True, -1
            last, last_char = after, seen + 1
        at, seen = after, seen + 1
    stop = line_end if line_end >= 0 else at
    return Unit(begin, stop, first, last, first_char, last_char, words, at, seen)


def _ascii_folds() -> Bytes:
    """Returns uint8[4 * 128]: what becomes of ASCII, for each of the four ways to fold."""
    table = np.tile(np.arange(128, dtype=np.uint8), (4, 1))
    for char in map(chr, range(128)):
        table[1::2, ord(char)] = ord(char.lower())
        if char.isdigit():
            table[2:, ord(char)] = _ZERO
        if char.isspace():
            table[:, ord(char)] = _BLANK
    return table.ravel()


_ASCII_FOLDS = _ascii_folds()


@inlined
def _folded(code: int, fold: tuple[bool, bool]) -> int:
    """Returns what a character beyond ASCII is compared as."""
    bits = char_class(code)
    if bits & SPACE:
        return _BLANK
    if fold[1] and bits & DIGIT:
        return _ZERO
    if not fold[0]:
        return code
    lower = lower_char(code)
    return _SMALL_SIGMA if lower == FINAL_SIGMA else lower


@inlined
def _add_content(
    hasher: Hasher, data: Bytes, first: int, last: int, fold: tuple[bool, bool], spare: Bytes
) -> int:
    """Adds the folded content to a digest; returns its size in bytes."""
    size, before, at = 0, 0, first
    table = (2 * int64(fold[1]) + int64(fold[0])) << 7
    while at < last:
        code = int64(data[at])
        if code < 0x80:
            code, at = int64(_ASCII_FOLDS[table + code]), at + 1
        else:
            code, at = decode(data, at, last)
            code = _folded(code, fold)
        if code == before and (code == _BLANK or (code == _ZERO and fold[1])):
            continue
        before = code
        if code < 0x80:
            size = add_byte(hasher, code, size)
        else:
            for k in range(encode(code, spare, 0)):
                size = add_byte(hasher, int64(spare[k]), size)
    return size


@inlined
def _most_units(offsets: Ints, data: Bytes) -> int:
    found = len(offsets) - 1
    for at in range(offsets[0], offsets[-1]):
        found += data[at] == NEWLINE
    return found


def find_units(
    offsets: Ints,
    data: Bytes,
    persons: Words,
    fold: tuple[bool, bool],
    limits: tuple[int, int],
    *,
    paragraphs: bool,
) -> Units:
    """Finds and digests the units of n texts that are long enough.

    Args:
        offsets: int64[n + 1], text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8; a malformed part counts as U+FFFD, as `bytes.decode` replaces it.
        persons: uint64[n, 2], a name of 16 bytes for each text: units of texts with different
            names have different digests.
        fold: Of `Fold`.
        limits: The fewest characters and the fewest words of a unit.
        paragraphs: Paragraphs, not lines.
    """
    arrays = read_only(offsets), read_only(data), read_only(persons)
    found = _find_units(*arrays, fold, limits, paragraphs)
    count = int(found.bounds[-1])
    columns = {name: getattr(found, name)[:count] for name in ("place", "chars", "high", "low")}
    return found._replace(**columns)


# Slices of arrays are taken outside of the kernels, where they cost nothing to compile.
@kernel
def _find_units(
    offsets: Ints,
    data: Bytes,
    persons: Words,
    fold: tuple[bool, bool],
    limits: tuple[int, int],
    paragraphs: bool,  # noqa: FBT001 - kernels take arguments by position
) -> Units:
    rows = len(offsets) - 1
    most = _most_units(offsets, data)
    place, chars = np.empty(most, np.int32), np.empty(most, np.int32)
    high, low = np.empty(most, np.uint64), np.empty(most, np.uint64)
    bounds, total = np.zeros(rows + 1, np.int64), np.zeros(rows, np.int64)
    hasher, spare, found = make_hasher(), np.empty(4, np.uint8), 0
    for row in range(rows):
        end, number = offsets[row + 1], 0
        unit = next_unit(data, offsets[row], 0, end, paragraphs)
        while unit.first >= 0:
            length = unit.last_char - unit.first_char
            if length >= limits[0] and unit.words >= limits[1]:
                start(hasher, persons[row, 0], persons[row, 1])
                finish(hasher, _add_content(hasher, data, unit.first, unit.last, fold, spare))
                place[found], chars[found] = number, length
                high[found], low[found] = hasher.state[0], hasher.state[1]
                found += 1
            total[row] += length
            number += 1
            unit = next_unit(data, unit.at, unit.seen, end, paragraphs)
        bounds[row + 1] = found
    return Units(bounds, place, chars, high, low, total)


class PlainUnit(NamedTuple):
    """A unit of a text, in plain Python."""

    begin: int
    """Its first character."""
    end: int
    """The character after its last."""
    text: str
    """All of it, white space around its content included."""


def plain_units(text: str, *, paragraphs: bool) -> list[PlainUnit]:
    """Finds the units of a text in plain Python: the meaning of `find_units`."""
    found: list[PlainUnit] = []
    begin, blank_before = 0, True
    for line in text.split("\n"):
        end = begin + len(line)
        if line.strip():
            if paragraphs and not blank_before:
                begin = found.pop().begin
            found.append(PlainUnit(begin, end, text[begin:end]))
        blank_before = not line.strip()
        begin = end + 1
    return found


def plain_fold(content: str, fold: Fold) -> str:
    """Folds the content of a unit in plain Python: what of it is digested."""
    content = " ".join(content.split())
    if fold.case:
        content = "".join(char.lower()[0] for char in content).replace("\u03c2", "\u03c3")
    if fold.digits:
        content = "".join("0" if char.isdigit() else char for char in content)
        while "00" in content:
            content = content.replace("00", "0")
    return content
