"""What can begin with a digit, `+` or `(`: cards, national ids, IP addresses, telephone numbers."""

import re
from collections.abc import Callable, Set
from typing import NamedTuple

from curation.text import pii_checks as checks
from curation.text.pii_addresses import ipv4
from curation.text.pii_bytes import NUMBER_BEGINS, NUMBER_ENDS, digits_of, number
from curation.text.pii_checks import Digits
from curation.text.pii_codes import dni
from curation.text.pii_context import AADHAAR, BR_CPF, DE_TAX, NL_BSN, SSN, context
from curation.text.pii_phones import international, national


class Search(NamedTuple):
    """What is looked for."""

    formats: Set[str]
    """Names from `FORMATS`."""
    addresses: int
    """Classes of IP addresses that are found, as bits of `pii_addresses`."""
    kept: Set[bytes]
    """Domains whose e-mail addresses are left alone, in small letters."""


class Shape(NamedTuple):
    """One way to write a number that has a check."""

    format: str
    pattern: re.Pattern[bytes]
    check: Callable[[Digits], bool]
    words: int
    """Words that have to come before it, as bits of `pii_context`; 0: none."""


# Four groups of four that are part of a longer row of such groups are no card.
_ROW_BEGINS, _ROW_ENDS = rb"(?<![^0-9][0-9]{4}[ -])", rb"(?![ -][0-9]{4}(?![0-9]))"

SHAPES = (
    Shape("card", number(rb"[0-9]{14,19}+"), checks.is_card, 0),
    Shape(
        "card",
        number(
            _ROW_BEGINS
            + rb"[0-9]{4}(_|~)(?:[0-9]{4}\1[0-9]{4}\1[0-9]{4}(?:\1[0-9]{3})?|[0-9]{6}\1[0-9]{4,5})"
            + _ROW_ENDS
        ),
        checks.is_card,
        0,
    ),
    Shape("us_ssn", number(rb"[0-9]{3}(~)[0-9]{2}\1[0-9]{4}"), checks.is_ssn, 0),
    Shape("us_ssn", number(rb"[0-9]{3}_?[0-9]{2}_?[0-9]{4}"), checks.is_ssn, SSN),
    Shape(
        "de_tax_id",
        number(rb"[0-9]{2}([ /]?)[0-9]{3}\1[0-9]{3}\1[0-9]{3}"),
        checks.is_de_tax_id,
        DE_TAX,
    ),
    Shape(
        "fr_nir",
        number(rb"[0-9](_?)[0-9]{2}\1[0-9]{2}\1[0-9]{2}\1[0-9]{3}\1[0-9]{3}_?[0-9]{2}"),
        checks.is_nir,
        0,
    ),
    Shape("nl_bsn", number(rb"[0-9]{9}"), checks.is_bsn, NL_BSN),
    Shape("nl_bsn", number(rb"[0-9]{4}\.[0-9]{2}\.[0-9]{3}"), checks.is_bsn, NL_BSN),
    Shape("nl_bsn", number(rb"[0-9]{3}([. ])[0-9]{3}\1[0-9]{3}"), checks.is_bsn, NL_BSN),
    Shape("br_cpf", number(rb"[0-9]{3}\.[0-9]{3}\.[0-9]{3}~[0-9]{2}"), checks.is_cpf, 0),
    Shape("br_cpf", number(rb"[0-9]{11}"), checks.is_cpf, BR_CPF),
    Shape(
        "in_aadhaar", number(rb"[0-9]{4}((?:_|~)?)[0-9]{4}\1[0-9]{4}"), checks.is_aadhaar, AADHAAR
    ),
)

_BEGINS = re.compile(NUMBER_BEGINS)
_RESIDENT = re.compile(rb"[0-9]{17}([0-9Xx])" + NUMBER_ENDS)


def number_at(data: bytearray, at: int, search: Search) -> tuple[str, int, int]:
    """Returns the format of the number at `at`, its begin and its end; "" where there is none.

    Args:
        data: UTF-8.
        at: Place of a digit, `+` or `(`.
        search: What is looked for.
    """
    if data[at] == 0x2B:
        wanted = "phone_international" in search.formats
        first, stop = international(data, at) if wanted else (at, -1)
        return ("phone_international" if stop >= 0 else ""), first, stop
    if data[at] != 0x28 and _BEGINS.match(data, at):
        format_, stop = _numbered(data, at, search)
        if format_:
            return format_, at, stop
    stop = national(data, at) if "phone_national" in search.formats else -1
    return ("phone_national" if stop >= 0 else ""), at, stop


def _numbered(data: bytearray, at: int, search: Search) -> tuple[str, int]:
    for shape in SHAPES:
        found = shape.pattern.match(data, at) if shape.format in search.formats else None
        right = found and shape.check(digits_of(found[0]))
        if found and right and (not shape.words or context(data, at) & shape.words):
            return shape.format, found.end()
    if "es_dni" in search.formats and (stop := dni(data, at)) >= 0:
        return "es_dni", stop
    if "cn_resident_id" in search.formats and (found := _RESIDENT.match(data, at)):
        last = 10 if found[1] in b"Xx" else int(found[1])
        if checks.is_resident_id(digits_of(found[0])[:17], last):
            return "cn_resident_id", found.end()
    if "ipv4" in search.formats:
        stop, kind = ipv4(data, at)
        if kind & search.addresses:
            return "ipv4", stop
    return "", -1
