"""How kernels are compiled: one pair of typed decorators, so that all of them agree on it.

numba ships no types, so a bare `njit` would make every kernel untyped to mypy. Kernels are cached
on disk beside their source and release the GIL.
"""

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, cast

import numpy as np
from numba import njit

P = ParamSpec("P")
R = TypeVar("R")

int64 = cast("Callable[[Any], int]", np.int64)
"""Widens a byte or another small integer in a kernel, where `int` would give an unsigned one."""


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function that Python calls with whole arrays.

    Trap: numba looks only at the file of the kernel itself to see whether its cache is still good.
    After an edit of a function that kernels of *other* files call, touch those files (or remove
    their `__pycache__`).
    """
    return cast("Callable[P, R]", njit(cache=True, nogil=True, error_model="numpy")(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a small function that only kernels call, once a character or oftener."""
    options: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}
    return cast("Callable[P, R]", njit(forceinline=True, **options)(function))
