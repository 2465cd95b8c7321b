"""Personal data: speed on real texts, precision and recall on the labelled ones, beside rivals.

    python benchmarks/personal_data.py [--rounds N] [--rival-python PYTHON] [FILE.jsonl.gz ...]

Rivals run in an environment of their own, which PYTHON is the interpreter of; those that are not
installed there are left out:

    python -m venv rivals
    rivals/bin/pip install datatrove presidio-analyzer scrubadub detect-secrets

Each is asked for the kinds that it knows, and measured on the labels of these kinds; a find is
right where it overlaps a label of its kind. A rival's time is the CPU time of its calls alone, in
its own process. data-juicer's clean_email is one regular expression and is repeated here.
"""

import argparse
import gzip
import json
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pyarrow as pa

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from curation.stages.personal_data import PersonalData  # noqa: E402
from tests.conftest import make_batch  # noqa: E402
from tests.personal_data.labelled import (  # noqa: E402
    Span,
    find_by_stage,
    measure,
    read_labelled,
    table,
)

SAMPLE = ROOT / "data" / "sample"
RIVALS = Path(__file__).parent / "rivals" / "personal_data.py"
DATA_JUICER = re.compile(r"[A-Za-z0-9.\-+_]+@[a-z0-9.\-+_]+\.[a-z]+")


def read_texts(paths):
    texts = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as lines:
            texts += [json.loads(line)["text"] for line in lines]
    return texts


def stage_speed(texts, rounds):
    batch = make_batch(texts)
    run = PersonalData(kind="personal_data").open()
    run(batch.slice(0, 10))
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run(batch)
        best = min(best, time.process_time() - start)
    return pa.compute.sum(pa.compute.binary_length(batch["text"])).as_py() / best / 1e6


def data_juicer(texts):
    return [[Span(*m.span(), "email") for m in DATA_JUICER.finditer(text)] for text in texts]


def ask(python, name, documents, sample):
    """Returns a rival's spans on the labelled texts and its MB/s on a sample; None if not there."""
    with tempfile.TemporaryDirectory() as folder:
        given, taken = Path(folder) / "in.json", Path(folder) / "out.json"
        given.write_text(json.dumps({"labelled": [d.text for d in documents], "sample": sample}))
        run = subprocess.run(
            [python, RIVALS, name, given, taken], capture_output=True, text=True, check=False
        )
        if run.returncode:
            print(f"{name}: left out ({run.stderr.strip().splitlines()[-1:]})", file=sys.stderr)
            return None
        return json.loads(taken.read_text())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", default=sorted(SAMPLE.glob("*.jsonl.gz")))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rival-python", default=sys.executable)
    options = parser.parse_args()
    texts, documents = read_texts(options.paths), read_labelled()
    sample = texts[:: max(1, len(texts) // 300)]
    print(f"personal_data, all kinds: {stage_speed(texts, options.rounds):.1f} MB/s of real text\n")
    print(table(measure(documents, find_by_stage)) + "\n")
    start = time.process_time()
    data_juicer(sample)
    seconds = time.process_time() - start
    speed = sum(len(text.encode()) for text in sample) / seconds / 1e6
    print(f"data-juicer's pattern: {speed:.1f} MB/s\n")
    print(table(measure(documents, data_juicer, ["email"])) + "\n")
    for name in ("datatrove", "presidio", "scrubadub", "detect-secrets"):
        answer = ask(options.rival_python, name, documents, sample)
        if answer:
            spans = [[Span(*span) for span in row] for row in answer["spans"]]
            print(f"{name}: {answer['speed']:.2f} MB/s\n")
            scores = measure(documents, lambda _, spans=spans: spans, answer["kinds"])
            print(table(scores) + "\n")


if __name__ == "__main__":
    main()
