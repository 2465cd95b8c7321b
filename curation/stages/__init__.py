"""Kinds of stage, one file each, in the order in which rows usually meet them."""

from collections.abc import Iterator, Mapping
from importlib import import_module

from curation.stage import Stage


class _Kinds(Mapping[str, type[Stage]]):
    """Loads a kind when it is asked for: all take a second or two, and a recipe has a few.

    The kind `url_filter` is the class `UrlFilter` of the module `url_filter`.
    """

    def __init__(self, *kinds: str) -> None:
        self._kinds = {kind: f"{__name__}.{kind}" for kind in kinds}

    def __getitem__(self, kind: str) -> type[Stage]:
        module = import_module(self._kinds[kind])
        model: type[Stage] = getattr(module, kind.title().replace("_", ""))
        return model

    def __contains__(self, kind: object) -> bool:
        return kind in self._kinds

    def __iter__(self) -> Iterator[str]:
        return iter(self._kinds)

    def __len__(self) -> int:
        return len(self._kinds)


KINDS: Mapping[str, type[Stage]] = _Kinds(
    "url_filter",
    "extract",
    "normalize",
    "language",
    "gopher_repetition",
    "gopher_quality",
    "text_statistics",
    "refinedweb_lines",
    "c4_quality",
    "fineweb_quality",
    "perplexity",
    "quality_model",
    "personal_data",
    "combined_score",
    "keep_top",
    "decontaminate",
    "unique_id",
    "line_dedup",
    "exact_dedup",
    "minhash_dedup",
    "semantic_dedup",
    "domain_cap",
    "split",
    "noise",
    "back_translate",
    "synonyms",
    "paraphrase",
    "rewrite",
    "augmentation_gates",
    "mix",
)
"""What a recipe can name; a new stage is one line here."""
