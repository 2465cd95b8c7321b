"""Small static embedding models for tests: a vector for each of some words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from curation.static_model import save_words


def make_static_model(directory: Path, vectors: Mapping[str, Sequence[float]]) -> Path:
    """Writes a model that knows these words, each with its vector; makes the directory."""
    directory.mkdir(parents=True, exist_ok=True)
    save_words(directory, vectors)
    return directory


def random_vectors(
    words: Sequence[str], dimensions: int, seed: int = 1
) -> dict[str, Sequence[float]]:
    """A vector of numbers from -50 to 50 for each word, so that sums are exact."""
    rng = np.random.default_rng(seed)
    return {word: rng.integers(-50, 51, dimensions).tolist() for word in words}
