"""The result of a run, put together from what each part of it measured."""

import platform
from importlib.metadata import version
from typing import NamedTuple

import numpy as np

from curation.finetune.batch import few_steps
from curation.finetune.evaluate import HeldOut
from curation.finetune.flops import FLOPS_CONVENTION, count_flops, count_token_flops, peak_flops
from curation.finetune.heldout import HeldOutSet
from curation.finetune.pack import Plan, TokenStream
from curation.finetune.timing import RankTimes, data_wait, step_times
from curation.finetune.tokenizer import TextTokenizer
from curation.finetune.train import Trained
from curation.handoff import PreparedJob, library_versions
from curation.results import (
    RESULT_FORMAT,
    Batch,
    BitsPerByte,
    Communication,
    Device,
    ModelFacts,
    RunResult,
    Seconds,
    Steps,
    TokenFacts,
)

NO_EVAL = "held-out bits per byte: not measured, the dataset has no eval documents"


class Measured(NamedTuple):
    """What one training left behind, beside its model."""

    facts: ModelFacts
    batch: Batch
    plan: Plan
    packed: int
    """Tokens of the stream that belong to it: a branch's are fewer than were packed."""
    trained: Trained
    ranks: list[RankTimes]
    device: Device
    communication: Communication | None
    seconds: Seconds
    cpu_seconds: float


def make_result(
    prepared: PreparedJob,
    measured: Measured,
    text: tuple[TextTokenizer, TokenStream],
    held_out: tuple[HeldOutSet, HeldOut | None, BitsPerByte | None],
    skipped: dict[str, int],
) -> RunResult:
    """Returns the content of result.json, complete but for the digests of the outputs.

    Args:
        prepared: The job, or that of a branch.
        measured: What its training left.
        text: The tokenizer and the packed corpus.
        held_out: The held-out documents, as encoded, and their score.
        skipped: Documents that could not be used, by reason.
    """
    chosen, encoded, scores = held_out
    length = prepared.job.data.sequence_length
    facts, trained, device = measured.facts, measured.trained, measured.device
    tokens = _tokens(measured, text, length)
    counts = count_flops(trained.model, facts, tokens.trained, length)
    per_token = count_token_flops(trained.model, length)
    scored = 0 if encoded is None else 2 * encoded.tokens_read
    made = trained.steps - trained.steps_before
    steps = step_times(measured.ranks, trained.timing, made, measured.batch.tokens)
    peak = peak_flops(device.name, device.precision)
    return RunResult(
        format=RESULT_FORMAT,
        name=prepared.job.name,
        job_digest=prepared.digest,
        corpus=prepared.corpus,
        model=facts,
        tokens=tokens,
        losses=trained.losses,
        bits_per_byte=scores,
        flops=counts.modules,
        evaluation_flops=per_token.forward * scored,
        flops_convention=FLOPS_CONVENTION,
        seconds=measured.seconds,
        tokens_per_second=tokens.trained * made / trained.steps / trained.timing.here,
        data_wait_seconds=trained.timing.all_waits,
        peak_rss_bytes=int(max(rank.rss_bytes for rank in measured.ranks)),
        peak_cuda_bytes=_peak_cuda(measured.ranks),
        device=device,
        versions={"python": platform.python_version(), **library_versions(), **_versions()},
        notes=_notes(trained, chosen, scores),
        skipped_documents=skipped,
        outputs={},
        batch=measured.batch,
        flop_counts=counts,
        peak_flops=peak,
        mfu=utilisation(per_token.training, steps, device, peak),
        steps=steps,
        data_wait=data_wait(measured.ranks),
        communication=measured.communication,
        cpu_seconds=measured.cpu_seconds,
    )


def utilisation(per_token: float, steps: Steps, device: Device, peak: float | None) -> float | None:
    """Returns the share of what the devices could have computed in the steps timed.

    Args:
        per_token: FLOPs of training on one token.
        steps: As timed.
        device: How many there were.
        peak: FLOP/s of one of them; None gives None.
    """
    if peak is None or not steps.timed:
        return None
    return per_token * steps.tokens_per_second / (peak * device.count)


def _peak_cuda(ranks: list[RankTimes]) -> int | None:
    most = max(rank.cuda_bytes for rank in ranks)
    return None if most < 0 else int(most)


def _notes(trained: Trained, chosen: HeldOutSet, scores: BitsPerByte | None) -> list[str]:
    notes = [] if scores is not None else [NO_EVAL]
    if chosen.also_in_training:
        notes.append(
            f"{chosen.also_in_training:,} of {len(chosen.documents):,} held-out documents have the "
            "words of a training text: their bits are no held-out bits"
        )
    if trained.steps_before:
        notes.append(f"resumed at step {trained.steps_before}")
    return [*notes, *few_steps(trained.steps)]


def _tokens(measured: Measured, text: tuple[TextTokenizer, TokenStream], length: int) -> TokenFacts:
    plan, packed = measured.plan, measured.packed
    presented = len(plan.order)
    documents, text_bytes = _packed_text(*text, packed)
    return TokenFacts(
        packed=packed,
        documents=documents,
        unique=plan.unique * length,
        trained=presented * length,
        text_bytes=text_bytes,
        presented_bytes=round(text_bytes * presented * length / packed),
        sequence_length=length,
        sequences=presented,
        steps=measured.trained.steps,
        epochs=presented / plan.available,
    )


def _packed_text(tokenizer: TextTokenizer, stream: TokenStream, packed: int) -> tuple[int, int]:
    """Returns the documents of the first tokens and the UTF-8 bytes that these spell."""
    starts = stream.map.column("start").to_numpy()
    sizes = stream.map.column("text_bytes").to_numpy()
    documents = int(np.searchsorted(starts, packed))
    if packed == len(stream):
        return documents, int(sizes.sum())
    cut = tokenizer.decode(stream.read(int(starts[documents - 1]) + 1, packed).tolist())
    return documents, int(sizes[: documents - 1].sum()) + len(cut.encode())


def _versions() -> dict[str, str]:
    return {name: version(name) for name in ("safetensors", "pyarrow")}
