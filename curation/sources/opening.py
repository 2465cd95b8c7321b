"""Opening input files, local or behind fsspec, and reading them at any byte offset."""

from typing import Any

import fsspec

from curation.errors import DataError
from curation.source import InputFile

BLOCK = 1 << 20
"""Bytes read at once: large enough that a remote file system is not asked too often."""


class RawFile:
    """The stored bytes of an input file, read through one window of about a megabyte.

    Memory does not grow with the file. A file system that cannot seek is read forward only.

    Raises:
        DataError: The file cannot be opened, or fails while it is read.
    """

    def __init__(self, file: InputFile) -> None:
        self.file = file
        self.name = file.name
        self._handle = _open(file)
        self.seekable = _can_seek(self._handle)
        """The file can be read at any offset, not only from start to end."""
        self._window = memoryview(b"")
        self._start = 0
        self._next = 0

    def __enter__(self) -> "RawFile":
        return self

    def __exit__(self, *_: object) -> None:
        self._handle.close()

    def seekable_handle(self) -> Any:
        """Returns the open file, for readers that seek for themselves."""
        if not self.seekable:
            raise self._forward_only(0)
        return self._handle

    def at(self, offset: int, count: int = BLOCK) -> memoryview:
        """Returns 1 to `count` bytes that lie at `offset`; nothing only at the end of the file."""
        inside = offset - self._start
        if not 0 <= inside < len(self._window):
            if not self._load(offset, count):
                return memoryview(b"")
            inside = 0
        return self._window[inside : inside + count]

    def all_at(self, offset: int, count: int) -> bytes:
        """Returns `count` bytes at `offset`, fewer only at the end of the file."""
        if len(part := self.at(offset, count)) == count:
            return bytes(part)
        parts: list[bytes] = []
        while count > 0 and (part := self.at(offset, count)):
            parts.append(bytes(part))
            offset += len(part)
            count -= len(part)
        return b"".join(parts)

    def _load(self, offset: int, count: int) -> bool:
        try:
            if offset != self._next:
                if not self.seekable:
                    raise self._forward_only(offset)
                self._handle.seek(offset)
            data = self._handle.read(max(count, BLOCK)) or b""
        except DataError:
            raise
        # Every file system behind fsspec brings its own errors (aiohttp's, botocore's).
        except Exception as error:
            raise _failed(self.name, "reading it failed", error) from error
        self._next = offset + len(data)
        if data:  # else the window stays: what begins the file is asked for again
            self._window, self._start = memoryview(data), offset
        return bool(data)

    def _forward_only(self, offset: int) -> DataError:
        return DataError(
            f"input file {self.name}: can be read from start to end only (wanted byte {offset}); "
            "expected a file system that answers byte ranges; download the file first"
        )


def _open(file: InputFile) -> Any:
    try:
        if "://" not in file.url:
            # Not through fsspec: it reads "::" and "*" in a local name as its own syntax.
            return open(file.url, "rb", buffering=0)
        return fsspec.open(file.url, "rb").open()
    except Exception as error:
        raise _failed(file.name, "it cannot be opened", error) from error


def _can_seek(handle: Any) -> bool:
    """Tries it: fsspec's stream of a server without byte ranges says yes and then refuses."""
    if not handle.seekable():
        return False
    try:
        handle.seek(1)
        handle.seek(0)
    except (OSError, ValueError):
        return False
    return True


def _failed(name: str, what: str, error: Exception) -> DataError:
    reason = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror
    return DataError(
        f"input file {name}: {what} ({reason}); expected a readable file; "
        "check that it is there and its permissions, then run again"
    )
