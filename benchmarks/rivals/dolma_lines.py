"""dolma's Bloom filter over paragraphs (lines, by its default); runs in an environment of its own.

    python dolma_lines.py DIRECTORY

Only its Rust part is loaded, so `pip install --no-deps dolma` is enough. Reads
DIRECTORY/documents/*.jsonl.gz, writes DIRECTORY/attributes/lines/, prints what it took as JSON.
"""

import gzip
import importlib.machinery
import importlib.util
import json
import resource
import sys
from pathlib import Path


def rust_part():
    package = Path(importlib.util.find_spec("dolma").submodule_search_locations[0])
    path = next(package.glob("dolma*.so"))
    loader = importlib.machinery.ExtensionFileLoader("dolma.dolma", str(path))
    module = importlib.util.module_from_spec(
        importlib.util.spec_from_file_location("dolma.dolma", path, loader=loader)
    )
    loader.exec_module(module)
    return module


def peak_megabytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) / 1024


def main() -> None:
    directory = Path(sys.argv[1])
    lines = 0
    for path in (directory / "documents").glob("*.gz"):
        with gzip.open(path, "rt") as file:
            lines += sum(json.loads(row)["text"].count("\n") + 1 for row in file)
    config = {
        "documents": [f"{directory}/documents/*.gz"],
        "work_dir": {"input": f"{directory}/work-in", "output": f"{directory}/work-out"},
        "dedupe": {
            "name": "lines",
            "paragraphs": {"attribute_name": "repeated", "paragraph_separator": "\n"},
            "skip_empty": True,
            "min_length": 20,
            "min_words": 0,
            "num_partitions": 1,
            "partition_index": 0,
            "file_partition": False,
            "document_dir": "documents",
        },
        "bloom_filter": {
            "file": f"{directory}/bloom.bin",
            "size_in_bytes": 0,
            "read_only": False,
            "estimated_doc_count": lines,
            "desired_false_positive_rate": 1e-4,
        },
        "processes": 1,
        "compression": {"input": None, "output": None},
        "is_s3_volume": False,
    }
    for name in ("work-in", "work-out"):
        (directory / name).mkdir(exist_ok=True)
    Path("/proc/self/clear_refs").write_text("5")  # the peak is that of now
    before, start = resource.getrusage(resource.RUSAGE_SELF), peak_megabytes()
    rust_part().deduper_entrypoint(json.dumps(config))
    after = resource.getrusage(resource.RUSAGE_SELF)
    memory, marked = peak_megabytes() - start, 0
    for path in (directory / "attributes" / "lines").glob("*.gz"):
        with gzip.open(path, "rt") as file:
            marked += sum(len(json.loads(row)["attributes"]["repeated"]) for row in file)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    print(json.dumps({"seconds": seconds, "megabytes": memory, "lines": marked}))


if __name__ == "__main__":
    main()
