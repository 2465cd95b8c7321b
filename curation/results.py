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

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from curation.children import child_environment
from curation.errors import CurationError, DataError, DriftError, RecipeError
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
    "Job",
    "PreparedJob",
    "RunResult",
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


class Part(BaseModel):
    """Base of the parts of a result."""

    model_config = ConfigDict(frozen=True)


class LossPoint(Part):
    """Training loss at one point, the mean over the steps since the point before."""

    step: int
    tokens: int
    """Presented so far."""
    loss: float
    """Nats per token."""
    learning_rate: float


class ModelFacts(Part):
    """The model, counted in the three conventions that scaling laws use."""

    origin: str
    """"new" or the checkpoint."""
    architecture: str
    layers: int
    width: int
    vocab_size: int
    parameters: int
    """All, each shared tensor once."""
    matmul_parameters: int
    """In matrix products, output head included: the N of 6 N D."""
    block_parameters: int
    """In matrix products of the transformer blocks alone."""
    trained_parameters: int | None = None
    """Of `parameters`, those that training changes; None in results of format 1."""


class TokenFacts(Part):
    """What was read, in tokens."""

    packed: int
    """Tokens packed, document boundaries included."""
    documents: int
    """Documents packed."""
    unique: int
    """Tokens in the sequences that were presented at least once."""
    trained: int
    """Tokens presented, repeats included: sequences times their length."""
    text_bytes: int
    """UTF-8 bytes of the packed documents."""
    presented_bytes: int | None = None
    """UTF-8 bytes of the text presented, repeats included: text_bytes x trained / packed."""
    sequence_length: int
    sequences: int
    steps: int
    epochs: float
    """Sequences presented for each packed sequence."""


class BitsPerByte(Part):
    """Held-out bits per byte: summed token surprise over summed UTF-8 bytes of the documents."""

    before: float
    after: float
    documents: int
    bytes: int
    by_source: dict[str, tuple[float, float]]
    """Before and after, of each source's documents."""
    window: int
    """Tokens of an evaluation window."""
    context: int
    """Tokens that a later window of a long document reads again before it scores."""
    file: str = "evaluation.parquet"
    """Bits document by document, relative to result.json; its digest is in `outputs`."""
    se_before: float | None = None
    """Standard error by resampling documents; None with fewer than two of them."""
    se_after: float | None = None
    se_change: float | None = None
    """Of after - before, the documents paired."""
    dataset: CorpusRef | None = None
    """The dataset of `data.held_out`; None where the corpus' own eval documents were scored."""
    also_in_training: int = 0
    """Documents among them whose words also stand in the training texts."""


class Seconds(Part):
    """Wall seconds by phase."""

    startup: float
    """Imports, and checking the corpus."""
    tokenizer: float
    tokenize: float
    """Encoding and packing."""
    evaluate: float
    train: float
    save: float
    total: float


class Batch(Part):
    """Of one optimiser step, over all devices."""

    sequences: int
    tokens: int
    rule: str
    """"set" by the job, or how it follows from the model."""


class FlopCounts(Part):
    """FLOPs of training in three conventions; ratios of runs depend on which one is taken."""

    modules: float
    """Module by module, attention included, what frozen weights save left out."""
    matmul: float
    """6 x matmul_parameters x tokens."""
    parameters: float
    """6 x parameters x tokens."""


class Steps(Part):
    """Optimiser steps timed one by one, of the slowest process, the first steps left out."""

    timed: int
    skipped: int
    seconds: float
    """Of one step, the median."""
    tokens_per_second: float
    """Presented by all devices together, over the steps timed."""


class DataWait(Part):
    """Time blocked on the next batch, of the process that waited most.

    An upper bound on an accelerator: a queue of kernels goes on while the next batch is fetched.
    """

    seconds: float
    share: float
    """Of the seconds of the steps timed, in [0, 1]."""


class Communication(Part):
    """What exchanging gradients adds to a step: the same steps, interleaved, with and without."""

    share: float | None
    """Median of the differences over the median step; None: not measurable here (see note)."""
    low: float | None
    """95 % interval over the pairs of steps."""
    high: float | None
    pairs: int
    load_average: float
    """Of the machine, over the minute before."""
    note: str


class Device(Part):
    """Where it ran."""

    kind: str
    """cpu or cuda."""
    name: str
    count: int
    threads: int
    """CPU threads of one process; another number may change the last bits of a loss."""
    precision: str


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
) -> RunResult:
    """Trains as job.json says, in a child process, unless that was done already.

    Args:
        job_json: Path of a job.json (`prepare_job`).
        on_progress: Called with each progress line as it comes.
        force: Trains again although a finished run with this digest lies there.

    Returns:
        The content of result.json; `reused` says whether it was there before.

    Raises:
        CurationError: The training failed; one line. The class is the child's own: `DataError`
            for a damaged corpus, `RecipeError` for an impossible setting or a missing trainer.
    """
    prepared = read_job(job_json)
    done = None if force else finished_result(prepared)
    if done is not None:
        return done
    _check_trainer()
    prepared.output.mkdir(parents=True, exist_ok=True)
    log_path = prepared.output / LOG_NAME
    with open(log_path, "wb") as log:
        child = subprocess.Popen(  # noqa: S603 - our own module, no shell
            [sys.executable, "-m", "curation.finetune", str(job_json)],
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
            _stop(child)
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


def _stop(child: subprocess.Popen[bytes]) -> None:
    """Ends the child and whatever it started; does nothing if it has ended."""
    if child.poll() is not None:
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(child.pid, number)
        with suppress(subprocess.TimeoutExpired):
            child.wait(GRACE_SECONDS)
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
