"""Near-duplicates of a whole corpus, from text to the list of what goes: this stage beside rivals.

    python -m benchmarks.near_dup --corpus CORPUS.jsonl [--rival-python PYTHON] [--rivals gaoya ...]

CORPUS has a JSON object with `text` on each line. Each contender runs in a process of its own, on
one thread: reads the file, signs 5-word shingles, and says which documents are to be removed at a
Jaccard similarity of 0.8. Ours may use 112 permutations and verifies every pair on the exact sets;
the rivals get 14 bands of 8 rows, 112 hashes too. With `--rival-python` the rivals run in that
environment (gaoya 0.2.2: `python3 -m venv /tmp/gaoya && /tmp/gaoya/bin/pip install gaoya`).
Ours removes a document for a survivor, gaoya and datasketch all but one of a connected component,
and they take agreeing signatures for likeness: their counts need not agree.
"""

import json
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

THRESHOLD, NGRAM, BANDS, ROWS = 0.8, 5, 14, 8
BLOCK = 8 << 20
WORD = re.compile(r"\w+")


def blocks(path: Path) -> Iterator[bytes]:
    """Yields whole lines, about `BLOCK` bytes at a time."""
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            yield block + file.readline()


def ours(path: Path) -> int:
    import pyarrow.compute as pc

    from curation.ranges import part_count, repeated
    from curation.shards import MappedTexts, write_shard
    from curation.stage import Part, Scratch
    from curation.stages.minhash_dedup import MinhashDedup

    stage = MinhashDedup(seed=1, threshold=THRESHOLD, ngram=NGRAM, permutations=BANDS * ROWS)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        where = Path(name)
        texts, keys, hashes = write_shards(stage, path, where)
        scratch = Scratch(where / "scratch", threads=1)
        scratch.directory.mkdir()
        count, groups = part_count(hashes, scratch.memory_bytes, 1), []
        for index in range(count):
            groups.append(where / f"group-{index}.arrow")
            write_shard(groups[-1], repeated(keys, Part(index, count)))
        answer = stage.decide(keys, MappedTexts(texts), scratch._replace(groups=tuple(groups)))
    return int(pc.sum(answer.column("rejected")).as_py() or 0)


def write_shards(
    stage: Any, path: Path, where: Path, batch_rows: int = 512
) -> tuple[list[Path], list[Any], int]:
    """Writes texts, keys and hashes as a run does; returns the first two, and how many hashes."""
    import pyarrow as pa
    import pyarrow.json as pj

    from curation.ranges import split_hashes, write_hashes
    from curation.shards import write_shard
    from curation.stage import KeyShard

    texts, keys, hashes, first = [], [], 0, 0
    schema = pj.ParseOptions(explicit_schema=pa.schema([("text", pa.large_string())]))
    reading = pj.ReadOptions(use_threads=False, block_size=2 * BLOCK)
    make = stage.keys()
    for shard, block in enumerate(blocks(path)):
        table = pj.read_json(pa.BufferReader(block), reading, schema).select(["text"])
        texts.append(where / f"text-{shard}.arrow")
        write_shard(texts[-1], table)
        parts, row = [], 0
        for batch in table.to_batches(max_chunksize=batch_rows):
            parts.append(key_batch(make, batch, row, first + row))
            row += batch.num_rows
        first += row
        plain, ranged = split_hashes(pa.Table.from_batches(parts), "bands")
        hashes += ranged.num_rows
        files = where / f"keys-{shard}.arrow", where / f"hashes-{shard}.arrow"
        write_shard(files[0], plain)
        write_hashes(files[1], ranged)
        keys.append(KeyShard(shard, *files))
    return texts, keys, hashes


def key_batch(make: Callable[..., Any], batch: Any, row: int, number: int) -> Any:
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    rows = np.arange(batch.num_rows)
    created = pa.nulls(batch.num_rows, pa.timestamp("us", tz="UTC"))
    ids = pc.utf8_lpad(pa.array(rows + number).cast(pa.string()), 32, "0")
    columns = {"row": pa.array((rows + row).astype(np.int32)), "doc_id": ids}
    found = make(batch.append_column("created", created))
    return pa.RecordBatch.from_pydict(columns | dict(found))


def texts_of(path: Path) -> list[str]:
    with path.open(encoding="utf-8") as file:
        return [json.loads(line)["text"] for line in file]


class Components:
    """The first document of each connected component stays."""

    def __init__(self, count: int) -> None:
        self.parent = list(range(count))

    def find(self, one: int) -> int:
        while self.parent[one] != one:
            self.parent[one] = self.parent[self.parent[one]]
            one = self.parent[one]
        return one

    def join(self, one: int, two: int) -> None:
        one, two = self.find(one), self.find(two)
        self.parent[max(one, two)] = min(one, two)

    def removed(self) -> int:
        return sum(self.find(one) != one for one in range(len(self.parent)))


def gaoya(path: Path) -> int:
    from gaoya.minhash import MinHashStringIndex

    texts = texts_of(path)
    found = Components(len(texts))
    settings = (32, THRESHOLD, BANDS, ROWS, None, "word", True, (NGRAM, NGRAM))
    index = MinHashStringIndex(*settings, id_container="smallvec")
    for start in range(0, len(texts), 10_000):
        part = texts[start : start + 10_000]
        index.par_bulk_insert_docs(list(range(start, start + len(part))), part)
    for start in range(0, len(texts), 10_000):
        answers = index.par_bulk_query(texts[start : start + 10_000])
        for one, others in enumerate(answers, start):
            for other in others:
                found.join(one, other)
    return found.removed()


def shingles(text: str) -> list[str]:
    words = WORD.findall(text.lower())
    return list({" ".join(words[k : k + NGRAM]) for k in range(max(1, len(words) - NGRAM + 1))})


def rensa(path: Path) -> int:
    import rensa

    texts = texts_of(path)
    index = rensa.RMinHashDeduplicator(
        threshold=THRESHOLD, num_perm=BANDS * ROWS, use_lsh=True, num_bands=BANDS, seed=1
    )
    kept = 0
    for start in range(0, len(texts), 1000):
        part = texts[start : start + 1000]
        kept += sum(index.add_pairs([(str(k), shingles(t)) for k, t in enumerate(part, start)]))
    return len(texts) - kept


def datasketch(path: Path) -> int:
    from datasketch import MinHash, MinHashLSH

    texts = texts_of(path)
    found = Components(len(texts))
    index = MinHashLSH(num_perm=BANDS * ROWS, params=(BANDS, ROWS))
    for number, text in enumerate(texts):
        signature = MinHash(num_perm=BANDS * ROWS, seed=1, scheme="affine32")
        signature.update_batch([shingle.encode() for shingle in shingles(text)])
        for other in index.query(signature):
            found.join(number, other)
        index.insert(number, signature, check_duplication=False)
    return found.removed()


CONTENDERS: dict[str, Callable[[Path], int]] = {
    "ours": ours,
    "gaoya": gaoya,
    "rensa": rensa,
    "datasketch": datasketch,
}


def contend(name: str, path: Path) -> None:
    """Runs one contender in this process and prints what it took as JSON."""
    start = time.perf_counter()
    removed = CONTENDERS[name](path)
    used = resource.getrusage(resource.RUSAGE_SELF)
    result = {
        "removed": removed,
        "cpu": used.ru_utime + used.ru_stime,
        "wall": time.perf_counter() - start,
        "peak": used.ru_maxrss / 1024,
    }
    print(json.dumps(result))


def measured(name: str, path: Path, python: str) -> dict[str, Any] | None:
    one = dict.fromkeys(("RAYON_NUM_THREADS", "OMP_NUM_THREADS", "ARROW_IO_THREADS"), "1")
    command = [python, str(Path(__file__).resolve()), name, str(path)]
    root = str(Path(__file__).resolve().parents[1])
    run = subprocess.run(
        command, env={**os.environ, **one, "PYTHONPATH": root}, stdout=subprocess.PIPE, check=False
    )
    return json.loads(run.stdout) if run.returncode == 0 else None


def compare(path: Path, rivals: list[str], python: str) -> None:
    size = path.stat().st_size / 1e6
    with path.open("rb") as file:
        count = sum(1 for _ in file)
    print(f"{count:,} documents, {size:.0f} MB of JSON lines, threshold {THRESHOLD}")
    print(f"{'':12s} {'removed':>9s} {'CPU s':>8s} {'wall s':>8s} {'peak MB':>8s}")
    mine: dict[str, Any] = {}
    for name in ["ours", *rivals]:
        found = measured(name, path, sys.executable if name == "ours" else python)
        if found is None:
            print(f"{name:12s} did not run: is it installed in {python}?")
            continue
        mine = mine or found
        line = f"{name:12s} {found['removed']:9,d} {found['cpu']:8.1f} {found['wall']:8.1f}"
        ratio = f"   ours takes {mine['cpu'] / found['cpu']:.2f} of the CPU seconds"
        ratio += f" and {mine['peak'] / found['peak']:.2f} of the memory"
        print(f"{line} {found['peak']:8.0f}{ratio if name != 'ours' else ''}", flush=True)


def add_options(parser: Any) -> None:
    rivals = [name for name in CONTENDERS if name != "ours"]
    parser.add_argument("--corpus", type=Path, help="JSON lines with a field `text`")
    parser.add_argument("--rivals", nargs="*", choices=rivals, default=["gaoya"])
    parser.add_argument("--rival-python", default=sys.executable, help="of the rivals' environment")


if __name__ == "__main__":
    contend(sys.argv[1], Path(sys.argv[2]))
