"""Line rules and Unicode words: the kernels and whole stages against plain Python, in one run.

    python benchmarks/line_rules.py [--rounds N] [FILE.jsonl.gz ...]

The twins are the references of the kernels, written for their meaning; Gopher's kernel stands
beside them as a measure of the machine. That C4's agree is checked before anything is timed.
With datatrove installed its filters are timed on the same texts.
"""

import argparse
import gzip
import importlib.util
import json
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

from curation.buffers import text_buffers
from curation.stages.c4_quality import C4Quality
from curation.stages.fineweb_quality import FinewebQuality
from curation.text import c4, fineweb, word_breaks
from curation.text.gopher import quality
from curation.text.stop_words import stop_table

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
RULES = C4Quality(kind="c4_quality").line_rules()


def read_texts(paths):
    texts = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return pa.array(texts, pa.large_string())


def check_equal(texts):
    offsets, data, counts = c4.clean(*text_buffers(texts), RULES)
    for row, text in enumerate(texts.to_pylist()):
        new, expected = c4.plain_clean(text, RULES)
        assert data[offsets[row] : offsets[row + 1]].tobytes() == new.encode(), row
        assert {name: found[row] for name, found in counts.items()} == expected, row


def kernels(texts):
    buffers, table = text_buffers(texts), stop_table([["the", "and"]])
    lists = np.zeros(len(texts), np.int64)
    batch = pa.RecordBatch.from_arrays(
        [texts, pa.nulls(len(texts), pa.string())], ["text", "doc_id"]
    )
    c4_stage, fineweb_stage = C4Quality(kind="c4_quality"), FinewebQuality(kind="fineweb_quality")
    return {
        "gopher kernel": lambda: quality(*buffers, table, lists),
        "c4 kernel": lambda: c4.clean(*buffers, RULES),
        "c4 stage": lambda: c4_stage.open()(batch),
        "fineweb kernel": lambda: fineweb.measure(
            *buffers, fineweb.END_CHARS, 30, word_breaks.TOKENS
        ),
        "fineweb stage": lambda: fineweb_stage.open()(batch),
        "unicode words": lambda: word_breaks.count_segments(*buffers, word_breaks.WORDS),
        "unicode word hashes": lambda: word_breaks.span_hashes(
            buffers.data, word_breaks.segment_spans(*buffers, word_breaks.WORDS)
        ),
    }


def rivals(texts):
    strings = texts.to_pylist()
    found = {"c4 twin": lambda: [c4.plain_clean(text, RULES) for text in strings]}
    if importlib.util.find_spec("datatrove"):
        from datatrove.data import Document
        from datatrove.pipeline.filters import C4QualityFilter, FineWebQualityFilter

        for rival in (C4QualityFilter(), FineWebQualityFilter()):
            found[f"datatrove {type(rival).__name__}"] = lambda rival=rival: [
                rival.filter(Document(text=text, id="")) for text in strings
            ]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=sorted(SAMPLE.glob("*.jsonl.gz")))
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    texts = read_texts(options.paths)
    some = texts.take(pa.array(range(0, len(texts), max(1, len(texts) // 300))))
    check_equal(some)
    runs = [(name, texts, run, options.rounds) for name, run in kernels(texts).items()]
    runs += [(name, some, run, 1) for name, run in rivals(some).items()]
    print(f"{len(texts)} texts, {texts.nbytes / 1e6:.1f} MB; best of {options.rounds} rounds")
    for name, timed, run, rounds in runs:
        run()
        best = float("inf")
        for _ in range(rounds):
            start = time.process_time()
            run()
            best = min(best, time.process_time() - start)
        print(f"{name:32} {timed.nbytes / best / 1e6:8.1f} MB/s of text")


if __name__ == "__main__":
    main()
