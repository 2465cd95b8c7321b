"""How kernels are compiled: one pair of typed decorators, so that all of them agree on it.

numba ships no types, so a bare `njit` would make every kernel untyped to mypy. Kernels release the
GIL, and are cached on disk under the digest of all kernels' sources: numba by itself looks only at
the file of the kernel, and would go on using machine code of a helper that has been edited since.
"""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T", bound=np.generic)

int64 = cast("Callable[[Any], int]", np.int64)
"""Widens a byte or another small integer in a kernel, where `int` would give an unsigned one."""


_KERNELS = ("text", "html")
"""Packages whose functions call each other as machine code."""


def cache_directory() -> Path:
    """Returns where compiled kernels go: a directory for exactly these sources.

    In `$CURATION_HOME`, else in `curation` in `$XDG_CACHE_HOME`, else in `~/.cache/curation`.
    """
    digest = hashlib.blake2b(digest_size=8)
    package = Path(__file__).parents[1]
    for source in sorted(source for name in _KERNELS for source in (package / name).glob("*.py")):
        digest.update(source.read_bytes())
    if numba.config.BOUNDSCHECK:  # type: ignore[attr-defined]
        digest.update(b"bounds are checked")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    own = os.environ.get("CURATION_HOME")
    home = Path(own).expanduser() if own else Path(cache) / "curation"
    return home / f"kernels-{digest.hexdigest()}"


def _use_cache_directory() -> None:
    """Leaves numba its own choice where the directory cannot be made, or the user has chosen."""
    if os.environ.get("NUMBA_CACHE_DIR"):
        return
    try:
        directory = cache_directory()
        directory.mkdir(parents=True, exist_ok=True)
    except (OSError, RuntimeError):
        return
    if os.access(directory, os.W_OK):
        numba.config.CACHE_DIR = str(directory)  # type: ignore[attr-defined]


_use_cache_directory()


def read_only(array: npt.NDArray[T]) -> npt.NDArray[T]:
    """Returns a view that cannot be written: numba compiles a kernel for each of the two."""
    view = array.view()
    view.flags.writeable = False
    return view


_OPTIONS: dict[str, Any] = {"cache": True, "nogil": True, "error_model": "numpy"}

# Arrays are counted references to numba as well: without more said, a loop that looks into a tuple
# of arrays, or takes a part of one, counts up and down by atomic instructions. That was half the
# time of the Gopher kernel. Code that makes no array needs none of it.
_LEAN: dict[str, Any] = {**_OPTIONS, "_nrt": False}
_SUBROUTINE: dict[str, Any] = {**_OPTIONS, "no_cpython_wrapper": True}


def kernel(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a function that Python calls with whole arrays."""
    return cast("Callable[P, R]", numba.njit(**_OPTIONS)(function))


def inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a small function that only kernels call, once a character or oftener."""
    return cast("Callable[P, R]", numba.njit(forceinline=True, **_OPTIONS)(function))


def subroutine(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a larger function that only kernels call, once for all of its callers.

    What is inlined is compiled anew in each place, and compilation is felt at the first run.
    """
    return cast("Callable[P, R]", numba.njit(**_SUBROUTINE)(function))


def lean(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a kernel that makes no arrays: it counts no references, so it can be twice as fast.

    It can take parts of arrays, and look into tuples of them; what makes an array is refused.
    """
    return cast("Callable[P, R]", numba.njit(**_LEAN)(function))


def lean_inlined(function: Callable[P, R]) -> Callable[P, R]:
    """Compiles a small function likewise, into the kernels that call it."""
    return cast("Callable[P, R]", numba.njit(forceinline=True, **_LEAN)(function))
