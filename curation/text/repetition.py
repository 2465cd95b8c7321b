r"""The repetition statistics of Gopher: how much of a text says what it has said before.

Source: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training
Gopher", arXiv 2112.11446, appendix A1.1 and table A1. The paper leaves open what is counted, over
what, and programs differ by up to a factor of two; so there are five *definitions*. The texts
and figures in docs/conformance.md show what that means.

`PAPER`, ours: the share of the text that repeats something earlier in it.
    Words are runs between whitespace; lines are trimmed, paragraphs are blocks of lines between
    blank ones, and blank ones do not count. A line or paragraph counts from its second time on,
    over all lines or paragraphs, or their characters. Words in any n-gram that stands earlier in
    the text count once each, over the characters of all words. The most frequent n-gram counts
    with all its words, each once; among equally frequent ones the longest, then the first; where
    no n-gram stands twice, it is 0. All values are from 0 to 1.
`DATATROVE` 0.10, of FineWeb: lines and paragraphs from their second time on, cut at runs of line
    feeds, not trimmed; everything over all characters of the text. The most frequent n-gram (the
    first of equals) counts with its spaces, even if it stands once; duplicate n-grams are skipped
    over as they are found. Words are those of `PUNCTUATED`.
`DCLM`: all times of a line, paragraph or n-gram that stands more than once, over the characters of
    trimmed lines or of words (`SEGMENTED`); an n-gram that stands once is 0, of equally frequent
    ones the longest counts; words in duplicate n-grams count once. One line or paragraph is 0.
`DOLMA` 1.2 (gopher_v2): all times, over all characters but whitespace, so that values above 1 are
    possible; the most frequent n-gram (the first of equals) even if it stands once; duplicate
    n-grams over the characters of all n-grams. No paragraphs.
`CURATOR` 1.4 (NeMo): from the second time on, over joined lines, joined paragraphs (empty ones
    count), or all characters. The most frequent n-gram counts by what deleting its words, joined
    by one space, takes from the text. A text of fewer than n words has 1. Where n-grams are
    equally frequent, Curator takes one that depends on Python's hash seed; here it is the first.

A statistic without a denominator is NaN.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.definitions import CURATOR, DATATROVE, DCLM, DEFINITIONS, DOLMA, PAPER
from curation.text.groups import (
    LONGEST_TEXT,
    Groups,
    Runs,
    Slices,
    group_runs,
    group_slices,
    key_of,
    make_groups,
    make_runs,
    make_slices,
    repeated_runs,
    repeated_slices,
)
from curation.text.jit import int64, kernel, lean, lean_inlined
from curation.text.pieces import cut_pieces
from curation.text.scan import count_chars
from curation.text.words import (
    PUNCTUATED,
    SEGMENTED,
    WHITESPACE,
    Words,
    find_words,
    flag_table,
    make_words,
)

SPLITTERS = (WHITESPACE, PUNCTUATED, SEGMENTED, WHITESPACE, WHITESPACE)
"""What each definition calls a word."""

TOP_SIZES, DUPLICATE_SIZES = (2, 3, 4), (5, 6, 7, 8, 9, 10)
"""Words in the n-grams of which the most frequent one counts, and of which all repeated ones do."""

STATISTICS = (
    "duplicate_lines",
    "duplicate_line_chars",
    "duplicate_paragraphs",
    "duplicate_paragraph_chars",
    *(f"top_{size}gram" for size in TOP_SIZES),
    *(f"duplicate_{size}grams" for size in DUPLICATE_SIZES),
)
"""What `repetition` measures, in its order; all but the first and third are shares of characters"""

Offsets = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.uint32]

_LARGEST_TOP, _LARGEST = TOP_SIZES[-1], DUPLICATE_SIZES[-1]
_LINES, _PARAGRAPHS, _NGRAMS = 0, 2, 4


def repetition(offsets: Offsets, data: Bytes, definition: str = "paper") -> Floats:
    """Measures every text of an Arrow string column.

    Needs room for the longest text alone: less than 20 bytes for each byte of prose, at most 80.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.
        definition: One of `DEFINITIONS`.

    Returns:
        float64[n, 13], the `STATISTICS` of each text.

    Raises:
        ValueError: A text is longer than `LONGEST_TEXT` bytes.
    """
    longest = int(np.diff(offsets).max(initial=0))
    if longest > LONGEST_TEXT:
        raise ValueError(
            f"repetition: a text has {longest} bytes; expected at most {LONGEST_TEXT}; cut it"
        )
    number = DEFINITIONS.index(definition)
    splitter = SPLITTERS[number]
    table = np.empty(0, np.uint32) if splitter == WHITESPACE else flag_table()
    found = np.full((len(offsets) - 1, len(STATISTICS)), np.nan)
    _measure(offsets, data, number, _make_room(longest, splitter, table), found)
    return found


class _Room(NamedTuple):
    """What the measurement of one text after another writes over."""

    words: Words
    pieces: Slices
    shorter: Runs
    longer: Runs
    groups: Groups
    pattern: Bytes


@kernel
def _make_room(longest: int, splitter: int, table: Flags) -> _Room:
    return _Room(
        make_words(longest, splitter, table),
        make_slices(longest),
        make_runs(longest),
        make_runs(longest),
        make_groups(longest),
        np.empty(longest + 1, np.uint8),
    )


@lean
def _measure(offsets: Offsets, data: Bytes, definition: int, room: _Room, found: Floats) -> None:
    splitter = WHITESPACE
    if definition == DATATROVE:
        splitter = PUNCTUATED
    elif definition == DCLM:
        splitter = SEGMENTED
    for i in range(len(found)):
        text = data[offsets[i] : offsets[i + 1]]
        number, chars = find_words(text, splitter, room.words)
        word_chars = int64(room.words.chars[number])
        whole = chars if definition == DATATROVE else word_chars if definition == DOLMA else -1
        # In a loop, and not called twice with constants, it is compiled once.
        for width in range(1, 2 + (definition != DOLMA)):
            _duplicates(text, definition, width, whole, room, found[i])
        whole = chars if definition in (DATATROVE, CURATOR) else word_chars
        _ngrams(text, definition, number, whole, room, found[i])


@lean
def _duplicates(
    text: Bytes, definition: int, width: int, whole: int, room: _Room, found: Floats
) -> None:
    """Measures lines (width 1) or paragraphs (2) over `whole` characters.

    Below 0, `whole` is the characters of all pieces.
    """
    pieces = room.pieces
    number = cut_pieces(text, definition, width, pieces)
    if number == 0 or whole == 0:
        return
    starts, stops, keys, like, times = pieces
    for k in range(number):
        keys[k] = key_of(text, int64(starts[k]), int64(stops[k]))
    group_slices(text, pieces, number, room.groups.slots)
    every, repeated, chars, all_chars = definition in (DCLM, DOLMA), 0, 0, 0
    for k in range(number):
        repeated += like[k] != k or (every and times[k] > 1)
    for k in range(number if repeated else 0):
        size = count_chars(text, int64(starts[k]), int64(stops[k]))
        all_chars += size
        if like[k] != k or (every and times[k] > 1):
            chars += size
    column = _PARAGRAPHS if width == 2 else _LINES
    found[column] = repeated / number
    found[column + 1] = chars / (whole if whole > 0 else all_chars) if repeated else 0.0


@lean
def _ngrams(
    text: Bytes, definition: int, number: int, whole: int, room: _Room, found: Floats
) -> None:
    """Measures n-grams, from pairs of words up to the largest, over `whole` characters."""
    words, chars, groups = room.words.slices, room.words.chars, room.groups
    shorter, longer, seen = room.shorter, room.longer, room.words.slices.times
    group_slices(text, words, number, groups.slots)
    runs = repeated_slices(words, number, shorter)
    if definition == DATATROVE:
        # From here on it notes the size for which an n-gram has been met.
        seen[:number] = 0
    for size in range(2, _LARGEST + 1):
        column = _NGRAMS + size - 2
        if number < size:
            found[column] = _too_few(definition, number)
            continue
        candidates = group_runs(shorter, runs, groups)
        top = _most_frequent(shorter, candidates, groups, chars, size, definition)
        runs = repeated_runs(shorter, candidates, groups, longer)
        if size > _LARGEST_TOP:
            found[column] = _duplicate(definition, longer, runs, chars, size, seen) / whole
            if definition == DOLMA:
                found[column] *= whole / _all_chars(chars, number, size)
        elif definition == CURATOR:
            found[column] = _deleted(text, words, top[0], size, room) / whole
        else:
            found[column] = _top(definition, longer, runs, chars, size, top) / whole
        shorter, longer = longer, shorter


@lean_inlined
def _too_few(definition: int, number: int) -> float:
    """Returns what a text has whose words do not make an n-gram."""
    if definition == CURATOR:
        return 1.0
    return 0.0 if number and definition != DOLMA else np.nan


@lean_inlined
def _most_frequent(
    shorter: Runs, number: int, groups: Groups, chars: Ints, size: int, definition: int
) -> tuple[int, int]:
    """Returns where the most frequent n-gram stands first, and how often it stands there."""
    longest = definition in (PAPER, DCLM)
    places, begun, often = shorter.at, groups.begun, groups.times
    at, times, most = 0, 1, 0
    if size > _LARGEST_TOP:
        return at, times
    for c in range(number):
        if often[c] < max(times, 2):
            continue
        here = int64(places[begun[c]])
        length = int64(chars[here + size]) - int64(chars[here])
        if often[c] > times or (longest and length > most):
            at, times, most = here, int64(often[c]), length
    return at, times


@lean_inlined
def _top(
    definition: int, runs: Runs, number: int, chars: Ints, size: int, top: tuple[int, int]
) -> int:
    """Returns the characters of the most frequent n-gram; `top`: its first place, its times."""
    at, times = top
    if definition in (PAPER, DCLM) and times == 1:
        return 0
    length = int64(chars[at + size]) - int64(chars[at])
    if definition != PAPER:
        return (length + (size - 1) * (definition == DATATROVE)) * times
    (places, like), covered, end = runs, 0, 0
    for k in range(number):
        if like[k] == at:
            start = max(int64(places[k]), end)
            end = int64(places[k]) + size
            covered += int64(chars[end]) - int64(chars[start])
    return covered


@lean
def _deleted(text: Bytes, words: Slices, at: int, size: int, room: _Room) -> int:
    """Returns the characters that go when an n-gram, joined by one space, is cut out of a text."""
    # The words and a space between them are no longer than the text.
    pattern, border = room.pattern, room.pieces.starts
    starts, stops, length = words.starts, words.stops, 0
    for k in range(at, at + size):
        if length:
            pattern[length] = 0x20
            length += 1
        for place in range(starts[k], stops[k]):
            pattern[length] = text[place]
            length += 1
    # Knuth, Morris and Pratt: linear, whatever the text.
    _find_borders(pattern, length, border)
    long = times = 0
    for place in range(len(text)):
        while long and text[place] != pattern[long]:
            long = border[long]
        long += text[place] == pattern[long]
        if long == length:
            times += 1
            long = 0
    return times * count_chars(pattern, 0, length)


@lean
def _find_borders(pattern: Bytes, length: int, border: Ints) -> None:
    """Writes for each start of a pattern how much of its end is also its start."""
    border[0] = border[1] = long = 0
    for k in range(1, length):
        while long and pattern[k] != pattern[long]:
            long = border[long]
        long += pattern[k] == pattern[long]
        border[k + 1] = long


@lean_inlined
def _duplicate(definition: int, runs: Runs, number: int, chars: Ints, size: int, seen: Ints) -> int:
    """Returns the characters of duplicate n-grams."""
    (places, like), total, end = runs, 0, 0
    for k in range(number):
        at, first = int64(places[k]), int64(like[k])
        start, stop = at, at + size
        if definition == DATATROVE:
            if at < end:
                continue
            if seen[first] != size:
                seen[first] = size
                continue
        elif definition != DOLMA:
            if at == first and definition != DCLM:
                continue
            start = max(start, end)
        end = stop
        total += int64(chars[stop]) - int64(chars[start])
        if definition == CURATOR:
            total += min(stop - start, size - 1)
    return total


@lean_inlined
def _all_chars(chars: Ints, number: int, size: int) -> int:
    total = 0
    for k in range(number - size + 1):
        total += int64(chars[k + size]) - int64(chars[k])
    return total
