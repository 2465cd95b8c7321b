"""Quality rules and signatures: our stages beside datatrove's filters, on the same texts, one core.

    python benchmarks/quality_rules.py [--rival-python PYTHON] [--documents N] [FILE.jsonl[.gz] ...]

PYTHON is the interpreter of an environment with datatrove (also from $RIVAL_PYTHON):

    python -m venv /tmp/datatrove
    /tmp/datatrove/bin/pip install datatrove==0.10.1 'xxhash<4' spacy tokenizers

Filters are called directly on strings, which is the best case for datatrove, one document in ten;
ours get Arrow batches of 512 rows, as in a run. CPU seconds, best of some rounds.
"""

import argparse
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
STAGES = ("gopher_quality", "gopher_repetition", "c4_quality", "fineweb_quality")
SIGNATURE = "MinHash, 128 permutations"
HOW = "set --rival-python to the Python of an environment with datatrove (see --help)"


def read_texts(paths, limit):
    texts = []
    for path in map(str, paths):
        with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as lines:
            texts += [json.loads(line)["text"] for line in lines]
    texts = [text for text in texts if text.strip()]
    return texts[:: max(1, len(texts) // limit)] if limit else texts


def best_seconds(run, rounds):
    run()
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def ours(texts, rounds):
    """Returns the CPU seconds of each of our stages, by name."""
    import pyarrow as pa

    from curation.buffers import text_buffers
    from curation.stages import KINDS
    from curation.text.minhash import make_permutations, sign

    arrays = [pa.array(texts[at : at + 512], pa.large_string()) for at in range(0, len(texts), 512)]
    batches = [pa.RecordBatch.from_arrays([array], ["text"]) for array in arrays]
    functions = {kind: KINDS[kind](kind=kind).open() for kind in STAGES if kind in KINDS}
    functions |= {
        f"{kind} ({definition})": KINDS[kind](kind=kind, definition=definition).open()
        for kind in STAGES[:2]
        for definition in ("datatrove", "dclm", "dolma", "curator")
    }
    permutations = make_permutations(128, 1)
    functions[SIGNATURE] = lambda batch: sign(*text_buffers(batch["text"]), 5, *permutations)
    return {
        name: best_seconds(lambda score=score: [score(batch) for batch in batches], rounds)
        for name, score in functions.items()
    }


def datatrove(texts):
    """Returns the CPU seconds of datatrove's filters; runs in its own environment."""
    from datatrove.data import Document
    from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    filters = {
        "gopher_quality": GopherQualityFilter(),
        "gopher_repetition": GopherRepetitionFilter(),
        "c4_quality": C4QualityFilter(filter_no_terminal_punct=False),
        "fineweb_quality": FineWebQualityFilter(),
    }
    functions = {
        name: lambda text, rule=rule: rule.filter(Document(text=text, id="")) is True
        for name, rule in filters.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        config = MinhashConfig(num_buckets=16, hashes_per_bucket=8, n_grams=5)
        signature = MinhashDedupSignature(folder, config=config)

        def sign(text):
            shingles = signature.get_shingles(text)
            if shingles.size:  # as datatrove's own loop does
                signature.get_signature(shingles)

        functions[SIGNATURE] = sign
        for run in functions.values():
            run(texts[0])
        return {
            name: best_seconds(lambda run=run: [run(text) for text in texts], 1)
            for name, run in functions.items()
        }


def measured_rival(python, texts):
    """Returns the rival's seconds by name, from a process of its own; none without a rival."""
    if not python:
        return {}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as file:
        file.writelines(json.dumps({"text": text}) + "\n" for text in texts)
        file.flush()
        command = [python, __file__, "--as-rival", file.name]
        run = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(run.stdout.splitlines()[-1])


def megabytes(texts):
    return sum(len(text.encode()) for text in texts) / 1e6


def report(seconds, size, rival, rival_size):
    print(f"{'stage':32} {'MB/s':>8} {'datatrove':>10} {'ratio':>7}")
    both = [name for name in seconds if name in STAGES or name == SIGNATURE]
    seconds["gopher_quality + gopher_repetition"] = sum(seconds[name] for name in STAGES[:2])
    seconds["all " + str(len(both))] = sum(seconds[name] for name in both)
    if all(name in rival for name in both):
        rival["gopher_quality + gopher_repetition"] = sum(rival[name] for name in STAGES[:2])
        rival["all " + str(len(both))] = sum(rival[name] for name in both)
    for name, taken in seconds.items():
        theirs = rival_size / rival[name.split(" (")[0]] if name.split(" (")[0] in rival else None
        beside = f"{theirs:10.2f} {size / taken / theirs:6.0f}x" if theirs else ""
        print(f"{name:34} {size / taken:6.1f} {beside}")
    if not rival:
        print(f"datatrove: not measured; {HOW}")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", default=sorted(SAMPLE.glob("*.jsonl.gz")))
    parser.add_argument("--rival-python", default=os.environ.get("RIVAL_PYTHON"))
    parser.add_argument("--documents", type=int, default=2000, help="at most; 0 for all")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--as-rival", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.as_rival:
        print(json.dumps(datatrove(read_texts([options.as_rival], 0))))
        return
    texts = read_texts(options.paths, options.documents)
    some = texts[:: max(1, min(10, len(texts) // 100))]
    print(f"{len(texts)} texts, {megabytes(texts):.1f} MB; datatrove on {len(some)} of them")
    rival = measured_rival(options.rival_python, some)
    report(ours(texts, options.rounds), megabytes(texts), rival, megabytes(some))


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
