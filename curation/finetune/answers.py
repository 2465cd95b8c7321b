"""Trains, scores and reports: once, or once for each token budget that a job branches into.

With branches the budgets are trained in ascending order. Each is an ordinary run of that budget,
but that it begins at the state in which the one before left the constant rate, which is on its own
way: so the shared part is trained once, and each result is that of a run of its own, to the bit.
"""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from curation.finetune.batch import choose_batch, with_batch
from curation.finetune.device import (
    describe_device,
    peak_cuda_bytes,
    peak_rss_bytes,
    resolve_precision,
)
from curation.finetune.evaluate import (
    HELD_OUT_FILE,
    HeldOut,
    document_bits,
    summarize,
    write_evaluation,
)
from curation.finetune.heldout import HeldOutSet
from curation.finetune.model import describe, make_model
from curation.finetune.pack import PackedSequences, Plan, TokenStream, plan_order
from curation.finetune.probe import probe_communication
from curation.finetune.progress import Progress
from curation.finetune.ranks import Ranks
from curation.finetune.report import Measured, make_result
from curation.finetune.timing import RankTimes, cpu_seconds
from curation.finetune.tokenizer import TextTokenizer
from curation.finetune.train import States, Trained, decay_start, sequences_to_present, train
from curation.handoff import PreparedJob
from curation.job import Job
from curation.manifest import write_json
from curation.results import (
    Batch,
    Communication,
    Device,
    ModelFacts,
    RunResult,
    Seconds,
    finished_result,
)
from curation.shards import file_record


class Inputs(NamedTuple):
    """What lies ready before the first step."""

    tokenizer: TextTokenizer
    stream: TokenStream
    held_out: HeldOutSet
    """Without documents in all processes but the first, which alone scores."""
    encoded: HeldOut | None
    skipped: dict[str, int]


@dataclass
class _Run:
    """What all budgets of a run share."""

    prepared: PreparedJob
    inputs: Inputs
    work: Path
    ranks: Ranks
    progress: Progress
    facts: ModelFacts
    batch: Batch
    device: Device
    model: Any
    """Untrained; None once it is in use."""
    before: npt.NDArray[np.float64] | None
    """Bits of each held-out document before training; None where nothing is scored."""
    evaluated: float
    """Seconds that this took."""
    cpu_before: float
    """CPU seconds of this process until training began."""

    def take_model(self) -> Any:
        """Returns untrained weights on the device, always the same ones."""
        model = self.model or _new_model(self.prepared.job, self.inputs.tokenizer)
        self.model = None
        return model

    @property
    def states(self) -> Path:
        """Where states are saved: for a later process if one may need them, else to be cleared."""
        job = self.prepared.job
        if job.training.checkpoint_every_steps is None and not job.data.branches:
            return self.work / "trainer"
        return self.prepared.kept_states


class _Training(NamedTuple):
    """One budget, trained."""

    trained: Trained
    plan: Plan
    packed: int
    ranks: list[RankTimes]
    communication: Communication | None
    setup_seconds: float
    """Of the Trainer, before its first step."""


def answer(
    prepared: PreparedJob, inputs: Inputs, work: Path, ranks: Ranks, progress: Progress
) -> RunResult | None:
    """Trains and scores all budgets of a job, and writes model and bits of the longest to `work`.

    Returns:
        The result of the longest run; None in all processes but the first.
    """
    run = _begin(prepared, inputs, work, ranks, progress)
    for budget in prepared.job.data.branches:
        _answer_branch(run, budget)
    training = _train(run, prepared.job, None)
    ranks.part(training.trained.wrapped)
    return _report(run, prepared, training, work) if ranks.is_main else None


def _begin(
    prepared: PreparedJob, inputs: Inputs, work: Path, ranks: Ranks, progress: Progress
) -> _Run:
    model = _new_model(prepared.job, inputs.tokenizer)
    facts = describe(model, prepared.job)
    batch = choose_batch(prepared.job, facts)
    before = _score(prepared.job, model, inputs.encoded, progress, "before")
    ranks.await_main(work / "scored-before")
    device = describe_device(prepared.job.training.precision)
    return _Run(
        prepared, inputs, work, ranks, progress, facts, batch, device, model, before,
        evaluated=progress.seconds.get("evaluate", 0.0), cpu_before=cpu_seconds(),
    )  # fmt: skip


def _new_model(job: Job, tokenizer: TextTokenizer) -> Any:
    model = make_model(job, tokenizer)
    return model.to("cuda" if torch.cuda.is_available() else "cpu")


def _answer_branch(run: _Run, budget: int) -> None:
    """Trains a shorter budget and writes its result, unless an earlier process did."""
    output = run.prepared.branch_directory(budget)
    branch = _branch(run.prepared, budget, output)
    trunk = run.states / "trunk" / str(_keep_at(run, branch.job))
    if finished_result(branch) is not None and (trunk / "trainer_state.json").is_file():
        return
    training = _train(run, branch.job, budget)
    if run.ranks.is_main:
        output.mkdir(parents=True, exist_ok=True)
        result = _report(run, branch, training, output)
        bits = output / HELD_OUT_FILE
        outputs = {bits.name: file_record(bits)} if result.bits_per_byte else {}
        write_json(output / "result.json", result.model_copy(update={"outputs": outputs}))
    run.ranks.await_main(run.work / f"branch-{budget}")


def _branch(prepared: PreparedJob, budget: int, output: Path) -> PreparedJob:
    """Returns the job that trains this budget alone: its digest is that of the result."""
    alone = prepared.with_data(token_budget=budget, branches=())
    return alone.model_copy(update={"output": output})


def _keep_at(run: _Run, job: Job) -> int:
    sequences = (job.data.token_budget or 0) // job.data.sequence_length
    return decay_start(-(-sequences // run.batch.sequences))


def _train(run: _Run, job: Job, branch: int | None) -> _Training:
    """Trains one budget in all processes; `branch` is that budget where longer ones follow."""
    stream, length = run.inputs.stream, job.data.sequence_length
    packed = len(stream) if branch is None else min(len(stream), branch)
    settled = with_batch(job, run.batch)
    plan = _plan(settled, packed // length)
    sequences = PackedSequences(stream, plan, length, run.batch.sequences)
    keep_at = None if branch is None else _keep_at(run, job)
    states = States(run.states / str(branch or "run"), run.states / "trunk", keep_at)
    begun = time.perf_counter()
    with run.progress.phase("train"):
        trained = train(settled, run.take_model(), sequences, states, run.progress)
    setup = time.perf_counter() - begun - trained.timing.here
    cpu = run.cpu_before + trained.timing.spent.cpu_seconds
    mine = RankTimes.of(trained.timing, cpu, peak_rss_bytes(), peak_cuda_bytes())
    ranks = [RankTimes(*values) for values in run.ranks.gather(list(mine))]
    probe = None
    if job.training.communication_probe and branch is None:
        probe = probe_communication(settled, trained.wrapped, sequences, run.ranks)
    return _Training(trained, plan, packed, ranks, probe, setup)


def _plan(job: Job, available: int) -> Plan:
    stretch = job.data.shuffle_tokens
    return plan_order(
        available,
        sequences_to_present(job, available),
        job.seed.order,
        None if stretch is None else stretch // job.data.sequence_length,
    )


def _report(run: _Run, prepared: PreparedJob, training: _Training, directory: Path) -> RunResult:
    """Scores a trained model, writes what belongs to it, and returns its result."""
    cpu, longest = cpu_seconds(), prepared is run.prepared
    encoded, model = run.inputs.encoded, training.trained.model
    already = run.progress.seconds.get("evaluate", 0.0) - run.evaluated
    after = _score(prepared.job, model, encoded, run.progress, "after")
    scores = None
    if encoded is not None and run.before is not None and after is not None:
        write_evaluation(directory / HELD_OUT_FILE, encoded, run.before, after)
        scores = summarize(encoded, run.before, after).model_copy(
            update={
                "dataset": run.inputs.held_out.dataset,
                "also_in_training": run.inputs.held_out.also_in_training,
            }
        )
    if longest:
        with run.progress.phase("save"):
            model.save_pretrained(directory / "model")
    measured = Measured(
        run.facts, run.batch, training.plan, training.packed, training.trained, training.ranks,
        run.device, training.communication, _seconds(run, training, already, longest),
        sum(rank.cpu_seconds for rank in training.ranks) + cpu_seconds() - cpu,
    )  # fmt: skip
    held_out = (run.inputs.held_out, encoded, scores)
    text = (run.inputs.tokenizer, run.inputs.stream)
    return make_result(prepared, measured, text, held_out, run.inputs.skipped)


def _seconds(run: _Run, training: _Training, others: float, longest: bool) -> Seconds:  # noqa: FBT001
    """Returns the seconds of one budget as if it had run alone.

    Args:
        run: The run.
        training: Of this budget.
        others: Spent on scoring shorter budgets.
        longest: Whether this is the last one, which saves the model.
    """
    phases, timing = run.progress.seconds, training.trained.timing
    spent = {
        "startup": phases["startup"] + training.setup_seconds,
        "tokenizer": phases.get("tokenizer", 0.0),
        "tokenize": phases.get("tokenize", 0.0),
        "evaluate": phases.get("evaluate", 0.0) - others,
        "train": timing.spent.seconds,
        "save": phases.get("save", 0.0) if longest else 0.0,
    }
    total = sum(spent.values())
    if not run.prepared.job.data.branches:  # with all that lies between the phases
        total = max(total, run.progress.total() + timing.spent.seconds - timing.here)
    return Seconds(
        **{name: round(value, 3) for name, value in spent.items()}, total=round(total, 3)
    )


def _score(
    job: Job, model: Any, encoded: HeldOut | None, progress: Progress, when: str
) -> npt.NDArray[np.float64] | None:
    if encoded is None:
        return None
    with progress.phase("evaluate"):
        bits = document_bits(model, encoded, resolve_precision(job.training.precision).autocast)
    total = sum(document.text_bytes for document in encoded.documents)
    progress.emit("evaluation", when=when, bits_per_byte=float(bits.sum() / total))
    return bits
