"""What a training run reports, and how one is started: the border between torch and the rest.

`run_job` runs `python -m curation.finetune job.json` in a child process, so nothing here (nor in
whoever calls it) imports torch: a flow or a study starts in milliseconds, and a training that is
killed by the system takes only its own process along.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from curation.children import child_environment
from curation.errors import CurationError, DataError, DriftError, RecipeError
from curation.facts import (
    Batch,
    BitsPerByte,
    Communication,
    DataWait,
    Device,
    FlopCounts,
    LossPoint,
    ModelFacts,
    Part,
    Seconds,
    Steps,
    TokenFacts,
)
from curation.handoff import (
    CorpusRef,
    PreparedJob,
    library_versions,
    prepare_job,
    read_job,
)
from curation.job import Job, load_job, parse_job
from curation.manifest import ABSENT
from curation.shards import FileRecord, is_whole

__all__ = [
    "Batch",
    "BitsPerByte",
    "Communication",
    "DataWait",
    "Device",
    "FlopCounts",
    "Job",
    "LossPoint",
    "ModelFacts",
    "PreparedJob",
    "RunResult",
    "Seconds",
    "Steps",
    "TokenFacts",
    "finished_result",
    "load_job",
    "parse_job",
    "prepare_job",
    "read_job",
    "read_result",
    "run_job",
]

Progress = Mapping[str, Any]
"""One line of the child: `event` says which ("phase", "step", "evaluation", "finished")."""

RESULT_FORMAT = 2
"""Of the results that this version writes; it reads 1 too."""

LOG_NAME = "finetune.log"
GRACE_SECONDS = 15.0
"""How long a child may tidy up after SIGTERM before it is killed."""
GROUP_GRACE_SECONDS = 45.0
"""The same for a torchrun, which gives its own children 30 seconds."""


class RunResult(Part):
    """The content of result.json, written last: its presence means that the run is whole.

    Fields with a default are missing in results of format 1.
    """

    format: int = 1
    name: str
    job_digest: str
    corpus: CorpusRef
    model: ModelFacts
    tokens: TokenFacts
    losses: list[LossPoint]
    bits_per_byte: BitsPerByte | None
    """None where the dataset has no eval shard; `notes` says so."""
    flops: float
    """Of training, counted module by module: `flop_counts.modules`."""
    evaluation_flops: float
    """Of both evaluations, which only go forward."""
    flops_convention: str
    seconds: Seconds
    tokens_per_second: float
    """Presented tokens over training seconds."""
    data_wait_seconds: float
    """Part of the training seconds in which the device waited for its next batch."""
    peak_rss_bytes: int
    """Of the process that held most."""
    peak_cuda_bytes: int | None
    """Allocated for tensors, on the device that held most."""
    device: Device
    versions: dict[str, str]
    notes: list[str]
    skipped_documents: dict[str, int]
    """Documents that could not be used, by reason."""
    outputs: dict[str, FileRecord]
    """Every file of the run, by path relative to result.json."""
    batch: Batch | None = None
    flop_counts: FlopCounts | None = None
    peak_flops: float | None = None
    """Published FLOP/s of one device at this precision, dense; None where unknown."""
    mfu: float | None = None
    """FLOPs of the steps timed over what the devices could have done in that time."""
    steps: Steps | None = None
    data_wait: DataWait | None = None
    communication: Communication | None = None
    """None where the job does not ask for it."""
    cpu_seconds: float | None = None
    """User and system time of all processes."""
    branches: list[str] = Field(default_factory=list)
    """Paths of the results of `data.branches`, relative to this one, in their order."""
    reused: bool = Field(default=False, exclude=True)
    """True where `run_job` found the run finished and started nothing."""


def run_job(
    job_json: Path,
    *,
    on_progress: Callable[[Progress], None] | None = None,
    force: bool = False,
    processes: int | None = None,
) -> RunResult:
    """Trains as job.json says, in a child process, unless that was done already.

    Args:
        job_json: Path of a job.json (`prepare_job`).
        on_progress: Called with each progress line as it comes.
        force: Trains again although a finished run with this digest lies there.
        processes: Devices that share the work, on this machine, under torchrun. The result is the
            same and only the seconds differ; so where a number is given, a finished run counts
            only if it had as many. None: one, and any finished run will do.

    Returns:
        The content of result.json; `reused` says whether it was there before.

    Raises:
        CurationError: The training failed; one line. The class is the child's own: `DataError`
            for a damaged corpus, `RecipeError` for an impossible setting or a missing trainer.
    """
    prepared = read_job(job_json)
    done = None if force else finished_result(prepared)
    if done is not None and processes in (None, done.device.count):
        return done
    _check_trainer()
    prepared.output.mkdir(parents=True, exist_ok=True)
    log_path = prepared.output / LOG_NAME
    with open(log_path, "wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own module, no shell
            _command(job_json, processes or 1),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=child_environment() | {"PYTHONUNBUFFERED": "1"},
            start_new_session=True,  # Ctrl-C reaches the child through us, once
        )
        try:
            failure = _follow(child, on_progress)
            code = child.wait()
        finally:
            _stop(child, GRACE_SECONDS if processes in (None, 1) else GROUP_GRACE_SECONDS)
    if code != 0:
        raise _failed(code, failure, log_path)
    return read_result(prepared.output / "result.json")


def read_result(path: Path) -> RunResult:
    """Reads a result.json.

    Raises:
        DataError: The file is missing or damaged.
    """
    try:
        result = RunResult.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: no finished run is here ({error.strerror}); run it") from error
    except ValidationError as error:
        line = " ".join(str(error).split())
        raise DataError(f"{path}: is not a result.json ({line:.120}); run again") from error
    if result.format > RESULT_FORMAT:
        raise DataError(
            f"{path}: has format {result.format}, this version reads up to {RESULT_FORMAT}; "
            "update curation, or run again"
        )
    return result


def finished_result(prepared: PreparedJob) -> RunResult | None:
    """Returns the result of a job if it is there, for this digest, with all its files whole."""
    try:
        result = read_result(prepared.output / "result.json")
    except DataError:
        return None
    if result.job_digest != prepared.digest:
        return None
    if not all(is_whole(prepared.output / name, file) for name, file in result.outputs.items()):
        return None
    return result.model_copy(update={"reused": True})


def _check_trainer() -> None:
    missing = [name for name, found in library_versions().items() if found == ABSENT]
    if missing:
        raise RecipeError(
            f"fine-tuning needs {missing[0]}, which is not installed here; "
            "run: pip install 'curation[finetune]', or run the job.json on another machine"
        )


def _follow(
    child: subprocess.Popen[bytes], on_progress: Callable[[Progress], None] | None
) -> Progress | None:
    """Passes the child's lines on until it closes its output; returns its error, if any."""
    failure: Progress | None = None
    assert child.stdout is not None
    with child.stdout as lines:
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if not isinstance(event, dict):
                continue
            if event.get("event") == "error":
                failure = event
            elif on_progress is not None:
                on_progress(event)
    return failure


def _command(job_json: Path, processes: int) -> list[str]:
    """Returns what is started: the trainer, or torchrun with a rendezvous on this machine alone."""
    trainer = ["-m", "curation.finetune", str(job_json)]
    if processes == 1:
        return [sys.executable, *trainer]
    local = ["--rdzv-backend=c10d", "--rdzv-endpoint=127.0.0.1:0", "--local-addr=127.0.0.1"]
    count = ["--nnodes=1", f"--nproc-per-node={processes}"]
    return [sys.executable, "-m", "torch.distributed.run", *local, *count, *trainer]


def _stop(child: subprocess.Popen[bytes], grace: float) -> None:
    """Ends the child and whatever it started; does nothing if it has ended."""
    if child.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(grace)
            return


def _failed(code: int, failure: Progress | None, log_path: Path) -> CurationError:
    kinds = {kind.__name__: kind for kind in (RecipeError, DataError, DriftError)}
    if failure is not None:
        kind = kinds.get(str(failure.get("kind")), CurationError)
        return kind(str(failure.get("message")))
    if code < 0:
        name = signal.Signals(-code).name
        return CurationError(
            f"training: the process was ended by {name} (SIGKILL is often lack of memory); "
            f"its log is {log_path}; run again with a smaller training.batch_size"
        )
    lines = log_path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else "it said nothing"
    return CurationError(f"training failed (exit code {code}): {last:.300}; log: {log_path}")
