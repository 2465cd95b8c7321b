r"""Scores of fastText classifiers without fastText: one look-up and one addition a feature.

A fastText classifier takes the mean of the vectors of a text's features (words, n-grams of words,
n-grams of characters) and multiplies it with one vector a label. Both steps are linear, so the
product with the labels can be made once for every feature: what is left of a vector of 100 numbers
is one number a label (for two labels even their difference), which stays in the processor's cache.

The features are those of fastText, bit by bit. Tokens are parted by the seven white space
characters of ASCII that fastText knows; a text ends with the token `</s>`. Two kinds of token in a
text mean something to fastText and are left out: `</s>`, where it would stop to read, and what
starts with `__label__`, which it does not count either.

`word_lines` is the normal form of texts in the mode "words": in lower case (character by character:
sigma is never final), runs of `\w` and every other character that is no space as a token of its
own, with one space after each token.

Source: Joulin et al. 2016, "Bag of tricks for efficient text classification", arXiv 1607.01759;
hashing as in the file format's version 12.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel
from curation.text.unicode import SPACE, WORD, char_class, decode, encode, lower_char

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Bytes = npt.NDArray[np.uint8]

LABEL_PREFIX = b"__label__"
END = b"</s>"

_WHITE = b" \n\r\t\v\f\0"
_IS_WHITE = np.isin(np.arange(256), list(_WHITE))
_PREFIX_BYTES = np.frombuffer(LABEL_PREFIX, np.uint8)
_END_BYTES = np.frombuffer(END, np.uint8)
_NO_BYTES = np.empty(0, np.uint8)

_OFFSET, _PRIME, _LOW = np.uint64(2166136261), np.uint64(16777619), np.uint64(0xFFFFFFFF)
_STEP = np.uint64(116049371)
_SIGN, _EXTENSION = np.uint64(0x80000000), np.uint64(0xFFFFFFFF00000000)
_BEGIN_OF_WORD, _END_OF_WORD = 0x3C, 0x3E
_BLANK = 0x20
_BLOCK = 1024


class Shape(NamedTuple):
    """The numbers that say which features a model has."""

    ngrams: int
    """Longest n-gram of words, 1 or more."""
    min_chars: int
    """Shortest n-gram of characters."""
    max_chars: int
    """Longest n-gram of characters; 0: there are none."""
    buckets: int
    """Hashed features; 0: there are none."""
    words: int
    """Words, whose weights come before those of hashed features."""
    end: int
    """Number of the word `</s>`; -1 where the model does not have it."""


class Linear(NamedTuple):
    """A classifier as the kernel reads it."""

    text: Bytes
    """uint8: the words, one after another."""
    offsets: Ints
    """int64[words + 1]: where each word starts."""
    slots: npt.NDArray[np.int32]
    """int32[2**k]: numbers of words by hash, with linear probing; -1 is free."""
    places: npt.NDArray[np.int32]
    """int32[buckets]: where the weights of a hashed feature are, -1: it was cut off; of length 0
    where each has its own."""
    weights: npt.NDArray[np.float32]
    """float32[rows, labels]: words first, then hashed features."""
    shape: Shape


@inlined
def _extend(hashed: np.uint64, byte: int) -> np.uint64:
    """Continues a hash (FNV-1a, 32 bits) by a byte; fastText takes bytes as signed."""
    wide = np.uint64(byte)
    if byte >= 0x80:
        wide |= np.uint64(0xFFFFFF00)
    return np.uint64(((hashed ^ wide) * _PRIME) & _LOW)


@inlined
def _hash(data: Bytes, start: int, end: int) -> np.uint64:
    hashed = _OFFSET
    for at in range(start, end):
        hashed = _extend(hashed, int64(data[at]))
    return hashed


@inlined
def _starts_with(data: Bytes, start: int, end: int, prefix: Bytes) -> bool:
    if end - start < len(prefix):
        return False
    for k in range(len(prefix)):  # noqa: SIM110 - numba
        if data[start + k] != prefix[k]:
            return False
    return True


@inlined
def _is_word(model: Linear, word: int, data: Bytes, start: int, size: int) -> bool:
    # No slice of the words: making one counts references, which takes longer than comparing.
    begin = model.offsets[word]
    if model.offsets[word + 1] - begin != size:
        return False
    at = 0
    while at < size and model.text[begin + at] == data[start + at]:
        at += 1
    return at == size


@inlined
def _hashed_row(model: Linear, hashed: np.uint64) -> int:
    """Returns where the weights of a hashed feature are, or -1."""
    bucket = int64(hashed % np.uint64(model.shape.buckets))
    if len(model.places):
        bucket = int64(model.places[bucket])
    return model.shape.words + bucket if bucket >= 0 else -1


@inlined
def _framed(data: Bytes, start: int, end: int, at: int) -> int:
    """Returns byte `at` of a word between the signs that fastText puts around it."""
    if at == 0:
        return _BEGIN_OF_WORD
    return _END_OF_WORD if at > end - start else int64(data[start + at - 1])


@inlined
def _add_chars(model: Linear, data: Bytes, start: int, end: int, sums: Floats) -> int:
    """Adds the n-grams of characters of a word; returns how many there are."""
    count, size = 0, end - start + 2
    for first in range(size):
        if _framed(data, start, end, first) & 0xC0 == 0x80:
            continue
        hashed, at, n = _OFFSET, first, 1
        while at < size and n <= model.shape.max_chars:
            hashed = _extend(hashed, _framed(data, start, end, at))
            at += 1
            while at < size and _framed(data, start, end, at) & 0xC0 == 0x80:
                hashed = _extend(hashed, _framed(data, start, end, at))
                at += 1
            if n >= model.shape.min_chars and not (n == 1 and (first == 0 or at == size)):
                row = _hashed_row(model, hashed)
                if row >= 0:
                    count += 1
                    for label in range(len(sums)):
                        sums[label] += model.weights[row, label]
            n += 1
    return count


class _Block(NamedTuple):
    """Up to `_BLOCK` tokens of a text, and the rows of their features.

    A feature is a cache miss or three. Looked up one token after another, each waits for the
    hashing of the next; in loops that do nothing else, many are under way at once.
    """

    starts: Ints
    ends: Ints
    hashes: npt.NDArray[np.uint64]
    slots: Ints
    rows: Ints
    running: npt.NDArray[np.uint64]
    """uint64[n]: the n-grams of 1, 2 ... tokens that end with the last token."""


@inlined
def _read_tokens(data: Bytes, at: int, stop: int, block: _Block) -> tuple[int, int]:
    """Fills a block with the next tokens; returns how many, and where the text goes on."""
    count = 0
    while at < stop and count < _BLOCK:
        if _IS_WHITE[data[at]]:
            at += 1
            continue
        start, hashed = at, _OFFSET
        while at < stop and not _IS_WHITE[data[at]]:
            hashed = _extend(hashed, int64(data[at]))
            at += 1
        size = at - start
        if size == len(_END_BYTES) and _starts_with(data, start, at, _END_BYTES):
            continue
        if _starts_with(data, start, at, _PREFIX_BYTES):
            continue
        block.starts[count], block.ends[count], block.hashes[count] = start, at, hashed
        count += 1
    return count, at


@inlined
def _word_rows(model: Linear, data: Bytes, count: int, block: _Block) -> int:
    """Writes the rows of the words of a block; returns how many there are."""
    mask = np.uint64(len(model.slots) - 1)
    for k in range(count):
        block.slots[k] = model.slots[block.hashes[k] & mask]
    found = 0
    for k in range(count):
        word, slot = block.slots[k], block.hashes[k] & mask
        start, size = block.starts[k], block.ends[k] - block.starts[k]
        while word >= 0 and not _is_word(model, word, data, start, size):
            slot = (slot + np.uint64(1)) & mask
            word = int64(model.slots[slot])
        if word >= 0:
            block.rows[found] = word
            found += 1
    return found


@inlined
def _ngram_rows(model: Linear, hashed: np.uint64, seen: int, found: int, block: _Block) -> int:
    """Writes the rows of the n-grams that end with a token; returns how many rows there are."""
    wide = hashed | _EXTENSION if hashed & _SIGN else hashed
    for n in range(min(model.shape.ngrams - 1, seen), 0, -1):
        block.running[n] = block.running[n - 1] * _STEP + wide
        if model.shape.buckets > 0:
            row = _hashed_row(model, block.running[n])
            if row >= 0:
                block.rows[found] = row
                found += 1
    block.running[0] = wide
    return found


@inlined
def _add_rows(model: Linear, found: int, block: _Block, sums: Floats) -> int:
    for label in range(len(sums)):
        total = sums[label]
        for k in range(found):
            total += model.weights[block.rows[k], label]
        sums[label] = total
    return found


@kernel
def _sum(offsets: Ints, data: Bytes, model: Linear) -> tuple[Floats, Ints]:
    """Returns float64[n, labels], sums of weights, and int64[n], how many features were added."""
    sums = np.zeros((len(offsets) - 1, model.weights.shape[1]), np.float64)
    counts = np.zeros(len(sums), np.int64)
    ngrams = max(model.shape.ngrams, 1)
    block = _Block(
        np.empty(_BLOCK, np.int64),
        np.empty(_BLOCK, np.int64),
        np.empty(_BLOCK, np.uint64),
        np.empty(_BLOCK, np.int64),
        np.empty((_BLOCK + 1) * ngrams, np.int64),
        np.zeros(ngrams, np.uint64),
    )
    end_hash = _hash(_END_BYTES, 0, len(_END_BYTES))
    for row in range(len(sums)):
        at, stop, seen, own, more = offsets[row], offsets[row + 1], 0, sums[row], True
        while more:
            count, at = _read_tokens(data, at, stop, block)
            more = at < stop
            found = _word_rows(model, data, count, block)
            for k in range(count):
                found = _ngram_rows(model, block.hashes[k], seen + k, found, block)
            seen += count
            if not more:
                if model.shape.end >= 0:
                    block.rows[found] = model.shape.end
                    found += 1
                found = _ngram_rows(model, end_hash, seen, found, block)
            counts[row] += _add_rows(model, found, block, own)
            if model.shape.max_chars > 0 and model.shape.buckets > 0:
                for k in range(count):
                    counts[row] += _add_chars(model, data, block.starts[k], block.ends[k], own)
    return sums, counts


def logits(offsets: Ints, data: Bytes, model: Linear) -> Floats:
    """Returns what the labels of each text get before they become probabilities.

    Args:
        offsets: int64[n + 1], ascending; text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, the texts; they need not be UTF-8.
        model: The classifier.

    Returns:
        float64[n, labels]; NaN for a text without any feature of the model.
    """
    sums, counts = _sum(offsets, data, model)
    with np.errstate(invalid="ignore"):
        found: Floats = sums / counts[:, None]
    return found


@kernel
def make_slots(text: Bytes, offsets: Ints, slots: npt.NDArray[np.int32]) -> None:
    """Enters words into a table for `Linear.slots`, int32[2**k] of -1, more than words."""
    mask = np.uint64(len(slots) - 1)
    for word in range(len(offsets) - 1):
        slot = _hash(text, offsets[word], offsets[word + 1]) & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = word


@kernel
def add_products(
    rows: npt.NDArray[np.float32],
    labels: npt.NDArray[np.float32],
    products: npt.NDArray[np.float32],
) -> None:
    """Writes the product of each row with each label, summed from the left in double precision.

    Unlike a matrix product, which is summed in another order by each processor's library, this is
    the same everywhere.

    Args:
        rows: float32[n, dim].
        labels: float32[labels, dim].
        products: float32[n, labels], overwritten.
    """
    for row in range(len(rows)):
        for label in range(len(labels)):
            total = 0.0
            for k in range(rows.shape[1]):
                total += np.float64(rows[row, k]) * np.float64(labels[label, k])
            products[row, label] = total


@kernel
def word_lines(offsets: Ints, data: Bytes) -> tuple[Ints, Bytes]:
    """Returns the texts in the normal form of the mode "words", as offsets and UTF-8 bytes."""
    # A byte that is no UTF-8 becomes U+FFFD, three bytes, and a space.
    lines = np.empty(4 * (offsets[-1] - offsets[0]) + 1, np.uint8)
    bounds = np.empty(len(offsets), np.int64)
    bounds[0] = fill = 0
    for row in range(len(offsets) - 1):
        at, end, inside = offsets[row], offsets[row + 1], False
        while at < end:
            code_point, at = decode(data, at, end)
            bits = char_class(code_point)
            is_word = bits & WORD > 0
            if inside and not is_word:
                lines[fill] = _BLANK
                fill += 1
            inside = is_word
            if is_word:
                fill = encode(lower_char(code_point), lines, fill)
            elif not bits & SPACE:
                fill = encode(lower_char(code_point), lines, fill)
                lines[fill] = _BLANK
                fill += 1
        if inside:
            lines[fill] = _BLANK
            fill += 1
        bounds[row + 1] = fill
    return bounds, lines[:fill].copy()


_TOKEN = re.compile(r"\w+|[^\w\s]")


def plain_word_line(text: str) -> str:
    r"""Returns the normal form of a text in the mode "words": what the kernel means.

    Examples:
        >>> plain_word_line("Well-known: 3 km!")
        'well - known : 3 km ! '
    """
    return "".join(f"{''.join(c.lower()[0] for c in word)} " for word in _TOKEN.findall(text))


def plain_tokens(text: bytes) -> Iterator[bytes]:
    r"""Yields the tokens of a text that count, in their order: what the kernel means.

    Examples:
        >>> list(plain_tokens(b"a  __label__hq </s>\nb</s>"))
        [b'a', b'b</s>']
    """
    for token in re.split(b"[" + re.escape(_WHITE) + b"]+", text):
        if token and token != END and not token.startswith(LABEL_PREFIX):
            yield token
