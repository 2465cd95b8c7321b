"""Noise in characters: each one is left alone, or one thing happens to it, by a draw of its own.

A draw says for each character which operation it meets, if any; an operation does something to the
characters that it is for, and leaves others as they are. So the share of edited ones among those
that an operation is for is its rate, whatever the other rates are.

- By tables (`noise_tables`): `keyboard`, `insert` (the neighbour is hit, too), `case`, `ocr` (pairs
  such as "rn" first), `homoglyph`, `diacritics`, `space_repeat`, `space_change`,
  `punctuation_delete`, `punctuation_change`.
- `delete`, `repeat`: letters and digits. `swap`: two that follow each other and differ; both have
  had their turn then. `punctuation_insert`: white space behind a letter or digit gets a mark before
  it.

Only whole characters are written, so what is valid Unicode stays so.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chance import below, bounds_of, chosen, draw, plain_below, plain_draw
from curation.text.chars import char_at, char_before, class_of, copied
from curation.text.jit import int64, kernel, lean
from curation.text.noise_tables import (
    INSERTED_MARKS,
    LIMIT,
    MOST_GROWTH,
    Alternatives,
    Table,
    ocr_pairs,
    packed,
    tables_of,
)
from curation.text.unicode import ALPHA, DIGIT, SPACE

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

BY_TABLE = (
    "keyboard", "insert", "case", "ocr", "homoglyph", "diacritics", "space_repeat", "space_change",
    "punctuation_delete", "punctuation_change",
)  # fmt: skip
OPERATIONS = (*BY_TABLE, "delete", "repeat", "swap", "punctuation_insert")
"""Operations in the order of their numbers."""

_TABLES = len(BY_TABLE)
_OCR, _DELETE, _REPEAT, _SWAP = (OPERATIONS.index(n) for n in ("ocr", "delete", "repeat", "swap"))
_SALT = 0x5851F42D4C957F2D
_SALT64 = np.uint64(_SALT)
_MARKS = np.frombuffer(INSERTED_MARKS.encode(), np.uint8)
_WORDLIKE = ALPHA | DIGIT


class CharacterNoise(NamedTuple):
    """What a kernel is to do; made by `character_noise`."""

    bounds: Keys
    """uint64[operations], cumulative."""
    tables: Alternatives


def character_noise(rates: Mapping[str, float], layout: str) -> CharacterNoise:
    """Packs rates and tables.

    Args:
        rates: Probability by operation, 0 where it is not there; their sum is at most 1.
        layout: Keyboard, a name in `noise_tables.LAYOUTS`.
    """
    bounds = bounds_of([rates.get(name, 0.0) for name in OPERATIONS])
    return CharacterNoise(bounds, packed(tables_of(layout).values(), ocr_pairs()))


@kernel
def noise_characters(
    offsets: Ints, data: Bytes, keys: Keys, noise: CharacterNoise
) -> tuple[Ints, Bytes, Ints]:
    """Makes noise in n texts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        keys: uint64[n], of each text.
        noise: What to do.

    Returns:
        Offsets and bytes of the new texts; edits as int64[n, operations].
    """
    rows = len(offsets) - 1
    places = np.zeros(rows + 1, np.int64)
    edits = np.zeros((rows, len(noise.bounds)), np.int64)
    out = np.empty(offsets[rows] - offsets[0] + (1 << 12), np.uint8)
    to = 0
    for row in range(rows):
        start, end = offsets[row], offsets[row + 1]
        need = to + MOST_GROWTH * (end - start) + 8
        if need > len(out):
            more = np.empty(max(need, len(out) + (len(out) >> 1)), np.uint8)
            more[:to] = out[:to]
            out = more
        to = _noise_text(data, start, end, keys[row], noise, out, to, edits[row])
        places[row + 1] = to
    return places, out[:to].copy(), edits


@lean
def _noise_text(  # noqa: PLR0913 - a kernel
    data: Bytes, start: int, end: int, key: np.uint64, noise: CharacterNoise, out: Bytes, to: int,
    edits: Ints,
) -> int:  # fmt: skip
    at = start
    count = 0
    last = noise.bounds[len(noise.bounds) - 1]
    while at < end:
        bits = draw(key, count)
        if bits >= last:
            out[to] = data[at]
            at += 1
            to += 1
            while at < end and (data[at] & 0xC0) == 0x80:
                out[to] = data[at]
                at += 1
                to += 1
            count += 1
            continue
        number = chosen(bits, noise.bounds)
        other = draw(key ^ _SALT64, count)
        next_at, next_to, chars = _edit(data, start, at, end, number, other, noise, out, to)
        if chars:
            edits[number] += 1
            at, to = next_at, next_to
            count += chars
        else:
            after = char_at(data, at, end)[1]
            to = copied(data, at, after, out, to)
            at = after
            count += 1
    return to


@lean
def _edit(  # noqa: PLR0913 - a kernel
    data: Bytes, start: int, at: int, end: int, number: int, other: np.uint64,
    noise: CharacterNoise, out: Bytes, to: int,
) -> tuple[int, int, int]:  # fmt: skip
    """Does one operation; returns where reading and writing go on, and how many characters it took.

    0 characters: it is not for this one, and nothing was written.
    """
    code, after = char_at(data, at, end)
    if number < _TABLES:
        return _by_table(data, at, end, number, other, noise.tables, out, to)
    bits = class_of(code)
    if number > _SWAP:
        if not bits & SPACE or at == start:
            return at, to, 0
        before = char_at(data, char_before(data, start, at), at)[0]
        if not class_of(before) & _WORDLIKE:
            return at, to, 0
        out[to] = _MARKS[below(other, len(_MARKS))]
        return after, copied(data, at, after, out, to + 1), 1
    if not bits & _WORDLIKE:
        return at, to, 0
    if number == _DELETE:
        return after, to, 1
    if number == _REPEAT:
        to = copied(data, at, after, out, to)
        return after, copied(data, at, after, out, to), 1
    return _swapped(data, at, after, end, out, to)


@lean
def _swapped(
    data: Bytes, at: int, after: int, end: int, out: Bytes, to: int
) -> tuple[int, int, int]:
    if after >= end:
        return at, to, 0
    code, last = char_at(data, after, end)
    if not class_of(code) & _WORDLIKE or code == char_at(data, at, end)[0]:
        return at, to, 0
    to = copied(data, after, last, out, to)
    return last, copied(data, at, after, out, to), 2


@lean
def _by_table(  # noqa: PLR0913 - a kernel
    data: Bytes, at: int, end: int, number: int, other: np.uint64, tables: Alternatives, out: Bytes,
    to: int,
) -> tuple[int, int, int]:  # fmt: skip
    code, after = char_at(data, at, end)
    chars = 1
    entry = int64(-1)
    if number == _OCR and after < end and code < 0x80 and data[after] < 0x80:
        entry = int64(tables.pairs[code << 7 | int64(data[after])])
        if entry >= 0:
            after += 1
            chars = 2
    if entry < 0 and code < LIMIT:
        entry = int64(tables.entries[number, code])
    if entry < 0:
        return at, to, 0
    first = int64(tables.firsts[entry])
    pick = first + below(other, int64(tables.firsts[entry + 1]) - first)
    begin, stop = int64(tables.starts[pick]), int64(tables.starts[pick + 1])
    return after, copied(tables.data, begin, stop, out, to), chars


class PlainNoise(NamedTuple):
    """What became of one text."""

    text: str
    edits: list[int]
    """By operation."""
    chances: list[int]
    """By operation: characters that it was for, when their turn came."""


def plain_noise_characters(
    text: str, key: int, rates: Mapping[str, float], layout: str
) -> PlainNoise:
    """Makes noise in a text in plain Python: the meaning of the kernel."""
    bounds = [int(bound) for bound in bounds_of([rates.get(name, 0.0) for name in OPERATIONS])]
    tables, pairs = list(tables_of(layout).values()), ocr_pairs()
    edits, chances = [0] * len(OPERATIONS), [0] * len(OPERATIONS)
    parts: list[str] = []
    at = count = 0
    while at < len(text):
        bits = plain_draw(key, count)
        met = next((n for n, bound in enumerate(bounds) if bits < bound), None)
        chars = 1
        written = text[at]
        for number in range(len(OPERATIONS)):
            found = _plain_edit(text, at, number, plain_draw(key ^ _SALT, count), (tables, pairs))
            chances[number] += found is not None
            if number == met and found is not None:
                written, chars = found
                edits[number] += 1
        parts.append(written)
        at += chars
        count += chars
    return PlainNoise("".join(parts), edits, chances)


def _plain_edit(
    text: str, at: int, number: int, other: int, tables: tuple[Sequence[Table], Table]
) -> tuple[str, int] | None:
    """Returns what is written and how many characters that takes; None: it is not for this one."""
    char, pair = text[at], text[at : at + 2]
    if number < _TABLES:
        chars, found = 1, tables[0][number].get(char)
        if number == _OCR and pair in tables[1]:
            chars, found = 2, tables[1][pair]
        return (found[plain_below(other, len(found))], chars) if found else None
    if number > _SWAP:
        if not class_of(ord(char)) & SPACE or at == 0 or not _is_wordlike(text[at - 1]):
            return None
        return INSERTED_MARKS[plain_below(other, len(INSERTED_MARKS))] + char, 1
    if not _is_wordlike(char):
        return None
    if number == _SWAP:
        swaps = len(pair) == 2 and _is_wordlike(pair[1]) and pair[1] != char
        return (pair[1] + char, 2) if swaps else None
    return ("" if number == _DELETE else char * 2), 1


def _is_wordlike(char: str) -> bool:
    return class_of(ord(char)) & _WORDLIKE > 0
