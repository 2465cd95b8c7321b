"""Which near-duplicates survive: documents in order of priority against the survivors so far.

A document goes only if its similarity with a document that *stays* reaches the threshold. So no
chain of slightly changed copies removes a text without a kept twin, and no two survivors that were
compared are near-duplicates of one another.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from curation.text.jaccard import differing, map_words, needed_overlap, similarity_from
from curation.text.jit import inlined, kernel


class Candidates(NamedTuple):
    """n documents in order of priority (0 survives first), and the buckets that they share.

    The sets may be a memory-mapped file: only those of pairs that may be alike are read.
    """

    sets: npt.NDArray[np.uint64]
    """uint64[m]: the shingle sets, each ascending and without repeats, one after another."""
    starts: npt.NDArray[np.int64]
    """int64[n]: where the set of each document starts."""
    sizes: npt.NDArray[np.int64]
    """int64[n]: how many shingles it has, 1 or more."""
    maps: npt.NDArray[np.uint64]
    """uint64[w]: the sets' maps (`parity_maps`)."""
    map_starts: npt.NDArray[np.int64]
    """int64[n]: where the map of each document starts."""
    buckets: npt.NDArray[np.int32]
    """int32[e]: the buckets of document 0, then those of document 1, and so on."""
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
    members: npt.NDArray[np.int32]
    """int32[e]: the survivors of each bucket, from its place on."""
    filled: npt.NDArray[np.int64]
    """int64[b]: where the next survivor of each bucket goes."""
    seen: npt.NDArray[np.int32]
    """int32[n]: the last document that each survivor was compared with."""
    cluster: npt.NDArray[np.int64]


@inlined
def _similarity(one: int, two: int, candidates: Candidates, threshold: float) -> float:
    """Returns the similarity of two documents, or -1 where it is below the threshold.

    Sizes and maps tell most pairs apart exactly, at a hundredth of the cost of the sets.
    """
    sizes, maps, map_starts = candidates.sizes, candidates.maps, candidates.map_starts
    needed = needed_overlap(sizes[one], sizes[two], threshold)
    if needed > min(sizes[one], sizes[two]):
        return -1.0
    first = maps[map_starts[one] : map_starts[one] + map_words(sizes[one])]
    second = maps[map_starts[two] : map_starts[two] + map_words(sizes[two])]
    if (sizes[one] + sizes[two] - differing(first, second)) // 2 < needed:
        return -1.0
    sets, starts = candidates.sets, candidates.starts
    own = sets[starts[one] : starts[one] + sizes[one]]
    return similarity_from(own, sets[starts[two] : starts[two] + sizes[two]], threshold)


@inlined
def _most_similar(
    document: int, candidates: Candidates, threshold: float, progress: _Progress
) -> tuple[int, float]:
    """Compares a document with the survivors of its buckets; returns the twin or -1."""
    members, filled, seen, cluster = progress
    twin, most = -1, 0.0
    for bucket in candidates.buckets[candidates.bounds[document] : candidates.bounds[document + 1]]:
        for survivor in members[candidates.places[bucket] : filled[bucket]]:
            if seen[survivor] == document:
                continue
            seen[survivor] = document
            found = _similarity(document, survivor, candidates, threshold)
            if found < 0:
                continue
            _join(cluster, document, survivor)
            if found > most or (found == most and survivor < twin):
                twin, most = survivor, found
    return twin, most


@kernel
def choose_survivors(candidates: Candidates, threshold: float, fixed: int) -> Survivors:
    """Decides about documents in order of priority.

    Each is compared with every survivor that shares a bucket with it, and rejected if one reaches
    the threshold; its twin is the most similar one, of several the first. Work is near-linear for
    clusters of duplicates, because only survivors are compared with.

    Args:
        candidates: The documents.
        threshold: Jaccard similarity, inclusive, above 0, at most 1.
        fixed: The first so many documents survive without being compared with one another.
    """
    count = len(candidates.starts)
    twin = np.full(count, -1, np.int64)
    similarity = np.zeros(count, np.float64)
    cluster = np.arange(count)
    filled = candidates.places[:-1].copy()
    members = np.empty(len(candidates.buckets), np.int32)
    progress = _Progress(members, filled, np.full(count, -1, np.int32), cluster)
    for document in range(count):
        if document >= fixed:
            found, most = _most_similar(document, candidates, threshold, progress)
            twin[document], similarity[document] = found, most
        if twin[document] < 0:
            begin, end = candidates.bounds[document], candidates.bounds[document + 1]
            for bucket in candidates.buckets[begin:end]:
                members[filled[bucket]] = document
                filled[bucket] += 1
    for document in range(count):
        cluster[document] = _root(cluster, document)
    return Survivors(twin, similarity, cluster)
