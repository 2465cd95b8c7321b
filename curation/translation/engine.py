"""What every translation engine is: a protocol, its settings, and what names it for identity."""

from collections.abc import Sequence
from typing import Literal, NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict, Field

Method = Literal["greedy", "beam", "sample"]


class Direction(NamedTuple):
    """From one language to another, by their codes as the engine has them."""

    source: str
    target: str

    def __str__(self) -> str:
        """Returns it as recipes write it: "en-pt"."""
        return f"{self.source}-{self.target}"


class Decoding(BaseModel):
    """How an engine's words are chosen."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    method: Method = "greedy"
    """greedy: always the likeliest word; beam: the likeliest sentence of some that are kept;
    sample: words are drawn, so that each copy reads otherwise."""
    beams: int = Field(default=4, ge=2, le=64)
    """Sentences that are kept (beam)."""
    temperature: float = Field(default=1.0, gt=0, le=10)
    """Above 1 the draws are wilder, below tamer (sample)."""
    top_k: int = Field(default=50, ge=1)
    """Words that are drawn from: the likeliest so many (sample)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Words that are drawn from: the likeliest that together have this probability (sample)."""

    def settings(self) -> dict[str, object]:
        """Returns those settings that the method uses: what else is set decides nothing."""
        used = {
            "greedy": ("method",),
            "beam": ("method", "beams"),
            "sample": ("method", "temperature", "top_k", "top_p"),
        }[self.method]
        return {name: getattr(self, name) for name in used}


class Translated(NamedTuple):
    """One translation."""

    text: str
    unknown: int = 0
    """Words that the engine does not know and left as they were."""


class Translator(Protocol):
    """An engine, loaded, for one direction."""

    at_once: int
    """Sentences that it is best given at a time; as many are lost at most when it is killed."""

    def translate(self, sentences: Sequence[str], seeds: Sequence[int]) -> list[Translated]:
        """Translates n sentences.

        Each answer depends on its sentence and its seed alone, to the last bit: not on the others,
        their number or their order.

        Args:
            sentences: n lines, each with a letter, without white space at its ends.
            seeds: n numbers below 2**64, from which words are drawn; unused without draws.
        """


class ModelSpec(BaseModel):
    """Which engine and model translate in one direction."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    engine: str
    direction: Direction
    model: str | None = None
    """Directory of the model, or "hub:owner/name@commit"; None: the engine brings its own."""
    prefix: str = ""
    """Put before each sentence, for models of several target languages (">>por<<")."""
    decoding: Decoding = Decoding()
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """No identity: it says where, not what."""
    batch_sentences: int = Field(default=16, ge=1, le=4096)
    """Sentences of a batch of neural engines."""
    max_tokens: int = Field(default=512, ge=16, le=4096)
    """Most tokens of a translation."""
