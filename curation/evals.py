"""Evaluation sets as passages of text: what a training corpus must not contain.

Files are JSON Lines (plain, gzip, Zstandard), Parquet, or Arrow (file or stream). A row is one
item with an id; each string in one of the named fields is a passage of its own, so that a page
with a question but not its answers is found by the question. A row that cannot be read is an error:
a set that is read in part would protect in part.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import unknown_name
from curation.plainfile import line_pieces, name_apart, plain_name
from curation.text.shingles import plain_tokens

_JSON, _ARROW = (".jsonl", ".ndjson", ".json"), (".arrow", ".ipc", ".feather")
_BATCH_ROWS = 1024
_SHORT = "too short"
_LOOKED_FOR = ("looked for whole", "looked for by n-grams")
_SURROGATE = re.compile("[\ud800-\udfff]")


class EvalFile(NamedTuple):
    """A file of an evaluation set."""

    name: str
    """File name without suffixes; with its folder in front where that tells it."""
    path: Path


class Passage(NamedTuple):
    """One string of an evaluation set; in this order they are numbered."""

    set: str
    id: str
    """The row's id, or its number from 0."""
    field: str
    """Where in the row: `question`, `choices.text[2]`."""
    text: str


class Tally(NamedTuple):
    """Passages of all files, sorted, and a line for each file that says how many."""

    passages: tuple[Passage, ...]
    summary: tuple[str, ...]


def eval_files(paths: Sequence[str]) -> list[EvalFile]:
    """Returns the files of evaluation sets, sorted by name.

    Raises:
        ValueError: A file is not there, is of no known kind, or two cannot be told apart.
    """
    found, names = [], []
    for path in map(Path, paths):
        if not path.is_file():
            raise ValueError(f"evals: '{path}': no such file; give local files, not folders")
        name = Path(plain_name(path))
        if name.suffix not in (*_JSON, *_ARROW, ".parquet"):
            raise ValueError(
                f"evals: '{path}' ends in '{name.suffix}'; expected one of "
                f"{', '.join((*_JSON, *_ARROW))}, .parquet; convert it or rename it"
            )
        found.append(path)
        names.append(name.stem)
    told = name_apart(found, names, "evaluation sets")
    return sorted(EvalFile(name, path) for name, path in zip(told, found, strict=True))


def read_passages(
    files: Sequence[EvalFile], fields: Sequence[str], id_field: str, lengths: tuple[int, int]
) -> Tally:
    """Reads all passages.

    Args:
        files: From `eval_files`.
        fields: Names of fields; dots lead into objects, and lists are taken apart.
        id_field: Field of the id.
        lengths: Fewest tokens of a passage that is looked for, and tokens in an n-gram; for the
            summary.

    Raises:
        ValueError: A file cannot be read, has none of the fields, or nothing that is long enough;
            or a field is in no file: what it was meant to protect would not be looked for.
    """
    passages: list[Passage] = []
    summary = []
    missing = set(fields)
    known: set[str] = set()
    for file in files:
        counts: Counter[str] = Counter()
        seen: set[str] = set()
        for number, row in enumerate(_rows(file)):
            seen.update(row)
            own = list(_of_row(file.name, number, row, fields, id_field))
            counts["rows"] += 1
            counts["rows without text"] += not own
            counts.update(_length_class(passage.text, lengths) for _, passage in own)
            missing -= {field for field, _ in own}
            passages += [passage for _, passage in own]
        _check_file(file, counts, lengths, fields, seen)
        known |= seen
        parts = [f"{name} {count:,}" for name, count in sorted(counts.items()) if count]
        summary.append(f"{file.name}: {', '.join(parts)}")
    for field in sorted(missing):
        what = unknown_name("field of the evaluation sets", field, known)
        raise ValueError(f"evals: no row of any file has a text in '{field}': {what}")
    return Tally(tuple(sorted(passages)), tuple(summary))


def _check_file(
    file: EvalFile,
    counts: Counter[str],
    lengths: tuple[int, int],
    fields: Sequence[str],
    seen: set[str],
) -> None:
    if counts["rows"] == counts["rows without text"]:
        found = unknown_name(f"field of {file.path.name}", fields[0], seen)
        raise ValueError(f"evals: no row has a text in {', '.join(fields)}: {found}")
    if not any(counts[name] for name in _LOOKED_FOR):
        raise ValueError(
            f"evals: {file.path}: all {counts[_SHORT]:,} passages in {', '.join(fields)} have "
            f"fewer than {lengths[0]} words, so nothing of it would be looked for; lower "
            "min_tokens, name other fields, or leave the file out"
        )


def _length_class(text: str, lengths: tuple[int, int]) -> str:
    least, ngram = lengths
    tokens = len(plain_tokens(text))
    if tokens < least:
        return _SHORT
    return _LOOKED_FOR[tokens >= ngram]


def _of_row(
    name: str, number: int, row: Mapping[str, Any], fields: Sequence[str], id_field: str
) -> Iterator[tuple[str, Passage]]:
    """Yields each passage with the field, of those that were asked for, that led to it."""
    found = next(_strings(row, id_field.split("."), ""), None)
    value = row.get(id_field)
    identifier = found[1] if found else str(number if value is None else value)
    for field in fields:
        for place, text in _strings(row, field.split("."), ""):
            # Documents are composed by the stage `normalize`; a mark apart would part words.
            composed = unicodedata.normalize("NFC", _SURROGATE.sub("\ufffd", text))
            if composed.strip():
                yield field, Passage(name, identifier, place, composed)


def _strings(value: Any, path: Sequence[str], place: str) -> Iterator[tuple[str, str]]:
    """Yields the strings at the end of a path into a row, with where they are."""
    if isinstance(value, list | tuple):
        for number, part in enumerate(value):
            yield from _strings(part, path, f"{place}[{number}]")
    elif path:
        if isinstance(value, Mapping) and path[0] in value:
            yield from _strings(value[path[0]], path[1:], f"{place}.{path[0]}".lstrip("."))
    elif isinstance(value, str):
        yield place, value


def _rows(file: EvalFile) -> Iterator[Mapping[str, Any]]:
    suffix = Path(plain_name(file.path)).suffix
    if suffix in _JSON:
        yield from _json_rows(file)
        return
    try:
        for batch in _batches(file.path, parquet=suffix == ".parquet"):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise ValueError(
            f"evals: {file.path} cannot be read ({' '.join(str(error).split())}); "
            "expected a whole Parquet or Arrow file; fetch it again"
        ) from error


def _batches(path: Path, *, parquet: bool) -> Iterable[pa.RecordBatch]:
    if parquet:
        yield from pq.ParquetFile(path).iter_batches(_BATCH_ROWS)
        return
    with pa.memory_map(str(path)) as source:
        try:
            table = pa.ipc.open_file(source).read_all()
        except pa.ArrowInvalid:
            source.seek(0)
            table = pa.ipc.open_stream(source).read_all()
    yield from table.to_batches(_BATCH_ROWS)


def _json_rows(file: EvalFile) -> Iterator[Mapping[str, Any]]:
    number = 0
    for piece in line_pieces(file.path, "evals"):
        for line in piece.split(b"\n"):
            number += 1
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise ValueError(
                    f"evals: {file.path}, line {number} is no JSON ({error}); expected one object "
                    "a line; correct the file"
                ) from error
            if not isinstance(row, dict):
                raise ValueError(
                    f"evals: {file.path}, line {number} is a {type(row).__name__}; expected one "
                    "object a line; correct the file"
                )
            yield row
        number -= 1  # a piece ends with a line end, after which nothing follows
