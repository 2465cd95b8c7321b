r"""Gopher's quality statistics as four other programs read the paper.

`curation.text.gopher` has our reading and the source. Here, by program:

datatrove 0.10
    Words are those of `PUNCTUATED`; of them, only those with a sign that is no punctuation are
    counted and have a mean length, but all are the whole of the other ratios. `#`, and `...` or
    `…`, by occurrence. Lines by `str.splitlines`, blank ones too; bullets `•`, `-`. Stop words:
    different ones, case counts. Differs: of the marks that end sentences in rare scripts, which
    datatrove calls punctuation, the common ones only.
DCLM, its RefinedWeb filters
    Words between whitespace; those that start with a letter or digit are counted. `#`, `...`,
    `. . .` and `…` together, by occurrence. Trimmed lines, none blank; bullets `●`, `•`, `*`, `-`.
    Stop words: every occurrence, whole words, without regard to case.
dolma 1.2 (gopher_v2)
    The median length of words. Words with `#` or `…`. Lines cut at runs of line feeds, not
    trimmed; bullets `*`, `-`; only `…` is an ellipsis. Stop words: every occurrence, case counts.
NeMo Curator 1.4
    Words that are `#`, or one of its marks of ellipsis. Trimmed lines, none blank; twelve bullets,
    neither `-` nor `*`; "read more" ends a line like an ellipsis. Stop words: every occurrence,
    case counts (Curator stops counting when it has enough). Differs: a letter is what
    `str.isalpha` says.

Ratios without a denominator are NaN.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.definitions import CURATOR, DATATROVE, DCLM, DEFINITIONS, DOLMA
from curation.text.groups import Slices, make_slices
from curation.text.jit import int64, kernel, lean, lean_inlined
from curation.text.pieces import after_blank, before_blank, cut_pieces
from curation.text.stop_words import FNV_PRIME, StopTable, find_stop, key_for_list, read_char
from curation.text.unicode import ALPHA, WORD
from curation.text.words import (
    PUNCTUATED,
    WHITESPACE,
    Words,
    find_words,
    flag_table,
    make_words,
)

PUNCTUATION = (
    "!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~—”％１〈（、━【「」，】；“《„’´∶．？！：～«〉》）。…»►"  # noqa: RUF001
    "۔؟।॥｡"  # noqa: RUF001
)
"""What datatrove calls punctuation, besides control characters."""

BULLETS = ("", "•-", "●•*-", "*-", "•‣⁃⁌⁍∙○●◘◦⦾⦿")  # noqa: RUF001
"""What starts a line of a list, by definition."""

ENDINGS = ((), ("...", "…"), ("...", ". . .", "…"), ("…",),
           ("...", "[...]", "…", "(...)", "[…]", "-»", "read more..", "read more"))  # fmt: skip
"""What ends a line like an ellipsis, by definition."""

SYMBOLS = ((), ("...", "…"), ("#", "...", ". . .", "…"), ("#", "…"), ("#", *ENDINGS[CURATOR][:6]))
"""What is counted as a symbol, by definition; Curator's are whole words."""

Offsets = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

_WORDS, _CHARS, _PLAIN, _ALL, _ALPHA, _HASHES, _SYMBOLS, _STOPS = range(8)
_LINES, _BULLET_LINES, _ELLIPSIS_LINES, _COLUMNS = range(8, 12)


class RivalQuality(NamedTuple):
    """The statistics of n texts, one array of n each."""

    words: Offsets
    """int64[n], words that count."""
    word_chars: Floats
    """float64[n], mean, or for dolma median, length of those words; NaN without words."""
    hash_ratio: Floats
    """float64[n], hash signs per word; datatrove only, else NaN."""
    symbol_ratio: Floats
    """float64[n], for datatrove ellipses per word, else hash signs and ellipses per word."""
    bullet_lines: Floats
    """float64[n], share of lines that start with a bullet, 0 to 1."""
    ellipsis_lines: Floats
    """float64[n], share of lines that end in an ellipsis, 0 to 1."""
    alpha_words: Floats
    """float64[n], share of words with a letter, 0 to 1."""
    stop_words: Offsets
    """int64[n], stop words of the text's list."""


def rival_quality(
    offsets: Offsets, data: Bytes, definition: str, stops: StopTable, lists: Offsets
) -> RivalQuality:
    """Measures every text of an Arrow string column as another program does.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`, shorter than
            2^31 bytes.
        data: uint8, UTF-8.
        definition: One of `DEFINITIONS` but "paper".
        stops: The stop words of all lists, made with `exact` for all definitions but "dclm".
        lists: int64[n], the number of each text's list in `stops`; -1 for no list (0 found).
    """
    number = DEFINITIONS.index(definition)
    table = flag_table() if number == DATATROVE else np.empty(0, np.uint32)
    patterns = _Patterns(
        np.array([ord(sign) for sign in BULLETS[number]], np.int64),
        *_packed(ENDINGS[number]),
        *_packed(SYMBOLS[number]),
    )
    splitter = PUNCTUATED if number == DATATROVE else WHITESPACE
    room = _make_room(int(np.diff(offsets).max(initial=0)), splitter, table)
    counts = np.zeros((len(offsets) - 1, _COLUMNS))
    _count(_Texts(offsets, data), number, room, _Stops(stops, lists), patterns, counts)
    words, every, lines = counts[:, _WORDS], counts[:, _ALL], counts[:, _LINES]
    return RivalQuality(
        words=words.astype(np.int64),
        word_chars=_ratio(counts[:, _CHARS], counts[:, _PLAIN]),
        hash_ratio=_ratio(counts[:, _HASHES], every if number == DATATROVE else 0 * every),
        symbol_ratio=_ratio(counts[:, _SYMBOLS], every),
        bullet_lines=_ratio(counts[:, _BULLET_LINES], lines),
        ellipsis_lines=_ratio(counts[:, _ELLIPSIS_LINES], lines),
        alpha_words=_ratio(counts[:, _ALPHA], every),
        stop_words=counts[:, _STOPS].astype(np.int64),
    )


def _ratio(part: Floats, whole: Floats) -> Floats:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


def _packed(patterns: tuple[str, ...]) -> tuple[Bytes, Offsets]:
    raw = [pattern.encode() for pattern in patterns]
    return np.frombuffer(b"".join(raw), np.uint8), np.cumsum([0, *map(len, raw)]).astype(np.int64)


class _Patterns(NamedTuple):
    """What a definition looks for: code points, and byte strings end to end."""

    bullets: Offsets
    endings: Bytes
    ending_bounds: Offsets
    symbols: Bytes
    symbol_bounds: Offsets


class _Stops(NamedTuple):
    """A stop word table, and the list of each text."""

    table: StopTable
    lists: Offsets


class _List(NamedTuple):
    """A stop word table, and the key that the words of one list start from."""

    table: StopTable
    start: int


_HASH, _ELLIPSIS, _UNDERSCORE = 0x23, 0x2026, 0x5F
_PUNCTUATION = np.array(sorted({ord(sign) for sign in PUNCTUATION}), np.int64)


class _Texts(NamedTuple):
    """The texts: an Arrow string column."""

    offsets: Offsets
    data: Bytes


class _Room(NamedTuple):
    """What the measurement of one text after another writes over."""

    words: Words
    pieces: Slices


@kernel
def _make_room(longest: int, splitter: int, table: npt.NDArray[np.uint32]) -> _Room:
    return _Room(make_words(longest, splitter, table), make_slices(longest))


@lean
def _count(
    texts: _Texts,
    definition: int,
    room: _Room,
    stops: _Stops,
    patterns: _Patterns,
    counts: Floats,
) -> None:
    offsets = texts.offsets
    for i in range(len(counts)):
        text = texts.data[offsets[i] : offsets[i + 1]]
        chosen = _List(stops.table, key_for_list(stops.lists[i]))
        _count_words(text, definition, room.words, chosen, patterns, counts[i])
        _count_lines(text, definition, room.pieces, patterns, counts[i])
        if definition in (DATATROVE, DCLM):
            counts[i, _HASHES] = _occurrences(text, _HASH_SIGN, 0, 1)
            bounds = patterns.symbol_bounds
            for k in range(len(bounds) - 1):
                found = _occurrences(text, patterns.symbols, bounds[k], bounds[k + 1])
                counts[i, _SYMBOLS] += found


_HASH_SIGN = np.frombuffer(b"#", np.uint8)


@lean
def _occurrences(text: Bytes, pattern: Bytes, begin: int, end: int) -> int:
    """Returns what `str.count` does, for a short pattern."""
    found = at = 0
    while at <= len(text) - (end - begin):
        if _stands(text, at, pattern, begin, end):
            found += 1
            at += end - begin
        else:
            at += 1
    return found


@lean_inlined
def _stands(text: Bytes, at: int, pattern: Bytes, begin: int, end: int) -> bool:
    """Says whether a pattern stands at a position, capitals read as small letters."""
    for k in range(end - begin):
        byte = text[at + k]
        if byte != pattern[begin + k] and not (
            65 <= byte <= 90 and byte + 32 == pattern[begin + k]
        ):
            return False
    return True


@lean
def _count_words(
    text: Bytes,
    definition: int,
    words: Words,
    stops: _List,
    patterns: _Patterns,
    counts: Floats,
) -> None:
    """Counts what is said of words."""
    number, _ = find_words(text, PUNCTUATED if definition == DATATROVE else WHITESPACE, words)
    (starts, ends, _, _, _), chars, met = words.slices, words.chars, 0
    for k in range(number):
        at, end, key = int64(starts[k]), int64(ends[k]), stops.start
        letters, plain, symbols, opens = 0, definition != DATATROVE, 0, 0
        while at < end:
            code, lower, flags, after = read_char(text, at, end)
            opens |= (flags & WORD) * (at == starts[k] and code != _UNDERSCORE)
            letters |= flags & ALPHA
            symbols |= code in (_HASH, _ELLIPSIS)
            plain |= not _is_punctuation(code)
            key = (key ^ (lower if definition == DCLM else code)) * FNV_PRIME
            at = after
        if definition == CURATOR:
            symbols = _is_symbol(text, int64(starts[k]), end, patterns)
        found = find_stop(stops.table, key)
        counts[_STOPS] += found != 0 and (definition != DATATROVE or met & found == 0)
        met |= found
        counts[_WORDS] += opens > 0 if definition == DCLM else plain
        counts[_PLAIN] += plain
        counts[_CHARS] += (int64(chars[k + 1]) - int64(chars[k])) * plain
        counts[_ALPHA] += letters > 0
        counts[_SYMBOLS] += symbols * (definition in (DOLMA, CURATOR))
    counts[_ALL] = number
    if definition == DOLMA and number:
        counts[_PLAIN], counts[_CHARS] = 2, _middle(chars, number, 0) + _middle(chars, number, 1)


@lean_inlined
def _is_punctuation(code: int) -> bool:
    if code < 0x20 or 0x7F <= code < 0xA0:
        return code != 0x0A
    at = np.searchsorted(_PUNCTUATION, code)
    return bool(at < len(_PUNCTUATION) and _PUNCTUATION[at] == code)


@lean_inlined
def _is_symbol(text: Bytes, start: int, stop: int, patterns: _Patterns) -> int:
    """Returns 1 where a word is one of the symbols, else 0."""
    symbols, bounds = patterns.symbols, patterns.symbol_bounds
    for k in range(len(bounds) - 1):
        same_size = bounds[k + 1] - bounds[k] == stop - start
        if same_size and _stands(text, start, symbols, bounds[k], bounds[k + 1]):
            return 1
    return 0


@lean
def _middle(chars: npt.NDArray[np.int32], number: int, upper: int) -> int:
    """Returns the length in the middle of all word lengths; of two, the lower or the upper one."""
    rank = (number - 1 + upper) // 2
    low, high = 1, int64(chars[number])
    while low < high:
        guess, below = (low + high) // 2, 0
        for k in range(number):
            below += int64(chars[k + 1]) - int64(chars[k]) <= guess
        if below > rank:
            high = guess
        else:
            low = guess + 1
    return low


@lean
def _count_lines(
    text: Bytes, definition: int, pieces: Slices, patterns: _Patterns, counts: Floats
) -> None:
    """Counts what is said of lines."""
    if definition == DATATROVE:
        number = _split_lines(text, pieces)
    else:
        # Trimmed lines are DCLM's; what Curator calls a line is trimmed before it is looked at.
        read = DCLM if definition == CURATOR else definition
        number = cut_pieces(text, read, 1, pieces) if len(text) else 0
    counts[_LINES] = number
    bullets, endings, bounds = patterns.bullets, patterns.endings, patterns.ending_bounds
    for k in range(number):
        start, stop = int64(pieces.starts[k]), int64(pieces.stops[k])
        if start < stop:
            code = read_char(text, start, stop)[0]
            for bullet in bullets:
                counts[_BULLET_LINES] += bullet == code
        for ending in range(len(bounds) - 1):
            at = stop - (bounds[ending + 1] - bounds[ending])
            if at >= start and _stands(text, at, endings, bounds[ending], bounds[ending + 1]):
                counts[_ELLIPSIS_LINES] += 1
                break


@lean
def _split_lines(text: Bytes, pieces: Slices) -> int:
    """Cuts where `str.splitlines` does, and trims; returns how many lines there are."""
    starts, stops, number, begin, at = pieces.starts, pieces.stops, 0, 0, 0
    while begin < len(text):
        width = 0
        while at < len(text):
            width = _break_width(text, at)
            if width:
                break
            at += 1
        starts[number] = after_blank(text, begin, at)
        stops[number] = before_blank(text, int64(starts[number]), at)
        number += 1
        at += width
        begin = at
    return number


@lean_inlined
def _break_width(text: Bytes, at: int) -> int:
    """Returns the bytes of the line boundary at a position; 0 where there is none."""
    byte, left = text[at], len(text) - at
    if byte == 0x0D and left > 1 and text[at + 1] == 0x0A:
        return 2
    if 0x0A <= byte <= 0x0D or 0x1C <= byte <= 0x1E:
        return 1
    if byte == 0xC2 and left > 1 and text[at + 1] == 0x85:
        return 2
    if byte != 0xE2 or left < 3 or text[at + 1] != 0x80:
        return 0
    return 3 * int64(text[at + 2] == 0xA8 or text[at + 2] == 0xA9)
