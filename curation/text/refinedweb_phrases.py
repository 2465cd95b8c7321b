"""What the corrections of RefinedWeb look for inside a line: counters, and phrases to cut out.

Phrases are uint8, in lower case, parted by line feeds. They match in either case of ASCII; where
`wild_dots` is not 0, a full stop in them matches any character.
"""

import numpy as np
import numpy.typing as npt

from curation.text.chars import char_at, char_before, class_at, skip_space
from curation.text.jit import int64, lean, lean_inlined
from curation.text.unicode import SPACE, WORD

Bytes = npt.NDArray[np.uint8]

_LF, _COMMA, _DOT, _ZERO, _NINE = 0x0A, 0x2C, 0x2E, 0x30, 0x39


@lean
def is_counter(data: Bytes, at: int, end: int, nouns: Bytes) -> bool:
    """Says whether a line is a number, perhaps with k, m or b, and what it counts."""
    at = _skip_signs(data, at, end)
    first = at
    while at < end and _ZERO <= data[at] <= _NINE:
        at += 1
    if at == first:
        return False
    while at < end and (_ZERO <= data[at] <= _NINE or data[at] in (_COMMA, _DOT)):
        at += 1
    at += at < end and _lower(data[at]) in (0x6B, 0x6D, 0x62)
    noun = skip_space(data, at, end)
    if noun == at:
        return False
    first = int64(0)
    while first < len(nouns):
        last = _phrase_end(nouns, first)
        size = _matches(data, noun, end, nouns, (first, last), int64(0))
        if size >= 0 and _skip_signs(data, noun + size, end) == end:
            return True
        first = last + 1
    return False


@lean
def cut_anywhere(new: Bytes, at: int, end: int, phrases: Bytes, wild_dots: int) -> int:
    """Cuts phrases out of a line, each with a space before it; returns where the line ends."""
    if not _may_stand(new, at, end, phrases, wild_dots):
        return end
    fill = at
    while at < end:
        bits, after = class_at(new, at, end)
        if bits & SPACE:
            size = _match(new, after, end, phrases, wild_dots)
            if size >= 0:
                at = after + size
                continue
        size = _match(new, at, end, phrases, wild_dots)
        if size >= 0:
            at += size
            continue
        for k in range(at, after):
            new[fill + k - at] = new[k]
        fill += after - at
        at = after
    return fill


@lean
def cut_end(new: Bytes, at: int, end: int, phrases: Bytes, wild_dots: int) -> int:
    """Cuts the longest phrase off the end, with a space before it; returns the line's end."""
    tail = max(at, end - 4 * len(phrases))  # a character has four bytes at most
    if not _may_stand(new, tail, end, phrases, wild_dots):
        return end
    least = end
    first = int64(0)
    while first < len(phrases):
        last = _phrase_end(phrases, first)
        start = _chars_back(new, at, end, phrases, (first, last))
        if start >= 0 and _matches(new, start, end, phrases, (first, last), wild_dots) >= 0:
            least = min(least, start)
        first = last + 1
    if at < least < end:
        before = char_before(new, at, least)
        return before if class_at(new, before, end)[0] & SPACE else least
    return least


@lean
def cut_start(new: Bytes, at: int, end: int, phrases: Bytes, wild_dots: int) -> int:
    """Cuts a phrase off the start, with a space after it; returns where the line ends."""
    size = _match(new, at, end, phrases, wild_dots)
    if size < 0:
        return end
    rest = at + size
    if rest < end:
        bits, after = class_at(new, rest, end)
        rest = after if bits & SPACE else rest
    for k in range(end - rest):
        new[at + k] = new[rest + k]
    return at + end - rest


@lean
def _may_stand(data: Bytes, at: int, end: int, phrases: Bytes, wild_dots: int) -> bool:
    """Looks for phrases byte by byte: most lines have none, and need no further look."""
    first = int64(0)
    while first < len(phrases):
        last = _phrase_end(phrases, first)
        letter = int64(phrases[first])
        wild = wild_dots and letter == _DOT
        for start in range(at, end):
            if (wild or _lower(data[start]) == letter) and _matches(
                data, start, end, phrases, (first, last), wild_dots
            ) >= 0:
                return True
        first = last + 1
    return False


@lean
def _match(data: Bytes, at: int, end: int, phrases: Bytes, wild_dots: int) -> int:
    """Returns how many bytes at `at` the first phrase that matches takes; -1 for none."""
    first = int64(0)
    while first < len(phrases):
        last = _phrase_end(phrases, first)
        size = _matches(data, at, end, phrases, (first, last), wild_dots)
        if size >= 0:
            return size
        first = last + 1
    return -1


@lean
def _matches(
    data: Bytes, at: int, end: int, phrases: Bytes, phrase: tuple[int, int], wild_dots: int
) -> int:
    """Returns how many bytes at `at` a phrase matches; -1 for none."""
    start = at
    for k in range(phrase[0], phrase[1]):
        if at >= end:
            return -1
        if wild_dots and phrases[k] == _DOT:
            at = char_at(data, at, end)[1]
        elif _lower(data[at]) == phrases[k]:
            at += 1
        else:
            return -1
    return at - start


@lean_inlined
def _phrase_end(phrases: Bytes, first: int) -> int:
    """Returns where the phrase ends that starts at `first`."""
    while first < len(phrases) and phrases[first] != _LF:
        first += 1
    return first


@lean_inlined
def _lower(byte: int) -> int:
    return int64(byte) + 0x20 if 0x41 <= byte <= 0x5A else int64(byte)


@lean
def _chars_back(new: Bytes, at: int, end: int, phrases: Bytes, phrase: tuple[int, int]) -> int:
    """Returns where as many characters before `end` start as a phrase has; -1 for too few."""
    for k in range(phrase[0], phrase[1]):
        if (phrases[k] & 0xC0) == 0x80:
            continue
        if end <= at:
            return -1
        end = char_before(new, at, end)
    return end


@lean
def _skip_signs(data: Bytes, at: int, end: int) -> int:
    r"""Returns where the first character of `\w` is."""
    while at < end:
        bits, after = class_at(data, at, end)
        if bits & WORD:
            break
        at = after
    return at
