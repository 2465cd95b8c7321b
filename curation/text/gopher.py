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

from curation.text.jit import inlined, int64, kernel
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
    counts = _count(offsets, data, stops, lists)
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
    table = StopTable(np.zeros(size, np.int64), np.zeros(size, np.int64))
    for number, words in enumerate(lists):
        check_stop_words(words)
        spelled = set(words) if exact else {folded(word) for word in words}
        for bit, word in enumerate(sorted(spelled)):
            key = _word_key(np.frombuffer(word.encode(), np.uint8), number, exact)
            _insert(table, key, 1 << bit)
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


@kernel
def _count(offsets: Ints, data: Bytes, stops: StopTable, lists: Ints) -> Ints:
    n = len(offsets) - 1
    counts = np.zeros((n, _COLUMNS), np.int64)
    for i in range(n):
        at, end = offsets[i], offsets[i + 1]
        start_key = key_for_list(lists[i])
        while at < end:
            at = _line(data, at, end, counts[i], stops, start_key)
    return counts


@inlined
def _line(data: Bytes, at: int, end: int, counts: Ints, stops: StopTable, start_key: int) -> int:
    """Counts one line; returns where the next one starts."""
    first = at = _skip_blank(data, at, end)
    if at >= end or data[at] == _NEWLINE:
        return at + 1
    counts[_LINES] += 1
    counts[_BULLET_LINES] += _is_bullet(data, at, end)
    last = at
    while at < end and data[at] != _NEWLINE:
        last = _word(data, at, end, counts, stops, start_key)
        at = _skip_blank(data, last, end)
    counts[_ELLIPSIS_LINES] += _is_ellipsis(data, first, last)
    return at + 1


@inlined
def _skip_blank(data: Bytes, at: int, end: int) -> int:
    """Returns where the whitespace ends, or the line does."""
    while at < end and data[at] != _NEWLINE:
        code, after = decode(data, at, end)
        if not char_class(code) & SPACE:
            break
        at = after
    return at


@inlined
def _word(data: Bytes, at: int, end: int, counts: Ints, stops: StopTable, start_key: int) -> int:
    """Counts one word; returns where it ends."""
    start, key = at, start_key
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
            key = start_key
            _count_symbol(data, start, at, code, counts)
        at = after
    counts[_STOPS] |= find_stop(stops, key)
    counts[_WORDS] += 1
    counts[_CHARS] += chars
    counts[_LETTERS] += letters
    counts[_ALPHA_WORDS] += letters > 0
    return at


@inlined
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


@inlined
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


@inlined
def _is_horizontal_ellipsis(data: Bytes, start: int, end: int) -> bool:
    at = end - 3
    return at >= start and data[at] == 0xE2 and data[at + 1] == 0x80 and data[at + 2] == 0xA6


@inlined
def _is_ellipsis(data: Bytes, start: int, end: int) -> bool:
    at = end - 3
    dots = at >= start and data[at] == _DOT and data[at + 1] == _DOT and data[at + 2] == _DOT
    return dots or _is_horizontal_ellipsis(data, start, end)


@inlined
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


@inlined
def key_for_list(number: int) -> int:
    """Returns the key of a word of no characters, for the list of a number."""
    return (_FNV_OFFSET + number) * FNV_PRIME


@inlined
def _slot(key: int, size: int) -> int:
    return (key ^ (key >> 29)) & (size - 1)


@inlined
def find_stop(stops: StopTable, key: int) -> int:
    """Returns the bit of a stop word, 0 for any other word."""
    size = len(stops.keys)
    slot = _slot(key, size)
    while stops.bits[slot]:
        if stops.keys[slot] == key:
            return int64(stops.bits[slot])
        slot = (slot + 1) & (size - 1)
    return 0


@kernel
def _word_key(data: Bytes, number: int, exact: bool) -> int:  # noqa: FBT001
    key, at = key_for_list(number), 0
    while at < len(data):
        code, lower, _, at = read_char(data, at, len(data))
        key = (key ^ (code if exact else lower)) * FNV_PRIME
    return key
