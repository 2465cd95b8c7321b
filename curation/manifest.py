"""Records of what was made: one JSON beside each work shard, one manifest for the dataset.

A record is written last and atomically. Its presence, its key and the digests of its files
together mean "done"; anything else is made again.
"""

import hashlib
import json
from collections.abc import Iterable
from enum import Enum
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation.errors import DataError
from curation.shards import FileRecord, is_whole, replacing

Model = TypeVar("Model", bound=BaseModel)


def canonical_json(value: Any) -> str:
    """Returns the one JSON text of a value; raises TypeError on what has no stable form."""
    return json.dumps(
        value,
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        allow_nan=False,
        default=_stable,
    )


def _stable(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, set | frozenset):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} has no stable JSON form: give it one before hashing")


def fingerprint_of(*parts: Any) -> str:
    """Returns the SHA-256 (hex) of the canonical JSON of some values."""
    return hashlib.sha256(canonical_json(parts).encode("utf-8", "surrogatepass")).hexdigest()


ABSENT = "not installed"


def installed_versions(names: Iterable[str]) -> dict[str, str]:
    """Returns the version of each distribution, or `ABSENT`; imports none of them."""
    versions = {}
    for name in names:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            versions[name] = ABSENT
    return versions


def write_json(path: Path, model: BaseModel) -> None:
    """Writes a model as JSON, whole or not at all."""
    text = json.dumps(model.model_dump(mode="json"), indent=1, ensure_ascii=False)
    with replacing(path) as file:
        file.write(text.encode("utf-8", "backslashreplace"))


class StageCount(BaseModel):
    """What one stage did to the documents that it met: a row of the funnel."""

    name: str
    kind: str
    documents_in: int = 0
    documents_made: int = 0
    """Children that the stage made of them; in + made = out + rejected."""
    documents_out: int = 0
    rejects: dict[str, int] = Field(default_factory=dict)
    text_bytes_in: int = 0
    """UTF-8 bytes of text that the stage was given."""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0

    def add(self, other: "StageCount") -> None:
        """Adds the counts of another shard or batch of the same stage."""
        self.documents_in += other.documents_in
        self.documents_made += other.documents_made
        self.documents_out += other.documents_out
        self.text_bytes_in += other.text_bytes_in
        self.cpu_seconds += other.cpu_seconds
        self.wall_seconds += other.wall_seconds
        for reason, count in other.rejects.items():
            self.rejects[reason] = self.rejects.get(reason, 0) + count


class SourceCount(BaseModel):
    """What became of one source."""

    documents_in: int = 0
    documents_made: int = 0
    """Augmented documents; in + made = kept + rejected."""
    documents_kept: int = 0
    documents_rejected: int = 0
    bytes_in: int = 0
    """Raw bytes of the records as stored (compressed where the file is)."""
    text_bytes_kept: int = 0
    skipped: dict[str, int] = Field(default_factory=dict)
    """Records that are no documents, by type (requests, metadata ...)."""

    def add(self, other: "SourceCount") -> None:
        """Adds the counts of another shard of the same source."""
        self.documents_in += other.documents_in
        self.documents_made += other.documents_made
        self.documents_kept += other.documents_kept
        self.documents_rejected += other.documents_rejected
        self.bytes_in += other.bytes_in
        self.text_bytes_kept += other.text_bytes_kept
        for kind, count in other.skipped.items():
            self.skipped[kind] = self.skipped.get(kind, 0) + count


class Record(BaseModel):
    """What one work item left behind: its key, its files and its counts."""

    key: str
    """Digest of everything that decides the item's output."""
    files: dict[str, FileRecord] = Field(default_factory=dict)
    stages: list[StageCount] = Field(default_factory=list)
    sources: dict[str, SourceCount] = Field(default_factory=dict)
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_rss_bytes: int = 0
    reused: bool = Field(default=False, exclude=True)

    def digest(self) -> str:
        """Returns what downstream keys hold of this item: the digests of its files."""
        return fingerprint_of({name: file.sha256 for name, file in self.files.items()})


def read_record(path: Path, key: str) -> Record | None:
    """Returns the record at `path` if it has this key and its files are whole; else None."""
    try:
        record = Record.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None
    whole = all(is_whole(path.parent / name, file) for name, file in record.files.items())
    return record if record.key == key and whole else None


class ShardEntry(BaseModel):
    """One output shard in the manifest."""

    model_config = ConfigDict(frozen=True)

    path: str
    split: str
    documents: int
    """Rows; a repeated document counts as often as it is there."""
    bytes: int
    sha256: str


class InputEntry(BaseModel):
    """One input file as it was read."""

    model_config = ConfigDict(frozen=True)

    source: str
    name: str
    bytes: int
    stamp: str


class RemovalReason(BaseModel):
    """A common reason of a source, with documents that it took."""

    stage: str
    reason: str
    documents: int
    examples: list[dict[str, Any]] = Field(default_factory=list)
    """doc_id, url, and what is known of value, bound, detail, other_id and similarity."""


class Removal(BaseModel):
    """An unusual share of a source that a rule, a stage, or all of them together rejected."""

    source: str
    stage: str | None = None
    """None: all stages so far."""
    reason: str | None = None
    """None: all reasons of the stage."""
    level: Literal["warn", "stop"]
    removed: int
    documents: int
    """Documents that met the stage; reasons with a limit of their own are left out."""
    bound: float
    """The share that was exceeded, of `curation.limits`."""
    setting: str
    """The table of the recipe that the bound to stop comes from."""
    reasons: list[RemovalReason] = Field(default_factory=list)
    """The most common reasons of the source, of all stages so far."""

    def line(self) -> str:
        """Says it in one line."""
        who = ".".join(part for part in (self.stage, self.reason) if part) or "all stages together"
        return (
            f"source '{self.source}': {who} rejected {self.removed / self.documents:.1%} "
            f"({self.removed:,} of {self.documents:,} documents), more than "
            f"{self.level}_above = {self.bound:g}"
        )

    def details(self) -> list[str]:
        """Returns a line for each common reason and each example; their texts are the web's."""
        lines = []
        for reason in self.reasons:
            lines.append(f"  {reason.stage}.{reason.reason} {reason.documents:,}, e.g.")
            for example in reason.examples:
                shown = [f"{name} {value}"[:80] for name, value in example.items() if name in _TOLD]
                where = str(example.get("url") or example.get("record_id"))[:120]
                lines.append("    " + "  ".join([example["doc_id"], where, *shown]))
        return lines

    def allow(self) -> str:
        """Returns the setting that would let this pass."""
        table = self.setting
        if table == "guard" or table.startswith(f"guard.sources.{self.source}"):
            names = [part for part in (self.stage, self.reason) if part]
            table = ".".join(
                ["guard", "sources", self.source, *(["rules", *names] if names else [])]
            )
        return f"{table}.stop_above=1"


def explain(removals: Iterable[Removal]) -> list[str]:
    """Returns lines for people: by source, what is unusual, then the common reasons once."""
    by_source: dict[str, list[Removal]] = {}
    for removal in removals:
        by_source.setdefault(removal.source, []).append(removal)
    return [
        line
        for found in by_source.values()
        for line in (*(removal.line() for removal in found), *found[-1].details())
    ]


_TOLD = ("value", "bound", "detail", "similarity", "other_id")


class Totals(BaseModel):
    """The whole dataset in a few numbers."""

    documents_in: int = 0
    documents_made: int = 0
    """Augmented documents; in + made = kept + rejected."""
    documents_kept: int = 0
    documents_rejected: int = 0
    bytes_in: int = 0
    text_bytes_kept: int = 0
    rows_written: int = 0
    """Rows of all shards: kept documents, each as often as it is repeated."""


class Manifest(BaseModel):
    """The record of a dataset; written last, so its presence means the dataset is whole."""

    name: str
    version: str
    fingerprint: str
    """Of the recipe: everything that decides the output, and nothing else."""
    recipe: dict[str, Any]
    package_version: str
    versions: dict[str, str] = Field(default_factory=dict)
    """Of Python, Unicode and the libraries whose results enter the output."""
    created: str = ""
    totals: Totals = Field(default_factory=Totals)
    sources: dict[str, SourceCount] = Field(default_factory=dict)
    stages: list[StageCount] = Field(default_factory=list)
    rules: dict[str, list[dict[str, Any]]] = Field(default_factory=dict)
    """Per stage: reason, column, low, high; what `trace` prints beside the scores."""
    overrides: list[dict[str, list[str] | None]] | None = None
    """For each stage of the recipe as it is listed there: which settings are those of its tables
    for a source or a language (`curation.scopes.Overrides`). None: an older version made this."""
    inputs: list[InputEntry] = Field(default_factory=list)
    shards: list[ShardEntry] = Field(default_factory=list)
    audit: dict[str, FileRecord] = Field(default_factory=dict)
    warnings: list[Removal] = Field(default_factory=list)
    """Unusual shares that rules removed of a source."""
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    peak_rss_bytes: int = 0


def read_manifest(directory: Path) -> Manifest:
    """Reads the manifest of a dataset directory.

    Raises:
        DataError: There is none (no finished dataset), or it is damaged.
    """
    path = directory / "manifest.json"
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        raise DataError(
            f"{directory}: no manifest.json, so no finished dataset is here; "
            f"run `curate run RECIPE --out {directory}` (it resumes what was begun)"
        ) from error
    except (ValidationError, OSError) as error:
        line = str(error).splitlines()[0]
        raise DataError(f"{path}: damaged or of another version ({line}); run again") from error


def damaged_files(directory: Path, manifest: Manifest) -> list[str]:
    """Returns the files of a dataset that are missing or differ from their digest."""
    wanted: dict[str, tuple[int, str]] = {s.path: (s.bytes, s.sha256) for s in manifest.shards}
    wanted |= {name: (file.bytes, file.sha256) for name, file in manifest.audit.items()}
    return [
        name
        for name, (size, sha256) in wanted.items()
        if not is_whole(directory / name, FileRecord(bytes=size, sha256=sha256, rows=0))
    ]


def merge_counts(records: Iterable[Record]) -> list[StageCount]:
    """Adds the stage counts of the shards of one segment, in stage order."""
    merged: dict[str, StageCount] = {}
    for record in records:
        for stage in record.stages:
            if stage.name in merged:
                merged[stage.name].add(stage)
            else:
                merged[stage.name] = stage.model_copy(deep=True)
    return list(merged.values())
