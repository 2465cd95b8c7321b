"""Noise in words in plain Python: the meaning of `noise_words`."""

from collections.abc import Mapping, Sequence
from itertools import pairwise

from curation.text.chance import bounds_of, plain_below, plain_draw
from curation.text.noise_chars import PlainNoise
from curation.text.noise_words import OPERATIONS, SALT
from curation.text.unicode import SPACE, char_class

Wrong = Mapping[str, Sequence[str]]


def pieces(text: str) -> list[str]:
    """Returns a text's white space and words in turn; the first is white space, or empty.

    Examples:
        >>> pieces("So it is. ")
        ['', 'So', ' ', 'it', ' ', 'is.', ' ']
    """
    found = [""]
    for char in text:
        space = char_class(ord(char)) & SPACE > 0
        if space == (len(found) % 2 == 1):
            found[-1] += char
        else:
            found.append(char)
    return found if len(found) % 2 else [*found, ""]


def plain_noise_words(text: str, key: int, rates: Mapping[str, float], wrong: Wrong) -> PlainNoise:
    """Makes noise in a text.

    Args:
        text: The text.
        key: Its key.
        rates: Probability by operation.
        wrong: What `noise_words.usable` returns.
    """
    bounds = [int(bound) for bound in bounds_of([rates.get(name, 0.0) for name in OPERATIONS])]
    edits, chances = [0] * len(OPERATIONS), [0] * len(OPERATIONS)
    first, *rest = pieces(text)
    parts = [first]
    at = count = 0
    while at < len(rest):
        bits, other = plain_draw(key, count), plain_draw(key ^ SALT, count)
        words, written = 1, "".join(rest[at : at + 2])
        for number, name in enumerate(OPERATIONS):
            found = _edited(name, rest[at:], other, wrong)
            chances[number] += found is not None
            low = bounds[number - 1] if number else 0
            if found is not None and low <= bits < bounds[number]:
                written, words = found, 1 + (name == "word_swap")
                edits[number] += 1
        parts.append(written)
        at += 2 * words
        count += words
    return PlainNoise("".join(parts), edits, chances)


def _edited(name: str, rest: list[str], other: int, wrong: Wrong) -> str | None:
    """Returns what stands in the place of a word and its gap; None: it is not for this word."""
    word, gap, *later = rest
    edits = {
        "word_delete": gap if "\n" in gap else "",
        "word_repeat": f"{word} {word}{gap}",
        "word_split": _split(word, other, gap),
        "word_misspell": _misspelled(word, other, gap, wrong),
        "word_join": word if later else None,
        "word_swap": later[0] + gap + word + later[1] if later and later[0] != word else None,
    }
    return edits[name]


def _split(word: str, other: int, gap: str) -> str | None:
    if len(word) < 2:
        return None
    middle = 1 + plain_below(other, len(word) - 1)
    return f"{word[:middle]} {word[middle:]}{gap}"


def _misspelled(word: str, other: int, gap: str, wrong: Wrong) -> str | None:
    plain = [place for place, char in enumerate(word) if char.isascii() and char.isalnum()]
    if not plain:
        return None
    first, end = plain[0], plain[-1] + 1
    core = word[first:end]
    found = wrong.get(core.lower()) if core.isascii() else None
    capitals = [char.isupper() for char in core]
    letters = sum(char.isalpha() for char in core)
    if not found:
        return None
    chosen = found[plain_below(other, len(found))]
    if sum(capitals) == letters and letters > 1:
        chosen = chosen.upper()
    elif capitals[0] and sum(capitals) == 1:
        chosen = chosen[0].upper() + chosen[1:]
    elif any(capitals):
        return None
    return word[:first] + chosen + word[end:] + gap


def word_spans(text: str) -> list[tuple[int, int]]:
    """Returns where each word starts and ends, in characters."""
    parts = pieces(text)
    places = [0]
    for part in parts:
        places.append(places[-1] + len(part))
    return list(pairwise(places))[1::2]
