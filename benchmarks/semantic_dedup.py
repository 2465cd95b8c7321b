"""Semantic duplicates: ours beside brute force, clusters as in SemDeDup, and semhash, in one run.

    python benchmarks/semantic_dedup.py [TEXTS.jsonl ...] [--documents 20000] [--threshold 0.97]
                                        [--model wordllama] [--rival-python PYTHON]

The corpus is that of near_dup.py: paragraphs of real text, three in ten of them edited copies; or,
with `--as-they-are`, the documents of the files. Every contender gets the same model. The time from
text to embedding is measured apart from the time to find duplicates among embeddings:

- brute force: every pair by matrix products of 32-bit floats (numpy), which is also the truth;
- clusters: spherical k-means with sqrt(n) centroids, then every pair in a cluster (Abbas et al.
  2023), in numpy as well;
- semhash 0.5 with its default index, in the environment of `--rival-python`
  (`python3 -m venv /tmp/semhash && /tmp/semhash/bin/pip install semhash`).

CPU seconds, one thread. Numbers of other machines do not compare, the ratios do.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import gzip
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pyarrow as pa

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.near_dup import SAMPLE, MemoryTexts, as_documents, make_corpus, write_keys
from curation.stage import Part, Scratch
from curation.stages.semantic_dedup import SemanticDedup
from curation.static_model import find_model, load_model

SHARD, BLOCK = 5000, 2048
RIVAL = Path(__file__).resolve().parent / "rivals" / "semhash_vectors.py"

Pairs = set[tuple[int, int]]


def timed(function: Callable[[], Any]) -> tuple[float, Any]:
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


class TimedDedup(SemanticDedup):
    """Notes what embedding takes, so that it can be told from the rest of making keys."""

    embedding: ClassVar[list[float]] = []

    def _embed(self, model: Any, texts: Any) -> Any:
        seconds, embedded = timed(lambda: super(TimedDedup, self)._embed(model, texts))
        self.embedding.append(seconds)
        return embedded


def read_texts(paths: list[Path]) -> list[str]:
    texts = []
    for path in paths:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as file:
            texts += [json.loads(line)["text"] for line in file]
    return texts


def embed_ours(stage: SemanticDedup, texts: list[str]) -> np.ndarray:
    """Whole numbers; only heads of `max_chars`, as the stage takes them."""
    files = find_model(stage.model)
    model = load_model(files, files.digest())
    heads = [text[: stage.max_chars] for text in texts]
    parts = [model.embed(heads[k : k + 512])[0] for k in range(0, len(heads), 512)]
    return np.concatenate(parts)


def embed_theirs(stage: SemanticDedup, texts: list[str]) -> np.ndarray:
    """WordLlama's own code, on the same heads; it loads nothing by itself here."""
    from safetensors.numpy import load_file
    from tokenizers import Tokenizer
    from wordllama.inference import WordLlamaInference

    files = find_model("wordllama")
    tokenizer = Tokenizer.from_file(str(files.tokenizer))
    model = WordLlamaInference(load_file(files.weights)["embedding.weight"], tokenizer)
    return model.embed([text[: stage.max_chars] for text in texts], norm=True)


def pairs_within(vectors: np.ndarray, members: np.ndarray, threshold: float) -> Pairs:
    found: Pairs = set()
    for start in range(0, len(members), BLOCK):
        rows = members[start : start + BLOCK]
        one, two = np.nonzero(vectors[rows] @ vectors[members].T >= threshold)
        later = two > one + start
        found |= set(zip(rows[one[later]].tolist(), members[two[later]].tolist(), strict=True))
    return found


def clustered(vectors: np.ndarray, threshold: float, rounds: int = 10) -> Pairs:
    """Pairs within the clusters of k-means on the sphere."""
    rng = np.random.default_rng(1)
    centroids = vectors[rng.choice(len(vectors), round(len(vectors) ** 0.5), replace=False)]
    nearest = np.zeros(len(vectors), np.int64)
    for _ in range(rounds):
        for start in range(0, len(vectors), BLOCK):
            part = slice(start, start + BLOCK)
            nearest[part] = (vectors[part] @ centroids.T).argmax(axis=1)
        sums = np.zeros_like(centroids)
        np.add.at(sums, nearest, vectors)
        centroids = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    order = np.argsort(nearest, kind="stable")
    cuts = np.flatnonzero(np.diff(nearest[order])) + 1
    found: Pairs = set()
    for members in np.split(order, cuts):
        found |= pairs_within(vectors, np.sort(members), threshold)
    return found


def decide_ours(stage: TimedDedup, texts: list[str]) -> tuple[float, set[int]]:
    """CPU seconds from embeddings to the decision, and which documents go."""
    stage.embedding.clear()
    shards = [as_documents(texts[k : k + SHARD], k) for k in range(0, len(texts), SHARD)]
    with tempfile.TemporaryDirectory() as name:
        scratch = Scratch(Path(name) / "scratch", threads=1)
        scratch.directory.mkdir()
        keying, keys = timed(lambda: write_keys(stage, shards, Path(name)))
        group = Path(name) / "group.arrow"

        def decide() -> pa.Table:
            table = stage.group(keys, Part(0, 1), scratch)
            with pa.ipc.new_file(group, table.schema) as writer:
                writer.write_table(table)
            return stage.decide(keys, MemoryTexts(shards), scratch._replace(groups=(group,)))

        deciding, answer = timed(decide)
    gone = answer.filter(answer.column("rejected"))
    rows = gone["shard"].to_numpy() * SHARD + gone["row"].to_numpy()
    return keying + deciding - sum(stage.embedding), set(rows.tolist())


def ask_semhash(python: str, vectors: np.ndarray, threshold: float) -> dict[str, float]:
    with tempfile.NamedTemporaryFile(suffix=".npy") as file:
        np.save(file, vectors)
        file.flush()
        arguments = [python, str(RIVAL), file.name, str(threshold)]
        run = subprocess.run(arguments, capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def compare_embedding(stage: SemanticDedup, texts: list[str]) -> np.ndarray:
    """Returns the vectors, of length 1 or 0."""
    heads = sum(len(text[: stage.max_chars].encode()) for text in texts) / 1e6
    print(f"text to embedding, {heads:.1f} MB of heads of {stage.max_chars} characters:")
    seconds, embedded = timed(lambda: embed_ours(stage, texts))
    print(f"  ours        {seconds:8.2f} s  {heads / seconds:.1f} MB/s")
    if stage.model == "wordllama":
        theirs, _ = timed(lambda: embed_theirs(stage, texts))
        print(f"  wordllama   {theirs:8.2f} s  {theirs / seconds:.1f} times ours")
    vectors = embedded.astype(np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)


def compare_finding(stage: TimedDedup, texts: list[str], rival_python: str | None) -> None:
    vectors = compare_embedding(stage, texts)
    mine, gone = decide_ours(stage, texts)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    brute, truth = timed(lambda: pairs_within(vectors, np.arange(len(vectors)), stage.threshold))
    cluster, found = timed(lambda: clustered(vectors, stage.threshold))
    solved = sum(one in gone or two in gone for one, two in truth)

    def share(pairs: int) -> str:
        return f"{pairs / max(1, len(truth)):.4f} of the pairs"

    print(f"embedding to duplicates, {len(truth):,} pairs at {stage.threshold} or more:")
    print(f"  ours        {mine:8.2f} s  {share(solved)} do not both stay; {len(gone):,} go")
    print(f"              {stage.banding}; keys on disk; peak memory {peak:.0f} MB")
    print(f"  brute force {brute:8.2f} s  {brute / mine:.1f} times ours")
    together = share(len(found & truth))
    print(f"  clusters    {cluster:8.2f} s  {cluster / mine:.1f} times ours; {together} together")
    if rival_python:
        rival = ask_semhash(rival_python, vectors, stage.threshold)
        seconds, removed = rival["seconds"], rival["removed"]
        print(f"  semhash     {seconds:8.2f} s  {seconds / mine:.1f} times ours; {removed:,} go")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, nargs="*", default=SAMPLE, help="JSON lines: `text`")
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--as-they-are", action="store_true", help="no paragraphs, no copies")
    parser.add_argument("--threshold", type=float, default=0.97)
    parser.add_argument("--model", default="wordllama")
    parser.add_argument("--rival-python", help="an interpreter with semhash")
    options = parser.parse_args()
    if options.as_they_are:
        texts = read_texts(options.texts)
    else:
        texts, _ = make_corpus(options.texts, options.documents)
    # All texts are compared, as by the rivals, whatever the model's tokens are made for.
    stage = TimedDedup(model=options.model, threshold=options.threshold, min_token_chars=0, seed=1)
    decide_ours(stage, texts[:100])  # compiles
    print(f"{len(texts):,} documents, {sum(len(text.encode()) for text in texts) / 1e6:.1f} MB")
    compare_finding(stage, texts, options.rival_python)


if __name__ == "__main__":
    main()
