"""What `curation.text.tokens` means, in plain Python."""

import re

from curation.text.tokens import (
    BIND_BOTH,
    BIND_DIGITS,
    BIND_LETTERS,
    DASHES,
    EDGE_SIGNS,
    HEAD_SIGNS,
    ICON_RANGES,
    JOINTS,
    LONE_RANGES,
    PUNCTUATED,
    SEGMENTED,
    flag_table,
)

_LONE = "".join(f"{chr(first)}-{chr(last)}" for first, last in LONE_RANGES)
_MARK = 1 << 4


_ICONS = "".join(f"{chr(first)}-{chr(last)}" for first, last in ICON_RANGES)


def _class_of(signs: str, more: str = "") -> str:
    return f"[{re.escape(signs)}{more}]"


def plain_words(text: str, splitter: int) -> list[str]:
    """Returns the words of a text by one of the splitters.

    Examples:
        >>> plain_words("Don't stop (e-mail)...", SEGMENTED)
        ["Don't", 'stop', 'e', 'mail']
        >>> plain_words("Don't stop (e-mail)...", PUNCTUATED)
        ['Do', "n't", 'stop', '(', 'e', '-', 'mail', ')', '...']
    """
    if splitter == SEGMENTED:
        return _segmented(text)
    words = text.split()
    return words if splitter != PUNCTUATED else [part for word in words for part in _parts(word)]


def _segmented(text: str) -> list[str]:
    found: list[str] = []
    at = 0
    while at < len(text):
        stop = _boundary(text, at) if _is_word(text[at]) else at + 1
        if _is_word(text[at]) and text[at] != "_":
            found.append(text[at:stop])
        at = stop
    return found


def _boundary(text: str, at: int) -> int:
    """Returns where the word ends that starts at a position."""
    kind, at = text[at], at + 1
    while at < len(text):
        char = text[at]
        if flag_table()[ord(char)] & _MARK:
            at += 1
            continue
        if _is_lone(kind) or _is_lone(char):
            break
        if _is_word(char):
            kind, at = char, at + 1
        elif _binds(kind, char, text[at + 1 : at + 2]):
            at += 2
        else:
            break
    return at


def _binds(left: str, sign: str, right: str) -> bool:
    letters = sign in BIND_BOTH + BIND_LETTERS and left.isalpha() and right.isalpha()
    digits = sign in BIND_BOTH + BIND_DIGITS and left.isdigit() and right.isdigit()
    return (letters or digits) and not _is_lone(right)


def _is_lone(char: str) -> bool:
    return _is_word(char) and re.match(f"[{_LONE}]", char) is not None


def _is_word(char: str) -> bool:
    lone = re.match(f"[{_LONE}]", char) is not None and char.isalnum()
    return lone or char.isalpha() or char.isdigit() or char == "_"


_HEAD = re.compile(rf"\.{{2,}}|{_class_of(EDGE_SIGNS + HEAD_SIGNS, _ICONS)}")
_EDGE = re.compile(_class_of(EDGE_SIGNS, _ICONS))
_ENDING = re.compile(r".(n['’]t|['’](?:[sdm]|ll|[rv]e))", re.IGNORECASE | re.ASCII | re.DOTALL)  # noqa: RUF001
_ALONE = re.compile(_class_of("…", _ICONS))
_SIGN = re.compile(rf"\.{{2,}}|{_class_of('…,.' + DASHES + JOINTS, _ICONS)}")


def _parts(word: str) -> list[str]:
    """Returns the parts of a word that stands between whitespace."""
    head, tail = [], []
    while match := _HEAD.match(word):
        head.append(match[0])
        word = word[match.end() :]
    while word and (width := _tail(word)):
        tail.append(word[-width:])
        word = word[:-width]
    return head + _inner(word) + tail[::-1]


def _tail(word: str) -> int:
    """Returns how many characters come off the end of a word as one part; 0 for none."""
    dots = len(word) - len(word.rstrip("."))
    if dots > 1:
        return dots
    if dots == 1:
        initial = word[-2:-1].isupper() and not word[-3:-2].isupper()
        return 0 if len(word) == 1 or initial else 1
    if _EDGE.match(word[-1]):
        return 1
    for width in (2, 3):
        if _ENDING.fullmatch(word[-width - 1 :]):
            return width
    return 0


def _inner(word: str) -> list[str]:
    found, start, at = [], 0, 0
    while match := _SIGN.search(word, at):
        sign, at = match[0], match.end()
        if (
            len(sign) > 1
            or _ALONE.match(sign)
            or (match.start() > start and _divides(word, at - 1))
        ):
            found += [word[start : match.start()], sign]
            start = at
    return [part for part in (*found, word[start:]) if part]


def _divides(word: str, at: int) -> bool:
    sign, left, right = word[at], word[at - 1], word[at + 1 : at + 2]
    if sign == ".":
        return left.isalpha() and not left.isupper() and right.isupper()
    if sign == ",":
        return left.isalpha() and right.isalpha()
    return (left.isalpha() or left.isdigit()) and right.isalpha()
