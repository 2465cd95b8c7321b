"""Gopher quality: the kernel and the whole stage against plain Python, in one run on one core.

    python benchmarks/gopher_quality.py [--rounds N] [FILE.jsonl.gz ...]

"usual Python" computes the same statistics the way rivals do, one comprehension or `count` each
(datatrove's own filter splits with spaCy besides and is slower still); "twin" is the reference of
the kernel, written for its meaning. That twin and kernel agree is checked before anything is timed.
"""

import argparse
import gzip
import json
import re
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.buffers import text_buffers
from curation.stages.gopher_quality import STOP_WORDS, GopherQuality
from curation.text.gopher import quality, quality_of_text, stop_table

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
ENGLISH = STOP_WORDS["en"].split()


def read_texts(paths):
    texts = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return pa.array(texts, pa.large_string())


def usual_python(text):
    words, lines = text.split(), [line for line in text.split("\n") if line.strip()]
    n, m = max(len(words), 1), max(len(lines), 1)
    return {
        "words": len(words),
        "mean_word_chars": sum(len(word) for word in words) / n,
        "hash_ratio": text.count("#") / n,
        "ellipsis_ratio": (text.count("...") + text.count("…")) / n,
        "bullet_lines": sum(line.lstrip().startswith(("•", "-", "*")) for line in lines) / m,
        "ellipsis_lines": sum(line.rstrip().endswith(("...", "…")) for line in lines) / m,
        "alpha_words": sum(any(char.isalpha() for char in word) for word in words) / n,
        "stop_words": len(set(ENGLISH).intersection(re.findall(r"\w+", text.lower()))),
    }


def contestants(texts):
    """Returns by name what is to be timed, and the share of the texts that each gets."""
    buffers, table = text_buffers(texts), stop_table([ENGLISH])
    lists = np.zeros(len(texts), np.int64)
    score_batch = GopherQuality(kind="gopher_quality").open()
    batch = pa.RecordBatch.from_arrays([texts], ["text"])
    some = texts[:: max(1, len(texts) // 500)]
    strings = some.to_pylist()
    return {
        "usual Python": (some.nbytes, lambda: [usual_python(text) for text in strings]),
        "twin": (some.nbytes, lambda: [quality_of_text(text, ENGLISH) for text in strings]),
        "kernel": (texts.nbytes, lambda: quality(*buffers, table, lists)),
        "stage": (texts.nbytes, lambda: score_batch(batch)),
    }


def check_equal(texts):
    sample = texts[:: max(1, len(texts) // 500)]
    lists = np.zeros(len(sample), np.int64)
    found = quality(*text_buffers(sample), stop_table([ENGLISH]), lists)
    for row, text in enumerate(sample.to_pylist()):
        for name, value in quality_of_text(text, ENGLISH).items():
            assert np.array_equal(getattr(found, name)[row], value, equal_nan=True), (row, name)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=sorted(SAMPLE.glob("*.jsonl.gz")))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    texts = read_texts(options.paths)
    check_equal(texts)
    rivals = contestants(texts)
    best = dict.fromkeys(rivals, float("inf"))
    for _ in range(options.rounds):  # in turn, so that all meet the same noise of the machine
        for name, (_, run) in rivals.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    speed = {name: size / best[name] / 1e6 for name, (size, _) in rivals.items()}
    print(f"{len(texts)} texts, {texts.nbytes / 1e6:.1f} MB; best of {options.rounds} rounds")
    for name, mb_per_second in speed.items():
        ratio = mb_per_second / speed["usual Python"]
        print(f"{name:14} {mb_per_second:8.1f} MB/s of text {ratio:8.1f} x")


if __name__ == "__main__":
    main()
