"""Parameters of the flows: what the server's pages show as a form, and a command line as JSON.

Paths are plain strings, relative to the working directory of the process that runs the flow.
"""

import os
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from curation.passes import RunOptions

Runner = Literal["local", "dask", "ray"]
HandOff = Literal["auto", "direct", "event"]


class RecipeParams(BaseModel):
    """What is made: a recipe file."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(
        title="Recipe", description="Recipe file (TOML), e.g. data/recipes/demo.toml."
    )
    overrides: list[str] = Field(
        default_factory=list,
        description="Settings to change, each key=value: output.shards=16, "
        "stages.minhash_dedup.threshold=0.7. They enter the fingerprint.",
    )

    @property
    def name(self) -> str:
        """Stem of the file: names the flow run before the recipe is read."""
        return Path(self.path).stem


class OptionsParams(BaseModel):
    """Where and with what it is made; nothing here changes the output."""

    model_config = ConfigDict(extra="forbid")

    out: str = Field(description="Directory of the dataset: shards, audit, card, manifest.")
    work: str | None = Field(
        default=None,
        description="Directory of the work shards, which several recipes can share. "
        "Default: work, in the dataset's directory.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Worker processes. Default: one for each CPU.",
    )
    batch_rows: int = Field(
        default=512, ge=1, description="Documents in memory at once in each worker."
    )
    runner: Runner = Field(
        default="local",
        description="Who runs the work: processes on this machine, Dask, or Ray.",
    )
    cluster: str | None = Field(
        default=None,
        description="Address of a running Dask scheduler (tcp://...) or Ray cluster (ray://...) "
        "that sees the same directories. Default: one is started on this machine.",
    )

    @classmethod
    def of(cls, options: RunOptions, runner: str) -> "OptionsParams":
        """Returns the library's options as parameters of a flow."""
        return cls.model_validate(
            {
                "out": str(options.out),
                "work": str(options.work) if options.work else None,
                "workers": options.workers,
                "batch_rows": options.batch_rows,
                "runner": runner,
            }
        )

    def run_options(self) -> RunOptions:
        """Returns them as the library takes them, with absolute paths."""
        return RunOptions(
            out=Path(self.out).absolute(),
            work=Path(self.work).absolute() if self.work else None,
            workers=self.workers,
            batch_rows=self.batch_rows,
        )


class JobParams(BaseModel):
    """How a model is fine-tuned: a job file."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(title="Job", description="Job file (TOML), e.g. data/jobs/demo.toml.")
    out: str | None = Field(
        default=None,
        description="Directory of the model. Default: models/<job name> in the dataset's.",
    )

    @property
    def name(self) -> str:
        """Stem of the file: names the flow run before the job is read."""
        return Path(self.path).stem


class Dataset(BaseModel):
    """What a curation flow returns and its event carries: a reference, never a table."""

    name: str
    version: str
    directory: str
    """Absolute path."""
    fingerprint: str
    """Of the recipe."""
    manifest_sha256: str
    """Of the bytes of manifest.json."""
    documents_in: int
    documents_kept: int
    documents_rejected: int
    text_bytes_kept: int
    reused: bool
    """The dataset was there already, and whole."""


class Model(BaseModel):
    """What a fine-tuning flow returns: a reference and the figures that people look for."""

    name: str
    directory: str
    """Absolute path of model, tokenizer, card and result.json."""
    dataset: str
    bits_per_byte_before: float | None
    """None where the dataset has no eval split."""
    bits_per_byte_after: float | None
    tokens_per_second: float
    reused: bool
    """The model was there already, trained by the same job on the same corpus."""


class CuratedAndFinetuned(BaseModel):
    """What the whole chain returns."""

    dataset: Dataset
    model: Model | None
    """None where an event handed the dataset to the fine-tuning deployment."""


class StudyParams(BaseModel):
    """A trade-off study: its file, and where it goes."""

    model_config = ConfigDict(extra="forbid")

    path: str = Field(title="Study", description="Study file (TOML): data/studies/cpu.toml.")
    out: str = Field(description="Directory of the study: datasets, cells, runs.parquet, report.")
    preset: str | None = Field(
        default=None, description="Study file whose grid, training and budget are taken instead."
    )
    overrides: list[str] = Field(
        default_factory=list,
        description="Settings to change, each key=value: grid.seeds=[1, 2]. "
        "sources.NAME.paths=[...] goes to every recipe that has the source.",
    )
    workers: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        le=1024,
        description="Worker processes that make the datasets. Default: one for each CPU.",
    )
    parallel: int | None = Field(
        default=None, ge=1, description="Cells at a time. Default: one a core; on a GPU one."
    )

    @property
    def name(self) -> str:
        """Stem of the file: names the flow run before the study is read."""
        return Path(self.path).stem


class StudyResult(BaseModel):
    """What the study flow returns: a reference and the counts that people look for."""

    name: str
    directory: str
    """Absolute path of runs.parquet, study.json and what was concluded."""
    done: int
    failed: int
    skipped: int
