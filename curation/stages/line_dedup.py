"""Cuts lines or paragraphs that many documents of a site share: menus, notices, footers.

Source: Wenzek et al. 2020, "CCNet", arXiv 1911.00359. It keeps the first copy of each paragraph.
Differs: a unit has to repeat in a share of the documents of its host, so that what two pages quote
stays in both; units are compared by 128-bit digests instead of 64-bit ones; and the document that
keeps a unit is one that this stage keeps.
"""

import hashlib
from collections.abc import Sequence
from typing import ClassVar, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.boilerplate import UNIT, Bounds, choose_cuts, find_repeated
from curation.buffers import text_buffers
from curation.schema import DOCUMENT, as_names, score
from curation.shuffle import decisions, open_database
from curation.stage import (
    BatchFunction,
    Columns,
    GlobalStage,
    KeyShard,
    Rule,
    Scratch,
    Texts,
)
from curation.text.cuts import Runs, cut_units
from curation.text.units import find_units

SPANS = pa.list_(pa.struct([("start", pa.int64()), ("end", pa.int64()), ("kept_in", pa.string())]))

HOST, ALL = "host", "all"
HOST_SHARE = 0.25

# RE2, which Arrow uses, takes a time in proportion to the URL's length.
_HOST = r"^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#]*@)?(?P<host>\[[^]/?#]*\]|[^][/?#:@\s]*)"
_NO_TEXT = pa.scalar("", pa.large_string())


class LineDedup(GlobalStage):
    """Cuts the lines (or paragraphs) that repeat in many documents of a host.

    A unit of `min_chars` or more that occurs in `min_documents` or more documents of its scope, and
    in `min_share` or more of all of them, is cut from all but the first `keep_first`: the oldest
    (`created`; unknown is youngest), of equally old ones those with the smallest doc_id. The bytes
    of the other units stay as they are. A document that loses more than `max_cut` of its characters
    is rejected; it keeps its whole text, and no unit counts as kept in it. Two units are the same
    if they differ in white space and case alone (see `fold_case` and `fold_digits`).

    The document that keeps a unit for others may itself be rejected by a later stage, and then the
    unit is in none of those that stay. So put this after all that removes documents, the stages
    for duplicates above all.
    """

    version: ClassVar[int] = 2
    needs: ClassVar[frozenset[str]] = frozenset({"text", "created"})
    entangled: ClassVar[frozenset[str]] = frozenset({"mostly_boilerplate"})

    kind: Literal["line_dedup"] = "line_dedup"
    unit: Literal["line", "paragraph"] = "line"
    """A line, or the lines between two blank ones."""
    scope: str = Field(default=HOST, min_length=1)
    """What is counted together: the documents of one "host" (of the URL, without "www."), "all", or
    those with the same value in a column of strings, such as "source" or "language_label". A
    document without that value, or without a host, loses nothing."""
    min_documents: int = Field(default=10, ge=2)
    """Fewest documents of the scope that a unit has to occur in."""
    min_share: float | None = Field(default=None, ge=0, le=1)
    """Smallest share of the scope's documents; default: 0.25 of a host's, else 0. What a site puts
    on its pages is in most of those of a language; what it quotes or explains twice is not."""
    keep_first: int = Field(default=1, ge=0)
    """How many documents keep theirs; 0: none, so that nothing of the unit is left."""
    min_chars: int = Field(default=20, ge=1)
    """Fewest characters of a unit; shorter ones stay: "Yes.", headings, the braces of code."""
    min_words: int = Field(default=1, ge=1)
    """Fewest words of a unit (runs between white space)."""
    fold_case: bool = True
    """Upper and lower case are the same."""
    fold_digits: bool = False
    """All numbers are the same: dates, page numbers and counters. The twin may hold others."""
    max_cut: float = Field(default=0.8, ge=0, lt=1)
    """Largest share of its characters that a document may lose."""

    @model_validator(mode="after")
    def _check_counts(self) -> Self:
        if self.keep_first >= self.min_documents:
            raise ValueError(
                f"keep_first is {self.keep_first} and min_documents is {self.min_documents}, so "
                "nothing might be cut; expected keep_first to be the smaller one"
            )
        return self

    @property
    def bounds(self) -> Bounds:
        """From when on a unit is cut, and from whom."""
        share = HOST_SHARE if self.scope == HOST else 0.0
        return Bounds(
            self.min_documents,
            share if self.min_share is None else self.min_share,
            self.keep_first,
            self.max_cut,
        )

    def reads(self) -> frozenset[str]:
        """Returns the columns that must exist before, that of the scope among them."""
        return super().reads() | ({"url"} if self.scope == HOST else {self.scope} - {ALL})

    def writes(self) -> pa.Schema:
        """Returns the text, and how much of it was cut."""
        cut = {"units": pa.int64(), "chars": pa.int64(), "ratio": pa.float64(), "spans": SPANS}
        about = {
            "units": f"{self.unit.title()}s that were cut.",
            "chars": "Characters of these, without the line ends between them.",
            "ratio": f"Their share of the characters of all {self.unit}s.",
            "spans": "Where they stood, in characters of the text before, and the doc_id of a "
            "document that keeps the same at this stage; neighbours are one span.",
        }
        scores = [
            score(
                self.column(f"cut_{name}"),
                dtype,
                about[name],
                unit={"units": f"{self.unit}s", "ratio": "ratio"}.get(name, "characters"),
                low=None if name == "spans" else 0,
                high=1 if name == "ratio" else None,
            )
            for name, dtype in cut.items()
        ]
        return pa.schema([DOCUMENT.field("text"), *scores])

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bound that rejects documents of which too little is left."""
        return (Rule("mostly_boilerplate", self.column("cut_ratio"), high=self.max_cut),)

    def keys(self) -> BatchFunction:
        """Returns the function that makes `units`, `total`, `created` and the scope of a batch."""
        return self._make_keys

    def _make_keys(self, batch: pa.RecordBatch) -> Columns:
        scopes, persons = self._scopes(batch)
        found = find_units(
            *text_buffers(pc.if_else(scopes, batch.column("text"), _NO_TEXT)),
            persons,
            (self.fold_case, self.fold_digits),
            (self.min_chars, self.min_words),
            paragraphs=self.unit == "paragraph",
        )
        units = pa.StructArray.from_arrays(
            [pa.array(getattr(found, field.name)) for field in UNIT], fields=list(UNIT)
        )
        missing = ~scopes.to_numpy(zero_copy_only=False)
        return {
            "units": pa.LargeListArray.from_arrays(pa.array(found.bounds), units),
            "total": pa.array(found.total),
            "created": batch.column("created").cast(pa.int64()),
            "scope_high": pa.array(persons[:, 1], mask=missing),
            "scope_low": pa.array(persons[:, 0], mask=missing),
        }

    def _scopes(self, batch: pa.RecordBatch) -> tuple[pa.BooleanArray, npt.NDArray[np.uint64]]:
        """Returns which documents have a scope, and its digest, uint64[n, 2]."""
        names = pa.repeat("", batch.num_rows)
        if self.scope == HOST:
            names = hosts(batch.column("url"))
        elif self.scope != ALL:
            names = as_names(batch.column(self.scope), f"stage {self.name}: scope '{self.scope}'")
        found = names.dictionary_encode()
        digests = b"".join(_digest(name) for name in ["", *found.dictionary.to_pylist()])
        words = np.frombuffer(digests, "<u8").astype(np.uint64).reshape(-1, 2)
        return names.is_valid(), words[found.indices.fill_null(-1).to_numpy() + 1]

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:  # noqa: ARG002
        """Returns a row for each document that loses something, with the column `cut`."""
        with open_database(scratch) as database:
            find_repeated(database, shards, self.bounds, scratch.memory_bytes)
            found = choose_cuts(database, self.bounds)
        answer = decisions(found, rejected=False)
        return answer.append_column("cut", found.column("cut"))

    def apply(self, batch: pa.RecordBatch, answer: pa.RecordBatch) -> Columns:
        """Returns the texts without what the answer cuts, and the scores."""
        texts = batch.column("text")
        cuts = answer.column("cut")
        rows = np.flatnonzero(cuts.is_valid().to_numpy(zero_copy_only=False))
        some = cuts.take(pa.array(rows))
        runs = some.flatten()
        bounds = np.append(0, np.cumsum(pc.list_value_length(some).to_numpy())).astype(np.int64)
        first, last = (pc.struct_field(runs, name).to_numpy() for name in ("first", "last"))
        found = cut_units(
            *text_buffers(texts.take(pa.array(rows))),
            Runs(bounds, first, last, self.unit == "paragraph"),
        )
        ratio = found.chars / np.maximum(found.total, 1)
        new = pa.LargeStringArray.from_buffers(
            len(rows), pa.py_buffer(found.offsets), pa.py_buffer(found.data)
        )
        stays = np.zeros(batch.num_rows, np.bool_)
        stays[rows] = ratio <= self.max_cut
        return {
            "text": pc.replace_with_mask(texts, stays, new.filter(pa.array(stays[rows]))),
            self.column("cut_units"): _spread(found.units, rows, batch.num_rows),
            self.column("cut_chars"): _spread(found.chars, rows, batch.num_rows),
            self.column("cut_ratio"): _spread(ratio, rows, batch.num_rows),
            self.column("cut_spans"): _spans(cuts, found.spans),
        }


def hosts(urls: pa.StringArray) -> pa.StringArray:
    """Returns the hosts of n URLs in lower case, without "www."; null where there is none.

    Examples:
        >>> hosts(pa.array(["https://user@WWW.Example.org:8080/a?b", "mailto:a@b.c"])).to_pylist()
        ['example.org', None]
    """
    found = pc.struct_field(pc.extract_regex(urls.cast(pa.string()), _HOST), "host")
    found = pc.replace_substring_regex(pc.utf8_lower(found), r"^www\.|\.+$", "")
    return pc.if_else(pc.equal(found, ""), pa.scalar(None, pa.string()), found)


def _digest(name: str) -> bytes:
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()


def _spread(values: npt.NDArray[np.generic], rows: npt.NDArray[np.int64], total: int) -> pa.Array:
    spread = np.zeros(total, values.dtype)
    spread[rows] = values
    return pa.array(spread)


def _spans(cuts: pa.ListArray, spans: npt.NDArray[np.int64]) -> pa.ListArray:
    """Returns the runs as spans; an empty list where nothing was cut."""
    offsets = np.append(0, np.cumsum(pc.list_value_length(cuts).fill_null(0).to_numpy()))
    values = pa.StructArray.from_arrays(
        [pa.array(spans[:, 0]), pa.array(spans[:, 1]), pc.struct_field(cuts.flatten(), "kept_in")],
        fields=list(SPANS.value_type),
    )
    return pa.ListArray.from_arrays(pa.array(offsets.astype(np.int32)), values)
