"""Progress as JSON lines, and wall seconds by phase."""

import json
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any


class Progress:
    """Writes one JSON object a line; a reader that went away ends the run (BrokenPipeError)."""

    def __init__(self, stream: IO[str] | None, started: float) -> None:
        """Takes where to write (None: nowhere) and the `time.perf_counter()` of the start."""
        self._stream = stream
        self._started = started
        self.seconds: dict[str, float] = {}
        """Wall seconds of each phase so far."""

    def emit(self, event: str, **values: Any) -> None:
        """Writes one line. Numbers that JSON has no word for (nan, inf) become null."""
        if self._stream is None:
            return
        finite = {
            key: None if isinstance(value, float) and not math.isfinite(value) else value
            for key, value in values.items()
        }
        print(json.dumps({"event": event, **finite}), file=self._stream, flush=True)

    def total(self) -> float:
        """Returns the seconds since the start."""
        return time.perf_counter() - self._started

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Announces a phase and adds its seconds to `seconds[name]`."""
        self.emit("phase", name=name, seconds=round(self.total(), 3))
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - begun
