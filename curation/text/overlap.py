r"""Overlap of documents with evaluation sets: which word n-grams of which passages they contain.

Tokens are those of `curation.text.shingles`: runs of `\w` in lower case, so that neither case nor
punctuation nor line ends hide a copy. A *passage* (a question, an answer) is known by

- its n-grams, if it has n tokens or more;
- all of its tokens in a row, if it has fewer, but `least` or more: that is one n-gram, too;
- nothing, if it is shorter: such strings occur everywhere.

An n-gram is 64 bits: the value of a polynomial over the XXH64 of its tokens, from which the next
one follows in one step. A bit set of a few bits an n-gram says of nearly all places of a text that
nothing is there; only the others look the table up. A document costs one step for each token and
length of n-gram, and one for each passage of each different n-gram that it has, whatever it
repeats.

Source: n-gram overlap of Brown et al. 2020, arXiv 2005.14165, appendix C.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel, subroutine
from curation.text.keytable import KeyTable, find, make_table
from curation.text.shingles import lower_words, make_workspace
from curation.text.unicode import WORD, char_class, decode, lower_char
from curation.text.xxh64 import xxh64

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
Bytes = npt.NDArray[np.uint8]

_BASE, _MIX = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xD6E8FEB86659FD93)
_R32, _R6, _LOW6, _ONE = np.uint64(32), np.uint64(6), np.uint64(63), np.uint64(1)
_ZERO = np.uint64(0)
_BITS_PER_KEY = 16
_NEWLINE, _CAPITAL_I_WITH_DOT = 0x0A, 0x130


class EvalIndex(NamedTuple):
    """The n-grams of all passages; made by `make_index`."""

    lengths: Ints
    """int64[k], the tokens that an n-gram can have; the first is n."""
    bits: Keys
    """uint64[2**j], a bit for each key of n tokens: what is not set is not there."""
    short_bits: Keys
    """The same for keys of fewer tokens; they are few, and their bits stay in the cache."""
    keys: KeyTable
    """Each different key, and its number."""
    bounds: Ints
    """int64[keys + 1], where the passages of each key begin."""
    passages: npt.NDArray[np.int32]
    """int32[m], the passages that have a key."""
    totals: npt.NDArray[np.int32]
    """int32[passages], different n-grams of each passage."""


class Overlap(NamedTuple):
    """What n documents share with the evaluation sets."""

    overlaps: Floats
    """float64[n], the largest share of a passage's n-grams that are in the document, 0 to 1."""
    passages: Ints
    """int64[n], that passage (of equal shares the one with more n-grams, then the first); or -1."""
    positions: Ints
    """int64[n], the character at which the first of its n-grams begins; -1: none."""
    ngrams: Ints
    """int64[n], different n-grams of any passage in the document."""
    paragraphs: Floats
    """float64[n], the largest share of a paragraph's n-grams that are of some passage, 0 to 1."""


class _State(NamedTuple):
    """What is written over from document to document; a stamp is the row + 1 that wrote last."""

    key_stamps: npt.NDArray[np.int32]
    passage_stamps: npt.NDArray[np.int32]
    counts: npt.NDArray[np.int32]
    firsts: Ints
    touched: npt.NDArray[np.int32]
    sums: Keys
    powers: Keys


def make_index(
    offsets: Ints, data: Bytes, ngram: int, least: int, most_passages: int | None = None
) -> EvalIndex:
    """Builds the index of some passages.

    Args:
        offsets: int64[p + 1]; passage k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        ngram: Tokens in an n-gram, 1 or more.
        least: Fewest tokens of a passage that is looked for, 1 to `ngram`.
        most_passages: An n-gram that more passages share is left out, and not counted in any.
    """
    keys, tokens, bounds = passage_keys(offsets, data, ngram, least)
    owners = np.repeat(np.arange(len(tokens), dtype=np.int32), np.diff(bounds))
    order = np.lexsort((owners, keys))
    keys, owners = keys[order], owners[order]
    new_key = np.diff(keys, prepend=keys[:1] ^ _ONE) != 0
    different = new_key | (np.diff(owners, prepend=-1) != 0)
    keys, owners, new_key = keys[different], owners[different], new_key[different]
    if most_passages is not None:
        sizes = np.diff(np.append(np.flatnonzero(new_key), len(keys)))
        rare = np.repeat(sizes <= most_passages, sizes)
        keys, owners, new_key = keys[rare], owners[rare], new_key[rare]
    starts = np.flatnonzero(new_key)
    whole = tokens[owners[starts]] < ngram
    short = np.unique(tokens[(tokens >= least) & (tokens < ngram)])
    return EvalIndex(
        np.concatenate([[ngram], short]).astype(np.int64),
        _bit_set(keys[starts[~whole]]),
        _bit_set(keys[starts[whole]]),
        make_table(keys[starts], np.arange(len(starts), dtype=np.int32)),
        np.append(starts, len(keys)).astype(np.int64),
        owners,
        np.bincount(owners, minlength=len(tokens)).astype(np.int32),
    )


def _bit_set(keys: Keys) -> Keys:
    words = 1024
    while words * 64 < len(keys) * _BITS_PER_KEY:
        words *= 2
    bits = np.zeros(words, np.uint64)
    places = keys >> _R32
    np.bitwise_or.at(
        bits, (places >> _R6 & np.uint64(words - 1)).astype(np.int64), _ONE << (places & _LOW6)
    )
    return bits


@kernel
def passage_keys(offsets: Ints, data: Bytes, ngram: int, least: int) -> tuple[Keys, Ints, Ints]:
    """Returns the keys of n passages in their order with repeats.

    Returns:
        uint64[m]; int64[n], the tokens of each passage; int64[n + 1], where its keys begin.
    """
    room = make_workspace(offsets)
    sums, powers = np.empty(len(room.starts) + 1, np.uint64), _powers(ngram)
    keys = np.empty((offsets[-1] - offsets[0]) // 2 + len(offsets), np.uint64)
    tokens, bounds = np.zeros(len(offsets) - 1, np.int64), np.zeros(len(offsets), np.int64)
    for row in range(len(offsets) - 1):
        count = lower_words(data[offsets[row] : offsets[row + 1]], room.words, room.starts)
        _sum_tokens(room.words, room.starts, count, sums)
        tokens[row], fill = count, bounds[row]
        if count >= least:
            width = min(ngram, count)
            for k in range(count - width + 1):
                keys[fill] = _window(sums, powers, k, width)
                fill += 1
        bounds[row + 1] = fill
    return keys[: bounds[-1]], tokens, bounds


@inlined
def _powers(most: int) -> Keys:
    powers = np.empty(most + 1, np.uint64)
    powers[0] = _ONE
    for k in range(most):
        powers[k + 1] = powers[k] * _BASE
    return powers


@subroutine
def _sum_tokens(words: Bytes, starts: Ints, count: int, sums: Keys) -> None:
    """Writes the polynomial's value up to each token."""
    sums[0] = _ZERO
    for k in range(count):
        sums[k + 1] = sums[k] * _BASE + xxh64(words, starts[k], starts[k + 1] - 1, _ZERO)


@inlined
def _window(sums: Keys, powers: Keys, at: int, width: int) -> np.uint64:
    """Returns the key of some tokens in a row."""
    value = sums[at + width] - sums[at] * powers[width]
    value = (value ^ (value >> _R32)) * _MIX
    return np.uint64(value ^ (value >> _R32))


@inlined
def _number(index: EvalIndex, bits: Keys, key: np.uint64) -> int:
    """Returns the number of a key, -1 if no passage has it."""
    place = key >> _R32
    word = bits[(place >> _R6) & np.uint64(len(bits) - 1)]
    if not (word >> (place & _LOW6)) & _ONE:
        return -1
    return find(index.keys, key)


@kernel
def find_overlaps(offsets: Ints, data: Bytes, index: EvalIndex) -> Overlap:
    """Compares n documents with all passages of an index.

    Args:
        offsets: int64[n + 1]; document k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8; a malformed part counts as U+FFFD.
        index: From `make_index`.
    """
    n, room = len(offsets) - 1, make_workspace(offsets)
    found = Overlap(
        np.zeros(n),
        np.empty(n, np.int64),
        np.empty(n, np.int64),
        np.zeros(n, np.int64),
        np.zeros(n),
    )
    state = _State(
        np.zeros(len(index.bounds), np.int32),
        np.zeros(len(index.totals), np.int32),
        np.zeros(len(index.totals), np.int32),
        np.zeros(len(index.totals), np.int64),
        np.zeros(len(index.totals), np.int32),
        np.empty(len(room.starts) + 1, np.uint64),
        _powers(index.lengths[0]),
    )
    for row in range(n):
        text = data[offsets[row] : offsets[row + 1]]
        tokens = lower_words(text, room.words, room.starts)
        _sum_tokens(room.words, room.starts, tokens, state.sums)
        touched, ngrams = _walk(tokens, row + 1, index, state)
        best = _best(touched, index, state)
        found.passages[row] = best
        found.positions[row] = -1
        found.ngrams[row] = ngrams
        if best >= 0:
            found.overlaps[row] = state.counts[best] / index.totals[best]
            _token_places(text, room.starts)
            found.positions[row] = _characters(text, room.starts[state.firsts[best]])
            found.paragraphs[row] = _paragraph_share(text, tokens, room.starts, index, state)
    return found


@subroutine
def _walk(tokens: int, stamp: int, index: EvalIndex, state: _State) -> tuple[int, int]:
    """Finds the n-grams of a document; returns how many passages and different n-grams it has."""
    touched = ngrams = 0
    for width in index.lengths:
        bits = index.bits if width == index.lengths[0] else index.short_bits
        for at in range(tokens - width + 1):
            number = _number(index, bits, _window(state.sums, state.powers, at, width))
            if number >= 0 and state.key_stamps[number] != stamp:
                state.key_stamps[number] = stamp
                ngrams += 1
                touched = _touch(number, at, stamp, index, state, touched)
    return touched, ngrams


@subroutine
def _touch(number: int, at: int, stamp: int, index: EvalIndex, state: _State, touched: int) -> int:
    """Counts an n-gram for all of its passages; returns how many the document has by now."""
    for k in range(index.bounds[number], index.bounds[number + 1]):
        passage = index.passages[k]
        if state.passage_stamps[passage] != stamp:
            state.passage_stamps[passage] = stamp
            state.counts[passage] = 0
            state.firsts[passage] = at
            state.touched[touched] = passage
            touched += 1
        state.counts[passage] += 1
    return touched


@subroutine
def _best(touched: int, index: EvalIndex, state: _State) -> int:
    best, best_count, best_total = -1, 0, 1
    for k in range(touched):
        passage = int64(state.touched[k])
        count, total = int64(state.counts[passage]), int64(index.totals[passage])
        more = count * best_total - best_count * total
        if more == 0:
            more = count - best_count
        if more > 0 or (more == 0 and passage < best):
            best, best_count, best_total = passage, count, total
    return best


@subroutine
def _token_places(text: Bytes, places: Ints) -> int:
    """Writes the byte at which each token begins, as `lower_words` finds them; returns how many."""
    at = count = 0
    inside = False
    while at < len(text):
        code, after = decode(text, at, len(text))
        in_word = char_class(lower_char(code)) & WORD > 0
        if in_word and not inside:
            places[count] = at
            count += 1
        # Its lower case is two characters, of which the second ends the word.
        inside = in_word and code != _CAPITAL_I_WITH_DOT
        at = after
    return count


@inlined
def _characters(text: Bytes, end: int) -> int:
    """Returns how many characters are before a byte."""
    at = characters = 0
    while at < end:
        _, at = decode(text, at, len(text))
        characters += 1
    return characters


@subroutine
def _paragraph_share(
    text: Bytes, tokens: int, places: Ints, index: EvalIndex, state: _State
) -> float:
    """Returns the largest share, over paragraphs, of the n-grams inside of it that are known."""
    best, width = 0.0, index.lengths[0]
    first = at = 0
    while first < tokens:
        while at < len(text) and (at < places[first] or text[at] != _NEWLINE):
            at += 1
        last = first
        while last < tokens and places[last] < at:
            last += 1
        known = 0
        for k in range(first, last - width + 1):
            key = _window(state.sums, state.powers, k, width)
            known += _number(index, index.bits, key) >= 0
        if known:
            best = max(best, known / (last - width + 1 - first))
        first = last
    return best
