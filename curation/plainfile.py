"""Local files of the user's that settings name: their digest, and their bytes without compression.

Unlike a source's files, these are part of a recipe's identity, and what is damaged in them is an
error of the recipe: a list or an evaluation set that is read in part protects in part.
"""

import gzip
import hashlib
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import zstandard

from curation.errors import DriftError

_PIECE = 8 << 20
_SUFFIXES = (".gz", ".zst")


def plain_name(path: Path) -> str:
    """Returns a file's name without the suffix of its compression."""
    return path.stem if path.suffix in _SUFFIXES else path.name


def open_plain(path: Path) -> Any:
    """Opens a file for reading bytes; gzip and Zstandard are told by the first bytes.

    Raises:
        OSError: It cannot be opened.
    """
    with open(path, "rb") as file:
        magic = file.read(4)
    if magic[:2] == b"\x1f\x8b":
        return gzip.open(path, "rb")
    if magic == b"\x28\xb5\x2f\xfd":
        return zstandard.open(path, "rb")
    return open(path, "rb")


def line_pieces(path: Path, what: str) -> Iterator[bytes]:
    """Yields a file's bytes in pieces of some megabytes that end where a line does.

    Args:
        path: The file.
        what: Names it in messages.

    Raises:
        ValueError: It cannot be read to its end.
    """
    left = b""
    try:
        with open_plain(path) as file:
            while piece := file.read(_PIECE):
                cut = piece.rfind(b"\n") + 1
                if cut:
                    yield left + piece[:cut]
                    left = piece[cut:]
                else:
                    left += piece
    except (OSError, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise ValueError(
            f"{what}: {path} cannot be read ({' '.join(str(error).split())}); expected a text "
            "file, plain, gzip or Zstandard; fetch it again"
        ) from error
    if left:
        yield left


def file_digest(path: Path) -> str:
    """Returns the SHA-256 of a file as it lies on the disk, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_all(files: Iterable[tuple[str, Path]]) -> str:
    """Returns one SHA-256 for named files: of their names and contents, whatever their order."""
    digest = hashlib.sha256()
    for name, content in sorted((name, file_digest(path)) for name, path in files):
        digest.update(f"{name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


def name_apart(paths: Sequence[Path], names: Sequence[str], what: str) -> list[str]:
    """Returns the names, with the folder in front where two files have the same one.

    Raises:
        ValueError: Two files cannot be told apart so.
    """
    told = [
        name if names.count(name) == 1 else f"{path.parent.name}/{name}"
        for path, name in zip(paths, names, strict=True)
    ]
    for name in told:
        if told.count(name) > 1:
            raise ValueError(
                f"two {what} are named '{name}'; expected names that tell them apart; rename one"
            )
    return told


def settled_digest(setting: str, path: Path, given: str) -> str:
    """Returns the digest of a file that a setting names, for the setting that is its identity.

    Args:
        setting: Name of the digest's setting, for messages.
        path: The file.
        given: What the recipe says of it; empty: nothing.

    Raises:
        ValueError: The recipe says another digest than the file has.
    """
    remedy = "give the file that it was made for"
    return agreed_digest(setting, given, file_digest(path), f"{path.name} has", remedy)


def agreed_digest(setting: str, given: str, found: str, holder: str, remedy: str) -> str:
    """Returns the digest that was found, for the setting that is a stage's identity.

    Args:
        setting: Name of the digest's setting, for messages.
        given: What the recipe says of it; empty: nothing.
        found: What it is.
        holder: What has it, with the verb: "the files have".
        remedy: What to do, beside leaving the setting out.

    Raises:
        ValueError: The recipe says another one.
    """
    if given not in ("", found):
        raise ValueError(f"{setting} is {given}, but {holder} {found}; leave it out, or {remedy}")
    return found


def check_planned(stage: str, path: Path, planned: str) -> None:
    """Refuses a file that is another than when the recipe was planned.

    Raises:
        DriftError: It has another digest.
    """
    digest = file_digest(path)
    if digest != planned:
        raise DriftError(
            f"stage {stage}: {path} has digest {digest}, expected {planned} as planned; "
            "restore it, or plan again"
        )
