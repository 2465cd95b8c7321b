"""What `curation.text.repetition` means, in plain Python: one text at a time, slow and clear."""

import re
from collections import Counter
from collections.abc import Hashable, Sequence

from curation.text.definitions import DEFINITIONS
from curation.text.plain_tokens import plain_words
from curation.text.repetition import DUPLICATE_SIZES, SPLITTERS, TOP_SIZES

NAN = float("nan")


def repetition_of_text(text: str, definition: str = "paper") -> dict[str, float]:
    """Returns the statistics of one text, by name.

    Args:
        text: The text.
        definition: One of `DEFINITIONS`.

    Examples:
        >>> repetition_of_text("to be or not to be")["top_2gram"]
        0.6153846153846154
    """
    words = plain_words(text, SPLITTERS[DEFINITIONS.index(definition)])
    whole = len(text) if definition in ("datatrove", "curator") else sum(map(len, words))
    found = _pieces("line", plain_lines(text, definition), whole, definition)
    found |= _pieces("paragraph", plain_paragraphs(text, definition), whole, definition)
    for size in (*TOP_SIZES, *DUPLICATE_SIZES):
        name = f"top_{size}gram" if size in TOP_SIZES else f"duplicate_{size}grams"
        if len(words) < size:
            found[name] = _too_few(words, definition)
        elif size in TOP_SIZES:
            found[name] = _top(text, words, size, definition) / whole
        else:
            found[name] = _duplicate(words, size, definition) / (
                sum(map(_length, _ngrams(words, size))) if definition == "dolma" else whole
            )
    return found


def plain_lines(text: str, definition: str) -> list[str]:
    """Returns what a definition calls the lines of a text."""
    if definition in ("datatrove", "dolma"):
        return re.split(r"\n+", text)
    lines = [line for line in text.split("\n") if line.strip()]
    return lines if definition == "curator" else [line.strip() for line in lines]


def plain_paragraphs(text: str, definition: str) -> list[str]:
    """Returns what a definition calls the paragraphs of a text."""
    if definition == "paper":
        lines = [line if line.strip() else "" for line in text.split("\n")]
        return [block.strip() for block in re.split(r"\n{2,}", "\n".join(lines)) if block.strip()]
    if definition == "datatrove":
        return re.split(r"\n{2,}", text.strip())
    if definition == "dolma":
        return []
    paragraphs = text.split("\n\n")
    if definition == "curator":
        return paragraphs
    return [paragraph.strip() for paragraph in paragraphs if paragraph.strip()]


def _pieces(what: str, pieces: list[str], whole: int, definition: str) -> dict[str, float]:
    names = f"duplicate_{what}s", f"duplicate_{what}_chars"
    if not pieces or (definition in ("datatrove", "dolma") and whole == 0):
        return dict.fromkeys(names, NAN)
    if definition not in ("datatrove", "dolma"):
        whole = sum(map(len, pieces))
    repeated = [pieces[place] for place in _repeats(pieces, definition)]
    share = sum(map(len, repeated)) / whole if whole else NAN
    return dict(zip(names, (len(repeated) / len(pieces), share if repeated else 0.0), strict=True))


def _repeats(items: Sequence[Hashable], definition: str) -> list[int]:
    """Returns the places of what counts as repeated: every time, or from the second on."""
    if definition in ("dclm", "dolma"):
        times = Counter(items)
        return [place for place, item in enumerate(items) if times[item] > 1]
    first: dict[Hashable, int] = {}
    return [place for place, item in enumerate(items) if first.setdefault(item, place) != place]


def _ngrams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def _length(words: Sequence[str]) -> int:
    return sum(map(len, words))


def _too_few(words: list[str], definition: str) -> float:
    if definition == "curator":
        return 1.0
    return 0.0 if words and definition != "dolma" else NAN


def _top(text: str, words: list[str], size: int, definition: str) -> int:
    ngrams = _ngrams(words, size)
    times = Counter(ngrams)
    most = max(times.values())
    often = [ngram for ngram in times if times[ngram] == most]
    top = max(often, key=_length) if definition in ("paper", "dclm") else often[0]
    if definition == "paper":
        places = {at + k for at, ngram in enumerate(ngrams) if ngram == top for k in range(size)}
        return sum(len(words[place]) for place in places) if most > 1 else 0
    if definition == "dclm":
        return _length(top) * most if most > 1 else 0
    if definition == "curator":
        return len(text) - len(text.replace(" ".join(top), ""))
    return (_length(top) + (size - 1) * (definition == "datatrove")) * most


def _duplicate(words: list[str], size: int, definition: str) -> int:
    ngrams = _ngrams(words, size)
    if definition == "datatrove":
        return _skipping(ngrams, size)
    repeats = _repeats(ngrams, definition)
    if definition == "dolma":
        return sum(_length(ngrams[at]) for at in repeats)
    if definition != "curator":
        places = {at + k for at in repeats for k in range(size)}
        return sum(len(words[place]) for place in places)
    total, end = 0, 0
    for at in repeats:
        new = words[max(at, end) : at + size]
        total += _length(new) + min(len(new), size - 1)
        end = at + size
    return total


def _skipping(ngrams: list[tuple[str, ...]], size: int) -> int:
    """Returns the characters of n-grams that were met before, where each one is stepped over."""
    met: set[tuple[str, ...]] = set()
    total = at = 0
    while at < len(ngrams):
        if ngrams[at] in met:
            total += _length(ngrams[at])
            at += size
        else:
            met.add(ngrams[at])
            at += 1
    return total
