"""Small archives made record by record, and ways to read files as one source."""

import gzip
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from curation.source import InputFile, Record
from curation.sources import KINDS

HTML = b"<html><head><title>t</title></head><body><p>Hello</p></body></html>"


def http(
    body: bytes = HTML,
    *,
    status: str = "200 OK",
    content_type: str | None = "text/html; charset=utf-8",
    **headers: str,
) -> bytes:
    lines = [f"HTTP/1.1 {status}"]
    if content_type is not None:
        lines.append(f"Content-Type: {content_type}")
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def warc(
    block: bytes | None = None,
    *,
    number: int = 0,
    kind: str = "response",
    content_type: str = "application/http; msgtype=response",
    version: str = "1.0",
    length: str | None = None,
    drop: Sequence[str] = (),
    **fields: str,
) -> bytes:
    block = http() if block is None else block
    values = {
        "WARC-Type": kind,
        "WARC-Record-ID": f"<urn:uuid:{number}>",
        "WARC-Target-URI": f"http://example.org/{number}",
        "WARC-Date": "2024-05-06T07:08:09Z",
        "Content-Type": content_type,
        "Content-Length": str(len(block)) if length is None else length,
    }
    values |= {name.replace("_", "-"): value for name, value in fields.items()}
    lines = [f"{name}: {value}" for name, value in values.items() if name not in drop]
    head = f"WARC/{version}\r\n" + "\r\n".join(lines) + "\r\n\r\n"
    return head.encode() + block + b"\r\n\r\n"


def page(text: str, size: int = 0) -> bytes:
    return http(f"<html><body><p>{text}</p>{'<br>' * (size // 4)}</body></html>".encode())


def pages(count: int, size: int = 0) -> list[bytes]:
    return [warc(page(f"page {n}", size), number=n) for n in range(count)]


def arc(block: bytes, *, url: str = "http://example.org/", length: str | None = None) -> bytes:
    size = str(len(block)) if length is None else length
    return f"{url} 1.2.3.4 20080430204825 text/html {size}\n".encode() + block + b"\n"


_ARC_VERSION = b"1 0 Test\nURL IP-address Archive-date Content-type Archive-length\n"
ARC_HEAD = (
    f"filedesc://x.arc 0.0.0.0 20080430204825 text/plain {len(_ARC_VERSION)}\n".encode()
    + _ARC_VERSION
    + b"\n"
)


def members(records: Sequence[bytes]) -> bytes:
    return b"".join(gzip.compress(record, mtime=0) for record in records)


def input_file(path: Path) -> InputFile:
    stat = path.stat()
    return InputFile(path.name, str(path), stat.st_size, str(stat.st_mtime_ns))


def write(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def read(kind: str, path: Path | str, **settings: Any) -> tuple[list[Record], Counter[str]]:
    """All records of some files, shard by shard, and what was skipped."""
    source = KINDS[kind].model_validate(
        {"kind": kind, "name": "web", "paths": [getattr(path, "name", path)], **settings}
    )
    skipped: Counter[str] = Counter()
    base = path.parent if isinstance(path, Path) else Path("/")
    shards = source.shards(source.files(base))
    records = [r for shard in shards for split in shard for r in source.read(split, skipped)]
    return records, skipped


def splits(kind: str, path: Path, split_bytes: int) -> int:
    source = KINDS[kind].model_validate(
        {"kind": kind, "name": "web", "paths": [str(path)], "split_bytes": split_bytes}
    )
    return len(source.cut(source.files(path.parent)[0]))


def errors(records: Sequence[Record]) -> list[str | None]:
    return [record.error for record in records]
