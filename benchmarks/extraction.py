"""Main texts of pages: our engine beside resiliparse and trafilatura, on the same pages, one core.

    python benchmarks/extraction.py [--pages N] [--slow-pages N] [ARCHIVE.warc.gz ...]

Pages are read and decoded first; what is timed is from decoded page to main text, ours in batches
of 512 as in a run, with and without what pages state about themselves. CPU seconds, best of some
rounds; trafilatura (the extra `precise`), some thirty times slower, gets every so many pages. The
last line is the time from a new process to its first text.
"""

import argparse
import subprocess
import sys
import time
from collections import Counter
from functools import partial
from pathlib import Path

SAMPLE = Path(__file__).parents[1] / "data" / "sample" / "web.warc.gz"
BATCH = 512
START = """
import time, pyarrow as pa
from curation.buffers import text_buffers
from curation.html.pages import Extractor, load_knowledge
page = pa.array(["<p>The mill stood idle until the first frost.</p>"], pa.large_string())
Extractor(load_knowledge())(*text_buffers(page))
"""


def read_pages(paths, limit):
    from curation.source import read_batches
    from curation.sources.warc import WarcSource

    source = WarcSource(kind="warc", name="pages", paths=tuple(map(str, paths)))
    pages = []
    for shard in source.shards(source.files(Path.cwd())):
        for batch in read_batches(source, shard, Counter()):
            texts, kinds = (batch.column(name).to_pylist() for name in ("text", "media_type"))
            rows = zip(texts, kinds, strict=True)
            pages += [text for text, kind in rows if text and "html" in (kind or "")]
            if limit and len(pages) >= limit:
                return pages[:limit]
    return pages


def best_seconds(run, rounds):
    best = float("inf")
    for _ in range(rounds):
        start = time.process_time()
        run()
        best = min(best, time.process_time() - start)
    return best


def measure(pages, slow_pages, rounds):
    """Yields name, pages and CPU seconds of each engine."""
    import pyarrow as pa

    from curation.engines import BlocksEngine
    from curation.extraction.others import known_engines, texts_of
    from curation.html.pages import Extractor, load_knowledge

    parts = [pages[at : at + BATCH] for at in range(0, len(pages), BATCH)]
    batches = [(pa.array(part, pa.large_string()), pa.nulls(len(part))) for part in parts]
    knowledge = load_knowledge()
    for name, settings in (
        ("blocks", {}),
        ("blocks, with what pages state", {"metadata": True}),
        ("blocks, Markdown with links", {"markdown": True, "links": True}),
    ):
        engine = BlocksEngine(Extractor(knowledge, **settings))
        engine(*(column[:1] for column in batches[0]))
        yield name, pages, best_seconds(partial(starmap_all, engine, batches), rounds)
    for name in reversed(known_engines()):
        slow = name == "trafilatura"
        some = pages[:: max(1, len(pages) // slow_pages)] if slow else pages
        texts_of(name, some[:1])
        yield name, some, best_seconds(partial(texts_of, name, some), 1 if slow else rounds)


def starmap_all(function, arguments):
    for argument in arguments:
        function(*argument)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("paths", nargs="*", default=[SAMPLE])
    parser.add_argument("--pages", type=int, default=0, help="at most; 0 for all")
    parser.add_argument("--slow-pages", type=int, default=200, help="for trafilatura")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    pages = read_pages(options.paths, options.pages)
    print(f"{len(pages):,} pages, {size(pages):.1f} MB of HTML")
    speeds = {}
    for name, some, seconds in measure(pages, options.slow_pages, options.rounds):
        speeds[name] = size(some) / seconds
        ratio = f"{speeds['blocks'] / speeds[name]:6.1f}x" if name != "blocks" else ""
        print(f"{name:32} {speeds[name]:8.1f} MB/s {len(some) / seconds:8.0f} pages/s {ratio}")
    subprocess.run([sys.executable, "-c", START], check=True)
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", START], check=True)
    print(f"start-up: first text after {time.perf_counter() - start:.2f} s")


def size(pages):
    return sum(len(page.encode("utf-8", "replace")) for page in pages) / 1e6


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main()
