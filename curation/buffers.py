"""The bridge from Arrow string columns to kernels: the offsets and the bytes, without a copy."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class TextBuffers(NamedTuple):
    """The texts of n rows: row k is `data[offsets[k] : offsets[k + 1]]`, UTF-8."""

    offsets: npt.NDArray[np.int64]
    """int64[n + 1], ascending; the first need not be 0."""
    data: npt.NDArray[np.uint8]
    """uint8, read-only."""


def text_buffers(texts: pa.Array) -> TextBuffers:
    """Returns the buffers of a string column; slices and 32-bit strings work, null rows are empty.

    Args:
        texts: A large_string or string array (or what casts to it), not chunked.
    """
    if texts.type != pa.large_string():
        texts = texts.cast(pa.large_string())
    if texts.null_count:
        texts = texts.fill_null("")
    _, offsets, data = texts.buffers()
    if len(texts) == 0 or offsets is None:
        return TextBuffers(np.zeros(1, np.int64), _bytes(None))
    spans = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return TextBuffers(spans, _bytes(data))


def _bytes(data: pa.Buffer | None) -> npt.NDArray[np.uint8]:
    # An empty buffer has no address: kernels get a real one of length 0, read-only like the others.
    return np.frombuffer(b"" if data is None else data, np.uint8)
