"""Block lists, allow lists and lists of words: from local files to tables that kernels look up.

Formats are told line by line, see `curation.text.listlines`; a folder is read as the collection of
the University of Toulouse (UT1) lays them out: its files `domains` and `urls`. A list of words has
one word a line. An entry takes 17 to 34 bytes and is never held as text.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from curation.buffers import text_buffers
from curation.plainfile import line_pieces, name_apart, plain_name
from curation.text.keytable import KeyTable, make_table
from curation.text.listlines import DOMAIN, EXCEPTION, HOST, UNKNOWN, URL, find_entries
from curation.text.lists import (
    HARD,
    MOST_WORD_BYTES,
    SOFT,
    STRICT,
    Lists,
    UrlColumns,
    entry_keys,
    fold_words,
    prefix_keys,
    token_keys,
)
from curation.urls import UrlParts, read_urls, string_column

_FOLDER_FILES = ("domains", "domains.gz", "urls", "urls.gz")
_NAMES = {DOMAIN: "domains", HOST: "hosts", URL: "URLs", EXCEPTION: "exceptions"}
_BOM = b"\xef\xbb\xbf"
_UNREAD, _GARBLED = "", "\ufffd"
"""Counted beside the kinds: lines that are no entry, those among them that are not UTF-8."""

BLOCK, ALLOW = "block", "allow"
WORD_KINDS = {"strict_words": STRICT, "hard_words": HARD, "soft_words": SOFT}


class ListFile(NamedTuple):
    """One file of a list."""

    role: str
    """`block`, `allow`, or a key of `WORD_KINDS`."""
    name: str
    """File name without `.gz`; with its folder in front where that tells it."""
    path: Path


class Loaded(NamedTuple):
    """All lists of a stage."""

    tables: Lists
    names: tuple[str, ...]
    """By the numbers in `tables`."""
    summary: tuple[str, ...]
    """One line for each file: what was read, and how many lines were not."""
    notes: tuple[str, ...] = ()
    """A line for each file of which a user may expect more than was read."""


def list_files(role: str, paths: Sequence[str]) -> list[ListFile]:
    """Returns the files that a setting names, sorted by name.

    Raises:
        ValueError: A path is not there, a folder has no list, or two lists cannot be told apart.
    """
    files, names = [], []
    for path in map(Path, paths):
        inside = [path / name for name in _FOLDER_FILES if (path / name).is_file()]
        if path.is_dir() and not inside:
            raise ValueError(
                f"{role}: folder '{path}' has no file 'domains' or 'urls'; expected one that is "
                "laid out as UT1's are; name the files themselves"
            )
        if not inside and not path.is_file():
            raise ValueError(f"{role}: '{path}': no such file; give a list of local files")
        files += inside or [path]
        names += [f"{path.name}/{plain_name(file)}" for file in inside] or [plain_name(path)]
    told = name_apart(files, names, f"lists of {role}")
    return sorted(ListFile(role, name, file) for name, file in zip(told, files, strict=True))


def load_lists(files: Sequence[ListFile], *, all_signs: bool) -> Loaded:
    """Reads all lists.

    Args:
        files: From `list_files`.
        all_signs: Strict words pass over all but letters and digits, not only `-` and `.`.

    Raises:
        ValueError: A file cannot be read, or has no entry.
    """
    blocked, allowed, words = _Entries(), _Entries(), _Words(all_signs=all_signs)
    summary: list[str] = []
    notes: list[str] = []
    for number, file in enumerate(files):
        if file.role in WORD_KINDS:
            counts = words.add(file, number)
        else:
            counts = Counter()
            for keys, kinds in _entry_keys(file, counts):
                allow = (kinds == EXCEPTION) | (file.role == ALLOW)
                allowed.add(keys[allow & (kinds != UNKNOWN)], number)
                blocked.add(keys[~allow & (kinds != UNKNOWN)], number)
        notes += _notes(file, counts)
        summary.append(_summary(file, counts))
    tables = words.tables(blocked.table(), allowed.table())
    names = tuple(file.name for file in files)
    return Loaded(tables, names, tuple(summary), tuple(notes))


def _summary(file: ListFile, counts: Counter[str]) -> str:
    unread, garbled = counts.pop(_UNREAD, 0), counts.pop(_GARBLED, 0)
    if not counts.total():
        what = (
            f"of {unread:,} lines none could be read" if unread else "it is blank, or all comment"
        )
        raise ValueError(
            f"{file.role}: {file.path} has no entry: {what}; expected domains, URLs, a hosts file, "
            "adblock rules, or words, one a line; see docs/lists.md"
        )
    parts = ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items()))
    left = f"; lines not read {unread:,}" if unread else ""
    return f"{file.role} {file.name}: {parts}{left}" + (
        f", not UTF-8 {garbled:,}" if garbled else ""
    )


def _notes(file: ListFile, counts: Counter[str]) -> Iterator[str]:
    """Says what of a file protects nobody: what is not UTF-8, and most of it not being read."""
    unread, garbled = counts[_UNREAD], counts[_GARBLED]
    lines = counts.total() - garbled
    if garbled:
        yield (
            f"{file.role} {file.path}: {garbled:,} of {lines:,} lines are not UTF-8 and were not "
            "read; convert the file, e.g. with iconv"
        )
    elif 2 * unread > lines > unread:
        yield (
            f"{file.role} {file.path}: {unread:,} of {lines:,} lines were not read; docs/lists.md "
            "says which forms are"
        )


def _pieces(file: ListFile) -> Iterator[bytes]:
    for number, piece in enumerate(line_pieces(file.path, file.role)):
        text = piece.removeprefix(_BOM) if number == 0 else piece
        # An old list can be in any 8-bit charset: its ASCII entries count, the others are told.
        yield text.decode("utf-8", "replace").encode()


class _Entries:
    """The keys of all lists, while they are read."""

    def __init__(self) -> None:
        self._keys: list[npt.NDArray[np.uint64]] = [np.zeros(0, np.uint64)]
        self._lists: list[npt.NDArray[np.int32]] = [np.zeros(0, np.int32)]

    def add(self, keys: npt.NDArray[np.uint64], number: int) -> None:
        self._keys.append(keys)
        self._lists.append(np.full(len(keys), number, np.int32))

    def table(self) -> KeyTable:
        return make_table(np.concatenate(self._keys), np.concatenate(self._lists))


def _entry_keys(
    file: ListFile, counts: Counter[str]
) -> Iterator[tuple[npt.NDArray[np.uint64], npt.NDArray[np.uint8]]]:
    for piece in _pieces(file):
        data = np.frombuffer(piece, np.uint8)
        kinds, starts, ends = find_entries(data)
        texts = _spans(data, starts, ends)
        garbled = pc.match_substring(texts, _GARBLED).to_numpy(zero_copy_only=False)
        counts[_GARBLED] += int(garbled.sum())
        urls = read_urls(_spelled(texts, kinds))
        no_host = text_buffers(urls.hosts).offsets
        kinds[(np.diff(no_host) == 0) | garbled] = UNKNOWN
        kinds[(kinds != URL) & (np.diff(text_buffers(urls.rests).offsets) > 0)] = UNKNOWN
        for kind, count in zip(*np.unique(kinds, return_counts=True), strict=True):
            counts[_NAMES.get(int(kind), _UNREAD)] += int(count)
        yield entry_keys(url_columns(urls.hosts, urls), kinds), kinds


def _spans(
    data: npt.NDArray[np.uint8], starts: npt.NDArray[np.int64], ends: npt.NDArray[np.int64]
) -> pa.Array:
    """Returns parts of some bytes as a column."""
    lengths = ends - starts
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    places = np.arange(bounds[-1]) + np.repeat(starts - bounds[:-1], lengths)
    return string_column(bounds, data[places])


def _spelled(texts: pa.Array, kinds: npt.NDArray[np.uint8]) -> pa.Array:
    """Puts `//` before what is a host: without it, a single label would not be read as one."""
    slashes, nothing = (pa.scalar(text, pa.large_string()) for text in ("//", ""))
    hosts = pc.binary_join_element_wise(slashes, texts, nothing)
    return pc.if_else(pa.array(kinds == URL), texts, hosts)


def url_columns(hosts: pa.Array, urls: UrlParts) -> UrlColumns:
    """Returns the buffers of hosts and of what follows them, for kernels."""
    return UrlColumns(*text_buffers(hosts), *text_buffers(urls.rests))


class _Words:
    """The words of all lists, while they are read."""

    def __init__(self, *, all_signs: bool) -> None:
        self._all_signs = int(all_signs)
        self._kinds: list[int] = []
        self._lists: list[int] = []
        self._texts: list[str] = []

    def add(self, file: ListFile, number: int) -> Counter[str]:
        """Takes in a list; returns how many words it has, and lines that are none."""
        kind = WORD_KINDS[file.role]
        lines = [line for piece in _pieces(file) for line in piece.decode().splitlines()]
        entries = [line.partition(" #")[0].strip() for line in lines]
        entries = [entry for entry in entries if entry and entry[0] not in "#!;"]
        column = pa.array(entries, pa.large_string())
        signs = self._all_signs if kind == STRICT else -1
        folded = string_column(*fold_words(*text_buffers(column), signs)).to_pylist()
        garbled = [_GARBLED in entry for entry in entries]
        good = [
            word
            for word, bad in zip(folded, garbled, strict=True)
            if not bad and _can_match(word, kind)
        ]
        self._texts += good
        self._kinds += [kind] * len(good)
        self._lists += [number] * len(good)
        unread = len(folded) - len(good)
        return Counter({"words": len(good), _UNREAD: unread, _GARBLED: sum(garbled)})

    def tables(self, blocked: KeyTable, allowed: KeyTable) -> Lists:
        """Returns the tables of all words beside those of the entries."""
        kinds, lists = np.array(self._kinds, np.uint8), np.array(self._lists, np.int32)
        column = text_buffers(pa.array(self._texts, pa.large_string()))
        tokens = np.flatnonzero(kinds != STRICT)
        words = make_table(token_keys(*column, kinds)[tokens], tokens.astype(np.int32))
        prefixes: dict[int, int] = {}
        for number in np.flatnonzero(kinds == STRICT).tolist():
            *begins, whole = prefix_keys(self._texts[number].encode())
            for key in begins:
                prefixes.setdefault(key, 0)
            prefixes[whole] = prefixes.get(whole) or number + 1
        found = make_table(
            np.array(list(prefixes), np.uint64), np.array(list(prefixes.values()), np.int32)
        )
        return Lists(blocked, allowed, words, found, kinds, lists)


def _can_match(word: str, kind: int) -> bool:
    """Says whether a word could be found in any URL."""
    if kind == STRICT:
        return 0 < len(word.encode()) <= MOST_WORD_BYTES and not any(map(str.isspace, word))
    return word.isalnum()
