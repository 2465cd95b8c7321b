"""Marian models, such as the 1,400 of OPUS-MT, through transformers, on a CPU or a GPU.

Source: Junczys-Dowmunt et al. 2018, "Marian", arXiv 1804.00344; Tiedemann and Thottingal 2020,
"OPUS-MT". Weights are read from safetensors only, and no code of a model's is run.

A sentence's translation must not depend on what is translated with it, but floating-point sums
depend on the shape of a batch. So each batch has one shape that the sentence alone decides: its
length rounded up to a multiple of eight, and `batch_sentences` rows, filled up with copies. Words
are drawn by the Gumbel trick (Maddison et al. 2014, "A* sampling") from numbers that each sentence
has of its own, where transformers would draw for all rows from one stream.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from curation.errors import DataError
from curation.plainfile import digest_of_all
from curation.translation.checkpoint import identity_of, need_packages, whole
from curation.translation.engine import Decoding, ModelSpec, Translated
from curation.translation.pieces import Pieces, Vocabulary, tokenizer_files

ROUND = 8
"""Lengths of sentences are rounded up to a multiple of this many tokens."""
_CONFIG, _WEIGHTS = "config.json", "*.safetensors"
_PATTERNS = [_CONFIG, _WEIGHTS, "*.safetensors.index.json", "*.spm", "*vocab.json"]


def find(spec: ModelSpec) -> list[str]:
    """Returns the digest of a directory's files, or the commit of a repository on a hub.

    Raises:
        ValueError: A package or a file is not there, or it is no Marian model; one line.
    """
    need_packages("marian", "torch", "transformers", "sentencepiece", "safetensors")
    return identity_of("marian", spec.model, _checked)


def load(spec: ModelSpec) -> "MarianTranslator":
    """Loads a model, in 32-bit numbers.

    Raises:
        DataError: It cannot be fetched or loaded, or is not whole.
    """
    assert spec.model is not None  # it was found
    return MarianTranslator(whole(spec.model, _PATTERNS, _checked), spec)


class MarianTranslator:
    """A loaded Marian model."""

    def __init__(self, directory: Path, spec: ModelSpec) -> None:
        """Loads weights, vocabulary and word pieces of a directory."""
        import torch

        self._spec = spec
        self.at_once = 16 * spec.batch_sentences  # enough for batches of few lengths
        self._pieces, self._vocabulary = Pieces(directory), Vocabulary(directory)
        wanted = spec.device
        if wanted == "cuda" and not torch.cuda.is_available():
            raise DataError(
                'engine marian: device is "cuda", but torch finds none; write device = "auto"'
            )
        cuda = wanted != "cpu" and torch.cuda.is_available()
        self._device = "cuda" if cuda else "cpu"
        self._model = _load_weights(directory).to(self._device).eval()
        self._longest = int(self._model.config.max_position_embeddings)

    def translate(self, sentences: Sequence[str], seeds: Sequence[int]) -> list[Translated]:
        """Translates n sentences in batches of one shape.

        Raises:
            ValueError: A sentence has more tokens than the model has places for.
        """
        numbers = [self._numbers(sentence) for sentence in sentences]
        by_length: dict[int, list[int]] = {}
        for row, found in enumerate(numbers):
            by_length.setdefault(-(-len(found) // ROUND) * ROUND, []).append(row)
        answers: dict[int, Translated] = {}
        size = self._spec.batch_sentences
        with _one_thread():
            for length, rows in sorted(by_length.items()):
                for start in range(0, len(rows), size):
                    part = rows[start : start + size]
                    filled = part + part[:1] * (size - len(part))
                    made = self._generate(
                        [numbers[row] for row in filled], [seeds[row] for row in filled], length
                    )
                    answers.update(zip(part, made, strict=False))
        return [answers[row] for row in range(len(sentences))]

    def _numbers(self, sentence: str) -> list[int]:
        found = self._vocabulary.numbers(self._pieces.cut(sentence, self._spec.prefix))
        if len(found) > self._longest:
            raise ValueError(
                f"a sentence has {len(found)} tokens, model '{self._spec.model}' {self._longest} "
                "places; make window smaller"
            )
        return found

    def _generate(
        self, numbers: list[list[int]], seeds: list[int], length: int
    ) -> Iterator[Translated]:
        import torch
        from transformers import GenerationConfig

        padding = int(self._model.config.pad_token_id)
        length = min(length, self._longest)
        ids = torch.tensor([row + [padding] * (length - len(row)) for row in numbers])
        lengths = torch.tensor([len(row) for row in numbers])
        mask = (torch.arange(length)[None, :] < lengths[:, None]).long()
        decoding = self._spec.decoding
        config = self._model.config
        settings = GenerationConfig(  # type: ignore[no-untyped-call]
            max_new_tokens=min(self._spec.max_tokens, self._longest - 1, 3 * length + 16),
            num_beams=decoding.beams if decoding.method == "beam" else 1,
            do_sample=False,
            bad_words_ids=[[padding]],
            pad_token_id=padding,
            eos_token_id=config.eos_token_id,
            decoder_start_token_id=config.decoder_start_token_id,
        )
        draws = [_Draws(decoding, seeds)] if decoding.method == "sample" else []
        with torch.inference_mode():
            out = self._model.generate(
                input_ids=ids.to(self._device),
                attention_mask=mask.to(self._device),
                generation_config=settings,
                logits_processor=draws,
            )
        for row in out.tolist():
            yield Translated(self._pieces.join(self._vocabulary.pieces(row[1:])))


class _Draws:
    """Adds to each word's score a number drawn for sentence, place and word; then the best wins."""

    def __init__(self, decoding: Decoding, seeds: Sequence[int]) -> None:
        self._decoding, self._seeds = decoding, seeds

    def __call__(self, ids: Any, scores: Any) -> Any:
        import torch

        scores = _narrowed(scores.float() / self._decoding.temperature, self._decoding)
        place = ids.shape[1]
        noise = np.stack(
            [
                np.random.Generator(np.random.Philox(key=[seed, place])).gumbel(
                    size=scores.shape[1]
                )
                for seed in self._seeds
            ]
        )
        return scores + torch.from_numpy(noise).to(scores)


def _narrowed(scores: Any, decoding: Decoding) -> Any:
    """Rules out the words that are not among the likeliest."""
    import torch

    top = torch.topk(scores, min(decoding.top_k, scores.shape[1]), dim=1)
    scores = scores.masked_fill(scores < top.values[:, -1:], -torch.inf)
    if decoding.top_p < 1:
        chances = torch.softmax(top.values, dim=1)
        before = torch.cumsum(chances, dim=1) - chances
        last = (before < decoding.top_p).sum(dim=1, keepdim=True) - 1
        scores = scores.masked_fill(scores < top.values.gather(1, last), -torch.inf)
    return scores


def _checked(directory: Path) -> str:
    """Returns the digest of a directory's files.

    Raises:
        ValueError: It holds no whole Marian model.
    """
    config = directory / _CONFIG
    try:
        kind = json.loads(config.read_bytes()).get("model_type")
    except (OSError, ValueError, AttributeError) as error:
        raise ValueError(
            f"model '{directory}': {_CONFIG} cannot be read; expected the directory of a Marian "
            "model as transformers saves it"
        ) from error
    if kind != "marian":
        raise ValueError(f"model '{directory}' is of type {kind!r}; expected \"marian\"")
    weights = sorted(directory.glob(_WEIGHTS))
    if not weights:
        raise ValueError(
            f"model '{directory}' has no {_WEIGHTS}; other formats run code as they are opened; "
            "convert it with save_pretrained of transformers"
        )
    for path in weights:
        _check_weights(path)
    files = [config, *weights, *tokenizer_files(directory, vocabulary=True)]
    return digest_of_all((file.name, file) for file in files)


def _check_weights(path: Path) -> None:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy"):
            pass
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"model '{path}' is damaged ({' '.join(str(error).split())}); fetch it again"
        ) from error


def _load_weights(directory: Path) -> Any:
    import torch
    from safetensors import SafetensorError
    from transformers import MarianMTModel
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        loaded: Any = MarianMTModel.from_pretrained(
            str(directory),
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
            dtype=torch.float32,
            output_loading_info=True,
        )
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise DataError(
            f"model '{directory}' cannot be loaded ({' '.join(str(error).split()):.160}); "
            "expected a Marian model saved whole; fetch it again"
        ) from error
    model, found = loaded
    missing = sorted(found["missing_keys"])
    if missing:
        raise DataError(
            f"model '{directory}' lacks {len(missing)} weights, '{missing[0]}' first; expected a "
            "Marian model saved whole; fetch it again"
        )
    return model


@contextmanager
def _one_thread() -> Iterator[None]:
    """Lets torch use one core: how many work is said by the workers."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
