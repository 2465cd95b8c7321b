"""Apertium: rule-based translation by programs of the system, 300 sentences per second and more.

Source: Forcada et al. 2011, "Apertium: a free/open-source platform for rule-based machine
translation". Debian has it (`apt install apertium apertium-eng-spa`), GPL; it is run, not linked.
Words that its dictionaries lack come back as they were with a star in front, words that it cannot
translate or inflect with @ or #; these marks are removed, and the words counted.

One process translates a batch. Sentences are parted by NUL, at which every part of the pipe starts
anew: of 86 sentences none read otherwise alone, in another order, or all at once.
"""

import hashlib
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from curation.errors import DataError
from curation.plainfile import digest_of_all
from curation.translation.engine import ModelSpec, Translated

BINARY = "apertium"
_SECONDS = 60.0
_SECONDS_EACH = 1.0  # 300 sentences take one
_END = "[][\n]"  # an empty blank and a line break, so that the end of a sentence is seen as one
_SPECIAL = re.compile(r"([\\\[\]{}^$/@<>])")
_ANSWERED = re.compile(r"\\(.)|([*#@](?:\\?[*#@])*)(?=([^\W\d_]*)(\w?))", re.DOTALL)
_OWN = str.maketrans("*#", "\u2217\uff03")  # stand for those of the text, which come back plain
_BACK = str.maketrans("\u2217\uff03", "*#")
_INSTALL = "install it, e.g. with: apt install apertium apertium-eng-spa"


def find(spec: ModelSpec) -> list[str]:
    """Returns the digests of the direction's mode and of the dictionaries that it names.

    Raises:
        ValueError: Apertium or the direction is not installed, or is asked for what it has not.
    """
    mode = _mode(spec)
    if spec.prefix:
        raise ValueError("engine apertium takes no prefix; leave it out")
    if spec.decoding.method != "greedy":
        raise ValueError(
            f"engine apertium has one translation for a sentence; found '{spec.decoding.method}'; "
            'write method = "greedy", or take the engine marian'
        )
    if mode is None:  # another layout of files: what the program answers has to do
        return [_version(_binary())]
    content = mode.read_text(encoding="utf-8", errors="replace")
    files = [Path(name) for name in re.findall(r"'(/[^']+)'", content)]
    named = [(file.name, file) for file in files if file.is_file()]
    return [_version(_binary()), hashlib.sha256(content.encode()).hexdigest(), digest_of_all(named)]


def load(spec: ModelSpec) -> "ApertiumTranslator":
    """Returns the translator; nothing is loaded before a batch comes."""
    return ApertiumTranslator(_binary(), str(spec.direction), spec.model)


class ApertiumTranslator:
    """A direction of Apertium."""

    at_once = 2000

    def __init__(self, binary: str, mode: str, data: str | None = None) -> None:
        """Takes the program, the name of a mode, and the directory of its data if not the usual."""
        self._command = [binary, *(["-d", data] if data else []), "-z", "-f", "none", mode]

    def translate(self, sentences: Sequence[str], seeds: Sequence[int]) -> list[Translated]:  # noqa: ARG002
        """Translates sentences in a process of their own.

        Raises:
            DataError: The program fails, hangs or does not answer each sentence.
        """
        data = "".join(f"{_framed(sentence)}\0" for sentence in sentences)
        seconds = _SECONDS + _SECONDS_EACH * len(sentences)
        try:
            code, out, told = _run(self._command, data.encode("utf-8", "replace"), seconds)
        except subprocess.TimeoutExpired as error:
            raise self._failed(f"gave no answer within {seconds:.0f} s") from error
        except OSError as error:
            raise self._failed(f"cannot be run ({error})") from error
        if code:
            raise self._failed(f"ended with {code} ({' '.join(told.split())[:200]})")
        answers = out.split("\0")
        if len(answers) <= len(sentences) or any(answers[len(sentences) :]):
            raise self._failed(f"gave {len(answers) - 1} answers to {len(sentences)} sentences")
        return [_read(answer) for answer in answers[: len(sentences)]]

    def _failed(self, how: str) -> DataError:
        return DataError(
            f"engine apertium: {' '.join(self._command)} {how}; expected one answer for each "
            f"sentence; try it in a shell, or {_INSTALL}"
        )


def _run(command: Sequence[str], data: bytes, seconds: float) -> tuple[int, str, str]:
    """Runs a program, and ends it with all that it started if it takes too long."""
    with subprocess.Popen(  # noqa: S603 - the program that the user has installed
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,  # its pipe of programs is one group
    ) as child:
        try:
            out, told = child.communicate(data, timeout=seconds)
        except BaseException:
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)
            raise
    return child.returncode, out.decode("utf-8", "replace"), told.decode("utf-8", "replace")


def _framed(sentence: str) -> str:
    plain = sentence.replace("\0", "").translate(_OWN)
    return _SPECIAL.sub(r"\\\1", plain) + _END


def _read(answer: str) -> Translated:
    """Returns an answer without its marks; names with digits were meant to stay as they are."""
    unknown = 0

    def plain(found: re.Match[str]) -> str:
        nonlocal unknown
        escaped, marks, word, digit = found.groups()
        if marks:
            unknown += bool(word) and not digit
        return escaped or ""

    text = _ANSWERED.sub(plain, answer.removesuffix(_END))
    return Translated(text.translate(_BACK).strip(), unknown)


def _binary() -> str:
    found = shutil.which(BINARY)
    if found is None:
        raise ValueError(f"engine apertium: the program '{BINARY}' is not there; {_INSTALL}")
    return found


def _mode(spec: ModelSpec) -> Path | None:
    """Returns the file of a direction's mode; None where the program keeps it elsewhere."""
    binary, direction = _binary(), str(spec.direction)
    data = Path(spec.model) if spec.model else Path(binary).resolve().parents[1] / "share/apertium"
    known = sorted(mode.stem for mode in (data / "modes").glob("*.mode"))
    if not known and spec.model is None:
        known = _listed(binary)
    if direction not in known:
        raise ValueError(
            f"engine apertium has no direction '{direction}'; installed: "
            f"{', '.join(known) or 'none'}; languages are written as there; {_INSTALL}"
        )
    mode = data / "modes" / f"{direction}.mode"
    return mode if mode.is_file() else None


@lru_cache(maxsize=4)
def _version(binary: str) -> str:
    return " ".join(_asked(binary, "-V").split())


def _listed(binary: str) -> list[str]:
    return sorted(_asked(binary, "-l").split())


def _asked(binary: str, option: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - as above
            [binary, option], capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ValueError(f"engine apertium: {binary} {option} fails ({error})") from error
    return done.stdout.decode("utf-8", "replace")
