"""Datasets as the pipeline writes them, made in a moment, and jobs that train in two steps."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from curation.job import Job, parse_job
from curation.manifest import Manifest, ShardEntry, SourceCount, write_json
from curation.schema import DOCUMENT, make_doc_id, score
from curation.shards import write_shard

SCHEMA = DOCUMENT.append(score("gopher_words", pa.int64(), "Words.", unit="words", low=0))
WORDS = ("data", "model", "what", "reads", "and", "more", "knows", "it", "of", "a", "the", "is")

Texts = Sequence[str | None]


def sentences(count: int, words: int = 40) -> list[str]:
    """Returns different documents of a small language."""
    return [
        f"Document {number}: "
        + " ".join(WORDS[(number * 7 + at * (number % 5 + 1)) % len(WORDS)] for at in range(words))
        + ".\n"
        for number in range(count)
    ]


def write_dataset(
    directory: Path,
    train: Texts,
    held_out: Texts = (),
    *,
    shards: int = 2,
    **manifest: Any,
) -> Path:
    """Writes a dataset directory with its manifest, and returns it."""
    entries = []
    for split, texts in (("train", train), ("eval", held_out)):
        for number in range(shards if texts else 0):
            path = f"shards/{split}-{number:05d}-of-{shards:05d}.arrow"
            rows = [_row(split, at, text) for at, text in enumerate(texts)][number::shards]
            (directory / "shards").mkdir(parents=True, exist_ok=True)
            record = write_shard(directory / path, pa.Table.from_pylist(rows, schema=SCHEMA))
            entries.append(
                ShardEntry(
                    path=path,
                    split=split,
                    documents=record.rows,
                    bytes=record.bytes,
                    sha256=record.sha256,
                )
            )
    values: dict[str, Any] = {
        "name": "small-language",
        "version": "1",
        "fingerprint": "f" * 64,
        "recipe": {"name": "small-language", "stages": [{"kind": "split"}]},
        "package_version": "0.1.0",
        "sources": {"web": SourceCount(documents_in=len(train) + len(held_out))},
        **manifest,
    }
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / "manifest.json", Manifest(**values, shards=entries))
    return directory


def _row(split: str, number: int, text: str | None) -> dict[str, Any]:
    record_id = f"{split}-{number}"
    return {
        "doc_id": make_doc_id("web", record_id),
        "record_id": record_id,
        "source": "web" if number % 2 else "books",
        "text": text,
        "license": "CC0-1.0" if number % 3 else None,
        "gopher_words": 1,
    }


def micro_job(**tables: Any) -> Job:
    """Returns a job of the smallest model that trains in a moment; tables replace settings."""
    raw: dict[str, Any] = {
        "name": "micro",
        "seed": 3,
        "data": {"token_budget": 256, "sequence_length": 32},
        "tokenizer": {"vocab_size": 300},
        "model": {"depth": 1, "width": 32},
        "training": {"batch_size": 4},
    }
    for name, value in tables.items():
        both = isinstance(value, dict) and isinstance(raw[name], dict)
        raw[name] = {**raw[name], **value} if both else value
    return parse_job(raw)
