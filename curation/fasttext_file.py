"""Classifiers in fastText's own files (.bin, and quantised .ftz), read and folded for the kernel.

`read_linear` reads a file of version 11 or 12 and folds it: `curation.text.linear` says why and how
it scores. Folding takes one pass over the matrix of the file, which is never held in memory whole,
and leaves 4 bytes a feature where there are two labels.

Not every model can be folded: a hierarchical softmax, or more than `MOST_LABELS` labels. Such a
model is run by fastText itself.
"""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
import numpy.typing as npt

from curation.buffers import TextBuffers
from curation.text.linear import (
    END,
    LABEL_PREFIX,
    Linear,
    Shape,
    add_products,
    logits,
    make_slots,
    plain_tokens,
)

MOST_LABELS = 64
"""With more labels, one number for each is no saving over the vectors themselves."""

_MAGIC = 793712314
_SUPERVISED, _NEGATIVE, _SOFTMAX, _ONE_VS_ALL = 3, 2, 3, 4
_CENTROIDS = 256
_ROWS_AT_ONCE = 1 << 16
_MOST_BUCKETS = 1 << 28

Floats = npt.NDArray[np.float32]


class Arguments(NamedTuple):
    """What a model was trained with, in the order of the file."""

    dim: int
    ws: int
    epoch: int
    min_count: int
    neg: int
    word_ngrams: int
    loss: int
    model: int
    bucket: int
    minn: int
    maxn: int
    lr_update_rate: int


class Header(NamedTuple):
    """A model's arguments and dictionary."""

    arguments: Arguments
    words: tuple[bytes, ...]
    labels: tuple[str, ...]
    """Without `__label__`."""
    places: npt.NDArray[np.int32] | None
    """int32[bucket]: what became of hashed features when the model was pruned, -1: cut off."""
    quantised: bool

    @property
    def foldable(self) -> bool:
        """Says whether the model can be folded."""
        loss = self.arguments.loss in (_NEGATIVE, _SOFTMAX, _ONE_VS_ALL)
        return loss and len(self.labels) <= MOST_LABELS


class FormatError(ValueError):
    """A file is no fastText classifier, or is damaged."""


class Classifier(NamedTuple):
    """A loaded classifier that gives one label's probability."""

    labels: tuple[str, ...]
    linear: Linear | None
    """The folded model; None where the library runs it."""
    library: Any
    """fastText's own model where it could not be folded."""
    label: int
    """Number of the label that is scored."""
    softmax: bool

    def scores(self, texts: TextBuffers) -> npt.NDArray[np.float64]:
        """Returns the label's probability for n texts, float64[n], 0 to 1, to twelve decimals.

        The label of a text without any feature of the model has probability 0.
        """
        if self.linear is None:
            found = np.array([self._ask(bytes(text)) for text in _rows(texts)], np.float64)
        else:
            found = self._probability(logits(*texts, self.linear))
        rounded: npt.NDArray[np.float64] = np.nan_to_num(np.clip(found, 0.0, 1.0)).round(12)
        return rounded

    def _probability(self, values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        if values.shape[1] > 1:
            shares = np.exp(values - values.max(axis=1, keepdims=True))
            shared: npt.NDArray[np.float64] = shares[:, self.label] / shares.sum(axis=1)
            return shared
        # exp of what overflows is infinity, and the probability 0: no reason to warn.
        with np.errstate(over="ignore"):
            single: npt.NDArray[np.float64] = 1.0 / (1.0 + np.exp(-values[:, 0]))
        return single

    def _ask(self, text: bytes) -> float:
        line = b" ".join(plain_tokens(text)).decode("utf-8", "replace")
        wanted = LABEL_PREFIX.decode() + self.labels[self.label]
        for probability, label in self.library.f.predict(line + "\n", -1, 0.0, "strict"):
            if label == wanted:
                return float(probability)
        return 0.0


def _rows(texts: TextBuffers) -> Iterator[npt.NDArray[np.uint8]]:
    for start, end in zip(texts.offsets[:-1], texts.offsets[1:], strict=True):
        yield texts.data[start:end]


@lru_cache(maxsize=4)
def read_header(path: Path, digest: str) -> Header:  # noqa: ARG001 - a changed file is another one
    """Reads arguments, words and labels of a model.

    Args:
        path: The file.
        digest: Of its content; a model is read once per process and content.

    Raises:
        FormatError: The file is no fastText classifier; one line.
    """
    with _reading(path) as file:
        return _read_header(file)


@lru_cache(maxsize=4)
def load_classifier(path: Path, digest: str, label: str) -> Classifier:
    """Loads a model for the score of one of its labels, once per process.

    Args:
        path: The file.
        digest: Of its content.
        label: One of `Header.labels`.

    Raises:
        FormatError: The file is no fastText classifier; one line.
    """
    header = read_header(path, digest)
    number, softmax = header.labels.index(label), header.arguments.loss == _SOFTMAX
    with _reading(path) as file:
        # For the library, too: it does not notice that a file ends too early.
        header, features, output = _read_all(file)
        linear = None
        if header.foldable:
            vectors = np.concatenate(list(output.blocks(path)))
            wanted = _wanted(vectors, number, softmax=softmax)
            linear = _linear(header, _folded(features.blocks(path), features.rows, wanted))
    library = None
    if linear is None:
        import fasttext

        library = fasttext.load_model(str(path))
    return Classifier(header.labels, linear, library, number, softmax)


@contextmanager
def _reading(path: Path) -> Iterator[IO[bytes]]:
    try:
        with open(path, "rb") as file:
            yield file
    except (struct.error, ValueError, IndexError) as error:
        message = str(error) if isinstance(error, FormatError) else f"it is damaged ({error})"
        raise FormatError(f"model '{path}' is no fastText classifier: {message}") from error


def _read_header(file: IO[bytes]) -> Header:
    magic, version = _unpack("<ii", file)
    if magic != _MAGIC:
        raise FormatError("its first bytes are others; expected a .bin or .ftz file")
    if version not in (11, 12):
        raise FormatError(f"version {version} of the format; expected 11 or 12")
    arguments = Arguments(*_unpack("<12i", file))
    _unpack("<d", file)
    if arguments.model != _SUPERVISED:
        raise FormatError("it holds word vectors and no labels; expected a supervised model")
    if version == 11:
        arguments = arguments._replace(maxn=0)
    if not 0 <= arguments.bucket <= _MOST_BUCKETS:
        raise FormatError(f"it has {arguments.bucket} buckets")
    _, words, labels = _unpack("<iii", file)
    _, pruned = _unpack("<qq", file)
    entries = _read_entries(file, words + labels)
    places = None
    if pruned >= 0:
        pairs = np.frombuffer(_exactly(file, 8 * pruned), "<i4").reshape(-1, 2)
        places = np.full(arguments.bucket, -1, np.int32)
        places[pairs[:, 0]] = pairs[:, 1]
    names = tuple(
        entry.decode("utf-8", "replace").removeprefix(LABEL_PREFIX.decode())
        for entry in entries[words:]
    )
    if not names:
        raise FormatError("it has no labels; expected a supervised model")
    [quantised] = _unpack("<?", file)
    return Header(arguments, tuple(entries[:words]), names, places, quantised)


def _read_entries(file: IO[bytes], count: int) -> list[bytes]:
    """Reads words that end in NUL, each followed by its count (8 bytes) and its type (1 byte)."""
    start, held = file.tell(), b""
    entries: list[bytes] = []
    at = 0
    while len(entries) < count:
        end = held.find(b"\0", at)
        if end < 0 or end + 10 > len(held):
            more = file.read(1 << 20)
            if not more:
                raise FormatError("it is damaged or cut off")
            start, held, at = start + at, held[at:] + more, 0
            continue
        entries.append(held[at:end])
        at = end + 10
    file.seek(start + at)
    return entries


def _read_all(file: IO[bytes]) -> "tuple[Header, _Matrix, _Matrix]":
    """Reads the header, and where the vectors of features and of labels are."""
    header = _read_header(file)
    features = _matrix(file, quantised=header.quantised)
    [quantised_output] = _unpack("<?", file)
    output = _matrix(file, quantised=header.quantised and quantised_output)
    _check_sizes(header, features, output)
    return header, features, output


def _folded(blocks: Iterator[Floats], rows: int, labels: Floats) -> Floats:
    """Returns the products of all feature vectors with the labels, float32[rows, labels]."""
    weights = np.empty((rows, len(labels)), np.float32)
    at = 0
    for block in blocks:
        add_products(block, labels, weights[at : at + len(block)])
        at += len(block)
    return weights


def _linear(header: Header, weights: Floats) -> Linear:
    offsets = np.cumsum([0, *map(len, header.words)])
    text = np.frombuffer(b"".join(header.words) or b"\0", np.uint8)
    slots = np.full(1 << (2 * len(header.words) + 2).bit_length(), -1, np.int32)
    make_slots(text, offsets, slots)
    arguments, places = header.arguments, header.places
    cut = places is not None and not (places >= 0).any()
    shape = Shape(
        ngrams=max(arguments.word_ngrams, 1),
        min_chars=arguments.minn,
        max_chars=arguments.maxn,
        buckets=0 if cut else arguments.bucket,
        words=len(header.words),
        end=header.words.index(END) if END in header.words else -1,
    )
    return Linear(
        text, offsets, slots, np.empty(0, np.int32) if places is None else places, weights, shape
    )


def _check_sizes(header: Header, features: "_Matrix", output: "_Matrix") -> None:
    """Refuses a file whose dictionary would lead the kernel beyond the matrix."""
    hashed = header.arguments.bucket
    if header.places is not None:
        hashed = int(header.places.max(initial=-1)) + 1
    if features.rows < len(header.words) + max(hashed, 0) or hashed < 0:
        raise FormatError(
            f"it has {features.rows} vectors for {len(header.words)} words and {hashed} buckets"
        )
    if output.rows != len(header.labels) or output.dim != features.dim:
        raise FormatError(f"its {output.rows} label vectors do not fit its labels")


def _wanted(labels: Floats, label: int, *, softmax: bool) -> Floats:
    """Returns the vectors that decide about a label: of two, their difference does."""
    if not softmax:
        return labels[label : label + 1]
    if len(labels) == 2:
        difference: Floats = labels[label : label + 1] - labels[1 - label : 2 - label]
        return difference
    return labels


class _Matrix(NamedTuple):
    """A matrix of the file that is read block by block."""

    rows: int
    dim: int
    start: int
    quantiser: "_Quantiser | None" = None
    norms: Floats | None = None
    """float32[rows] of a quantised matrix whose norms were parted."""

    def blocks(self, path: Path) -> Iterator[Floats]:
        """Yields all rows as float32[n, dim], n up to `_ROWS_AT_ONCE`."""
        width = self.dim * 4 if self.quantiser is None else self.quantiser.parts
        with open(path, "rb") as file:
            file.seek(self.start)
            for first in range(0, self.rows, _ROWS_AT_ONCE):
                rows = min(_ROWS_AT_ONCE, self.rows - first)
                data = _exactly(file, rows * width)
                if self.quantiser is None:
                    yield np.frombuffer(data, "<f4").reshape(rows, self.dim)
                    continue
                codes = np.frombuffer(data, np.uint8).reshape(rows, width)
                block = self.quantiser.decoded(codes)
                if self.norms is not None:
                    block = block * self.norms[first : first + rows, None]
                yield block


class _Quantiser(NamedTuple):
    """Centroids of a product quantiser."""

    parts: int
    size: int
    last_size: int
    centroids: Floats
    """float32, those of part 0 first; the last part's may be shorter."""

    def decoded(self, codes: npt.NDArray[np.uint8]) -> Floats:
        """Returns the rows of codes, uint8[n, parts], as float32[n, dim]."""
        columns = []
        for part in range(self.parts):
            size = self.last_size if part == self.parts - 1 else self.size
            start = part * _CENTROIDS * self.size
            table = self.centroids[start : start + _CENTROIDS * size].reshape(_CENTROIDS, size)
            columns.append(table[codes[:, part]])
        return np.ascontiguousarray(np.concatenate(columns, axis=1))


def _matrix(file: IO[bytes], *, quantised: bool) -> _Matrix:
    """Reads what precedes and follows a matrix, and leaves the file after it."""
    if not quantised:
        count, dim = _unpack("<qq", file)
        start = file.tell()
        _skip(file, count * dim * 4)
        return _Matrix(count, dim, start)
    [has_norms] = _unpack("<?", file)
    count, dim = _unpack("<qq", file)
    [codes] = _unpack("<i", file)
    start = file.tell()
    _skip(file, codes)
    quantiser = _quantiser(file)
    norms = None
    if has_norms:
        norm_codes = np.frombuffer(_exactly(file, count), np.uint8).reshape(-1, 1)
        norms = _quantiser(file).decoded(norm_codes)[:, 0]
    return _Matrix(count, dim, start, quantiser, norms)


def _quantiser(file: IO[bytes]) -> _Quantiser:
    dim, parts, size, last_size = _unpack("<4i", file)
    return _Quantiser(
        parts, size, last_size, np.frombuffer(_exactly(file, dim * _CENTROIDS * 4), "<f4")
    )


def _skip(file: IO[bytes], count: int) -> None:
    """Moves on by some bytes, which must be there."""
    if count < 0:
        raise FormatError("it is damaged")
    at = file.tell()
    if file.seek(0, 2) < at + count:
        raise FormatError("it is cut off")
    file.seek(at + count)


def _exactly(file: IO[bytes], count: int) -> bytes:
    at = file.tell()
    _skip(file, count)  # a damaged number may ask for more than the memory holds
    file.seek(at)
    data = file.read(count)
    if len(data) != count:
        raise FormatError("it is damaged or cut off")
    return data


def _unpack(form: str, file: IO[bytes]) -> tuple[Any, ...]:
    return struct.unpack(form, _exactly(file, struct.calcsize(form)))
