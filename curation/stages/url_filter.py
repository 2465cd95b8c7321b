"""Rejects documents by their address: block and allow lists, and words in the URL.

How URLs are read is said in `curation.text.urls`, what the lines of a list mean in
`curation.text.listlines`, how words are matched in `curation.text.lists`; docs/lists.md tells it
for users. Differs from datatrove: nothing depends on upper and lower case, an entry covers all
sub-domains of its domain, and any number of entries costs a URL the same few look-ups.

Source: URL filters of RefinedWeb (Penedo et al. 2023, arXiv 2306.01116, appendix G.1), with the
definitions of words of DCLM and of datatrove.
"""

from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal, NamedTuple, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from pydantic import Field, model_validator

from curation.errors import DriftError
from curation.lists import ALLOW, BLOCK, ListFile, Loaded, list_files, load_lists, url_columns
from curation.plainfile import digest_of_all, file_digest
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.keytable import KeyTable
from curation.text.lists import (
    ALL_SIGNS,
    ALLOWED,
    BLOCKED_DOMAIN,
    BLOCKED_HOST,
    BLOCKED_URL,
    HARD,
    SOFT,
    STRICT,
    match_urls,
)
from curation.urls import (
    PACKAGED_SUFFIXES,
    UrlParts,
    load_suffixes,
    read_urls,
    registered_domains,
    string_column,
)

Mask = npt.NDArray[np.bool_]


class _Quantity(NamedTuple):
    """A score column for a kind of match."""

    name: str
    kind: int
    dtype: pa.DataType
    about: str


_FLAG = pa.uint8()
_QUANTITIES = (
    _Quantity("allowed", ALLOWED, _FLAG, "The URL is on an allow list."),
    _Quantity("domain_blocked", BLOCKED_DOMAIN, _FLAG, "A domain above the host is listed."),
    _Quantity("host_blocked", BLOCKED_HOST, _FLAG, "The host is in a hosts file."),
    _Quantity("url_blocked", BLOCKED_URL, _FLAG, "The URL itself is listed."),
    _Quantity("strict_words", STRICT, pa.int64(), "Different strict words anywhere in the URL."),
    _Quantity("hard_words", HARD, pa.int64(), "Different hard words among its tokens."),
    _Quantity("soft_words", SOFT, pa.int64(), "Different soft words among its tokens."),
)


class UrlFilter(BatchStage):
    """Reads each URL, and rejects those on block lists or with banned words.

    Writes host and registered domain, which are null where the URL is malformed. An allow list
    wins: what is on it has null for all that would reject it. Documents without a URL stay, and
    all their scores are null.
    """

    needs: ClassVar[frozenset[str]] = frozenset({"text", "url"})
    files: ClassVar[frozenset[str]] = frozenset(
        {"block", "allow", "strict_words", "hard_words", "soft_words", "suffix_list"}
    )

    kind: Literal["url_filter"]
    block: tuple[str, ...] = ()
    """Files or UT1 folders of domains, hosts and URLs to reject."""
    allow: tuple[str, ...] = ()
    """The same of what to keep, whatever else says no."""
    strict_words: tuple[str, ...] = ()
    """Files of words, one a line, of which none may be in a URL, not even inside of other words."""
    hard_words: tuple[str, ...] = ()
    """Files of words of which none may be a token (run of letters and digits) of a URL."""
    soft_words: tuple[str, ...] = ()
    """Files of words of which `max_soft_words` different ones may be tokens of a URL."""
    max_soft_words: int = Field(default=1, ge=0)
    """Most different soft words of a URL that is kept; 1 as in RefinedWeb."""
    strict_definition: Literal["dclm", "datatrove"] = "dclm"
    """What strict words pass over: `-` and `.`, or all that are no letters and digits."""
    reject_malformed: bool = False
    """Rejects documents whose URL has no host, or one that cannot be."""
    private_suffixes: bool = True
    """Names under `github.io` and its like count as registered domains."""
    suffix_list: str | None = None
    """A Public Suffix List; default: the one of the installed package `publicsuffixlist`."""
    suffix_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of that list: identity, filled in by itself; where given it must be right."""
    lists_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 over names and contents of all other files: likewise."""
    lists_read: tuple[str, ...] = ()
    """What was found in each file, and how many lines were not understood: filled in."""

    @property
    def suffix_path(self) -> Path:
        """Where the Public Suffix List lies."""
        return PACKAGED_SUFFIXES if self.suffix_list is None else Path(self.suffix_list)

    @property
    def list_files(self) -> list[ListFile]:
        """All files of lists."""
        roles = (BLOCK, ALLOW, "strict_words", "hard_words", "soft_words")
        return [file for role in roles for file in list_files(role, getattr(self, role))]

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        if not self.suffix_path.is_file():
            raise ValueError(f"suffix_list '{self.suffix_list}': no such file; give a local file")
        digests = self._digests()
        for name, digest in digests.items():
            if getattr(self, name) not in ("", digest):
                raise ValueError(
                    f"{name} is {getattr(self, name)}, but the files have {digest}; "
                    "leave it out, or give the files that it was made for"
                )
            object.__setattr__(self, name, digest)
        object.__setattr__(self, "lists_read", self._load()[0].summary)
        return self

    def notes(self) -> tuple[str, ...]:
        """Returns a line for each list of which little was read."""
        return tuple(f"stage {self.name}: {note}" for note in self._load()[0].notes)

    def _digests(self) -> dict[str, str]:
        lists = [(f"{file.role} {file.name}", file.path) for file in self.list_files]
        return {
            "suffix_digest": file_digest(self.suffix_path),
            "lists_digest": digest_of_all(lists) if lists else "",
        }

    def _load(self) -> tuple[Loaded, KeyTable]:
        suffixes = _load_suffixes(self.suffix_path, self.suffix_digest, self.private_suffixes)
        files = tuple(self.list_files)
        return _load_lists(files, self.lists_digest, self.strict_definition), suffixes

    def writes(self) -> pa.Schema:
        """Returns host, domain, what matched, and one score for each kind of match."""
        column = self.column
        fields = [
            score(column("host"), pa.string(), "Host, in ASCII, without port."),
            score(
                column("domain"),
                pa.string(),
                "Registered domain; null for addresses, public suffixes and single labels.",
            ),
            score(column("list"), pa.string(), "List of the first match; null: none."),
            score(column("match"), pa.string(), "Entry or word of the first match."),
            score(column("malformed"), _FLAG, "The URL has no host that can be.", low=0, high=1),
        ]
        fields += [
            score(
                column(quantity.name),
                quantity.dtype,
                quantity.about,
                unit="" if quantity.dtype == _FLAG else "words",
                low=0,
                high=1 if quantity.dtype == _FLAG else None,
            )
            for quantity in _QUANTITIES
        ]
        return pa.schema(fields)

    def rules(self) -> tuple[Rule, ...]:
        """Returns one bound for each kind of match; `malformed_url` only where it is asked for."""
        column = self.column
        rules = (
            Rule("blocked_domain", column("domain_blocked"), high=0),
            Rule("blocked_host", column("host_blocked"), high=0),
            Rule("blocked_url", column("url_blocked"), high=0),
            Rule("strict_words", column("strict_words"), high=0),
            Rule("hard_words", column("hard_words"), high=0),
            Rule("soft_words", column("soft_words"), high=self.max_soft_words),
        )
        malformed = Rule("malformed_url", column("malformed"), high=0)
        return (malformed, *rules) if self.reject_malformed else rules

    def open(self) -> BatchFunction:
        """Loads the lists, once per process.

        Raises:
            DriftError: The files are not those that the recipe was planned with.
        """
        for name, digest in self._digests().items():
            if getattr(self, name) != digest:
                raise DriftError(
                    f"stage {self.name}: its files have {name} {digest}, expected "
                    f"{getattr(self, name)} as planned; restore them, or plan again"
                )
        loaded, suffixes = self._load()
        return lambda batch: self._score(batch.column("url"), loaded, suffixes)

    def _score(self, urls: pa.Array, loaded: Loaded, suffixes: KeyTable) -> Columns:
        parts = read_urls(urls)
        absent = urls.is_null().to_numpy(zero_copy_only=False)
        malformed = pc.equal(pc.binary_length(parts.hosts), 0).to_numpy(zero_copy_only=False)
        scores = self._matches(parts, loaded, absent) | {
            "malformed": pa.array(malformed.astype(np.uint8), mask=absent),
            "host": _where(parts.hosts, ~malformed),
            "domain": registered_domains(parts.hosts, suffixes),
        }
        return {self.column(name): values for name, values in scores.items()}

    def _matches(self, parts: UrlParts, loaded: Loaded, absent: Mask) -> dict[str, pa.Array]:
        found = match_urls(
            url_columns(parts.hosts, parts),
            url_columns(parts.shown, parts),
            loaded.tables,
            int(self.strict_definition == ALL_SIGNS),
        )
        allowed = found.counts[:, ALLOWED] > 0
        matched = found.lists >= 0
        names = pa.array([*loaded.names, None], pa.string())
        scores = {
            "list": names.take(pa.array(np.where(matched, found.lists, len(loaded.names)))),
            "match": _where(string_column(found.match_offsets, found.match_bytes), matched),
        }
        for quantity in _QUANTITIES:
            mask = absent if quantity.kind == ALLOWED else absent | allowed
            scores[quantity.name] = pa.array(found.counts[:, quantity.kind], mask=mask)
        return scores


def _where(values: pa.Array, mask: Mask) -> pa.Array:
    return pc.if_else(pa.array(mask), values, pa.scalar(None, values.type))


@lru_cache(maxsize=4)
def _load_suffixes(path: Path, digest: str, private: bool) -> KeyTable:  # noqa: ARG001, FBT001
    return load_suffixes(path, private=private)


@lru_cache(maxsize=4)
def _load_lists(files: tuple[ListFile, ...], digest: str, definition: str) -> Loaded:  # noqa: ARG001
    return load_lists(files, all_signs=definition == ALL_SIGNS)
