import numpy as np
import pyarrow as pa
import pytest

from curation import clusters
from curation.buffers import text_buffers
from curation.clusters import CROWD, Candidates, choose_survivors
from curation.text.jaccard import parity_maps, plain_jaccard, shingle_sets


def candidates_of(texts, buckets, threshold):
    """Candidates in order of priority; `buckets` has the ascending buckets of each."""
    sets, starts = shingle_sets(*text_buffers(pa.array(texts, pa.large_string())), 1)
    maps, map_starts = parity_maps(sets, starts)
    flat = np.array([bucket for own in buckets for bucket in own], np.int32)
    bounds = np.cumsum([0, *map(len, buckets)])
    places = np.concatenate([[0], np.cumsum(np.bincount(flat))])
    return Candidates(
        sets, starts[:-1].copy(), np.diff(starts), maps, map_starts[:-1].copy(),
        flat, bounds, places, threshold,
    )  # fmt: skip


def naive(items, similarity, buckets, threshold, fixed):
    """Twin and similarity of each document, all pairs compared."""
    kept, twins = [], []
    for document, own in enumerate(items):
        near = [
            (similarity(own, items[other]), -other)
            for other in kept
            if document >= fixed and not set(buckets[document]).isdisjoint(buckets[other])
        ]
        best = max((pair for pair in near if pair[0] >= threshold), default=None)
        twins.append((-1, 0.0) if best is None else (-best[1], best[0]))
        if best is None:
            kept.append(document)
    return twins


def crowd(seed, count=2 * CROWD):
    """Texts of a few templates with more or less of their own, and buckets, most of them crowds."""
    rng = np.random.default_rng(seed)
    texts, buckets = [], []
    for document in range(count):
        template = rng.integers(2)
        words = [f"t{template}_{k}" for k in range(60 - rng.integers(20)) if rng.random() > 0.03]
        own = rng.integers(0, 14)
        words += [f"u{document}_{k}" for k in range(own)] + [
            f"s{k}" for k in rng.integers(9, size=3)
        ]
        texts.append(" ".join(words))
        small = 2 + document // 5 if rng.random() < 0.5 else None
        here = {0 if rng.random() < 0.9 else template} | ({small} if small else {1})
        buckets.append(sorted(here))
    return texts, buckets


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95, 1.0])
@pytest.mark.parametrize(("seed", "fixed"), [(1, 0), (2, 0), (3, 40)])
def test_in_a_crowd_the_answer_is_that_of_comparing_all(monkeypatch, threshold, seed, fixed):
    texts, buckets = crowd(seed)
    met = []
    candidates = candidates_of(texts, buckets, threshold)
    monkeypatch.setattr(clusters, "make_index", counting(clusters.make_index, met))
    found = choose_survivors(candidates, fixed)
    sets = [set(text.split()) for text in texts]
    expected = naive(sets, plain_jaccard, buckets, threshold, fixed)
    assert list(zip(found.twin.tolist(), found.similarity.tolist(), strict=True)) == expected
    survivors = (found.twin < 0).sum()
    assert met[0].filled[0] > 0
    if threshold > 0.5:
        assert survivors > CROWD  # the index was asked
    if threshold < 0.9:
        assert survivors < len(texts)


def counting(make, made):
    def made_index(*arguments):
        made.append(make(*arguments))
        return made[-1]

    return made_index


def test_templates_below_the_threshold_all_stay_and_are_not_all_compared():
    template = " ".join(f"t{k}" for k in range(100))
    texts = [template + " ".join(f" u{n}_{k}" for k in range(14)) for n in range(4_000)]
    found = choose_survivors(candidates_of(texts, [[0]] * len(texts), 0.8), 0)
    assert (found.twin == -1).all()
