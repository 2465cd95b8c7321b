"""Forests: the kernel against plain Python, and files that are none."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.html.features import FEATURES
from curation.html.forest import (
    PROBABILITY,
    SCALE,
    Forest,
    load_forest,
    plain_odds,
    save_forest,
    score_blocks,
)
from curation.html.sums import BLOCKS, STRIDE, make_desk, padded


def make_forest(trees: int, depth: int, seed: int = 0) -> Forest:
    random = np.random.default_rng(seed)
    return Forest(
        random.integers(0, len(FEATURES), (trees, depth)).astype(np.int16),
        random.normal(size=(trees, depth)).astype(np.float32),
        random.integers(-3000, 3000, (trees, 1 << depth)).astype(np.int16),
        -77,
    )


@settings(deadline=None)  # the first call may compile
@given(
    blocks=st.integers(1, 70),
    trees=st.integers(0, 9),
    depth=st.integers(1, 7),
    seed=st.integers(0, 99),
)
def test_the_kernel_answers_as_plain_python(blocks: int, trees: int, depth: int, seed: int) -> None:
    forest = make_forest(trees, depth, seed)
    values = np.random.default_rng(seed).normal(size=(blocks, len(FEATURES))).astype(np.float32)
    values[0, :] = forest.borders.ravel()[0] if trees else 0  # on a border is not above it
    desk = make_desk(blocks, blocks, len(FEATURES))
    desk.page[BLOCKS], desk.page[STRIDE] = blocks, padded(blocks)
    table = desk.values.reshape(len(FEATURES), -1)
    table[:, :blocks] = values.T
    odds, places = np.zeros(blocks, np.int32), np.zeros(blocks, np.int32)
    score_blocks(desk, blocks, forest, places, odds)
    assert odds.tolist() == plain_odds(values, forest).tolist()


def test_a_forest_survives_its_file_and_gives_the_same_bytes(tmp_path: Path) -> None:
    forest = make_forest(5, 3)
    for name in ("one.npz", "two.npz"):
        save_forest(tmp_path / name, forest)
    found = load_forest(tmp_path / "one.npz")
    assert all(np.array_equal(one, two) for one, two in zip(found, forest, strict=True))
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()


def test_probabilities_are_logistic() -> None:
    half = len(PROBABILITY) // 2
    assert PROBABILITY[half] == 500_000
    assert PROBABILITY[half + SCALE] == pytest.approx(1e6 / (1 + np.exp(-1)), abs=1)
    assert (np.diff(PROBABILITY) >= 0).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"names": np.array(FEATURES[:-1])}, "made for other features"),
        ({"features": np.full((2, 3), len(FEATURES), np.int16)}, "do not fit together"),
        ({"features": np.full((2, 3), -1, np.int16)}, "do not fit together"),
        ({"features": np.zeros((2, 3), np.int64)}, "do not fit together"),
        ({"borders": np.zeros((2, 4), np.float32)}, "do not fit together"),
        ({"answers": np.zeros((2, 4), np.int16)}, "do not fit together"),
        ({"answers": np.array([None, 1], object)}, "no model of an extractor"),
        ({"bias": np.array([1, 2])}, "no model of an extractor"),
    ],
)
def test_what_the_kernel_could_not_walk_is_refused(
    tmp_path: Path, change: dict[str, np.ndarray], message: str
) -> None:
    parts = {"names": np.array(FEATURES), **make_forest(2, 3)._asdict(), **change}
    np.savez(tmp_path / "model.npz", **parts)
    with pytest.raises(ValueError, match=message):
        load_forest(tmp_path / "model.npz")


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04broken"])
def test_a_file_that_is_no_model_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"model.npz: no model of an extractor"):
        load_forest(tmp_path / "model.npz")
