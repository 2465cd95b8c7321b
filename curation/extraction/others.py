"""Other engines on the same pages, for the tables; here they run in this process."""

import logging
from collections.abc import Callable, Sequence
from importlib.util import find_spec

from curation.extractors import resiliparse_text, trafilatura_text

ENGINES: dict[str, Callable[[bytes], bytes]] = {
    "trafilatura": trafilatura_text,
    "resiliparse": resiliparse_text,
}
"""trafilatura without comments: with them it is worse on both public sets."""


def known_engines() -> list[str]:
    """Returns those that are installed."""
    return [name for name in ENGINES if find_spec(name) is not None]


def texts_of(engine: str, pages: Sequence[str]) -> list[str]:
    """Returns the main texts of pages by one of the engines."""
    logging.disable(logging.CRITICAL)
    try:
        return [ENGINES[engine](page.encode("utf-8", "replace")).decode() for page in pages]
    finally:
        logging.disable(logging.NOTSET)
