"""Word pieces of Marian models: two SentencePiece models and a vocabulary, without their code."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from curation.errors import DataError

SOURCE, TARGET, VOCABULARY = "source.spm", "target.spm", "vocab.json"
_TARGET_VOCABULARY = "target_vocab.json"
END, UNKNOWN = "</s>", "<unk>"


class Pieces:
    """Cuts sentences of the source language, and joins pieces of the target language."""

    def __init__(self, directory: Path) -> None:
        """Loads both models.

        Raises:
            DataError: One is missing or damaged.
        """
        self._source, self._target = (_load(directory / name) for name in (SOURCE, TARGET))

    def cut(self, sentence: str, prefix: str) -> list[str]:
        """Returns a sentence's pieces, the token of the target language first, the end last."""
        pieces: list[str] = self._source.encode(sentence, out_type=str)
        return [*([prefix] if prefix else []), *pieces, END]

    def join(self, pieces: Sequence[str]) -> str:
        """Returns the sentence of some pieces of the target language."""
        text: str = self._target.decode_pieces(list(pieces))
        return " ".join(text.replace("\u2581", " ").split())


class Vocabulary:
    """Numbers of pieces: those of the source, and the pieces of the target's numbers."""

    def __init__(self, directory: Path) -> None:
        """Reads `vocab.json`, and `target_vocab.json` where the two languages have one each.

        Raises:
            DataError: It is missing or damaged.
        """
        self._numbers = _read(directory / VOCABULARY)
        target = directory / _TARGET_VOCABULARY
        known = _read(target) if target.is_file() else self._numbers
        self._pieces = {number: piece for piece, number in known.items()}
        if UNKNOWN not in self._numbers or END not in self._numbers:
            raise DataError(
                f"{directory / VOCABULARY} has no {UNKNOWN} or no {END}; expected the vocabulary "
                "of a Marian model; give another directory"
            )

    def numbers(self, pieces: Iterable[str]) -> list[int]:
        """Returns the numbers of pieces; that of the unknown one for those that it lacks."""
        unknown = self._numbers[UNKNOWN]
        return [self._numbers.get(piece, unknown) for piece in pieces]

    def pieces(self, numbers: Iterable[int]) -> list[str]:
        """Returns the pieces of numbers up to the end, without those that mean nothing."""
        found = []
        for number in numbers:
            piece = self._pieces.get(number, UNKNOWN)
            if piece == END:
                break
            if piece not in ("<pad>", UNKNOWN):
                found.append(piece)
        return found


def tokenizer_files(directory: Path, *, vocabulary: bool) -> list[Path]:
    """Returns the files of the tokenizer.

    Raises:
        ValueError: One is not there; one line.
    """
    names = [SOURCE, TARGET, *([VOCABULARY] if vocabulary else [])]
    for name in names:
        if not (directory / name).is_file():
            raise ValueError(
                f"model '{directory}': {name} is not there; expected the files of a Marian model, "
                "as published on the hub under Helsinki-NLP"
            )
    found = [directory / name for name in names]
    extra = directory / _TARGET_VOCABULARY
    return [*found, extra] if vocabulary and extra.is_file() else found


def _load(path: Path) -> Any:
    import sentencepiece

    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"{path} cannot be loaded by SentencePiece; expected a whole model of a Marian model; "
            "fetch it again"
        ) from error


def _read(path: Path) -> dict[str, int]:
    try:
        found = json.loads(path.read_bytes())
        return {str(piece): int(number) for piece, number in found.items()}
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({' '.join(str(error).split()):.160}); expected pieces and "
            "their numbers as JSON; fetch it again"
        ) from error
