"""The hand-off: a job tied to its corpus by digests, written as job.json.

`job.json` names the manifest's digest and the digest over all shards, so the job can be run by
hand, later, or on another machine, and the trainer refuses a corpus that is not the one it was
made for. No torch here.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from curation import __version__
from curation.errors import DataError, RecipeError
from curation.job import HUB, Job, Settings, absolute
from curation.manifest import (
    Manifest,
    fingerprint_of,
    installed_versions,
    read_manifest,
    write_json,
)
from curation.shards import file_sha256

JOB_FORMAT = 2
"""Raised by hand when the same job gives other numbers than before."""


class CorpusRef(Settings):
    """Which corpus: what the trainer verifies and the model card names."""

    name: str
    version: str
    fingerprint: str
    """Of the recipe."""
    manifest_sha256: str
    """Of the bytes of manifest.json."""
    shards_digest: str
    """Over split, path and SHA-256 of every shard: the same documents give the same one."""


class PreparedJob(Settings):
    """The content of job.json: a job, its corpus and where to write."""

    format: int = JOB_FORMAT
    digest: str
    """Identity of the run: settings, corpus, start weights, versions; no paths."""
    job: Job
    dataset: Path
    output: Path
    corpus: CorpusRef
    held_out: CorpusRef | None = None
    """The dataset of `data.held_out`, where the job names one."""
    inputs: dict[str, str] = Field(default_factory=dict)
    """Digests of a given tokenizer, a local checkpoint and a held-out dataset, by setting."""

    @property
    def kept_states(self) -> Path:
        """Where a training keeps states for a later process, until it is finished."""
        return self.output / "checkpoints" / self.digest[:16]

    def branch_directory(self, budget: int) -> Path:
        """Returns where the finished result of a branch lies until the whole run is finished."""
        return self.kept_states / "branches" / str(budget)

    def with_data(self, **changes: Any) -> "PreparedJob":
        """Returns the job with other settings of `data`, under the digest that they give it."""
        data = self.job.data.model_copy(update=changes)
        job = self.job.model_copy(update={"data": data})
        digest = job_digest(job, self.corpus, self.inputs)
        return self.model_copy(update={"job": job, "digest": digest})

    def with_held_out(self, directory: Path) -> "PreparedJob":
        """Returns the job for a held-out dataset that was moved.

        Raises:
            RecipeError: The job names none.
        """
        if self.held_out is None:
            raise RecipeError(
                f"--held-out {directory}: this job scores eval documents of its own corpus; name "
                "the other dataset as data.held_out and prepare the job again"
            )
        data = self.job.data.model_copy(update={"held_out": str(directory)})
        return self.model_copy(update={"job": self.job.model_copy(update={"data": data})})


def prepare_job(job: Job, dataset: Path, out: Path) -> Path:
    """Ties a job to a dataset and writes `out/job.json`.

    Args:
        job: The job, with absolute paths (`load_job`) or paths relative to the working directory.
        dataset: Directory of a finished run: manifest.json and shards.
        out: Directory that job, model and result are written to; made if missing.

    Returns:
        Path of job.json.

    Raises:
        DataError: There is no finished dataset, or `data.held_out` is none.
        RecipeError: A given tokenizer or checkpoint is missing.
    """
    job = absolute(job, Path.cwd())
    corpus = corpus_ref(read_manifest(dataset), dataset)
    inputs = _input_digests(job)
    held_out = None
    if job.data.held_out:
        apart = Path(job.data.held_out)
        held_out = corpus_ref(read_manifest(apart), apart)
        inputs["data.held_out"] = held_out.shards_digest
    prepared = PreparedJob(
        digest=job_digest(job, corpus, inputs),
        job=job,
        dataset=dataset.resolve(),
        output=out.resolve(),
        corpus=corpus,
        held_out=held_out,
        inputs=inputs,
    )
    out.mkdir(parents=True, exist_ok=True)
    path = out.resolve() / "job.json"
    write_json(path, prepared)
    return path


def read_job(path: Path) -> PreparedJob:
    """Reads a job.json.

    Raises:
        DataError: The file is missing, damaged or of another format.
    """
    try:
        prepared = PreparedJob.model_validate_json(path.read_bytes())
    except OSError as error:
        raise DataError(f"job {path}: cannot be read ({error.strerror}); prepare it") from error
    except ValidationError as error:
        line = " ".join(str(error).split())
        raise DataError(f"job {path}: is not a job.json ({line:.120}); prepare it again") from error
    if prepared.format != JOB_FORMAT:
        raise DataError(
            f"job {path}: has format {prepared.format}, this version reads {JOB_FORMAT}; "
            "prepare it again"
        )
    return prepared


def corpus_ref(manifest: Manifest, dataset: Path) -> CorpusRef:
    """Returns what identifies a dataset to a job."""
    shards = sorted((shard.split, shard.path, shard.sha256) for shard in manifest.shards)
    return CorpusRef(
        name=manifest.name,
        version=manifest.version,
        fingerprint=manifest.fingerprint,
        manifest_sha256=file_sha256(dataset / "manifest.json"),
        shards_digest=fingerprint_of(shards),
    )


def job_digest(job: Job, corpus: CorpusRef, inputs: Mapping[str, str]) -> str:
    """Returns the identity of a run: all that can alter its numbers, but the device.

    The manifest's own digest stays out: timings in it change when nothing else does.
    """
    settings = job.model_dump(mode="json")
    for setting, digest in inputs.items():
        table, _, key = setting.partition(".")
        settings[table][key] = digest
    known = (corpus.name, corpus.version, corpus.fingerprint, corpus.shards_digest)
    return fingerprint_of(JOB_FORMAT, settings, known, library_versions())


def library_versions() -> dict[str, str]:
    """Returns the versions of what decides a run's numbers, read without importing any of it.

    A job can be prepared where the trainer is not installed; it is `ABSENT` there.
    """
    trainers = ("torch", "transformers", "tokenizers", "accelerate", "numpy")
    return {"curation": __version__, **installed_versions(trainers)}


def _input_digests(job: Job) -> dict[str, str]:
    digests = {}
    if job.tokenizer.path:
        digests["tokenizer.path"] = _digest_of_files(job.tokenizer.path, "tokenizer.path")
    if job.model.checkpoint and not job.model.hub_id:
        digests["model.checkpoint"] = _digest_of_files(job.model.checkpoint, "model.checkpoint")
    return digests


def _digest_of_files(path: str, setting: str) -> str:
    """Digests a file, or the files right in a directory, by name and content."""
    root = Path(path)
    files = [root] if root.is_file() else sorted(f for f in root.glob("*") if f.is_file())
    if not files:
        hint = f"; a model on the hub is written '{HUB}owner/name'" if "model" in setting else ""
        raise RecipeError(f"{setting} {path}: no such file, nor a directory with files{hint}")
    digest = hashlib.sha256()
    for file in files:
        name = file.name if root.is_dir() else ""
        digest.update(f"{name}\0{file_sha256(file)}\n".encode())
    return digest.hexdigest()
