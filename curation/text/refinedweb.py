r"""RefinedWeb's line-wise corrections: what menus, buttons and counters leave behind in main text.

Source: Penedo et al. 2023, "The RefinedWeb Dataset for Falcon LLM", arXiv 2306.01116, appendix G.2.
Lines go that are mainly upper case, only numerical, a counter ("3 likes"), or one word; lines of
at most ten words are edited ("sign-in" at the start, "Read more..." at the end, "items in cart"
anywhere); and a page goes when the flagged lines hold more than 5 % of its words. The paper gives
no numbers for "mainly", and one example for each pattern. `DEFINITIONS` holds two readings:

- `dclm`: the code of DataComp-LM (Li et al. 2024, arXiv 2406.11794), `refinedweb.yaml`: more than
  half of all characters; digits alone, no space among them; twelve nouns for counters; the full
  stops of a phrase stand for any character, as its patterns leave them unescaped, so "Read more >>"
  is edited and "Read more" is not; words are removed when they are gone.
- `paper`: ours where the paper is silent: white space counts neither among the characters of a
  line nor between its digits; phrases are meant as they stand; all words of a line that was cut or
  edited count as removed, and every run between white space is a word.

Differs from DCLM: case is compared for ASCII letters only; digits of counters are those of ASCII;
the page is stripped at the end, and where no earlier line stayed, not after each rule, so white
space that stands behind the last line, or stays there after an edit, can keep it from the next.
"""

import re
from typing import NamedTuple

from curation.text.refinedweb_lines import COLUMNS, Bytes, Ints, LineRules, correct_rows

__all__ = ["COLUMNS", "COUNTERS", "DEFINITIONS", "Definition", "LineRules", "correct"]

COUNTERS = (
    "likes",
    "shares",
    "comments",
    "retweets",
    "reposts",
    "quotes",
    "bookmarks",
    "upvotes",
    "downvotes",
    "downloads",
    "views",
    "followers",
)
"""What a counter counts, by DataComp-LM."""


class Definition(NamedTuple):
    """One reading of the rules."""

    visible_only: bool
    wild_dots: bool
    all_words: bool
    whole_lines: bool


DEFINITIONS = {
    "dclm": Definition(visible_only=False, wild_dots=True, all_words=False, whole_lines=False),
    "paper": Definition(visible_only=True, wild_dots=False, all_words=True, whole_lines=True),
}
"""The readings, by name."""


def correct(offsets: Ints, data: Bytes, rules: LineRules) -> tuple[Ints, Bytes, dict[str, Ints]]:
    """Applies the corrections to every text of an Arrow string column.

    Args:
        offsets: int64[n + 1], ascending; text i is `data[offsets[i]:offsets[i + 1]]`.
        data: uint8, UTF-8.
        rules: Which lines go, and what is edited.

    Returns:
        Offsets (int64[n + 1], from 0) and data (uint8) of the new texts, and by the names in
        `COLUMNS` int64[n]: lines with anything visible, those cut (by the first rule that took
        them: `upper_lines` to `few_word_lines`), lines edited (`edits_anywhere` to
        `edits_at_start`), words before, and words removed.
    """
    new_offsets, new, counts = correct_rows(offsets, data, rules)
    return new_offsets, new, {name: counts[:, k] for k, name in enumerate(COLUMNS)}


def plain_correct(text: str, rules: LineRules) -> tuple[str, dict[str, int]]:
    """Says in plain Python what `correct` does to one text: the new text, and the counts."""
    counts = dict.fromkeys(COLUMNS, 0)
    kept: list[str] = []
    for raw in text.split("\n"):
        line: str | None = raw
        if raw.strip():
            line = _plain_line(raw, rules, counts, first=not kept)
        elif raw or not kept:
            line = None
        if line is not None:
            kept.append(line)
    return "\n".join(kept).strip(), counts


def _plain_line(line: str, rules: LineRules, counts: dict[str, int], *, first: bool) -> str | None:
    """Returns a line as it stays, None if it goes."""
    counts["lines"] += 1
    counts["words"] += (words := _plain_words(line, rules))
    reason = _plain_cut(line, rules)
    new = line.lstrip() if first else line
    if reason:
        counts[reason] += 1
        new = ""
    elif len(line.split()) <= rules.short_words:
        for name, pattern in _plain_edits(rules):
            edited = pattern.sub("", new)
            counts[name] += edited != new
            new = edited
            if not new.strip():
                break
    if len(new) < len(line.lstrip() if first else line):
        counts["removed_words"] += words - (0 if rules.whole_lines else _plain_words(new, rules))
    return new if new.strip() else None


def _plain_words(line: str, rules: LineRules) -> int:
    if rules.all_words:
        return len(line.split())
    return sum(token[:1].isalnum() for token in re.split("[ \n\r\t\v\f\0]", line))


def _plain_cut(line: str, rules: LineRules) -> str:
    """Returns why a line goes, as a name in `COLUMNS`; empty if it stays."""
    chars = "".join(line.split()) if rules.visible_only else line
    digits = "".join(line.split()) if rules.visible_only else line.strip()
    nouns = "|".join(map(re.escape, _phrases(rules.counters)))
    counter = rf"\W*[0-9][0-9.,]*[kmbKMB]?\s+(?ai:{nouns})\W*"
    if sum(map(str.isupper, chars)) / len(chars) > rules.max_upper:
        return "upper_lines"
    if rules.digits and all(map(str.isdigit, digits)):
        return "digit_lines"
    if nouns and re.fullmatch(counter, line):
        return "counter_lines"
    return "few_word_lines" if len(line.split()) < rules.min_words else ""


def _plain_edits(rules: LineRules) -> list[tuple[str, re.Pattern[str]]]:
    """Returns the patterns that short lines lose, in their order."""
    edits = [
        ("edits_anywhere", rules.anywhere, r"\s?(?ai:{})"),
        ("edits_at_end", rules.ends, r"\s?(?ais:{})\Z"),
        ("edits_at_start", rules.starts, r"\A(?ai:{})\s?"),
    ]
    return [
        (name, re.compile(form.format(_alternatives(phrases, rules))))
        for name, phrases, form in edits
        if len(phrases)
    ]


def _alternatives(phrases: Bytes, rules: LineRules) -> str:
    found = "|".join(map(re.escape, _phrases(phrases)))
    return found.replace(r"\.", ".") if rules.wild_dots else found


def _phrases(phrases: Bytes) -> list[str]:
    return phrases.tobytes().decode().split("\n") if len(phrases) else []
