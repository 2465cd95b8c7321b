"""Marian models through CTranslate2, which needs no torch, and on a CPU a fraction of the time.

Source: Klein et al. 2020, "The OpenNMT Neural Machine Translation Toolkit"; github.com/OpenNMT/
CTranslate2. A model is a directory that `ct2-transformers-converter --model DIRECTORY --output_dir
OUT --copy_files source.spm target.spm` made of one of transformers.

CTranslate2 drops sentences from a batch as they are finished, so a batch's shape depends on all of
them, and with it, in the last bits, its sums. Measured with a model of OPUS-MT's shape: batches of
one length and 2 to 12 rows gave the same bits, in any order; one row alone gave others, for it is
multiplied by another routine, but for models of 8-bit numbers, whose sums are exact. So a batch
holds sentences of one length, each of them twice unless its numbers have 8 bits: then no row is
ever alone. Draws come from a stream of each thread, so words cannot be drawn by a sentence's own
seed: that is refused.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.errors import DataError
from curation.plainfile import digest_of_all
from curation.translation.checkpoint import identity_of, need_packages, whole
from curation.translation.engine import ModelSpec, Translated
from curation.translation.pieces import Pieces, tokenizer_files

_MODEL, _CONFIG = "model.bin", "config.json"
_PATTERNS = [_MODEL, _CONFIG, "*vocabulary*", "*.spm"]


def find(spec: ModelSpec) -> list[str]:
    """Returns the digest of a directory's files, or the commit of a repository on a hub.

    Raises:
        ValueError: A package or a file is not there, or words are to be drawn; one line.
    """
    need_packages("ctranslate2", "ctranslate2", "sentencepiece")
    if spec.decoding.method == "sample":
        raise ValueError(
            "engine ctranslate2 draws words from a stream that sentences share, so the same "
            'recipe would give other texts; write method = "greedy" or "beam", or take marian'
        )
    return identity_of("ctranslate2", spec.model, _checked)


def load(spec: ModelSpec) -> "CTranslator":
    """Loads a model.

    Raises:
        DataError: It cannot be fetched or loaded, or is not whole.
    """
    assert spec.model is not None  # it was found
    return CTranslator(whole(spec.model, _PATTERNS, _checked), spec)


class CTranslator:
    """A loaded model of CTranslate2."""

    def __init__(self, directory: Path, spec: ModelSpec) -> None:
        """Loads the model and the word pieces."""
        import ctranslate2

        self._spec = spec
        self.at_once = 16 * spec.batch_sentences  # enough for batches of few lengths
        self._pieces = Pieces(directory)
        cuda = spec.device != "cpu" and ctranslate2.get_cuda_device_count() > 0
        if spec.device == "cuda" and not cuda:
            raise DataError(
                'engine ctranslate2: device is "cuda", but there is none; write device = "auto"'
            )
        try:
            self._model: Any = ctranslate2.Translator(
                str(directory),
                device="cuda" if cuda else "cpu",
                compute_type="default",  # as it was converted: the type of its numbers is identity
                inter_threads=1,
                intra_threads=1,
            )
        except (RuntimeError, ValueError, OSError) as error:
            raise DataError(
                f"model '{directory}' cannot be loaded by CTranslate2 "
                f"({' '.join(str(error).split()):.160}); expected what its converter made; "
                "convert it again"
            ) from error
        self._copies = 1 if "int8" in self._model.compute_type else 2

    def translate(self, sentences: Sequence[str], seeds: Sequence[int]) -> list[Translated]:  # noqa: ARG002
        """Translates n sentences in batches of one length."""
        cut = [self._pieces.cut(sentence, self._spec.prefix) for sentence in sentences]
        by_length: dict[int, list[int]] = {}
        for row, pieces in enumerate(cut):
            by_length.setdefault(len(pieces), []).append(row)
        answers: dict[int, Translated] = {}
        for length, rows in sorted(by_length.items()):
            for start in range(0, len(rows), self._spec.batch_sentences):
                part = rows[start : start + self._spec.batch_sentences]
                made = self._batch([cut[row] for row in part], length)
                answers.update(zip(part, made, strict=True))
        return [answers[row] for row in range(len(sentences))]

    def _batch(self, cut: list[list[str]], length: int) -> list[Translated]:
        decoding = self._spec.decoding
        found = self._model.translate_batch(
            cut * self._copies,
            max_batch_size=0,  # all at once
            beam_size=decoding.beams if decoding.method == "beam" else 1,
            max_decoding_length=min(self._spec.max_tokens, 3 * length + 16),
            max_input_length=0,
            replace_unknowns=False,
        )
        return [
            Translated(self._pieces.join(_said(one.hypotheses[0]))) for one in found[: len(cut)]
        ]


def _said(pieces: Sequence[str]) -> list[str]:
    return [piece for piece in pieces if piece not in ("</s>", "<pad>", "<unk>")]


def _checked(directory: Path) -> str:
    """Returns the digest of a directory's files.

    Raises:
        ValueError: It holds no converted model with its word pieces.
    """
    for name in (_MODEL, _CONFIG):
        if not (directory / name).is_file():
            raise ValueError(
                f"model '{directory}': {name} is not there; expected what "
                "ct2-transformers-converter --copy_files source.spm target.spm makes"
            )
    try:
        json.loads((directory / _CONFIG).read_bytes())
    except ValueError as error:
        raise ValueError(f"model '{directory}': {_CONFIG} is damaged; convert it again") from error
    files = [directory / _MODEL, directory / _CONFIG, *sorted(directory.glob("*vocabulary*"))]
    files += tokenizer_files(directory, vocabulary=False)
    return digest_of_all((file.name, file) for file in files)
