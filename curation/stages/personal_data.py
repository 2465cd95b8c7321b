"""Finds personal data and secrets, replaces them, and notes where they stood, never what they were.

Source: ours; the standards behind each format are named in `curation.text.pii_formats`, what is and
is not found in `docs/personal-data.md`. Rejecting documents with many finds instead of masking them
is Dolma's rule (Soldaini et al. 2024, arXiv 2402.00159, section 3.1), with five as its bound.
"""

import re
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.buffers import text_buffers
from curation.errors import unknown_name
from curation.schema import DOCUMENT, score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.pii import ADDRESSES, Hits, Search, find, make_search, replace
from curation.text.pii_formats import FORMATS, KINDS

Action = Literal["redact", "reject", "count", "off"]

RESERVED_DOMAINS = (
    "example.com", "example.net", "example.org", "example.edu", "example", "invalid", "test",
    "localhost", "local", "localdomain", "internal", "lan", "home.arpa",
)  # fmt: skip
"""Names that RFC 2606, 6761 and 8375 reserve, and others that stay within a house."""

NO_DOMAINS = (
    "png", "jpg", "jpeg", "gif", "svg", "webp", "avif", "ico", "bmp", "pdf", "css", "js", "mjs",
    "ts", "json", "xml", "html", "htm", "php", "jsp", "service", "socket", "target", "timer",
    "mount", "slice", "path", "swap", "device", "scope", "conf", "txt", "log", "tar", "gz", "exe",
    "dll", "jar", "class",
)  # fmt: skip
"""Endings of file names and units, as in `logo@2x.png` and `getty@tty1.service`."""

SPAN = pa.struct(
    [
        ("field", pa.string()),
        ("start", pa.int64()),
        ("end", pa.int64()),
        ("kind", pa.string()),
        ("format", pa.string()),
    ]
)
"""Where something was found: characters (code points) of `text` or `target` as the stage met it."""

_PLACEHOLDER = re.compile(r"<[A-Za-z_ -]*>")


class PersonalData(BatchStage):
    """Replaces personal data and secrets by placeholders, and counts them by kind.

    Actions: "redact" replaces; "reject" replaces, and rejects documents with more than `max_hits`
    of the kind; "count" leaves the text as it is; "off" does not look. Rejected documents are
    redacted, too, so that the audit holds no value. Done twice the stage changes nothing more.
    """

    needs = frozenset({"text", "target"})
    alike = frozenset({"redact", "reject"})

    kind: Literal["personal_data"] = "personal_data"
    email: Action = "redact"
    """E-mail addresses."""
    phone: Action = "redact"
    """Telephone numbers, international and national."""
    ip: Action = "redact"
    """IPv4 and IPv6 addresses."""
    iban: Action = "redact"
    """Numbers of bank accounts."""
    card: Action = "redact"
    """Numbers of payment cards."""
    national_id: Action = "redact"
    """Numbers that countries give to persons."""
    api_key: Action = "redact"
    """Keys and tokens of known services."""
    private_key: Action = "redact"
    """Blocks of private keys."""
    secret: Action = "off"  # noqa: S105
    """Random-looking values after names such as password; also finds some that are none."""
    wallet_key: Action = "off"
    """Private keys of cryptographic wallets."""
    max_hits: dict[str, int] = Field(default_factory=dict)
    """By kind with the action "reject": most finds in a document that is kept; default 0."""
    skip_formats: tuple[str, ...] = ()
    """Formats that are not looked for, such as "us_ssn" (names: `curation.text.pii_formats`)."""
    keep_addresses: tuple[Literal["private", "documentation", "version"], ...] = (
        "private",
        "documentation",
        "version",
    )
    """IP addresses that are left alone: not public ones, and those that look like versions."""
    keep_domains: tuple[str, ...] = RESERVED_DOMAINS
    """E-mail addresses in these domains and their sub-domains are left alone."""
    placeholder: str = "<{KIND}>"
    """What stands in the place of a find; {KIND} or {kind} is its kind."""
    placeholders: dict[str, str] = Field(default_factory=dict)
    """By kind: another placeholder."""

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for setting in ("max_hits", "placeholders"):
            for name in getattr(self, setting):
                if name not in KINDS:
                    raise ValueError(unknown_name(f"kind in {setting}", name, KINDS))
        known = [format_.name for format_ in FORMATS]
        for name in self.skip_formats:
            if name not in known:
                raise ValueError(unknown_name("format in skip_formats", name, known))
        return self

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        for name, most in self.max_hits.items():
            if name in KINDS and self._action(name) != "reject":
                raise ValueError(
                    f"max_hits has a bound for '{name}', whose action is '{self._action(name)}'; "
                    f'a bound needs {name} = "reject"'
                )
            if most < 0:
                raise ValueError(f"max_hits for '{name}' is {most}; expected 0 or more")
        return self

    @model_validator(mode="after")
    def _check_placeholders(self) -> Self:
        for name in KINDS:
            text = self._placeholder(name)
            if not _PLACEHOLDER.fullmatch(text):
                raise ValueError(
                    f"placeholder of '{name}' is '{text}'; expected letters, blanks, _ and - "
                    "between < and >, so that the stage cannot find something in it again"
                )
        return self

    def _action(self, name: str) -> Action:
        action: Action = getattr(self, name)
        return action

    def _placeholder(self, name: str) -> str:
        template = self.placeholders.get(name, self.placeholder)
        return template.replace("{KIND}", name.upper()).replace("{kind}", name)

    def writes(self) -> pa.Schema:
        """Returns text and target, the number of finds of each kind, and where they stood."""
        counts = [
            score(self.column(name), pa.int64(), f"Finds of kind {name}.", unit="finds", low=0)
            for name in KINDS
        ]
        about = "Where each find stood, as places of characters in the text before the stage."
        return pa.schema(
            [
                DOCUMENT.field("text"),
                DOCUMENT.field("target"),
                *counts,
                score(self.column("spans"), pa.list_(SPAN), about),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns a bound for each kind with the action "reject"."""
        return tuple(
            Rule(f"many_{name}", self.column(name), high=self.max_hits.get(name, 0))
            for name in KINDS
            if self._action(name) == "reject"
        )

    def search(self) -> Search:
        """Returns what is looked for."""
        formats = [
            format_.name
            for format_ in FORMATS
            if self._action(format_.kind) != "off" and format_.name not in self.skip_formats
        ]
        addresses = set(ADDRESSES) - set(self.keep_addresses)
        return make_search(formats, addresses, (*self.keep_domains, *NO_DOMAINS))

    def open(self) -> BatchFunction:
        """Makes the tables of what is looked for; returns the function that redacts a batch."""
        search = self.search()
        redacted = [self._action(format_.kind) in ("redact", "reject") for format_ in FORMATS]
        placeholders = [self._placeholder(format_.kind).encode() for format_ in FORMATS]

        def redact(texts: pa.Array) -> tuple[pa.Array, Hits]:
            if texts.null_count == len(texts):
                return texts, Hits(*np.zeros((6, 0), np.int64))
            offsets, data = text_buffers(texts)
            hits = find(offsets, data, search)
            replaced = np.array(redacted)[hits.formats]
            if not replaced.any():
                return texts, hits
            some = Hits(*(column[replaced] for column in hits))
            return _texts(texts, *replace(offsets, data, some, placeholders)), hits

        def redact_batch(batch: pa.RecordBatch) -> Columns:
            text, in_text = redact(batch.column("text"))
            target, in_target = redact(batch.column("target"))
            columns = self._counted(batch.num_rows, in_text, in_target)
            return {"text": text, "target": target, **columns}

        return redact_batch

    def _counted(self, rows: int, in_text: Hits, in_target: Hits) -> dict[str, Any]:
        hits = [np.concatenate(pair) for pair in zip(in_text, in_target, strict=True)]
        of_row, formats = hits[0], hits[3]
        kinds = np.array([KINDS.index(format_.kind) for format_ in FORMATS])[formats]
        counts = np.zeros((len(KINDS), rows), np.int64)
        np.add.at(counts, (kinds, of_row), 1)
        columns: dict[str, Any] = {
            self.column(name): pa.nulls(rows, pa.int64()) if self._action(name) == "off" else number
            for name, number in zip(KINDS, counts, strict=True)
        }
        order = np.argsort(of_row, kind="stable")
        in_text_only = np.arange(len(of_row)) < len(in_text.rows)
        fields = [
            pa.array(np.where(in_text_only, "text", "target")[order], pa.string()),
            pa.array(hits[4][order]),
            pa.array(hits[5][order]),
            pa.array([KINDS[kind] for kind in kinds[order]], pa.string()),
            pa.array([FORMATS[number].name for number in formats[order]], pa.string()),
        ]
        spans = pa.StructArray.from_arrays(fields, fields=list(SPAN))
        starts = np.concatenate(([0], np.cumsum(np.bincount(of_row, minlength=rows))))
        columns[self.column("spans")] = pa.ListArray.from_arrays(starts.astype(np.int32), spans)
        return columns


def _texts(
    old: pa.Array, offsets: npt.NDArray[np.int64], data: npt.NDArray[np.uint8]
) -> pa.LargeStringArray:
    new = pa.LargeStringArray.from_buffers(len(old), pa.py_buffer(offsets), pa.py_buffer(data))
    if old.null_count:
        new = pc.if_else(old.is_valid(), new, pa.scalar(None, pa.large_string()))
    return new
