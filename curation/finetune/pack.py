"""Documents packed into token shards, with a map back from every token to its document.

The packed corpus is one stream: boundary, tokens of a document, boundary, tokens of the next. It
lies in `tokens-*.npy` files (uint16 where the vocabulary allows, else uint32) that are mapped into
memory, and is read as sequences of a fixed length. Nothing is padded and nothing is cropped but
the last incomplete sequence. `documents.arrow` (schema TOKENS) says where each document begins.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import torch
from torch.utils.data import Dataset

from curation.finetune.corpus import Document
from curation.finetune.tokenizer import TextTokenizer, encode_documents
from curation.shards import read_shard, write_shard

SHARD_TOKENS = 1 << 24
"""Tokens of a file but the last: 32 or 64 MB."""

IGNORED = -100
"""The label that transformers leaves out of the loss."""

TOKENS = pa.schema(
    [
        pa.field("doc_id", pa.string(), nullable=False),
        pa.field("start", pa.int64(), nullable=False),  # offset in the stream, of its boundary
        pa.field("tokens", pa.int64(), nullable=False),  # boundaries included
        pa.field("text_bytes", pa.int64(), nullable=False),  # UTF-8, of what the tokens spell
    ]
)
"""The map of a token stream, in its order; a budget may end inside the last document."""


class TokenStream:
    """A packed corpus on disk."""

    def __init__(self, directory: Path) -> None:
        """Maps what `pack` wrote into `directory`."""
        files = sorted(directory.glob("tokens-*.npy"))
        self._shards = [np.load(file, mmap_mode="r") for file in files]
        self._offsets = np.cumsum([0, *(len(shard) for shard in self._shards)])
        self.map = read_shard(directory / "documents.arrow")
        """Table of schema TOKENS."""
        self._starts = self.map.column("start").to_numpy()

    def __len__(self) -> int:
        return int(self._offsets[-1])

    def read(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Returns int64[stop - start], tokens of a range of the stream."""
        first = int(np.searchsorted(self._offsets, start, side="right")) - 1
        parts = []
        for shard, offset in zip(self._shards[first:], self._offsets[first:], strict=False):
            if offset >= stop:
                break
            parts.append(shard[max(0, start - offset) : stop - offset].astype(np.int64))
        return np.concatenate(parts)

    def positions(self, start: int, stop: int) -> npt.NDArray[np.int64]:
        """Returns int64[stop - start]: each token's distance from its document's boundary.

        A document that began before `start` counts from `start`.
        """
        at = np.arange(start, stop)
        begins = self._starts[np.searchsorted(self._starts, at, side="right") - 1]
        positions: npt.NDArray[np.int64] = at - np.maximum(begins, start)
        return positions

    def documents(self, start: int, stop: int) -> list[str]:
        """Returns the ids of the documents that have tokens in a range, in order."""
        first = int(np.searchsorted(self._starts, start, side="right")) - 1
        last = int(np.searchsorted(self._starts, stop, side="left"))
        ids: list[str] = self.map.column("doc_id").slice(first, last - first).to_pylist()
        return ids


class _Writer:
    """Collects tokens and writes them in files of equal length."""

    def __init__(self, directory: Path, dtype: type[np.unsignedinteger]) -> None:
        self._directory, self._dtype = directory, dtype
        self._waiting: list[npt.NDArray[np.unsignedinteger]] = []
        self._waiting_tokens = 0
        self._files = 0
        self.tokens = 0

    def write(self, ids: list[int]) -> None:
        self._waiting.append(np.asarray(ids, dtype=self._dtype))
        self._waiting_tokens += len(ids)
        self.tokens += len(ids)
        while self._waiting_tokens >= SHARD_TOKENS:
            self.flush()

    def flush(self) -> None:
        if not self._waiting_tokens:
            return
        tokens = np.concatenate(self._waiting)
        whole, rest = tokens[:SHARD_TOKENS], tokens[SHARD_TOKENS:]
        np.save(self._directory / f"tokens-{self._files:05d}.npy", whole)
        self._files += 1
        self._waiting, self._waiting_tokens = [rest], len(rest)


def pack(
    tokenizer: TextTokenizer,
    documents: Iterable[Document],
    directory: Path,
    limit: int | None = None,
) -> TokenStream:
    """Encodes documents into a stream of tokens on disk.

    Args:
        tokenizer: The tokenizer.
        documents: In the order of the stream.
        directory: Where the files go; made here.
        limit: Ends the stream after exactly so many tokens; None: after the last document.
    """
    directory.mkdir(parents=True)
    writer = _Writer(directory, np.uint16 if tokenizer.size <= 1 << 16 else np.uint32)
    columns: dict[str, list[str | int]] = {name: [] for name in TOKENS.names}
    after = [] if tokenizer.end is None else [tokenizer.end]
    for document, ids in encode_documents(tokenizer, documents):
        room = None if limit is None else limit - writer.tokens
        kept = [tokenizer.begin, *ids, *after][:room]
        columns["doc_id"].append(document.doc_id)
        columns["start"].append(writer.tokens)
        columns["tokens"].append(len(kept))
        whole = len(kept) == 1 + len(ids) + len(after)
        columns["text_bytes"].append(
            document.text_bytes if whole else len(tokenizer.decode(kept[1:]).encode())
        )
        writer.write(kept)
        if room is not None and room <= len(kept):
            break
    writer.flush()
    write_shard(directory / "documents.arrow", pa.table(columns, schema=TOKENS))
    return TokenStream(directory)


class Plan(NamedTuple):
    """Which sequence is read when."""

    order: npt.NDArray[np.int64]
    """int64[sequences presented]: index of a packed sequence, in the order of training."""
    available: int
    """Packed sequences."""

    @property
    def unique(self) -> int:
        """Packed sequences that are presented at least once."""
        return min(self.available, len(self.order))


def plan_order(available: int, presented: int, seed: int, stretch: int | None = None) -> Plan:
    """Draws the order of training: every epoch is a permutation of its own.

    Args:
        available: Packed sequences, at least 1.
        presented: Sequences to present; more than `available` repeats, in whole epochs first.
        seed: Of the order; one order is a prefix of that of a longer training.
        stretch: Sequences that are shuffled among themselves, the first ones first. So the order
            for n whole stretches is a prefix of that for more of them, in the first epoch even
            where `available` differs. None: all of `available`.
    """
    epochs = -(-presented // available)
    size = stretch or available
    drawn = [
        start + np.random.default_rng(_stretch_seed(seed, epoch, start // size)).permutation(length)
        for epoch in range(epochs)
        for start in range(0, available, size)
        if (length := min(size, available - start))
    ]
    return Plan(np.concatenate(drawn)[:presented].astype(np.int64), available)


def _stretch_seed(seed: int, epoch: int, stretch: int) -> list[int]:
    return [seed, epoch, stretch] if stretch else [seed, epoch]


class PackedSequences(Dataset[dict[str, torch.Tensor]]):
    """The training sequences in their final order, one item for each one presented.

    `position_ids` restart at every document. transformers reads that as a packed sequence and
    masks attention between documents (`find_packed_sequence_indices`), with any attention
    back-end: no token sees a neighbour that merely lies beside it.
    """

    def __init__(
        self, stream: TokenStream, plan: Plan, sequence_length: int, batch: int = 1
    ) -> None:
        """Takes the stream, the plan and the tokens of a sequence.

        Args:
            stream: The packed corpus.
            plan: The order.
            sequence_length: Tokens of a sequence.
            batch: Sequences of a step: the last step is filled up with sequences that have no
                target, else several devices would fill it with others that have.
        """
        self._stream, self._plan, self._length = stream, plan, sequence_length
        self.steps = -(-len(plan.order) // batch)
        self._items = self.steps * batch

    def __len__(self) -> int:
        return self._items

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        order = self._plan.order
        counts = index < len(order)
        start = int(order[index if counts else 0]) * self._length
        stop = start + self._length
        ids = torch.from_numpy(self._stream.read(start, stop))
        positions = torch.from_numpy(self._stream.positions(start, stop))
        labels = ids.clone() if counts else torch.full_like(ids, IGNORED)
        return {"input_ids": ids, "position_ids": positions, "labels": labels}
