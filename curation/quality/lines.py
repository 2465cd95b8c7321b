"""The prepared lines of both sides on disk, each once, parted into training and held-out lines.

Lines that nearly repeat one another go to the same part, or a model would be measured on what it
has seen: lines that share a band of MinHash values, and chains of such lines, are drawn together.
All draws are hashes of the lines themselves, so neither the order of files nor their number
matters.
"""

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.buffers import text_buffers
from curation.quality.texts import Read
from curation.quality_record import NormalForm, prepared
from curation.text.linear import plain_tokens
from curation.text.minhash import band_keys, make_permutations, sign

Ints = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

_BANDS, _ROWS, _NGRAM = 8, 8, 5
"""Pairs of Jaccard similarity 0.77 share a band in two of three cases, of 0.9 in 99 of 100."""


class Side(NamedTuple):
    """The lines of one side, in the order in which they were read."""

    digests: npt.NDArray[np.uint64]
    """uint64[n, 2], BLAKE2b of each line."""
    bands: npt.NDArray[np.uint64]
    """uint64[n, 8], what near-duplicates share."""
    starts: Ints
    """int64[n], where each line starts in the spool."""
    sizes: Ints
    """int64[n], bytes of each line."""
    documents: int
    unreadable: int
    empty: int


class Spool:
    """A file of lines, written once and then read in any order; use as a context manager."""

    def __init__(self, path: Path, form: NormalForm, head_chars: int) -> None:
        """Starts the file; `form` and `head_chars` say how texts are prepared."""
        self.form: NormalForm = form
        self.head_chars = head_chars
        self._file: IO[bytes] = open(path, "w+b")  # noqa: SIM115 - closed by the context
        self._permutations = make_permutations(_BANDS * _ROWS, 1)

    def __enter__(self) -> "Spool":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, batches: Iterator[Read]) -> Side:
        """Appends the texts of a side, and returns what is known of them."""
        digests, bands, starts, sizes = [], [], [], []
        documents = unreadable = empty = 0
        for texts, bad in batches:
            documents += len(texts) + bad
            unreadable += bad
            lines = [line for line in self._lines(texts) if line]
            empty += len(texts) - len(lines)
            if not lines:
                continue
            digests.append(_digests(lines))
            bands.append(self._bands(lines))
            start = self._file.tell()
            self._file.writelines(line + b"\n" for line in lines)
            size = np.array([len(line) for line in lines], np.int64)
            starts.append(start + np.cumsum(size + 1) - size - 1)
            sizes.append(size)
        return Side(
            np.concatenate([np.empty((0, 2), np.uint64), *digests]),
            np.concatenate([np.empty((0, _BANDS), np.uint64), *bands]),
            np.concatenate([np.empty(0, np.int64), *starts]),
            np.concatenate([np.empty(0, np.int64), *sizes]),
            documents,
            unreadable,
            empty,
        )

    def _lines(self, texts: pa.Array) -> Iterator[bytes]:
        offsets, data = prepared(texts, self.form, self.head_chars)
        view = data.data
        for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True):
            yield b" ".join(plain_tokens(bytes(view[start:end])))

    def _bands(self, lines: list[bytes]) -> npt.NDArray[np.uint64]:
        a, b = self._permutations
        signatures, _ = sign(*text_buffers(pa.array(lines, pa.large_binary())), _NGRAM, a, b)
        return band_keys(signatures, _BANDS)

    def read(self, side: Side, chosen: Ints) -> Iterator[bytes]:
        """Yields some lines of a side, in the order asked for."""
        self._file.flush()
        if not len(chosen):
            return
        with mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            for row in chosen:
                start = int(side.starts[row])
                yield mapped[start : start + int(side.sizes[row])]


def _digests(lines: list[bytes]) -> npt.NDArray[np.uint64]:
    joined = b"".join(hashlib.blake2b(line, digest_size=16).digest() for line in lines)
    return np.frombuffer(joined, "<u8").reshape(-1, 2)


class Parts(NamedTuple):
    """Which lines of a side are for what, in the order of a seeded draw."""

    train: Ints
    held_out: Ints
    repeated: int
    in_both: int
    left_out: int
    different: int
    """Lines that are left when repeats and those on both sides are gone."""
    digest: str
    """Of all different lines of the side, in whatever order."""


class Draw(NamedTuple):
    """How lines are parted."""

    seed: int
    held_out: float
    """Share of held-out lines, about."""
    limit: int
    """Most lines of a side; 0: all."""
    ratio: float
    """Most training lines for each one of the other side; 0: all."""


def part_lines(positive: Side, negative: Side, draw: Draw) -> tuple[Parts, Parts]:
    """Parts the lines of both sides into training and held-out ones.

    A line that is there twice counts once; a line that is on both sides is left out on both.
    """
    sides = (positive, negative)
    count = len(positive.digests)
    digests = np.concatenate([side.digests for side in sides])
    _, first, number = np.unique(digests, axis=0, return_index=True, return_inverse=True)
    number = number.reshape(-1)
    on = [np.bincount(number[:count], minlength=len(first)) > 0]
    on.append(np.bincount(number[count:], minlength=len(first)) > 0)
    shared = on[0] & on[1]
    bands = np.concatenate([side.bands for side in sides])[first]
    # Numbers follow the digests, so that a group is named by its smallest one.
    group = _groups(bands)
    held = _draws(digests[first], draw.seed, b"held-out")[group] < int(draw.held_out * 2**64)
    order = _draws(digests[first], draw.seed, b"order")
    chosen = [np.flatnonzero(mine & ~shared) for mine in on]
    chosen = [lines[np.argsort(order[lines], kind="stable")] for lines in chosen]
    kept = [lines[: draw.limit or None] for lines in chosen]
    train = [lines[~held[lines]] for lines in kept]
    parts = []
    for at, side in enumerate(sides):
        rows = _rows_of(number[:count] if at == 0 else number[count:], len(first))
        most = int(draw.ratio * len(train[1 - at])) if draw.ratio else len(train[at])
        taken, out = train[at][:most], kept[at][held[kept[at]]]
        parts.append(
            Parts(
                rows[taken],
                rows[out],
                len(side.digests) - int(on[at].sum()),
                int(shared.sum()),
                len(chosen[at]) - len(taken) - len(out),
                len(chosen[at]),
                hashlib.sha256(digests[first][on[at]].tobytes()).hexdigest(),
            )
        )
    return parts[0], parts[1]


def _rows_of(numbers: Ints, count: int) -> Ints:
    """Returns the first row of each number, int64[count]; -1 where it has none."""
    rows = np.full(count, -1, np.int64)
    rows[numbers[::-1]] = np.arange(len(numbers))[::-1]
    return rows


def _groups(bands: npt.NDArray[np.uint64]) -> Ints:
    """Returns the smallest line of the lines that each is linked with by shared bands."""
    labels = np.arange(len(bands))
    inverses = [np.unique(column, return_inverse=True)[1].reshape(-1) for column in bands.T]
    while True:
        before = labels
        for inverse in inverses:
            smallest = np.full(len(bands), len(bands), np.int64)
            np.minimum.at(smallest, inverse, labels)
            labels = smallest[inverse]
        if np.array_equal(before, labels):
            return labels


def _draws(digests: npt.NDArray[np.uint64], seed: int, what: bytes) -> npt.NDArray[np.uint64]:
    key = seed.to_bytes(8, "little")
    data = digests.tobytes()
    joined = b"".join(
        hashlib.blake2b(data[at : at + 16], digest_size=8, key=key, person=what).digest()
        for at in range(0, len(data), 16)
    )
    return np.frombuffer(joined, "<u8")
