"""Lines that the pages of a site share: ours, a plain Python dict, and dolma's Bloom filter.

    python benchmarks/line_dedup.py [TEXTS.jsonl.gz ...] [--documents 50000]
        [--rival-python VENV/bin/python]

The corpus is real text in documents of 5 to 40 lines, on hosts of 200 pages each; every page of a
host has the same twelve lines around its text, so it is known how many have to go. Each way runs in
a process of its own, on one thread; its CPU seconds and the memory that it takes beyond what it
started with are printed. Dolma reads and writes JSON, keeps the first copy of every line that
repeats anywhere, by a Bloom filter (size for one false positive in 10,000), and cuts nothing yet:
it marks. Its environment: `pip install --no-deps dolma==1.2.1`.
"""

import argparse
import gzip
import hashlib
import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.schema import DOCUMENT
from curation.shards import MappedTexts, read_shard, write_shard
from curation.stage import KeyShard, Scratch
from curation.stages.line_dedup import LineDedup, hosts

HERE = Path(__file__).resolve().parent
SAMPLE = sorted((HERE.parent / "data" / "sample").glob("*.jsonl.gz"))
PAGES_PER_HOST, FURNITURE, SHARD_DOCUMENTS = 200, 12, 5_000


def read_lines(paths: list[Path]) -> list[str]:
    lines = []
    for path in paths:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            for row in file:
                lines += [line for line in json.loads(row)["text"].split("\n") if line.strip()]
    return lines


def make_pages(lines: list[str], count: int) -> Iterator[tuple[str, str]]:
    """Yields URL and text; the lines of a text are numbered, so that none repeats by itself."""
    rng = random.Random(1)
    furniture: list[str] = []
    for number in range(count):
        host, page = divmod(number, PAGES_PER_HOST)
        if page == 0:
            words = [word for line in rng.sample(lines, 20) for word in line.split()]
            furniture = [
                f"{k} {' '.join(rng.sample(words, 6))} of host {host}" for k in range(FURNITURE)
            ]
        body = [f"{line} [{number}]" for line in rng.sample(lines, rng.randint(5, 40))]
        text = "\n".join([*furniture[:6], "", *body, "", *furniture[6:]])
        yield f"https://host-{host}.example/{page}", text


def write_corpus(directory: Path, lines: list[str], count: int) -> float:
    """Writes the same pages as Arrow shards and as JSON; returns megabytes of text."""
    (directory / "documents").mkdir()
    size, pages = 0, list(make_pages(lines, count))
    with gzip.open(directory / "documents" / "all.jsonl.gz", "wt", compresslevel=1) as file:
        for number, (url, text) in enumerate(pages):
            file.write(json.dumps({"id": str(number), "text": text, "source": url}) + "\n")
            size += len(text.encode())
    for shard, start in enumerate(range(0, count, SHARD_DOCUMENTS)):
        part = pages[start : start + SHARD_DOCUMENTS]
        columns = {name: pa.nulls(len(part), DOCUMENT.field(name).type) for name in DOCUMENT.names}
        ids = pa.array([f"{start + k:032x}" for k in range(len(part))])
        columns |= {"doc_id": ids, "record_id": ids, "source": pa.array(["bench"] * len(part))}
        columns["url"] = pa.array([url for url, _ in part])
        columns["text"] = pa.array([text for _, text in part], pa.large_string())
        write_shard(directory / f"{shard:03}.arrow", pa.table(columns, schema=DOCUMENT))
    return size / 1e6


def ours(directory: Path, stage: LineDedup) -> int:
    """Keys, decision and new texts, as a run makes them; returns how many lines went."""
    shards = sorted(directory.glob("???.arrow"))
    with tempfile.TemporaryDirectory(dir=directory) as name:
        scratch, keys = Path(name), []
        for number, path in enumerate(shards):
            keys.append(KeyShard(number, scratch / f"{number}.arrow"))
            parts = [with_keys(stage, batch) for batch in batches(path)]
            rows = np.arange(sum(part.num_rows for part in parts), dtype=np.int32)
            write_shard(keys[-1].path, pa.Table.from_batches(parts).append_column("row", [rows]))
        answer = stage.decide(keys, MappedTexts(shards), Scratch(scratch, threads=1))
        gone = 0
        for number, path in enumerate(shards):
            mine = answer.filter(pa.compute.equal(answer["shard"], number))
            gone += sum(apply(stage, path, mine, scratch / "new.arrow"))
    return gone


def batches(path: Path) -> list[pa.RecordBatch]:
    return read_shard(path).to_batches(max_chunksize=512)


def with_keys(stage: LineDedup, batch: pa.RecordBatch) -> pa.RecordBatch:
    columns = {"doc_id": batch.column("doc_id"), **stage.keys()(batch)}
    return pa.RecordBatch.from_pydict(columns)


def apply(stage: LineDedup, path: Path, answer: pa.Table, new: Path) -> Iterator[int]:
    table = read_shard(path)
    places = np.full(table.num_rows, -1, np.int64)
    places[answer["row"].to_numpy()] = np.arange(answer.num_rows)
    spread = answer.take(pa.array(places, mask=places < 0)).combine_chunks()
    texts, start = [], 0
    for batch in batches(path):
        part = spread.slice(start, batch.num_rows).combine_chunks().to_batches()[0]
        columns = stage.apply(batch, part)
        texts.append(columns["text"])
        start += batch.num_rows
        yield int(pa.compute.sum(columns["line_dedup_cut_units"]).as_py())
    write_shard(new, pa.table({"text": pa.chunked_array(texts)}))


def plain(directory: Path, stage: LineDedup) -> int:
    """The same in plain Python: a dict from digest to count; returns how many lines went."""
    count: dict[bytes, int] = {}
    last: dict[bytes, int] = {}
    hosts: dict[str, int] = {}
    for number, host, text in plain_pages(directory):
        hosts[host] = hosts.get(host, 0) + 1
        for line in text.split("\n"):
            digest = plain_digest(host, line, stage.min_chars)
            if digest and last.get(digest) != number:
                count[digest], last[digest] = count.get(digest, 0) + 1, number
    kept: dict[bytes, int] = {}
    gone = 0
    for number, host, text in plain_pages(directory):
        least = max(stage.min_documents, stage.bounds.share * hosts[host])
        new = []
        for line in text.split("\n"):
            digest = plain_digest(host, line, stage.min_chars)
            often = digest is not None and count[digest] >= least
            if often and kept.setdefault(digest, number) != number:
                gone += 1
            else:
                new.append(line)
        assert "\n".join(new)
    return gone


def plain_pages(directory: Path) -> Iterator[tuple[int, str, str]]:
    number = 0
    for path in sorted(directory.glob("???.arrow")):
        for batch in batches(path):
            names = hosts(batch.column("url")).to_pylist()
            for host, text in zip(names, batch.column("text").to_pylist(), strict=True):
                yield number, host, text
                number += 1


def plain_digest(host: str, line: str, least: int) -> bytes | None:
    line = " ".join(line.split()).lower()
    if len(line) < least:
        return None
    return hashlib.blake2b(line.encode(), digest_size=16, person=host.encode()[:16]).digest()


def peak_megabytes() -> float:
    """Returns the largest resident memory since `forget_peak`, on Linux."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def forget_peak() -> float:
    """Makes the memory of now the peak, and returns it: a child inherits its parent's."""
    Path("/proc/self/clear_refs").write_text("5")
    return peak_megabytes()


def measure(way: str, directory: Path) -> None:
    """Runs one way and prints what it took, as JSON: the whole of a child process."""
    stage = LineDedup()
    if way == "ours":  # compiles
        batch = read_shard(directory / "000.arrow").slice(0, 400).to_batches()[0]
        write_shard(directory / "warm-up" / "000.arrow", pa.Table.from_batches([batch]))
        ours(directory / "warm-up", stage)
    before, start = resource.getrusage(resource.RUSAGE_SELF), forget_peak()
    gone = {"ours": ours, "plain": plain}[way](directory, stage)
    after = resource.getrusage(resource.RUSAGE_SELF)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    took = {"seconds": seconds, "megabytes": peak_megabytes() - start, "lines": gone}
    print(json.dumps(took))


def child(command: list[str]) -> dict[str, Any]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-3000:]}")
    took: dict[str, Any] = json.loads(done.stdout.strip().rpartition("\n")[2])
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("texts", type=Path, nargs="*", default=SAMPLE, help="JSON lines, gzip")
    parser.add_argument("--documents", type=int, default=50_000)
    parser.add_argument("--rival-python", help="interpreter of an environment with dolma")
    parser.add_argument("--measure", nargs=2, metavar=("WAY", "DIRECTORY"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(given.measure[0], Path(given.measure[1]))
        return
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "warm-up").mkdir()
        size = write_corpus(directory, read_lines(given.texts), given.documents)
        hosts = -(-given.documents // PAGES_PER_HOST)
        print(
            f"{given.documents:,} documents on {hosts:,} hosts, {size:.0f} MB of text; to go: ",
            end="",
        )
        print(f"{(given.documents - hosts) * FURNITURE:,} lines")
        ways = {
            way: [sys.executable, __file__, "--measure", way, name] for way in ("ours", "plain")
        }
        if given.rival_python:
            script = str(HERE / "rivals" / "dolma_lines.py")
            ways["dolma"] = [given.rival_python, script, name]
        first = 0.0
        for way, command in ways.items():
            took = child(command)
            first = first or took["seconds"]
            print(
                f"  {way:6} {took['seconds']:7.1f} CPU s {size / took['seconds']:7.1f} MB/s "
                f"{took['megabytes']:7.0f} MB, {took['lines']:,} lines; "
                f"ours is {took['seconds'] / first:.1f} x as fast"
            )


if __name__ == "__main__":
    main()
