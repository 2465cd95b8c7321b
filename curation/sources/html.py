"""Trees of HTML files, one document each; gzip and Zstandard, too."""

import os
from collections import Counter
from collections.abc import Iterator
from glob import has_magic
from pathlib import Path
from typing import Any, Literal
from urllib.parse import quote

from pydantic import Field

from curation.errors import RecipeError
from curation.source import InputFile, Record, Source, Split
from curation.sources.charset import decode
from curation.sources.media import HTML, document_type
from curation.sources.opening import RawFile
from curation.sources.text import clean_text, whole_file
from curation.sources.unreadable import UnreadableError

_SUFFIXES = (".html", ".htm", ".xhtml", ".xht", ".shtml")
_COMPRESSED = (".gz", ".zst")


class HtmlSource(Source):
    """HTML files, one document each.

    Of directories and globs only files named like HTML are read; a file that the recipe names
    itself is read whatever its name.
    """

    kind: Literal["html"]
    url_prefix: str | None = None
    """Goes before a file's path below the directory in `paths`; default: the URL is the name."""
    charset: str | None = None
    """Charset that a server would have declared; default: the page's own, else detected."""
    max_record_bytes: int = Field(default=32 << 20, ge=1 << 10)
    """Longest page in bytes; longer ones become "record_too_large"."""

    def files(self, base: Path) -> list[InputFile]:
        """Returns the HTML files, sorted by name, each once.

        Raises:
            RecipeError: A path matches nothing, or nothing that is named like HTML.
        """
        found = super().files(base)
        named = {os.path.normpath(os.path.join(base, p)) for p in self.paths if not has_magic(p)}
        named |= set(self.paths)
        pages = [file for file in found if _is_page(file.name) or file.url in named]
        if not pages:
            raise RecipeError(
                f"source '{self.name}': none of {len(found)} files is named like HTML; "
                f"expected names that end in {', '.join(_SUFFIXES)} (also with .gz or .zst)"
            )
        return pages

    def read(self, split: Split, skipped: Counter[str]) -> Iterator[Record]:
        """Yields the page that a file holds, or why it could not be read."""
        with RawFile(split.file) as raw:
            page = whole_file(raw, self.max_record_bytes)
        if page.length == 0 and not page.error:
            skipped["empty_file"] += 1
            return
        name = split.file.name
        record = Record(name, None, 0, page.length, url=self._url(name), media_type=None)
        try:
            if page.error:
                raise UnreadableError(*page.error)
            text, meta = self._text(page.data)
        except UnreadableError as error:
            yield record._replace(error=error.code, detail=error.detail)
        else:
            yield record._replace(text=text, media_type=HTML, meta=meta)

    def _text(self, data: bytes) -> tuple[str, dict[str, Any]]:
        if not data or data.isspace():
            raise UnreadableError("empty_body", "the file holds white space only")
        document_type(HTML, data)
        return clean_text(decode(data, self.charset, markup=True))

    def _url(self, name: str) -> str:
        if self.url_prefix is None:
            return name
        roots = [path.rstrip("/") + "/" for path in self.paths if not has_magic(path)]
        below = [root for root in roots if name.startswith(root)]
        path = name.removeprefix(max(below, key=len)) if below else name
        return self.url_prefix + quote(path)


def _is_page(name: str) -> bool:
    name = name.lower()
    for ending in _COMPRESSED:
        name = name.removesuffix(ending)
    return name.endswith(_SUFFIXES)
