"""Kinds of stage, one file each, in the order in which rows usually meet them."""

from collections.abc import Mapping

from curation.kinds import LazyKinds
from curation.stage import Stage

KINDS: Mapping[str, type[Stage]] = LazyKinds(
    __name__,
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
