"""Decontamination: n-grams of evaluation sets looked up in texts, beside plain Python.

    python benchmarks/decontaminate.py [--ngrams 1000000] [--rounds N] [FILE.jsonl.gz ...]

"dict of n-grams" keeps the n-grams of the passages as a set of strings and looks each n-gram of a
text up, as programs in Python do; datatrove's filter does that with hashes, after splitting by
spaCy or NLTK, and is slower still (`--datatrove` runs its own functions on words that are split
already, where it is installed). All find the same texts; that is checked before anything is timed.
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
from curation.text.minhash import make_permutations, sign
from curation.text.overlap import find_overlaps, make_index

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
NGRAM, LEAST = 13, 8


def read_texts(paths):
    texts = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def make_passages(texts, ngrams, seed=0):
    """Passages of 20 to 60 words: one of a hundred is a piece of a text, the rest is shuffled."""
    rng = np.random.default_rng(seed)
    words = [word for text in texts for word in re.findall(r"\w+", text.lower())]
    passages, made = [], 0
    while made < ngrams:
        start, size = rng.integers(len(words) - 60), int(rng.integers(20, 60))
        part = words[start : start + size]
        if len(passages) % 100:
            part = [part[k] for k in rng.permutation(size)]
        passages.append(" ".join(part))
        made += size - NGRAM + 1
    return passages


def python_ngrams(text):
    words = re.findall(r"\w+", text.lower())
    return {" ".join(words[k : k + NGRAM]) for k in range(len(words) - NGRAM + 1)}


def python_hits(texts, known):
    return [not known.isdisjoint(python_ngrams(text)) for text in texts]


def datatrove_hits(texts, known):
    from datatrove.utils.hashing import HashConfig, create_hash_func

    compute = create_hash_func(HashConfig(hash_fc="sha1", precision=64))
    hashes = {compute(ngram) for ngram in known}

    def run():
        return [any(compute(ngram) in hashes for ngram in python_ngrams(text)) for text in texts]

    return run


def contestants(texts, passages, known, *, datatrove):
    """Returns by name what is to be timed, and the bytes of text that each gets."""
    some = texts[:: max(1, len(texts) // 300)]
    buffers = text_buffers(pa.array(texts, pa.large_string()))
    start = time.process_time()
    index = make_index(*text_buffers(pa.array(passages, pa.large_string())), NGRAM, LEAST)
    built = time.process_time() - start
    found = find_overlaps(*text_buffers(pa.array(some, pa.large_string())), index)
    assert (found.ngrams > 0).tolist() == python_hits(some, known)
    hits = int((find_overlaps(*buffers, index).ngrams > 0).sum())
    print(f"{len(known):,} n-grams of {len(passages):,} passages, indexed in {built:.1f} s")
    size, some_size = (sum(len(text.encode()) for text in part) for part in (texts, some))
    print(f"{len(texts):,} texts, {size / 1e6:.1f} MB, {hits:,} with a hit")
    permutations = make_permutations(128, 0)
    rivals = {"dict of n-grams": (some_size, lambda: python_hits(some, known))}
    if datatrove:
        rivals["datatrove's hash"] = (some_size, datatrove_hits(some, known))
    rivals["kernel"] = (size, lambda: find_overlaps(*buffers, index))
    rivals["MinHash kernel, to compare"] = (size, lambda: sign(*buffers, 5, *permutations))
    return rivals


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=sorted(SAMPLE.glob("*.jsonl.gz")))
    parser.add_argument("--ngrams", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--datatrove", action="store_true")
    options = parser.parse_args()
    texts = read_texts(options.paths)
    passages = make_passages(texts, options.ngrams)
    known = set().union(*map(python_ngrams, passages))
    rivals = contestants(texts, passages, known, datatrove=options.datatrove)
    best = dict.fromkeys(rivals, float("inf"))
    for _ in range(options.rounds):  # in turn, so that all meet the same noise of the machine
        for name, (_, run) in rivals.items():
            start = time.process_time()
            run()
            best[name] = min(best[name], time.process_time() - start)
    speed = {name: size / best[name] / 1e6 for name, (size, _) in rivals.items()}
    for name, mb_per_second in speed.items():
        ratio = mb_per_second / speed["dict of n-grams"]
        print(f"{name:27} {mb_per_second:8.1f} MB/s of text {ratio:8.1f} x")


if __name__ == "__main__":
    main()
