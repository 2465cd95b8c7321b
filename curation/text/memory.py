"""Loads and stores in kernels that trust their position.

To numba a position may count from the end, so each `array[at]` asks first whether `at` is negative.
Where LLVM cannot prove that it is not, a loop over bytes loses more than half of its speed to that,
and eight bytes do not become one load. Here the caller minds the bounds; with NUMBA_BOUNDSCHECK=1
a position outside raises IndexError, as it does elsewhere.
"""

from collections.abc import Callable
from typing import Any, cast

import numba
import numpy as np
import numpy.typing as npt
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic


def _place(context: Any, builder: Any, array_type: Any, values: Any, size: int = 1) -> Any:
    """Returns the pointer to `array[at]`, of which `size` elements are touched."""
    array = context.make_array(array_type)(context, builder, values[0])
    if numba.config.BOUNDSCHECK:  # type: ignore[attr-defined]
        (length,) = cgutils.unpack_tuple(builder, array.shape, 1)  # type: ignore[no-untyped-call]
        within = builder.sub(length, length.type(size - 1))
        cgutils.do_boundscheck(context, builder, values[1], within)  # type: ignore[no-untyped-call]
    return builder.gep(array.data, [values[1]])


def _word(bits: int) -> Callable[[npt.NDArray[np.uint8], int], np.uint64]:
    """Makes the unaligned load of a little-endian word of bytes."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        place = _place(context, builder, signature.args[0], values, bits // 8)
        pointer = context.get_value_type(getattr(types, f"uint{bits}")).as_pointer()
        word = builder.load(builder.bitcast(place, pointer))
        word.align = 1
        return builder.zext(word, context.get_value_type(types.uint64))

    def typed(_: Any, data: Any, at: Any) -> tuple[Any, Any]:  # noqa: ARG001
        return types.uint64(data, types.intp), generate

    return cast("Callable[[npt.NDArray[np.uint8], int], np.uint64]", intrinsic(typed))


word64 = _word(64)
"""The eight bytes from a position on, as one little-endian number."""
word32 = _word(32)
"""The four bytes from a position on, as one little-endian number."""


def _load(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    return builder.load(_place(context, builder, signature.args[0], values))


def _store(context: Any, builder: Any, signature: Any, values: Any) -> Any:
    builder.store(values[2], _place(context, builder, signature.args[0], values))
    return context.get_dummy_value()


def _typed_peek(_: Any, array: Any, at: Any) -> tuple[Any, Any] | None:  # noqa: ARG001
    if array.ndim != 1 or array.layout != "C":
        return None  # numba says that there is no such function for these types
    return array.dtype(array, types.intp), _load


def _typed_poke(_: Any, array: Any, at: Any, value: Any) -> tuple[Any, Any] | None:  # noqa: ARG001
    if array.ndim != 1 or array.layout != "C" or not array.mutable:
        return None
    return types.void(array, types.intp, array.dtype), _store


peek = cast("Callable[[npt.NDArray[Any], int], Any]", intrinsic(_typed_peek))
"""`array[at]`, of a contiguous array of numbers."""
poke = cast("Callable[[npt.NDArray[Any], int, Any], None]", intrinsic(_typed_poke))
"""`array[at] = value`, into a contiguous array of numbers."""
