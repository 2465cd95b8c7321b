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
from curation.finetune.timing import StepClock, Timing, read_spent, write_spent
from curation.job import DECAY_ONE_IN, Job
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
    wrapped: Any
    """The model as it was shared among processes."""
    losses: list[LossPoint]
    steps: int
    steps_before: int
    """Steps that an earlier process, or a longer run's trunk, had made; 0 if it began anew."""
    timing: Timing


class States(NamedTuple):
    """Where the states of a training lie that can be gone on from."""

    directory: Path
    """Of those saved now and then, if the job asks for it."""
    trunk: Path
    """Directory of kept states, by step: of the shared part of runs that branch."""
    keep_at: int | None = None
    """A step whose state is kept there."""

    def last(self) -> Path | None:
        """Returns the newest state that was saved to its end: the Trainer writes its record last.

        Of the kept ones, none later than the step to be kept: those belong to longer runs.
        """
        whole = {}
        for path in [*self.directory.glob("checkpoint-*"), *self.trunk.glob("*")]:
            with suppress(OSError, ValueError):
                step = json.loads((path / "trainer_state.json").read_bytes())["global_step"]
                if path.parent != self.trunk or self.keep_at is None or step <= self.keep_at:
                    whole[step] = path
        return whole[max(whole)] if whole else None


def decay_start(steps: int) -> int:
    """Returns the last step of schedule "wsd" at the peak rate, warm-up included."""
    return steps - _decay_steps(steps)


def _decay_steps(steps: int) -> int:
    return max(1, steps // DECAY_ONE_IN)


def sequences_to_present(job: Job, available: int) -> int:
    """Returns how many sequences a job presents.

    Args:
        job: The job, its batch a number.
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
        presented = min(presented, job.training.max_steps * _batch(job))
    if presented < 1:
        raise RecipeError(
            f"data: the budget holds no whole sequence of {length:,} tokens; raise token_budget "
            "or epochs, or lower sequence_length"
        )
    return presented


def train(
    job: Job, model: Any, sequences: PackedSequences, states: States, progress: Progress
) -> Trained:
    """Trains a model on sequences in the order in which they come.

    Args:
        job: The job, its batch a number.
        model: Trained in place.
        sequences: One item for each sequence presented, in whole batches.
        states: Where states are saved and found.
        progress: Gets "step" events.

    Raises:
        CurationError: The device's memory does not suffice, or the loss stopped being finite.
        RecipeError: The batch cannot be shared evenly among the devices.
    """
    arguments = _arguments(job, sequences.steps, states)
    start = states.last()
    clock = StepClock()
    reporter = _Reporter(job, progress)
    trainer = _MeasuredTrainer(
        model=model,
        args=arguments,
        train_dataset=sequences,
        callbacks=[reporter, _Keeper(states, clock, start)],
    )
    trainer.clock = clock
    trainer.remove_callback(PrinterCallback)
    try:
        trainer.train(resume_from_checkpoint=None if start is None else str(start))
    except torch.OutOfMemoryError as error:
        raise CurationError(
            f"CUDA out of memory at batch_size {job.training.batch_size} x sequence_length "
            f"{job.data.sequence_length}; raise training.gradient_accumulation (same result), or "
            "lower batch_size or model.size"
        ) from error
    return Trained(
        trainer.accelerator.unwrap_model(trainer.model),
        trainer.model_wrapped,
        reporter.losses_of(trainer.state.log_history),
        trainer.state.global_step,
        reporter.first_step,
        clock.read(),
    )


class _MeasuredTrainer(Trainer):
    """A Trainer that times how long it waits for data."""

    clock: StepClock

    def get_batch_samples(
        self, epoch_iterator: Iterator[Any], num_batches: int, device: torch.device
    ) -> Any:
        # Only the batches themselves: counting their tokens waits for the other processes.
        timed = self.clock.timed(epoch_iterator)
        return super().get_batch_samples(timed, num_batches, device)


class _Keeper(TrainerCallback):
    """Runs the clock, and keeps the state of the step where a shorter run would begin to decay."""

    def __init__(self, states: States, clock: StepClock, start: Path | None) -> None:
        self._states, self._clock, self._start = states, clock, start
        self._to_move: Path | None = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self._clock.begin(read_spent(self._start))

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._clock.step()
        self._move()
        if state.global_step == self._states.keep_at:
            control.should_save = control.should_log = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        if state.is_world_process_zero:
            saved = self._states.directory / f"checkpoint-{state.global_step}"
            write_spent(saved, self._clock.spent())
            if state.global_step == self._states.keep_at:
                self._to_move = saved
        self._clock.resume()

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._move()

    def _move(self) -> None:
        """Moves the state a step later: by then every process has written its part of it."""
        if self._to_move is not None:
            self._states.trunk.mkdir(parents=True, exist_ok=True)
            self._to_move.replace(self._states.trunk / self._to_move.name.rpartition("-")[2])
            self._to_move = None


class _Reporter(TrainerCallback):
    """Turns the Trainer's log into progress lines and a loss curve."""

    def __init__(self, job: Job, progress: Progress) -> None:
        self._step_tokens = _batch(job) * job.data.sequence_length
        self._progress = progress
        self._begun = time.perf_counter()
        self._told = 0.0
        self.first_step = 0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ARG002
        self._begun, self.first_step = time.perf_counter(), state.global_step

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        # A mean over steps before and after a save would be lost with the process that held it,
        # and so would the last, incomplete one.
        saves = args.save_strategy == "steps" and state.global_step % args.save_steps == 0
        if saves or state.global_step >= state.max_steps:
            control.should_log = True

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


def _arguments(job: Job, steps: int, states: States) -> TrainingArguments:
    spec, precision = job.training, resolve_precision(job.training.precision)
    saves = spec.checkpoint_every_steps
    return TrainingArguments(
        output_dir=str(states.directory),
        use_cpu=not torch.cuda.is_available(),
        num_train_epochs=1,
        train_sampling_strategy="sequential",
        per_device_train_batch_size=_device_batch(job),
        gradient_accumulation_steps=spec.gradient_accumulation,
        learning_rate=job.learning_rate,
        lr_scheduler_type=_SCHEDULES[spec.schedule],
        lr_scheduler_kwargs={"num_decay_steps": _decay_steps(steps)}
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


def _batch(job: Job) -> int:
    """Returns the batch of a job in which it has been settled (`batch.with_batch`)."""
    size = job.training.batch_size
    assert isinstance(size, int)
    return size


def _device_batch(job: Job) -> int:
    devices = torch.distributed.get_world_size() if torch.distributed.is_initialized() else 1
    parts = devices * job.training.gradient_accumulation
    if _batch(job) % parts:
        raise RecipeError(
            f"training.batch_size {_batch(job)} cannot be shared by {devices} devices "
            f"x gradient_accumulation {job.training.gradient_accumulation}; expected a multiple "
            f"of {parts}"
        )
    return _batch(job) // parts
