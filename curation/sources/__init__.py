"""Kinds of source, one file each."""

from typing import Annotated

from pydantic import Field

from curation.source import Source
from curation.sources.html import HtmlSource
from curation.sources.jsonl import JsonlSource
from curation.sources.parquet import ParquetSource
from curation.sources.text import TextSource
from curation.sources.warc import WarcSource

SourceUnion = Annotated[
    WarcSource | HtmlSource | JsonlSource | ParquetSource | TextSource, Field(discriminator="kind")
]
"""Any source of a recipe, told by its `kind`."""

KINDS: dict[str, type[Source]] = {
    "warc": WarcSource,
    "html": HtmlSource,
    "jsonl": JsonlSource,
    "parquet": ParquetSource,
    "text": TextSource,
}
"""Every kind of source by its name."""

__all__ = [
    "KINDS",
    "HtmlSource",
    "JsonlSource",
    "ParquetSource",
    "SourceUnion",
    "TextSource",
    "WarcSource",
]
