"""Runs a global stage as the runner does: keys shard by shard into files, then one decision."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.ranges import split_hashes, write_hashes
from curation.schema import DECISION, DOCUMENT
from curation.shards import write_shard
from curation.stage import GlobalStage, KeyShard, Part, Scratch


def document(doc_id, text, *, created=None, file="a.jsonl", offset=0):
    """A DOCUMENT row; `created` is a year."""
    return {
        "doc_id": doc_id,
        "record_id": doc_id,
        "source": "test",
        "text": text,
        "created": created and datetime(created, 1, 1, tzinfo=UTC),
        "origin": {"file": file, "offset": offset, "length": 1},
    }


class FakeTexts:
    """The texts of some shards in memory."""

    def __init__(self, shards: Sequence[pa.RecordBatch]) -> None:
        self._texts = [shard.column("text") for shard in shards]

    def take(self, shard: int, rows: np.ndarray) -> pa.LargeStringArray:
        assert rows.dtype == np.int64
        return self._texts[shard].take(pa.array(rows))


def write_keys(stage: GlobalStage, shard: pa.RecordBatch, path: Path, batch_rows: int = 3) -> None:
    """Writes the key file of a shard, in several batches."""
    make = stage.keys()
    batches = []
    for start in range(0, shard.num_rows, batch_rows):
        part = shard.slice(start, batch_rows)
        rows = np.flatnonzero(part.column("text").is_valid().to_numpy(zero_copy_only=False))
        found = part.take(pa.array(rows))
        columns = {"row": pa.array((rows + start).astype(np.int32)), "doc_id": found["doc_id"]}
        made = {k: v if isinstance(v, pa.Array) else pa.array(v) for k, v in make(found).items()}
        batches.append(pa.RecordBatch.from_pydict(columns | made))
    table = pa.Table.from_batches(batches)
    if stage.hashed is not None:
        table, hashes = split_hashes(table, stage.hashed)
        write_hashes(path.with_suffix(".hashes"), hashes)
    with pa.ipc.new_file(path, table.schema) as writer:
        writer.write_table(table)


def decide(
    stage: GlobalStage, shards: Sequence[Sequence[dict]], directory: Path, *, parts=None, **scratch
):
    """Returns the DECISION rows of documents on shards, with the doc_id of each added.

    With `parts` the hashes are grouped in so many ranges, each by itself, before the decision.
    """
    directory.mkdir(parents=True, exist_ok=True)
    batches = [pa.RecordBatch.from_pylist(list(rows), schema=DOCUMENT) for rows in shards]
    keys = []
    for number, batch in enumerate(batches):
        if batch.num_rows:
            path = directory / f"keys-{number}.arrow"
            hashes = None if stage.hashed is None else path.with_suffix(".hashes")
            keys.append(KeyShard(number, path, hashes))
            write_keys(stage, batch, keys[-1].path)
    room = directory / "scratch"
    room.mkdir(exist_ok=True)
    groups = [directory / f"group-{part}.arrow" for part in range(parts or 0)]
    for part, path in enumerate(groups):
        write_shard(path, stage.group(keys, Part(part, len(groups)), Scratch(room, **scratch)))
    answer = stage.decide(keys, FakeTexts(batches), Scratch(room, groups=tuple(groups), **scratch))
    assert pa.schema(list(answer.schema)[: len(DECISION)]) == DECISION
    assert not list(room.iterdir()), "the stage left files behind"
    rows = answer.to_pylist()
    for row in rows:
        row["doc_id"] = batches[row["shard"]].column("doc_id")[row["row"]].as_py()
    return rows


def kept_ids(shards, rows) -> list[str]:
    """Returns the doc_ids that stay, sorted."""
    rejected = {row["doc_id"] for row in rows if row["rejected"]}
    return sorted({doc["doc_id"] for shard in shards for doc in shard} - rejected)


def dealt(documents: Sequence[dict], shards: int, seed: int) -> list[list[dict]]:
    """Deals documents onto shards at random."""
    rng = np.random.default_rng(seed)
    dealt: list[list[dict]] = [[] for _ in range(shards)]
    for index in rng.permutation(len(documents)):
        dealt[rng.integers(shards)].append(documents[index])
    return dealt


def answer_of(rows):
    """Who goes, for whom and how similar; and the cluster of each document in one."""
    gone = {row["doc_id"]: (row["other_id"], row["similarity"]) for row in rows if row["rejected"]}
    return gone, {row["doc_id"]: row["cluster"] for row in rows}


def naive_answer(
    documents: Sequence[dict],
    item_of: Callable[[dict], Any],
    similarity: Callable[[Any, Any], float],
    threshold: float,
):
    """The rule of near-duplicates, all pairs compared: what `answer_of` should be.

    The longest, oldest, smallest doc_id comes first; documents without an item take no part.
    """
    ranked = sorted(
        documents,
        key=lambda d: (-len(d["text"]), d["created"] is None, d["created"] or 0, d["doc_id"]),
    )
    kept, gone, links = [], {}, {d["doc_id"]: {d["doc_id"]} for d in documents}
    for doc in ranked:
        own = item_of(doc)
        if not own:
            continue
        compared = [(similarity(own, other), -k, name) for k, (name, other) in enumerate(kept)]
        near = [pair for pair in compared if pair[0] >= threshold]
        for _, _, name in near:
            joined = links[name] | links[doc["doc_id"]]
            for member in joined:
                links[member] = joined
        if near:
            gone[doc["doc_id"]] = (max(near)[2], max(near)[0])
        else:
            kept.append((doc["doc_id"], own))
    clusters = {name: min(joined) for name, joined in links.items() if len(joined) > 1}
    return gone, clusters
