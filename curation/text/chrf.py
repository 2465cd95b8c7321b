r"""chrF of pairs of texts: how many character n-grams a text shares with the one it was made from.

Source: Popović 2015, "chrF: character n-gram F-score for automatic MT evaluation", as sacrebleu 2
computes it by default: n-grams of 1 to 6 code points, white space removed, recall weighs twice as
much as precision (beta 2), and orders that one of the texts is too short for are left out. Values
are from 0 to 100.

n-grams are counted exactly and without a hash: all positions of both texts are put in the order of
the six characters that follow them (one counting sort for each character), so equal n-grams of
every length lie side by side. That is a few passes over the text, whatever its alphabet.
"""

from collections import Counter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel, lean, lean_inlined
from curation.text.unicode import SPACE, char_class, decode

ORDER = 6
"""Characters of the longest n-gram."""
_BETA_SQUARED = 4

Bytes = npt.NDArray[np.uint8]
Offsets = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int32]

_ASCII_SPACE = 0x20
_GATHERED = 3
"""Rows of the counts: n-grams of the one text, of the other, of both; then those of one kind."""


class Column(NamedTuple):
    """The texts of n rows as UTF-8: text k is `data[offsets[k] : offsets[k + 1]]`."""

    offsets: Offsets
    data: Bytes


class Room(NamedTuple):
    """What the sort of one pair works with."""

    symbols: Ints
    """int32[s + ORDER]: the number of each character, from 1 on; 0 ends a text."""
    order: Ints
    """int32[s]: positions, in the order of what follows them."""
    spare: Ints
    """int32[s]: the order before the present pass."""
    starts: Ints
    """int32[s + 2]: where the positions with each number go."""
    number_of: Ints
    """int32[0x110000]: the number of each code point in this pair; 0: none yet."""
    used: Ints
    """int32[s]: the code points that have a number."""


def plain_chrf(hypothesis: str, reference: str) -> float:
    """Returns chrF of two texts in plain Python: the meaning of `chrf`.

    Examples:
        >>> round(plain_chrf("the cat sat", "the cat sits"), 4)
        59.4391
    """
    sides = ["".join(text.split()) for text in (hypothesis, reference)]
    precision = recall = 0.0
    orders = 0
    for size in range(1, ORDER + 1):
        mine, theirs = (
            Counter(side[at : at + size] for at in range(len(side) - size + 1)) for side in sides
        )
        if mine and theirs:
            shared = (mine & theirs).total()
            precision += shared / mine.total()
            recall += shared / theirs.total()
            orders += 1
    return _f_score(precision, recall, orders)


@lean_inlined
def _f_score(precision: float, recall: float, orders: int) -> float:
    if orders == 0 or precision + recall == 0:
        return 0.0
    precision, recall = precision / orders, recall / orders
    score = (1 + _BETA_SQUARED) * precision * recall
    return 100 * (score / ((_BETA_SQUARED * precision) + recall))


def chrf(hypotheses: Column, references: Column) -> Floats:
    """Scores n texts against n others.

    Args:
        hypotheses: The texts that are judged.
        references: What each is compared with.

    Returns:
        float64[n], 0 to 100; 0 where one of the two has nothing but white space.
    """
    bounds = [np.diff(column.offsets) for column in (hypotheses, references)]
    longest = int(np.add(*bounds).max(initial=0))
    if longest > np.iinfo(np.int32).max - 2 * ORDER:
        raise ValueError(f"chrF: a pair of texts has {longest} bytes; expected less than 2**31")
    return _chrf(*hypotheses, *references, longest)


@kernel
def _chrf(
    offsets: Offsets, data: Bytes, other_offsets: Offsets, other_data: Bytes, longest: int
) -> Floats:
    room = _make_room(longest)
    scores = np.zeros(len(offsets) - 1, np.float64)
    counts = np.zeros((_GATHERED + 2, ORDER), np.int64)
    for row in range(len(scores)):
        mine = data[offsets[row] : offsets[row + 1]]
        theirs = other_data[other_offsets[row] : other_offsets[row + 1]]
        scores[row] = _score(mine, theirs, room, counts)
    return scores


@inlined
def _make_room(longest: int) -> Room:
    size = longest + 2 * ORDER + 2
    return Room(
        np.zeros(size, np.int32),
        np.empty(size, np.int32),
        np.empty(size, np.int32),
        np.empty(size, np.int32),
        np.zeros(0x110000, np.int32),
        np.empty(size, np.int32),
    )


@lean
def _score(mine: Bytes, theirs: Bytes, room: Room, counts: Offsets) -> float:
    border, alphabet = _number_symbols(mine, 0, 0, room)
    # Between the two texts, and behind the second, zeros end what n-grams can reach.
    first = border + ORDER
    end, alphabet = _number_symbols(theirs, first, alphabet, room)
    for k in range(alphabet):
        room.number_of[room.used[k]] = 0
    total = _sort(border, first, end, alphabet, room)
    _count(total, border, room, counts)
    precision = recall = 0.0
    orders = 0
    for size in range(ORDER):
        if counts[0, size] and counts[1, size]:
            precision += counts[2, size] / counts[0, size]
            recall += counts[2, size] / counts[1, size]
            orders += 1
    return _f_score(precision, recall, orders)


@lean
def _number_symbols(text: Bytes, fill: int, alphabet: int, room: Room) -> tuple[int, int]:
    """Writes the numbers of a text's characters; returns where they end, and how many there are."""
    symbols, number_of, used = room.symbols, room.number_of, room.used
    at = 0
    while at < len(text):
        code = int64(text[at])
        if code < 0x80:
            at += 1
            blank = code == _ASCII_SPACE or 0x09 <= code <= 0x0D or 0x1C <= code <= 0x1F
        else:
            code, at = decode(text, at, len(text))
            blank = (char_class(code) & SPACE) > 0
        if blank:
            continue
        number = int64(number_of[code])
        if number == 0:
            used[alphabet] = code
            alphabet += 1
            number = alphabet
            number_of[code] = number
        symbols[fill] = number
        fill += 1
    symbols[fill : fill + ORDER] = 0
    return fill, alphabet


@lean
def _sort(border: int, first: int, end: int, alphabet: int, room: Room) -> int:
    """Puts all positions in the order of the `ORDER` numbers from them on; returns how many."""
    symbols, order, spare, starts = room.symbols, room.order, room.spare, room.starts
    total = border + end - first
    for k in range(total):
        order[k] = k if k < border else first + k - border
    for place in range(ORDER - 1, -1, -1):
        starts[: alphabet + 2] = 0
        for k in range(total):
            spare[k] = order[k]
            starts[symbols[order[k] + place] + 1] += 1
        for number in range(alphabet + 1):
            starts[number + 1] += starts[number]
        for k in range(total):
            number = symbols[spare[k] + place]
            order[starts[number]] = spare[k]
            starts[number] += 1
    return total


@lean
def _count(total: int, border: int, room: Room, counts: Offsets) -> None:
    """Counts, for each length, the n-grams of both texts and those that they share."""
    symbols, order = room.symbols, room.order
    counts[:] = 0
    for k in range(total):
        here = int64(order[k])
        before = int64(order[k - 1]) if k else here
        same = 0
        while k and same < ORDER and symbols[here + same] == symbols[before + same] != 0:
            same += 1
        size = 0
        # An n-gram that the one before it is not: what is gathered of the other is done.
        while size < ORDER and symbols[here + size] != 0:
            if size >= same:
                _close(size, counts)
            counts[_GATHERED + (here >= border), size] += 1
            size += 1
    for size in range(ORDER):
        _close(size, counts)


@lean_inlined
def _close(size: int, counts: Offsets) -> None:
    """Adds the n-gram that was gathered last to the sums."""
    mine, theirs = counts[_GATHERED, size], counts[_GATHERED + 1, size]
    counts[0, size] += mine
    counts[1, size] += theirs
    counts[2, size] += min(mine, theirs)
    counts[_GATHERED, size] = counts[_GATHERED + 1, size] = 0
