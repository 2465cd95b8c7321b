r"""The quality statistics of Gopher, from one walk over UTF-8 bytes: how text-like a text is.

Source: Rae et al. 2021, "Scaling Language Models: Methods, Analysis & Insights from Training
Gopher", arXiv 2112.11446, appendix A1.1. The paper gives rules in prose; other programs read them
differently, by up to a factor of two. Our meaning:

- A *word* is a run of characters between whitespace (`str.split`), punctuation included.
- The *hash signs* and the *ellipses* are counted apart ("either the hash symbol or the ellipsis"),
  by occurrence, wherever they stand. A run of `…`, or of three or more full stops, is one
  ellipsis, so a dotted leader counts once, where a count of "..." would count it many times.
- *Lines* end at U+000A; lines of whitespace alone do not count. A *bullet* is one of `BULLETS`, or
  `-` or `*` with whitespace or nothing after it: `-5`, `--all` and `**bold**` are no bullets.
- A *letter* is what `str.isalpha` says, in every script.
- *Stop words* are counted as distinct words of the list, not as occurrences. They are compared
  with the maximal runs of `\\w`, without regard to case: "The," and "(the)" are "the".

Ratios without a denominator (no words, no lines) are NaN.
"""

import re
from collections.abc import Collection
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean, lean_inlined
from curation.text.scan import blank_width, plain_end, short_bytes, trailing_zeros
from curation.text.stop_words import (
    ASCII_CLASSES,
    FNV_PRIME,
    LONGEST_SHORT,
    StopTable,
    find_stop,
    folded,
    key_for_list,
    read_char,
)
from curation.text.unicode import ALPHA, SPACE, WORD, char_class, decode

BULLETS = "·‣•\u2043⁌⁍∙■□▪▫▶▸►○●◆◇◘◙◦❖➢➤・"
"""Signs that start the item of a list; besides them `-` and `*` that stand alone."""

UNSPACED = ("zh", "yue", "wuu", "ja", "th", "lo", "km", "my", "bo")
"""Languages that are written without spaces between words (codes of lid.176)."""

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]


class Quality(NamedTuple):
    """The statistics of n texts, one array of n each."""

    words: Ints
    """int64[n], words."""
    mean_word_chars: Floats
    """float64[n], characters (code points) per word; NaN without words."""
    hash_ratio: Floats
    """float64[n], hash signs per word, 0 or more; NaN without words."""
    ellipsis_ratio: Floats
    """float64[n], ellipses per word, 0 or more; NaN without words."""
    bullet_lines: Floats
    """float64[n], share of lines that start with a bullet, 0 to 1; NaN without lines."""
    ellipsis_lines: Floats
    """float64[n], share of lines that end in an ellipsis, 0 to 1; NaN without lines."""
    alpha_words: Floats
    """float64[n], share of words with a letter, 0 to 1; NaN without words."""
    stop_words: Ints
    """int64[n], distinct stop words of the text's list, 0 to the length of the list."""
    letters: Ints
    """int64[n], letters, for scripts that do not part words."""


# Per byte: the bit of case, and what carries into the top bit from "a" on, and from "{" on.
_CASE_BITS, _HIGH_BITS = np.uint64(0x2020202020202020), np.uint64(0x8080808080808080)
_FROM_A, _FROM_BRACE = np.uint64(0x1F1F1F1F1F1F1F1F), np.uint64(0x0505050505050505)

# Columns of the matrix that the kernel fills.
_WORDS, _CHARS, _ALPHA_WORDS, _LETTERS, _HASHES, _ELLIPSES = range(6)
_LINES, _BULLET_LINES, _ELLIPSIS_LINES, _STOPS, _COLUMNS = range(6, 11)

_NEWLINE, _HASH, _STAR, _HYPHEN, _DOT, _ELLIPSIS = 0x0A, 0x23, 0x2A, 0x2D, 0x2E, 0x2026
_BULLET_CODES = np.array([ord(sign) for sign in BULLETS], np.int64)


def quality(offsets: Ints, data: Bytes, stops: StopTable, lists: Ints) -> Quality:
    """Measures every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8; a malformed part counts as U+FFFD, as `bytes.decode` replaces it.
        stops: The stop words of all lists.
        lists: int64[n], the number of each text's list in `stops`; -1 for no list (0 found).
    """
    counts = _count(offsets, data, stops, lists, np.zeros((len(offsets) - 1, _COLUMNS), np.int64))
    words, lines = counts[:, _WORDS], counts[:, _LINES]
    return Quality(
        words=words,
        mean_word_chars=_ratio(counts[:, _CHARS], words),
        hash_ratio=_ratio(counts[:, _HASHES], words),
        ellipsis_ratio=_ratio(counts[:, _ELLIPSES], words),
        bullet_lines=_ratio(counts[:, _BULLET_LINES], lines),
        ellipsis_lines=_ratio(counts[:, _ELLIPSIS_LINES], lines),
        alpha_words=_ratio(counts[:, _ALPHA_WORDS], words),
        stop_words=np.bitwise_count(counts[:, _STOPS]).astype(np.int64),
        letters=counts[:, _LETTERS],
    )


def quality_of_text(text: str, stop_words: Collection[str]) -> dict[str, float]:
    """Says in plain Python what `quality` means: the statistics of one text, by name.

    Examples:
        >>> quality_of_text("The cat and #dog...", ["the", "and"])["hash_ratio"]
        0.25
    """
    words = text.split()
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    bullet = re.compile(rf"[{BULLETS}]|[-*](?:\s|$)")
    tokens = {folded(token) for token in re.findall(r"\w+", text)}
    counts = {
        "mean_word_chars": (sum(map(len, words)), len(words)),
        "hash_ratio": (text.count("#"), len(words)),
        "ellipsis_ratio": (len(re.findall(r"…+|\.{3,}", text)), len(words)),
        "bullet_lines": (sum(bullet.match(line) is not None for line in lines), len(lines)),
        "ellipsis_lines": (sum(line.endswith(("...", "…")) for line in lines), len(lines)),
        "alpha_words": (sum(any(map(str.isalpha, word)) for word in words), len(words)),
    }
    return {
        "words": len(words),
        **{name: part / whole if whole else np.nan for name, (part, whole) in counts.items()},
        "stop_words": len(tokens & {folded(word) for word in stop_words}),
        "letters": sum(map(str.isalpha, text)),
    }


def _ratio(part: Ints, whole: Ints) -> Floats:
    ratio = np.full(len(part), np.nan)
    np.divide(part, whole, out=ratio, where=whole > 0)
    return ratio


class _Chosen(NamedTuple):
    """A text's list of stop words."""

    start: int
    """The key that its words start from."""
    short: int
    """Its entry in `StopTable.short`; 0 for no list."""


@lean
def _count(offsets: Ints, data: Bytes, stops: StopTable, lists: Ints, counts: Ints) -> Ints:
    for i in range(len(counts)):
        at, end, row = offsets[i], offsets[i + 1], counts[i]
        chosen = _Chosen(key_for_list(lists[i]), stops.short[lists[i]] if lists[i] >= 0 else 0)
        while at < end:
            at = _line(data, at, end, row, stops, chosen)
    return counts


@lean_inlined
def _line(data: Bytes, at: int, end: int, counts: Ints, stops: StopTable, chosen: _Chosen) -> int:
    """Counts one line; returns where the next one starts."""
    first = at = _skip_blank(data, at, end)
    if at >= end or data[at] == _NEWLINE:
        return at + 1
    counts[_LINES] += 1
    counts[_BULLET_LINES] += _is_bullet(data, at, end)
    last = at
    while at < end and data[at] != _NEWLINE:
        last = _word(data, at, end, counts, stops, chosen)
        at = _skip_blank(data, last, end)
    counts[_ELLIPSIS_LINES] += _is_ellipsis(data, first, last)
    return at + 1


@lean_inlined
def _skip_blank(data: Bytes, at: int, end: int) -> int:
    """Returns where the whitespace ends, or the line does."""
    while at < end and data[at] != _NEWLINE:
        width = blank_width(data, at, end)
        if width == 0:
            break
        at += width
    return at


@lean_inlined
def _word(data: Bytes, at: int, end: int, counts: Ints, stops: StopTable, chosen: _Chosen) -> int:
    """Counts one word; returns where it ends."""
    stop = plain_end(data, at, end)
    if stop - at <= LONGEST_SHORT and (stop == end or blank_width(data, stop, end)):
        letters = _plain_letters(data, at, stop)
        if letters:
            counts[_STOPS] |= _find_short(data, at, letters, stops, chosen)
            counts[_WORDS] += 1
            counts[_CHARS] += stop - at
            counts[_LETTERS] += letters
            counts[_ALPHA_WORDS] += 1
            return stop
    start, key = at, chosen.start
    chars = letters = 0
    while at < end:
        code, lower, bits, after = read_char(data, at, end)
        if bits & SPACE:
            break
        chars += 1
        letters += (bits & ALPHA) > 0
        if bits & WORD:
            key = (key ^ lower) * FNV_PRIME
        else:
            counts[_STOPS] |= find_stop(stops, key)
            key = chosen.start
            _count_symbol(data, start, at, code, counts)
        at = after
    counts[_STOPS] |= find_stop(stops, key)
    counts[_WORDS] += 1
    counts[_CHARS] += chars
    counts[_LETTERS] += letters
    counts[_ALPHA_WORDS] += letters > 0
    return at


@lean_inlined
def _plain_letters(data: Bytes, start: int, stop: int) -> int:
    """Returns how many ASCII letters a short word has, where it has little else; 0 where it has.

    That is: at most one sign after them, which is neither counted nor part of a token.
    """
    eight = short_bytes(data, start, stop)
    lower = eight | _CASE_BITS
    others = ~((lower + _FROM_A) & ~(lower + _FROM_BRACE)) & _HIGH_BITS
    letters, size = int64(trailing_zeros(others) >> np.uint64(3)), stop - start
    if letters == size:
        return letters
    last = int64(data[stop - 1])
    if letters < size - 1 or last == _HASH or int64(ASCII_CLASSES[last]) & WORD:
        return 0
    return letters


@lean_inlined
def _find_short(data: Bytes, start: int, size: int, stops: StopTable, chosen: _Chosen) -> int:
    """Returns the bit of a stop word of a few ASCII letters, 0 for any other."""
    if not (chosen.short >> (int64(data[start]) & 31)) & (chosen.short >> (32 + size)) & 1:
        return 0
    key = chosen.start
    for k in range(size):
        key = (key ^ int64(data[start + k] | 0x20)) * FNV_PRIME
    return find_stop(stops, key)


@lean_inlined
def _count_symbol(data: Bytes, start: int, at: int, code: int, counts: Ints) -> None:
    """Counts a hash sign, and an ellipsis at its third full stop or its first `…`."""
    if code == _HASH:
        counts[_HASHES] += 1
    elif code == _DOT:
        third = at >= start + 2 and data[at - 1] == _DOT and data[at - 2] == _DOT
        fourth = at >= start + 3 and data[at - 3] == _DOT
        counts[_ELLIPSES] += third and not fourth
    elif code == _ELLIPSIS:
        counts[_ELLIPSES] += not _is_horizontal_ellipsis(data, start, at)


@lean_inlined
def _is_horizontal_ellipsis(data: Bytes, start: int, end: int) -> bool:
    at = end - 3
    return at >= start and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0xA6


@lean_inlined
def _is_ellipsis(data: Bytes, start: int, end: int) -> bool:
    at = end - 3
    dots = at >= start and data[at] == _DOT and data[at + 1] == _DOT and data[at + 2] == _DOT
    return dots or _is_horizontal_ellipsis(data, start, end)


@lean_inlined
def _is_bullet(data: Bytes, at: int, end: int) -> bool:
    code, after = decode(data, at, end)
    if code in (_HYPHEN, _STAR):
        return after >= end or (char_class(decode(data, after, end)[0]) & SPACE) > 0
    if code < 0x80:
        return False
    for bullet in _BULLET_CODES:  # noqa: SIM110 - numba has no any()
        if code == bullet:
            return True
    return False
