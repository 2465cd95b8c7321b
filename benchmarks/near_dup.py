"""Near-duplicates: signing against datasketch and rensa, and the whole stage, in one run.

    python -m benchmarks.near_dup [TEXTS.jsonl.gz ...] [--documents 20000] [--sample 2000]
    python -m benchmarks.near_dup --corpus CORPUS.jsonl [--rival-python PYTHON] [--rivals gaoya ...]

The second form compares whole programs on a corpus of your own (see rivals/near_dup_programs.py).

The corpus is made of real text: paragraphs of 40 to 200 words cut from the files' `text` fields,
and for 3 of 10 documents a copy of another one in which up to 30 % of the words were edited, most
of them less. CPU seconds of this process, one thread; numbers of other machines do not compare,
the ratios do.
"""

import argparse
import gzip
import json
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.rivals import near_dup_programs
from curation.buffers import text_buffers
from curation.ranges import split_hashes, write_hashes
from curation.schema import DOCUMENT
from curation.stage import KeyShard, Scratch
from curation.stages.minhash_dedup import MinhashDedup
from curation.text.minhash import make_permutations, sign

PERMUTATIONS = 128
NGRAM = 5

SAMPLE = sorted((Path(__file__).resolve().parents[1] / "data" / "sample").glob("*.jsonl.gz"))
"""What is read when nothing is named."""


def read_words(paths: list[Path]) -> Iterator[list[str]]:
    for path in paths:
        opened = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8") as file:
            for line in file:
                yield json.loads(line)["text"].split()


def cut_paragraphs(texts: list[list[str]], count: int, rng: random.Random) -> list[list[str]]:
    """Returns paragraphs of the texts, and when those are used up, ones spliced from short runs."""
    paragraphs = []
    for words in texts:
        at = 0
        while len(words) - at >= 40:
            size = rng.randint(40, 200)
            paragraphs.append(words[at : at + size])
            at += size
    rng.shuffle(paragraphs)
    while len(paragraphs) < count:
        size, spliced = rng.randint(40, 200), []
        while len(spliced) < size:
            words = rng.choice(texts)
            at = rng.randrange(len(words))
            spliced += words[at : at + rng.randint(8, 24)]
        paragraphs.append(spliced[:size])
    return paragraphs[:count]


def edited(words: list[str], share: float, rng: random.Random, other: list[str]) -> list[str]:
    copy = []
    for word in words:
        change = rng.randrange(3) if rng.random() < share else 3
        # 0: another word instead, 1: another word after it, 2: gone, 3: as it was
        copy += [word] if change in (1, 3) else []
        copy += [rng.choice(other)] if change < 2 else []
    return copy or words


def make_corpus(paths: list[Path], count: int) -> tuple[list[str], list[tuple[int, int]]]:
    """Returns the texts, and the pairs of a copy and its original."""
    rng = random.Random(1)
    words = [text for text in read_words(paths) if len(text) >= 40]
    originals = cut_paragraphs(words, count - count * 3 // 10, rng)
    texts = [" ".join(words) for words in originals]
    pairs = []
    for _ in range(count - len(originals)):
        at = rng.randrange(len(originals))
        share = 0.3 * rng.random() ** 3
        pairs.append((len(texts), at))
        texts.append(" ".join(edited(originals[at], share, rng, rng.choice(originals))))
    order = list(range(len(texts)))
    rng.shuffle(order)
    place = {old: new for new, old in enumerate(order)}
    return [texts[old] for old in order], [(place[a], place[b]) for a, b in pairs]


def seconds(function: Callable[[], Any], repeats: int = 3) -> float:
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        function()
        best = min(best, time.process_time() - start)
    return best


def sign_ours(texts: pa.Array) -> None:
    sign(*text_buffers(texts), NGRAM, *make_permutations(PERMUTATIONS, 1))


def python_shingles(text: str) -> list[str]:
    tokens = re.findall(r"\w+", text.lower())
    return [" ".join(tokens[k : k + NGRAM]) for k in range(max(1, len(tokens) - NGRAM + 1))]


def sign_datasketch(texts: list[str]) -> None:
    import xxhash
    from datasketch import MinHash

    for text in texts:
        signature = MinHash(PERMUTATIONS, 1, scheme="affine32", hashfunc=xxhash.xxh32_intdigest)
        signature.update_batch([shingle.encode() for shingle in python_shingles(text)])


def sign_rensa(texts: list[str]) -> None:
    import rensa

    for text in texts:
        rensa.RMinHash(num_perm=PERMUTATIONS, seed=1).update(python_shingles(text))


def jaccard(one: set[str], two: set[str]) -> float:
    return len(one & two) / len(one | two)


class MemoryTexts:
    def __init__(self, shards: list[pa.RecordBatch]) -> None:
        self.shards = shards

    def take(self, shard: int, rows: np.ndarray) -> pa.Array:
        return self.shards[shard].column("text").take(pa.array(rows))


def as_documents(texts: list[str], first: int) -> pa.RecordBatch:
    ids = [f"{first + k:032x}" for k in range(len(texts))]
    columns = {name: pa.nulls(len(texts), DOCUMENT.field(name).type) for name in DOCUMENT.names}
    columns |= {"doc_id": pa.array(ids), "record_id": pa.array(ids)}
    columns |= {
        "source": pa.array(["bench"] * len(ids)),
        "text": pa.array(texts, pa.large_string()),
    }
    return pa.RecordBatch.from_pydict(columns, schema=DOCUMENT)


def write_keys(stage: MinhashDedup, shards: list[pa.RecordBatch], where: Path) -> list[KeyShard]:
    make, keys = stage.keys(), []
    for number, shard in enumerate(shards):
        columns = {"row": pa.array(np.arange(shard.num_rows, dtype=np.int32))}
        columns |= {"doc_id": shard.column("doc_id"), **make(shard)}
        keys.append(KeyShard(number, where / f"{number}.arrow", where / f"{number}.hashes"))
        table, hashes = split_hashes(pa.table(columns), str(stage.hashed))
        write_hashes(where / f"{number}.hashes", hashes)
        with pa.ipc.new_file(keys[-1].path, table.schema) as writer:
            writer.write_table(table)
    return keys


def compare_signing(texts: list[str], sample: int) -> None:
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    column = pa.array(texts, pa.large_string())
    sign_ours(column)  # compiles
    ours = megabytes / seconds(lambda: sign_ours(column))
    print(
        f"text to signature, {PERMUTATIONS} permutations of {NGRAM}-word shingles, MB a CPU second"
    )
    print("(the others' shingles are made in Python, as their users do):")
    print(f"  {'ours':12s} {ours:8.1f}")
    part = texts[:sample]
    megabytes = sum(len(text.encode()) for text in part) / 1e6
    for name, function in (("datasketch", sign_datasketch), ("rensa", sign_rensa)):
        try:
            theirs = megabytes / seconds(lambda function=function: function(part))
        except ImportError:
            print(f"  {name:12s} not installed")
        else:
            print(f"  {name:12s} {theirs:8.1f}   ours is {ours / theirs:.1f} times as fast")


def whole_stage(texts: list[str], pairs: list[tuple[int, int]]) -> None:
    stage = MinhashDedup(seed=1)
    shards = [as_documents(texts[k : k + 5000], k) for k in range(0, len(texts), 5000)]
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    with tempfile.TemporaryDirectory() as name:
        scratch = Scratch(Path(name) / "scratch", threads=1)
        scratch.directory.mkdir()
        start = time.process_time()
        keys = write_keys(stage, shards, Path(name))
        signed = time.process_time()
        answer = stage.decide(keys, MemoryTexts(shards), scratch)
        end = time.process_time()
    answer = answer.filter(answer.column("rejected"))
    gone = set(np.add(answer["shard"].to_numpy() * 5000, answer["row"].to_numpy()).tolist())
    sets = {k: set(python_shingles(texts[k])) for pair in pairs for k in pair}
    near = [pair for pair in pairs if jaccard(*(sets[k] for k in pair)) >= 0.8]
    solved = sum(not gone.isdisjoint(pair) for pair in near)
    print(f"whole stage, {len(texts)} documents, {megabytes:.1f} MB, {stage.banding}:")
    print(f"  keys {signed - start:.2f} s, decision {end - signed:.2f} s CPU; ", end="")
    print(f"{megabytes / (end - start):.1f} MB/s, {len(texts) / (end - start):.0f} documents/s")
    print(f"  {len(gone)} rejected; {solved} of {len(near)} near-copies ", end="")
    print(f"({solved / max(1, len(near)):.4f}) do not survive together with their original")
    print(f"  peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "texts", type=Path, nargs="*", default=SAMPLE, help="JSON lines with a field `text`"
    )
    parser.add_argument("--documents", type=int, default=20_000)
    parser.add_argument("--sample", type=int, default=1_000, help="documents for the other tools")
    near_dup_programs.add_options(parser.add_argument_group("whole programs on one corpus"))
    options = parser.parse_args()
    if options.corpus is not None:
        near_dup_programs.compare(options.corpus, options.rivals, options.rival_python)
        return
    texts, pairs = make_corpus(options.texts, options.documents)
    compare_signing(texts, options.sample)
    whole_stage(texts, pairs)


if __name__ == "__main__":
    main()
