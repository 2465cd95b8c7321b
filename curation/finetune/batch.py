"""How many tokens an optimiser step reads, when the job leaves it to the model's size.

    N <= 1 M           512 tokens: measured with 0.03 to 0.7 M parameters, where a batch of 2,048
                       tokens made the loss a function of the number of steps, not of the data
    1 M < N < 4 M      in between, straight in logarithms
    N >= 4 M           327,680 x (N / 108 M)^(2/3): published by OLMo-core for its ladder of models
                       (after Porian et al. 2024), whose smallest rungs begin about there

N is the number of parameters in matrix products, output head included. The result depends on the
model alone, not on the budget: runs that differ in data alone then differ in data alone. It is
rounded down to a power of two of sequences, which any usual number of devices can share.
"""

import math

from curation.job import Job
from curation.results import Batch, ModelFacts

SMALL, SMALL_TOKENS = 1e6, 512
LADDER = 4e6
STEPS_WANTED = 1000
"""Below these the number of steps, not the amount of data, may decide the loss."""


def batch_tokens(parameters: int) -> float:
    """Returns the tokens of a step for a model of so many matmul parameters."""
    if parameters <= SMALL:
        return SMALL_TOKENS
    if parameters >= LADDER:
        return _ladder(parameters)
    slope = math.log(_ladder(LADDER) / SMALL_TOKENS) / math.log(LADDER / SMALL)
    return float(SMALL_TOKENS * (parameters / SMALL) ** slope)


def _ladder(parameters: float) -> float:
    return float(2048 * 160 * (parameters / 108e6) ** (2 / 3))


def choose_batch(job: Job, facts: ModelFacts) -> Batch:
    """Returns the batch of a job: what it says, or what follows from the model."""
    length = job.data.sequence_length
    asked = job.training.batch_size
    if asked != "auto":
        return Batch(sequences=asked, tokens=asked * length, rule="set")
    sequences = max(1, int(batch_tokens(facts.matmul_parameters) // length))
    sequences = 1 << (sequences.bit_length() - 1)
    return Batch(
        sequences=sequences,
        tokens=sequences * length,
        rule=f"auto, from {facts.matmul_parameters:,} matmul parameters",
    )


def with_batch(job: Job, batch: Batch) -> Job:
    """Returns the job with its batch as a number."""
    training = job.training.model_copy(update={"batch_size": batch.sequences})
    return job.model_copy(update={"training": training})


def few_steps(steps: int) -> list[str]:
    """Returns a note if the loss may be that of the number of steps."""
    if steps >= STEPS_WANTED:
        return []
    return [
        f"only {steps:,} optimiser steps: below {STEPS_WANTED:,} a comparison of data may be one "
        "of the number of steps; lower training.batch_size or raise the budget"
    ]
