"""One training run from job.json to result.json: check, tokenise, score, train, score, save.

Everything is written into `.work` below the output directory and moved to its place at the end;
`result.json` comes last. So whatever ends the process, nothing half-written is taken for whole.
"""

import fcntl
import platform
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from accelerate import PartialState  # type: ignore[import-untyped]

from curation.errors import DataError, RecipeError
from curation.finetune.card import model_card
from curation.finetune.corpus import HELD_OUT_SEED, Corpus, Split, open_corpus
from curation.finetune.device import (
    describe_device,
    join_processes,
    make_deterministic,
    peak_cuda_bytes,
    peak_rss_bytes,
    resolve_precision,
)
from curation.finetune.evaluate import (
    HeldOut,
    document_bits,
    hold_out,
    summarize,
    write_evaluation,
)
from curation.finetune.model import FLOPS_CONVENTION, describe, make_model, training_flops
from curation.finetune.pack import PackedSequences, Plan, TokenStream, pack, plan_order
from curation.finetune.progress import Progress
from curation.finetune.tokenizer import TextTokenizer, load_tokenizer, make_tokenizer
from curation.finetune.train import Trained, sequences_to_present, train
from curation.handoff import PreparedJob, library_versions
from curation.job import Job
from curation.manifest import write_json
from curation.results import BitsPerByte, RunResult, Seconds, TokenFacts
from curation.shards import FileRecord, file_sha256

NO_EVAL = "held-out bits per byte: not measured, the dataset has no eval documents"
_OUTPUTS = ("model", "tokens", "evaluation.parquet")


def run(prepared: PreparedJob, progress: Progress) -> RunResult | None:
    """Runs a job and writes its outputs and result.json below `prepared.output`.

    Returns:
        The result; None in all processes of a torchrun but the first, which alone scores and saves.

    Raises:
        CurationError: One line says what is wrong with corpus, job or machine.
    """
    make_deterministic()
    ranks = join_processes()
    with _work_directory(prepared.output, ranks) as work:
        corpus = open_corpus(prepared.dataset, prepared.corpus)
        progress.seconds["startup"] = progress.total()
        inputs = _prepare(prepared.job, corpus, work, ranks, progress)
        result = _train_and_score(prepared, corpus, inputs, work, progress)
        if result is not None:
            _publish(work, prepared.output, result)
            progress.emit("finished", result=str(prepared.output / "result.json"))
        ranks.wait_for_everyone()
    ranks.destroy_process_group()  # left to the interpreter's end, gloo aborts now and then
    return result


class _Inputs(NamedTuple):
    """What lies ready before the first step."""

    tokenizer: TextTokenizer
    stream: TokenStream
    plan: Plan
    held_out: HeldOut | None
    train: Split
    notes: list[str]
    skipped: dict[str, int]


def _prepare(
    job: Job, corpus: Corpus, work: Path, ranks: PartialState, progress: Progress
) -> _Inputs:
    split = corpus.split("train", job.seed.sampling)
    if ranks.is_main_process:
        _check_documents(split, corpus)
        with progress.phase("tokenizer"):
            tokenizer = make_tokenizer(job, split)
            tokenizer.fast.save_pretrained(work / "model")
        with progress.phase("tokenize"):
            limits = [job.data.unique_tokens, job.data.token_budget]
            limit = min((n for n in limits if n is not None), default=None)
            pack(tokenizer, split, work / "tokens", limit)
    skipped = dict(split.skipped)
    ranks.wait_for_everyone()
    tokenizer = load_tokenizer(work / "model")
    stream = TokenStream(work / "tokens")
    available = len(stream) // job.data.sequence_length
    if not available:
        raise RecipeError(
            f"data.sequence_length {job.data.sequence_length:,} is longer than the whole packed "
            f"corpus of {len(stream):,} tokens; set it to that or less, or add documents"
        )
    plan = plan_order(available, sequences_to_present(job, available), job.seed.order)
    held_out = _held_out(job, corpus, tokenizer) if ranks.is_main_process else None
    notes = [] if held_out is not None else [NO_EVAL]
    return _Inputs(tokenizer, stream, plan, held_out, split, notes, skipped)


def _check_documents(split: Split, corpus: Corpus) -> None:
    if any(True for _ in split):
        return
    raise DataError(
        f"{corpus.directory}: has {len(split):,} train documents, none with text; expected at "
        "least one; see `curate stats` for what the recipe rejected"
    )


def _held_out(job: Job, corpus: Corpus, tokenizer: TextTokenizer) -> HeldOut | None:
    documents = []
    for document in corpus.split("eval", HELD_OUT_SEED):
        documents.append(document)
        if len(documents) == job.data.eval_documents:
            break
    if not documents:
        return None
    return hold_out(documents, tokenizer, job.data.sequence_length)


def _train_and_score(
    prepared: PreparedJob, corpus: Corpus, inputs: _Inputs, work: Path, progress: Progress
) -> RunResult | None:
    job = prepared.job
    model = make_model(job, inputs.tokenizer)
    model.to("cuda" if torch.cuda.is_available() else "cpu")
    before = _score(job, model, inputs.held_out, progress, "before")
    length = job.data.sequence_length
    saves = job.training.checkpoint_every_steps is not None
    states = prepared.output / "checkpoints" / prepared.digest[:16] if saves else work / "trainer"
    with progress.phase("train"):
        sequences = PackedSequences(inputs.stream, inputs.plan, length)
        trained = train(job, model, sequences, states, progress)
    if not PartialState().is_main_process:
        return None
    after = _score(job, trained.model, inputs.held_out, progress, "after")
    scores = None
    if inputs.held_out is not None and before is not None and after is not None:
        scores = summarize(inputs.held_out, before, after)
        write_evaluation(work / "evaluation.parquet", inputs.held_out, before, after)
    with progress.phase("save"):
        trained.model.save_pretrained(work / "model")
    result = _result(prepared, inputs, trained, scores, progress)
    card = model_card(prepared, corpus, inputs.train.licenses(), result)
    (work / "model" / "README.md").write_text(card, encoding="utf-8")
    return result


def _score(
    job: Job, model: Any, held_out: HeldOut | None, progress: Progress, when: str
) -> npt.NDArray[np.float64] | None:
    if held_out is None:
        return None
    with progress.phase("evaluate"):
        bits = document_bits(model, held_out, resolve_precision(job.training.precision).autocast)
    total = sum(document.text_bytes for document in held_out.documents)
    progress.emit("evaluation", when=when, bits_per_byte=float(bits.sum() / total))
    return bits


def _result(
    prepared: PreparedJob,
    inputs: _Inputs,
    trained: Trained,
    scores: BitsPerByte | None,
    progress: Progress,
) -> RunResult:
    job, length = prepared.job, prepared.job.data.sequence_length
    facts = describe(trained.model, job)
    tokens = _tokens(inputs, trained, length)
    scored = 0 if inputs.held_out is None else 2 * inputs.held_out.tokens_read
    here = tokens.trained * (trained.steps - trained.steps_before) / max(trained.steps, 1)
    resumed = [f"resumed at step {trained.steps_before}"] if trained.steps_before else []
    return RunResult(
        name=job.name,
        job_digest=prepared.digest,
        corpus=prepared.corpus,
        model=facts,
        tokens=tokens,
        losses=trained.losses,
        bits_per_byte=scores,
        flops=training_flops(facts, tokens.trained, length),
        evaluation_flops=training_flops(facts, scored, length) / 3,
        flops_convention=FLOPS_CONVENTION,
        seconds=_seconds(progress),
        tokens_per_second=here / trained.seconds,
        data_wait_seconds=trained.data_wait_seconds,
        peak_rss_bytes=peak_rss_bytes(),
        peak_cuda_bytes=peak_cuda_bytes(),
        device=describe_device(job.training.precision),
        versions={"python": platform.python_version(), **library_versions(), **_versions()},
        notes=[*inputs.notes, *resumed],
        skipped_documents=inputs.skipped,
        outputs={},
    )


def _tokens(inputs: _Inputs, trained: Trained, length: int) -> TokenFacts:
    presented = len(inputs.plan.order)
    return TokenFacts(
        packed=len(inputs.stream),
        documents=inputs.stream.map.num_rows,
        unique=inputs.plan.unique * length,
        trained=presented * length,
        text_bytes=int(np.sum(inputs.stream.map.column("text_bytes").to_numpy())),
        sequence_length=length,
        sequences=presented,
        steps=trained.steps,
        epochs=presented / inputs.plan.available,
    )


def _seconds(progress: Progress) -> Seconds:
    phases = ("startup", "tokenizer", "tokenize", "evaluate", "train", "save")
    spent = {phase: round(progress.seconds.get(phase, 0.0), 3) for phase in phases}
    return Seconds(**spent, total=round(progress.total(), 3))


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("safetensors", "pyarrow")}


@contextmanager
def _work_directory(output: Path, ranks: PartialState) -> Iterator[Path]:
    """Makes `.work` afresh, for one run at a time, and clears it away whatever happens."""
    work = output / ".work"
    if not ranks.is_main_process:
        ranks.wait_for_everyone()
        yield work
        return
    output.mkdir(parents=True, exist_ok=True)
    with open(output / ".lock", "w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise DataError(
                f"{output}: another training writes there; wait for it or choose another directory"
            ) from error
        shutil.rmtree(work, ignore_errors=True)  # left by a process that was killed
        (work / "model").mkdir(parents=True)
        ranks.wait_for_everyone()
        try:
            yield work
        finally:
            shutil.rmtree(work, ignore_errors=True)


def _publish(work: Path, output: Path, result: RunResult) -> None:
    """Moves the outputs to their place; the old result goes first, the new one comes last."""
    written = [path for name in _OUTPUTS for path in ((work / name), *(work / name).rglob("*"))]
    files = sorted(path for path in written if path.is_file())
    records = {
        path.relative_to(work).as_posix(): FileRecord(
            bytes=path.stat().st_size, sha256=file_sha256(path), rows=0
        )
        for path in files
    }
    (output / "result.json").unlink(missing_ok=True)
    for name in _OUTPUTS:
        target = output / name
        shutil.rmtree(target) if target.is_dir() else target.unlink(missing_ok=True)
        if (work / name).exists():
            (work / name).replace(target)
    shutil.rmtree(output / "checkpoints", ignore_errors=True)
    write_json(output / "result.json", result.model_copy(update={"outputs": records}))
