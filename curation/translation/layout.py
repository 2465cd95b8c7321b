"""Where the sentences of a text stand, and the text again with other sentences in their places.

A text is a sequence of *parts*: strings that stay as they are, byte for byte, and sentences.
The meaning:

- Fenced code (``` or ~~~) stays, with its fences. So does what shows no prose: a block with the
  signs of code, or with columns; one with fewer than `MIN_WORDS` words (or characters, of scripts
  without spaces), or of whose visible characters fewer than `MIN_LETTERS` are letters.
- Lines that were broken to fit a width belong together: the next line's first word would not have
  fitted on the one before, which does not end a sentence. They make one block; verses, lists and
  tables do not.
- Indentation, list marks, quotation marks and heading marks before a block stay, as does the white
  space between sentences.
- A sentence of more than `window` characters is cut behind a mark that parts clauses, else between
  words: engines have a longest input, and get worse before it.

A sentence of a wrapped block is translated as one line, and its translation is wrapped again at
the same width. A sentence whose translation is equal to it keeps its own line breaks, so that with
an engine that changes nothing the text does not change by a byte.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from curation.text.sentences import plain_sentence_spans

MIN_WORDS = 3
"""Fewest words of two letters or more in a block that is translated."""
MIN_LETTERS = 0.6
"""Smallest share of letters among the visible characters of such a block."""
_SHORTEST_WRAP = 40  # lines of verse are shorter than those that were broken to fit
_LONGEST_WRAP = 130  # longer ones are paragraphs
_ENDS = frozenset(".!?:;")
_FENCE = re.compile(r"\s*(```+|~~~+)")
_PREFIX = re.compile(r"(?:\s*(?:[-*+•·>#|]+|\(?\d{1,3}[.)]|\(?[A-Za-z][.)])(?=\s))*\s*")
_WORD = re.compile(r"[\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff]|[^\W\d_]{2,}")
_CODE = re.compile(r"(?:\w\(|=)[^\n]*[;{}]\s*$")
_SIGNS = frozenset("(){}[]<>*_=;|\\&")
_MOST_SIGNS = 0.08  # of the visible characters of prose
_COLUMNS = re.compile(r"\S {4,}\S")  # justified lines have gaps of two or three
_LAST_MARKS = re.compile(r"(?:\s+[-*\u2022\u2013]+)+$")
_ITEM = re.compile(r"(?<=[:.;?!])\s+[-*\u2022\u2013]\s+(?=\S)")
_HYPHENS = ("\u2010", "\u00ad")  # those that are there for the line break alone
_CLAUSE = re.compile(r"[;:,)\u2014\u2013](?=\s)")


@dataclass(frozen=True)
class Sentence:
    """One sentence as it stands in a text."""

    raw: str
    """Its characters, line breaks included."""
    line: str
    """The same in one line: what is translated."""
    indent: str = ""
    """What stands before the lines that follow the first of its block."""
    width: int = 0
    """Characters of a line of its block; 0: it is not wrapped."""
    column: int = 0
    """Where it starts in its line."""

    def put(self, translated: str, column: int) -> str:
        """Returns what stands in the sentence's place, where that starts in `column` of a line."""
        if translated == self.line and (column == self.column or not self.width):
            return self.raw
        return self._wrapped(translated, column) if self.width else translated

    def _wrapped(self, text: str, column: int) -> str:
        lines, room = [""], self.width - column
        for word in text.split():
            full = len(lines[-1]) + bool(lines[-1]) + len(word) > room
            if full and (lines[-1] or column > len(self.indent)):
                lines.append("")
                column, room = 0, self.width - len(self.indent)
            lines[-1] += f" {word}" if lines[-1] else word
        return f"\n{self.indent}".join(lines)


Part = str | Sentence


class _Line(NamedTuple):
    prefix: str
    content: str
    end: str  # trailing white space and the line break


def find_parts(text: str, window: int) -> list[Part]:
    """Cuts a text into what stays and the sentences.

    Args:
        text: Any text.
        window: Most characters of a sentence; a longer one is cut.

    Returns:
        Parts whose characters together are the text: `"".join(put_together(parts))`.
    """
    parts: list[Part] = []
    for block in _blocks(text):
        if isinstance(block, str):
            parts.append(block)
        else:
            parts.extend(_sentences(block, window))
    return parts


def put_together(parts: Sequence[Part], translated: Sequence[str]) -> str:
    """Returns a text again, with other sentences.

    Args:
        parts: What `find_parts` found.
        translated: One string for each sentence among them, in their order.
    """
    left, put, column = iter(translated), list[str](), 0
    for part in parts:
        put.append(part if isinstance(part, str) else part.put(next(left), column))
        _, line_break, last = put[-1].rpartition("\n")
        column = len(last) if line_break else column + len(last)
    return "".join(put)


def _blocks(text: str) -> Iterator[str | list[_Line]]:
    """Yields strings that stay and blocks of lines that are prose."""
    fence, run, widest = "", list[_Line](), 0
    for line in text.splitlines(keepends=True):
        mark = _FENCE.match(line)
        if fence:
            yield line
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
            continue
        parted = None if mark else _parted(line)
        width = 0 if parted is None else len(parted.prefix) + len(parted.content)
        if run and (parted is None or not _goes_on(run, parted, max(widest, width))):
            yield from _judged(run)
            run, widest = [], 0
        if parted is None:
            fence = mark[1] if mark else ""
            yield line
        else:
            run.append(parted)
            widest = max(widest, width)
    if run:
        yield from _judged(run)


def _parted(line: str) -> _Line | None:
    """Returns a line's parts; None where nothing is visible behind its marks."""
    found = _PREFIX.match(line)
    prefix = found.group() if found else ""
    content = line[len(prefix) :].rstrip()
    return _Line(prefix, content, line[len(prefix) + len(content) :]) if content else None


def _goes_on(run: list[_Line], line: _Line, widest: int) -> bool:
    """Says whether a line was broken off the one before, because it did not fit."""
    last, first = run[-1], run[0]
    if line.prefix.strip() or "\n" not in last.end or last.end.strip(" \t\r\n"):
        return False
    if last.content[-1] in _ENDS:  # then it matters for the width alone
        return False
    if len(run) > 1 and line.prefix != last.prefix:
        return False
    if len(run) == 1 and not (line.prefix == last.prefix or first.prefix.strip()):
        return False
    word = line.content.split(maxsplit=1)[0]
    full = len(last.prefix) + len(last.content) + 1 + len(word)
    return _SHORTEST_WRAP <= widest <= _LONGEST_WRAP and full > widest


def _judged(run: list[_Line]) -> Iterator[str | list[_Line]]:
    content = " ".join(line.content for line in run)
    letters = sum(map(str.isalpha, content))
    visible = sum(not char.isspace() for char in content)
    wordy = len(_WORD.findall(content)) >= MIN_WORDS and letters >= MIN_LETTERS * visible
    signs = sum(char in _SIGNS for char in content)
    code = _CODE.search(content) or signs > _MOST_SIGNS * visible or _COLUMNS.search(content)
    if wordy and not code:
        yield run
    else:
        yield "".join("".join(line) for line in run)


def _sentences(run: list[_Line], window: int) -> Iterator[Part]:
    """Yields the sentences of a block and what stands between them."""
    raw = "".join("".join(line) for line in run)
    start, end = len(run[0].prefix), len(raw) - len(run[-1].end)
    breaks = _breaks(run)
    flat = _flattened(raw[start:end], [(a - start, b - start) for a, b in breaks])
    at = 0
    for low, high in _windows(flat, window):
        line = _one_line(flat[low:high])
        if not any(map(str.isalpha, line)):
            continue
        # Places in `flat` are places in `raw`: breaks were overwritten, not taken out.
        yield raw[at : start + low]
        yield Sentence(
            raw=raw[start + low : start + high],
            line=line,
            indent=run[-1].prefix if len(run) > 1 else "",
            width=max(len(line.prefix) + len(line.content) for line in run) if breaks else 0,
            column=start + low - raw.rfind("\n", 0, start + low) - 1 if breaks else 0,
        )
        at = start + high
    yield raw[at:]


_JOINED, _SPACED = "\x00", " "


def _breaks(run: list[_Line]) -> list[tuple[int, int]]:
    """Returns where, in the raw block, a line's end and the next one's indentation stand."""
    found, at = [], 0
    for line, following in pairwise(run):
        at += len(line.prefix) + len(line.content)
        found.append((at, at + len(line.end) + len(following.prefix)))
        at += len(line.end)
    return found


def _flattened(text: str, breaks: list[tuple[int, int]]) -> str:
    """Overwrites each line break by spaces, or by nothing visible where a word was broken."""
    chars = list(text)
    for start, end in breaks:
        before = chars[start - 1]
        broken = before in _HYPHENS or (before == "-" and start > 1 and chars[start - 2].isalpha())
        if before in _HYPHENS:
            chars[start - 1] = _JOINED
        chars[start:end] = (_JOINED if broken else _SPACED) * (end - start)
    return "".join(chars)


def _one_line(flat: str) -> str:
    return " ".join(flat.replace(_JOINED, "").split()) if _has_runs(flat) else flat


def _has_runs(flat: str) -> bool:
    return _JOINED in flat or re.search(r"\s\s|[^\S ]", flat) is not None


def _windows(flat: str, window: int) -> Iterator[tuple[int, int]]:
    """Yields the places of sentences, none longer than the window."""
    for first, end in _items(flat):
        start = first
        while end - start > window:
            cut = _cut(flat, start, start + window)
            yield start, start + len(flat[start:cut].rstrip())
            rest = flat[cut:end]
            start = end - len(rest.lstrip())
        if start < end:
            yield start, end


def _items(flat: str) -> Iterator[tuple[int, int]]:
    """Yields the places of sentences, and of the items of a list within one line."""
    for first, end in plain_sentence_spans(flat):
        start = first
        for mark in _ITEM.finditer(flat, first, end):
            yield start, mark.start()
            start = mark.end()
        # What closes a sentence behind a space is the mark of the next item.
        stop = start + len(_LAST_MARKS.sub("", flat[start:end]))
        yield start, stop or end


def _cut(flat: str, start: int, limit: int) -> int:
    """Returns the last good place to cut at: behind a clause, else a word, else anywhere."""
    half = start + (limit - start) // 2
    clauses = [found.end() for found in _CLAUSE.finditer(flat, half, limit)]
    if clauses:
        return clauses[-1]
    space = max(flat.rfind(" ", start + 1, limit), flat.rfind("\n", start + 1, limit))
    return space if space > start else limit
