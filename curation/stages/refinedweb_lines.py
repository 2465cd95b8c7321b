"""Cuts and edits lines that menus, buttons and counters left behind: RefinedWeb's corrections.

Source: Penedo et al. 2023, arXiv 2306.01116, appendix G.2, by default as DataComp-LM repeats it;
what is counted how, and where the two differ, is said in `curation.text.refinedweb` and in
docs/conformance-lines.md.
"""

from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, StringConstraints

from curation.buffers import text_buffers
from curation.schema import DOCUMENT, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.refinedweb import COUNTERS, DEFINITIONS, LineRules, correct

Phrase = Annotated[str, StringConstraints(strip_whitespace=True, pattern=r"^[^\n]+$")]
"""What a line may hold."""

_COUNTS = {
    "lines": ("Lines with anything visible, before any was cut.", "lines"),
    "upper_lines": ("Lines cut for too many upper-case characters.", "lines"),
    "digit_lines": ("Lines cut for being digits only.", "lines"),
    "counter_lines": ('Lines cut for being a counter, like "3 likes".', "lines"),
    "few_word_lines": ("Lines cut for too few words.", "lines"),
    "edits_anywhere": ("Lines that lost a phrase of `anywhere`.", "lines"),
    "edits_at_end": ("Lines that lost a phrase of `ends`.", "lines"),
    "edits_at_start": ("Lines that lost a phrase of `starts`.", "lines"),
    "words": ("Words before anything was cut, as `definition` counts them.", "words"),
    "removed_words": ("Words removed, as `definition` counts them.", "words"),
}


class RefinedwebLines(BatchStage):
    """Cuts and edits lines of `text`; rejects pages of which that takes too many words.

    For English, and scripts with spaces between words: elsewhere each line is one word, so scope
    the stage by `languages`. A document that would lose all its text keeps it, and is rejected.
    """

    kind: Literal["refinedweb_lines"]
    definition: Literal["dclm", "paper"] = "dclm"
    """Whose reading: DataComp-LM's code, or the paper as it stands."""
    max_upper_ratio: float = Field(default=0.5, ge=0, le=1)
    """Largest share of upper-case characters in a line; 1: any."""
    digits: bool = True
    """Cuts lines of digits only."""
    counters: tuple[Phrase, ...] = COUNTERS
    """Cuts lines that are a number of these; none: keeps them."""
    min_words: int = Field(default=2, ge=0)
    """Fewest words (runs between white space) of a line."""
    short_words: int = Field(default=10, ge=0)
    """Most words of a line that is edited."""
    anywhere: tuple[Phrase, ...] = ("items in cart",)
    """Phrases cut out of short lines."""
    ends: tuple[Phrase, ...] = ("read more...",)
    """Phrases cut off the end of short lines; with "dclm" a full stop is any character."""
    starts: tuple[Phrase, ...] = ("sign-in",)
    """Phrases cut off the start of short lines."""
    max_removed_ratio: float = Field(default=0.05, ge=0, le=1)
    """Largest share of the page's words that all this may remove."""

    def line_rules(self) -> LineRules:
        """Returns the settings as the kernel takes them."""
        how = DEFINITIONS[self.definition]
        return LineRules(
            max_upper=self.max_upper_ratio,
            visible_only=int(how.visible_only),
            digits=int(self.digits),
            counters=_packed(self.counters),
            min_words=self.min_words,
            short_words=self.short_words,
            anywhere=_packed(self.anywhere),
            ends=_packed(self.ends),
            starts=_packed(self.starts),
            wild_dots=int(how.wild_dots),
            all_words=int(how.all_words),
            whole_lines=int(how.whole_lines),
        )

    def writes(self) -> pa.Schema:
        """Returns the text and the score columns: what was there, what was cut and why."""
        column = self.column
        fields = [DOCUMENT.field("text")]
        for name, about in (
            ("page_chars", "Length of the text before anything was cut."),
            ("chars", "Length of what stays."),
            ("cut_chars", "`page_chars` less `chars`."),
        ):
            fields.append(score(column(name), pa.int64(), about, unit="characters", low=0))
        for name, (about, unit) in _COUNTS.items():
            fields.append(score(column(name), pa.int64(), about, unit=unit, low=0))
        about = "Removed words by words; null without words."
        ratio = score(column("removed_ratio"), pa.float64(), about, unit="ratio", low=0, high=1)
        return pa.schema([*fields, ratio])

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bound on what goes, and those that no page may be without words or text."""
        column = self.column
        return (
            Rule("no_words", column("words"), low=1),
            Rule("no_text_left", column("chars"), low=1),
            Rule("many_removed_words", column("removed_ratio"), high=self.max_removed_ratio),
        )

    def open(self) -> BatchFunction:
        """Returns the function that corrects a batch."""
        rules = self.line_rules()
        return lambda batch: self._correct(batch.column("text"), rules)

    def _correct(self, old: pa.Array, rules: LineRules) -> Columns:
        offsets, data, counts = correct(*text_buffers(old), rules)
        new = pa.LargeStringArray.from_buffers(len(old), pa.py_buffer(offsets), pa.py_buffer(data))
        page_chars = pc.utf8_length(old).fill_null(0).to_numpy(zero_copy_only=False)
        chars = pc.utf8_length(new).to_numpy()
        cut = {"page_chars": page_chars, "chars": chars, "cut_chars": page_chars - chars}
        missing = old.is_null().to_numpy(zero_copy_only=False)
        stays = pa.array((chars > 0) & ~missing)
        return {
            "text": pc.if_else(stays, new, old.cast(pa.large_string())),
            self.column("removed_ratio"): _removed(counts, missing),
            **{
                self.column(name): pa.array(value, mask=missing)
                for name, value in (cut | counts).items()
            },
        }


def _removed(counts: dict[str, npt.NDArray[np.int64]], missing: npt.NDArray[np.bool_]) -> pa.Array:
    words = counts["words"]
    ratio = counts["removed_words"] / np.maximum(words, 1)
    return pa.array(ratio, mask=missing | (words == 0))


def _packed(phrases: tuple[str, ...]) -> npt.NDArray[np.uint8]:
    """Returns phrases as bytes, parted by line feeds, with ASCII letters in lower case."""
    data = "\n".join(phrases).encode().lower()
    return np.frombuffer(data, np.uint8)
