"""Which near-duplicates survive: documents in order of priority against the survivors so far.

A document goes only if its similarity with a document that *stays* reaches the threshold. So no
chain of slightly changed copies removes a text without a kept twin, and no two survivors that were
compared are near-duplicates of one another.
"""

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from curation.text.jaccard import differing, map_words, needed_overlap, similarity_from
from curation.text.jit import inlined, int64, kernel, subroutine
from curation.text.prefixes import (
    PrefixIndex,
    class_of,
    insert_set,
    make_index,
    put_rarest_first,
    slot_of,
    smallest_partner,
)


class Meetings(NamedTuple):
    """The buckets that n documents, in order of priority, share."""

    buckets: npt.NDArray[np.int32]
    """int32[e]: the buckets of document 0, then those of document 1, and so on."""
    bounds: npt.NDArray[np.int64]
    """int64[n + 1]: where the buckets of each document start."""
    places: npt.NDArray[np.int64]
    """int64[b + 1]: sums of the bucket sizes; the room for the survivors of each bucket."""


class Meeting(Protocol):
    """Whatever has the fields of `Meetings`: documents with what they are compared by."""

    @property
    def buckets(self) -> npt.NDArray[np.int32]:
        """See `Meetings`."""

    @property
    def bounds(self) -> npt.NDArray[np.int64]:
        """See `Meetings`."""

    @property
    def places(self) -> npt.NDArray[np.int64]:
        """See `Meetings`."""


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
    """The buckets, and where those of each document are, as in `Meetings`."""
    bounds: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    threshold: float
    """Jaccard similarity from which two are alike, inclusive, above 0, at most 1."""


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
def join(cluster: npt.NDArray[np.int64], one: int, two: int) -> None:
    """Makes one cluster of those of two documents."""
    one, two = _root(cluster, one), _root(cluster, two)
    cluster[max(one, two)] = min(one, two)


CROWD = 256
"""A bucket of so many documents is a crowd: an index says which of them to compare."""


class Progress(NamedTuple):
    """The survivors so far, while documents are decided about in order of priority."""

    members: npt.NDArray[np.int32]
    """int32[e]: the survivors of each bucket, from its place on."""
    filled: npt.NDArray[np.int64]
    """int64[b]: where the next survivor of each bucket goes."""
    seen: npt.NDArray[np.int32]
    """int32[n]: the last document that met each survivor."""
    met: npt.NDArray[np.int32]
    """int32[n]: the survivors that the present document is to be compared with."""
    cluster: npt.NDArray[np.int64]
    """int64[n]: towards the first document of each one's cluster."""


@inlined
def make_progress(candidates: Meeting) -> Progress:
    """Returns the start: nobody has been decided about."""
    count = len(candidates.bounds) - 1
    return Progress(
        np.empty(len(candidates.buckets), np.int32),
        candidates.places[:-1].copy(),
        np.full(count, -1, np.int32),
        np.empty(count, np.int32),
        np.arange(count),
    )


@inlined
def note_survivors(document: int, candidates: Meeting, progress: Progress, crowds: bool) -> int:  # noqa: FBT001 - a kernel
    """Notes the survivors in a document's buckets, each once; returns how many.

    Args:
        document: The one to be decided about.
        candidates: All of them.
        progress: Where the survivors are; `met` is written.
        crowds: Whether buckets that are crowds count.
    """
    met = 0
    begin, end = candidates.bounds[document], candidates.bounds[document + 1]
    for bucket in candidates.buckets[begin:end]:
        if not crowds and _is_crowd(bucket, candidates):
            continue
        for survivor in progress.members[candidates.places[bucket] : progress.filled[bucket]]:
            if progress.seen[survivor] != document:
                progress.seen[survivor] = document
                progress.met[met] = survivor
                met += 1
    return met


@inlined
def enter(document: int, candidates: Meeting, progress: Progress) -> None:
    """Puts a survivor into its buckets."""
    begin, end = candidates.bounds[document], candidates.bounds[document + 1]
    for bucket in candidates.buckets[begin:end]:
        progress.members[progress.filled[bucket]] = document
        progress.filled[bucket] += 1


@inlined
def first_of_clusters(progress: Progress) -> npt.NDArray[np.int64]:
    """Returns the first document of each one's cluster, int64[n]."""
    for document in range(len(progress.cluster)):
        progress.cluster[document] = _root(progress.cluster, document)
    return progress.cluster


@inlined
def _similarity(one: int, two: int, candidates: Candidates) -> float:
    """Returns the similarity of two documents, or -1 where it is below the threshold.

    Sizes and maps tell most pairs apart exactly, at a hundredth of the cost of the sets.
    """
    sizes, maps, map_starts = candidates.sizes, candidates.maps, candidates.map_starts
    threshold = candidates.threshold
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
def _is_crowd(bucket: int, candidates: Meeting) -> bool:
    return int64(candidates.places[bucket + 1] - candidates.places[bucket]) >= CROWD


@inlined
def _meet_in_crowd(one: int, two: int, candidates: Candidates) -> bool:
    """Says whether two documents share a bucket that is a crowd."""
    i, j = candidates.bounds[one], candidates.bounds[two]
    while i < candidates.bounds[one + 1] and j < candidates.bounds[two + 1]:
        a, b = candidates.buckets[i], candidates.buckets[j]
        if a == b and _is_crowd(a, candidates):
            return True
        i += a <= b
        j += b <= a
    return False


@subroutine
def _meet_by_rare_members(
    document: int, met: int, candidates: Candidates, progress: Progress, index: PrefixIndex
) -> int:
    """Notes the survivors that share a crowd and a rare member; returns how many were met."""
    threshold = candidates.threshold
    size = candidates.sizes[document]
    start = candidates.starts[document]
    put_rarest_first(candidates.sets[start : start + size], index)
    smallest = smallest_partner(size, threshold)
    last = class_of(int64(size / threshold) + 1, index)
    for size_class in range(class_of(smallest, index), last + 1):
        partner = max(smallest, index.classes[size_class])
        shared = needed_overlap(size, partner, threshold)
        for position in range(max(0, min(size, size - shared + 1))):
            key = index.keys[position]
            entry = index.heads[slot_of(key, size_class, index)]
            while entry >= 0:
                survivor = index.documents[entry]
                rest = candidates.sizes[survivor] - index.positions[entry]
                same = index.members[entry] == key
                entry = index.before[entry]
                if (
                    same
                    and progress.seen[survivor] != document
                    and min(rest, size - position)
                    >= needed_overlap(size, candidates.sizes[survivor], threshold)
                    and _meet_in_crowd(document, survivor, candidates)
                ):
                    progress.seen[survivor] = document
                    progress.met[met] = survivor
                    met += 1
    return met


@subroutine
def _meet(document: int, candidates: Candidates, progress: Progress, index: PrefixIndex) -> int:
    """Notes the survivors in a document's buckets that may be alike; returns how many."""
    crowd = 0
    begin, end = candidates.bounds[document], candidates.bounds[document + 1]
    for bucket in candidates.buckets[begin:end]:
        if _is_crowd(bucket, candidates):
            crowd += progress.filled[bucket] - candidates.places[bucket]
    many = crowd > max(CROWD, candidates.sizes[document])
    met = note_survivors(document, candidates, progress, not many)
    return _meet_by_rare_members(document, met, candidates, progress, index) if many else met


@inlined
def _most_similar(
    document: int, met: int, candidates: Candidates, progress: Progress
) -> tuple[int, float]:
    """Compares a document with the survivors that were met; returns the twin or -1."""
    twin, most = -1, 0.0
    for survivor in progress.met[:met]:
        found = _similarity(document, survivor, candidates)
        if found < 0:
            continue
        join(progress.cluster, document, survivor)
        if found > most or (found == most and survivor < twin):
            twin, most = int64(survivor), found
    return twin, most


def choose_survivors(candidates: Candidates, fixed: int) -> Survivors:
    """Decides about documents in order of priority.

    Each is compared with every survivor that shares a bucket with it, and rejected if one reaches
    the threshold; its twin is the most similar one, of several the first. Work is near-linear for
    clusters of duplicates, because only survivors are compared with, and for texts made from one
    template, because in a crowd only those are that share a rare shingle.

    Args:
        candidates: The documents.
        fixed: The first so many documents survive without being compared with one another.
    """
    crowded = _in_crowds(candidates)
    starts, sizes = candidates.starts[crowded], candidates.sizes[crowded]
    index = make_index(candidates.sets, starts, sizes, candidates.threshold)
    return _choose(candidates, fixed, crowded, index)


@kernel
def _in_crowds(candidates: Candidates) -> npt.NDArray[np.bool_]:
    crowded = np.zeros(len(candidates.starts), np.bool_)
    for document in range(len(crowded)):
        begin, end = candidates.bounds[document], candidates.bounds[document + 1]
        for bucket in candidates.buckets[begin:end]:
            crowded[document] |= _is_crowd(bucket, candidates)
    return crowded


@kernel
def _choose(
    candidates: Candidates, fixed: int, crowded: npt.NDArray[np.bool_], index: PrefixIndex
) -> Survivors:
    count = len(candidates.starts)
    twin = np.full(count, -1, np.int64)
    similarity = np.zeros(count, np.float64)
    progress = make_progress(candidates)
    for document in range(count):
        if document >= fixed:
            count_met = _meet(document, candidates, progress, index)
            twin[document], similarity[document] = _most_similar(
                document, count_met, candidates, progress
            )
        if twin[document] < 0:
            enter(document, candidates, progress)
            if crowded[document]:
                start = candidates.starts[document]
                own = candidates.sets[start : start + candidates.sizes[document]]
                insert_set(document, own, candidates.threshold, index)
    return Survivors(twin, similarity, first_of_clusters(progress))
