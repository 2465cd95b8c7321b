"""Kinds of stage, one file each, in the order in which rows usually meet them."""

from curation.stage import Stage
from curation.stages.exact_dedup import ExactDedup
from curation.stages.extract import Extract
from curation.stages.gopher_quality import GopherQuality
from curation.stages.gopher_repetition import GopherRepetition
from curation.stages.language import Language
from curation.stages.line_dedup import LineDedup
from curation.stages.minhash_dedup import MinhashDedup
from curation.stages.normalize import Normalize
from curation.stages.split import Split
from curation.stages.unique_id import UniqueId

KINDS: dict[str, type[Stage]] = {
    "extract": Extract,
    "normalize": Normalize,
    "language": Language,
    "gopher_quality": GopherQuality,
    "gopher_repetition": GopherRepetition,
    "unique_id": UniqueId,
    "line_dedup": LineDedup,
    "exact_dedup": ExactDedup,
    "minhash_dedup": MinhashDedup,
    "split": Split,
}
"""What a recipe can name; a new stage is one line here."""
