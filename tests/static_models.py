"""Small static embedding models for tests: a vector for each of some words."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer, normalizers, pre_tokenizers
from tokenizers.models import WordLevel

UNKNOWN = "[UNK]"


def word_tokenizer(words: Sequence[str]) -> Tokenizer:
    """One token for each word in lower case; number 0 is the unknown one."""
    numbers = {word: number for number, word in enumerate([UNKNOWN, *words])}
    tokenizer = Tokenizer(WordLevel(numbers, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return tokenizer


def make_static_model(
    directory: Path, vectors: Mapping[str, Sequence[float]], *, tensor: str = "embeddings"
) -> Path:
    """Writes a model that knows these words, each with its vector."""
    directory.mkdir(parents=True, exist_ok=True)
    rows = list(vectors.values())
    table = np.array([np.ones_like(rows[0]), *rows], np.float32)
    save_file({tensor: table}, directory / "model.safetensors")
    word_tokenizer(list(vectors)).save(str(directory / "tokenizer.json"))
    return directory


def random_vectors(
    words: Sequence[str], dimensions: int, seed: int = 1
) -> dict[str, Sequence[float]]:
    """A vector of numbers from -50 to 50 for each word, so that sums are exact."""
    rng = np.random.default_rng(seed)
    return {word: rng.integers(-50, 51, dimensions).tolist() for word in words}
