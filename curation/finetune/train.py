"""The training loop: transformers' Trainer, silent, measured, and on an exact order of sequences.

The job's batch size is of one optimiser step over all devices, so another number of devices
changes the seconds and not the result. The order is fixed before the first step (`pack.Plan`), and
the Trainer reads it front to back.
"""

import json
import math
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import torch
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback

from curation.errors import CurationError, RecipeError
from curation.finetune.device import resolve_precision
from curation.finetune.pack import PackedSequences
from curation.finetune.progress import Progress
from curation.job import Job
from curation.results import LossPoint

LOSS_POINTS = 200
"""Points of the loss curve at most, but the first and the last."""
_EVENT_SECONDS = 0.25

_SCHEDULES = {
    "cosine": "cosine",
    "linear": "linear",
    "constant": "constant_with_warmup",
    "wsd": "warmup_stable_decay",
}


class Trained(NamedTuple):
    """What training left behind."""

    model: Any
    losses: list[LossPoint]
    steps: int
    steps_before: int
    """Steps that an earlier, killed process had made; 0 unless resumed."""
    seconds: float
    """Of the loop itself, in this process."""
    data_wait_seconds: float


def sequences_to_present(job: Job, available: int) -> int:
    """Returns how many sequences a job presents.

    Args:
        job: The job.
        available: Packed sequences.

    Raises:
        RecipeError: The budget holds no whole sequence.
    """
    length = job.data.sequence_length
    if job.data.token_budget is not None:
        presented = job.data.token_budget // length
    else:
        presented = math.floor((job.data.epochs or 1.0) * available)
    if job.training.max_steps is not None:
        presented = min(presented, job.training.max_steps * job.training.batch_size)
    if presented < 1:
        raise RecipeError(
            f"data: the budget holds no whole sequence of {length:,} tokens; raise token_budget "
            "or epochs, or lower sequence_length"
        )
    return presented


def train(
    job: Job, model: Any, sequences: PackedSequences, states: Path, progress: Progress
) -> Trained:
    """Trains a model on sequences in the order in which they come.

    Args:
        job: The job.
        model: Trained in place.
        sequences: One item for each sequence presented.
        states: Where the state is saved if the job asks for it, and found after a kill.
        progress: Gets "step" events.

    Raises:
        CurationError: The device's memory does not suffice, or the loss stopped being finite.
        RecipeError: The batch cannot be shared evenly among the devices.
    """
    arguments = _arguments(job, len(sequences), states)
    reporter = _Reporter(job, progress)
    trainer = _MeasuredTrainer(
        model=model, args=arguments, train_dataset=sequences, callbacks=[reporter]
    )
    trainer.remove_callback(PrinterCallback)
    begun = time.perf_counter()
    try:
        trainer.train(resume_from_checkpoint=_last_state(states))
    except torch.OutOfMemoryError as error:
        raise CurationError(
            f"CUDA out of memory at batch_size {job.training.batch_size} x sequence_length "
            f"{job.data.sequence_length}; raise training.gradient_accumulation (same result), or "
            "lower batch_size or model.size"
        ) from error
    return Trained(
        trainer.accelerator.unwrap_model(trainer.model),
        reporter.losses_of(trainer.state.log_history),
        trainer.state.global_step,
        reporter.first_step,
        time.perf_counter() - begun,
        trainer.data_wait_seconds,
    )


class _MeasuredTrainer(Trainer):
    """A Trainer that times how long it waits for data."""

    data_wait_seconds = 0.0

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> Any:
        begun = time.perf_counter()
        samples = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.data_wait_seconds += time.perf_counter() - begun
        return samples


class _Reporter(TrainerCallback):
    """Turns the Trainer's log into progress lines and a loss curve."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self._step_tokens = job.training.batch_size * job.data.sequence_length
        self._progress = progress
        self._begun = time.perf_counter()
        self._told = 0.0
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._begun, self.first_step = time.perf_counter(), state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if state.global_step >= state.max_steps:
            control.should_log = True  # else the last, incomplete interval would be lost

    def on_log(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:  # noqa: ARG002
        logs = kwargs.get("logs") or {}
        if "loss" not in logs:
            return
        loss = float(logs["loss"])
        if not math.isfinite(loss):
            raise CurationError(
                f"training: the loss is {loss} at step {state.global_step}; lower "
                f"training.learning_rate (it is {args.learning_rate:g}) or raise warmup"
            )
        now = time.perf_counter()
        if now - self._told < _EVENT_SECONDS and state.global_step < state.max_steps:
            return
        self._told = now
        tokens = (state.global_step - self.first_step) * self._step_tokens
        self._progress.emit(
            "step",
            step=state.global_step,
            total_steps=state.max_steps,
            loss=loss,
            tokens_per_second=round(tokens / max(now - self._begun, 1e-9), 1),
        )

    def losses_of(self, history: list[dict[str, Any]]) -> list[LossPoint]:
        """Returns the curve; a resumed run's history begins with the run before."""
        return [
            LossPoint(
                step=entry["step"],
                tokens=entry["step"] * self._step_tokens,
                loss=float(entry["loss"]),
                learning_rate=float(entry["learning_rate"]),
            )
            for entry in history
            if "loss" in entry
        ]


def _arguments(job: Job, presented: int, states: Path) -> TrainingArguments:
    spec, precision = job.training, resolve_precision(job.training.precision)
    steps = math.ceil(presented / spec.batch_size)
    saves = spec.checkpoint_every_steps
    return TrainingArguments(
        output_dir=str(states),
        use_cpu=not torch.cuda.is_available(),
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=_device_batch(job),
        gradient_accumulation_steps=spec.gradient_accumulation,
        learning_rate=job.learning_rate,
        lr_scheduler_type=_SCHEDULES[spec.schedule],
        lr_scheduler_kwargs={"num_decay_steps": max(1, steps // 5)}
        if spec.schedule == "wsd"
        else None,
        warmup_steps=spec.warmup,
        weight_decay=spec.weight_decay,
        adam_beta2=0.95,  # batches are small: 0.999 remembers a thousand of their noisy squares
        max_grad_norm=spec.max_gradient_norm,
        bf16=precision.name == "bf16",
        fp16=precision.name == "fp16",
        seed=job.seed.init,
        save_strategy="no" if saves is None else "steps",
        save_steps=saves or 500,
        save_total_limit=1,
        logging_steps=max(1, steps // LOSS_POINTS),
        logging_first_step=True,
        logging_nan_inf_filter=False,
        disable_tqdm=True,
        report_to="none",
        remove_unused_columns=False,
        ddp_find_unused_parameters=False,
        dataloader_pin_memory=torch.cuda.is_available(),
    )


def _last_state(directory: Path) -> str | None:
    """Returns the newest state that was saved to its end: the Trainer writes its record last."""
    whole = {}
    for path in directory.glob("checkpoint-*"):
        with suppress(OSError, ValueError):
            whole[json.loads((path / "trainer_state.json").read_bytes())["global_step"]] = path
    return str(whole[max(whole)]) if whole else None


def _device_batch(job: Job) -> int:
    devices = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    parts = devices * job.training.gradient_accumulation
    if job.training.batch_size % parts:
        raise RecipeError(
            f"training.batch_size {job.training.batch_size} cannot be shared by {devices} devices "
            f"x gradient_accumulation {job.training.gradient_accumulation}; expected a multiple "
            f"of {parts}"
        )
    return job.training.batch_size // parts
