"""The fine-tuning job as a user writes it (JOB.toml): data, tokenizer, model, training, seeds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from curation.errors import RecipeError, unknown_name
from curation.toml import build, check_names, read_toml

Size = Literal["micro", "tiny", "small", "base", "large"]
DECAY_ONE_IN = 5
"""Schedule "wsd" goes down to nothing in the last one of so many steps."""
HUB = "hub:"
"""Prefix of a checkpoint on the Hugging Face hub: the only way to make a job use the network."""


class Settings(BaseModel):
    """Base of all tables of a job: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Seeds(Settings):
    """Three draws that are moved one at a time when noise is measured."""

    init: int = Field(default=17, ge=0, lt=2**31)
    """Initial weights, and dropout where the model has it."""
    order: int = Field(default=17, ge=0, lt=2**31)
    """Order of the training sequences."""
    sampling: int = Field(default=17, ge=0, lt=2**31)
    """Order in which documents are packed, so which of them a small budget sees."""


class DataSpec(Settings):
    """What the model reads."""

    mode: Literal["text"] = "text"
    """What a document is to the model: "text" is plain text, every token a target."""
    epochs: float | None = Field(default=None, gt=0)
    """Passes over the packed tokens; default 1 where no `token_budget` is given."""
    token_budget: int | None = Field(default=None, ge=1)
    """Tokens presented in training, rounded down to whole sequences; repeats if the corpus ends."""
    unique_tokens: int | None = Field(default=None, ge=1)
    """Packs only this many tokens, always a prefix of what a larger number packs."""
    shuffle_tokens: int | None = Field(default=None, ge=1)
    """Sequences are shuffled within stretches of so many tokens, so that the order of a budget of
    whole stretches is a prefix of any longer one's; default: over all that is packed."""
    branches: tuple[Annotated[int, Field(ge=1)], ...] = ()
    """Smaller token budgets that this run answers too (schedule "wsd"): at the step where a run of
    such a budget would begin to decay, a copy of the model decays. Needs `shuffle_tokens`."""
    held_out: str | None = None
    """Another dataset, relative to the job file, whose documents are scored instead of this one's
    eval documents: its eval split, or all where it has none. Training texts must not hold them."""
    sequence_length: int = Field(default=256, ge=8, le=1 << 20)
    """Tokens of a training sequence, and of an evaluation window."""
    eval_documents: int | None = Field(default=200, ge=1)
    """Held-out documents scored at most, chosen by a hash of their id; none: all of them."""

    @model_validator(mode="after")
    def _one_length(self) -> "DataSpec":
        if self.epochs is not None and self.token_budget is not None:
            raise ValueError("epochs and token_budget are both given; keep one of them")
        if self.shuffle_tokens and self.shuffle_tokens % self.sequence_length:
            raise ValueError(
                f"shuffle_tokens {self.shuffle_tokens} is not a multiple of sequence_length "
                f"{self.sequence_length}"
            )
        return self

    @model_validator(mode="after")
    def _branches_are_nested(self) -> "DataSpec":
        if not self.branches:
            return self
        if self.token_budget is None or self.shuffle_tokens is None:
            raise ValueError("branches need token_budget (the longest run) and shuffle_tokens")
        if list(self.branches) != sorted(set(self.branches)):
            raise ValueError(f"branches {list(self.branches)} must ascend, each once")
        if self.branches[-1] >= self.token_budget:
            raise ValueError(
                f"branches end at {self.branches[-1]}; expected less than token_budget "
                f"{self.token_budget}, which is the longest run"
            )
        for budget in (*self.branches, self.token_budget):
            if budget % self.shuffle_tokens:
                raise ValueError(
                    f"a budget of {budget} tokens is not a multiple of shuffle_tokens "
                    f"{self.shuffle_tokens}; a shorter run would read other sequences"
                )
        return self


class TokenizerSpec(Settings):
    """Where the tokenizer comes from."""

    kind: Literal["train", "path", "checkpoint"] = "train"
    """Default: "path" where a path is given, else the checkpoint's own, else trained here."""
    vocab_size: int = Field(default=4096, ge=258, le=1 << 20)
    """Entries of a trained tokenizer: 2 special tokens, 256 bytes, and merges."""
    sample_bytes: int = Field(default=64 << 20, ge=1)
    """Bytes of training text that a tokenizer is trained on at most."""
    path: str | None = None
    """Directory with tokenizer.json, or that file; relative to the job file."""

    @model_validator(mode="before")
    @classmethod
    def _infer_kind(cls, values: Any) -> Any:
        if isinstance(values, Mapping) and values.get("path") and "kind" not in values:
            return {**values, "kind": "path"}
        return values

    @model_validator(mode="after")
    def _path_goes_with_kind(self) -> "TokenizerSpec":
        if (self.kind == "path") != (self.path is not None):
            raise ValueError(f"kind '{self.kind}' with path {self.path!r}; give path alone")
        return self


class ModelSpec(Settings):
    """Which model: a named size, the depth that sizes are made from, or a checkpoint."""

    size: Size | None = None
    """Named depth; default "tiny" where neither depth nor checkpoint is given."""
    depth: int | None = Field(default=None, ge=1, le=128)
    """Layers; all other sizes follow from it (see `curation.finetune.model`)."""
    width: int | None = Field(default=None, ge=32, le=1 << 16, multiple_of=32)
    """Width of the residual stream; default 64 times the depth."""
    checkpoint: str | None = None
    """Local directory (relative to the job file), or "hub:owner/name", or "...@commit" of it."""

    @model_validator(mode="after")
    def _one_origin(self) -> "ModelSpec":
        given = [name for name in ("size", "depth", "checkpoint") if getattr(self, name)]
        if len(given) > 1:
            raise ValueError(f"{' and '.join(given)} are both given; keep one of them")
        if self.checkpoint and self.width:
            raise ValueError("width goes with size or depth; a checkpoint brings its own")
        if not given:
            object.__setattr__(self, "size", "tiny")
        return self

    @property
    def hub_id(self) -> str | None:
        """The hub id where the checkpoint is one, else None."""
        found = self.checkpoint
        return found.removeprefix(HUB) if found and found.startswith(HUB) else None


class TrainingSpec(Settings):
    """How it is trained. Batch sizes are of the whole job, whatever number of devices it gets."""

    batch_size: int | Literal["auto"] = "auto"
    """Sequences of one optimiser step over all devices and accumulation steps; auto: from the
    model's size (see `curation.finetune.batch`), 512 tokens up to a million parameters."""
    gradient_accumulation: int = Field(default=1, ge=1)
    """Passes that a step's batch is cut into: saves memory, leaves the result alone."""
    learning_rate: float | None = Field(default=None, gt=0, lt=1)
    """Peak rate of AdamW; default 3e-3 for a new model, 5e-5 for a checkpoint."""
    warmup: float = Field(default=0.05, ge=0)
    """Warm-up: below 1 a share of all steps, else a number of steps."""
    schedule: Literal["cosine", "linear", "constant", "wsd"] = "cosine"
    """After warm-up; wsd holds the peak and decays over the last fifth."""
    weight_decay: float = Field(default=0.1, ge=0)
    """AdamW's, on weight matrices only."""
    max_gradient_norm: float = Field(default=1.0, gt=0)
    """Gradients are scaled down to this norm."""
    max_steps: int | None = Field(default=None, ge=1)
    """Stops after so many optimiser steps; the schedule is fitted to them."""
    checkpoint_every_steps: int | None = Field(default=None, ge=1)
    """Saves the state to disk so often, and goes on from there if killed; default: never."""
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    """auto: bf16 on a CUDA device that has it, else fp32."""
    last_layers: int | None = Field(default=None, ge=1)
    """Trains only the last blocks, the final norm, and an output head of its own where there is
    one; all other weights stay. Default: everything is trained."""
    communication_probe: bool = False
    """Measures, after the last step of several processes, what exchanging gradients costs."""

    @field_validator("batch_size", mode="before")
    @classmethod
    def _number_or_auto(cls, value: Any) -> Any:
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 1
        if not whole and value != "auto":
            raise ValueError('expected "auto" or a whole number from 1 on')
        return value

    @model_validator(mode="after")
    def _whole_batches(self) -> "TrainingSpec":
        if self.batch_size != "auto" and self.batch_size % self.gradient_accumulation:
            raise ValueError(
                f"batch_size {self.batch_size} is not a multiple of gradient_accumulation "
                f"{self.gradient_accumulation}"
            )
        return self


def check_can_branch(setting: str, schedule: str, warmup: float, table: str = "") -> None:
    """Checks that a training can be left early, for the setting that asks for it.

    Args:
        setting: Its name, for messages.
        schedule: Of the learning rate.
        warmup: Below 1 a share of all steps, else a number of steps.
        table: Where the other two are set, with a point: "training."; default: beside it.

    Raises:
        ValueError: It cannot; one line.
    """
    if schedule != "wsd":
        raise ValueError(
            f"{setting} with schedule '{schedule}'; a training can only be left where its rate is "
            f"constant: expected {table}schedule 'wsd'"
        )
    if 0 < warmup < 1:
        raise ValueError(
            f"{setting} with {table}warmup {warmup:g}, a share that would be another number of "
            "steps for each number of tokens; expected a number of steps"
        )


class Job(Settings):
    """One training run on one corpus."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
    """Name of the run, and of its model card."""
    seed: Seeds = Seeds()
    """One number for all three, or a table with init, order and sampling."""
    data: DataSpec = DataSpec()
    tokenizer: TokenizerSpec = TokenizerSpec()
    model: ModelSpec = ModelSpec()
    training: TrainingSpec = TrainingSpec()

    @field_validator("seed", mode="before")
    @classmethod
    def _one_seed_for_all(cls, value: Any) -> Any:
        if isinstance(value, int) and not isinstance(value, bool):
            return {"init": value, "order": value, "sampling": value}
        return value

    @model_validator(mode="before")
    @classmethod
    def _checkpoint_brings_tokenizer(cls, values: Any) -> Any:
        model = values.get("model") if isinstance(values, Mapping) else None
        started = isinstance(model, Mapping) and model.get("checkpoint")
        if started and "tokenizer" not in values:
            return {**values, "tokenizer": {"kind": "checkpoint"}}
        return values

    @model_validator(mode="after")
    def _tokenizer_fits_model(self) -> "Job":
        if self.tokenizer.kind == "checkpoint" and not self.model.checkpoint:
            raise ValueError("tokenizer.kind 'checkpoint' needs model.checkpoint")
        if self.tokenizer.kind == "train" and self.model.checkpoint:
            raise ValueError(
                "a checkpoint's embeddings belong to its own tokenizer; leave [tokenizer] out"
            )
        return self

    @model_validator(mode="after")
    def _branches_can_decay(self) -> "Job":
        if not self.data.branches:
            return self
        training = self.training
        check_can_branch("data.branches", training.schedule, training.warmup, "training.")
        if training.max_steps is not None:
            raise ValueError("data.branches and training.max_steps are both given; keep one")
        return self

    @property
    def learning_rate(self) -> float:
        """The peak learning rate, with the default filled in."""
        fallback = 5e-5 if self.model.checkpoint else 3e-3
        return self.training.learning_rate or fallback


_TABLES: dict[str, type[Settings]] = {
    "seed": Seeds,
    "data": DataSpec,
    "tokenizer": TokenizerSpec,
    "model": ModelSpec,
    "training": TrainingSpec,
}


def load_job(path: Path) -> Job:
    """Reads a JOB.toml; its relative paths become absolute.

    Raises:
        RecipeError: The file is missing, is no TOML, or says something unknown or impossible.
    """
    raw = read_toml(path, "job")
    return absolute(parse_job(raw, f"job {path}"), path.resolve().parent)


def parse_job(raw: Mapping[str, Any], where: str = "job") -> Job:
    """Checks a job given as plain values (what the TOML file holds).

    Args:
        raw: The values.
        where: Named at the start of every message.

    Raises:
        RecipeError: Something is unknown or impossible; one line that names it.
    """
    check_names(raw, Job, where, "setting")
    for name, table in raw.items():
        if isinstance(table, Mapping) and name in _TABLES:
            check_names(table, _TABLES[name], where, f"setting of [{name}]")
    model = raw.get("model")
    size = model.get("size") if isinstance(model, Mapping) else None
    if size is not None and size not in get_args(Size):
        raise RecipeError(f"{where}: {unknown_name('model size', str(size), get_args(Size))}")
    return build(Job, raw, where)


def absolute(job: Job, base: Path) -> Job:
    """Returns the job with its local paths made absolute, starting from `base`."""
    tokenizer, model, data = job.tokenizer, job.model, job.data
    if tokenizer.path:
        tokenizer = tokenizer.model_copy(update={"path": _from(base, tokenizer.path)})
    if model.checkpoint and not model.hub_id:
        model = model.model_copy(update={"checkpoint": _from(base, model.checkpoint)})
    if data.held_out:
        data = data.model_copy(update={"held_out": _from(base, data.held_out)})
    return job.model_copy(update={"tokenizer": tokenizer, "model": model, "data": data})


def _from(base: Path, path: str) -> str:
    return str((base / Path(path).expanduser()).resolve())
