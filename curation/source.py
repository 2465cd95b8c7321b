"""Where raw documents come from: files, byte ranges of files, and records.

A source lists its input files, cuts them into shards by bytes, and reads one shard as a stream of
records. A record that cannot be read is a record too, with `error` set: nothing is dropped unseen.
"""

import glob
import hashlib
import json
import os
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import fsspec
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curation.errors import DataError, RecipeError
from curation.schema import READ, make_doc_id


class InputFile(NamedTuple):
    """One input file as it was when the plan was made."""

    name: str
    """How it is shown and identified: relative to the recipe's directory, or the URL."""
    url: str
    """What fsspec opens: an absolute local path or a URL."""
    size: int
    """Bytes."""
    stamp: str
    """Changes when the content does: modification time, ETag or checksum."""


class Split(NamedTuple):
    """A byte range of a file: the records that *start* in [start, end)."""

    file: InputFile
    start: int
    end: int


class Record(NamedTuple):
    """One raw record. `text` is what was decoded: HTML where `media_type` is text/html."""

    record_id: str
    text: str | None
    offset: int
    """Byte offset of the raw record in the file; in a compressed file, of its gzip member."""
    length: int
    """Bytes that the raw record takes in the file."""
    url: str | None = None
    media_type: str | None = "text/plain"
    created: datetime | None = None
    license: str | None = None
    target: str | None = None
    label: str | None = None
    meta: dict[str, Any] | None = None
    error: str | None = None
    """Reason code of a record that could not be read ("truncated_record"); then text is None."""
    detail: str | None = None
    """One line: what was found."""


class Source(BaseModel, ABC):
    """One `[[sources]]` of a recipe. Subclasses add `kind: Literal["..."]` and their settings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: ClassVar[int] = 1
    """Raised by hand when the same bytes give other records than before."""

    kind: str
    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the source; part of every doc_id."""
    paths: tuple[str, ...] = Field(min_length=1)
    """Files, globs (`**` too), directories or fsspec URLs; relative to the recipe file."""
    license: str | None = None
    """Licence of documents that do not state their own."""
    domain: str | None = None
    """Subject area, for reports ("medicine")."""
    split_bytes: int = Field(default=8 << 20, ge=1 << 10)
    """Input bytes for each shard: larger files are cut, smaller ones share a shard."""

    def files(self, base: Path) -> list[InputFile]:
        """Returns the input files, sorted by name, each once.

        Args:
            base: Directory of the recipe file.

        Raises:
            RecipeError: A path matches nothing.
        """
        found: dict[str, InputFile] = {}
        for pattern in self.paths:
            matches = _remote(pattern) if "://" in pattern else _local(pattern, base)
            if not matches:
                raise RecipeError(
                    f"source '{self.name}': nothing matches path '{pattern}' "
                    f"(looked from {base}); expected a file, a directory or a glob"
                )
            found.update((file.name, file) for file in matches)
        return [found[name] for name in sorted(found)]

    def shards(self, files: Sequence[InputFile]) -> list[tuple[Split, ...]]:
        """Cuts files into shards of about `split_bytes`; depends on names and sizes only.

        Small files share a shard until it is full, or until the name of one says so: one file more
        or less then changes the few shards up to the next such name, and leaves the rest alone.
        """
        shards: list[tuple[Split, ...]] = []
        group: list[Split] = []
        for file in files:
            pieces = self.cut(file)
            filled = sum(split.file.size for split in group)
            if group and (len(pieces) > 1 or filled + file.size > self.split_bytes):
                shards.append(tuple(group))
                group = []
            if len(pieces) > 1:
                shards.extend((piece,) for piece in pieces)
                continue
            group += pieces
            if self._ends_shard(file):
                shards.append(tuple(group))
                group = []
        if group:
            shards.append(tuple(group))
        return shards

    def _ends_shard(self, file: InputFile) -> bool:
        """Says of about one file in each `split_bytes` that a shard ends with it."""
        digest = hashlib.blake2b(file.name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
        return int.from_bytes(digest, "big") * self.split_bytes < file.size << 64

    def cut(self, file: InputFile) -> list[Split]:
        """Cuts a file at multiples of `split_bytes` where the format can be entered midway."""
        if not self.can_cut(file) or file.size <= self.split_bytes:
            return [Split(file, 0, file.size)]
        starts = range(0, file.size, self.split_bytes)
        return [Split(file, at, min(at + self.split_bytes, file.size)) for at in starts]

    def can_cut(self, file: InputFile) -> bool:  # noqa: ARG002
        """Says whether a reader can find the first record after any byte offset of the file."""
        return False

    @abstractmethod
    def read(self, split: Split, skipped: Counter[str]) -> Iterator[Record]:
        """Yields the records that start in a split, in file order.

        Args:
            split: The byte range.
            skipped: Counts, by type, records that are no documents (requests, metadata).
        """


_encode_meta = json.JSONEncoder(ensure_ascii=False, sort_keys=True).encode


def read_batches(
    source: Source,
    shard: Sequence[Split],
    skipped: Counter[str],
    *,
    batch_rows: int = 512,
    batch_chars: int = 16 << 20,
) -> Iterator[pa.RecordBatch]:
    """Yields the records of a shard as READ batches of at most `batch_rows` rows.

    A batch also ends once its texts hold `batch_chars` characters, so that memory stays flat.
    """
    rows: list[dict[str, Any]] = []
    chars = 0
    for split in shard:
        for record in source.read(split, skipped):
            rows.append(_row(source, split.file.name, record))
            chars += len(record.text or "")
            if len(rows) >= batch_rows or chars >= batch_chars:
                yield pa.RecordBatch.from_pylist(rows, schema=READ)
                rows, chars = [], 0
    if rows:
        yield pa.RecordBatch.from_pylist(rows, schema=READ)


def _row(source: Source, file: str, record: Record) -> dict[str, Any]:
    return {
        "doc_id": make_doc_id(source.name, record.record_id),
        "record_id": record.record_id,
        "source": source.name,
        "url": record.url,
        "media_type": record.media_type,
        "text": record.text,
        "target": record.target,
        "label": record.label,
        "created": record.created,
        "license": record.license or source.license,
        "parent_id": None,
        "origin": {"file": file, "offset": record.offset, "length": record.length},
        "meta": _encode_meta(record.meta) if record.meta else None,
        "read_error": record.error,
        "read_detail": record.detail,
    }


def _local(pattern: str, base: Path) -> list[InputFile]:
    path = os.path.join(base, os.path.expanduser(pattern))
    if os.path.isdir(path):
        path = os.path.join(glob.escape(path), "**", "*")
    matches = [path] if os.path.isfile(path) else glob.glob(path, recursive=True)
    absolute = os.path.isabs(os.path.expanduser(pattern))
    files = []
    for match in matches:
        if not os.path.isfile(match):
            continue
        stat = os.stat(match)
        name = os.path.abspath(match) if absolute else os.path.relpath(match, base)
        file = InputFile(
            Path(name).as_posix(), os.path.abspath(match), stat.st_size, str(stat.st_mtime_ns)
        )
        files.append(file)
    return files


def _remote(pattern: str) -> list[InputFile]:
    try:
        return _list_remote(pattern)
    except (ImportError, ValueError) as error:
        raise RecipeError(
            f"path '{pattern}' cannot be opened: {' '.join(str(error).split())}; expected a "
            "protocol that fsspec knows and its package installed (s3fs for s3://, gcsfs for gs://)"
        ) from error
    # Every file system behind fsspec brings its own errors (aiohttp's, botocore's).
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(
            f"path '{pattern}' cannot be listed: {reason}; expected a file system that answers; "
            "check the address and your access to it"
        ) from error


def _list_remote(pattern: str) -> list[InputFile]:
    system, path = fsspec.core.url_to_fs(pattern)
    matches = system.glob(path) if glob.has_magic(path) else [path] if system.exists(path) else []
    files = []
    for match in matches:
        for found in system.find(match) or [match]:
            info = system.info(found)
            stamp = info.get("ETag") or info.get("LastModified") or info.get("mtime") or ""
            url = system.unstrip_protocol(found)
            files.append(InputFile(url, url, int(info["size"] or 0), str(stamp)))
    return files
