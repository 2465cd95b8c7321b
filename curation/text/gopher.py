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
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean, lean_inlined
from curation.text.scan import blank_width, plain_end, short_bytes, trailing_zeros
from curation.text.unicode import (
    ALPHA,
    FINAL_SIGMA,
    SPACE,
    UPPER,
    WORD,
    char_class,
    decode,
    lower_char,
)
from curation.text.unicode_tables import load_tables

BULLETS = "·‣•\u2043⁌⁍∙■□▪▫▶▸►○●◆◇◘◙◦❖➢➤・"
"""Signs that start the item of a list; besides them `-` and `*` that stand alone."""

UNSPACED = ("zh", "yue", "wuu", "ja", "th", "lo", "km", "my", "bo")
"""Languages that are written without spaces between words (codes of lid.176)."""

STOP_WORDS_PER_LIST = 63
"""A list fits the bits of one (signed) number."""

LONGEST_SHORT = 8
"""Words of so many bytes are looked at in one piece."""

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


class StopTable(NamedTuple):
    """Lists of stop words as one hash table with open addressing; made by `stop_table`."""

    keys: Ints
    """int64[2**k], the key of the word in each slot."""
    bits: Ints
    """int64[2**k], the bit of the word in its list; 0 marks a free slot."""
    short: Ints
    """int64[lists], of words of up to eight ASCII letters: bits of their first letters, and from
    bit 32 on of their lengths. One number tells most words that they are none."""


# Per byte: the bit of case, and what carries into the top bit from "a" on, and from "{" on.
_CASE_BITS, _HIGH_BITS = np.uint64(0x2020202020202020), np.uint64(0x8080808080808080)
_FROM_A, _FROM_BRACE = np.uint64(0x1F1F1F1F1F1F1F1F), np.uint64(0x0505050505050505)

# Columns of the matrix that the kernel fills.
_WORDS, _CHARS, _ALPHA_WORDS, _LETTERS, _HASHES, _ELLIPSES = range(6)
_LINES, _BULLET_LINES, _ELLIPSIS_LINES, _STOPS, _COLUMNS = range(6, 11)

_NEWLINE, _HASH, _STAR, _HYPHEN, _DOT, _ELLIPSIS = 0x0A, 0x23, 0x2A, 0x2D, 0x2E, 0x2026
_SMALL_SIGMA = 0x3C3
_BULLET_CODES = np.array([ord(sign) for sign in BULLETS], np.int64)

# Most text is ASCII: one look-up instead of two levels of tables.
_TABLES = load_tables()
_ASCII_CLASSES = _TABLES.classes[_TABLES.pages[int(_TABLES.page_of[0]) * 128 + np.arange(128)]]

# FNV-1a with 64 bits, over lower-case code points; the arithmetic wraps around.
_FNV_OFFSET, FNV_PRIME = -3750763034362895579, 1099511628211


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


def folded(token: str) -> str:
    """Returns a word without regard to case, as stop words are compared."""
    # Character by character, so that a sigma is the same at the end of a word as inside it.
    return "".join(char.lower()[0] for char in token).replace(chr(FINAL_SIGMA), chr(_SMALL_SIGMA))


def check_stop_words(words: Collection[str]) -> None:
    """Refuses a list of stop words that `stop_table` cannot hold; needs no compiled code.

    Raises:
        ValueError: The list is too long, or a word in it could never be found in a text.
    """
    for word in words:
        if not re.fullmatch(r"\w+", word):
            raise ValueError(
                f"stop word '{word}' can never be found: texts are searched by runs of letters, "
                "digits and underscores; expected one such run; give each part as a word"
            )
    if len(words) > STOP_WORDS_PER_LIST:
        raise ValueError(
            f"list of stop words has {len(words)} words; expected at most {STOP_WORDS_PER_LIST}; "
            "keep the commonest"
        )


def stop_table(lists: Sequence[Collection[str]], *, exact: bool = False) -> StopTable:
    """Builds the table for `quality`; `lists[k]` is the list of number k.

    With `exact`, case counts: "The" is another word than "the".

    Raises:
        ValueError: From `check_stop_words`.
    """
    size = 1 << (4 * sum(map(len, lists)) + 15).bit_length()
    short = np.zeros(len(lists), np.int64)
    table = StopTable(np.zeros(size, np.int64), np.zeros(size, np.int64), short)
    for number, words in enumerate(lists):
        check_stop_words(words)
        spelled = set(words) if exact else {folded(word) for word in words}
        for bit, word in enumerate(sorted(spelled)):
            key = _word_key(np.frombuffer(word.encode(), np.uint8), number, exact)
            _insert(table, key, 1 << bit)
            if len(word) <= LONGEST_SHORT and word.isascii():
                short[number] |= 1 << (ord(word[0]) & 31) | 1 << (32 + len(word))
    return table


def _insert(table: StopTable, key: int, bit: int) -> None:
    slot = _slot(key, len(table.keys))
    while table.bits[slot]:
        slot = (slot + 1) & (len(table.keys) - 1)
    table.keys[slot], table.bits[slot] = key, bit


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
    if letters < size - 1 or last == _HASH or int64(_ASCII_CLASSES[last]) & WORD:
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
def read_char(data: Bytes, at: int, end: int) -> tuple[int, int, int, int]:
    """Returns a code point, its folded lower case, its class bits, and where the next one is."""
    code = int64(data[at])
    if code < 0x80:
        bits = int64(_ASCII_CLASSES[code])
        return code, code + (bits & UPPER) * 32 // UPPER, bits, at + 1
    code, after = decode(data, at, end)
    lower = lower_char(code)
    if lower == FINAL_SIGMA:
        lower = _SMALL_SIGMA
    return code, lower, char_class(code), after


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


@lean_inlined
def key_for_list(number: int) -> int:
    """Returns the key of a word of no characters, for the list of a number."""
    return (_FNV_OFFSET + number) * FNV_PRIME


@lean_inlined
def _slot(key: int, size: int) -> int:
    return (key ^ (key >> 29)) & (size - 1)


@lean_inlined
def find_stop(stops: StopTable, key: int) -> int:
    """Returns the bit of a stop word, 0 for any other word."""
    size = len(stops.keys)
    slot = _slot(key, size)
    while stops.bits[slot]:
        if stops.keys[slot] == key:
            return int64(stops.bits[slot])
        slot = (slot + 1) & (size - 1)
    return 0


@lean
def _word_key(data: Bytes, number: int, exact: bool) -> int:  # noqa: FBT001
    key, at = key_for_list(number), 0
    while at < len(data):
        code, lower, _, at = read_char(data, at, len(data))
        key = (key ^ (code if exact else lower)) * FNV_PRIME
    return key
