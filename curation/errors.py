"""What can go wrong, as a tree; every message is one line: subject, found, expected, what to do.

    CurationError            base: a user reads it as one line, never as a traceback
    +-- RecipeError          a recipe, a job or an option is wrong: nothing was run (exit code 2)
    +-- SchemaError          a batch or a file lacks a column, or has it with another type
    +-- DataError            files are missing, damaged or not what their record says
    +-- DriftError           what is on disk was made from something else than what is asked for
    +-- StageError           a stage failed on more documents than can be called bad data
    +-- RemovalError         an unusual share of a source was rejected: stopped before more is spent

A bad *document* is none of these: it becomes a reject with a reason.
"""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches


class CurationError(Exception):
    """Base of all errors that a user is meant to read."""

    exit_code = 1


class RecipeError(CurationError):
    """A recipe, a job file or an option cannot be used as it is written."""

    exit_code = 2


class SchemaError(CurationError):
    """A needed column is missing, or has another type than its schema says."""


class DataError(CurationError):
    """A file is missing, damaged, or not what its record says."""


class DriftError(CurationError):
    """Outputs on disk were made from other inputs or settings than the ones asked for."""


class StageError(CurationError):
    """A stage failed on more documents of a shard than bad data explains."""


class RemovalError(CurationError):
    """An unusual share of a source was rejected; the run stopped before more is spent on it.

    Args:
        message: The one line.
        details: Further lines for people: the common reasons, with documents as examples.
    """

    def __init__(self, message: str, details: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.details = tuple(details)


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Returns the one-line message for a name that is not among the known ones.

    Args:
        what: The kind of thing, as a noun ("stage kind", "setting of stage language").
        name: The name that was found.
        known: The names that exist.

    Examples:
        >>> unknown_name("stage kind", "minhash", ["split", "minhash_dedup"])
        "unknown stage kind 'minhash'; known: minhash_dedup, split; did you mean 'minhash_dedup'?"
    """
    names = sorted(known)
    nearest = get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"; did you mean '{nearest[0]}'?" if nearest else ""
    return f"unknown {what} '{name}'; known: {', '.join(names)}{hint}"
