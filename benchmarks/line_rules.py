"""Line rules, statistics, Unicode words: kernels and stages against plain Python, in one run.

    python benchmarks/line_rules.py [--rounds N] [FILE.jsonl.gz ...]

The twins are the references of the kernels, written for their meaning; Gopher's kernel stands
beside them as a measure of the machine. That they agree is checked before anything is timed.
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
from curation.stages.refinedweb_lines import RefinedwebLines
from curation.stages.text_statistics import TextStatistics
from curation.text import c4, ccnet, fineweb, refinedweb, text_statistics, word_breaks
from curation.text.gopher import quality
from curation.text.plain_statistics import plain_statistics
from curation.text.stop_words import stop_table

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
RULES = C4Quality(kind="c4_quality").line_rules()
CORRECTIONS = RefinedwebLines(kind="refinedweb_lines").line_rules()
CCNET = ccnet.replacements(cased=False, keep_lines=True)


def read_texts(paths):
    texts = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return pa.array(texts, pa.large_string())


def check_equal(texts):
    buffers = text_buffers(texts)
    cleaned = c4.clean(*buffers, RULES)
    corrected = refinedweb.correct(*buffers, CORRECTIONS)
    measured = text_statistics.measure(*buffers, "unicode")._asdict()
    normal = ccnet.ccnet_rows(*buffers, CCNET)
    for row, text in enumerate(texts.to_pylist()):
        assert rewritten(*cleaned, row) == c4.plain_clean(text, RULES), row
        assert rewritten(*corrected, row) == refinedweb.plain_correct(text, CORRECTIONS), row
        expected = plain_statistics(text, "unicode")
        assert np.allclose(
            [found[row] for found in measured.values()],
            [expected[name] for name in measured],
            equal_nan=True,
        ), row
        plain = ccnet.plain_ccnet(text, cased=False, keep_lines=True)
        assert rewritten(*normal, {}, row)[0] == plain, row


def rewritten(offsets, data, counts, row):
    new = data[offsets[row] : offsets[row + 1]].tobytes().decode()
    return new, {name: found[row] for name, found in counts.items()}


def kernels(texts):
    buffers, table = text_buffers(texts), stop_table([["the", "and"]])
    lists = np.zeros(len(texts), np.int64)
    batch = pa.RecordBatch.from_arrays(
        [texts, pa.nulls(len(texts), pa.string())], ["text", "doc_id"]
    )
    c4_stage, fineweb_stage = C4Quality(kind="c4_quality"), FinewebQuality(kind="fineweb_quality")
    refinedweb_stage = RefinedwebLines(kind="refinedweb_lines")
    statistics_stage = TextStatistics(kind="text_statistics")
    return {
        "gopher kernel": lambda: quality(*buffers, table, lists),
        "c4 kernel": lambda: c4.clean(*buffers, RULES),
        "c4 stage": lambda: c4_stage.open()(batch),
        "fineweb kernel": lambda: fineweb.measure(
            *buffers, fineweb.END_CHARS, 30, word_breaks.TOKENS
        ),
        "fineweb stage": lambda: fineweb_stage.open()(batch),
        "refinedweb kernel": lambda: refinedweb.correct(*buffers, CORRECTIONS),
        "refinedweb stage": lambda: refinedweb_stage.open()(batch),
        "statistics kernel": lambda: text_statistics.measure(*buffers, "unicode"),
        "statistics stage": lambda: statistics_stage.open()(batch),
        "ccnet normal form": lambda: ccnet.ccnet_rows(*buffers, CCNET),
        "unicode words": lambda: word_breaks.count_segments(*buffers, word_breaks.WORDS),
        "unicode word hashes": lambda: word_breaks.span_hashes(
            buffers.data, word_breaks.segment_spans(*buffers, word_breaks.WORDS)
        ),
    }


def rivals(texts):
    strings = texts.to_pylist()
    found = {
        "c4 twin": lambda: [c4.plain_clean(text, RULES) for text in strings],
        "refinedweb twin": lambda: [
            refinedweb.plain_correct(text, CORRECTIONS) for text in strings
        ],
        "statistics twin": lambda: [plain_statistics(text, "unicode") for text in strings],
        "ccnet twin": lambda: [
            ccnet.plain_ccnet(text, cased=False, keep_lines=True) for text in strings
        ],
    }
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
