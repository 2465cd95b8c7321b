"""Tiny recipes and jobs, a training that takes no time, and what the server knows."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactFilter,
    ArtifactFilterFlowRunId,
    FlowRunFilter,
    FlowRunFilterId,
)
from prefect.client.schemas.objects import Artifact, TaskRun

from curation.handoff import read_job
from curation.manifest import write_json
from curation.results import (
    BitsPerByte,
    Device,
    ModelFacts,
    RunResult,
    Seconds,
    TokenFacts,
)
from tests.conftest import write_jsonl
from tests.flows.waiting import until

QUIET_READS = 8
"""So many reads, two seconds, show the same task runs before they count as all."""

SENTENCE = "The quick brown fox number {} jumps over the lazy dog while it reads a long book. "


def write_recipe(directory: Path, name: str = "tiny", documents: int = 12) -> Path:
    """Writes a recipe of three small files: as many shards, and the last text twice."""
    texts = [SENTENCE.format(number) * 3 for number in range(documents)]
    rows = [{"id": str(i), "text": text} for i, text in enumerate([*texts, texts[-1]])]
    for file in range(3):
        write_jsonl(directory / f"{name}-{file}.jsonl", rows[file::3])
    recipe = directory / f"{name}.toml"
    recipe.write_text(
        f'name = "{name}"\nversion = "1"\nseed = 1\n\n'
        f'[[sources]]\nname = "notes"\nkind = "jsonl"\npaths = ["{name}-*.jsonl"]\n'
        "split_bytes = 1024\n"
        'fields = { id = "id", text = "text" }\n\n'
        '[[stages]]\nkind = "exact_dedup"\n\n[output]\nshards = 2\n',
        encoding="utf-8",
    )
    return recipe


def write_job(directory: Path, name: str = "micro") -> Path:
    """Writes a job file whose training ends at once."""
    path = directory / f"{name}.toml"
    path.write_text(
        f'name = "{name}"\n[data]\nsequence_length = 32\n[tokenizer]\nvocab_size = 300\n'
        "[model]\ndepth = 1\nwidth = 32\n[training]\nbatch_size = 2\nmax_steps = 2\n",
        encoding="utf-8",
    )
    return path


def fake_run_job(
    job_json: Path, *, on_progress: Callable[[Mapping[str, Any]], None] | None = None
) -> RunResult:
    """Writes a result.json as a training would."""
    prepared = read_job(job_json)
    for step in (1, 2):
        if on_progress is not None:
            on_progress({"event": "step", "step": step, "total_steps": 2, "loss": 3.0 / step})
    result = make_result(prepared.job.name, prepared.digest, prepared.corpus)
    write_json(prepared.output / "result.json", result)
    return result


def make_result(name: str, digest: str, corpus: Any) -> RunResult:
    """A result with made-up figures: 1 wherever no test looks."""
    by_source = {"notes": (8.0, 2.5)}
    ones = {
        field: 1
        for part in (RunResult, ModelFacts, TokenFacts, Seconds, Device, BitsPerByte)
        for field, info in part.model_fields.items()
        if info.is_required()
    }
    return RunResult.model_validate(
        ones
        | {
            "name": name,
            "job_digest": digest,
            "corpus": corpus,
            "model": ones | {"origin": "new", "architecture": "llama"},
            "tokens": ones | {"trained": 2000},
            "losses": [],
            "bits_per_byte": ones | {"before": 8.0, "after": 2.5, "by_source": by_source},
            "flops_convention": "none",
            "steps": None,
            "seconds": ones,
            "tokens_per_second": 4321.0,
            "device": ones | {"kind": "cpu", "name": "cpu", "precision": "fp32"},
            "versions": {},
            "notes": [],
            "skipped_documents": {},
            "outputs": {},
            "reused": False,
        }
    )


def task_states(flow_run_id: Any) -> dict[str, str]:
    """Name and state of each task run of a flow run.

    Task runs reach the server late and in handfuls: they are all there once none came for a while.
    """
    seen: list[int] = []

    def read() -> list[TaskRun]:
        with get_client(sync_client=True) as client:
            chosen = FlowRunFilter(id=FlowRunFilterId(any_=[flow_run_id]))
            runs = client.read_task_runs(flow_run_filter=chosen)
        seen.append(len(runs))
        quiet = len(seen) > QUIET_READS and len(set(seen[-QUIET_READS:])) == 1
        return runs if quiet and all(run.state and run.state.is_final() for run in runs) else []

    return {run.name: run.state.name for run in until(read) if run.state}


def artifacts(flow_run_id: Any) -> dict[str, Artifact]:
    """The artifacts of a flow run by key."""
    with get_client(sync_client=True) as client:
        chosen = ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[flow_run_id]))
        found = client.read_artifacts(artifact_filter=chosen)
    return {artifact.key: artifact for artifact in found if artifact.key}


def events(name: str, resource: str) -> list[dict[str, Any]]:
    """The events of a resource that the server has written down; waits for the first."""

    def read() -> list[dict[str, Any]]:
        wanted = {"filter": {"event": {"name": [name]}, "resource": {"id": [resource]}}}
        with get_client(sync_client=True) as client:
            found: list[dict[str, Any]] = client.request(
                "POST", "/events/filter", json=wanted
            ).json()["events"]
        return found

    return until(read)
