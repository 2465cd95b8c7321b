"""What C4's line rules look for inside a line: citation marks and phrases."""

import numpy as np
import numpy.typing as npt

from curation.text.jit import int64, lean, lean_inlined

Bytes = npt.NDArray[np.uint8]

POLICY = (
    "terms of use",
    "privacy policy",
    "cookie policy",
    "uses cookies",
    "use of cookies",
    "use cookies",
)

"""Phrases of terms of use and cookie notices."""

_LF, _OPEN, _CLOSE = 0x0A, 0x5B, 0x5D


def _bytes(text: str) -> Bytes:
    return np.frombuffer(text.encode(), np.uint8)


JAVASCRIPT, LOREM_IPSUM = _bytes("javascript"), _bytes("lorem ipsum")
POLICY_PHRASES = _bytes("\n".join(POLICY))
_CITATION_WORDS = (_bytes("edit]"), _bytes("citation needed]"))


@lean
def copy_without_citations(
    data: Bytes, at: int, end: int, new: Bytes, fill: int
) -> tuple[int, int]:
    """Copies a line without its citation marks; returns where it ends, and how many there were."""
    marks = 0
    while at < end:
        if data[at] == _OPEN:
            after = _citation_end(data, at + 1, end)
            if after > 0:
                marks += 1
                at = after
                continue
        new[fill] = data[at]
        fill += 1
        at += 1
    return fill, marks


@lean
def _citation_end(data: Bytes, at: int, end: int) -> int:
    """Returns where a citation mark ends whose bracket is before `at`; 0 if there is none."""
    for word in _CITATION_WORDS:
        if _matches(data, at, end, word, 0, len(word)):
            return at + len(word)
    while at < end and 0x30 <= data[at] <= 0x39:
        at += 1
    return at + 1 if at < end and data[at] == _CLOSE else 0


@lean_inlined
def _matches(data: Bytes, at: int, end: int, word: Bytes, first: int, last: int) -> bool:
    """Says whether `word[first:last]` stands at `at`."""
    if at + last - first > end:
        return False
    for k in range(last - first):  # noqa: SIM110 - numba has no all()
        if data[at + k] != word[first + k]:
            return False
    return True


@lean
def contains(data: Bytes, at: int, end: int, phrases: Bytes) -> bool:
    """Says whether one of the phrases, parted by line feeds, stands there in either case."""
    first = 0
    while first < len(phrases):
        last = first
        while last < len(phrases) and phrases[last] != _LF:
            last += 1
        for start in range(at, end - (last - first) + 1):
            k = 0
            while k < last - first and _lower(data[start + k]) == phrases[first + k]:
                k += 1
            if k == last - first:
                return True
        first = last + 1
    return False


@lean_inlined
def _lower(byte: int) -> int:
    return int64(byte) + 0x20 if 0x41 <= byte <= 0x5A else int64(byte)
