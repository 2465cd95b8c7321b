"""Spans of words that are masked, for training on denoising: which ones, and what is written.

Of n words a share is masked, rounded to whole words. In the manner of T5 they come as so many spans
that their mean length is as asked, all of one word or more; in that of BART lengths are drawn from
a Poisson distribution until the share is reached, and a span of no words puts a mask between two.
Each way of placing the spans between the words that stay is as likely as any other, and at least
one word stays between two spans.

- T5: `text` has a numbered sentinel for each span, and `target` the sentinels, each with its words,
  and one more at the end.
- BART: `text` has the same mask for each span; the target is the whole text.

Sources: Raffel et al. 2020, arXiv 1910.10683, section 3.1.4; Lewis et al. 2020, arXiv 1910.13461,
section 2.2. The reference code of T5 lets every text end with a span; here it may end with a word.
"""

from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.chance import below, draw
from curation.text.chars import copied, skip_space, skip_word
from curation.text.jit import kernel, lean

Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Keys = npt.NDArray[np.uint64]

SALT = 0x369DEA0F31A53F85
_SALT64 = np.uint64(SALT)
_BLANK = 0x20
_ALL = (1 << 64) - 1


class Masking(NamedTuple):
    """How texts are masked; made by `masking`."""

    share: float
    """Of the words."""
    mean: float
    """Words of a span."""
    lengths: Keys
    """uint64[k], cumulative bounds of the lengths 0, 1, 2 ...; empty: spans as T5 has them."""
    before: Bytes
    """What a mask is written as: this, with T5 the number of the span, and `after`."""
    after: Bytes


def masking(share: float, mean: float, mask: str, *, poisson: bool) -> Masking:
    """Packs settings for the kernel.

    Args:
        share: Words to be masked, from 0 to 1.
        mean: Mean words of a span, above 0.
        mask: What stands in the place of a span; T5: with `{n}` for its number.
        poisson: Lengths are drawn, as BART has them.
    """
    before, _, after = mask.partition("{n}")
    lengths = poisson_bounds(mean) if poisson else np.empty(0, np.uint64)
    parts = (np.frombuffer(part.encode(), np.uint8) for part in (before, after))
    return Masking(share, mean, lengths, *parts)


def poisson_bounds(mean: float) -> Keys:
    """Returns below which bits a length is at most 0, 1, 2 ...: uint64[k], the same everywhere."""
    share = total = Fraction((-Decimal(mean)).exp())
    bounds, number = [], 0
    while number < mean or share * 2**64 > 1:
        bounds.append(min(int(total * 2**64), _ALL))
        number += 1
        share *= Fraction(mean) / number
        total += share
    return np.array([*bounds, _ALL], np.uint64)


@lean
def _words(data: Bytes, at: int, end: int, starts: Ints, ends: Ints) -> int:
    count = 0
    at = skip_space(data, at, end)
    while at < end:
        stop = skip_word(data, at, end)
        starts[count], ends[count] = at, stop
        count += 1
        at = skip_space(data, stop, end)
    return count


@lean
def _rounded(number: float) -> int:
    return int(number + 0.5)


@lean
def _cut(key: np.uint64, masked: int, stays: int, masks: Masking, lengths: Ints) -> int:
    """Writes the lengths of the spans of so many masked words; returns how many spans there are."""
    if len(masks.lengths) == 0:
        spans = min(max(_rounded(masked / masks.mean), 1), masked, stays + 1)
        _composed(key, masked, spans, lengths)
        return spans
    spans = 0
    while masked > 0:
        bits = draw(key, spans)
        length = 0
        while bits >= masks.lengths[length] and length < len(masks.lengths) - 1:
            length += 1
        if length > masked or spans == stays:
            length = masked
        lengths[spans] = length
        masked -= length
        spans += 1
    return spans


@lean
def _composed(key: np.uint64, total: int, parts: int, lengths: Ints) -> None:
    """Cuts a number into so many parts of 1 or more, each way as likely as any other."""
    left = parts - 1
    part = 0
    lengths[0] = 1
    for k in range(total - 1):
        if below(draw(key, k), total - 1 - k) < left:
            left -= 1
            part += 1
            lengths[part] = 0
        lengths[part] += 1


@lean
def _placed(key: np.uint64, spans: int, stays: int, slots: Ints) -> None:
    """Writes before which of the words that stay each span comes, ascending, each at its own."""
    left = spans
    for k in range(stays + 1):
        if below(draw(key ^ _SALT64, k), stays + 1 - k) < left:
            slots[spans - left] = k
            left -= 1


@lean
def _mask(masks: Masking, number: int, out: Bytes, to: int) -> int:
    to = copied(masks.before, 0, len(masks.before), out, to)
    if len(masks.lengths) == 0:
        digits = 1
        while number >= 10**digits:
            digits += 1
        for k in range(digits):
            out[to + digits - 1 - k] = 0x30 + number // 10**k % 10
        to += digits
    return copied(masks.after, 0, len(masks.after), out, to)


@kernel
def mask_spans(
    offsets: Ints, data: Bytes, keys: Keys, masks: Masking
) -> tuple[tuple[Ints, Bytes], tuple[Ints, Bytes], Ints]:
    """Masks spans of words in n texts.

    Args:
        offsets: int64[n + 1]; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        keys: uint64[n], of each text.
        masks: How.

    Returns:
        Offsets and bytes of the inputs; of the targets (T5; else empty); and int64[n, 3]: words,
        masked words, spans.
    """
    rows = len(offsets) - 1
    places, goals = np.zeros(rows + 1, np.int64), np.zeros(rows + 1, np.int64)
    found = np.zeros((rows, 3), np.int64)
    longest = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    room = np.empty((4, longest + 2), np.int64)
    out, goal = np.empty(1 << 12, np.uint8), np.empty(1 << 12, np.uint8)
    for row in range(rows):
        start, end = offsets[row], offsets[row + 1]
        spans = _choose(data, start, end, keys[row], masks, room, found[row])
        need = end - start + (spans + 1) * (len(masks.before) + len(masks.after) + 12)
        out, goal = _grown(out, places[row], need), _grown(goal, goals[row], need)
        ends = _write(data, start, end, masks, room, found[row], out, places[row], goal, goals[row])
        places[row + 1], goals[row + 1] = ends
    return (
        (places, out[: places[rows]].copy()),
        (goals, goal[: goals[rows]].copy()),
        found,
    )


@kernel
def _grown(out: Bytes, used: int, need: int) -> Bytes:
    if used + need <= len(out):
        return out
    more = np.empty(max(used + need, len(out) + (len(out) >> 1)), np.uint8)
    more[:used] = out[:used]
    return more


@lean
def _choose(  # noqa: PLR0913 - a kernel
    data: Bytes, start: int, end: int, key: np.uint64, masks: Masking, room: Ints, found: Ints
) -> int:
    """Writes words, lengths and slots of a text into `room`; returns how many spans there are."""
    words = _words(data, start, end, room[0], room[1])
    masked = min(_rounded(words * masks.share), words)
    spans = _cut(key, masked, words - masked, masks, room[2]) if masked else 0
    _placed(key, spans, words - masked, room[3])
    found[0], found[1], found[2] = words, masked, spans
    return spans


@lean
def _write(  # noqa: PLR0913 - a kernel
    data: Bytes, start: int, end: int, masks: Masking, room: Ints, found: Ints, out: Bytes, to: int,
    goal: Bytes, end_of_goal: int,
) -> tuple[int, int]:  # fmt: skip
    starts, ends, lengths, slots = room[0], room[1], room[2], room[3]
    words, spans = found[0], found[2]
    at, word, passed = start, 0, 0
    for span in range(spans):
        word += slots[span] - passed
        passed = slots[span]
        length = lengths[span]
        to = copied(data, at, starts[word] if word < words else end, out, to)
        at = starts[word] if word < words else end
        if length == 0 and word == words and word > 0 and at == ends[word - 1]:
            out[to] = _BLANK
            to += 1
        to = _mask(masks, span, out, to)
        if length == 0 and word < words:
            out[to] = _BLANK
            to += 1
        if length:
            last = ends[word + length - 1]
            end_of_goal = _to_goal(data, at, last, masks, span, goal, end_of_goal)
            at = last
            word += length
    if spans and len(masks.lengths) == 0:
        end_of_goal = _mask(masks, spans, goal, end_of_goal)
    return copied(data, at, end, out, to), end_of_goal


@lean
def _to_goal(  # noqa: PLR0913 - a kernel
    data: Bytes, at: int, end: int, masks: Masking, span: int, goal: Bytes, to: int
) -> int:
    if len(masks.lengths):
        return to
    to = _mask(masks, span, goal, to)
    goal[to] = _BLANK
    to = copied(data, at, end, goal, to + 1)
    goal[to] = _BLANK
    return to + 1
