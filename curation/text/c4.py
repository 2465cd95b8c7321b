r"""The rules of C4: lines that look like sentences stay, pages that have enough of them stay.

Source: Raffel et al. 2020, "Exploring the Limits of Transfer Learning with a Unified Text-to-Text
Transformer", arXiv 1910.10683, section 2.2. The paper tells the rules in a few lines; the programs
that repeat them differ in each (docs/conformance-lines.md). `DEFINITIONS` holds four readings:

- `datatrove`: C4QualityFilter of datatrove 0.10, with which FineWeb was made;
- `tfds`: the code of TensorFlow Datasets, with which C4 itself was made;
- `dclm`: `c4.yaml` of DataComp-LM;
- `dolma`: the tagger `c4_v2` of Dolma 1.2, with its line tags cut and its page tags rejected.

Our meaning, where it differs from all of them: "javascript", "lorem ipsum" and the phrases are
compared without regard to the case of ASCII letters only (they also lower U+212A to a "k"); the
digits of a citation mark are those of ASCII; sentences are counted by `curation.text.sentences`;
empty lines are no lines.
"""

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from curation.text.c4_lines import COLUMNS, END_MARKS, Bytes, Ints, LineRules, clean_rows
from curation.text.c4_phrases import POLICY
from curation.text.sentences import plain_sentences

__all__ = ["COLUMNS", "DEFINITIONS", "END_MARKS", "POLICY", "Definition", "LineRules", "clean"]


class Definition(NamedTuple):
    """One reading of the rules: how lines are found, and the settings that go with it."""

    all_line_ends: bool
    strip: bool
    strip_text: bool
    keep_blank: bool
    flags_first: bool
    words_after_citations: bool
    space_after_mark: bool
    settings: dict[str, Any]
    """Defaults of the stage `c4_quality`, by name."""


_COMMON: dict[str, Any] = {
    "citations": True,
    "javascript": "line",
    "policy": True,
    "lorem_ipsum": True,
    "curly_bracket": True,
    "max_word_chars": 1000,
}

DEFINITIONS = {
    "datatrove": Definition(
        all_line_ends=True,
        strip=True,
        strip_text=True,
        keep_blank=False,
        flags_first=False,
        words_after_citations=False,
        space_after_mark=False,
        settings=_COMMON
        | {
            "end_marks": (".", "?", "!", '"', "'"),
            "ellipsis": "cut",
            "min_words": 3,
            "min_sentences": 5,
        },
    ),
    "tfds": Definition(
        all_line_ends=True,
        strip=True,
        strip_text=True,
        keep_blank=False,
        flags_first=False,
        words_after_citations=True,
        space_after_mark=False,
        settings=_COMMON
        | {
            "end_marks": (".", "?", "!", '"'),
            "ellipsis": "cut",
            "min_words": 5,
            "min_sentences": 3,
            "max_chars": 190_000,
        },
    ),
    "dclm": Definition(
        all_line_ends=False,
        strip=False,
        strip_text=True,
        keep_blank=True,
        flags_first=False,
        words_after_citations=True,
        space_after_mark=True,
        settings=_COMMON
        | {
            "end_marks": (".", "?", "!", '"', "…"),
            "ellipsis": "cut_all",
            "min_words": 5,
            "min_sentences": 3,
            "max_chars": 190_000,
        },
    ),
    "dolma": Definition(
        all_line_ends=False,
        strip=False,
        strip_text=False,
        keep_blank=False,
        flags_first=True,
        words_after_citations=False,
        space_after_mark=True,
        settings=_COMMON
        | {
            "end_marks": (".", "?", "!", '"'),
            "ellipsis": "keep",
            "min_words": 3,
            "min_sentences": 0,
            "max_word_chars": 0,
            "citations": False,
            "javascript": "document",
            "policy": False,
        },
    ),
}
"""The readings, by name."""

_CITATION = re.compile(r"\[[0-9]*\]|\[edit\]|\[citation needed\]")
_UPPER_TO_LOWER = {code: code + 32 for code in range(ord("A"), ord("Z") + 1)}


def clean(offsets: Ints, data: Bytes, rules: LineRules) -> tuple[Ints, Bytes, dict[str, Ints]]:
    """Applies the line rules to every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.
        rules: Which lines go.

    Returns:
        Offsets (int64[n + 1], from 0) and data (uint8) of the new texts, and by the names in
        `COLUMNS` int64[n]: the lines of the old text, those cut (by the first rule that took them:
        `long_word_lines` to `policy_lines`), the citation marks removed, the lines with a phrase
        that the whole document is rejected for, and the sentences of the new text.
    """
    new_offsets, new, counts = clean_rows(offsets, data, rules)
    return new_offsets, new, {name: counts[:, k] for k, name in enumerate(COLUMNS)}


def plain_clean(text: str, rules: LineRules) -> tuple[str, dict[str, int]]:
    r"""Says in plain Python what `clean` does to one text: the new text, and the counts.

    Examples:
        >>> rules = LineRules(1, 1, 1, 0, 0, 0, 1, 31, 1, 0, 3, 1000, 1, 1)
        >>> plain_clean("Home\nIt was late.[1]\nTurn on JavaScript now.", rules)[0]
        'It was late.'
    """
    counts = dict.fromkeys(COLUMNS, 0)
    kept = list(_plain_lines(text, rules, counts))
    if not any(line.strip() for line in kept):
        return "", counts
    new = "\n".join(kept)
    return (new.strip() if rules.strip_text else new), counts


def _plain_lines(text: str, rules: LineRules, counts: dict[str, int]) -> Iterator[str]:
    for raw in text.splitlines() if rules.all_line_ends else text.split("\n"):
        line = raw.strip() if rules.strip else raw
        if not line.strip():
            if rules.keep_blank and not line:
                yield line
            continue
        counts["lines"] += 1
        words = line.split()
        if rules.citations:
            line, marks = _CITATION.subn("", line)
            counts["citations"] += marks
        long_word = any(len(word) > rules.max_word_chars >= 0 for word in words)
        if rules.words_after_citations:
            words = line.split()
        reason = _plain_cut(line, len(words), rules, counts, long_word=long_word)
        if reason:
            counts[reason] += 1
            continue
        counts["sentences"] += plain_sentences(line)
        yield line


def _plain_cut(
    line: str, words: int, rules: LineRules, counts: dict[str, int], *, long_word: bool
) -> str:
    """Returns why a line goes, as a name in `COLUMNS`; empty if it stays."""
    lower = line.translate(_UPPER_TO_LOWER)
    found = {
        "lorem_ipsum": "lorem ipsum" in lower,
        "javascript": "javascript" in lower,
        "curly_brackets": "{" in line,
    }
    if rules.flags_first:
        _add(counts, found)
    if long_word:
        return "long_word_lines"
    if rules.end_marks and not _plain_may_end(line, rules):
        return "no_end_mark_lines"
    if words < rules.min_words:
        return "few_word_lines"
    curly = {"curly_brackets": found.pop("curly_brackets")}
    if not rules.flags_first:
        _add(counts, found)
    if rules.javascript and found["javascript"]:
        return "javascript_lines"
    if not rules.flags_first:
        _add(counts, curly)
    return "policy_lines" if rules.policy and any(map(lower.__contains__, POLICY)) else ""


def _add(counts: dict[str, int], found: dict[str, bool]) -> None:
    for name, value in found.items():
        counts[name] += value


def _plain_may_end(line: str, rules: LineRules) -> bool:
    if rules.space_after_mark:
        line = line.rstrip()
    if line.endswith(("...", "…")[: rules.ellipsis]):
        return False
    marks = tuple(mark for bit, mark in enumerate(END_MARKS) if rules.end_marks >> bit & 1)
    return line.endswith(marks)
