"""What lies beside a trained extractor: what it was made of, and how it does on unseen sites."""

from typing import Any

from pydantic import BaseModel, ConfigDict

FORMAT = 1


class Scores(BaseModel):
    """How well main texts are found."""

    model_config = ConfigDict(frozen=True)

    pages: int
    precision: float
    recall: float
    f1: float


class SetRecord(BaseModel):
    """One set of gold pages."""

    model_config = ConfigDict(frozen=True)

    name: str
    kind: str
    """body, fragments or template: what is known of its pages."""
    files: dict[str, str]
    """SHA-256 by file name."""
    licence: str
    pages: int
    groups: int
    """Sites, or families of manuals: all pages of one are held out together."""
    scores: Scores | None
    """On pages of groups that the model has not seen; over all seeds."""
    f1_by_seed: list[float]
    """How much of it is luck."""
    folds: list[Scores | None]
    slices: dict[str, Scores]
    others: dict[str, Scores]
    """The same pages by other engines; trafilatura without comments."""


class Confidence(BaseModel):
    """Pages below a bound of confidence."""

    model_config = ConfigDict(frozen=True)

    below: float
    share: float
    """Of all pages."""
    f1: float | None
    """Mean of the pages below; null where there are none."""
    f1_rest: float | None


class ExtractorRecord(BaseModel):
    """All of it."""

    model_config = ConfigDict(frozen=True)

    format: int = FORMAT
    model_sha256: str
    model_bytes: int
    features: int
    settings: dict[str, Any]
    versions: dict[str, str]
    blocks: int
    """Blocks that the model learnt from."""
    sets: list[SetRecord]
    confidence: list[Confidence]
    """Over pages with known texts; empty without cross-validation."""
