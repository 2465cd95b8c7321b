"""Bounded waiting for what a server writes down a moment later."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(read: Callable[[], T], seconds: float = 60.0) -> T:
    """Calls `read` until it returns something true; fails with what it last returned."""
    deadline = time.monotonic() + seconds
    while not (found := read()):
        assert time.monotonic() < deadline, f"not within {seconds:.0f} s; last: {found!r}"
        time.sleep(0.25)
    return found
