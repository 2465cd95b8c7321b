"""Kinds of stage, one file each, in the order in which rows usually meet them."""

from curation.stage import Stage
from curation.stages.c4_quality import C4Quality
from curation.stages.combined_score import CombinedScore
from curation.stages.decontaminate import Decontaminate
from curation.stages.domain_cap import DomainCap
from curation.stages.exact_dedup import ExactDedup
from curation.stages.extract import Extract
from curation.stages.fineweb_quality import FinewebQuality
from curation.stages.gopher_quality import GopherQuality
from curation.stages.gopher_repetition import GopherRepetition
from curation.stages.keep_top import KeepTop
from curation.stages.language import Language
from curation.stages.line_dedup import LineDedup
from curation.stages.minhash_dedup import MinhashDedup
from curation.stages.mix import Mix
from curation.stages.normalize import Normalize
from curation.stages.personal_data import PersonalData
from curation.stages.quality_model import QualityModel
from curation.stages.split import Split
from curation.stages.unique_id import UniqueId
from curation.stages.url_filter import UrlFilter

KINDS: dict[str, type[Stage]] = {
    "url_filter": UrlFilter,
    "extract": Extract,
    "normalize": Normalize,
    "language": Language,
    "gopher_quality": GopherQuality,
    "c4_quality": C4Quality,
    "fineweb_quality": FinewebQuality,
    "quality_model": QualityModel,
    "personal_data": PersonalData,
    "combined_score": CombinedScore,
    "keep_top": KeepTop,
    "decontaminate": Decontaminate,
    "gopher_repetition": GopherRepetition,
    "unique_id": UniqueId,
    "line_dedup": LineDedup,
    "exact_dedup": ExactDedup,
    "minhash_dedup": MinhashDedup,
    "domain_cap": DomainCap,
    "split": Split,
    "mix": Mix,
}
"""What a recipe can name; a new stage is one line here."""
