r"""What a text claims and a copy of it must not lose: numbers, dates, names and negations.

Found by rules that anyone can check, not by a model, so they are blind in known ways:

- *Dates*: day, month and year in figures (2024-05-13, 13.5.2024, 5/13/2024), and with the name of
  the month, with or without a day or a year, in the languages of `MONTHS`. They are compared as
  (year, month, day), so "13 May 2024" and "May 13, 2024" are the same. Of 5/6/2024 nobody knows
  which is the day: it is compared as it stands.
- *Numbers*: runs of decimal digits outside of dates, of every script, with the separators inside.
  1,000 and 1.000 are the same, and so are 3.5 and 3,5; numbers in words are not seen.
- *Names*: words with a capital inside of a sentence, one by one, and acronyms anywhere. A word that
  begins a sentence says nothing; neither does a sentence all of whose longer words have capitals
  (a heading), nor a language in which every noun has one.
- *Negations*: how often a word of `NEGATIONS` stands there, in the languages that it has.

Of numbers and dates each occurrence counts, of names each word once: a repeated name may well have
become "he". Ours.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from curation.text.fact_words import MONTHS, NEGATIONS, NOUNS_HAVE_CAPITALS

_MONTH = {
    name: number
    for names in (*MONTHS.values(), " ".join(word[:3] for word in MONTHS["en"].split()))
    for number, name in enumerate(names.split(), 1)
} | {"sept": 9}
_NAMED = "|".join(sorted(_MONTH, key=len, reverse=True))
_OF = r"\s{1,3}(?:(?:of|de|del)\s{1,3})?"
_DATES = re.compile(
    r"(?<![\d.,/-])(?P<y1>\d{4})([-/.])(?P<m>\d\d?)\2(?P<d1>\d\d?)(?![\d/-])"
    r"|(?<![\d.,/-])(?P<one>\d\d?)([./-])(?P<two>\d\d?)\6(?P<y2>\d{4})(?![\d/-])"
    rf"|(?<!\d)(?P<d3>\d{{1,2}})(?:st|nd|rd|th|er|\.|º|°)?{_OF}(?P<dm>{_NAMED})\b\.?"
    rf"(?:,?{_OF}(?P<y3>\d{{4}})(?!\d))?"
    rf"|\b(?P<md>{_NAMED})\b\.?\s{{1,3}}(?:(?P<d4>\d{{1,2}})(?!\d)(?:st|nd|rd|th)?"
    r"(?:,?\s{1,3}(?P<y4>\d{4})(?!\d))?|(?P<y5>\d{4})(?!\d))",
    re.IGNORECASE,
)
_DIGITS = re.compile(r"\d+")
_BEFORE, _BEHIND = 20, 45
"""Characters that a date can have before its first figure, and between figures, with room."""
_NUMBER = re.compile(r"\d+(?:[.,'\u2019\u00a0\u202f]\d+)*")
_SEPARATOR = re.compile(r"[.,'\u2019\u00a0\u202f]")
_WORD = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*")
_BREAK = re.compile(r"[^\w\s,\u2019'()&-]+|\n")
"""What does not stand between two words of one sentence."""
_POSSESSIVE = re.compile(r"['\u2019]s$")
_NEGATION = {
    language: re.compile(rf"(?<!\w)(?:{words})(?!\w)", re.IGNORECASE)
    for language, words in NEGATIONS.items()
}

Date = tuple[int, int, int] | str
"""Year, month and day, 0 where it is not said; or as it stands. Numbers are words, too."""


class Facts(NamedTuple):
    """What one text claims."""

    numbers: Counter[Date]
    dates: Counter[Date]
    names: frozenset[str]
    """Folded to lower case."""
    negations: int | None
    """None: of a language that `NEGATIONS` does not have."""


class Kept(NamedTuple):
    """What of a text's claims a copy still makes, each from 0 to 1; None where there are none."""

    numbers: float | None
    dates: float | None
    names: float | None
    negations: float | None
    """The smaller count over the larger: one too many is as wrong as one too few."""


def find_facts(text: str, language: str | None = None) -> Facts:
    """Returns what a text claims.

    Args:
        text: Any text.
        language: ISO 639 code of its language; None: unknown.

    Examples:
        >>> facts = find_facts("On 3 May 2021 the WHO did not name 1,200 cases.", "en")
        >>> facts.numbers, facts.dates, sorted(facts.names), facts.negations
        (Counter({'1200': 1}), Counter({(2021, 5, 3): 1}), ['who'], 1)
    """
    numbers, dates, rest = _figures(text)
    names: frozenset[str] = frozenset()
    return Facts(
        numbers,
        dates,
        names if language in NOUNS_HAVE_CAPITALS else _names(rest),
        _negations(text, language),
    )


def kept_facts(parent: str, child: str, language: str | None = None) -> Kept:
    """Returns what of the parent's claims the child still makes.

    Args:
        parent: A text.
        child: What was made of it.
        language: ISO 639 code of the language of both; None: unknown.

    Examples:
        >>> kept_facts("2 of 3 came to the WHO.", "2 of 4 came to the WHO.")
        Kept(numbers=0.5, dates=None, names=1.0, negations=None)
    """
    facts = find_facts(parent, language)
    numbers, dates = facts.numbers, facts.dates
    if numbers or dates:
        numbers, dates, _ = _figures(child)
    return Kept(
        _survived(facts.numbers, numbers),
        _survived(facts.dates, dates),
        len(facts.names & _words(child)) / len(facts.names) if facts.names else None,
        _balance(facts.negations, _negations(child, language)),
    )


def _negations(text: str, language: str | None) -> int | None:
    negation = _NEGATION.get(language or "")
    return None if negation is None else sum(1 for _ in negation.finditer(text))


def _figures(text: str) -> tuple[Counter[Date], Counter[Date], str]:
    """Returns numbers and dates of a text, and the text with a blank for each date."""
    dates: Counter[Date] = Counter()
    parts: list[str] = []
    last = 0
    for start, end in _windows(text):
        part = _DATES.sub(lambda found: _take_date(found, dates), text[start:end])
        parts += text[last:start], part
        last = end
    rest = "".join([*parts, text[last:]])
    return Counter(map(_number, _NUMBER.findall(rest))), dates, rest


def _windows(text: str) -> Iterator[tuple[int, int]]:
    """Yields where dates can be: a name's width before figures, and a written date's behind."""
    start = end = 0
    for found in _DIGITS.finditer(text):
        if found.start() - _BEFORE > end:
            if end:
                yield start, end
            start = found.start() - _BEFORE
        end = found.end() + _BEHIND
    if end:
        yield max(start, 0), min(end, len(text))


def _survived(parent: Counter[Date], child: Counter[Date]) -> float | None:
    total = parent.total()
    return sum(min(times, child[one]) for one, times in parent.items()) / total if total else None


def _balance(one: int | None, other: int | None) -> float | None:
    if one is None or other is None or not (one or other):
        return None
    return min(one, other) / max(one, other)


def _take_date(found: re.Match[str], dates: Counter[Date]) -> str:
    """Counts a date and leaves a blank where it stood; what is none stays: "may 2 of them"."""
    if found["one"]:
        date = _in_figures(int(found["one"]), int(found["two"]), int(found["y2"]))
    else:
        name = found["dm"] or found["md"]
        year, day = (_first(found, kind, 5) for kind in "yd")
        date = year, _MONTH[name.lower()] if name else int(found["m"]), day
        if not year and (found["md"] or "M")[0].islower():
            return found.group()
    if not isinstance(date, str) and not (date[1] <= 12 and date[2] <= 31):
        return found.group()
    dates[date] += 1
    return " "


def _first(found: re.Match[str], kind: str, most: int) -> int:
    groups = found.groupdict()
    names = (f"{kind}{number}" for number in range(1, most + 1))
    return int(next(filter(None, map(groups.get, names)), 0))


def _in_figures(one: int, two: int, year: int) -> Date:
    if one > 12:
        return year, two, one
    return (year, one, two) if two > 12 else f"{one}/{two}/{year}"


def _number(written: str) -> str:
    """Returns a number as 1234.5, whatever separates thousands and fractions in it."""
    if not written.isascii():
        written = "".join(
            str(unicodedata.decimal(char)) if char.isdecimal() else char for char in written
        )
    parts = _SEPARATOR.split(written)
    if len(parts) == 1:
        return written
    signs = _SEPARATOR.findall(written)
    grouped = all(len(part) == 3 for part in parts[1:-1]) and len(parts[0]) <= 3
    if grouped and len(parts[-1]) == 3 and len(set(signs)) == 1:
        return "".join(parts)
    if len(parts) == 2 or (grouped and len(set(signs[:-1])) == 1 and signs[-1] != signs[0]):
        return "".join(parts[:-1]) + "." + parts[-1]
    return ".".join(parts)


def _names(text: str) -> frozenset[str]:
    """Returns the words that look like names, folded."""
    names: set[str] = set()
    for sentence in _BREAK.split(text):
        rest = sentence.lstrip()[1:]
        if rest != rest.lower():  # else there is no capital but the first
            names.update(_names_of(_WORD.findall(sentence)))
    return frozenset(names)


def _names_of(sentence: list[str]) -> list[str]:
    words = [_POSSESSIVE.sub("", word) for word in sentence]
    longer = [word for word in words if len(word) > 3]
    if len(words) > 1 and all(word[0].isupper() for word in longer or words):
        return []
    return [
        word.casefold()
        for place, word in enumerate(words)
        if len(word) > 1 and word[0].isupper() and (place or word.isupper())
    ]


def _words(text: str) -> frozenset[str]:
    return frozenset(_POSSESSIVE.sub("", word) for word in set(_WORD.findall(text.casefold())))
