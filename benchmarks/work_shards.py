"""What compression of work shards costs and saves: write, scan one column, fetch random texts.

    python benchmarks/work_shards.py [--copies 10]

The texts are the domain files of the sample, so many copies of them; batches of 512 rows keep the
copies out of each other's compression window. CPU seconds, best of 3, files in the page cache.
"""

import argparse
import gzip
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

SAMPLE = Path(__file__).parents[1] / "data" / "sample"
FETCH = 200


def texts(copies: int) -> pa.Table:
    """Returns a table with one column `text`."""
    rows = []
    for path in sorted(SAMPLE.glob("*.jsonl.gz")):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            rows.extend(json.loads(line)["text"] for line in file)
    return pa.table({"text": pa.array(rows * copies, pa.large_string())})


def write(table: pa.Table, path: Path, compression: str | None) -> None:
    options = pa.ipc.IpcWriteOptions(compression=compression, use_threads=False)
    with (
        pa.OSFile(str(path), "wb") as sink,
        pa.ipc.new_file(sink, table.schema, options=options) as file,
    ):
        file.write_table(table, max_chunksize=512)


def read(path: Path) -> pa.Table:
    return pa.ipc.open_file(pa.memory_map(str(path))).read_all()


def cpu_seconds(work: Callable[[], object]) -> float:
    """Returns the least CPU seconds of three calls."""
    seconds = []
    for _ in range(3):
        start = time.process_time()
        work()
        seconds.append(time.process_time() - start)
    return min(seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--copies", type=int, default=10)
    table = texts(parser.parse_args().copies)
    some = pa.array(np.random.default_rng(0).choice(table.num_rows, FETCH, replace=False))
    size = pc.sum(pc.binary_length(table["text"])).as_py()
    print(f"{table.num_rows:,} texts, {size / 1e6:.1f} MB")
    print(f"{'':6}{'MB':>8}{'write s':>10}{'scan s':>10}{f'fetch {FETCH} s':>14}")
    with tempfile.TemporaryDirectory() as directory:
        for compression in (None, "lz4", "zstd"):
            path = Path(directory) / str(compression)
            written = cpu_seconds(lambda p=path, c=compression: write(table, p, c))
            scanned = cpu_seconds(lambda p=path: pc.binary_length(read(p)["text"]))
            fetched = cpu_seconds(lambda p=path: read(p)["text"].take(some))
            mb = path.stat().st_size / 1e6
            print(
                f"{compression or 'none':6}{mb:8.1f}{written:10.3f}{scanned:10.4f}{fetched:14.4f}"
            )


if __name__ == "__main__":
    main()
