"""Scores of a fastText classifier: the folded model beside fastText itself, in one run.

    python benchmarks/quality_model.py [--dim 100] [--buckets 2000000] [--megabytes 20]

Trains a classifier of the given size for a moment on the sample (its labels do not matter here),
scores the same real texts with both, compares the scores, and prints ratios. One thread each.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import fasttext
import numpy as np
import pyarrow as pa

from curation.buffers import text_buffers
from curation.fasttext_file import load_classifier
from curation.quality_record import prepared
from curation.shards import file_sha256

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"
FILES = {"hq": "medquad.jsonl.gz", "lq": "manpages.jsonl.gz"}


def sample_texts() -> list[tuple[str, str]]:
    """Label and text of each document of the sample."""
    texts = []
    for label, name in FILES.items():
        with gzip.open(SAMPLE / name, "rt", encoding="utf-8") as file:
            texts += [(label, json.loads(line)["text"]) for line in file]
    return texts


def make_model(path: Path, texts: list[tuple[str, str]], dim: int, buckets: int) -> None:
    lines = path.with_suffix(".txt")
    lines.write_text("".join(f"__label__{label} {' '.join(t.split())}\n" for label, t in texts))
    model = fasttext.train_supervised(
        str(lines), dim=dim, bucket=buckets, wordNgrams=2, epoch=3, lr=0.5, thread=1, verbose=0
    )
    model.save_model(str(path))


def timed(function: Callable[[], object]) -> tuple[float, object]:
    start = time.process_time()
    result = function()
    return time.process_time() - start, result


def naive(model: object, texts: list[str]) -> list[float]:
    """What most people write: one call a document, line ends replaced."""
    scores = []
    for text in texts:
        labels, found = model.predict(text.replace("\n", " "), k=2)
        scores.append(dict(zip(labels, found, strict=True))["__label__hq"])
    return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, default=100)
    parser.add_argument("--buckets", type=int, default=2_000_000)
    parser.add_argument("--megabytes", type=float, default=20)
    options = parser.parse_args()
    labelled = sample_texts()
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.bin"
        make_model(path, labelled, options.dim, options.buckets)
        texts = [text for _, text in labelled]
        size = sum(len(text.encode()) for text in texts)
        texts *= max(1, round(options.megabytes * 1e6 / size))
        bytes_in = size * (len(texts) // len(labelled))
        load_ours, classifier = timed(lambda: load_classifier(path, file_sha256(path), "hq"))
        column = pa.array(texts, pa.large_string())
        classifier.scores(text_buffers(column.slice(0, 10)))  # compiled, not timed
        prepared(column.slice(0, 10), "words", 0)
        load_theirs, model = timed(lambda: fasttext.load_model(str(path)))
        print(f"{len(texts):,} documents, {bytes_in / 1e6:.1f} MB; dim {options.dim}, "
              f"{options.buckets:,} buckets, {path.stat().st_size / 1e6:,.0f} MB")  # fmt: skip
        print(f"memory of the weights: ours {classifier.linear.weights.nbytes / 1e6:,.1f} MB")
        print(f"loading: ours {load_ours:.2f} CPU s, fastText {load_theirs:.2f}")
        found = {}
        for label, function in (
            ("fastText, model.predict per document", lambda: naive(model, texts)),
            ("folded, from the Arrow column", lambda: classifier.scores(text_buffers(column))),
            ('folded, normal_form = "words"',
             lambda: classifier.scores(prepared(column, "words", 0))),
        ):  # fmt: skip
            seconds, scores = timed(function)
            found[label] = (seconds, np.asarray(scores))
            print(f"{label:40} {len(texts) / seconds:10,.0f} documents/s "
                  f"{bytes_in / seconds / 1e6:8.1f} MB/s")  # fmt: skip
        (slow, theirs), (fast, ours) = list(found.values())[:2]
        print(f"{slow / fast:.1f} times as fast; largest difference of the scores "
              f"{np.abs(np.minimum(theirs, 1) - ours).max():.6f}")  # fmt: skip


if __name__ == "__main__":
    main()
