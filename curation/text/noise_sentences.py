"""Noise in sentences: some trade places, some go.

A sentence ends with a chunk that `sentences.ends_sentence` says so of, at a line feed, or with the
text. A draw says for each sentence whether it takes part in the shuffle (those that do come in
random order on the places that they held), goes with the white space behind it, or stays. Of a text
whose sentences would all go, the first stays.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from curation.text.chance import below, bounds_of, draw, plain_below, plain_draw
from curation.text.chars import copied, skip_space, skip_word
from curation.text.jit import kernel, lean
from curation.text.sentences import ends_sentence, plain_ends

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

OPERATIONS = ("sentence_shuffle", "sentence_drop")
"""Operations in the order of their numbers."""

SALT = 0x2545F4914F6CDD1D
_SALT64 = np.uint64(SALT)
_LINE_FEED = 0x0A


def sentence_bounds(rates: Mapping[str, float]) -> Keys:
    """Returns what `noise_sentences` takes: uint64[2], cumulative."""
    return bounds_of([rates.get(name, 0.0) for name in OPERATIONS])


@lean
def _find(data: Bytes, start: int, end: int, starts: Ints, ends: Ints) -> int:
    """Writes where sentences start and end (behind their last word); returns how many there are."""
    count = 0
    begin = at = skip_space(data, start, end)
    while at < end:
        stop = skip_word(data, at, end)
        after = skip_space(data, stop, end)
        ended = after >= end or ends_sentence(data, at, stop)
        for k in range(stop, after):
            ended |= data[k] == _LINE_FEED
        if ended:
            starts[count], ends[count] = begin, stop
            count += 1
            begin = after
        at = after
    return count


@kernel
def noise_sentences(
    offsets: Ints, data: Bytes, keys: Keys, bounds: Keys
) -> tuple[Ints, Bytes, Ints]:
    """Shuffles and drops sentences of n texts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        keys: uint64[n], of each text.
        bounds: What `sentence_bounds` returns.

    Returns:
        Offsets and bytes of the new texts; sentences that took part, as int64[n, operations].
    """
    rows = len(offsets) - 1
    places = np.zeros(rows + 1, np.int64)
    edits = np.zeros((rows, 2), np.int64)
    out = np.empty(offsets[rows] - offsets[0], np.uint8)
    longest = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    room = np.empty((3, longest // 2 + 1), np.int64)
    to = 0
    for row in range(rows):
        start, end = offsets[row], offsets[row + 1]
        count = _find(data, start, end, room[0], room[1])
        _arrange(keys[row], bounds, room[2, :count], edits[row])
        to = _write(data, start, end, room[:, :count], out, to)
        places[row + 1] = to
    return places, out[:to].copy(), edits


@lean
def _arrange(key: np.uint64, bounds: Keys, order: Ints, edits: Ints) -> None:
    """Writes which sentence comes to each place; -1: none."""
    count = len(order)
    moving = 0
    for k in range(count):
        bits = draw(key, k)
        order[k] = k
        if bits < bounds[0]:
            order[k] = -2
            moving += 1
        elif bits < bounds[1]:
            order[k] = -1
            edits[1] += 1
    if count and edits[1] == count:
        order[0] = 0
        edits[1] -= 1
    edits[0] += moving
    _shuffle(key, order, moving)


@lean
def _shuffle(key: np.uint64, order: Ints, moving: int) -> None:
    """Gives the places marked -2 their own sentences in random order, from the last place on."""
    for k in range(len(order)):
        if order[k] == -2:
            order[k] = -3 - k
    at = len(order) - 1
    while moving > 1:
        while order[at] > -3:
            at -= 1
        pick = below(draw(key ^ _SALT64, moving), moving)
        other = -1
        while pick >= 0:
            other += 1
            pick -= order[other] <= -3
        taken = -3 - order[other]
        order[other] = order[at]
        order[at] = taken
        moving -= 1
    for k in range(len(order)):
        if order[k] <= -3:
            order[k] = -3 - order[k]


@lean
def _write(data: Bytes, start: int, end: int, found: Ints, out: Bytes, to: int) -> int:
    starts, ends, order = found[0], found[1], found[2]
    count = len(starts)
    to = copied(data, start, starts[0] if count else end, out, to)
    for k in range(count):
        which = order[k]
        if which >= 0:
            to = copied(data, starts[which], ends[which], out, to)
            to = copied(data, ends[k], starts[k + 1] if k + 1 < count else end, out, to)
    return to


def plain_noise_sentences(text: str, key: int, rates: Mapping[str, float]) -> tuple[str, list[int]]:
    """Shuffles and drops sentences of a text in plain Python: the meaning of the kernel.

    Returns:
        The new text, and how many sentences took part in each operation.
    """
    shuffle, drop = (int(bound) for bound in sentence_bounds(rates))
    lead, found = plain_sentence_parts(text)
    draws = [plain_draw(key, number) for number in range(len(found))]
    moving = [number for number, bits in enumerate(draws) if bits < shuffle]
    dropped = [number for number, bits in enumerate(draws) if shuffle <= bits < drop]
    if len(dropped) == len(found):
        dropped = dropped[1:]
    shuffled = list(moving)
    for left in range(len(moving), 1, -1):
        pick = plain_below(plain_draw(key ^ SALT, left), left)
        shuffled[pick], shuffled[left - 1] = shuffled[left - 1], shuffled[pick]
    sentences = {place: found[which][0] for place, which in zip(moving, shuffled, strict=True)}
    parts = [
        sentences.get(number, sentence) + gap
        for number, (sentence, gap) in enumerate(found)
        if number not in dropped
    ]
    return lead + "".join(parts), [len(moving), len(dropped)]


def plain_sentence_parts(text: str) -> tuple[str, list[tuple[str, str]]]:
    """Returns the white space before a text, and its sentences with the white space behind each.

    Examples:
        >>> plain_sentence_parts("Mr. Hill came. He sat.")
        ('', [('Mr. Hill came.', ' '), ('He sat.', '')])
    """
    from curation.text.plain_noise_words import pieces

    lead, *rest = pieces(text)
    found: list[tuple[str, str]] = []
    sentence = ""
    for word, gap in zip(rest[::2], rest[1::2], strict=True):
        sentence += word
        if plain_ends(word)[1] or "\n" in gap:
            found.append((sentence, gap))
            sentence = ""
        else:
            sentence += gap
    if sentence:
        last = rest[-1]
        found.append((sentence.removesuffix(last) if last else sentence, last))
    return lead, found
