"""Check digits and ranges of numbers; each takes the values of the digits, 0 to 9, in order."""

from collections import Counter
from collections.abc import Sequence

Digits = Sequence[int]

_DIHEDRAL = (
    "0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
    "5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
)  # fmt: skip
_PERMUTATIONS = (
    "0123456789", "1576283094", "5803796142", "8916043527",
    "9453126870", "4286573901", "2793806415", "7046913258",
)  # fmt: skip
_RESIDENT_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_PRINTED_AS_EXAMPLES = (123456789, 78051120, 219099999)
_DNI_LETTERS = b"TRWAGMYFPDXBNJZSQVHLCKE"


def value(digits: Digits) -> int:
    """Returns the number that digits write.

    Examples:
        >>> value([1, 2, 3])
        123
    """
    return int("".join(map(str, digits)))


def luhn(digits: Digits) -> bool:
    """Says whether Luhn's sum is right, ISO/IEC 7812-1 annex B.

    Examples:
        >>> luhn([7, 9, 9, 2, 7, 3, 9, 8, 7, 1, 3])
        True
    """
    doubled = sum(sum(divmod(2 * digit, 10)) for digit in digits[-2::-2])
    return (doubled + sum(digits[::-2])) % 10 == 0


def is_card(digits: Digits) -> bool:
    """Says whether 14 to 19 digits are in an issuer's range, as long as its numbers, and right.

    Visa 4 (16, 19; 13 digits are EANs today), Mastercard 51-55 and 2221-2720 (16), American Express
    34 37 (15), Diners 300-305 309 36 38 39 (14), Discover 6011 644-649 65 (16, 19), JCB 3528-3589
    (16), UnionPay 62 (16 to 19), Maestro 50 56-58 63 67 (16 to 19).
    """
    count, two, three, four = len(digits), *(value(digits[:n]) for n in (2, 3, 4))
    issued = (
        (digits[0] == 4 and count in (16, 19))
        or ((51 <= two <= 55 or 2221 <= four <= 2720) and count == 16)
        or (two in (34, 37) and count == 15)
        or ((two in (36, 38, 39) or 300 <= three <= 305 or three == 309) and count == 14)
        or ((four == 6011 or 644 <= three <= 659) and count in (16, 19))
        or (3528 <= four <= 3589 and count == 16)
        or (two in (50, 56, 57, 58, 62, 63, 67) and 16 <= count <= 19)
    )
    return issued and luhn(digits) and len(set(digits)) > 1


def is_ssn(digits: Digits) -> bool:
    """Says whether nine digits are of the ranges given out, and not printed as an example."""
    area = value(digits[:3])
    given_out = area not in (0, 666) and area < 900 and value(digits[3:5]) and value(digits[5:])
    return bool(given_out) and value(digits) not in _PRINTED_AS_EXAMPLES


def is_de_tax_id(digits: Digits) -> bool:
    """Eleven digits: among the first ten one comes twice or thrice; ISO 7064 mod 11, 10."""
    repeated = [count for count in Counter(digits[:10]).values() if count > 1]
    product = 10
    for digit in digits[:10]:
        product = ((digit + product) % 10 or 10) * 2 % 11
    twice = len(repeated) == 1 and repeated[0] <= 3
    return digits[0] > 0 and twice and (11 - product) % 10 == digits[10]


def is_nir(digits: Digits) -> bool:
    """Fifteen digits: sex, year, month (or a substitute for it), place, order, key mod 97."""
    month = value(digits[3:5])
    known = 1 <= month <= 12 or 20 <= month <= 42 or month >= 50
    right = 97 - value(digits[:13]) % 97 == value(digits[13:])
    return digits[0] in (1, 2, 3, 4, 7, 8) and known and right


def is_bsn(digits: Digits) -> bool:
    """Nine digits: the sum with weights 9 to 2 and -1 is a multiple of 11."""
    total = sum(digit * (9 - place) for place, digit in enumerate(digits[:8])) - digits[8]
    return total % 11 == 0 and value(digits) > 10_000_000


def is_cpf(digits: Digits) -> bool:
    """Eleven digits, the last two of them check digits mod 11."""
    for place in (9, 10):
        total = sum(digit * (place + 1 - k) for k, digit in enumerate(digits[:place]))
        if total * 10 % 11 % 10 != digits[place]:
            return False
    return len(set(digits)) > 1


def is_aadhaar(digits: Digits) -> bool:
    """Twelve digits, the first 2 to 9; Verhoeff's scheme."""
    check = 0
    for place, digit in enumerate(reversed(digits)):
        check = int(_DIHEDRAL[check][int(_PERMUTATIONS[place % 8][digit])])
    return check == 0 and digits[0] >= 2


def is_resident_id(digits: Digits, last: int) -> bool:
    """Seventeen digits with a date of birth, and a check character of value 0 to 10; GB 11643."""
    total = sum(digit * weight for digit, weight in zip(digits, _RESIDENT_WEIGHTS, strict=False))
    year, month, day = value(digits[6:10]), value(digits[10:12]), value(digits[12:14])
    born = 1900 <= year < 2100 and 1 <= month <= 12 and 1 <= day <= 31
    return born and 1 <= digits[0] <= 8 and (12 - total % 11) % 11 == last


def dni_letter(number: int) -> int:
    """Returns the check letter of a Spanish DNI or NIE as its ASCII code."""
    return _DNI_LETTERS[number % 23]


def is_iban(code: bytes) -> bool:
    """Says whether an IBAN without blanks has the right check digits, ISO 7064 mod 97, 10.

    Examples:
        >>> is_iban(b"GB82WEST12345698765432")
        True
    """
    return int("".join(str(int(chr(byte), 36)) for byte in code[4:] + code[:4])) % 97 == 1
