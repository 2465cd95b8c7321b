"""datatrove's way from WARC files to deduplicated documents; runs in an environment of its own.

    python datatrove_web.py WARC_DIRECTORY OUT WORKERS

Trafilatura, the filters of Gopher (both), C4 (without the rule on punctuation, as FineWeb has it)
and FineWeb, then MinHash with 14 bands of 8 rows. No language model: it would have to be fetched.
"""

import sys
from pathlib import Path

from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.dedup import (
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.pipeline.extractors import Trafilatura
from datatrove.pipeline.filters import (
    C4QualityFilter,
    FineWebQualityFilter,
    GopherQualityFilter,
    GopherRepetitionFilter,
)
from datatrove.pipeline.readers import JsonlReader, WarcReader
from datatrove.pipeline.writers.jsonl import JsonlWriter
from datatrove.utils.hashing import HashConfig


def main() -> None:
    source, out, workers = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    config = MinhashConfig(
        hash_config=HashConfig(precision=64), num_buckets=14, hashes_per_bucket=8, n_grams=5
    )
    files = len(list(Path(source).glob("*.warc.gz")))

    def run(step: str, tasks: int, *blocks: object) -> None:
        LocalPipelineExecutor(
            pipeline=list(blocks),
            tasks=tasks,
            workers=min(workers, tasks),
            logging_dir=str(out / "logs" / step),
            skip_completed=False,
        ).run()

    def path(name: str) -> str:
        return str(out / name)

    run(
        "filter",
        files,
        WarcReader(source, glob_pattern="*.warc.gz"),
        Trafilatura(favour_precision=True, timeout=10),
        GopherRepetitionFilter(),
        GopherQualityFilter(),
        C4QualityFilter(filter_no_terminal_punct=False),
        FineWebQualityFilter(),
        JsonlWriter(path("filtered"), compression=None),
    )
    read = JsonlReader(path("filtered"))
    run("sign", files, read, MinhashDedupSignature(path("signatures"), config=config))
    run("buckets", 14, MinhashDedupBuckets(path("signatures"), path("buckets"), config=config))
    run("cluster", 1, MinhashDedupCluster(path("buckets"), path("remove"), config=config))
    keep = MinhashDedupFilter(path("remove"))
    run("write", files, read, keep, JsonlWriter(path("kept"), compression=None))
    kept = sum(len(file.read_bytes().splitlines()) for file in (out / "kept").glob("*.jsonl"))
    print(f"kept {kept}")


if __name__ == "__main__":
    main()
