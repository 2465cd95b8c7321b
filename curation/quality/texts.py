"""The two sides of the training data: any files that a source reads, or finished datasets.

What a file is, its name says: `.jsonl`, `.parquet`, `.txt` and `.md`, with `.gz` or `.zst` after it
where the source can, and `.arrow`. A directory with a `manifest.json` stands for the train shards
of that dataset; its held-out documents stay held out here, too.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa

from curation.errors import RecipeError, SchemaError, unknown_name
from curation.manifest import read_manifest
from curation.shards import read_shard
from curation.source import InputFile, Source, Split
from curation.sources import JsonlSource, ParquetSource, TextSource
from curation.sources.rows import Fields

_KINDS = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".txt": "text",
    ".md": "text",
    ".text": "text",
    ".arrow": "arrow",
}
_BATCH_ROWS, _BATCH_CHARS = 1000, 8 << 20


class Read(NamedTuple):
    """Some records of a side."""

    texts: pa.Array
    """large_string, without nulls."""
    unreadable: int
    """Records that had no text that could be read."""


def read_side(name: str, paths: Sequence[str], field: str) -> Iterator[Read]:
    """Yields the texts of a side, batch by batch.

    Args:
        name: Of the side, for messages ("positives").
        paths: Files, globs, directories and URLs.
        field: The field or column that holds the text.

    Raises:
        RecipeError: A path matches nothing, or a file is of a kind that holds no plain text.
        SchemaError: An Arrow file has no such column.
    """
    for kind, file in _files(name, paths):
        if kind == "arrow":
            yield from _arrow(file, field)
        else:
            yield from _records(_source(name, kind, field), file)


def _files(name: str, paths: Sequence[str]) -> list[tuple[str, InputFile]]:
    """Returns kind and file of each, sorted by place, each once."""
    patterns: list[str] = []
    for path in paths:
        if (Path(path) / "manifest.json").is_file():
            shards = read_manifest(Path(path)).shards
            patterns += [str(Path(path) / shard.path) for shard in shards if shard.split == "train"]
        else:
            patterns.append(path)
    if not patterns:
        raise RecipeError(f"{name}: {', '.join(paths)} has no train shards; name other data")
    listed = TextSource(kind="text", name=name, paths=tuple(patterns)).files(Path.cwd())
    return [(_kind(name, file), file) for file in sorted(listed, key=lambda file: file.url)]


def _kind(name: str, file: InputFile) -> str:
    path = Path(file.name.lower())
    suffix = Path(path.stem).suffix if path.suffix in (".gz", ".zst") else path.suffix
    if suffix not in _KINDS:
        raise RecipeError(
            f"{name}: {file.name}: {unknown_name('kind of file', suffix, _KINDS)}; for web "
            "archives or HTML run a recipe first and name its dataset"
        )
    return _KINDS[suffix]


def _source(name: str, kind: str, field: str) -> Source:
    if kind == "jsonl":
        return JsonlSource(kind="jsonl", name=name, paths=("-",), fields=Fields(text=field))
    if kind == "parquet":
        return ParquetSource(kind="parquet", name=name, paths=("-",), fields=Fields(text=field))
    return TextSource(kind="text", name=name, paths=("-",))


def _records(source: Source, file: InputFile) -> Iterator[Read]:
    texts: list[str] = []
    chars = unreadable = 0
    for record in source.read(Split(file, 0, file.size), Counter()):
        if record.text is None:
            unreadable += 1
            continue
        texts.append(record.text)
        chars += len(record.text)
        if len(texts) >= _BATCH_ROWS or chars >= _BATCH_CHARS:
            yield Read(pa.array(texts, pa.large_string()), unreadable)
            texts, chars, unreadable = [], 0, 0
    yield Read(pa.array(texts, pa.large_string()), unreadable)


def _arrow(file: InputFile, field: str) -> Iterator[Read]:
    table = read_shard(Path(file.url))
    if field not in table.column_names:
        what = f"text column of {file.name}"
        raise SchemaError(unknown_name(what, field, table.column_names))
    for batch in table.select([field]).to_batches(max_chunksize=_BATCH_ROWS):
        column = batch.column(0)
        yield Read(column.drop_null().cast(pa.large_string()), column.null_count)
