"""Noise in words: runs of characters between white space that go, come twice, trade places ...

A draw says for each word which operation it meets, if any:

- `word_delete`: it goes, with the white space behind it if that has no line feed;
- `word_repeat`: it comes twice; `word_swap`: it and the next one, if they differ, trade places, and
  both have had their turn then;
- `word_split`: a blank comes into a word of two characters or more; `word_join`: the white space
  behind it goes;
- `word_misspell`: it is one of a list of words, and is written as people have written it wrongly.
  What is not a letter or a digit at its ends stays, and so do capitals: all, the first or none.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chance import below, bounds_of, chosen, draw
from curation.text.chars import copied, skip_space, skip_word
from curation.text.jit import int64, kernel, lean
from curation.text.keytable import ABSENT, KeyTable, look_up, make_table
from curation.text.xxh64 import plain_xxh64

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

OPERATIONS = (
    "word_delete", "word_repeat", "word_swap", "word_split", "word_join", "word_misspell",
)  # fmt: skip
"""Operations in the order of their numbers."""

_DELETE, _REPEAT, _SWAP, _SPLIT, _JOIN, _MISSPELL = range(len(OPERATIONS))
SALT = 0x14057B7EF767814F
SALT64 = np.uint64(SALT)
_GROWTH = 2
_LONGEST = 64
_BLANK, _LINE_FEED = 0x20, 0x0A
_SMALL, _FIRST, _CAPITALS, _MIXED = range(4)


class Misspellings(NamedTuple):
    """Words with their misspellings; made by `misspellings`."""

    words: KeyTable
    """Number of a word by the XXH64 of its lower case."""
    firsts: Ints
    """int64[words + 1]: number of its first misspelling."""
    starts: Ints
    """int64[misspellings + 1]: where it starts in `data`."""
    data: Bytes


class WordNoise(NamedTuple):
    """What a kernel is to do; made by `word_noise`."""

    bounds: Keys
    misspellings: Misspellings


def usable(wrong: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Returns the entries that the kernel takes, sorted.

    Those are words of ASCII in lower case, of 64 characters at most, with a letter or a digit at
    both ends, and their misspellings of at most twice the length.

    Args:
        wrong: Misspellings by word.
    """
    found = {}
    for word, others in sorted(wrong.items()):
        fitting = [other for other in others if _fits(other) and len(other) <= _GROWTH * len(word)]
        if _fits(word) and fitting:
            found[word] = sorted(set(fitting))
    return found


def _fits(word: str) -> bool:
    ends = word[:1].isalnum() and word[-1:].isalnum()
    return word.isascii() and ends and word == word.lower() and len(word) <= _LONGEST and not (
        set(word) & set(" \t\n")
    )  # fmt: skip


def misspellings(wrong: Mapping[str, Sequence[str]]) -> Misspellings:
    """Packs what `usable` returns for the kernel."""
    keys = np.array([plain_xxh64(word.encode()) for word in wrong], np.uint64)
    texts = [other.encode() for others in wrong.values() for other in others]
    return Misspellings(
        make_table(keys, np.arange(len(keys), dtype=np.int32)),
        np.cumsum([0, *(len(others) for others in wrong.values())]).astype(np.int64),
        np.cumsum([0, *map(len, texts)]).astype(np.int64),
        np.frombuffer(b"".join(texts) or b"\0", np.uint8),
    )


def word_noise(rates: Mapping[str, float], wrong: Mapping[str, Sequence[str]]) -> WordNoise:
    """Packs rates and misspellings.

    Args:
        rates: Probability by operation, 0 where it is not there; their sum is at most 1.
        wrong: What `usable` returns.
    """
    bounds = bounds_of([rates.get(name, 0.0) for name in OPERATIONS])
    return WordNoise(bounds, misspellings(wrong))


@kernel
def noise_words(
    offsets: Ints, data: Bytes, keys: Keys, noise: WordNoise
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
    out = np.empty(_GROWTH * (offsets[rows] - offsets[0]) + 2 * rows, np.uint8)
    room = np.empty(_LONGEST, np.uint8)
    to = 0
    for row in range(rows):
        start, end = offsets[row], offsets[row + 1]
        to = _noise_text(data, start, end, keys[row], noise, out, to, edits[row], room)
        places[row + 1] = to
    return places, out[:to].copy(), edits


@lean
def _noise_text(  # noqa: PLR0913 - a kernel
    data: Bytes, start: int, end: int, key: np.uint64, noise: WordNoise, out: Bytes, to: int,
    edits: Ints, room: Bytes,
) -> int:  # fmt: skip
    at = skip_space(data, start, end)
    to = copied(data, start, at, out, to)
    count = 0
    last = noise.bounds[len(noise.bounds) - 1]
    while at < end:
        stop = skip_word(data, at, end)
        after = skip_space(data, stop, end)
        bits = draw(key, count)
        words = number = 0
        if bits < last:
            number = chosen(bits, noise.bounds)
            other = draw(key ^ SALT64, count)
            to, words = _edit(data, at, stop, after, end, number, other, noise, out, to, room)
        if words == 0:
            to = copied(data, at, after, out, to)
            count += 1
        else:
            edits[number] += 1
            count += words
        if words == 2:
            after = skip_space(data, skip_word(data, after, end), end)
        at = after
    return to


@lean
def _edit(  # noqa: PLR0913 - a kernel
    data: Bytes, at: int, stop: int, after: int, end: int, number: int, other: np.uint64,
    noise: WordNoise, out: Bytes, to: int, room: Bytes,
) -> tuple[int, int]:  # fmt: skip
    """Does one operation to the word at `at`; returns where writing goes on and how many words.

    0 words: it is not for this one, and nothing was written.
    """
    if number == _DELETE:
        return copied(data, _kept_gap(data, stop, after), after, out, to), 1
    if number == _REPEAT:
        to = copied(data, at, stop, out, to)
        out[to] = _BLANK
        return copied(data, at, after, out, to + 1), 1
    if number == _SPLIT:
        return _split(data, at, stop, after, other, out, to)
    if number == _MISSPELL:
        return _misspelled(data, at, stop, after, other, noise.misspellings, out, to, room)
    if after >= end:
        return to, 0
    if number == _JOIN:
        return copied(data, at, stop, out, to), 1
    return _swapped(data, at, stop, after, end, out, to)


@lean
def _kept_gap(data: Bytes, stop: int, after: int) -> int:
    for k in range(stop, after):
        if data[k] == _LINE_FEED:
            return stop
    return after


@lean
def _split(  # noqa: PLR0913 - a kernel
    data: Bytes, at: int, stop: int, after: int, other: np.uint64, out: Bytes, to: int
) -> tuple[int, int]:
    chars = 0
    for k in range(at, stop):
        chars += (data[k] & 0xC0) != 0x80
    if chars < 2:
        return to, 0
    left = 1 + below(other, chars - 1)
    middle = at
    while left >= 0:
        left -= (data[middle] & 0xC0) != 0x80
        middle += 1
    to = copied(data, at, middle - 1, out, to)
    out[to] = _BLANK
    return copied(data, middle - 1, after, out, to + 1), 1


@lean
def _swapped(  # noqa: PLR0913 - a kernel
    data: Bytes, at: int, stop: int, after: int, end: int, out: Bytes, to: int
) -> tuple[int, int]:
    last = skip_word(data, after, end)
    if last - after == stop - at:
        same = 0
        while same < stop - at and data[at + same] == data[after + same]:
            same += 1
        if same == stop - at:
            return to, 0
    to = copied(data, after, last, out, to)
    to = copied(data, stop, after, out, to)
    to = copied(data, at, stop, out, to)
    return copied(data, last, skip_space(data, last, end), out, to), 2


@lean
def _is_plain(byte: int) -> bool:
    lower = byte | 0x20
    return 0x61 <= lower <= 0x7A or 0x30 <= byte <= 0x39


@lean
def _is_capital(byte: int) -> bool:
    return 0x41 <= byte <= 0x5A


@lean
def _capitals(data: Bytes, at: int, end: int) -> int:
    """Returns how a word of ASCII is written."""
    count = letters = 0
    for k in range(at, end):
        count += _is_capital(int64(data[k]))
        letters += 0x61 <= (data[k] | 0x20) <= 0x7A
    if count == 0:
        return _SMALL
    if count == letters and count > 1:
        return _CAPITALS
    return _FIRST if count == 1 and _is_capital(int64(data[at])) else _MIXED


@lean
def _misspelled(  # noqa: PLR0913 - a kernel
    data: Bytes, at: int, stop: int, after: int, other: np.uint64, wrong: Misspellings, out: Bytes,
    to: int, room: Bytes,
) -> tuple[int, int]:  # fmt: skip
    first, last = at, stop
    while first < last and not _is_plain(int64(data[first])):
        first += 1
    while last > first and not _is_plain(int64(data[last - 1])):
        last -= 1
    written = _capitals(data, first, last)
    if last == first or last - first > len(room) or written == _MIXED:
        return to, 0
    for k in range(first, last):
        room[k - first] = data[k] | 0x20 if _is_capital(int64(data[k])) else data[k]
    entry = look_up(wrong.words, room, 0, last - first, 0)
    if entry == ABSENT:
        return to, 0
    number = wrong.firsts[entry] + below(other, wrong.firsts[entry + 1] - wrong.firsts[entry])
    to = copied(data, at, first, out, to)
    begin = to
    to = copied(wrong.data, wrong.starts[number], wrong.starts[number + 1], out, to)
    for k in range(begin, begin + 1 if written == _FIRST else to):
        if written != _SMALL and 0x61 <= out[k] <= 0x7A:
            out[k] -= 0x20
    return copied(data, last, after, out, to), 1
