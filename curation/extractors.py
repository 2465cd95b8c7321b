"""The extraction engines, as functions of bytes to bytes that a guard's child process runs.

Nothing heavy is imported here: the child waits for this module at every start, and each engine
loads its own library with the first page.
"""

import logging
import re

_SURROGATES = re.compile("[\ud800-\udfff]")
_REFERENCE = re.compile(r"&#(?:[xX]([0-9a-fA-F]{1,8})|([0-9]{1,10}));?")
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""What XML cannot hold."""


def resiliparse_text(html: bytes) -> bytes:
    """Returns the main text of a page, found by resiliparse's rules; fast.

    List bullets and the indentation of lists stay, table cells are divided by tabs. Texts of
    images, links and form fields are left out.

    Args:
        html: A page, UTF-8.

    Source: Bevendorff et al. 2018, https://resiliparse.chatnoir.eu (Lexbor parser).
    """
    from resiliparse.extract.html2text import extract_plain_text

    return _utf8(
        extract_plain_text(
            html.decode("utf-8", "replace"), main_content=True, alt_texts=False, links=False
        )
    )


def trafilatura_text(html: bytes) -> bytes:
    """Returns the main text of a page by trafilatura; precise, some twenty times slower.

    Comments are left out. Its own removal of repeated paragraphs stays off: it remembers the
    paragraphs of earlier pages, and so a page's text would depend on its neighbours.

    Args:
        html: A page, UTF-8.

    Source: Barbaresi 2021, https://trafilatura.readthedocs.io.
    """
    from trafilatura import extract

    logging.disable(logging.CRITICAL)  # it logs an error for each page without a text
    page = _REFERENCE.sub(_xml_reference, html.decode("utf-8", "replace"))
    return _utf8(extract(page, include_comments=False, deduplicate=False) or "")


def _xml_reference(match: re.Match[str]) -> str:
    """Replaces a reference to what XML cannot hold: one of them loses trafilatura the page."""
    code_point = int(match[1], 16) if match[1] else int(match[2])
    if code_point > 0x10FFFF or _NO_XML.match(chr(code_point)):
        return "\ufffd"
    return match[0]


def _utf8(text: str) -> bytes:
    if text.isspace():
        return b""
    return _SURROGATES.sub("\ufffd", text).encode()
