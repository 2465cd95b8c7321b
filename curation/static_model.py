"""Static embedding models: two files, `model.safetensors` and `tokenizer.json`, and nothing else.

That is what Model2Vec and the `StaticEmbedding` of sentence-transformers write, and what the wheel
of WordLlama carries under other names. The files are read here, by `safetensors` and `tokenizers`:
no code of a model is run, nothing is unpickled, and nothing is fetched. WordLlama's own loader is
not used: that of 0.4.0 looks for its tokenizer in the wrong folder and then asks the network.
"""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.plainfile import digest_of_all
from curation.text.embed import embed, largest_number, whole_numbers

WORDLLAMA = "wordllama"
"""Name of the model that a package brings: 256 numbers for each of LLaMA 2's 32,000 tokens."""

_WEIGHTS, _TOKENIZER = "model.safetensors", "tokenizer.json"
_WORDLLAMA_FILES = (
    "weights/l2_supercat_256.safetensors",
    "tokenizers/l2_supercat_tokenizer_config.json",
)
_VECTORS = ("embeddings", "embedding.weight")
"""What Model2Vec calls the vectors, and what sentence-transformers and WordLlama do."""

_INSTALL = 'install it with: pip install "curation[semantic]"'


class ModelFiles(NamedTuple):
    """Where a model lies."""

    weights: Path
    tokenizer: Path

    def digest(self) -> str:
        """Returns the SHA-256 of both contents, whatever the files are called."""
        return digest_of_all(zip((_WEIGHTS, _TOKENIZER), self, strict=True))


class StaticModel(NamedTuple):
    """A loaded model."""

    tokenizer: Any
    table: npt.NDArray[np.int16]
    """int16[v, d]: the vectors of the tokens, in whole numbers; 0 for the unknown token."""

    def embed(self, texts: list[str]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.int64]]:
        """Embeds n texts.

        Returns:
            int16[n, d], the embeddings, all 0 where there is none; and int64[n], how many tokens
            each text has, unknown ones included.
        """
        with _one_thread():
            found = self.tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        bounds = np.zeros(len(texts) + 1, np.int64)
        np.cumsum([len(encoding) for encoding in found], out=bounds[1:])
        tokens = np.empty(bounds[-1], np.int32)
        for row, encoding in enumerate(found):
            tokens[bounds[row] : bounds[row + 1]] = encoding.ids
        largest = largest_number(self.table.shape[1])
        return embed(tokens, bounds, self.table, largest), np.diff(bounds)


def find_model(name: str) -> ModelFiles:
    """Returns the files of a model.

    Args:
        name: "wordllama", or a directory.

    Raises:
        ValueError: The model or what reads it is not there; one line.
    """
    for package in ("safetensors", "tokenizers"):
        if find_spec(package) is None:
            raise ValueError(f"model '{name}' needs {package}, which is not installed; {_INSTALL}")
    if name == WORDLLAMA:
        return _wordllama()
    files = ModelFiles(Path(name) / _WEIGHTS, Path(name) / _TOKENIZER)
    for path in files:
        if not path.is_file():
            raise ValueError(
                f"model '{name}': {path.name} is not there; expected a directory with {_WEIGHTS} "
                f'and {_TOKENIZER} of a static model, or "{WORDLLAMA}"'
            )
    return files


def save_words(directory: Path, vectors: Mapping[str, Sequence[float]]) -> None:
    """Writes a model of one token for each of some words, and one for all others: for trials.

    Args:
        directory: Where its two files go; it exists.
        vectors: Words in lower case, each with its vector; all of one length.
    """
    from safetensors.numpy import save_file
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

    unknown = "[UNK]"
    numbers = {word: number for number, word in enumerate([unknown, *vectors])}
    tokenizer = Tokenizer(models.WordLevel(numbers, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(directory / _TOKENIZER))
    rows = list(vectors.values())
    table = np.array([[1] * len(rows[0]), *rows], np.float32)
    save_file({_VECTORS[0]: table}, directory / _WEIGHTS)


def _wordllama() -> ModelFiles:
    package = find_spec(WORDLLAMA)
    if package is None or not package.submodule_search_locations:
        raise ValueError(
            f"model '{WORDLLAMA}' is not installed; {_INSTALL}, "
            "or name the directory of another static model"
        )
    files = ModelFiles(*(Path(package.submodule_search_locations[0], f) for f in _WORDLLAMA_FILES))
    for path in files:
        if not path.is_file():
            raise ValueError(
                f"model '{WORDLLAMA}': the package installed has no {path.name}; "
                f"expected version 0.4; {_INSTALL}"
            )
    return files


@lru_cache(maxsize=2)
def load_model(files: ModelFiles, digest: str) -> StaticModel:  # noqa: ARG001 - names the content
    """Loads a model, once per process and content.

    Args:
        files: Where it lies.
        digest: Of its content.

    Raises:
        ValueError: A file is damaged, or the two do not belong together; one line.
    """
    tokenizer = _read_tokenizer(files.tokenizer)
    vectors = _read_vectors(files.weights)
    last = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=-1)
    if last >= len(vectors):
        raise ValueError(
            f"model '{files.weights.parent}': {files.tokenizer.name} has tokens up to number "
            f"{last}, but {files.weights.name} has {len(vectors)} vectors; expected files that "
            "were saved together"
        )
    table = whole_numbers(vectors)
    unknown = _unknown_token(tokenizer)
    if unknown is not None:
        table[unknown] = 0  # says nothing about a text
    return StaticModel(tokenizer, table)


def _read_tokenizer(path: Path) -> Any:
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises nothing more special
        raise ValueError(_damaged(path, error, "a tokenizer of the library tokenizers")) from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def _unknown_token(tokenizer: Any) -> int | None:
    """Returns the number of the unknown token; None where every text has tokens of its own."""
    model = tokenizer.model
    number: int | None
    if not hasattr(model, "unk_token"):  # of Unigram, the library tells it only in its file
        number = json.loads(tokenizer.to_str())["model"].get("unk_id")
    else:
        number = None if model.unk_token is None else tokenizer.token_to_id(model.unk_token)
    return number


def _read_vectors(path: Path) -> npt.NDArray[Any]:
    """Returns numbers of any kind, [v, d]: for each token its vector, times its weight if any."""
    tensors = _read_tensors(path)
    vectors = next((tensors[name] for name in _VECTORS if name in tensors), None)
    if vectors is None or vectors.ndim != 2 or not vectors.size:
        found = ", ".join(f"{name} {list(tensors[name].shape)}" for name in sorted(tensors))
        raise ValueError(
            f"model '{path}': found tensors {found or 'none'}; expected one of two dimensions "
            f"called {' or '.join(_VECTORS)}, as static models have it"
        )
    try:  # Model2Vec can share a vector among tokens, and keep the weights of tokens apart
        if "mapping" in tensors:
            vectors = vectors[tensors["mapping"]]
        if "weights" in tensors:
            weights = tensors["weights"].astype(np.float32).reshape(-1, 1)
            vectors = vectors.astype(np.float32) * weights
    except (IndexError, ValueError) as error:
        raise ValueError(_damaged(path, error, "weights and mapping of every token")) from error
    if not np.isfinite(vectors).all():
        raise ValueError(f"model '{path}' has vectors that are not finite; fetch it again")
    return vectors


def _read_tensors(path: Path) -> dict[str, npt.NDArray[Any]]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            return {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, TypeError, AttributeError) as error:
        raise ValueError(_damaged(path, error, "tensors that numpy has numbers for")) from error


def _damaged(path: Path, error: Exception, expected: str) -> str:
    told = " ".join(str(error).split())
    return f"model '{path}' cannot be read ({told}); expected {expected}; fetch it again"


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keeps `tokenizers` from threads of its own: how many cores work is said by the workers."""
    name = "TOKENIZERS_PARALLELISM"
    before = os.environ.get(name)
    os.environ[name] = "false"
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before
