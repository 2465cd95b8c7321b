r"""Removes what has no meaning from texts: control characters, stray joiners, white space in heaps.

The rules, in the order of the plain twin `plain_normalize`:

1. Line ends: CR LF, CR, VT, FF, NEL, U+2028 and U+2029 become LF.
2. Dropped: the other control characters but the tab, soft hyphens, word joiners, byte order marks.
3. A run of joiners (U+200B zero-width space, U+200C non-joiner, U+200D joiner) is dropped, but for
   its first one where that has a meaning between its two neighbours: U+200C and U+200D between
   characters of scripts whose letters join (Arabic, Syriac, N'Ko, Mongolian, the Indic family),
   U+200D within emoji, U+200B between characters of scripts without spaces (Thai, Lao, Khmer ...).
   Marks of direction and variation selectors always stay.
4. Spaces of other widths become U+0020 (option).
5. Within a line a run of spaces becomes one, and one tab if a tab is in it (option); what a line
   starts with is kept (option) or removed; what it ends with is removed.
6. At most one empty line running; none at either end, where spaces go, too.

`compose` is what follows: NFC, after runs of over 30 combining marks were cut to 30.
"""

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jit import inlined, int64, kernel
from curation.text.unicode import decode, encode

_CONTENT, _LINE_END, _DROPPED, _JOINER, _SPACE, _TAB = range(6)
_ACTION = 7
"""Low three bits of a character's class: what is done with it."""
_JOINS, _UNSPACED, _EMOJI, _MAY_COMPOSE = 8, 16, 32, 64

_CR, _LF, _BLANK, _TABULATOR, _DELETE = 0x0D, 0x0A, 0x20, 0x09, 0x7F
_ZERO_WIDTH_SPACE, _ZERO_WIDTH_JOINER = 0x200B, 0x200D

_LINE_ENDS = "\n-\r\x85\u2028\u2029"
_CONTROLS = "\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\xad\u2060\ufeff"
_JOINERS = "\u200b-\u200d"
_WIDE_SPACES = "\xa0\u1680\u2000-\u200a\u202f\u205f\u3000"
_JOINING_SCRIPTS = (
    "\u0600-\u07ff\u0840-\u0dff\u0f00-\u109f\u1780-\u18af\u1900-\u194f\u1a20-\u1bff\ua840-\ua87f"
    "\ua8e0-\ua8ff\ua980-\ua9df\uaae0-\uaaff\uabc0-\uabff\ufb50-\ufdff\ufe70-\ufefe"
    "\U00010a00-\U00011fff\U0001e900-\U0001e95f"
)
_UNSPACED_SCRIPTS = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u1950-\u19ff\u1a20-\u1aaf\uaa60-\uaadf"
# Without U+2329 and U+232A, which NFC turns into brackets of another block.
_EMOJI_CHARS = (
    "\u20e3\u2190-\u21ff\u2300-\u2328\u232b-\u23ff\u24c2\u25a0-\u27bf\u2934\u2935\u2b00-\u2bff"
    "\u3030\u303d\u3297\u3299\ufe0f\U0001f000-\U0001faff\U000e0020-\U000e007f"
)


MOST_MARKS = 30


class Options(NamedTuple):
    """Which rules apply beyond those that always do."""

    plain_spaces: bool = True
    collapse_spaces: bool = True
    keep_indentation: bool = True


@lru_cache(maxsize=2)
def char_table(*, plain_spaces: bool) -> npt.NDArray[np.uint8]:
    """Returns the class of each code point: what is done with it, and what its neighbours may be.

    Args:
        plain_spaces: Spaces of other widths are spaces, too; else they are content.

    Returns:
        uint8[0x110000], made in about 0.1 s, once per process.
    """
    table = np.zeros(0x110000, np.uint8)
    for bit, chars in ((_JOINS, _JOINING_SCRIPTS), (_UNSPACED, _UNSPACED_SCRIPTS)):
        table[_code_points(chars)] |= bit
    table[_code_points(_EMOJI_CHARS)] |= _EMOJI
    table[_composing()] |= _MAY_COMPOSE
    for action, chars in (
        (_LINE_END, _LINE_ENDS.replace("\n-\r", "\n\x0b\x0c\r")),
        (_DROPPED, _CONTROLS),
        (_JOINER, _JOINERS),
        (_SPACE, " " + _WIDE_SPACES if plain_spaces else " "),
        (_TAB, "\t"),
    ):
        table[_code_points(chars)] |= action
    table.setflags(write=False)
    return table


def _code_points(chars: str) -> npt.NDArray[np.int64]:
    """Returns the code points of what stands between the brackets of a regular expression."""
    parts = re.findall(r"(.)(?:-(.))?", chars, re.DOTALL)
    return np.concatenate([np.arange(ord(low), ord(high or low) + 1) for low, high in parts])


def _composing() -> npt.NDArray[np.int64]:
    """Returns the code points that NFC may change, alone or with the one before."""
    found = set(range(0x1161, 0x1176)) | set(range(0x11A8, 0x11C3))  # Hangul vowels and finals
    for code_point in range(0xC0, 0x30000):
        char = chr(code_point)
        if unicodedata.combining(char):
            found.add(code_point)
        parts = unicodedata.decomposition(char)
        if parts and not parts.startswith("<"):
            found.update(int(part, 16) for part in parts.split()[1:])
            if not unicodedata.is_normalized("NFC", char):
                found.add(code_point)
    return np.array(sorted(found), np.int64)


@inlined
def _means(joiner: int, before: int, after: int) -> bool:
    """Says whether a joiner has a meaning between two characters of these classes."""
    meaningful = _JOINS
    if joiner == _ZERO_WIDTH_SPACE:
        meaningful = _UNSPACED
    elif joiner == _ZERO_WIDTH_JOINER:
        meaningful |= _EMOJI
    return before & after & meaningful > 0


class _Gap(NamedTuple):
    """What stands between two pieces of content."""

    line_ends: int
    spaces: int
    tabs: int
    joiner: int
    """The first joiner in it, if it means something to these neighbours; else 0."""
    start: int
    """Where it starts."""
    line: int
    """Where the last line in it starts; `start` without line ends."""
    end: int
    """Where content goes on."""


@kernel
def _read_gap(
    text: npt.NDArray[np.uint8],
    start: int,
    kind_before: int,
    table: npt.NDArray[np.uint8],
) -> _Gap:
    line_ends = spaces = tabs = joiner = before = 0
    at = line = start
    while at < len(text):
        code_point, after = decode(text, at, len(text))
        action = int64(table[code_point]) & _ACTION
        if action == _CONTENT:
            break
        if action == _LINE_END:
            line_ends += code_point != _LF or before != _CR
            line = after
        elif action == _JOINER and joiner == 0:
            joiner = code_point
        spaces += action == _SPACE
        tabs += action == _TAB
        before, at = code_point, after
    kind_after = int64(table[decode(text, at, len(text))[0]]) if at < len(text) else 0
    if not _means(joiner, kind_before, kind_after):
        joiner = 0
    return _Gap(line_ends, spaces, tabs, joiner, start, line, at)


@kernel
def _write_spaces(
    text: npt.NDArray[np.uint8],
    start: int,
    end: int,
    table: npt.NDArray[np.uint8],
    new: npt.NDArray[np.uint8],
    fill: int,
) -> int:
    """Copies the spaces and tabs of a gap without line ends; returns the end of what is written."""
    at = start
    while at < end:
        code_point, at = decode(text, at, end)
        action = int64(table[code_point]) & _ACTION
        if action in (_TAB, _SPACE):
            new[fill] = _TABULATOR if action == _TAB else _BLANK
            fill += 1
    return fill


@kernel
def _write_gap(
    text: npt.NDArray[np.uint8],
    gap: _Gap,
    table: npt.NDArray[np.uint8],
    options: tuple[bool, bool],
    new: npt.NDArray[np.uint8],
    fill: int,
) -> int:
    """Writes what remains of a gap between two pieces of content; returns where that ends."""
    if gap.line_ends > 0:
        for _ in range(min(gap.line_ends, 2)):
            new[fill] = _LF
            fill += 1
        return _write_spaces(text, gap.line, gap.end, table, new, fill) if options[1] else fill
    if gap.spaces + gap.tabs > 0:
        if not options[0]:
            return _write_spaces(text, gap.start, gap.end, table, new, fill)
        new[fill] = _TABULATOR if gap.tabs > 0 else _BLANK
        return fill + 1
    return encode(gap.joiner, new, fill) if gap.joiner > 0 else fill


@inlined
def _normalize(
    text: npt.NDArray[np.uint8],
    table: npt.NDArray[np.uint8],
    options: tuple[bool, bool],
    new: npt.NDArray[np.uint8],
    fill: int,
) -> tuple[int, bool]:
    """Normalizes one text into `new` from `fill` on; returns its end and if it may compose."""
    start, at, kinds, kind = fill, 0, 0, 0
    while at < len(text):
        code_point, after = decode(text, at, len(text))
        if _BLANK < code_point < _DELETE or _is_lone_space(text, at, fill - start):
            new[fill] = code_point  # most characters of most texts go this way
            fill, at, kind = fill + 1, after, 0
            continue
        found = int64(table[code_point])
        if found & _ACTION == _CONTENT:
            kind = found
            kinds |= kind
            while at < after:
                new[fill] = text[at]
                fill, at = fill + 1, at + 1
            continue
        gap = _read_gap(text, at, kind, table)
        at = gap.end
        if at < len(text) and fill > start:
            fill = _write_gap(text, gap, table, options, new, fill)
    return fill, kinds & _MAY_COMPOSE > 0


@inlined
def _is_lone_space(text: npt.NDArray[np.uint8], at: int, written: int) -> bool:
    """Says whether a space between content and an ASCII character starts at `at`."""
    if text[at] != _BLANK or written == 0 or at + 1 >= len(text):
        return False
    return _BLANK < int64(text[at + 1]) < _DELETE


@kernel
def normalize_rows(
    offsets: npt.NDArray[np.int64],
    data: npt.NDArray[np.uint8],
    table: npt.NDArray[np.uint8],
    options: tuple[bool, bool],
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.uint8], npt.NDArray[np.bool_]]:
    """Applies the rules of this module to n texts.

    Args:
        offsets: int64[n + 1], text k is `data[offsets[k] : offsets[k + 1]]`.
        data: uint8, UTF-8.
        table: The result of `char_table`.
        options: Of `Options`: collapse_spaces, keep_indentation.

    Returns:
        Offsets (int64[n + 1], from 0) and data (uint8) of the new texts, and bool[n]: has a
        character that `compose` may change.
    """
    rows = len(offsets) - 1
    new_offsets = np.zeros(rows + 1, np.int64)
    new_data = np.empty(offsets[rows] - offsets[0], np.uint8)
    may_compose = np.zeros(rows, np.bool_)
    fill = 0
    for row in range(rows):
        text = data[offsets[row] : offsets[row + 1]]
        fill, may_compose[row] = _normalize(text, table, options, new_data, fill)
        new_offsets[row + 1] = fill
    return new_offsets, new_data[:fill], may_compose


@lru_cache(maxsize=1)
def _heaped_marks() -> re.Pattern[str]:
    marks = "".join(filter(unicodedata.combining, map(chr, range(0x300, 0x20000))))
    return re.compile(f"([{marks}]{{{MOST_MARKS}}})[{marks}]+")


def compose(text: str) -> str:
    """Returns the text in NFC, with at most `MOST_MARKS` combining marks on one character.

    Without that limit a hostile text takes hours: the marks of one character are put in order in
    a time that grows with the square of their number (80,000 take 7 s).

    Source: Unicode Standard Annex #15, section 13, whose stream-safe format has the same limit.
    """
    text = _heaped_marks().sub(r"\1", text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


_LINE_END_PATTERN = re.compile("\r\n|[\n\x0b\x0c\r\x85\u2028\u2029]")
_DROPPED_PATTERN = re.compile(f"[{_CONTROLS}]")
_JOINER_PATTERN = re.compile(f"[{_JOINERS}]+")
_WIDE_SPACE_PATTERN = re.compile(f"[{_WIDE_SPACES}]")
_SPACE_RUN_PATTERN = re.compile(r"(?<=[^ \t])[ \t]+")


def plain_normalize(text: str, options: Options) -> str:
    """Applies the rules of this module in plain Python: the meaning of `normalize_rows`."""
    text = _LINE_END_PATTERN.sub("\n", text)
    text = _DROPPED_PATTERN.sub("", text)
    text = _JOINER_PATTERN.sub(_joiner_that_means, text)
    if options.plain_spaces:
        text = _WIDE_SPACE_PATTERN.sub(" ", text)
    lines = [_plain_line(line, options) for line in text.split("\n")]
    return re.sub("\n{3,}", "\n\n", "\n".join(lines)).strip(" \t\n")


def _plain_line(line: str, options: Options) -> str:
    line = line.rstrip(" \t")
    if not options.keep_indentation:
        line = line.lstrip(" \t")
    if options.collapse_spaces:
        line = _SPACE_RUN_PATTERN.sub(lambda run: "\t" if "\t" in run[0] else " ", line)
    return line


def _joiner_that_means(match: re.Match[str]) -> str:
    start, end = match.span()
    neighbours = match.string[max(0, start - 1) : start] + match.string[end : end + 1]
    joiner = match[0][0]

    def both(chars: str) -> bool:
        return re.fullmatch(f"[{chars}]{{2}}", neighbours) is not None

    if joiner == "\u200b":
        means = both(_UNSPACED_SCRIPTS)
    else:
        means = both(_JOINING_SCRIPTS) or (joiner == "\u200d" and both(_EMOJI_CHARS))
    return joiner if means else ""
