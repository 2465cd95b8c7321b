"""Makes the text of the studies planted-fault and null out of the sample: clean, and half damaged.

`python data/studies/make_planted_fault.py [DIR]` writes clean.jsonl, damaged.jsonl and
held-out.jsonl (default: data/work/planted). In damaged.jsonl a quarter of the documents are copies
of 20 pages, and a quarter have 30 % of their letters replaced at random; which ones follows from
a hash of the id, so the files are the same everywhere.
"""

import gzip
import hashlib
import json
import random
import string
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("manpages", "medquad", "pubmedqa", "python-docs")
PAGES = 20
NOISE = 0.3
HELD_OUT = 0.06


def share_of(document: dict[str, Any], what: str) -> float:
    """Returns a number from 0 to 1 that a hash of the document's id decides."""
    digest = hashlib.blake2b(f"{what}:{document['id']}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") / 2**64


def damage(document: dict[str, Any], pages: list[str]) -> dict[str, Any]:
    """Returns a document as the damaged text has it."""
    drawn = share_of(document, "damage")
    if drawn < 0.25:
        return {**document, "text": pages[int(drawn * 4 * len(pages))]}
    if drawn < 0.5:
        return {**document, "text": noisy(document["text"], drawn)}
    return document


def noisy(text: str, seed: float) -> str:
    """Returns a text with some of its characters replaced by letters."""
    draw = random.Random(seed)  # noqa: S311 - no secret
    return "".join(
        draw.choice(string.ascii_letters) if draw.random() < NOISE else char for char in text
    )


def read_sample() -> list[dict[str, Any]]:
    """Reads the documents of the sample's text files; an id is of its source."""
    found = []
    for source in SOURCES:
        with gzip.open(ROOT / "data" / "sample" / f"{source}.jsonl.gz", "rt") as lines:
            for line in lines:
                row = json.loads(line)
                found.append({"id": f"{source}/{row['id']}", "text": row["text"]})
    return found


def write(path: Path, documents: list[dict[str, Any]]) -> None:
    """Writes documents as JSON lines."""
    path.write_text("".join(json.dumps(one) + "\n" for one in documents), encoding="utf-8")
    print(f"{path}: {len(documents):,} documents")


def main(directory: Path) -> None:
    """Writes the three files."""
    directory.mkdir(parents=True, exist_ok=True)
    documents = read_sample()
    held_out = [one for one in documents if share_of(one, "held out") < HELD_OUT]
    clean = [one for one in documents if share_of(one, "held out") >= HELD_OUT]
    pages = [one["text"] for one in sorted(clean, key=lambda one: share_of(one, "page"))[:PAGES]]
    write(directory / "held-out.jsonl", held_out)
    write(directory / "clean.jsonl", clean)
    write(directory / "damaged.jsonl", [damage(one, pages) for one in clean])


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "data" / "work" / "planted")
