import time

import numpy as np
import phonenumbers
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stdnum import iban, luhn, verhoeff
from stdnum.br import cpf
from stdnum.cn import ric
from stdnum.de import idnr
from stdnum.es import dni, nie
from stdnum.fr import nir
from stdnum.it import codicefiscale
from stdnum.nl import bsn

from curation.text import pii, pii_checks
from curation.text.pii_formats import FORMATS
from curation.text.pii_phones import PLANS, is_international
from tests.personal_data.labelled import find_by_stage, measure, read_labelled

NAMES = [format_.name for format_ in FORMATS]
ALL = pii.make_search(NAMES, ["public"], ["example.com", "test", "png"])
PLACEHOLDERS = [f"<{format_.kind.upper()}>".encode() for format_ in FORMATS]
_PIECES = """a.b@foo.org|x@example.com|é@müller.de|@|@@|..|Tel.|tel:|phone|电话|SSN|Version|1.2.3.4
030 1234567|030/90-12|+49 (0)30 901820|(415) 555-0132|415-555-0132|1-800-555-0199|01 42 34 56 77
090-1234-5678|13800138000|5550142|4111 1111 1111 1111|378282246310005|4000 4001|536-90-4399|DNI|BSN
86 095 742 719|529.982.247-25|111222333|12345678Z|X1234567L|RSSMRA85T10A562S|AB 12 34 56 C|12|é
DE89 3704 0044 0532 0130 00|GB82WEST12345698765432|11010519491231002X|93.184.216.34|10.0.0.1|x|7
2606:2800:220:1:248:1893:25c8:1946|2a02::1|::1|12:30:45|AKIAQ3EGUHR7NLPZ2TWX|<EMAIL>|<PHONE>|<|>
eyJhbGciOi.eyJhbGciOi.abcdefghijk|ghp_9aKx2LmQ7ZpR4tVw8YcB1nD6fGh3JkS5uE0i|password=|kJ8s9dQf_jK2l7
-----BEGIN RSA PRIVATE KEY-----|MIIBOgIBAAJBAKj34GkxFhD90vcNLYLInFEX6Ppy1tPf9C|wallet|>>|😀|or|(|)|_
-----END RSA PRIVATE KEY-----|5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ|/|-|.|,|;|:|=|+"""
PIECES = [
    *_PIECES.replace("\n", "|").split("|"),
    *("\uff0c", "\u3002", "\u2013", "\u2011", "\xa0", "\u2009"),
]
mixed = st.lists(
    st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", " ", "\n", ", ", "-", "."])),
    max_size=14,
).map(lambda parts: "".join(piece + gap for piece, gap in parts))
anything = mixed | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


def buffers(rows):
    offsets = np.cumsum([0, *map(len, rows)]).astype(np.int64)
    return offsets, np.frombuffer(b"".join(rows), np.uint8)


def found(text, search=ALL):
    hits = pii.find(*buffers([text.encode()]), search)
    spans = zip(hits.first_chars.tolist(), hits.last_chars.tolist(), strict=True)
    values = [text[first:last] for first, last in spans]
    return list(zip((NAMES[number] for number in hits.formats), values, strict=True))


def redacted(raw):
    offsets, data = buffers([raw])
    hits = pii.find(offsets, data, ALL)
    _, new = pii.replace(offsets, data, hits, PLACEHOLDERS)
    return new.tobytes()


@settings(deadline=None, max_examples=80)
@given(anything)
def test_no_place_is_missed(text):
    raw = text.encode()
    hits = pii.find(*buffers([raw]), ALL)
    columns = (hits.formats, hits.begins, hits.ends)
    rows = [
        (NAMES[number], first, last)
        for number, first, last in zip(*map(list, columns), strict=True)
    ]
    assert rows == pii.find_everywhere(raw, ALL)


@settings(deadline=None, max_examples=80)
@given(anything)
def test_nothing_is_found_in_what_was_replaced(text):
    once = redacted(text.encode())
    assert redacted(once) == once
    once.decode()
    assert len(pii.find(*buffers([once]), ALL).rows) == 0


@settings(deadline=None, max_examples=60)
@given(st.lists(anything, max_size=5), st.integers(0, 3))
def test_texts_of_a_column_do_not_see_each_other(texts, start):
    offsets, data = buffers([text.encode() for text in texts])
    hits = pii.find(offsets[start:], data, ALL) if len(offsets) > start else None
    for row, text in enumerate(texts[start:]):
        mine = hits.rows == row
        values = zip(hits.first_chars[mine].tolist(), hits.last_chars[mine].tolist(), strict=True)
        assert [text[first:last] for first, last in values] == [value for _, value in found(text)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.binary(max_size=8) | st.sampled_from(PIECES).map(str.encode)).map(b"".join))
def test_malformed_bytes_are_read_within_bounds(raw):
    hits = pii.find(*buffers([raw]), ALL)
    assert len(hits.rows) == len(pii.find_everywhere(raw, ALL))
    assert all(
        0 <= first < last <= len(raw) for first, last in zip(hits.begins, hits.ends, strict=True)
    )
    assert all(first < last for first, last in zip(hits.first_chars, hits.last_chars, strict=True))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tel. 030 1234567, 030 7654321 oder 030 1111222", ["phone_national"] * 3),
        ("+49 30 1234567 (415) 555-0132", ["phone_international", "phone_national"]),
        ("1234567@foo.org", ["email"]),
        ("tel 5551234@foo.org", ["email"]),
        ("Phone <PHONE> or 5550142", ["phone_national"]),
        ("<EMAIL> 5550142", []),
        ("mail a@foo.org,b@foo.org;c@foo.org", ["email"] * 3),
        ("a@foo.org+49 30 1234567", ["email", "phone_international"]),
        ("-----BEGIN PRIVATE KEY-----\n" + "a1B2" * 16, ["pem"]),
        ("-----BEGIN PRIVATE KEY-----\n" + "a1B2" * 8, []),
        ("x" * 64 + "@foo.org", ["email"]),
        ("x" * 65 + "@foo.org", []),
        ("4111 1111 1111 1111\u00a0", ["card"]),
        ("\uff14" + "\uff11" * 15, []),
        ("Tel.: +351 1 294 28 44", ["phone_international"]),
    ],
)
def test_what_stands_side_by_side(text, expected):
    assert [name for name, _ in found(text)] == expected


@pytest.mark.parametrize(
    ("addresses", "expected"),
    [
        (["public"], ["93.184.216.34", "2a02::1"]),
        (["private"], ["10.0.0.1", "fe80::1"]),
        (["documentation"], ["192.0.2.1", "2001:db8::1"]),
        (["version"], ["4.3.2.1", "99.1.2.3"]),
    ],
)
def test_classes_of_addresses(addresses, expected):
    text = "93.184.216.34 2a02::1 10.0.0.1 fe80::1 192.0.2.1 2001:db8::1 4.3.2.1 version 99.1.2.3"
    search = pii.make_search(["ipv4", "ipv6"], addresses, [])
    assert [value for _, value in found(text, search)] == expected


HOSTILE = {
    "at signs": b"@" * 300_000,
    "addresses": b"a@b.co " * 8_000,
    "one name": b"a" * 300_000 + b"@b.co",
    "labels": b"a@" + b"b." * 150_000,
    "digits": b"7" * 300_000,
    "groups": b"1 " * 150_000,
    "numbers after a word": b"tel 1234567 " * 4_000,
    "plus": b"+" * 300_000,
    "colons": b":" * 300_000,
    "hexadecimal groups": b"2a02:" * 20_000,
    "begins": b"-----BEGIN RSA PRIVATE KEY-----\n" * 9_000,
    "tokens": b"eyJ-" * 75_000,
    "keys": b"sk-" * 30_000,
    "assignments": b"password=" * 30_000,
    "parentheses": b"(0" * 150_000,
    "barriers": b">" * 300_000 + b" 1234567" * 100,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_work_is_bounded_by_the_bytes(name):
    found("")  # compiles
    start = time.process_time()
    pii.find(*buffers([HOSTILE[name]]), ALL)
    assert time.process_time() - start < 6


CHECKS = {
    14: [(pii_checks.luhn, luhn.is_valid)],
    9: [(pii_checks.is_bsn, bsn.is_valid)],
    11: [(pii_checks.is_cpf, cpf.is_valid), (pii_checks.is_de_tax_id, idnr.is_valid)],
    12: [
        (
            lambda digits: pii_checks.is_aadhaar([2, *digits[1:]]),
            lambda text: verhoeff.is_valid("2" + text[1:]),
        )
    ],
}


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(sorted(CHECKS)), st.integers(0, 10**14 - 1))
def test_check_digits_agree_with_python_stdnum(count, seed):
    for last in range(100):  # so that valid ones are among them
        text = f"1{(seed + last) % 10 ** (count - 1):0{count - 1}d}"
        for mine, reference in CHECKS[count]:
            assert mine([int(digit) for digit in text]) == reference(text), text


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10**13 - 1), st.sampled_from("XYZ"))
def test_codes_agree_with_python_stdnum(number, letter):
    eight, seven = f"{number % 10**8:08d}", f"{number % 10**7:07d}"
    assert chr(pii_checks.dni_letter(int(eight))) == dni.calc_check_digit(eight)
    value = letter + seven + nie.calc_check_digit(letter + seven)
    assert found(f"nie {value}") == [("es_nie", value)]
    body = "1850" + str(number % 9 + 1) + "75" + f"{number % 10**6:06d}"
    assert found(body + nir.calc_check_digits(body))[0][0] == "fr_nir"
    person = "11010519491231" + f"{number % 1000:03d}"
    assert found(person + ric.calc_check_digit(person + "0"))[0][0] == "cn_resident_id"
    code = f"RSSMRA8{number % 10}T1{number % 10}A56{number % 10}"
    assert found(code + codicefiscale.calc_check_digit(code))[0][0] == "it_codice_fiscale"
    account = f"DE00{number % 10**13:018d}"
    account = account[:2] + iban.calc_check_digits(account) + account[4:]
    assert found(account) == [("iban", account)]


def test_numbers_of_all_countries_are_found():
    missed = []
    for region in sorted(phonenumbers.SUPPORTED_REGIONS):
        for kind in (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE):
            example = phonenumbers.example_number_for_type(region, kind)
            if example is None:
                continue
            form = phonenumbers.PhoneNumberFormat.INTERNATIONAL
            text = phonenumbers.format_number(example, form)
            if found(f"at {text}, please") != [("phone_international", text)]:
                missed.append(text)
    assert len(missed) <= 5, missed


def test_plans_refuse_what_no_country_has():
    assert len(PLANS) > 200
    assert not is_international([int(digit) for digit in "12345678"])
    assert not is_international([int(digit) for digit in "0491234567"])
    assert is_international([int(digit) for digit in "493012345678"])


def test_labelled_texts_hold_their_floors():
    for kind, score in measure(read_labelled(), find_by_stage).items():
        assert score.precision >= 0.98, kind
        assert score.recall >= 0.98, kind
        assert score.exact >= 0.97 * score.right, kind
