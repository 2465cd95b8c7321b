"""Makes `data/sample/` from the full data sets: real pages and texts with free licences.

    python data/make_sample.py SHARED_DATA [OUT]

What is taken depends on hashes of record ids and on the metadata only, so the same input gives the
same documents. WARC members are copied as they lie in their file, byte for byte. The JSONL files
are written here: their lines are stable, their compressed bytes follow the zlib version.
"""

import csv
import gzip
import hashlib
import json
import sys
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.parquet as pq

Row = dict[str, Any]

WEB = "web-warc/DEBDOCS-SHARED-20250520-00000"
HERE = Path(__file__).parent / "sample"


class Part(NamedTuple):
    """Pages under one URL prefix, all from one work with one licence."""

    prefix: str
    package: str
    licence: str
    holder: str


PARTS = (
    Part(
        "https://httpd.apache.org/docs/2.4/",
        "apache2-doc",
        "Apache-2.0",
        "The Apache Software Foundation",
    ),
    Part(
        "https://debian-handbook.info/browse/",
        "debian-handbook",
        "CC-BY-SA-3.0",  # or GPL-2.0-or-later, as the reader likes; taken here under the first
        "Raphaël Hertzog, Roland Mas, Freexian SARL",
    ),
    Part(
        "https://help.libreoffice.org/7.4/",
        "libreoffice-help",
        "MPL-2.0",
        "LibreOffice contributors; Oracle and/or its affiliates",
    ),
    Part(
        "https://docs.djangoproject.com/en/3.2/",
        "python-django-doc",
        "BSD-3-Clause",
        "Django Software Foundation and individual contributors",
    ),
    Part(
        "https://docs.python.org/3.11/", "python3.11-doc", "PSF-2.0", "Python Software Foundation"
    ),
    Part("https://scons.org/doc/", "scons-doc", "MIT", "The SCons Foundation"),
)

# Pages of each work and language whose text is in that language; English carries the model.
QUOTAS: dict[str, dict[str, int]] = {
    "apache2-doc": {"en": 42, "fr": 10, "ja": 10, "ko": 9, "tr": 7, "de": 8, "es": 8, "zh-cn": 5},
    "debian-handbook": {
        "en": 24, "de": 8, "es": 8, "fr": 8, "it": 10, "ja": 8, "pl": 8, "pt-br": 9, "ru": 16,
        "zh-cn": 12,
    },
    "libreoffice-help-en-us": {"en": 36},
    "libreoffice-help-de": {"de": 10},
    "libreoffice-help-es": {"es": 10},
    "libreoffice-help-fr": {"fr": 10},
    "python-django-doc": {"en": 44},
    "python3.11-doc": {"en": 18},
    "scons-doc": {"en": 30},
}  # fmt: skip
LANGUAGES = {"zh-cn": "zh", "pt-br": "pt"}
EXACT_PAIRS = 12
UNTRANSLATED_PAGES = 7  # handbook pages that several translations ship in English: near duplicates
INDEX_PAGES = ("genindex-", "sitemap.html", "/ix01.html", "py-modindex", "quickreference.html")
REPEATED_RECORDS = 2

MEDQUAD_DOCUMENTS = 2300
PUBMED_DOCUMENTS = 400
PYTHON_PAGES = 34
PYTHON_CHARS = (2_000, 12_000)


def rank(key: str) -> str:
    """Returns a sort key that is arbitrary, but the same everywhere."""
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def by_rank(rows: Iterable[Row], key: str) -> list[Row]:
    """Returns rows in the arbitrary but fixed order of `rank`."""
    return sorted(rows, key=lambda row: rank(row[key]))


# Web


def choose_pages(pages: list[Row]) -> list[Row]:
    """Returns the pages for the WARC: each work's quotas, then what the filters are to find."""
    free = [page for page in pages if page["package"] in QUOTAS and page["html_bytes"] < 200_000]
    chosen: dict[str, Row] = {}
    for choice in (quota_pages, exact_pairs, untranslated_pages, index_pages):
        chosen.update((page["record_id"], page) for page in choice(free))
    return by_rank(chosen.values(), "record_id")


def quota_pages(pages: list[Row]) -> Iterator[Row]:
    """Yields pages of each work and language whose label confirms the language."""
    groups: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for page in by_rank(pages, "record_id"):
        nominal = page["lang_nominal"]
        label = LANGUAGES.get(nominal, nominal)
        if not page["dup_of_body"] and page["lid176_label"] == label:
            groups[page["package"], nominal].append(page)
    for package, quotas in QUOTAS.items():
        for language, count in quotas.items():
            yield from groups[package, language][:count]


def exact_pairs(pages: list[Row]) -> Iterator[Row]:
    """Yields pages whose body repeats another page byte for byte, and that other page."""
    by_id = {page["record_id"]: page for page in pages}
    repeats = [page for page in by_rank(pages, "record_id") if page["dup_of_body"] in by_id]
    for page in repeats[:EXACT_PAIRS]:
        yield page
        yield by_id[page["dup_of_body"]]


def untranslated_pages(pages: list[Row]) -> Iterator[Row]:
    """Yields pages that translations ship in English: alike but for their navigation."""
    groups: dict[str, list[Row]] = defaultdict(list)
    for page in pages:
        if page["package"] == "debian-handbook" and page["lid176_label"] == "en":
            groups[page["parallel_key"]].append(page)
    alike = [key for key, group in groups.items() if len(group) >= 3]
    for key in sorted(alike, key=rank)[:UNTRANSLATED_PAGES]:
        yield from by_rank(groups[key], "record_id")[:4]


def index_pages(pages: list[Row]) -> Iterator[Row]:
    """Yields pages that hold little but links: indexes and site maps."""
    for name in INDEX_PAGES:
        yield from [page for page in by_rank(pages, "record_id") if name in page["url"]][:3]


def write_web(data: Path, out: Path) -> dict[str, tuple[int, int]]:
    """Writes `web.warc.gz`; returns documents and bytes of each URL prefix."""
    pages = pq.read_table(data / f"{WEB}.meta.parquet").to_pylist()
    archive = (data / f"{WEB}.warc.gz").read_bytes()
    starts = sorted(page["offset"] for page in pages)
    ends = dict(zip(starts, [*starts[1:], len(archive)], strict=True))
    chosen = choose_pages(pages)
    members = [archive[page["offset"] : ends[page["offset"]]] for page in chosen]
    repeated = members[:REPEATED_RECORDS]
    cut = cut_page(pages, chosen)
    last = archive[cut["offset"] : ends[cut["offset"]]]
    with (out / "web.warc.gz").open("wb") as file:
        file.write(archive[: starts[0]])  # warcinfo
        file.writelines(members)
        file.writelines(other_records(data))
        file.writelines(repeated)
        file.write(last[: len(last) * 3 // 5])  # a crawler that died while writing
    return count_parts(chosen, members)


def cut_page(pages: list[Row], chosen: list[Row]) -> Row:
    """Returns a page that is not chosen; its record ends the file, cut off midway."""
    ids = {page["record_id"] for page in chosen}
    django = [page for page in pages if page["package"] == "python-django-doc"]
    return next(page for page in by_rank(django, "record_id") if page["record_id"] not in ids)


def count_parts(pages: list[Row], members: list[bytes]) -> dict[str, tuple[int, int]]:
    """Returns, for each URL prefix, how many pages and compressed bytes lie under it."""
    counts = {part.prefix: (0, 0) for part in PARTS}
    for page, member in zip(pages, members, strict=True):
        prefix = next(prefix for prefix in counts if page["url"].startswith(prefix))
        documents, size = counts[prefix]
        counts[prefix] = documents + 1, size + len(member)
    return counts


def other_records(data: Path) -> Iterator[bytes]:
    """Yields records of real crawls that are no pages: requests, a redirect, a script."""
    wget = (data / "warc-malformed/warcio-example-wget-bad-target-uri.warc.gz").read_bytes()
    yield from list(split_members(wget))[1:]
    seen = set()
    for member in split_members((data / "warc-real/pywb-iana.warc.gz").read_bytes()):
        head = gzip.decompress(member)[:2_000]
        wanted = (b"/about/performance/ietf-statistics", b"/_js/2013.1/jquery.js")
        uri = next((uri for uri in wanted if uri in head.partition(b"\r\n\r\n")[0]), None)
        if uri and uri not in seen and b"WARC-Type: response" in head:
            seen.add(uri)
            yield member


def split_members(archive: bytes) -> Iterator[bytes]:
    """Yields the gzip members of a file as they are stored."""
    while archive:
        engine = zlib.decompressobj(wbits=31)
        engine.decompress(archive)
        rest = engine.unused_data
        yield archive[: len(archive) - len(rest)]
        archive = rest


# Domain text


def medquad(data: Path) -> Iterator[Row]:
    """Yields questions with answers from NIH sites, natural duplicates included."""
    rows = by_rank(read_jsonl(data / "domain-text/medquad.jsonl.gz"), "id")
    texts = defaultdict(int)
    for row in rows:
        texts[row["text"]] += 1
    taken = [row for row in rows if texts[row["text"]] > 1][:40]
    ids = {row["id"] for row in taken}
    rest = [row for row in rows if row["id"] not in ids]
    for row in [*taken, *rest][:MEDQUAD_DOCUMENTS]:
        meta = {key: row["meta"][key] for key in ("collection", "focus", "qtype")}
        yield row | {"licence": "CC-BY-4.0", "meta": meta}


def pubmed(data: Path) -> Iterator[Row]:
    """Yields abstracts, with the question that each one answers."""
    rows = by_rank(read_jsonl(data / "domain-text/pubmedqa-abstracts.jsonl.gz"), "id")
    for row in rows[:PUBMED_DOCUMENTS]:
        meta = {key: row["meta"][key] for key in ("question", "final_decision", "year")}
        yield row | {"licence": "MIT", "meta": meta}


def manpages(data: Path) -> Iterator[Row]:
    """Yields the pages named in `manpages_licences.tsv`, each under its own licence."""
    with (HERE / "manpages_licences.tsv").open(encoding="utf-8") as file:
        licences = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    for row in read_jsonl(data / "domain-text/manpages.jsonl.gz"):
        notice = licences.get(row["meta"]["name"])
        if notice:
            meta = row["meta"] | {"copyright": notice["copyright"]}
            yield row | {"licence": notice["licence"], "meta": meta}


def python_docs(data: Path) -> Iterator[Row]:
    """Yields pages of the Python documentation, each in three versions: near duplicates."""
    pages: dict[str, list[Row]] = defaultdict(list)
    for row in pq.read_table(data / "near-dup/pydoc-versions.parquet").to_pylist():
        pages[row["name"]].append(row)
    low, high = PYTHON_CHARS
    fit = [
        name
        for name, rows in pages.items()
        if len(rows) == 3 and all(low <= len(row["text"]) <= high for row in rows)
    ]
    for name in sorted(fit, key=rank)[:PYTHON_PAGES]:
        for row in sorted(pages[name], key=lambda row: row["id"]):
            yield {
                "id": row["id"],
                "text": row["text"],
                "source": f"debian:{row['package']}",
                "url": f"https://docs.python.org/{row['version']}/{name}",
                "meta": {"version": row["version"]},
                "licence": "PSF-2.0",
            }


class TextFile(NamedTuple):
    """One JSONL file of the sample."""

    rows: Callable[[Path], Iterator[Row]]
    source: str
    licence: str
    holder: str
    purpose: str


FILES = {
    "medquad.jsonl.gz": TextFile(
        medquad,
        "https://github.com/abachaa/MedQuAD @577bd37",
        "CC-BY-4.0",
        "Asma Ben Abacha and Dina Demner-Fushman; answers from NIH web sites",
        "domain text, medicine; 20 exact duplicates and many answers from templates",
    ),
    "pubmedqa.jsonl.gz": TextFile(
        pubmed,
        "https://github.com/pubmedqa/pubmedqa @1cbae8e",
        "MIT",
        "Copyright (c) 2019 pubmedqa",
        "domain text, biomedical abstracts",
    ),
    "manpages.jsonl.gz": TextFile(
        manpages,
        "Debian manpages and manpages-dev 6.03-2",
        "Linux-man-pages-copyleft, BSD-3-Clause or BSD-4-Clause-UC",
        "see the field meta.copyright of each document",
        "domain text, Linux manual; indented, with tables and code; licence on each document",
    ),
    "python-docs.jsonl.gz": TextFile(
        python_docs,
        "Debian python3.9-doc 3.9.2-1, python3.11-doc 3.11.2-6, python3.13-doc 3.13.5-2",
        "PSF-2.0",
        "Copyright (c) 2001-2025 Python Software Foundation",
        "the same pages in three versions: near duplicates with known Jaccard similarity",
    ),
}


def read_jsonl(path: Path) -> list[Row]:
    """Returns the rows of a gzip-compressed JSONL file."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def write_jsonl(path: Path, rows: Iterable[Row]) -> int:
    """Writes rows, gzip-compressed without a time stamp; returns how many."""
    lines = [json.dumps(row, ensure_ascii=False, sort_keys=True) for row in rows]
    text = "".join(line + "\n" for line in lines)
    path.write_bytes(gzip.compress(text.encode("utf-8"), 9, mtime=0))
    return len(lines)


# The table of licences

COLUMNS = (
    "file", "part", "documents", "bytes", "sha256", "source", "licence", "holder", "purpose",
)  # fmt: skip


def file_row(path: Path, documents: int, *facts: str) -> tuple[str, ...]:
    """Returns one file's row of the table."""
    content = path.read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    return (path.name, "all", str(documents), str(len(content)), digest, *facts)


def part_rows(counts: dict[str, tuple[int, int]]) -> Iterator[tuple[str, ...]]:
    """Yields the rows of the WARC's parts, which have no digest of their own."""
    for part in PARTS:
        documents, size = counts[part.prefix]
        source = f"Debian 12, {part.package}"
        facts = (source, part.licence, part.holder, "web pages")
        yield ("web.warc.gz", part.prefix, str(documents), str(size), "-", *facts)


def main(data: Path, out: Path) -> None:
    """Writes all files of the sample and the table that names their sources and licences."""
    out.mkdir(parents=True, exist_ok=True)
    counts = write_web(data, out)
    pages = sum(documents for documents, _ in counts.values())
    table = [
        file_row(
            out / "web.warc.gz",
            pages,
            "Debian 12 documentation packages; records of warcio and pywb",
            "by part",
            "by part",
            "web pages in 12 languages; duplicates, index pages, short pages, a damaged end",
        )
    ]
    table.extend(part_rows(counts))
    for name, file in FILES.items():
        documents = write_jsonl(out / name, file.rows(data))
        facts = (file.source, file.licence, file.holder, file.purpose)
        table.append(file_row(out / name, documents, *facts))
    lines = ["\t".join(row) for row in (COLUMNS, *table)]
    (out / "LICENSES.tsv").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) not in {2, 3}:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]) if len(sys.argv) == 3 else HERE)
