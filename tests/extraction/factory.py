"""Small sites whose main text is known: pages with a menu, an article and a footer."""

import gzip
import json
from pathlib import Path
from typing import Any

from tests.sources.factory import http, warc

WORDS = (
    *("river", "stone", "cloud", "morning", "paper", "harbour"),
    *("signal", "garden", "winter", "engine", "letter", "market"),
)


def sentence(seed: int, words: int = 14) -> str:
    """A sentence that no other seed gives."""
    chosen = (WORDS[(seed * 7 + k * (seed % 5 + 1)) % len(WORDS)] for k in range(words))
    return f"Number {seed} says {' '.join(chosen)} and then it stops."


def paragraphs(seed: int, count: int = 4) -> list[str]:
    return [sentence(100 * seed + k) for k in range(count)]


def html(seed: int) -> str:
    """A page of its own: the main text is in an article, around it stands what is not."""
    body = "".join(f"<p>{text}</p>" for text in paragraphs(seed))
    menu = "".join(f'<li><a href="/{k}">{word}</a></li>' for k, word in enumerate(WORDS[:6]))
    return (
        f"<html><head><title>Page {seed}</title></head><body>"
        f'<div class="menu"><ul>{menu}</ul></div>'
        f'<div class="content"><h1>Title {seed}</h1>{body}</div>'
        f'<div class="footer"><a href="/about">About us</a> <a href="/terms">Terms</a></div>'
        "</body></html>"
    )


def main_text_of(seed: int) -> str:
    return "\n".join([f"Title {seed}", *paragraphs(seed)])


def write_archive(path: Path, seeds: range) -> None:
    """An archive with the pages of some seeds, three to a site."""
    records = [
        warc(
            http(html(seed).encode()),
            number=seed,
            WARC_Target_URI=f"https://www.site{seed // 3}.org/{seed}",
        )
        for seed in seeds
    ]
    path.write_bytes(b"".join(gzip.compress(record, mtime=0) for record in records))


def write_gold(
    directory: Path, name: str, seeds: range, rows: list[dict[str, Any]] | None = None
) -> Path:
    """A set of pages with their whole main texts, or with the given lines; returns its path."""
    write_archive(directory / f"{name}.warc.gz", seeds)
    if rows is None:
        rows = [{"articleBody": main_text_of(seed), "licence": "CC0-1.0"} for seed in seeds]
    path = directory / f"{name}.gold.jsonl"
    with path.open("w", encoding="utf-8") as file:
        for seed, row in zip(seeds, rows, strict=True):
            url = f"https://www.site{seed // 3}.org/{seed}"
            named = {"record_id": f"<urn:uuid:{seed}>", "url": url}
            file.write(json.dumps(named | row, ensure_ascii=False) + "\n")
    return path
