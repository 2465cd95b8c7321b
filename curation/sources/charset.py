"""Which characters the bytes of a page or a text file stand for.

Names and labels are those of the WHATWG Encoding Standard; as there, a byte order mark outranks
every declaration, and labels that only ever served attacks or mail (utf-7, hz) are not known.
"""

import re
from functools import lru_cache
from typing import NamedTuple

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

_DETECT_BYTES = 1 << 16
_META_BYTES = 1 << 12
_META = re.compile(
    rb"<meta[^>]{1,400}?charset\s{0,9}=\s{0,9}[\"']?\s{0,9}([\w:.+-]{2,40})", re.IGNORECASE
)
_XML = re.compile(
    rb"^\s{0,99}<\?xml[^>]{1,200}?encoding\s{0,9}=\s{0,9}[\"']([\w:.+-]{2,40})", re.IGNORECASE
)
_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be"))

# Python's codecs that decode more than the standard's name says, as browsers do: Korean and
# Japanese pages are full of the vendor characters that the bare standards lack.
_CODECS = {
    "big5": ("big5", "big5hkscs"),
    "cp866": ("ibm866", "cp866"),
    "cp874": ("windows-874", "cp874"),
    "euc_jp": ("euc-jp", "euc_jp"),
    "euc_kr": ("euc-kr", "cp949"),
    "gb18030": ("gb18030", "gb18030"),
    "gbk": ("gbk", "gb18030"),
    "iso2022_jp": ("iso-2022-jp", "iso2022_jp"),
    "iso8859-11": ("windows-874", "cp874"),
    "mac-roman": ("macintosh", "mac-roman"),
    "shift_jis": ("shift_jis", "cp932"),
    "mac-cyrillic": ("x-mac-cyrillic", "mac-cyrillic"),
    "utf-16-be": ("utf-16be", "utf-16-be"),
    "utf-16-le": ("utf-16le", "utf-16-le"),
    "utf-8": ("utf-8", "utf-8"),
    **{f"cp{n}": (f"windows-{n}", f"cp{n}") for n in range(1250, 1259)},
    **{
        f"iso8859-{n}": (f"iso-8859-{n}", f"iso8859-{n}")
        for n in (*range(2, 9), 10, 13, 14, 15, 16)
    },
    **{f"koi8-{letter}": (f"koi8-{letter}", f"koi8-{letter}") for letter in "ru"},
}
_BY_NAME = dict(_CODECS.values())
_MORE_LABELS = {"cp949": "euc-kr", "uhc": "euc-kr", "ms949": "euc-kr", "utf8mb4": "utf-8"}
_MORE_LABELS |= dict.fromkeys(("mac-cyrillic", "x-mac-cyrillic"), "x-mac-cyrillic")


class Decoded(NamedTuple):
    """Text, and how its bytes were understood."""

    text: str
    charset: str
    """Name in the Encoding Standard ("windows-1252")."""
    found_by: str
    """"bom", "http", "meta", "valid" (the bytes are valid UTF-8), "detected", or what
    `decode_as` was told."""
    undecodable: int
    """Replacement characters that stand for bytes without a meaning in the charset."""


@lru_cache(maxsize=1024)
def standard_name(label: str) -> str | None:
    """Returns the standard's name for a charset label; None for an unknown one.

    Examples:
        >>> standard_name("Latin1"), standard_name("UTF8"), standard_name("utf-7")
        ('windows-1252', 'utf-8', None)
    """
    label = label.strip().strip("\"'").lower()
    if label in _MORE_LABELS:
        return _MORE_LABELS[label]
    codec = map_encoding_to_html5(label, False)  # noqa: FBT003
    return _CODECS[codec][0] if codec in _CODECS else None


def decode(data: bytes, declared: str | None = None, *, markup: bool = False) -> Decoded:
    """Decodes the bytes of a document, whatever they are.

    Tried in this order: byte order mark; the declared charset; with `markup`, the charset that
    the page declares itself; valid UTF-8; detection. A declaration under which more than half of
    the characters beyond ASCII cannot be decoded is taken for wrong, and the next is tried.

    Args:
        data: The bytes, without content encodings.
        declared: Charset label from outside the document (an HTTP header).
        markup: The bytes are HTML or XHTML: look for `<meta charset>` and the XML declaration.
    """
    for mark, name in _MARKS:
        if data.startswith(mark):
            return _decode_as(data[len(mark) :], name, "bom")
    first: Decoded | None = None
    for name, found_by in _declarations(data, declared, markup=markup):
        decoded = _decode_as(data, name, found_by)
        if not _is_wrong(decoded):
            return decoded
        first = first or decoded
    return _without_declaration(data, first)


def decode_as(data: bytes, label: str, found_by: str) -> Decoded:
    """Decodes bytes in a charset that is not doubted, without a byte order mark at the begin.

    Args:
        data: The bytes.
        label: A label that `standard_name` knows.
        found_by: Told in the answer.
    """
    name = standard_name(label)
    assert name is not None
    decoded = _decode_as(data, name, found_by)
    return decoded._replace(text=decoded.text.removeprefix("\ufeff"))


def _declarations(data: bytes, declared: str | None, *, markup: bool) -> list[tuple[str, str]]:
    found = []
    if declared and (name := standard_name(declared)):
        found.append((name, "http"))
    if markup:
        match = _META.search(data, 0, _META_BYTES) or _XML.match(data)
        name = standard_name(match[1].decode("ascii")) if match else None
        if name:
            # A page that can be read up to its <meta> is in no two-byte encoding.
            found.append(("utf-8" if name.startswith("utf-16") else name, "meta"))
    return found


def _without_declaration(data: bytes, wrong: Decoded | None) -> Decoded:
    decoded = _decode_as(data, "utf-8", "valid")
    if not decoded.undecodable and "\0" not in decoded.text[:_DETECT_BYTES]:
        return decoded
    guess = _wide(data) or _detected(data)
    detected = _decode_as(data, guess, "detected")
    return wrong if wrong and _is_wrong(detected) else detected


def _detected(data: bytes) -> str:
    # Not the library's own mapping to the standard: it takes Korean "UHC" for UTF-8.
    found = detect_encoding(data, _DETECT_BYTES, html5_compatible=False)
    return standard_name(found or "") or "utf-8"


def _wide(data: bytes) -> str | None:
    """Recognises UTF-16 without a mark: in most scripts every other byte is often zero."""
    sample = data[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if max(even, odd) * 5 < len(sample):
        return None
    if min(even, odd) * 10 > max(even, odd):
        return None
    return "utf-16be" if even > odd else "utf-16le"


def _is_wrong(decoded: Decoded) -> bool:
    if not decoded.undecodable:
        return False
    beyond_ascii = len(decoded.text) - len(decoded.text.encode("ascii", "ignore"))
    return decoded.undecodable * 2 > beyond_ascii


def _decode_as(data: bytes, name: str, found_by: str) -> Decoded:
    codec = _BY_NAME[name]
    try:
        return Decoded(data.decode(codec), name, found_by, 0)
    except UnicodeDecodeError:
        text = data.decode(codec, "replace")
    genuine = data.count(b"\xef\xbf\xbd") if codec == "utf-8" else 0
    return Decoded(text, name, found_by, max(0, text.count("\ufffd") - genuine))
