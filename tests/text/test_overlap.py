import numpy as np
import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.overlap import find_overlaps, make_index
from curation.text.shingles import plain_tokens
from tests.text.strategies import texts as any_texts


def column(texts):
    return text_buffers(pa.array(texts, pa.large_string()))


def plain_ngrams(text, ngram, least):
    """The set of n-grams by which a passage is known, as tuples of tokens."""
    tokens = plain_tokens(text)
    width = min(ngram, len(tokens))
    if len(tokens) < least:
        return set()
    return {tuple(tokens[k : k + width]) for k in range(len(tokens) - width + 1)}


def plain_places(text):
    """The character at which each token begins: the lower case, character by character."""
    places, inside = [], False
    for place, char in enumerate(text):
        lower = char.lower()
        word = lower[0].isalnum() or lower[0] == "_"
        if word and not inside:
            places.append(place)
        inside = word and len(lower) == 1
    return places


def plain_overlap(text, passages, ngram, least, most=None):
    """Overlap, passage, position, n-grams and share of a paragraph: what the kernel means."""
    known = [plain_ngrams(passage, ngram, least) for passage in passages]
    if most is not None:
        common = {g for own in known for g in own if sum(g in other for other in known) > most}
        known = [own - common for own in known]
    tokens, places = plain_tokens(text), plain_places(text)
    spans = {}
    for width in {ngram, *range(least, ngram)}:
        for k in range(len(tokens) - width + 1):
            spans.setdefault(tuple(tokens[k : k + width]), places[k])
    hits = {gram for own in known for gram in own if gram in spans}
    best = (0.0, -1, -1)
    ranked = [
        (len(own & hits) / len(own), len(own & hits), -k) for k, own in enumerate(known) if own
    ]
    if hits:
        share, _, number = max(ranked)
        best = (share, -number, min(spans[gram] for gram in known[-number] & hits))
    shares = [0.0]
    for paragraph in text.split("\n"):
        words = plain_tokens(paragraph)
        grams = [tuple(words[k : k + ngram]) for k in range(len(words) - ngram + 1)]
        if grams:
            shares.append(sum(gram in hits for gram in grams) / len(grams))
    return (*best, len(hits), max(shares))


def rows(found):
    return list(zip(*(values.tolist() for values in found), strict=True))


sentences = st.lists(st.sampled_from(["a", "b", "c", "d"]), max_size=12)
spaced = st.tuples(sentences, st.sampled_from([" ", ", ", "\n", " - "])).map(
    lambda parts: parts[1].join(parts[0]).upper() if len(parts[0]) % 2 else parts[1].join(parts[0])
)
documents = st.lists(spaced, max_size=4).map("\n".join)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(documents, min_size=1, max_size=3),
    st.lists(spaced, max_size=5),
    st.integers(1, 4),
    st.integers(1, 4),
    st.sampled_from([None, 1, 2]),
)
@example(["a b c"], ["a b c", "a b c"], 3, 3, None)
@example(["a b c"], ["a b c", "a b c"], 3, 3, 1)
def test_kernel_equals_brute_force(texts, passages, ngram, least, most):
    least = min(least, ngram)
    index = make_index(*column(passages), ngram, least, most)
    found = rows(find_overlaps(*column(texts), index))
    assert found == [plain_overlap(text, passages, ngram, least, most) for text in texts]


@settings(deadline=None, max_examples=60)
@given(any_texts, any_texts, st.integers(1, 3))
@example("\u0130a \u0130", "i a i", 2)
@example("\u03a3a\u03a3 b", "\u03c3a\u03c2 b", 2)
def test_any_unicode_has_the_same_tokens_and_places(before, passage, ngram):
    text = before + "\n" + passage
    index = make_index(*column([passage]), ngram, 1)
    assert rows(find_overlaps(*column([text]), index)) == [plain_overlap(text, [passage], ngram, 1)]


@settings(deadline=None, max_examples=30)
@given(st.binary(max_size=40), st.binary(max_size=10))
def test_malformed_bytes_count_as_replacement_characters(raw, before):
    index = make_index(*column(["a b", "b"]), 2, 1)
    data = np.frombuffer(before + raw + b" a b", np.uint8)
    found = find_overlaps(np.array([len(before), len(before) + len(raw)], np.int64), data, index)
    expected = find_overlaps(*column([raw.decode("utf-8", "replace")]), index)
    assert rows(found) == rows(expected)


def test_repeats_and_shared_passages_cost_no_more_than_once():
    passages = [f"same old words {number}" for number in range(20_000)]
    index = make_index(*column(passages), 3, 3)
    [row] = rows(find_overlaps(*column(["same old words " * 100_000]), index))
    assert row[:4] == (0.5, 0, 0, 1)


def test_no_passages_and_no_documents():
    empty = make_index(*column([]), 13, 8)
    assert rows(find_overlaps(*column(["a", ""]), empty)) == [(0.0, -1, -1, 0, 0.0)] * 2
    assert rows(find_overlaps(*column([]), make_index(*column(["a b"]), 2, 1))) == []
