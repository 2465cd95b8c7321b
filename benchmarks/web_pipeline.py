"""Web archive to deduplicated documents: ours, bare extraction, and datatrove, in one run.

    python benchmarks/web_pipeline.py --warc 'crawl/*.warc.gz' [--pages 5000] [--workers 2]
        [--rival-python VENV/bin/python] [--copies 5]

`Bare` is what no pipeline can be faster than while it extracts with resiliparse: read, decode and
extract, nothing else, in as many processes. The rival's environment:
`pip install 'datatrove[processing,io]==0.10.1' 'xxhash<4' spacy nltk`.
With --copies the archive is curated once more, repeated under other record ids, to compare memory.
"""

import argparse
import glob
import json
import re
import subprocess
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator
from multiprocessing import get_context
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
DEFAULT = HERE.parents[1] / "shared/data/web-warc/*.warc.gz"

RECIPE = """
name = "web-benchmark"
seed = 1

[[sources]]
name = "web"
kind = "warc"
paths = ["{files}"]

[[stages]]
kind = "extract"
[[stages]]
kind = "gopher_repetition"
[[stages]]
kind = "gopher_quality"
[[stages]]
kind = "c4_quality"
end_marks = []
[[stages]]
kind = "fineweb_quality"
[[stages]]
kind = "minhash_dedup"
threshold = 0.8
"""


class Took(NamedTuple):
    wall: float
    cpu: float
    kept: int
    memory: int = 0


def gzip_members(path: str) -> Iterator[bytes]:
    """Yields the records of an archive in which each is a gzip member, unpacked."""
    data, at = memoryview(Path(path).read_bytes()), 0
    while at < len(data):
        unpack, parts = zlib.decompressobj(31), []
        while at < len(data) and not unpack.eof:
            piece = data[at : at + (1 << 16)]
            parts.append(unpack.decompress(piece))
            at += len(piece) - len(unpack.unused_data)
        yield b"".join(parts)


def with_other_id(record: bytes, copy: int) -> bytes:
    """Returns a record under another id of its own."""
    return re.sub(
        rb"(WARC-Record-ID: <urn:uuid:[0-9a-f]{6})..", rb"\g<1>%02x" % copy, record, count=1
    )


def write_archives(pattern: str, pages: int, parts: int, copies: int, out: Path) -> int:
    """Writes the first pages in `parts` files, `copies` times with record ids of their own."""
    out.mkdir()
    files = [open(out / f"part-{part:02d}.warc.gz", "wb") for part in range(parts)]  # noqa: SIM115
    written = 0
    for path in sorted(glob.glob(pattern)):
        for record in gzip_members(path):
            if b"\r\nWARC-Type: response" not in record[:2000] or written == pages:
                continue
            for copy in range(copies):
                pack = zlib.compressobj(1, wbits=31)
                renamed = with_other_id(record, copy) if copy else record
                files[written % parts].write(pack.compress(renamed) + pack.flush())
            written += 1
    for file in files:
        file.close()
    return written


def timed(command: list[str]) -> tuple[float, str]:
    """Returns wall seconds, and what the command printed."""
    start = time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wall = time.perf_counter() - start
    if done.returncode:
        sys.exit(f"{command[0]} failed:\n{done.stderr[-3000:]}")
    return wall, done.stdout


def ours(archives: Path, out: Path, workers: int) -> Took:
    recipe = out.with_suffix(".toml")
    recipe.write_text(RECIPE.format(files=archives / "*.warc.gz"))
    command = [sys.executable, "-m", "flows.cli", "run", str(recipe), "--out", str(out)]
    wall, _ = timed([*command, "--workers", str(workers), "--no-prefect"])
    manifest = json.loads((out / "manifest.json").read_text())
    cpu = manifest["cpu_seconds"]
    return Took(wall, cpu, manifest["totals"]["documents_kept"], manifest["peak_rss_bytes"])


def start_up(out: Path) -> float:
    """Returns the seconds of a run over nothing to do: interpreter, imports, kernels."""
    recipe = out.with_suffix(".toml")
    (out.parent / "one.warc.gz").write_bytes(b"")
    recipe.write_text(RECIPE.format(files=out.parent / "one.warc.gz"))
    command = [sys.executable, "-m", "flows.cli", "run", str(recipe), "--out", str(out)]
    return timed([*command, "--no-prefect"])[0]


def extract_file(path: str) -> int:
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    characters = 0
    with open(path, "rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            page = record.reader.read()
            html = bytes_to_str(page, detect_encoding(page))
            text = extract_plain_text(html, main_content=True, alt_texts=False, links=False)
            characters += len(text)
    return characters


def bare(archives: Path, workers: int) -> Took:
    files = sorted(str(path) for path in archives.glob("*.warc.gz"))
    with get_context("spawn").Pool(workers) as pool:
        pool.map(abs, range(workers))  # started, so that what follows is work alone
        start = time.perf_counter()
        pool.map(extract_file, files, chunksize=1)
        wall = time.perf_counter() - start
    return Took(wall, 0.0, 0)


def rival(python: str, archives: Path, out: Path, workers: int) -> Took:
    script = str(HERE / "rivals" / "datatrove_web.py")
    wall, said = timed([python, script, str(archives), str(out), str(workers)])
    return Took(wall, 0.0, int(said.rpartition("kept ")[2]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--warc", default=str(DEFAULT), help="archives, gzip member per record")
    parser.add_argument("--pages", type=int, default=5000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--copies", type=int, default=0)
    parser.add_argument("--rival-python", help="interpreter of an environment with datatrove")
    given = parser.parse_args()
    if not glob.glob(given.warc):
        print(f"no archive at {given.warc}; give --warc")
        return
    with tempfile.TemporaryDirectory() as name:
        compare(given, Path(name))


def compare(given: argparse.Namespace, scratch: Path) -> None:
    archives = scratch / "archives"
    # More files than workers, so that a rival that takes whole files can share the work.
    pages = write_archives(given.warc, given.pages, 4 * given.workers, 1, archives)
    print(f"{pages:,} pages, {given.workers} workers", flush=True)
    floor = bare(archives, given.workers)
    print(f"  bare extraction {floor.wall:8.1f} s")
    mine = ours(archives, scratch / "ours", given.workers)
    started = start_up(scratch / "nothing")
    work = mine.wall - started
    print(
        f"  ours            {mine.wall:8.1f} s  {mine.cpu:8.1f} CPU s, kept {mine.kept:,}; "
        f"start-up {started:.1f} s, without it {work / floor.wall:.2f} x bare extraction; "
        f"{mine.memory / 1e6:.0f} MB for the largest worker"
    )
    if given.rival_python:
        other = rival(given.rival_python, archives, scratch / "rival", given.workers)
        print(f"  datatrove       {other.wall:8.1f} s, kept {other.kept:,}")
        print(f"  ours is {other.wall / mine.wall:.1f} x as fast as datatrove")
    if given.copies:
        more = scratch / "copies"
        write_archives(given.warc, given.pages, 4 * given.workers, given.copies, more)
        large = ours(more, scratch / "large", given.workers)
        print(
            f"  {given.copies} times the pages: {large.wall:.1f} s, kept {large.kept:,}, "
            f"{large.memory / 1e6:.0f} MB, {large.memory / mine.memory:.2f} x the memory"
        )


if __name__ == "__main__":
    main()
