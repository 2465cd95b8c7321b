"""Codes of letters and digits with a check: IBAN, and the national ids of some countries.

Capital letters only. Each finder takes a text's bytes and the place of the code's first character,
and returns where the code ends, or -1.
"""

import re

from curation.text.pii_bytes import BLANK, NUMBER_ENDS, WORD_ENDS
from curation.text.pii_checks import dni_letter, is_iban
from curation.text.pii_context import ES_DNI, NINO, context

_LENGTHS = """15 NO|16 BE|18 DK FI FK FO GL NL SD|19 MK SI|20 AT BA EE KZ LT LU MN XK
21 CH CR HR LI LV|22 BG BH DE GB GE IE ME RS VA|23 AE GI IL IQ OM SO TL
24 AD CZ ES MD PK RO SA SE SK TN VG|25 LY PT ST|26 IS TR|27 BI DJ FR GR IT MC MR SM
28 AL AZ BY CY DO GT HN HU LB NI PL SV|29 BR EG PS QA UA
30 JO KW MU YE|31 MT SC|32 LC|33 RU"""

IBAN_LENGTHS = {
    country.encode(): int(length)
    for length, *countries in map(str.split, _LENGTHS.replace("\n", "|").split("|"))
    for country in countries
}
"""Characters of each country's IBAN: SWIFT's registry, release 99."""

_GAP = re.compile(BLANK + rb"|-")
_END = re.compile(WORD_ENDS)


def iban(data: bytearray, at: int) -> int:
    """Finds an IBAN, in one piece or in groups of four parted by the same blank or hyphen."""
    length = IBAN_LENGTHS.get(bytes(data[at : at + 2]), 0)
    code = bytearray()
    gap, place = b"", at
    while length and len(code) < length:
        part = data[place : place + min(4, length - len(code))]
        code += part
        place += len(part)
        if len(code) == 4 and (found := _GAP.match(data, place)):
            gap = found[0]
        if gap and len(code) % 4 == 0 and len(code) < length:
            if not data.startswith(gap, place):
                return -1
            place += len(gap)
        if not part or not part.isalnum() or not part.isascii() or part.upper() != part:
            return -1
    whole = length and _END.match(data, place) and code[2:4].isdigit()
    return place if whole and is_iban(bytes(code)) else -1


_NINO = re.compile(
    rb"(?!BG|GB|NK|KN|TN|NT|ZZ)[A-CEGHJ-PR-TW-Z][A-CEGHJ-NPR-TW-Z]"
    rb"(?:(?P<spaced>(?:_[0-9]{2}){3}_)|[0-9]{6}_?)[A-D]".replace(b"_", BLANK)
    + WORD_ENDS
)


def nino(data: bytearray, at: int) -> int:
    """Finds a British number: AB 12 34 56 C, or AB123456C after words that say so."""
    found = _NINO.match(data, at)
    if found and (found["spaced"] or context(data, at) & NINO):
        return found.end()
    return -1


_CODICE_FISCALE = re.compile(
    rb"[A-Z]{6}N{2}[ABCDEHLMPRST]N{2}[A-Z]N{3}([A-Z])".replace(b"N", rb"[0-9LMNP-V]") + WORD_ENDS
)
_ODD = (
    1,
    0,
    5,
    7,
    9,
    13,
    15,
    17,
    19,
    21,
    2,
    4,
    18,
    20,
    11,
    3,
    6,
    8,
    12,
    14,
    16,
    10,
    22,
    25,
    24,
    23,
)


def codice_fiscale(data: bytearray, at: int) -> int:
    """Finds an Italian code of 16 characters; letters may stand for digits (omocodia)."""
    found = _CODICE_FISCALE.match(data, at)
    if not found:
        return -1
    places = [byte - 0x30 if byte < 0x40 else byte - 0x41 for byte in found[0]]
    total = sum(_ODD[place] for place in places[:15:2]) + sum(places[1:15:2])
    return found.end() if places[15] == total % 26 else -1


_NIE = re.compile(rb"([XYZ])-?([0-9]{7})-?([A-Z])" + NUMBER_ENDS)
_DNI = re.compile(rb"([0-9]{8})(-?)([A-Z])" + NUMBER_ENDS)


def nie(data: bytearray, at: int) -> int:
    """Finds a Spanish NIE: X, Y or Z, seven digits, the letter; hyphens may part the three."""
    found = _NIE.match(data, at)
    if found and dni_letter(int(b"%d" % (found[1][0] - 0x58) + found[2])) == found[3][0]:
        return found.end()
    return -1


def dni(data: bytearray, at: int) -> int:
    """Finds a Spanish DNI: eight digits and a letter, with a hyphen or after words that say so."""
    found = _DNI.match(data, at)
    if found and dni_letter(int(found[1])) == found[3][0]:
        return found.end() if found[2] or context(data, at) & ES_DNI else -1
    return -1
