"""Documents as vectors of whole numbers: which of them have a close one, and who of those stays.

Vectors that lie in one cone share buckets by chance where sets do not, so buckets are thinned out
range by range, by the exact cosine: a document stays in a bucket if another one in it is close.
What comes to the decision is then no more than the near-duplicates themselves.
"""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from curation.clusters import (
    Meetings,
    Progress,
    Survivors,
    enter,
    first_of_clusters,
    join,
    make_progress,
    note_survivors,
)
from curation.ranges import DOCUMENT, HASH, ROW
from curation.shuffle import place_of, read_keys
from curation.stage import KeyShard
from curation.text.angles import cosine_from, rest_squares
from curation.text.jit import inlined, int64, kernel, lean, lean_inlined

_TOGETHER = 1 << 17  # vectors that are in memory at once, but for buckets that are larger

Numbers = npt.NDArray[np.int64]
Vectors = npt.NDArray[np.int16]
Squares = npt.NDArray[np.int32]


class KeyVectors:
    """The vectors in the key files of all shards, memory-mapped."""

    def __init__(self, shards: Sequence[KeyShard], column: str) -> None:
        """Maps the files; `column` is the name of fixed-size lists of int16."""
        self._shards: dict[int, tuple[npt.NDArray[np.int32], list[Vectors]]] = {}
        self.dimensions = 0
        for shard in shards:
            keys = read_keys(shard)
            self.dimensions = keys.schema.field(column).type.list_size
            chunks = [self._plain(chunk) for chunk in keys.column(column).chunks]
            self._shards[shard.shard] = keys.column(ROW).to_numpy(), chunks

    def _plain(self, chunk: pa.FixedSizeListArray) -> Vectors:
        flat: Vectors = chunk.flatten().to_numpy()
        return flat.reshape(-1, self.dimensions)

    def take(self, documents: Numbers) -> Vectors:
        """Returns int16[n, d], the vectors of n document numbers, which are ascending."""
        found = np.empty((len(documents), self.dimensions), np.int16)
        shards, rows = place_of(documents)
        cuts = np.flatnonzero(np.diff(shards)) + 1
        for part in np.split(np.arange(len(documents)), cuts) if len(documents) else ():
            numbers, chunks = self._shards[int(shards[part[0]])]
            places = np.searchsorted(numbers, rows[part])
            begin = first = 0
            for chunk in chunks:
                end = int(np.searchsorted(places, first + len(chunk)))
                if end > begin:
                    found[part[begin:end]] = chunk[places[begin:end] - first]
                begin, first = end, first + len(chunk)
        return found


def thinned_out(table: pa.Table, vectors: KeyVectors, threshold: float) -> pa.Table:
    """Returns of what `ranges.repeated` found the documents with a close one in their bucket.

    Args:
        table: `hash` and `document`, by hash.
        vectors: Those of the documents.
        threshold: Cosine from which two are close, inclusive, above 0, at most 1.
    """
    kept = [
        _close_ones(table.column(DOCUMENT).to_numpy()[part], bounds, vectors, threshold)
        for part, bounds in _portions(table.column(HASH).to_numpy())
    ]
    return table.filter(pa.array(np.concatenate([np.empty(0, np.bool_), *kept])))


def _portions(hashes: npt.NDArray[np.uint64]) -> Iterator[tuple[slice, Numbers]]:
    """Yields runs of buckets with about `_TOGETHER` members, and where their buckets start."""
    starts = np.flatnonzero(np.append(True, hashes[1:] != hashes[:-1])[: len(hashes)])
    bounds = np.append(starts, len(hashes)).astype(np.int64)
    cuts = np.flatnonzero(np.diff(bounds // _TOGETHER, prepend=-1, append=1 << 62))
    for begin, end in pairwise(np.minimum(cuts, len(bounds) - 1)):
        if end > begin:
            yield slice(bounds[begin], bounds[end]), bounds[begin : end + 1] - bounds[begin]


def _close_ones(
    documents: Numbers, bounds: Numbers, vectors: KeyVectors, threshold: float
) -> npt.NDArray[np.bool_]:
    different, members = np.unique(documents, return_inverse=True)
    taken = vectors.take(different)
    close, until = np.zeros(len(members), np.bool_), np.empty(len(members), np.int64)
    _find_all_close(Measured(taken, rest_squares(taken), threshold), members, bounds, close, until)
    return close


class Measured(NamedTuple):
    """Vectors, and what it takes to say which of them are close."""

    vectors: Vectors
    """int16[n, d], not all 0 in a row."""
    squares: Squares
    """int32[n, blocks], of `rest_squares`."""
    threshold: float
    """Cosine from which two are close, inclusive, above 0, at most 1."""


class VectorCandidates(NamedTuple):
    """n documents in order of priority (0 survives first), and the buckets that they share."""

    vectors: Vectors
    """What `Measured` has; the vectors may be a memory-mapped file."""
    squares: Squares
    threshold: float
    buckets: npt.NDArray[np.int32]
    """The buckets, and where those of each document are, as in `clusters.Meetings`."""
    bounds: Numbers
    places: Numbers


@lean_inlined
def _cosine(one: int, two: int, measured: Measured | VectorCandidates) -> float:
    vectors, squares = measured.vectors, measured.squares
    return cosine_from(vectors[one], vectors[two], squares[one], squares[two], measured.threshold)


@lean
def _find_all_close(
    measured: Measured,
    members: Numbers,
    bounds: Numbers,
    close: npt.NDArray[np.bool_],
    until: Numbers,
) -> None:
    """Marks the members of some buckets that are close to another one in their bucket."""
    for bucket in range(len(bounds) - 1):
        part = slice(bounds[bucket], bounds[bucket + 1])
        _find_close(measured, members[part], close[part], until[part])


@lean_inlined
def _find_close(
    measured: Measured, members: Numbers, close: npt.NDArray[np.bool_], until: Numbers
) -> None:
    """Marks the members of one bucket that are close to another one.

    Each looks back until it finds one, so that a thousand copies are a thousand comparisons. Then
    those that found none look at the later ones that had stopped before they came to them.
    """
    for one in range(len(members)):
        until[one] = one
        for two in range(one):
            if _cosine(members[one], members[two], measured) > 0:
                close[one] = close[two] = True
                until[one] = two
                break
    for one in range(len(members)):
        for two in range(one + 1, 0 if close[one] else len(members)):
            if until[two] < one and _cosine(members[one], members[two], measured) > 0:
                close[one] = True
                break


def load_vectors(
    documents: Numbers, meetings: Meetings, vectors: KeyVectors, threshold: float, path: Path
) -> VectorCandidates:
    """Writes the vectors of the candidates to a file in order of priority, and maps it.

    Args:
        documents: int64[n], document numbers in order of priority.
        meetings: The buckets that they share.
        vectors: Those of all documents.
        threshold: Cosine from which two are alike.
        path: Where the file goes; delete it when done.
    """
    ordered = _room(path, (len(documents), vectors.dimensions))
    order = np.argsort(documents)
    for begin in range(0, len(order), _TOGETHER):
        ranks = order[begin : begin + _TOGETHER]
        ordered[ranks] = vectors.take(documents[ranks])
    return VectorCandidates(ordered, rest_squares(ordered), threshold, *meetings)


def _room(path: Path, shape: tuple[int, int]) -> Vectors:
    if not shape[0]:
        return np.empty(shape, np.int16)
    return np.memmap(path, np.int16, "w+", shape=shape).view(np.ndarray)


@kernel
def choose_close(candidates: VectorCandidates, fixed: int) -> Survivors:
    """Decides about documents in order of priority, as `clusters.choose_survivors` does.

    Args:
        candidates: The documents.
        fixed: The first so many documents survive without being compared with one another.
    """
    count = len(candidates.vectors)
    twin, similarity = np.full(count, -1, np.int64), np.zeros(count, np.float64)
    progress = make_progress(candidates)
    for document in range(count):
        if document >= fixed:
            twin[document], similarity[document] = _closest(document, candidates, progress)
        if twin[document] < 0:
            enter(document, candidates, progress)
    return Survivors(twin, similarity, first_of_clusters(progress))


@inlined
def _closest(document: int, candidates: VectorCandidates, progress: Progress) -> tuple[int, float]:
    """Compares a document with the survivors in its buckets; returns the twin or -1."""
    twin, most = -1, 0.0
    met = note_survivors(document, candidates, progress, True)  # noqa: FBT003 - a kernel
    for survivor in progress.met[:met]:
        found = _cosine(document, survivor, candidates)
        if found > 0:
            join(progress.cluster, document, survivor)
            if found > most or (found == most and survivor < twin):
                twin, most = int64(survivor), found
    return twin, most
