"""What exchanging gradients costs: the same steps, interleaved, with and without it.

Measured forward and backward only, after the last optimiser step, so no weight changes. The order
of the two arms alternates from pair to pair, and the slowest process counts: on a busy machine one
arm after the other measures who else was there.
"""

import os
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from curation.finetune.device import resolve_precision
from curation.finetune.pack import PackedSequences
from curation.finetune.ranks import Ranks
from curation.job import Job
from curation.results import Communication

PAIRS = (8, 24)
"""Pairs of steps, at least and at most."""
_BUDGET_SECONDS = 30.0
_DRAWS = 1000


def probe_communication(
    job: Job, wrapped: Any, sequences: PackedSequences, ranks: Ranks
) -> Communication:
    """Measures, in all processes at once.

    Args:
        job: The job, its batch a number.
        wrapped: The model as the training wrapped it (`DistributedDataParallel`).
        sequences: What was trained on; the first ones are read again.
        ranks: The processes.
    """
    load = os.getloadavg()[0]
    if ranks.count == 1:
        return _unmeasured(0, load, "one process exchanges nothing")
    step = _step(job, wrapped, sequences, ranks)
    warm = max(row[0] for row in ranks.gather([step(exchange=True) + step(exchange=False)]))
    pairs = int(np.clip(_BUDGET_SECONDS / max(warm, 1e-3), *PAIRS))
    with_it: list[float] = []
    without: list[float] = []
    for pair in range(pairs):
        arms = [(with_it, True), (without, False)]
        for times, exchange in arms if pair % 2 == 0 else reversed(arms):
            ranks.meet()
            times.append(step(exchange=exchange))
    seconds = np.array(ranks.gather([*with_it, *without])).max(axis=0)
    wrapped.zero_grad(set_to_none=True)
    return judge(seconds[:pairs], seconds[pairs:], load)


def judge(
    with_it: npt.NDArray[np.float64], without: npt.NDArray[np.float64], load: float
) -> Communication:
    """Returns the share, or that it cannot be told from nothing.

    Args:
        with_it: float64[pairs], seconds of steps that exchange gradients.
        without: float64[pairs], of the same steps without that.
        load: Load average of the machine.
    """
    pairs = len(with_it)
    differences, whole = with_it - without, float(np.median(with_it))
    draw = np.random.default_rng(0)
    drawn = differences[draw.integers(0, pairs, (_DRAWS, pairs))]
    low, high = (float(edge) / whole for edge in np.quantile(np.median(drawn, 1), (0.025, 0.975)))
    if low <= 0:
        note = "not measurable here: the interval of the difference does not lie above zero"
        return _unmeasured(pairs, load, note, low, high)
    share = float(np.median(differences)) / whole
    note = "share of forward and backward; what hides behind the backward pass is not seen"
    return Communication(share=share, low=low, high=high, pairs=pairs, load_average=load, note=note)


def _unmeasured(
    pairs: int, load: float, note: str, low: float | None = None, high: float | None = None
) -> Communication:
    return Communication(share=None, low=low, high=high, pairs=pairs, load_average=load, note=note)


def _step(job: Job, wrapped: Any, sequences: PackedSequences, ranks: Ranks) -> Callable[..., float]:
    """Returns a function that makes one step, of as many passes as the job has, and times it."""
    passes, size = job.training.gradient_accumulation, job.training.batch_size
    assert isinstance(size, int)
    device = next(wrapped.parameters()).device
    rows = [sequences[at] for at in range(size // (passes * ranks.count))]
    batch = {name: torch.stack([row[name] for row in rows]).to(device) for name in rows[0]}
    autocast = resolve_precision(job.training.precision).autocast

    def step(*, exchange: bool) -> float:
        wrapped.zero_grad(set_to_none=True)
        begun = time.perf_counter()
        for number in range(passes):
            with ExitStack() as stack:
                if not exchange or number < passes - 1:
                    stack.enter_context(wrapped.no_sync())
                stack.enter_context(
                    torch.autocast(device.type, autocast, enabled=autocast is not None)
                )
                wrapped(**batch, use_cache=False).loss.backward()
        if device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter() - begun

    return step
