"""The gates of augmented documents: MB of children for a second of CPU, beside sacrebleu.

    python benchmarks/augmentation_gates.py [--documents 2000]

The children are the sample's answers with 5 of 100 characters replaced, by a seeded draw.
"""

import argparse
import gzip
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa

from curation.language_model import PACKAGED_MODEL, load_languages, model_digest
from curation.likeness import Pairs
from curation.stages.augmentation_gates import AugmentationGates

SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample" / "medquad.jsonl.gz"


def noisy(text: str, rng: random.Random) -> str:
    return "".join(rng.choice("etaoinshrdlu") if rng.random() < 0.05 else char for char in text)


def best(work: Callable[[], object], times: int = 3) -> float:
    work()  # compiles
    seconds = []
    for _ in range(times):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--documents", type=int, default=2000)
    count = parser.parse_args().documents
    with gzip.open(SAMPLE, "rt", encoding="utf-8") as lines:
        parents = [json.loads(line)["text"] for line, _ in zip(lines, range(count), strict=False)]
    rng = random.Random(1)
    children = [noisy(text, rng) for text in parents]
    megabytes = sum(len(text.encode()) for text in children) / 1e6
    columns = [pa.array(texts, pa.large_string()) for texts in (children, parents)]
    languages = load_languages(PACKAGED_MODEL, model_digest(PACKAGED_MODEL))
    stage = AugmentationGates(kind="augmentation_gates")
    batch = pa.RecordBatch.from_arrays(columns, names=["text", "parent_text"])
    codes: list[str | None] = ["en"] * len(children)
    everything = stage.open()
    measures: dict[str, Callable[[], object]] = {
        "chrF": lambda: Pairs(*columns).chrf(),
        "loops of child and parent": lambda: Pairs(*columns).new_loops(),
        "facts of child and parent": lambda: Pairs(*columns).kept_facts(codes),
        "languages": lambda: Pairs(*columns).languages(languages),
        "all gates": lambda: everything(batch),
    }
    print(f"{len(children):,} pairs, {megabytes:.1f} MB of children")
    for name, measure in measures.items():
        print(f"{name:28s} {megabytes / best(measure):7.1f} MB/s")
    from sacrebleu.metrics import CHRF

    oracle, few = CHRF(), len(children) // 10
    part = sum(len(text.encode()) for text in children[:few]) / 1e6
    pairs = list(zip(children[:few], parents[:few], strict=True))
    spent = best(lambda: [oracle.sentence_score(a, [b]) for a, b in pairs], times=1)
    print(f"{'chrF by sacrebleu':28s} {part / spent:7.1f} MB/s")


if __name__ == "__main__":
    main()
