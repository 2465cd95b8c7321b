"""Scores how unlikely a text is to an n-gram language model: CCNet's perplexity, by KenLM.

Text that reads like what the model was trained on has a low perplexity, lists and gibberish a high
one; CCNet calls the lowest third of a language "head", the highest "tail". The bounds depend on the
model, so there are no defaults. KenLM and SentencePiece are packages of the extra `perplexity`;
KenLM's licence is the LGPL (2.1 or later).

Source: Wenzek et al. 2020, "CCNet", arXiv 1911.00359, with the models of Heafield 2011, "KenLM:
Faster and Smaller Language Model Queries".
"""

from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Literal, Self

import numpy as np
import pyarrow as pa
from pydantic import Field, model_validator

from curation.buffers import text_buffers
from curation.errors import DataError
from curation.plainfile import check_planned, settled_digest
from curation.schema import score
from curation.stage import BatchFunction, BatchStage, Columns, Rule
from curation.text.ccnet import ccnet_rows, replacements

_BINARY = b"mmap lm http://kheafield.com/code"
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ")
_DECIMALS = 6


class Perplexity(BatchStage):
    """Scores the perplexity per token by a KenLM model; rejects outside of the bounds.

    Models are of one language: scope the stage by `languages`, with a model for each. A text
    without a token has no score, and is kept.
    """

    files: ClassVar[frozenset[str]] = frozenset({"model", "tokenizer"})
    example: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"model": "en.arpa.bin", "min_perplexity": 10, "max_perplexity": 1500}
    )

    kind: Literal["perplexity"]
    model: str
    """A KenLM model: an ARPA file, or the faster binary that `build_binary` makes of one."""
    tokenizer: str | None = None
    """A SentencePiece model whose pieces are the tokens; default: what white space parts."""
    normal_form: Literal["ccnet", "cased", "none"] = "ccnet"
    """How texts are prepared: lower case, no accents, digits as 0 and signs of ASCII, as CCNet's
    models were trained; "cased" keeps case and accents; "none" changes nothing."""
    join_lines: bool = False
    """Scores a text as one sentence, as CCNet's code does; default: each line as one."""
    min_perplexity: float | None = Field(default=None, ge=0)
    """Least perplexity that is kept."""
    max_perplexity: float | None = Field(default=None, ge=0)
    """Largest perplexity that is kept."""
    model_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the model's file: identity, filled in by itself; where given it must be right."""
    tokenizer_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """SHA-256 of the tokenizer's file, likewise."""

    @model_validator(mode="after")
    def _is_usable(self) -> Self:
        for setting, package in (("model", "kenlm"), ("tokenizer", "sentencepiece")):
            name = getattr(self, setting)
            if name is None:
                continue
            if find_spec(package) is None:
                raise ValueError(
                    f"{setting} = '{name}', but {package} is not installed; "
                    'install it with: pip install "curation[perplexity]"'
                )
            if not Path(name).is_file():
                raise ValueError(f"{setting} '{name}': no such file; give {_WANTED[setting]}")
            given = getattr(self, f"{setting}_digest")
            digest = settled_digest(f"{setting}_digest", Path(name), given)
            object.__setattr__(self, f"{setting}_digest", digest)
        _check_header(Path(self.model))
        return self

    @model_validator(mode="after")
    def _check_bounds(self) -> Self:
        self.refuse_crossed("perplexity")
        return self

    def writes(self) -> pa.Schema:
        """Returns the perplexity, and over how many tokens it is taken."""
        about = "Perplexity per token, to six decimals; null without tokens."
        tokens = "Tokens scored, with one for the end of each line."
        return pa.schema(
            [
                score(self.column("score"), pa.float64(), about, unit="perplexity", low=1),
                score(self.column("tokens"), pa.int64(), tokens, unit="tokens", low=0),
            ]
        )

    def rules(self) -> tuple[Rule, ...]:
        """Returns the bounds that are set."""
        column, rules = self.column("score"), []
        if self.min_perplexity is not None:
            rules.append(Rule("low_perplexity", column, low=self.min_perplexity))
        if self.max_perplexity is not None:
            rules.append(Rule("high_perplexity", column, high=self.max_perplexity))
        return tuple(rules)

    def open(self) -> BatchFunction:
        """Loads the models, once per process.

        Raises:
            DriftError: A file is not the one that the recipe was planned with.
            DataError: A model cannot be loaded.
        """
        path = Path(self.model)
        check_planned(self.name, path, self.model_digest)
        model = _load_model(path, self.model_digest)
        cut: Callable[[bytes], bytes] = _as_it_is
        if self.tokenizer is not None:
            check_planned(self.name, Path(self.tokenizer), self.tokenizer_digest)
            cut = _load_tokenizer(Path(self.tokenizer), self.tokenizer_digest)
        if self.normal_form != "none":
            self._replacements()  # made before the first batch

        def score_batch(batch: pa.RecordBatch) -> Columns:
            text = batch.column("text")
            found = [_measure(model, map(cut, lines)) for lines in self._lines(text)]
            logs, tokens = np.array(found, np.float64).reshape(-1, 2).T
            with np.errstate(invalid="ignore"):
                values = np.round(10.0 ** (-logs / tokens), _DECIMALS)
            empty = text.is_null().to_numpy(zero_copy_only=False)
            return {
                self.column("score"): pa.array(values, mask=tokens == 0),
                self.column("tokens"): pa.array(tokens.astype(np.int64), mask=empty),
            }

        return score_batch

    def _replacements(self) -> Any:
        return replacements(cased=self.normal_form == "cased", keep_lines=not self.join_lines)

    def _lines(self, text: pa.Array) -> Iterator[list[bytes]]:
        """Yields what is to be scored of each text, in its normal form."""
        offsets, data = text_buffers(text)
        if self.normal_form != "none":
            offsets, data = ccnet_rows(offsets, data, self._replacements())
        raw, first = data[offsets[0] : offsets[-1]].tobytes(), offsets[0]
        for start, end in zip(offsets[:-1] - first, offsets[1:] - first, strict=True):
            piece = raw[start:end]
            yield [piece] if self.join_lines else piece.split(b"\n")


_WANTED = {
    "model": "a KenLM model, .arpa or .bin",
    "tokenizer": "a SentencePiece model, .model",
}


def _measure(model: Any, lines: Iterator[bytes]) -> tuple[float, int]:
    """Returns the decimal logarithm of the probability of all lines, and how many tokens it has."""
    log, tokens = 0.0, 0
    for line in lines:
        words = len(line.split())
        if words:
            log += model.score(line)
            tokens += words + 1
    return log, tokens


def _as_it_is(line: bytes) -> bytes:
    return line


def _check_header(path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(4096)
    if not head.startswith((_BINARY, *_COMPRESSED)) and not head.lstrip().startswith(b"\\data\\"):
        raise ValueError(
            f"model {path.name} is no KenLM model: expected an ARPA file that starts with "
            "\\data\\, or a binary made by KenLM's build_binary"
        )


@lru_cache(maxsize=4)
def _load_model(path: Path, digest: str) -> Any:  # noqa: ARG001 - a changed file is another model
    import kenlm

    config = kenlm.Config()
    config.show_progress = False
    config.arpa_complain = kenlm.ARPALoadComplain.NONE
    try:
        return kenlm.Model(str(path), config)
    except (OSError, RuntimeError) as error:
        reason = str(error).split("threw")[-1].splitlines()[0].strip(" ()")
        raise DataError(
            f"model {path.name} cannot be loaded by KenLM ({reason}); expected a whole model "
            "of 2-grams to 6-grams; give another file"
        ) from error


@lru_cache(maxsize=4)
def _load_tokenizer(path: Path, digest: str) -> Callable[[bytes], bytes]:  # noqa: ARG001
    import sentencepiece

    try:
        processor = sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError) as error:
        raise DataError(
            f"tokenizer {path.name} cannot be loaded by SentencePiece; give a .model file of it"
        ) from error

    def cut(line: bytes) -> bytes:
        return " ".join(processor.encode(line.decode(), out_type=str)).encode()

    return cut
