"""One cell: its job is run in a child process, and what came out of it is a row of runs.parquet.

A finished cell leaves `cell.json` in a directory named by its key, written last; a cell whose
record is there, with its files whole, is never run again. A failed one leaves none: its row says
why, and the next run of the study tries it again.
"""

import fcntl
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, ValidationError

from curation.errors import CurationError, DataError
from curation.handoff import PreparedJob, prepare_job, read_job
from curation.manifest import write_json
from curation.results import RunResult, read_result, run_job
from curation.shards import FileRecord, file_sha256, is_whole
from curation.study.corpora import Dataset
from curation.study.grid import Cell, Trunk, job_of, key_of
from curation.study.spec import Study

RECORD = "cell.json"
ORPHAN_SECONDS = 120
LAST_SHARE = 0.1
"""Part of the training, at its end, that `train_loss` is the mean of."""

TIME_COLUMNS = (
    "seconds_train",
    "seconds_startup",
    "seconds_total",
    "cpu_seconds",
    "tokens_per_second",
    "data_wait_share",
    "communication_share",
    "peak_memory_bytes",
    "curation_seconds",
    "dollars_low",
    "dollars_mid",
    "dollars_high",
    "manifest_sha256",
)
"""Columns that differ from run to run: clocks, memory, what they cost, and the digest of a
manifest, which holds clocks."""

Row = dict[str, Any]
OnProgress = Callable[[Mapping[str, Any]], None]


class CellStoppedError(Exception):
    """The study was stopped while a cell trained; the cell is run again next time."""


class CellRecord(BaseModel):
    """What a finished cell left: its row, and the files that must be whole."""

    model_config = ConfigDict(frozen=True)

    key: str
    row: dict[str, Any]
    files: dict[str, FileRecord]


class PlacedCell(NamedTuple):
    """A cell with all that its job needs, and its place on disk."""

    cell: Cell
    key: str
    directory: Path
    job_json: Path
    curation_seconds: float
    quality: float | None
    batch_tokens: int
    branches: bool
    """Whether it may be one training with others that differ in their tokens alone."""
    shorter: tuple["PlacedCell", ...] = ()
    """Cells that this one's training answers too, fewest tokens first."""

    def finished(self) -> Row | None:
        """Returns the row if the cell was run, and its files are whole."""
        try:
            record = CellRecord.model_validate_json((self.directory / RECORD).read_bytes())
        except (OSError, ValidationError):
            return None
        whole = all(is_whole(self.directory / name, file) for name, file in record.files.items())
        # What is the study's, not the training's: a recipe may be curated again, or judged.
        known = {
            "curation_seconds": self.curation_seconds,
            "quality": self.quality,
            "given_tokens": self.cell.unique_tokens,
        }
        return {**record.row, **known} if whole and record.key == self.key else None


class Place(NamedTuple):
    """What the cells of a study have in common."""

    study: Study
    out: Path
    tokenizer: Path
    held_out: Path
    hardware: Mapping[str, Any]
    threads: int | None


def place_cell(cell: Cell, dataset: Dataset, place: Place) -> PlacedCell:
    """Prepares a cell's job, names it by its key, and gives it its directory.

    Raises:
        RecipeError: The study asks for something that no job can be.
    """
    job = job_of(cell, place.study, tokenizer=str(place.tokenizer), held_out=str(place.held_out))
    waiting = place.out / "cells" / ".new"
    prepared = read_job(prepare_job(job, dataset.directory, waiting))
    key = key_of(cell, prepared.digest, place.hardware, place.threads)
    directory = (place.out / "cells" / key).resolve()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "job.json"
    write_json(path, prepared.model_copy(update={"output": directory}))
    shutil.rmtree(waiting, ignore_errors=True)
    spec = next(recipe for recipe in place.study.recipes if recipe.name == cell.recipe)
    seconds, batch = dataset.manifest.cpu_seconds, place.study.training.batch_tokens
    branches = place.study.training.branches
    return PlacedCell(cell, key, directory, path, seconds, spec.quality, batch, branches)


def join_trunks(waiting: Sequence[PlacedCell]) -> list[PlacedCell]:
    """Makes one of the cells that can be one training: the longest, which has the others with it.

    Args:
        waiting: Cells without a number.

    Returns:
        What is left to run, in the order of `waiting`.
    """
    trunks: dict[Trunk, list[PlacedCell]] = {}
    for one in waiting:
        if one.branches:
            trunks.setdefault(one.cell.trunk, []).append(one)
    longest = {}
    for cells in trunks.values():
        *shorter, last = sorted(cells, key=lambda one: one.cell.tokens)
        longest[last.key] = last._replace(shorter=tuple(shorter))
    return [longest.get(one.key, one) for one in waiting if not one.branches or one.key in longest]


def run_cell(placed: PlacedCell, on_progress: OnProgress = lambda _: None) -> Row:
    """Runs a cell, or finds it run; whatever stops its training is its row's reason.

    The shorter cells that it has with it are finished then, or as far as its training came.

    Returns:
        A row by column name; `status` is "done" or "failed".
    """
    found = placed.finished()
    if found is not None:
        return found
    with suppress(FileNotFoundError):
        (placed.directory / RECORD).unlink()
    _wait_for_orphan(placed.directory)
    job_json = _trunk_job(placed)
    try:
        result = run_job(job_json, on_progress=on_progress, **_processes(placed.cell.devices))
    except CurationError as error:
        _keep_branches(placed, job_json)
        return unfinished_row(placed, "failed", str(error))
    _keep_branches(placed, job_json)
    _prune(placed.directory)
    return _keep(placed, result)


def _keep(placed: PlacedCell, result: RunResult) -> Row:
    """Writes the record of a cell whose files lie in its directory, and returns its row."""
    row = row_of(placed, read_job(placed.job_json), result)
    if row["loss"] is None:
        return unfinished_row(placed, "failed", "; ".join(result.notes) or "no held-out loss")
    bits = result.bits_per_byte
    kept = ["result.json", *([bits.file] if bits else [])]
    files = {name: _record(placed.directory / name) for name in kept}
    write_json(placed.directory / RECORD, CellRecord(key=placed.key, row=row, files=files))
    return row


def _trunk_job(placed: PlacedCell) -> Path:
    """Returns the job that trains a cell and the shorter ones that are prefixes of it.

    One that was begun is gone on with as it was: what it has of them already is not done again.
    """
    path, budgets = placed.directory / "trunk.json", {one.cell.tokens for one in placed.shorter}
    with suppress(DataError):
        begun = read_job(path)
        if begun.kept_states.is_dir() and budgets <= set(begun.job.data.branches):
            return path
    if not budgets:
        return placed.job_json
    write_json(path, read_job(placed.job_json).with_data(branches=tuple(sorted(budgets))))
    return path


def _keep_branches(placed: PlacedCell, job_json: Path) -> None:
    """Gives shorter cells what their branches came to, also where the training failed later on."""
    trunk = read_job(job_json)
    for one in placed.shorter:
        tokens = one.cell.tokens
        finished = placed.directory / "branches" / str(tokens)
        for found in (finished, trunk.branch_directory(tokens)):
            if (found / "result.json").is_file():
                shutil.copytree(found, one.directory, dirs_exist_ok=True)
                _keep(one, read_result(one.directory / "result.json"))
                break


def _wait_for_orphan(directory: Path) -> None:
    """Waits for the training of a study that was killed: it ends when it next reports progress."""
    with open(directory / ".lock", "a+") as lock:
        for _ in range(ORPHAN_SECONDS):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(1)
            else:
                return


def unfinished_row(placed: PlacedCell, status: str, reason: str) -> Row:
    """Returns the row of a cell that has no number, with the reason."""
    return {**_asked(placed), "status": status, "reason": " ".join(reason.split())[:500]}


def row_of(placed: PlacedCell, prepared: PreparedJob, result: RunResult) -> Row:
    """Returns what a training reports as a row of runs.parquet; dollars are the study's to add."""
    tokens, bits = result.tokens, result.bits_per_byte
    return {
        **_asked(placed),
        "status": "done",
        "reason": None,
        "parameters": result.model.matmul_parameters,
        "parameters_all": result.model.parameters,
        "parameters_blocks": result.model.block_parameters,
        "tokens": tokens.trained,
        "unique_tokens": tokens.unique,
        "text_bytes": tokens.presented_bytes,
        "epochs": tokens.trained / max(tokens.unique, 1),
        "steps": tokens.steps,
        "precision": result.device.precision,
        "device": result.device.name,
        "loss": bits and bits.after,
        "loss_se": bits and bits.se_after,
        "train_loss": _last_loss(result),
        "bits_file": bits and f"cells/{placed.directory.name}/{bits.file}",
        "flops": result.flops,
        **_times(result),
        "manifest_sha256": prepared.corpus.manifest_sha256,
        "fingerprint": prepared.corpus.fingerprint,
    }


def hardware_of(result: RunResult) -> dict[str, Any]:
    """Returns what a speed depends on, as a probe met it."""
    device = result.device
    return {"kind": device.kind, "name": device.name, "precision": device.precision}


def _asked(placed: PlacedCell) -> Row:
    cell, job = placed.cell, read_job(placed.job_json).job
    return {
        "cell": placed.key,
        "recipe": cell.recipe,
        "tokens": cell.tokens,
        "unique_tokens": cell.unique_tokens,
        "given_tokens": cell.unique_tokens,
        "quality": placed.quality,
        "depth": cell.size.depth,
        "seed": cell.seed,
        "seed_init": job.seed.init,
        "seed_order": job.seed.order,
        "seed_sampling": job.seed.sampling,
        "devices": cell.devices,
        "batch_tokens": placed.batch_tokens,
        "learning_rate": job.learning_rate,
        "curation_seconds": placed.curation_seconds,
    }


def _times(result: RunResult) -> Row:
    seconds = result.seconds
    peak = result.peak_cuda_bytes or result.peak_rss_bytes
    return {
        "seconds_train": seconds.train,
        "seconds_startup": seconds.startup + seconds.tokenizer + seconds.tokenize,
        "seconds_total": seconds.total,
        "cpu_seconds": result.cpu_seconds,
        "tokens_per_second": _speed(result),
        "data_wait_share": result.data_wait.share if result.data_wait else None,
        "communication_share": result.communication.share if result.communication else None,
        "peak_memory_bytes": peak,
    }


def _last_loss(result: RunResult) -> float | None:
    """Returns the mean training loss over the last tenth of the steps: one point is noise."""
    if not result.losses:
        return None
    begin = (1 - LAST_SHARE) * result.losses[-1].step
    last = [point.loss for point in result.losses if point.step >= begin]
    return float(np.mean(last))


def _speed(result: RunResult) -> float:
    """Returns tokens per second without the first, slow steps, where steps were timed."""
    return result.steps.tokens_per_second if result.steps else result.tokens_per_second


def _processes(devices: int) -> dict[str, Any]:
    return {} if devices == 1 else {"processes": devices}


def _record(path: Path) -> FileRecord:
    return FileRecord(bytes=path.stat().st_size, sha256=file_sha256(path), rows=0)


def _prune(directory: Path) -> None:
    """Removes weights and packed tokens: a study keeps numbers, and has many cells."""
    for name in ("model", "tokens", "checkpoints", "branches"):
        shutil.rmtree(directory / name, ignore_errors=True)
