import numpy as np
import pyarrow as pa
import pytest
from datasketch import MinHash
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.minhash import (
    LARGEST,
    Banding,
    band_keys,
    choose_banding,
    fewest_bands,
    make_permutations,
    plain_band_keys,
    plain_signature,
    shingle_value,
    sign,
)
from curation.text.shingles import plain_shingles
from tests.text.strategies import texts


def signatures_of(rows, ngram, permutations):
    return sign(*text_buffers(pa.array(rows, pa.large_string())), ngram, *permutations)


@settings(deadline=None)
@given(
    st.lists(texts, max_size=4), st.integers(1, 6), st.integers(1, 40), st.integers(0, 2**32 - 1)
)
@example(["a b c d e f g"], 5, 128, 1)
def test_kernel_equals_the_plain_signature_and_datasketch(rows, ngram, count, seed):
    permutations = make_permutations(count, seed)
    signatures, shingles = signatures_of(rows, ngram, permutations)
    for text, signature, found in zip(rows, signatures.tolist(), shingles, strict=True):
        expected = plain_shingles(text, ngram)
        reference = MinHash(count, seed, scheme="affine32", hashfunc=shingle_value)
        reference.update_batch(expected)
        assert signature == reference.hashvalues.tolist()
        assert signature == plain_signature(text, ngram, permutations)
        assert found == len(expected)


@settings(deadline=None)
@given(
    st.lists(st.lists(st.integers(0, LARGEST), min_size=12, max_size=12), min_size=1, max_size=3),
    st.sampled_from([1, 2, 3, 4, 5, 6, 12]),
)
def test_band_keys_equal_the_plain_ones(signatures, bands):
    keys = band_keys(np.array(signatures, np.uint32), bands)
    assert keys.tolist() == [plain_band_keys(signature, bands) for signature in signatures]


def test_equal_bands_at_different_places_have_different_keys():
    keys = band_keys(np.full((1, 12), 7, np.uint32), 4)
    assert len(set(keys[0].tolist())) == 4


@pytest.mark.parametrize("threshold", [0.05, 0.3, 0.5, 0.7, 0.8, 0.9, 0.95, 1.0])
@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99])
def test_choose_banding_reaches_the_recall_with_as_many_rows_as_fit(threshold, recall):
    banding = choose_banding(threshold, recall, 128)
    assert banding.permutations <= 128
    assert banding.recall(threshold) >= recall
    if banding.bands > 1:
        assert Banding(banding.bands - 1, banding.rows).recall(threshold) < recall
    more = banding.rows + 1
    assert Banding(128 // more, more).recall(threshold) < recall


def test_choose_banding_without_room_returns_none():
    assert choose_banding(0.01, 0.99, 128) is None


@pytest.mark.parametrize(
    ("bands", "rows", "similarity", "expected"),
    # Published and recomputed values of other systems' settings.
    [(14, 8, 0.8, 0.924), (20, 13, 0.8, 0.677), (26, 11, 0.75, 0.674), (9, 13, 0.8, 0.399)],
)
def test_recall_of_known_bandings(bands, rows, similarity, expected):
    assert Banding(bands, rows).recall(similarity) == pytest.approx(expected, abs=6e-4)


@given(st.floats(0.001, 0.999), st.floats(0.01, 0.999))
def test_fewest_bands_is_the_fewest(agreement, recall):
    bands = fewest_bands(agreement, recall)
    assert 1 - (1 - agreement) ** bands >= recall - 1e-12
    assert bands == 1 or 1 - (1 - agreement) ** (bands - 1) < recall + 1e-12


def test_pairs_meet_as_often_as_their_similarity_says():
    # 400 pairs of 60 one-word shingles that share 40: Jaccard 40 / 80 = 0.5.
    pairs = 400
    banding = Banding(5, 3)
    rows = []
    for pair in range(pairs):
        words = [f"w{pair}x{k}" for k in range(80)]
        rows += [" ".join(words[:60]), " ".join(words[20:])]
    permutations = make_permutations(banding.permutations, seed=3)
    signatures, _ = signatures_of(rows, 1, permutations)
    keys = band_keys(signatures, banding.bands)
    share = np.mean((keys[::2] == keys[1::2]).any(axis=1))
    # Four standard errors of a share of 400.
    assert abs(share - banding.recall(0.5)) < 4 * np.sqrt(0.25 / pairs)
