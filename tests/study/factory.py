"""Studies as people write them, and a trainer that answers by a formula in no time."""

import json
import math
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from curation.errors import CurationError
from curation.handoff import PreparedJob, read_job
from curation.local import run_plan
from curation.manifest import Manifest, write_json
from curation.passes import RunOptions
from curation.plan import Plan
from curation.results import (
    BitsPerByte,
    Device,
    LossPoint,
    ModelFacts,
    RunResult,
    Seconds,
    TokenFacts,
    finished_result,
)
from curation.shards import FileRecord, file_sha256
from curation.study import cells, probe, running
from curation.study.cells import PlacedCell, Row
from curation.study.executing import RunOne
from curation.study.running import Outcome, prepare_study, run_study
from curation.study.spec import load_study
from tests.conftest import write_jsonl

GOOD, BAD = "good", "bad"
WORDS = ("data", "model", "text", "shard", "stage", "token", "page", "rule")

STUDY = """
name = "small"
baseline = "bad"

[[recipes]]
name = "bad"
recipe = "bad.toml"

[[recipes]]
name = "good"
recipe = "good.toml"

[held_out]
recipe = "held-out.toml"
documents = 4

[grid]
sizes = [{ depth = 1, width = 32 }, { depth = 1, width = 64 }]
tokens = [4096, 8192, 16384]
seeds = [1, 2]
seed_tokens = [8192]
design = "warn"

[training]
batch_tokens = 128
sequence_length = 64
precision = "fp32"
"""
RECIPE = """
name = "{name}"
seed = 1

[[sources]]
name = "{source}"
kind = "jsonl"
paths = ["{source}.jsonl"]
fields = {{ id = "id", text = "text" }}
"""


def write_study(directory: Path, text: str = STUDY) -> Path:
    """Writes a study of two recipes with text of their own, and the held-out text."""
    texts = different_texts(100)
    for name, part in ((BAD, texts[:40]), (GOOD, texts[40:80]), ("held-out", texts[80:])):
        rows = [{"id": str(number), "text": text} for number, text in enumerate(part)]
        write_jsonl(directory / f"{name}.jsonl", rows)
        recipe = RECIPE.format(name=name, source=name)
        (directory / f"{name}.toml").write_text(recipe, encoding="utf-8")
    path = directory / "study.toml"
    path.write_text(text, encoding="utf-8")
    return path


def different_texts(count: int, words: int = 30) -> list[str]:
    """Returns documents that share next to no three words in a row."""
    draw = np.random.default_rng(7)
    return [
        " ".join(f"{WORDS[at]}{draw.integers(50)}" for at in draw.integers(len(WORDS), size=words))
        for _ in range(count)
    ]


class FakeTrainer:
    """Answers by a law: better text has a smaller B; the noise follows the seeds."""

    def __init__(self, fails: Callable[[str], str | None] = lambda _: None) -> None:
        """Takes what says why a cell fails, by its label."""
        self.fails = fails
        self.asked: list[str] = []

    def __call__(
        self,
        job_json: Path,
        *,
        on_progress: Callable[[Mapping[str, Any]], None] | None = None,
        **_: Any,
    ) -> RunResult:
        prepared = read_job(job_json)
        done = finished_result(prepared)
        if done is not None:
            return done
        job = prepared.job
        self.asked.append(job.name)
        out = prepared.output
        for budget in job.data.branches:
            self._answer(prepared, budget, prepared.branch_directory(budget))
        if on_progress is not None:
            on_progress({"event": "step", "step": 1, "total_steps": 1})
        (out / "model").mkdir(exist_ok=True)
        (out / "model" / "tokenizer.json").write_text(json.dumps({"of": prepared.corpus.name}))
        (out / "model" / "weights").write_text("heavy")
        result = self._answer(prepared, job.data.token_budget or 0, out, "model/tokenizer.json")
        for budget in job.data.branches:
            shutil.copytree(prepared.branch_directory(budget), out / "branches" / str(budget))
        return result

    def _answer(self, prepared: PreparedJob, tokens: int, out: Path, *others: str) -> RunResult:
        job = prepared.job
        why = self.fails(job.name.replace(f"-t{job.data.token_budget}", f"-t{tokens}"))
        if why is not None:
            raise CurationError(why)
        width = job.model.width or 64
        parameters = 12 * (job.model.depth or 1) * width**2
        unique = min(tokens, job.data.unique_tokens or tokens)
        loss = 1.0 + 20 / parameters**0.3 + _b(job.name) / unique**0.4
        loss *= 1 + 0.002 * np.random.default_rng([job.seed.init, parameters, tokens]).normal()
        out.mkdir(parents=True, exist_ok=True)
        write_bits(out / "evaluation.parquet", loss)
        files = {
            name: FileRecord(
                bytes=(out / name).stat().st_size, sha256=file_sha256(out / name), rows=0
            )
            for name in ("evaluation.parquet", *others)
        }
        result = make_result(prepared, parameters, tokens, unique, loss, files)
        write_json(out / "result.json", result)
        return result


def _b(name: str) -> float:
    return 60.0 if name.startswith(GOOD) else 90.0


def write_bits(path: Path, loss: float, documents: int = 4) -> None:
    """Writes bits by document, all at the same loss but for a little."""
    sizes = np.arange(1, documents + 1) * 100
    factors = 1 + 0.01 * np.linspace(-1, 1, documents)
    columns = {
        "doc_id": [f"{number:032x}" for number in range(documents)],
        "source": ["held-out"] * documents,
        "bytes": sizes,
        "tokens": sizes,
        "bits_before": 8.0 * sizes,
        "bits_after": loss * factors * sizes,
    }
    pq.write_table(pa.table(columns), path)


def make_result(
    prepared: Any, parameters: int, tokens: int, unique: int, loss: float, files: Any
) -> RunResult:
    """A whole result of a training."""
    steps = max(math.ceil(tokens / 128), 1)
    return RunResult(
        name=prepared.job.name,
        job_digest=prepared.digest,
        corpus=prepared.corpus,
        model=ModelFacts(
            origin="new", architecture="llama", layers=1, width=32, vocab_size=258,
            parameters=parameters, matmul_parameters=parameters, block_parameters=parameters,
        ),
        tokens=TokenFacts(
            packed=unique, documents=4, unique=unique, trained=tokens, text_bytes=unique,
            presented_bytes=tokens,
            sequence_length=64, sequences=tokens // 64, steps=steps, epochs=tokens / unique,
        ),
        losses=[
            LossPoint(step=at * steps // 10, tokens=0, loss=5 - at / 5, learning_rate=1e-3)
            for at in range(1, 11)
        ],
        bits_per_byte=BitsPerByte(
            before=8.0, after=loss, documents=4, bytes=1000, by_source={}, window=64, context=16,
            se_after=0.01,
        ),
        flops=6.0 * parameters * tokens,
        evaluation_flops=1.0,
        flops_convention="6ND",
        seconds=Seconds(
            startup=1, tokenizer=0, tokenize=1, evaluate=1, train=tokens / 1e4, save=0,
            total=3 + tokens / 1e4,
        ),
        tokens_per_second=1e4,
        data_wait_seconds=0.0,
        peak_rss_bytes=1,
        peak_cuda_bytes=None,
        device=Device(kind="cpu", name="test", count=1, threads=1, precision="fp32"),
        versions={},
        notes=[],
        skipped_documents={},
        outputs=files,
    )  # fmt: skip


def use_trainer(monkeypatch: Any, trainer: FakeTrainer) -> FakeTrainer:
    """Puts a trainer in the place of the real one, everywhere in the study."""
    for module in (cells, probe, running):
        monkeypatch.setattr(module, "run_job", trainer)
    monkeypatch.setattr(probe, "STEPS", 1)
    return trainer


def run_one_by_one(
    waiting: Sequence[PlacedCell], run: RunOne, _: int
) -> Iterator[tuple[PlacedCell, Row]]:
    """Runs cells in this thread."""
    for one in waiting:
        yield one, run(one)


def make_dataset(plan: Plan, directory: Path) -> Manifest:
    """Makes a dataset in worker processes."""
    return run_plan(plan, RunOptions(out=directory, work=directory.parents[1] / "work"))


def run_it(path: Path, out: Path, overrides: Iterable[str] = (), **options: Any) -> Outcome:
    """Runs a whole study in this thread."""
    loaded = load_study(path, tuple(overrides))
    prepared = prepare_study(loaded, out, parallel=1)
    return run_study(prepared, make_dataset, options.pop("execute", run_one_by_one), **options)
