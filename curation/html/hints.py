"""What the words of attributes, and of short texts, say about a part of a page.

Authors of pages name things by what they are: a class `comment-list`, an id `sidebar`, a heading
"More stories". Each group of such words is one bit of a mask. All groups are looked for at once, by
one automaton over the bytes (Aho and Corasick 1975, "Efficient string matching").

Letters are compared in lower case; what is neither letter nor digit is a space, and a space stands
before and after the whole, so `" nav"` is the beginning of a word.
"""

from collections.abc import Iterable, Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.html.words import ATTRIBUTE_GROUPS, TEXT_GROUPS
from curation.text.jit import int64, lean_inlined, read_only

Bytes = npt.NDArray[np.uint8]

HIDDEN_BIT = 1 << list(ATTRIBUTE_GROUPS).index("hidden")
"""The bit that the attributes hidden, aria-hidden and style set, too."""


class Automaton(NamedTuple):
    """All words of all groups, looked for in one walk."""

    classes: Bytes
    """uint8[256]: class of each byte; all that occur in no word have class 0."""
    following: npt.NDArray[np.uint16]
    """uint16[states, classes]: the next state."""
    found: npt.NDArray[np.int64]
    """int64[states]: bits of the groups of which a word ends here."""


def make_automaton(groups: Iterable[Sequence[str]]) -> Automaton:
    """Makes the automaton of groups of words.

    Group k is bit k. Letters outside of ASCII are found in lower case and as capitals.
    """
    words = [
        (form.encode(), 1 << bit)
        for bit, group in enumerate(groups)
        for word in group
        for form in {word, word.upper(), word.title()}
    ]
    lowered = [(bytes(byte | 32 if 65 <= byte <= 90 else byte for byte in w), b) for w, b in words]
    classes = np.zeros(256, np.uint8)
    for number, byte in enumerate(sorted(set(chain.from_iterable(word for word, _ in lowered)))):
        classes[byte] = number + 1
    trie: list[dict[int, int]] = [{}]
    found = [0]
    for word, bit in lowered:
        state = 0
        for byte in word:
            state = trie[state].setdefault(int(classes[byte]), len(trie))
            if state == len(trie):
                trie.append({})
                found.append(0)
        found[state] |= bit
    return _complete(trie, found, classes)


def _complete(trie: list[dict[int, int]], found: list[int], classes: Bytes) -> Automaton:
    """Says of each state where every class leads: on in the word, or to its longest suffix."""
    following = np.zeros((len(trie), int(classes.max()) + 1), np.uint16)
    suffix = [0] * len(trie)
    queue = [0]
    for state in queue:
        found[state] |= found[suffix[state]]
        following[state] = following[suffix[state]]
        for cls, child in trie[state].items():
            suffix[child] = int(following[suffix[state], cls]) if state else 0
            following[state, cls] = child
            queue.append(child)
    return Automaton(read_only(classes), read_only(following), read_only(np.array(found)))


ATTRIBUTES = make_automaton(ATTRIBUTE_GROUPS.values())
TEXTS = make_automaton(TEXT_GROUPS.values())


@lean_inlined
def plain_byte(byte: int) -> int:
    """Returns a byte as it is compared: letters in lower case, other ASCII signs as a space."""
    if 65 <= byte <= 90:
        return byte | 32
    if 97 <= byte <= 122 or 48 <= byte <= 57 or byte >= 128:
        return byte
    return 32


@lean_inlined
def find_hints(text: Bytes, begin: int, end: int, automaton: Automaton) -> int:
    """Returns the bits of the groups of which a word stands in a piece of text.

    Args:
        text: uint8[n].
        begin: Where the piece begins.
        end: Where it ends, at most n.
        automaton: The groups.
    """
    classes, following, found = automaton.classes, automaton.following, automaton.found
    state = int64(following[0, classes[32]])
    bits = int64(0)
    for at in range(begin, end):
        state = int64(following[state, classes[plain_byte(int64(text[at]))]])
        bits |= found[state]
    state = int64(following[state, classes[32]])
    return int64(bits | found[state])


def plain_hints(text: bytes, groups: Iterable[Sequence[str]]) -> int:
    """Says the same in plain Python; the meaning of `find_hints`."""
    padded = bytes([32, *(plain_byte_twin(byte) for byte in text), 32])
    bits = 0
    for bit, group in enumerate(groups):
        for word in group:
            forms = {word, word.upper(), word.title()}
            if any(bytes(map(_lower, form.encode())) in padded for form in forms):
                bits |= 1 << bit
    return bits


def plain_byte_twin(byte: int) -> int:
    """Is `plain_byte` in plain Python."""
    char = chr(byte)
    return ord(char.lower()) if byte < 128 and char.isalnum() else byte if byte >= 128 else 32


def _lower(byte: int) -> int:
    return byte | 32 if 65 <= byte <= 90 else byte
