"""Gold: pages of which somebody said what the main text is.

A set is a file `NAME.gold.jsonl` with a line for each page, and its pages in `NAME.warc.gz` beside
it, or a file of templates (TOML), which says for the pages of some sites which elements hold the
main text. A line names its page by `record_id` and says one of:

- `articleBody` or `text`: the whole main text;
- `main` and `drop`: selectors of the elements that hold it, and of what in them does not belong;
- `with` and `without`: fragments that belong to it, and such that do not.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field

from curation.errors import DataError, RecipeError
from curation.extraction.templates import main_text
from curation.shards import file_sha256
from curation.source import read_batches
from curation.sources.warc import WarcSource
from curation.toml import build, check_names, read_toml
from curation.urls import PACKAGED_SUFFIXES, load_suffixes, read_urls, registered_domains

Kind = Literal["body", "fragments", "template"]

SUFFIX = ".gold.jsonl"
SHORT = 1000
"""Pages whose whole main text has fewer characters are in the slice "short" too."""


class GoldPage(NamedTuple):
    """One page and what is known of its main text."""

    page_id: str
    url: str
    html: str
    kind: Kind
    group: str
    """Pages of one group are never on both sides of a measurement: a registered domain, or a
    family of manuals."""
    text: str
    """The whole main text; empty for fragments."""
    wanted: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()
    slices: tuple[str, ...] = ()
    """Names of what the page is an example of: "forum", "ja"."""


class GoldSet(NamedTuple):
    """The pages of one file."""

    name: str
    files: dict[str, str]
    """SHA-256 by file name."""
    licence: str
    pages: list[GoldPage]


class Template(BaseModel):
    """Where the main text is, on the pages of one site."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    family: str
    """Name of the group."""
    url: str
    """What the address begins with."""
    main: str = "body"
    """CSS selector of the elements that hold the main text."""
    drop: str = ""
    """CSS selector of what in them does not belong to it."""
    licence: str
    pages: int = Field(default=50, ge=1)
    """Most pages that are taken, drawn by their ids."""
    slices: tuple[str, ...] = ()


class Templates(BaseModel):
    """A file of templates."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    drop: str = ""
    """What belongs to the main text nowhere."""
    min_chars: int = 400
    """Pages with shorter main texts are left out."""
    templates: tuple[Template, ...]


def read_gold(path: Path) -> GoldSet:
    """Reads a set of pages with their main texts or fragments.

    Raises:
        RecipeError: The file is missing, or has another name.
        DataError: It cannot be read, or names a page that is not in the archive.
    """
    if not path.name.endswith(SUFFIX):
        raise RecipeError(f"gold {path}: expected a file NAME{SUFFIX}, with NAME.warc.gz beside it")
    archive = path.with_name(path.name.removesuffix(SUFFIX) + ".warc.gz")
    rows = [_row(path, number, line) for number, line in enumerate(_lines(path), 1)]
    htmls = dict(read_archive(archive))
    missing = [row["record_id"] for row in rows if row["record_id"] not in htmls]
    if missing:
        raise DataError(
            f"gold {path}: page {missing[0]} is not in {archive.name} ({len(missing)} are missing)"
        )
    pages = [_gold_page(row, htmls[row["record_id"]]) for row in rows]
    domains = _domains([page.url for page in pages])
    return GoldSet(
        path.name.removesuffix(SUFFIX),
        {file.name: file_sha256(file) for file in (path, archive)},
        ", ".join(sorted({str(row.get("licence")) for row in rows} - {"None"})),
        [
            page._replace(group=row.get("site") or domain or page.page_id)
            for page, row, domain in zip(pages, rows, domains, strict=True)
        ],
    )


def _lines(path: Path) -> list[str]:
    try:
        # Not splitlines: JSON leaves U+2028 and its kin as they are.
        return path.read_text(encoding="utf-8").removesuffix("\n").split("\n")
    except OSError as error:
        raise RecipeError(f"gold {path}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise DataError(f"gold {path}: no UTF-8 at byte {error.start:,}") from error


def _row(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
        row["record_id"] = row["record_id"].strip("<>")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"gold {path}: line {number} is no JSON object with a record_id ({error})"
        ) from error
    if not any(row.get(name) for name in ("articleBody", "text", "main", "with")):
        raise DataError(f"gold {path}: line {number} has no articleBody, text, main or with")
    return dict(row)


def _gold_page(row: Mapping[str, Any], html: str) -> GoldPage:
    text = row.get("articleBody") or row.get("text") or ""
    if not text and row.get("main"):
        text = main_text(
            html, ", ".join(_several(row["main"])), ", ".join(_several(row.get("drop")))
        )
    slices = set(_several(row.get("slice")))
    if 0 < len(text) < SHORT:
        slices.add("short")
    return GoldPage(
        row["record_id"],
        row.get("url") or "",
        html,
        "fragments" if not text else "template" if row.get("main") else "body",
        "",
        text,
        tuple(row.get("with") or ()),
        tuple(row.get("without") or ()),
        tuple(sorted(slices)),
    )


def _several(value: Any) -> tuple[str, ...]:
    """Returns the strings of a value that is one, or a list of them, or missing."""
    return (value,) if isinstance(value, str) else tuple(value or ())


def _domains(urls: Sequence[str]) -> list[str | None]:
    """Returns the registered domain of each URL, or its host, or None."""
    parts = read_urls(pa.array(urls, pa.large_string()))
    suffixes = load_suffixes(PACKAGED_SUFFIXES, private=False)
    found = registered_domains(parts.hosts, suffixes).to_pylist()
    return [domain or host for domain, host in zip(found, parts.hosts.to_pylist(), strict=True)]


def read_archive(path: Path) -> Iterator[tuple[str, str]]:
    """Yields record id and page of each response of an archive, decoded as a run decodes it."""
    for record_id, _, html in _records(path):
        yield record_id, html


def _records(path: Path) -> Iterator[tuple[str, str, str]]:
    source = WarcSource(kind="warc", name="gold", paths=(str(path),))
    for shard in source.shards(source.files(Path.cwd())):
        for batch in read_batches(source, shard, Counter()):
            columns = (batch.column(name).to_pylist() for name in ("record_id", "url", "text"))
            for record_id, url, text in zip(*columns, strict=True):
                if text is not None:
                    yield str(record_id).strip("<>"), url or "", text


def read_templates(path: Path, archives: Sequence[Path]) -> GoldSet:
    """Reads the pages of archives whose sites a file of templates knows.

    Raises:
        RecipeError: The file is missing or says something impossible.
    """
    known = _templates(path)
    drawn: dict[str, list[tuple[str, GoldPage]]] = {}
    for record_id, url, html in (record for archive in archives for record in _records(archive)):
        template = next((one for one in known.templates if url.startswith(one.url)), None)
        if template is None:
            continue
        rank = hashlib.blake2b(record_id.encode(), digest_size=8).hexdigest()
        page = GoldPage(record_id, url, html, "template", template.family, "")
        drawn.setdefault(template.url, []).append((rank, page._replace(slices=template.slices)))
    pages = [
        page
        for template in known.templates
        for page in _with_texts(sorted(drawn.get(template.url, ())), template, known)
    ]
    licences = ", ".join(sorted({template.licence for template in known.templates}))
    files = {file.name: file_sha256(file) for file in (path, *archives)}
    return GoldSet(path.stem, files, licences, pages)


def _templates(path: Path) -> Templates:
    where, raw = f"templates {path}", read_toml(path, "templates")
    check_names(raw, Templates, where, "setting")
    for one in raw.get("templates", ()):
        if isinstance(one, Mapping):
            check_names(one, Template, where, "setting of [[templates]]")
    return build(Templates, raw, where)


def _with_texts(
    drawn: Sequence[tuple[str, GoldPage]], template: Template, known: Templates
) -> Iterator[GoldPage]:
    """Yields the first pages, in the order of their draw, that have a main text."""
    drop = ", ".join(filter(None, (known.drop, template.drop)))
    found = 0
    for _, page in drawn:
        text = main_text(page.html, template.main, drop)
        if len(text) >= known.min_chars:
            yield page._replace(text=text)
            found += 1
        if found == template.pages:
            return
