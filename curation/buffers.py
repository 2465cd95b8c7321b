"""The bridge from Arrow string columns to kernels: the offsets and the bytes, without a copy."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa


class TextBuffers(NamedTuple):
    """The texts of n rows: row k is `data[offsets[k] : offsets[k + 1]]`, UTF-8."""

    offsets: npt.NDArray[np.int64]
    """int64[n + 1], ascending, read-only; the first need not be 0."""
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
        return TextBuffers(_view(np.zeros(1, np.int64), np.int64), _view(None, np.uint8))
    spans = _view(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    return TextBuffers(spans, _view(data, np.uint8))


def _view(buffer: Any, dtype: type[np.generic]) -> npt.NDArray[Any]:
    # Arrow's own buffers are writable and mapped files are not: made equal, so that every kernel
    # is compiled once. An empty buffer has no address, where kernels want an array.
    array = np.frombuffer(b"" if buffer is None else buffer, dtype)
    array.flags.writeable = False
    return array
