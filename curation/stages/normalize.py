"""One spelling of each text: Unicode NFC, plain line ends and spaces, nothing invisible.

Source: ours; Unicode Standard Annex #15 for NFC. The rules for white space and invisible
characters are told in `curation.text.normalize`.
"""

from collections.abc import Callable
from importlib.util import find_spec
from typing import Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import model_validator

from curation.buffers import text_buffers
from curation.schema import DOCUMENT, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.normalize import char_table, compose, normalize_rows


class Normalize(BatchStage):
    """Rewrites `text`, and `target` where there is one, by the same rules.

    Done twice it changes nothing more (but see `fix_mojibake`).
    """

    needs = frozenset({"text", "target"})

    kind: Literal["normalize"] = "normalize"
    plain_spaces: bool = True
    """Turns non-breaking, ideographic and other wide or narrow spaces into U+0020."""
    collapse_spaces: bool = True
    """Makes one space of a run of spaces within a line, or one tab if it has a tab."""
    keep_indentation: bool = True
    """Keeps the spaces that a line starts with: they mean something in code and nested lists."""
    fix_mojibake: bool = False
    """Repairs text that was decoded by a wrong charset, by ftfy (extra `precise`); slow."""

    @model_validator(mode="after")
    def _is_installed(self) -> Self:
        if self.fix_mojibake and find_spec("ftfy") is None:
            raise ValueError(
                "fix_mojibake = true, but ftfy is not installed; "
                'install it with: pip install "curation[precise]"'
            )
        return self

    def writes(self) -> pa.Schema:
        """Returns the text, the target, and what became of the text's length."""
        return pa.schema(
            [
                DOCUMENT.field("text"),
                DOCUMENT.field("target"),
                score(
                    self.column("chars"),
                    pa.int64(),
                    "Length of the text as it now stands.",
                    unit="characters",
                    low=0,
                ),
                score(
                    self.column("removed_chars"),
                    pa.int64(),
                    "Length before less length after; below 0 where NFC has no single character.",
                    unit="characters",
                ),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bound that rejects texts of which nothing is left."""
        return (Rule("empty_text", self.column("chars"), low=1),)

    def open(self) -> BatchFunction:
        """Makes the table of characters, so that the first batch is as fast as the others."""
        char_table(plain_spaces=self.plain_spaces)
        return self._normalize_batch

    def _normalize_batch(self, batch: pa.RecordBatch) -> Columns:
        old = batch.column("text")
        text = self._normalize(old)
        chars = pc.utf8_length(text)
        return {
            "text": text,
            "target": self._normalize(batch.column("target")),
            self.column("chars"): chars,
            self.column("removed_chars"): pc.subtract(pc.utf8_length(old), chars),
        }

    def _normalize(self, texts: pa.Array) -> pa.LargeStringArray:
        if texts.null_count == len(texts):
            return pa.nulls(len(texts), pa.large_string())
        if self.fix_mojibake:
            texts = _mapped(texts, np.ones(len(texts), np.bool_), _fix_mojibake)
        offsets, data, may_compose = normalize_rows(
            *text_buffers(texts),
            char_table(plain_spaces=self.plain_spaces),
            (self.collapse_spaces, self.keep_indentation),
        )
        tidy = pa.LargeStringArray.from_buffers(
            len(texts), pa.py_buffer(offsets), pa.py_buffer(data)
        )
        if texts.null_count:
            tidy = pc.if_else(texts.is_valid(), tidy, pa.scalar(None, pa.large_string()))
        return _mapped(tidy, may_compose, compose)


def _mapped(
    texts: pa.Array, rows: npt.NDArray[np.bool_], change: Callable[[str], str]
) -> pa.LargeStringArray:
    """Applies a function to the texts of the marked rows; most often none differs."""
    changed = {}
    for row in np.flatnonzero(rows):
        text = texts[int(row)].as_py()
        if text is not None and (new := change(text)) != text:
            changed[int(row)] = new
    if not changed:
        return texts
    mask = np.zeros(len(texts), np.bool_)
    mask[list(changed)] = True
    new_texts = pa.array([changed[row] for row in sorted(changed)], pa.large_string())
    return pc.replace_with_mask(texts.cast(pa.large_string()), mask, new_texts)


def _fix_mojibake(text: str) -> str:
    """Repairs line by line: a page can quote text that was broken in another way."""
    from ftfy import fix_encoding

    if text.isascii():
        return text
    return "\n".join(fix_encoding(line) for line in text.split("\n"))
