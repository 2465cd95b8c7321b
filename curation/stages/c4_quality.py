"""Keeps the lines of a page that are sentences, and the pages that have enough of them: C4's rules.

Source: Raffel et al. 2020, arXiv 1910.10683, section 2.2; the rule on paragraphs is mC4's: Xue et
al. 2021, arXiv 2010.11934, section 3.1. What is counted how, and where other programs differ, is
said in `curation.text.c4` and docs/conformance-lines.md.
"""

import hashlib
from typing import Any, ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, field_validator, model_validator

from curation.buffers import text_buffers
from curation.schema import DOCUMENT, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.c4 import COLUMNS, DEFINITIONS, END_MARKS, LineRules, clean
from curation.text.chars import count_long_lines
from curation.text.phrases import PhraseTable, count_phrases
from curation.word_list import checked_digest, open_list

_ELLIPSES = ("keep", "cut", "cut_all")
_UNIT = {"citations": "marks", "sentences": "sentences", "paragraphs": "lines"}
_ABOUT = {
    "lines": "Lines with anything visible, before any was cut.",
    "long_word_lines": "Lines cut for a word of too many characters.",
    "no_end_mark_lines": "Lines cut for not ending like a sentence.",
    "few_word_lines": "Lines cut for too few words.",
    "javascript_lines": 'Lines cut for "javascript".',
    "policy_lines": "Lines cut for a phrase of terms or cookie notices.",
    "citations": "Citation marks removed, those in lines that were cut then included.",
    "lorem_ipsum": 'Lines with "lorem ipsum", of those that earlier line rules left.',
    "curly_brackets": "Lines with a curly bracket, of those that earlier line rules left.",
    "javascript": 'Lines with "javascript", of those that earlier line rules left.',
    "sentences": "Sentences of the lines that stay.",
    "paragraphs": "Lines of at least `min_paragraph_chars`, before any was cut.",
    "bad_words": "Places in the lines that stay with a word of the list.",
}


class C4Quality(BatchStage):
    """Cuts lines that are no sentences out of `text`; rejects pages with too few left.

    `definition` says whose reading of the rules applies, and with it what the settings are that
    are not given. A document that would lose all its text keeps it, and is rejected for that.
    """

    files: ClassVar[frozenset[str]] = frozenset({"bad_words"})
    needs: ClassVar[frozenset[str]] = frozenset({"text", "doc_id"})

    kind: Literal["c4_quality"]
    definition: Literal["datatrove", "tfds", "dclm", "dolma"] = "datatrove"
    """datatrove: as FineWeb; tfds: as C4 itself; dclm: DataComp-LM's c4.yaml; dolma: its c4_v2."""
    end_marks: tuple[str, ...] = DEFINITIONS["datatrove"].settings["end_marks"]
    """What a line may end with, of `. ? ! " ' …`; none: lines may end with anything."""
    ellipsis: Literal["keep", "cut", "cut_all"] = "cut"
    """Cuts lines that end in `...` ("cut"), or in `…`, too ("cut_all"); with `end_marks` only."""
    min_words: int = Field(default=3, ge=0)
    """Fewest words (runs between white space) of a line."""
    max_word_chars: int = Field(default=1000, ge=0)
    """Most characters of a word; a line with a longer one is cut; 0: any number."""
    citations: bool = True
    """Removes `[1]`, `[edit]` and `[citation needed]`."""
    javascript: Literal["keep", "line", "document"] = "line"
    """What goes where "javascript" is found: nothing, the line, or the document."""
    policy: bool = True
    """Cuts lines with "privacy policy", "use cookies" and four phrases like them."""
    lorem_ipsum: bool = True
    """Rejects documents with "lorem ipsum"."""
    curly_bracket: bool = True
    """Rejects documents with `{`."""
    min_sentences: int = Field(default=5, ge=0)
    """Fewest sentences of the lines that stay; 0: any number."""
    max_chars: int = Field(default=0, ge=0)
    """Most characters of the page before lines are cut; 0: any number."""
    min_paragraphs: int = Field(default=0, ge=0)
    """Fewest long lines of the page before lines are cut: 3 in mC4; 0: any number."""
    min_paragraph_chars: int = Field(default=200, ge=1)
    """Fewest characters of a long line."""
    bad_words: str | None = None
    """File with one word or phrase a line, UTF-8; documents in which one stands are rejected."""
    bad_words_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of that file: identity, filled in by itself; where given it must be right."""
    bad_words_anywhere: bool = False
    """Finds the words inside others, too: for languages without spaces between words."""
    bad_words_keep: float = Field(default=0, ge=0, le=1)
    """Share of the documents with such words that is kept, drawn by `seed` and document id."""
    seed: int | None = Field(default=None, ge=0, lt=2**32)
    """Decides the draw; default: the recipe's, and 0 without a list."""

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, given: Any) -> Any:
        if isinstance(given, dict):
            definition = DEFINITIONS.get(given.get("definition", "datatrove"))
            return {**definition.settings, **given} if definition else given
        return given

    @field_validator("end_marks")
    @classmethod
    def _check_marks(cls, marks: tuple[str, ...]) -> tuple[str, ...]:
        for mark in marks:
            if mark not in END_MARKS:
                raise ValueError(
                    f"end_marks has '{mark}'; expected some of {' '.join(END_MARKS)}; leave it out"
                )
        return marks

    @model_validator(mode="after")
    def _read_list(self) -> Self:
        if self.bad_words is None:
            if self.seed is None:  # nothing is drawn, so the recipe's seed changes nothing
                object.__setattr__(self, "seed", 0)
            return self
        digest = checked_digest("bad_words", self.bad_words, self.bad_words_digest)
        object.__setattr__(self, "bad_words_digest", digest)
        return self

    def line_rules(self) -> LineRules:
        """Returns the settings as the kernel takes them."""
        how = DEFINITIONS[self.definition]
        return LineRules(
            all_line_ends=int(how.all_line_ends),
            strip=int(how.strip),
            strip_text=int(how.strip_text),
            keep_blank=int(how.keep_blank),
            flags_first=int(how.flags_first),
            words_after_citations=int(how.words_after_citations),
            citations=int(self.citations),
            end_marks=sum(1 << END_MARKS.index(mark) for mark in set(self.end_marks)),
            ellipsis=_ELLIPSES.index(self.ellipsis),
            space_after_mark=int(how.space_after_mark),
            min_words=self.min_words,
            max_word_chars=self.max_word_chars or -1,
            javascript=int(self.javascript == "line"),
            policy=int(self.policy),
        )

    def writes(self) -> pa.Schema:
        """Returns the text and the score columns: what was there, what was cut and why."""
        fields = [DOCUMENT.field("text")]
        for name, about, unit in (
            ("page_chars", "Length of the text before anything was cut.", "characters"),
            ("chars", "Length of the lines that stay.", "characters"),
            ("cut_chars", "`page_chars` less `chars`.", "characters"),
            *((name, about, _UNIT.get(name, "lines")) for name, about in _ABOUT.items()),
        ):
            fields.append(score(self.column(name), pa.int64(), about, unit=unit, low=0))
        draw = "Drawn for a document with bad words; null for others."
        fields.append(score(self.column("bad_words_draw"), pa.float64(), draw, low=0, high=1))
        return pa.schema(fields)

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that are switched on, and the one that no text may be empty."""
        column = self.column
        rules = {
            Rule("long_page", column("page_chars"), high=self.max_chars): self.max_chars,
            Rule("few_paragraphs", column("paragraphs"), low=self.min_paragraphs): (
                self.min_paragraphs
            ),
            Rule("lorem_ipsum", column("lorem_ipsum"), high=0): self.lorem_ipsum,
            Rule("curly_bracket", column("curly_brackets"), high=0): self.curly_bracket,
            Rule("javascript", column("javascript"), high=0): self.javascript == "document",
            Rule("no_text_left", column("chars"), low=1): True,
            Rule("few_sentences", column("sentences"), low=self.min_sentences): self.min_sentences,
            Rule("bad_words", column("bad_words_draw"), high=self.bad_words_keep): self.bad_words,
        }
        return tuple(rule for rule, on in rules.items() if on)

    def open(self) -> BatchFunction:
        """Reads the list of bad words and returns the function that cuts a batch.

        Raises:
            DataError: The list is another than when the recipe was planned.
        """
        table = None
        if self.bad_words is not None:
            table = open_list(self.name, self.bad_words, self.bad_words_digest)
        rules = self.line_rules()
        return lambda batch: self._clean(batch, rules, table)

    def _clean(self, batch: pa.RecordBatch, rules: LineRules, table: PhraseTable | None) -> Columns:
        old = batch.column("text")
        buffers = text_buffers(old)
        offsets, data, counts = clean(*buffers, rules)
        new = pa.LargeStringArray.from_buffers(len(old), pa.py_buffer(offsets), pa.py_buffer(data))
        page_chars = pc.utf8_length(old).fill_null(0).to_numpy(zero_copy_only=False)
        chars = pc.utf8_length(new).to_numpy()
        scores = {
            "page_chars": page_chars,
            "chars": chars,
            "cut_chars": page_chars - chars,
            **{name: counts[name] for name in COLUMNS},
            "paragraphs": count_long_lines(*buffers, self.min_paragraph_chars),
            "bad_words": np.zeros(len(old), np.int64),
        }
        if table is not None:
            scores["bad_words"] = count_phrases(offsets, data, table, self.bad_words_anywhere)
        missing = old.is_null().to_numpy(zero_copy_only=False)
        stays = pa.array((chars > 0) & ~missing)
        return {
            "text": pc.if_else(stays, new, old.cast(pa.large_string())),
            self.column("bad_words_draw"): self._draw(batch, scores["bad_words"]),
            **{self.column(name): pa.array(value, mask=missing) for name, value in scores.items()},
        }

    def _draw(self, batch: pa.RecordBatch, found: npt.NDArray[np.int64]) -> pa.Array:
        """Draws a number over 0 and up to 1 for each document with bad words."""
        draws: list[float | None] = [None] * batch.num_rows
        for row in np.flatnonzero(found):
            key = f"{self.seed or 0}:{batch.column('doc_id')[int(row)].as_py()}".encode()
            drawn = int.from_bytes(hashlib.blake2b(key, digest_size=6).digest(), "big")
            draws[row] = (drawn + 1) / 2**48
        return pa.array(draws, pa.float64())
