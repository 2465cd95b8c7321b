"""Kernels of noise against their twins, and what is promised of rates."""

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text import noise_chars, noise_sentences, noise_words, spans
from curation.text.chance import below, bounds_of, draw, keys_of, plain_below, plain_draw
from curation.text.jit import read_only
from curation.text.noise_chars import character_noise, noise_characters, plain_noise_characters
from curation.text.noise_sentences import noise_sentences as shuffle_sentences
from curation.text.noise_sentences import plain_noise_sentences, sentence_bounds
from curation.text.noise_tables import LAYOUTS, LIMIT, neighbours, tables_of
from curation.text.noise_words import usable, word_noise
from curation.text.plain_noise_words import plain_noise_words, word_spans
from curation.text.plain_spans import PlainMasking, plain_mask_spans
from curation.text.spans import mask_spans, masking, poisson_bounds
from tests.text.strategies import texts

keys = st.integers(0, 2**64 - 1)
# Dense in what operations are for.
noisy = st.text(
    st.sampled_from("arnvwm.,;'\"()- \n\tOI01\u00e9\u0301\u00df\u0430Ab\u4e00"), max_size=80
)
WRONG = {"the": ["teh", "hte"], "arn": ["anr"], "mw": ["wmm"], "o": ["0"]}


def buffers(rows: Sequence[str]) -> tuple[Any, Any]:
    encoded = [row.encode() for row in rows]
    offsets = np.cumsum([0, *map(len, encoded)]).astype(np.int64)
    return read_only(offsets), read_only(np.frombuffer(b"".join(encoded), np.uint8))


def strings(offsets: Any, data: Any) -> list[str]:
    return [bytes(data[a:b]).decode() for a, b in pairwise(offsets)]


def as_keys(*found: int) -> Any:
    return np.array(found, np.uint64)


@st.composite
def some_rates(draw_one: Any, names: Sequence[str]) -> dict[str, float]:
    chosen = draw_one(st.lists(st.sampled_from(names), unique=True, max_size=len(names)))
    total = draw_one(st.sampled_from([0.0, 0.05, 0.5, 1.0]))
    return {name: total / len(chosen) for name in chosen}


@settings(deadline=None)
@given(keys, st.integers(0, 2**31), st.integers(1, 2**31))
def test_draws_are_those_of_the_twin(key: int, count: int, number: int) -> None:
    bits = plain_draw(key, count)
    assert int(draw(np.uint64(key), count)) == bits
    assert below(np.uint64(bits), number) == plain_below(bits, number) < number


def test_draws_are_splitmix64() -> None:
    # The first outputs of the reference implementation with seed 1234567.
    assert [plain_draw(1234567, k) for k in range(3)] == [
        6457827717110365317, 3203168211198807973, 9817491932198370423,
    ]  # fmt: skip


def test_keys_depend_on_seed_name_and_purpose() -> None:
    found = [*keys_of(1, ["a", "b"], "x"), *keys_of(2, ["a"], "x"), *keys_of(1, ["a"], "y")]
    assert len(set(found)) == 4
    assert keys_of(1, ["b", "a"], "x").tolist() == keys_of(1, ["a", "b"], "x").tolist()[::-1]


def test_bounds_cover_everything_at_rate_one() -> None:
    assert bounds_of([0.5, 0.5]).tolist() == [2**63, 2**64 - 1]


@settings(deadline=None)
@given(
    st.lists(texts | noisy, min_size=1, max_size=4), keys, some_rates(noise_chars.OPERATIONS),
    st.sampled_from(sorted(LAYOUTS)),
)  # fmt: skip
def test_characters_are_those_of_the_twin(
    rows: list[str], key: int, rates: dict[str, float], layout: str
) -> None:
    row_keys = [(key + row) % 2**64 for row in range(len(rows))]
    noise = character_noise(rates, layout)
    offsets, data, edits = noise_characters(*buffers(rows), as_keys(*row_keys), noise)
    plain = [
        plain_noise_characters(*one, rates, layout) for one in zip(rows, row_keys, strict=True)
    ]
    assert strings(offsets, data) == [one.text for one in plain]
    assert edits.tolist() == [one.edits for one in plain]


@settings(deadline=None)
@given(st.lists(texts | noisy, min_size=1, max_size=4), keys, some_rates(noise_words.OPERATIONS))
def test_words_are_those_of_the_twin(rows: list[str], key: int, rates: dict[str, float]) -> None:
    row_keys = [(key + row) % 2**64 for row in range(len(rows))]
    noise = word_noise(rates, usable(WRONG))
    offsets, data, edits = noise_words.noise_words(*buffers(rows), as_keys(*row_keys), noise)
    known = usable(WRONG)
    plain = [plain_noise_words(*one, rates, known) for one in zip(rows, row_keys, strict=True)]
    assert strings(offsets, data) == [one.text for one in plain]
    assert edits.tolist() == [one.edits for one in plain]


@settings(deadline=None)
@given(
    st.lists(texts | noisy, min_size=1, max_size=4), keys, some_rates(noise_sentences.OPERATIONS)
)
def test_sentences_are_those_of_the_twin(
    rows: list[str], key: int, rates: dict[str, float]
) -> None:
    row_keys = [(key + row) % 2**64 for row in range(len(rows))]
    offsets, data, edits = shuffle_sentences(
        *buffers(rows), as_keys(*row_keys), sentence_bounds(rates)
    )
    plain = [plain_noise_sentences(*one, rates) for one in zip(rows, row_keys, strict=True)]
    assert strings(offsets, data) == [text for text, _ in plain]
    assert edits.tolist() == [counts for _, counts in plain]


@settings(deadline=None)
@given(
    st.lists(texts | noisy, min_size=1, max_size=4), keys,
    st.sampled_from([0.0, 0.15, 0.5, 1.0]), st.sampled_from([1.0, 2.5, 3.0, 10.0]), st.booleans(),
)  # fmt: skip
def test_masks_are_those_of_the_twin(
    rows: list[str], key: int, share: float, mean: float, poisson: bool
) -> None:
    row_keys = [(key + row) % 2**64 for row in range(len(rows))]
    mask = "<mask>" if poisson else "<extra_id_{n}>"
    masks = masking(share, mean, mask, poisson=poisson)
    inputs, targets, found = mask_spans(*buffers(rows), as_keys(*row_keys), masks)
    settings_ = PlainMasking(share, mean, mask, poisson)
    plain = [plain_mask_spans(*one, settings_) for one in zip(rows, row_keys, strict=True)]
    assert strings(*inputs) == [one.text for one in plain]
    assert strings(*targets) == [one.target for one in plain]
    assert found.tolist() == [one.found for one in plain]


@settings(deadline=None)
@given(texts | noisy, keys, st.sampled_from([0.15, 0.5, 1.0]), st.sampled_from([1.0, 3.0]))
def test_targets_of_t5_fill_the_masks(text: str, key: int, share: float, mean: float) -> None:
    masked = plain_mask_spans(
        text, key, PlainMasking(share, mean, "\ue000{n}\ue001", poisson=False)
    )
    filled = masked.text
    for number in range(masked.found[2]):
        sentinel, following = f"\ue000{number}\ue001", f"\ue000{number + 1}\ue001"
        words = masked.target.partition(f"{sentinel} ")[2].partition(f" {following}")[0]
        assert words
        filled = filled.replace(sentinel, words)
    assert filled == text
    assert masked.found[1] == int(len(word_spans(text)) * share + 0.5)


def run_chars(rows: list[str], rates: dict[str, float], key: int) -> tuple[list[str], Any]:
    noise = character_noise(rates, "qwerty")
    row_keys = keys_of(key, [str(k) for k in range(len(rows))], "x")
    offsets, data, edits = noise_characters(*buffers(rows), row_keys, noise)
    return strings(offsets, data), edits


def run_words(rows: list[str], rates: dict[str, float], key: int) -> tuple[list[str], Any]:
    row_keys = keys_of(key, [str(k) for k in range(len(rows))], "x")
    noise = word_noise(rates, usable(WRONG))
    offsets, data, edits = noise_words.noise_words(*buffers(rows), row_keys, noise)
    return strings(offsets, data), edits


def run_sentences(rows: list[str], rates: dict[str, float], key: int) -> tuple[list[str], Any]:
    row_keys = keys_of(key, [str(k) for k in range(len(rows))], "x")
    offsets, data, edits = shuffle_sentences(*buffers(rows), row_keys, sentence_bounds(rates))
    return strings(offsets, data), edits


Run = Callable[[list[str], dict[str, float], int], tuple[list[str], Any]]


@pytest.mark.parametrize("run", [run_chars, run_words, run_sentences])
@settings(deadline=None)
@given(rows=st.lists(texts | noisy, min_size=1, max_size=4), seed=st.integers(0, 2**62))
def test_rate_zero_is_identity(run: Run, rows: list[str], seed: int) -> None:
    found, edits = run(rows, {}, seed)
    assert found == rows
    assert edits.sum() == 0


@settings(deadline=None)
@given(rows=st.lists(texts | noisy, min_size=1, max_size=4), key=keys, poisson=st.booleans())
def test_masking_nothing_is_identity(rows: list[str], key: int, poisson: bool) -> None:
    masks = masking(0.0, 3.0, "<mask>" if poisson else "<{n}>", poisson=poisson)
    inputs, targets, _ = mask_spans(*buffers(rows), as_keys(*[key] * len(rows)), masks)
    assert strings(*inputs) == rows
    assert strings(*targets) == [""] * len(rows)


PROSE = (
    "The harbour's clerk wrote (in May 1798) that ships could not leave; \u00e0 propos, the ropes "
    'were frozen. \u00dcber allem: "No wind", he said, and no tide. Arn mw the rest.\n'
)


def within(hits: int, chances: int, rate: float) -> bool:
    """Says whether so many hits are likely: 4.9 standard deviations, once in a million."""
    return abs(hits - chances * rate) <= 4.9 * (chances * rate * (1 - rate)) ** 0.5 + 1


@pytest.mark.parametrize("rate", [0.01, 0.1, 0.6])
@pytest.mark.parametrize("name", noise_chars.OPERATIONS)
def test_measured_rate_of_characters_is_the_asked_one(name: str, rate: float) -> None:
    rates = {name: rate, ("case" if name != "case" else "delete"): 0.2}
    rows = [PROSE * 10] * 8
    _, edits = run_chars(rows, rates, 5)
    row_keys = keys_of(5, [str(k) for k in range(len(rows))], "x")
    plain = [
        plain_noise_characters(row, int(key), rates, "qwerty")
        for row, key in zip(rows, row_keys, strict=True)
    ]
    number = noise_chars.OPERATIONS.index(name)
    chances = sum(one.chances[number] for one in plain)
    assert chances > 100
    assert within(int(edits[:, number].sum()), chances, rate)


@pytest.mark.parametrize("rate", [0.02, 0.3])
@pytest.mark.parametrize("name", noise_words.OPERATIONS)
def test_measured_rate_of_words_is_the_asked_one(name: str, rate: float) -> None:
    rows = [PROSE * 20] * 10
    _, edits = run_words(rows, {name: rate}, 6)
    row_keys = keys_of(6, [str(k) for k in range(len(rows))], "x")
    number = noise_words.OPERATIONS.index(name)
    plain = [
        plain_noise_words(row, int(key), {name: rate}, usable(WRONG))
        for row, key in zip(rows, row_keys, strict=True)
    ]
    chances = sum(one.chances[number] for one in plain)
    assert chances > 100
    assert within(int(edits[:, number].sum()), chances, rate)


@pytest.mark.parametrize("rate", [0.1, 0.5])
@pytest.mark.parametrize("name", noise_sentences.OPERATIONS)
def test_measured_rate_of_sentences_is_the_asked_one(name: str, rate: float) -> None:
    rows = ["It is so. Is it? Well! Yes.\nNo. " * 20] * 20
    found, edits = run_sentences(rows, {name: rate}, 7)
    number = noise_sentences.OPERATIONS.index(name)
    assert within(int(edits[:, number].sum()), 20 * 20 * 5, rate)
    if name == "sentence_shuffle":
        assert [sorted(text.split()) for text in found] == [sorted(row.split()) for row in rows]


def test_shuffles_are_uniform() -> None:
    rows = ["A1. B2. C3."] * 6000
    found, _ = run_sentences(rows, {"sentence_shuffle": 1.0}, 8)
    counts = {text: found.count(text) for text in set(found)}
    assert len(counts) == 6
    assert all(within(count, 6000, 1 / 6) for count in counts.values())


@pytest.mark.parametrize("mean", [1.0, 3.0, 12.5])
def test_lengths_of_spans_are_poisson(mean: float) -> None:
    bounds = [int(bound) / 2**64 for bound in poisson_bounds(mean)]
    shares = np.diff([0.0, *bounds])
    numbers = np.arange(len(shares))
    assert abs((shares * numbers).sum() - mean) < 1e-9
    assert abs((shares * numbers**2).sum() - mean - mean**2) < 1e-6


def test_places_of_masks_are_uniform() -> None:
    masks = masking(0.25, 1.0, "_{n}", poisson=False)
    rows = ["a b c d"] * 4000
    row_keys = keys_of(1, [str(k) for k in range(4000)], "x")
    found = strings(*mask_spans(*buffers(rows), row_keys, masks)[0])
    for text in ("_0 b c d", "a _0 c d", "a b _0 d", "a b c _0"):
        assert within(found.count(text), 4000, 1 / 4)


def test_neighbours_are_mutual_and_near() -> None:
    for layout in LAYOUTS:
        found = neighbours(layout)
        lower = {char: others for char, others in found.items() if not char.isupper()}
        assert all(char in lower[other] for char, others in lower.items() for other in others)
        assert all(1 <= len(others) <= 8 for others in found.values()), layout
    assert set(neighbours("qwertz")["t"]) == {"5", "6", "r", "z", "f", "g"}
    assert set(neighbours("azerty")["z"]) == {"2", "3", "a", "e", "q", "s"}


def test_tables_change_what_they_are_for() -> None:
    for layout in LAYOUTS:
        for table in tables_of(layout).values():
            assert all(ord(char) < LIMIT for char in table)
            assert not any(char in others for char, others in table.items())
    assert tables_of("qwerty")["diacritics"]["\u1ec7"] == ["e"]
    assert len(spans.poisson_bounds(32.0)) < 200
