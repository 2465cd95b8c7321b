"""Words that say what the number after them is: "Tel.", "SSN", "version".

Looked for in the 48 bytes before a candidate, in its line and the one before (a label often stands
on a line of its own). A word counts as *near* when at most 20 bytes lie between it and the number
(and no digit, for words like "version"). Up to four finds, or placeholders, in between that are at
most eight bytes apart count as no bytes: so in "Tel. A, B or C" all three have the word, before and
after replacing. Farther than that nothing counts that stands before a find.
"""

import re

from curation.text.pii_bytes import BARRIER

PHONE, SSN, NINO, DE_TAX, ES_DNI, NL_BSN, BR_CPF, AADHAAR, VERSION, WALLET = (
    1 << bit for bit in range(10)
)
NEAR = 16
"""Bits are shifted left by this where the word is near."""

WINDOW, NEAR_BYTES = 48, 20
_CROSSED, _CROSS_BYTES = 4, 8

_WORDS = {
    PHONE: """phone telephone telefon telefono telefone téléphone teléfono telefoon telephon
        teléfonos tel télé tél tlf tlfn tfno telf tfn fon fone phones telephones mobile mobil mobiel
        móvil cell cellphone cellular celular portable handy fax telefax fx hotline helpline
        landline whatsapp viber telegram sms rufnummer telefonnummer handynummer mobilnummer
        mobiltelefon telefonisch durchwahl numéro gsm voicemail dial call calling ring rings
        тел телефон телефона телефоны моб мобильный факс звоните Тел Телефон Моб Факс τηλ τηλέφωνο
        电话 電話 手机 手機 传真 携帯 전화 핸드 휴대 팩스""",  # noqa: RUF001 - Cyrillic
    SSN: "ssn ssns social itin taxpayer",
    NINO: "nino insurance ni",
    DE_TAX: """steuer steuerid idnr steueridentifikationsnummer identifikationsnummer steuernummer
        steuerliche tin tax""",
    ES_DNI: "dni nif nie documento identidad cif",
    NL_BSN: "bsn burgerservicenummer sofinummer sofi servicenummer",
    BR_CPF: "cpf cadastro contribuinte",
    AADHAAR: "aadhaar aadhar adhaar adhar uidai uid आध",
    VERSION: """version versions ver release releases rel build firmware section sections sec
        chapter oid paragraph clause appendix v versión versione versão versie upgrade upgraded
        update updated patch snmp""",
    WALLET: "private privkey wallet seed mnemonic",
}


def _by_word() -> dict[bytes, int]:
    bits: dict[bytes, int] = {}
    for bit, words in _WORDS.items():
        for word in words.split():
            bits[word.encode()] = bits.get(word.encode(), 0) | bit
    return bits


WORDS = _by_word()
"""Bits of each word, in small letters except in scripts that the search does not fold. Words of
scripts with three bytes a character have two of them, and are found wherever these stand."""

_WORD = re.compile(
    rb"(?:[A-Za-z]|[\xc3-\xdf][\x80-\xbf])++"
    rb"|[\xe0-\xed][\x80-\xbf]{2}(?=([\xe0-\xed][\x80-\xbf]{2}))|\n"
)
_CUT = re.compile(rb"[\x80-\xbf]*+(?:[A-Za-z]|[\xc3-\xdf][\x80-\xbf])*+")
_DIGIT = re.compile(rb"[0-9]")
_PLACEHOLDER = re.compile(rb"<[A-Za-z_ -]{0,60}+\Z")


def context(data: bytes | bytearray, at: int) -> int:
    """Returns the bits of the words before `at`, and those of near words shifted left by `NEAR`."""
    text, whole = _before(data, at)
    cut = None if whole else _CUT.match(text)  # a word that is cut does not count
    before = here = 0
    for found in _WORD.finditer(text, cut.end() if cut else 0):
        word = found[0]
        if word == b"\n":
            before, here = here, 0
            continue
        bits = WORDS.get(word + found[1] if found[1] else word.lower(), 0)
        gap = text[found.end() :]
        near = len(gap) <= NEAR_BYTES and not (bits & VERSION and _DIGIT.search(gap))
        here |= bits | (bits << NEAR if near else 0)
    return before | here


def _before(data: bytes | bytearray, at: int) -> tuple[bytes, bool]:
    """Returns the bytes of the window without what was found; whether it starts with the text."""
    text = b""
    for _ in range(_CROSSED + 1):
        low = max(0, at - WINDOW + len(text))
        part = bytes(data[low:at])
        found = part.rfind(b">")
        text = part[found + 1 :] + text
        if found < 0 or len(text) >= WINDOW:
            return text, low == 0 and found < 0
        gap = part[found + 1 :]
        if len(gap) > _CROSS_BYTES or b"\n" in gap:
            return text, True
        # A gap in the place of what was found keeps the words on both sides apart.
        at = _begin_of_find(data, low + found)
        text = b"." + text[: WINDOW - 1]
    return text, False


def _begin_of_find(data: bytes | bytearray, last: int) -> int:
    """Returns where a run of `>` begins that ends at `last`, with the placeholder that it ends."""
    at = last + 1
    while at > 0 and data[at - 1] == BARRIER:
        part = data[max(0, at - 256) : at]
        at -= len(part) - len(part.rstrip(b">"))
    body = _PLACEHOLDER.search(data[max(0, at - 64) : at])
    return at - (len(body[0]) if body else 0)
