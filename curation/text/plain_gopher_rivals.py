"""What `curation.text.gopher_rivals` means, in plain Python: one text at a time."""

import re
from collections.abc import Collection
from statistics import median

from curation.text.definitions import DEFINITIONS
from curation.text.gopher_rivals import BULLETS, ENDINGS, PUNCTUATION, SYMBOLS
from curation.text.plain_tokens import plain_words
from curation.text.stop_words import folded
from curation.text.tokens import PUNCTUATED

NAN = float("nan")


def rival_quality_of_text(
    text: str, definition: str, stop_words: Collection[str]
) -> dict[str, float]:
    """Returns the statistics of one text, by name.

    Args:
        text: The text.
        definition: One of `DEFINITIONS` but "paper".
        stop_words: The list of the text's language.

    Examples:
        >>> rival_quality_of_text("Of the # #tag...", "curator", ["of", "the"])["symbol_ratio"]
        0.25
    """
    words = plain_words(text, PUNCTUATED) if definition == "datatrove" else text.split()
    plain = [word for word in words if definition != "datatrove" or not _is_symbolic(word)]
    counted = [word for word in words if word[0].isalnum()] if definition == "dclm" else plain
    lines = _lines(text, definition)
    number = DEFINITIONS.index(definition)
    endings = [line.lower().endswith(ENDINGS[number]) for line in lines]
    return {
        "words": len(counted),
        "word_chars": _middle(plain, definition),
        "hash_ratio": _ratio(text.count("#"), words) if definition == "datatrove" else NAN,
        "symbol_ratio": _ratio(_symbols(text, words, definition), words),
        "bullet_lines": _ratio(
            sum(line.startswith(tuple(BULLETS[number])) for line in lines), lines
        ),
        "ellipsis_lines": _ratio(sum(endings), lines),
        "alpha_words": _ratio(sum(any(map(str.isalpha, word)) for word in words), words),
        "stop_words": _stop_words(words, definition, stop_words),
    }


def _ratio(part: int, whole: Collection[str]) -> float:
    return part / len(whole) if whole else NAN


def _is_symbolic(word: str) -> bool:
    return all(char in PUNCTUATION or re.match(r"[\0-\x1f\x7f-\x9f]", char) for char in word)


def _middle(words: list[str], definition: str) -> float:
    lengths = list(map(len, words))
    if not lengths:
        return NAN
    return float(median(lengths)) if definition == "dolma" else sum(lengths) / len(lengths)


def _lines(text: str, definition: str) -> list[str]:
    if definition == "datatrove":
        return [line.strip() for line in text.splitlines()]
    if definition == "dolma":
        return re.split(r"\n+", text) if text else []
    return [line.strip() for line in text.split("\n") if line.strip()]


def _symbols(text: str, words: list[str], definition: str) -> int:
    symbols = SYMBOLS[DEFINITIONS.index(definition)]
    if definition == "curator":
        return sum(word in symbols for word in words)
    if definition == "dolma":
        return sum(any(symbol in word for symbol in symbols) for word in words)
    return sum(text.count(symbol) for symbol in symbols)


def _stop_words(words: list[str], definition: str, stop_words: Collection[str]) -> int:
    if definition == "dclm":
        wanted = {folded(word) for word in stop_words}
        return sum(folded(word) in wanted for word in words)
    if definition == "datatrove":
        return len(set(words) & set(stop_words))
    return sum(word in stop_words for word in words)
