"""Which near-duplicates survive: documents in order of priority against the survivors so far.

A document goes only if its similarity with a document that *stays* reaches the threshold. So no
chain of slightly changed copies removes a text without a kept twin, and no two survivors that were
compared are near-duplicates of one another.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jaccard import similarity_from
from curation.text.jit import inlined, kernel


class Candidates(NamedTuple):
    """n documents in order of priority (0 survives first), and the buckets that they share.

    The arrays may be memory-mapped files: they are read once, in order, except for the sets.
    """

    sets: npt.NDArray[np.uint64]
    """uint64[m]: the shingle sets, each ascending and without repeats, one after another."""
    starts: npt.NDArray[np.int64]
    """int64[n]: where the set of each document starts."""
    sizes: npt.NDArray[np.int64]
    """int64[n]: how many shingles it has, 1 or more."""
    buckets: npt.NDArray[np.int64]
    """int64[e]: the buckets of document 0, then those of document 1, and so on."""
    bounds: npt.NDArray[np.int64]
    """int64[n + 1]: where the buckets of each document start."""
    places: npt.NDArray[np.int64]
    """int64[b + 1]: sums of the bucket sizes; the room for the survivors of each bucket."""


class Survivors(NamedTuple):
    """What became of n documents in order of priority."""

    twin: npt.NDArray[np.int64]
    """int64[n]: the most similar survivor of a rejected document; -1 for a survivor."""
    similarity: npt.NDArray[np.float64]
    """float64[n]: the similarity to it; 0 for a survivor."""
    cluster: npt.NDArray[np.int64]
    """int64[n]: the first document of the cluster, all documents linked by verified pairs."""


@inlined
def _root(cluster: npt.NDArray[np.int64], document: int) -> int:
    while cluster[document] != document:
        cluster[document] = cluster[cluster[document]]
        document = cluster[document]
    return document


@inlined
def _join(cluster: npt.NDArray[np.int64], one: int, two: int) -> None:
    one, two = _root(cluster, one), _root(cluster, two)
    cluster[max(one, two)] = min(one, two)


class _Progress(NamedTuple):
    members: npt.NDArray[np.int64]
    """int64[e]: the survivors of each bucket, from its place on."""
    filled: npt.NDArray[np.int64]
    """int64[b]: where the next survivor of each bucket goes."""
    seen: npt.NDArray[np.int64]
    """int64[n]: the last document that each survivor was compared with."""
    cluster: npt.NDArray[np.int64]


@inlined
def _most_similar(
    document: int, candidates: Candidates, threshold: float, progress: _Progress
) -> tuple[int, float]:
    """Compares a document with the survivors of its buckets; returns the twin or -1."""
    sets, starts, sizes, buckets, bounds, places = candidates
    members, filled, seen, cluster = progress
    own = sets[starts[document] : starts[document] + sizes[document]]
    twin, most = -1, 0.0
    for bucket in buckets[bounds[document] : bounds[document + 1]]:
        for survivor in members[places[bucket] : filled[bucket]]:
            if seen[survivor] == document:
                continue
            seen[survivor] = document
            other = sets[starts[survivor] : starts[survivor] + sizes[survivor]]
            found = similarity_from(own, other, threshold)
            if found < 0:
                continue
            _join(cluster, document, survivor)
            if found > most or (found == most and survivor < twin):
                twin, most = survivor, found
    return twin, most


@kernel
def choose_survivors(
    candidates: Candidates, threshold: float, members: npt.NDArray[np.int64]
) -> Survivors:
    """Decides about documents in order of priority.

    Each is compared with every survivor that shares a bucket with it, and rejected if one reaches
    the threshold; its twin is the most similar one, of several the first. Work is near-linear for
    clusters of duplicates, because only survivors are compared with.

    Args:
        candidates: The documents.
        threshold: Jaccard similarity, inclusive, above 0, at most 1.
        members: int64[e], overwritten with the survivors of each bucket.
    """
    count = len(candidates.starts)
    twin = np.full(count, -1, np.int64)
    similarity = np.zeros(count, np.float64)
    cluster = np.arange(count)
    filled = candidates.places[:-1].copy()
    progress = _Progress(members, filled, np.full(count, -1, np.int64), cluster)
    for document in range(count):
        found, most = _most_similar(document, candidates, threshold, progress)
        twin[document], similarity[document] = found, most
        if found < 0:
            begin, end = candidates.bounds[document], candidates.bounds[document + 1]
            for bucket in candidates.buckets[begin:end]:
                members[filled[bucket]] = document
                filled[bucket] += 1
    for document in range(count):
        cluster[document] = _root(cluster, document)
    return Survivors(twin, similarity, cluster)
