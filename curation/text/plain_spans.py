"""Masked spans in plain Python: the meaning of `spans`."""

from itertools import pairwise
from typing import NamedTuple

from curation.text.chance import plain_below, plain_draw
from curation.text.plain_noise_words import word_spans
from curation.text.spans import SALT, poisson_bounds


class PlainMasking(NamedTuple):
    """What `spans.masking` takes."""

    share: float
    mean: float
    mask: str
    poisson: bool


class PlainMasked(NamedTuple):
    """What became of a text."""

    text: str
    target: str
    found: list[int]
    """Words, masked words, spans."""


def plain_mask_spans(text: str, key: int, masks: PlainMasking) -> PlainMasked:
    """Masks spans of words in a text."""
    words = word_spans(text)
    masked = min(int(len(words) * masks.share + 0.5), len(words))
    stays = len(words) - masked
    lengths = _lengths(key, masked, stays, masks)
    taken = list(zip(_slots(key, len(lengths), stays), lengths, strict=True))
    parts: list[str] = []
    targets: list[str] = []
    at = word = passed = 0
    for number, (slot, length) in enumerate(taken):
        word, passed = word + slot - passed, slot
        mask = masks.mask.replace("{n}", str(number))
        begin = words[word][0] if word < len(words) else len(text)
        parts.append(text[at:begin])
        if length:
            end = words[word + length - 1][1]
            targets += [mask, text[begin:end]]
            parts.append(mask)
        else:
            end = begin
            glued = word == len(words) > 0 and begin == words[-1][1]
            parts.append(f"{mask} " if word < len(words) else " " * glued + mask)
        at, word = end, word + length
    parts.append(text[at:])
    last = [masks.mask.replace("{n}", str(len(taken)))] if taken else []
    target = "" if masks.poisson else " ".join([*targets, *last])
    return PlainMasked("".join(parts), target, [len(words), masked, len(taken)])


def _lengths(key: int, masked: int, stays: int, masks: PlainMasking) -> list[int]:
    if not masked:
        return []
    if not masks.poisson:
        spans = min(max(int(masked / masks.mean + 0.5), 1), masked, stays + 1)
        cuts = _chosen(key, masked - 1, spans - 1)
        edges = [0, *(cut + 1 for cut in cuts), masked]
        return [end - start for start, end in pairwise(edges)]
    bounds = [int(bound) for bound in poisson_bounds(masks.mean)]
    lengths: list[int] = []
    while masked > 0:
        bits = plain_draw(key, len(lengths))
        length = next((n for n, bound in enumerate(bounds) if bits < bound), len(bounds) - 1)
        lengths.append(masked if length > masked or len(lengths) == stays else length)
        masked -= lengths[-1]
    return lengths


def _slots(key: int, spans: int, stays: int) -> list[int]:
    return _chosen(key ^ SALT, stays + 1, spans)


def _chosen(key: int, number: int, wanted: int) -> list[int]:
    """Returns so many of the numbers below `number`, ascending, each choice as likely as others."""
    found: list[int] = []
    for k in range(number):
        if plain_below(plain_draw(key, k), number - k) < wanted - len(found):
            found.append(k)
    return found
