"""The table of runs: one row for each training that a study did, or that others published.

`runs.parquet` has exactly `RUN_COLUMNS`; any CSV or Parquet file is read into the same columns
through a mapping. A row that cannot be used stays, as failed and with its reason.
"""

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import DataError, RecipeError, unknown_name
from curation.shards import replacing

STATUSES = ("done", "failed", "skipped")

_TEXT, _WHOLE, _REAL = pa.string(), pa.int64(), pa.float64()

RUN_COLUMNS = pa.schema(
    [
        pa.field("cell", _TEXT, metadata={"is": "key of the cell, hex"}),
        pa.field("recipe", _TEXT, metadata={"is": "name of the data recipe"}),
        pa.field("status", _TEXT, metadata={"is": "done, failed or skipped"}),
        pa.field("reason", _TEXT, metadata={"is": "why it is not done"}),
        pa.field("parameters", _WHOLE, metadata={"is": "in matrix products, output head included"}),
        pa.field("parameters_all", _WHOLE, metadata={"is": "all, each shared tensor once"}),
        pa.field("parameters_blocks", _WHOLE, metadata={"is": "in matrix products of the blocks"}),
        pa.field("tokens", _WHOLE, metadata={"is": "presented, repeats included"}),
        pa.field("unique_tokens", _WHOLE, metadata={"is": "presented at least once"}),
        pa.field("given_tokens", _WHOLE, metadata={"is": "of text; null: all that there is"}),
        pa.field("text_bytes", _WHOLE, metadata={"is": "UTF-8 bytes of the text presented"}),
        pa.field("epochs", _REAL, metadata={"is": "tokens over unique tokens"}),
        pa.field("quality", _REAL, metadata={"is": "known quality of the text, in (0, 1]"}),
        pa.field("depth", _WHOLE, metadata={"is": "layers"}),
        pa.field("seed", _WHOLE, metadata={"is": "of the cell"}),
        pa.field("seed_init", _WHOLE, metadata={"is": "of the initial weights"}),
        pa.field("seed_order", _WHOLE, metadata={"is": "of the order of sequences"}),
        pa.field("seed_sampling", _WHOLE, metadata={"is": "of sampling"}),
        pa.field("devices", _WHOLE, metadata={"is": "processes that trained together"}),
        pa.field("batch_tokens", _WHOLE, metadata={"is": "tokens of a step"}),
        pa.field("steps", _WHOLE, metadata={"is": "optimiser steps"}),
        pa.field("learning_rate", _REAL, metadata={"is": "peak"}),
        pa.field("precision", _TEXT, metadata={"is": "of matrix products"}),
        pa.field("device", _TEXT, metadata={"is": "name of the device"}),
        pa.field("loss", _REAL, metadata={"is": "held-out bits per byte: y of all fits"}),
        pa.field("loss_se", _REAL, metadata={"is": "its standard error over documents"}),
        pa.field("train_loss", _REAL, metadata={"is": "nats per token, last"}),
        pa.field("bits_file", _TEXT, metadata={"is": "path of the held-out bits by document"}),
        pa.field("flops", _REAL, metadata={"is": "of training, own count"}),
        pa.field("seconds_train", _REAL, metadata={"is": "wall"}),
        pa.field("seconds_startup", _REAL, metadata={"is": "wall"}),
        pa.field("seconds_total", _REAL, metadata={"is": "wall"}),
        pa.field("cpu_seconds", _REAL, metadata={"is": "of all processes"}),
        pa.field("tokens_per_second", _REAL, metadata={"is": "presented, of all devices"}),
        pa.field("data_wait_share", _REAL, metadata={"is": "of training time, in [0, 1]"}),
        pa.field("communication_share", _REAL, metadata={"is": "of training time, in [0, 1]"}),
        pa.field("peak_memory_bytes", _WHOLE, metadata={"is": "of one process"}),
        pa.field("curation_seconds", _REAL, metadata={"is": "CPU, of the recipe's dataset"}),
        pa.field("dollars_low", _REAL, metadata={"is": "of training, at the low price"}),
        pa.field("dollars_mid", _REAL, metadata={"is": "of training, at the usual price"}),
        pa.field("dollars_high", _REAL, metadata={"is": "of training, at the high price"}),
        pa.field("manifest_sha256", _TEXT, metadata={"is": "of the dataset's manifest"}),
        pa.field("fingerprint", _TEXT, metadata={"is": "of the dataset"}),
    ]
)
"""Columns of `runs.parquet`, in order; every one but `cell` and `status` may be null."""

NEEDED = ("loss", "parameters", "tokens")
"""Without these a run says nothing to a law."""

_KINDS = {field.name: field.type for field in RUN_COLUMNS}

Row = dict[str, Any]


def read_runs(path: Path, columns: Mapping[str, str] | None = None) -> pa.Table:
    """Reads runs from Parquet or CSV into `RUN_COLUMNS`.

    Absent columns are null. `tokens` may be left out where `flops` is there: then they are
    flops / (6 parameters), and the schema's metadata says so under `derived`. A row that lacks a
    usable number where one is needed is failed, with its reason; all others are done unless they
    say not.

    Args:
        path: `.parquet`, or CSV with a line of names.
        columns: Name of a column here -> its name in the file, where they differ.

    Raises:
        RecipeError: The mapping names columns that do not exist.
        DataError: The file cannot be read, has no runs, or lacks a column that fits need.
    """
    names, rows = _read_parquet(path) if path.suffix == ".parquet" else _read_csv(path)
    source = _sources(path, names, columns or {})
    derived = "tokens" not in source and "flops" in source
    lacking = [name for name in NEEDED if name not in source and not (name == "tokens" and derived)]
    if lacking:
        raise DataError(
            f"runs {path}: no column '{lacking[0]}' among {', '.join(names)}; expected "
            f"{', '.join(NEEDED)}; say which it is: --columns {lacking[0]}=NAME"
        )
    if not rows:
        raise DataError(f"runs {path}: no rows after the names; expected one for each run")
    found = [_row({name: row[place] for name, place in source.items()}, derived) for row in rows]
    _name_cells(found)
    return _table(found, {"derived": "tokens = flops / (6 parameters)"} if derived else {})


def make_runs(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """Returns a table of runs from rows by column name, checked as `read_runs` checks a file.

    Raises:
        RecipeError: A row has a column that does not exist.
    """
    for name in {name for row in rows for name in row}:
        if name not in _KINDS:
            raise RecipeError(unknown_name("column of runs", name, _KINDS))
    found = [_row(row, derived=False) for row in rows]
    _name_cells(found)
    return _table(found, {})


def write_runs(path: Path, table: pa.Table) -> None:
    """Writes runs as Parquet, whole or not at all; equal tables give equal files.

    Raises:
        pa.ArrowInvalid: The table does not have the columns of `RUN_COLUMNS`.
    """
    sink = BytesIO()
    pq.write_table(table.select(RUN_COLUMNS.names).cast(RUN_COLUMNS), sink, compression="zstd")
    with replacing(path) as file:
        file.write(sink.getvalue())


def _read_parquet(path: Path) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise DataError(
            f"runs {path}: cannot be read as Parquet ({_line(error)}); write the file anew"
        ) from error
    return table.column_names, list(zip(*(one.to_pylist() for one in table.columns), strict=True))


def _read_csv(path: Path) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            lines = [line for line in csv.reader(file, strict=True) if line]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"runs {path}: cannot be read as CSV in UTF-8 ({_line(error)}); "
            "expected a line of names, then one line for each run"
        ) from error
    if not lines:
        raise DataError(f"runs {path}: is empty; expected a line of names, then the runs")
    names = [name.strip() for name in lines[0]]
    for number, line in enumerate(lines[1:], start=1):
        if len(line) != len(names):
            raise DataError(
                f"runs {path}: run {number} has {len(line)} values, expected {len(names)} "
                "as the line of names has; mend that line"
            )
    return names, list(lines[1:])


def _line(error: Exception) -> str:
    return f"{' '.join(str(error).split()):.160}"


def _sources(path: Path, names: Sequence[str], columns: Mapping[str, str]) -> dict[str, int]:
    """Returns the place in the file of each column that it has."""
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        raise DataError(f"runs {path}: two columns are named '{twice[0]}'; rename one")
    for ours, theirs in columns.items():
        if ours not in _KINDS:
            raise RecipeError(unknown_name("column of runs", ours, _KINDS))
        if theirs not in names:
            raise RecipeError(f"--columns {ours}={theirs}: {unknown_name('column', theirs, names)}")
    return {
        name: names.index(columns.get(name, name))
        for name in _KINDS
        if columns.get(name, name) in names
    }


def _row(values: Mapping[str, Any], derived: bool) -> Row:  # noqa: FBT001 - inner
    row: Row = dict.fromkeys(_KINDS)
    troubles = []
    for name, value in values.items():
        try:
            row[name] = _READERS[_KINDS[name]](value)
        except (TypeError, ValueError, OverflowError):
            troubles.append(f"{name} is {str(value)!r:.40}, not a finite number")
    if derived and row["flops"] and row["parameters"]:
        row["tokens"] = round(row["flops"] / (6 * row["parameters"]))
    if row["status"] not in (None, *STATUSES):
        troubles.append(f"status is {row['status']!r:.40}, not one of {', '.join(STATUSES)}")
    if row["status"] in (None, "done"):
        troubles += [f"{name} is missing" for name in NEEDED if _missing(row, name, troubles)]
        troubles += [f"{name} is {row[name]}, not above 0" for name in NEEDED if _low(row[name])]
    if troubles:
        row["status"], row["reason"] = "failed", "; ".join(troubles)
    row["status"] = row["status"] or "done"
    return row


def _missing(row: Row, name: str, troubles: Sequence[str]) -> bool:
    return row[name] is None and not any(one.startswith(f"{name} ") for one in troubles)


def _low(value: float | None) -> bool:
    return value is not None and value <= 0


def _real(value: Any) -> float | None:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


def _whole(value: Any) -> int | None:
    number = _real(value)
    if number is None:
        return None
    if abs(number) >= 2.0**63:
        raise OverflowError
    return int(value) if isinstance(value, int) else round(number)


def _text(value: Any) -> str | None:
    return None if value is None or value == "" else str(value)


_READERS: dict[pa.DataType, Callable[[Any], Any]] = {_TEXT: _text, _WHOLE: _whole, _REAL: _real}


def _name_cells(rows: Sequence[Row]) -> None:
    """Gives each row without a key one that depends on its values alone."""
    seen: Counter[str] = Counter()
    for row in rows:
        if row["cell"] is None:
            said = "\0".join(f"{name}={row[name]!r}" for name in _KINDS)
            digest = hashlib.sha256(f"{said}\0{seen[said]}".encode()).hexdigest()
            seen[said] += 1
            row["cell"] = digest[:16]


def _table(rows: Sequence[Row], facts: Mapping[str, str]) -> pa.Table:
    table = pa.Table.from_pylist(list(rows), schema=RUN_COLUMNS.remove_metadata())
    return table.cast(RUN_COLUMNS.with_metadata(dict(facts)) if facts else RUN_COLUMNS)
