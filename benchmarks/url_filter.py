"""The URL filter on one core, beside the usual Python, with lists of a million entries.

    python benchmarks/url_filter.py [--urls 200000] [--entries 1000000] [--rounds N] [--datatrove]

"usual Python" does what datatrove's filter does, with sets of strings: registered domain from the
Public Suffix List, host, and URL looked up, tokens compared with banned words, substrings one after
the other. `--datatrove` runs that filter itself, where it is installed, on the same lists.
"""

import argparse
import re
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import publicsuffixlist
import pyarrow as pa

from curation.stages.url_filter import UrlFilter

STRICT, HARD, SOFT = ["porn", "xxx"], ["casino", "poker", "viagra"], ["bet", "win", "free"]


def make_urls(count, seed=0):
    """URLs of 60 bytes on average; one of ten is on a listed domain."""
    rng = np.random.default_rng(seed)
    paths = ["news/2024/05", "a/Long-Path/to/some_page", "free-win/article", "", "blog/Entry.html"]
    tops = ["com", "co.uk", "org", "de", "github.io"]
    return [
        f"https://www.site{rng.integers(10 * count)}.{tops[k % 5]}/{paths[k % 5]}?id={k}"
        if k % 10
        else f"http://sub.listed{rng.integers(1000)}.com/{paths[k // 10 % 5]}"
        for k in range(count)
    ]


def write_lists(folder, entries):
    texts = {
        "domains": [f"listed{k}.com" for k in range(entries)],
        "strict": STRICT,
        "hard": HARD,
        "soft": SOFT,
    }
    for name, lines in texts.items():
        (folder / name).write_text("\n".join(lines) + "\n")
    return set(texts["domains"])


def usual_python(urls, domains):
    suffixes = publicsuffixlist.PublicSuffixList()
    verdicts = []
    for url in urls:
        host = urlsplit(url).hostname
        tokens = set(re.sub(r"[^a-zA-Z0-9]+", " ", url.lower()).split(" "))
        joined = re.sub(r"[^a-zA-Z0-9]+", "", url.lower())
        verdicts.append(
            suffixes.privatesuffix(host) in domains
            or host in domains
            or url in domains
            or any(word in tokens for word in HARD)
            or sum(word in tokens for word in SOFT) >= 2
            or any(word in joined for word in STRICT)
        )
    return verdicts


def ours(score, batch, rules):
    columns = score(batch)
    broken = np.zeros(batch.num_rows, bool)
    for rule in rules:
        values = columns[rule.column].fill_null(0).to_numpy(zero_copy_only=False)
        broken |= values > rule.high
    return broken.tolist()


def datatrove(domains):
    from datatrove.data import Document
    from datatrove.pipeline.filters import URLFilter

    url_filter = URLFilter(
        extra_domains=domains,
        banned_words=HARD,
        banned_subwords=STRICT,
        soft_banned_words=SOFT,
        use_integrated_lists=False,
    )

    def run(urls):
        documents = [Document(text="", id="", metadata={"url": url}) for url in urls]
        return [url_filter.filter(document) is not True for document in documents]

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--urls", type=int, default=200_000)
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--datatrove", action="store_true")
    options = parser.parse_args()
    urls = make_urls(options.urls)
    some = urls[: max(1, options.urls // 20)]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        domains = write_lists(folder, options.entries)
        start = time.process_time()
        stage = UrlFilter(
            kind="url_filter",
            block=(str(folder / "domains"),),
            strict_words=(str(folder / "strict"),),
            hard_words=(str(folder / "hard"),),
            soft_words=(str(folder / "soft"),),
            strict_definition="datatrove",
        )
        score = stage.open()
        print(f"{options.entries:,} entries read in {time.process_time() - start:.1f} s")
    batch = pa.RecordBatch.from_pydict({"url": urls})
    rivals = {
        "usual Python": (some, lambda: usual_python(some, domains)),
        "stage": (urls, lambda: ours(score, batch, stage.rules())),
    }
    if options.datatrove:
        judge = datatrove(domains)
        rivals["datatrove"] = (some, lambda: judge(some))
    best, answers = dict.fromkeys(rivals, float("inf")), {}
    for _ in range(options.rounds):  # in turn, so that all meet the same noise of the machine
        for name, (_, run) in rivals.items():
            start = time.process_time()
            answers[name] = run()
            best[name] = min(best[name], time.process_time() - start)
    for name, answer in answers.items():
        differing = sum(a != b for a, b in zip(answer, answers["stage"], strict=False))
        speed = len(rivals[name][0]) / best[name]
        ratio = speed / (len(some) / best["usual Python"])
        print(
            f"{name:14} {speed:10,.0f} URLs/s {ratio:7.1f} x; other verdicts than ours: {differing}"
        )


if __name__ == "__main__":
    main()
