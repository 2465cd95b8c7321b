"""A list of words as a setting: a file with one word or phrase a line, known by its digest."""

from functools import lru_cache
from pathlib import Path

from curation.errors import DataError
from curation.plainfile import file_digest
from curation.text.phrases import PhraseTable, phrase_table


def checked_digest(setting: str, path: str, given: str) -> str:
    """Returns the SHA-256 of a list that can be used.

    Args:
        setting: Its name in messages; the digest's setting is called like it.
        path: The file.
        given: The digest that the recipe gives; empty: none.

    Raises:
        ValueError: The file cannot be read, has no word, or is not the one with that digest.
    """
    try:
        digest = file_digest(Path(path))
        _table(path, digest)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise ValueError(f"{setting} '{path}' cannot be used: {error}") from error
    if given not in ("", digest):
        raise ValueError(
            f"{setting}_digest is {given}, but {path} has {digest}; "
            "give the file that was meant, or leave the digest out"
        )
    return digest


def open_list(stage: str, path: str, planned: str) -> PhraseTable:
    """Reads a list, once per process and content.

    Raises:
        DataError: It is another than when the recipe was planned.
    """
    digest = file_digest(Path(path))
    if digest != planned:
        raise DataError(
            f"stage {stage}: {path} has digest {digest}, expected "
            f"{planned} as planned; restore it, or plan again"
        )
    return _table(path, digest)


@lru_cache(maxsize=8)
def _table(path: str, digest: str) -> PhraseTable:  # noqa: ARG001 - a changed file is another list
    return phrase_table(Path(path).read_text(encoding="utf-8").splitlines())
