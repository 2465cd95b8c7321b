"""What kind of document some bytes are: from their declared media type, or from their start."""

import re
from functools import lru_cache

from curation.sources.unreadable import UnreadableError

HTML = "text/html"
PLAIN = "text/plain"
_AS = {
    HTML: HTML,
    "application/xhtml+xml": HTML,
    "application/vnd.wap.xhtml+xml": HTML,
    PLAIN: PLAIN,
}
_UNSAID = frozenset(
    (
        *("", "-", "*/*", "no-type", "unk", "unknown/unknown", "content/unknown"),
        *("application/octet-stream", "application/unknown", "application/x-unknown"),
    )
)

_MARKUP = re.compile(
    rb"\s{0,512}(?:<\?xml[^>]{0,400}>\s{0,64})?(?:<!--[\s\S]{0,1024}?-->\s{0,64})?"
    rb"<(?:!doctype\s{1,9}html|html|head|body|title|script|style|meta|table|div|h1|p|a|br|font|b)"
    rb"[\s/>]",
    re.IGNORECASE,
)
_SIGNATURES = (
    (b"%PDF-", "application/pdf"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b", "application/gzip"),
    (b"RIFF", "application/x-riff"),
    (b"OggS", "application/ogg"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"ID3", "audio/mpeg"),
    (b"wOFF", "font/woff"),
    (b"wOF2", "font/woff2"),
    (b"\x7fELF", "application/x-elf"),
)
_ANY_SIGNATURE = tuple(signature for signature, _ in _SIGNATURES)
_CONTROLS = bytes(c for c in range(32) if c not in b"\t\n\v\f\r\x1b")
_CHARSET = re.compile(r"charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([^\s\"';,]{1,40})", re.IGNORECASE)


@lru_cache(maxsize=1024)
def split_type(header: str | None) -> tuple[str, str | None]:
    """Returns the lower-case media type of a Content-Type header, and its charset label.

    Examples:
        >>> split_type("Text/HTML; charset=UTF-8")
        ('text/html', 'UTF-8')
        >>> split_type(None)
        ('', None)
    """
    header = header or ""
    media_type = re.split(r"[;,\s]", header.strip(), maxsplit=1)[0].lower()
    found = _CHARSET.search(header[:1024])
    return media_type, found[1] if found else None


def check_declared(media_type: str) -> None:
    """Refuses what is declared to be no document, before time goes into decoding it.

    Raises:
        UnreadableError: "media_type"; the detail is the type.
    """
    if media_type not in _AS and media_type not in _UNSAID:
        raise UnreadableError("media_type", media_type[:100])


def document_type(media_type: str, data: bytes) -> str:
    """Returns "text/html" or "text/plain" for a document, whatever its type was declared to be.

    Args:
        media_type: As `split_type` gives it; the bytes are looked at where it says nothing.
        data: The body, without content encodings.

    Raises:
        UnreadableError: It is something else ("media_type"); the detail names what.
    """
    check_declared(media_type)
    binary = binary_type(data)
    if media_type in _AS:
        if binary:
            raise UnreadableError("media_type", f"{binary} declared as {media_type}")
        return _AS[media_type]
    if binary or not looks_like_text(data):
        raise UnreadableError("media_type", binary or "unknown binary")
    return HTML if _MARKUP.match(data.removeprefix(b"\xef\xbb\xbf")[:4096]) else PLAIN


def binary_type(data: bytes) -> str | None:
    """Returns the media type of a well-known binary format by its first bytes."""
    if not data.startswith(_ANY_SIGNATURE):
        return None
    return next(media_type for signature, media_type in _SIGNATURES if data.startswith(signature))


def looks_like_text(data: bytes) -> bool:
    """Says whether the first kilobyte is text: nearly no control characters, or UTF-16."""
    sample = data[:1024]
    if sample.startswith((b"\xff\xfe", b"\xfe\xff")):
        return True
    controls = len(sample) - len(sample.translate(None, _CONTROLS))
    return controls * 50 <= len(sample)
