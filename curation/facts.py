"""What a training run measures of itself: the parts of result.json."""

from pydantic import BaseModel, ConfigDict

from curation.handoff import CorpusRef


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
