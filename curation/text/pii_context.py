"""Words that say what the number after them is: "Tel.", "SSN", "version".

Looked for in the 48 bytes before a candidate, in its line and the one before (a label often stands
on a line of its own). A word counts as *near* when at most 20 bytes lie between it and the number.
Nothing counts that stands before something already found.
"""

import re

from curation.text.pii_bytes import BARRIER

PHONE, SSN, NINO, DE_TAX, ES_DNI, NL_BSN, BR_CPF, AADHAAR, VERSION, WALLET = (
    1 << bit for bit in range(10)
)
NEAR = 16
"""Bits are shifted left by this where the word is near."""

WINDOW, NEAR_BYTES = 48, 20

_WORDS = {
    PHONE: """phone telephone telefon telefono telefone téléphone teléfono telefoon telephon teléfonos
        tel tel télé tél tlf tlfn tfno telf tfn fon fone phones telephones mobile mobil mobiel móvil
        cell cellphone cellular celular portable handy fax telefax fx hotline helpline landline
        whatsapp viber telegram sms rufnummer telefonnummer handynummer mobilnummer mobiltelefon
        telefonisch durchwahl numéro gsm voicemail dial call calling ring тел телефон телефона
        телефоны моб мобильный факс звоните Тел Телефон Моб Факс τηλ τηλέφωνο
        电话 電話 手机 手機 传真 携帯 전화 핸드 휴대 팩스""",
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
    rb"|[\xe0-\xed][\x80-\xbf]{2}(?=([\xe0-\xed][\x80-\xbf]{2}))|[\n>]"
)
_CUT = re.compile(rb"[\x80-\xbf]*+(?:[A-Za-z]|[\xc3-\xdf][\x80-\xbf])*+")


def context(data: bytes | bytearray, at: int) -> int:
    """Returns the bits of the words before `at`, and those of near words shifted left by `NEAR`."""
    low = max(0, at - WINDOW)
    if low:  # a word that is cut does not count
        cut = _CUT.match(data, low, at)
        low = cut.end() if cut else low
    before = here = 0
    for found in _WORD.finditer(data, low, at):
        word = found[0]
        if word == b"\n":
            before, here = here, 0
        elif word[0] == BARRIER:
            before = here = 0
        else:
            bits = WORDS.get(word + found[1] if found[1] else word.lower(), 0)
            near = at - found.end() <= NEAR_BYTES
            here |= bits | (bits << NEAR if near else 0)
    return before | here
