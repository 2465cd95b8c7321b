"""Translations on disk: none is made twice, whatever was killed in between.

One SQLite file per machine, in which several worker processes read and write at once. A batch of
translations goes in as one transaction, so it is there whole or not at all. A key is the digest of
everything that decides a translation: engine, model, decoding, direction, sentence and, where
words are drawn, the seed. So a cache may be shared by all recipes, and deleted at any time.
"""

import hashlib
import os
import sqlite3
import threading
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import lru_cache
from pathlib import Path

from curation.errors import DataError
from curation.translation.engine import Translated

Key = bytes

_VERSION = 1  # of the table; part of the file's name
_WAIT_SECONDS = 120.0
_AT_ONCE = 500  # SQLite before 3.32 takes 999 values in a statement


def cache_key(route: str, sentence: str, seed: int | None) -> Key:
    """Returns the key of one translation.

    Args:
        route: Digest of engine, model, decoding and direction.
        sentence: What is translated.
        seed: Of the draws; None where there are none.
    """
    digest = hashlib.blake2b(digest_size=16)
    digest.update(f"{route}\0{'' if seed is None else seed}\0".encode())
    digest.update(sentence.encode("utf-8", "surrogatepass"))
    return digest.digest()


def default_directory() -> Path:
    """Returns `$CURATION_HOME/translations`, else that of the user's cache directory."""
    own = os.environ.get("CURATION_HOME")
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return (Path(own).expanduser() if own else Path(cache) / "curation") / "translations"


class TranslationCache:
    """Texts by key, in one file; one object per process and file."""

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it.

        Raises:
            DataError: It cannot be made, or is no cache.
        """
        self.path = path
        self._lock = threading.Lock()  # Dask's workers are threads of one process
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(
                path, timeout=_WAIT_SECONDS, isolation_level=None, check_same_thread=False
            )
            # Readers do not wait for a writer; a transaction survives the death of its process.
            self._database.execute("PRAGMA journal_mode=WAL")
            self._database.execute("PRAGMA synchronous=NORMAL")
            self._database.execute(
                "CREATE TABLE IF NOT EXISTS translations "
                "(key BLOB PRIMARY KEY, text BLOB NOT NULL, unknown INTEGER NOT NULL) "
                "WITHOUT ROWID"
            )
        except (OSError, sqlite3.Error) as error:
            raise self._broken(error) from error

    def find(self, keys: Sequence[Key]) -> dict[Key, Translated]:
        """Returns those translations that are there.

        Raises:
            DataError: The file is damaged.
        """
        found: dict[Key, Translated] = {}
        try:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ",".join("?" * len(part))
                select = f"SELECT key, text, unknown FROM translations WHERE key IN ({marks})"  # noqa: S608
                with self._lock:
                    rows = self._database.execute(select, part).fetchall()
                for key, text, unknown in rows:
                    found[key] = Translated(text.decode("utf-8", "surrogatepass"), unknown)
        except sqlite3.Error as error:
            raise self._broken(error) from error
        return found

    def add(self, translations: Mapping[Key, Translated]) -> None:
        """Adds translations, all or none; one that another process added meanwhile stays.

        Raises:
            DataError: The file cannot be written.
        """
        rows = [
            (key, found.text.encode("utf-8", "surrogatepass"), found.unknown)
            for key, found in translations.items()
        ]
        try:
            with self._lock, closing(self._database.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    cursor.executemany(
                        "INSERT INTO translations VALUES (?, ?, ?) ON CONFLICT (key) DO NOTHING",
                        rows,
                    )
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
        except sqlite3.Error as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Closes the file."""
        self._database.close()

    def _broken(self, error: Exception) -> DataError:
        told = " ".join(str(error).split())
        return DataError(
            f"translation cache {self.path} cannot be used ({told}); expected a file of ours in a "
            "directory that can be written; delete it, or name another with cache = ..."
        )


def open_cache(directory: Path | None) -> TranslationCache:
    """Returns the cache in a directory, opened once per process; default: `default_directory()`."""
    return _opened((directory or default_directory()).absolute(), os.getpid())


@lru_cache(maxsize=8)
def _opened(directory: Path, process: int) -> TranslationCache:  # noqa: ARG001 - not across a fork
    return TranslationCache(directory / f"translations-{_VERSION}.sqlite")
