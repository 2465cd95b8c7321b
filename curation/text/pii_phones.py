"""Telephone numbers.

International: `+` and a calling code, with as many digits after it as that country's plan has
(lengths of the ITU's plans; North America's area and exchange codes as its plan has them).
National: forms that hardly anything else has (415-555-2671, (030) 1234567, 01 23 45 67 89,
090-1234-5678, (11) 98765-4321), and after a word such as "Tel." any number that can be one.
"""

import re
from itertools import pairwise
from typing import NamedTuple

from curation.text.pii_bytes import BLANK, ENDS, HYPHEN, NUMBER_BEGINS, digits_of, number
from curation.text.pii_checks import Digits, value
from curation.text.pii_context import NEAR, PHONE, context

# Shortest and longest national number of the calling codes, and the codes.
_PLANS = """5-8 290 683 690|7-10 98|6-11 352|7-13 43 598|5-5 500 682|5-6 247|5-7 676 677 678 688
8-8 47|5-8 386 686|5-10 27 64 685|5-11 31 852|6-12 358 971|8-14 82|6-13 49|6-6 298 299 672 687
6-7 597|6-9 40 252 355 376 421 508 681 689|6-10 46 53 95 880|6-11 375 595|6-12 39 61 359 381|6-13 63
7-7 238 239 246 248 269 291 297 592 673 674 680 691 692|7-8 241 599 670 675 853 961 965 975
7-9 220 231 245 265 354 385 423 967 968|10-10 1|7-10 44 48 84 230 243 254 263 267 353 372 960
7-11 501 503 507 679 886 974|7-12 86 882 972|7-13 90 62|9-10 81
8-8 45 216 222 223 226 227 228 232 235 236 253 257 266 350 356 357 370 371 373 374 389 505 509 800
8-8 808 973 993|8-9 32 36 51 213 224 233 237 250 258 264 268 377 382 387 591 962 963
8-10 20 60 378 506 850 855 856 964 970 976|8-11 55 57 65 502 504 593 977|8-12 92 383 883|8-13 66 91
9-9 33 34 41 93 94 211 212 218 221 240 242 244 249 251 255 256 260 261 262 351 420 590 594 596 979
9-9 992 994 995 998|9-10 380 881 966 996|9-11 56|9-12 870|10-10 52 58 225 229|10-11 54|8-12 30
10-10 7|10-14 234|11-11 888|12-12 878"""

PLANS = {
    int(code): tuple(map(int, lengths.split("-")))
    for lengths, *codes in map(str.split, _PLANS.replace("\n", "|").split("|"))
    for code in codes
}
"""Shortest and longest number after each calling code."""

_PART = rb"(?:%s|%s|[./()])" % (BLANK, HYPHEN)
_RUN = re.compile(rb"[0-9]{1,15}(?:%s{1,3}+[0-9]{1,15}){0,9}" % _PART)
_GROUP = re.compile(rb"([0-9]+)([^0-9]*)")


class _Group(NamedTuple):
    digits: list[int]
    begin: int
    end: int


def _groups(data: bytearray, at: int) -> list[_Group]:
    """Returns the groups of digits from `at` on that belong together."""
    run = _RUN.match(data, at)
    found = _GROUP.finditer(data, at, run.end()) if run else ()
    return [_Group(digits_of(group[1]), group.start(), group.end(1)) for group in found]


def _is_north_american(digits: Digits) -> bool:
    """Ten digits: area and exchange begin with 2 to 9, and the area is no service code (N11)."""
    return len(digits) == 10 and digits[0] >= 2 and digits[3] >= 2 and digits[1:3] != [1, 1]


def is_international(digits: Digits) -> bool:
    """Says whether digits are a calling code and a number of its plan's length."""
    if not 8 <= len(digits) <= 15 or digits[0] == 0:
        return False
    for length in (1, 2, 3):
        shortest, longest = PLANS.get(value(digits[:length]), (0, 0))
        if longest:
            good = shortest <= len(digits) - length <= longest
            return good and (digits[0] != 1 or _is_north_american(digits[1:]))
    return False


_PLUS = re.compile(rb"(?<![0-9A-Za-z_+)-])\+(?=[1-9])")
# Pages lose the blank between a number and the next word: +41 58 765 50 76E-Mail.
_GLUED = re.compile(rb"[A-Z][a-z-]")


def international(data: bytearray, at: int) -> tuple[int, int]:
    """Returns where the number ends whose `+` stands at `at`, and where it begins; -1 for none.

    The (0) of +44 (0)20 7946 0958 is not dialled. A parenthesis before the `+` belongs to the
    number where it is closed inside of it.
    """
    if not _PLUS.match(data, at):
        return -1, -1
    digits: list[int] = []
    found = -1
    named = (context(data, at) >> NEAR & PHONE) > 0  # then plans of other times pass, too
    for group in _groups(data, at + 1):
        if found >= 0 and data[group.begin - 1] == 0x28:
            break
        trunk = group.digits == [0] and digits and data[group.begin - 1] == 0x28
        if not (trunk and data[group.end : group.end + 1] == b")"):
            digits += group.digits
        good = is_international(digits) or (named and 8 <= len(digits) <= 15)
        if good and (ENDS.match(data, group.end) or _GLUED.match(data, group.end)):
            found = group.end
        if len(digits) > 15:
            break
    if found >= 0 and data[at - 1 : at] == b"(" and at > 0:
        return at - (b")" in data[at:found]), found
    return at, found


_NORTH_AMERICAN = number(rb"(?:1[-.])?([0-9]{3})([-.])([0-9]{3})\2([0-9]{4})")
_FORMS = (
    # Five pairs, but not those of a dump in hexadecimal.
    number(
        rb"(?<![^0-9A-Za-z][0-9A-Fa-f]{2}[ .-])0[0-9](_|~|\.)[0-9]{2}(?:\1[0-9]{2}){3}"
        rb"(?!\1[0-9A-Fa-f]{2}(?![0-9A-Za-z]))"
    ),
    number(rb"0[0-9]{1,2}(~)[0-9]{4}\1[0-9]{4}"),
)
_PAREN = re.compile(
    NUMBER_BEGINS
    + rb"\((?:([2-9][0-9]{2})\)_?([2-9][0-9]{2})(?:_|~|\.)[0-9]{4}|[0-9]{2}\)_?9?[0-9]{4}~[0-9]{4}"
    rb"|[3489][0-9]{2}\)_?[0-9]{3}~[0-9]{2}~[0-9]{2}"
    rb"|0[0-9]{1,5}\)(?:_|~|/)?(?:[0-9]{1,8}(?:(?:_|~)[0-9]{1,8}){0,3}))".replace(
        b"_", BLANK
    ).replace(b"~", HYPHEN)
)


def _counts_up(digits: Digits) -> bool:
    """Says whether five pairs are 01 02 03 04 05 or the like, or the first is 00."""
    pairs = [value(digits[k : k + 2]) for k in range(0, 10, 2)]
    return pairs[0] == 0 or len({b - a for a, b in pairwise(pairs)}) == 1


def _plain_form(data: bytearray, at: int) -> int:
    """Returns where a number ends that needs no word before it; -1 where there is none."""
    if data[at] == 0x28:
        found = _PAREN.match(data, at)
        enough = found and (data[at + 1] != 0x30 or 9 <= len(digits_of(found[0])) <= 12)
        return found.end() if found and enough and ENDS.match(data, found.end()) else -1
    if data[at] != 0x30:
        found = _NORTH_AMERICAN.match(data, at)
        good = found and _is_north_american(digits_of(found[0])[-10:])
        return found.end() if found and good else -1
    for form in _FORMS:
        found = form.match(data, at)
        if found and not (form is _FORMS[0] and _counts_up(digits_of(found[0]))):
            return found.end()
    return -1


_BEGINS = re.compile(NUMBER_BEGINS)


def national(data: bytearray, at: int) -> int:
    """Returns where the national number ends that begins at `at`, a digit or `(`; -1 for none."""
    if not _BEGINS.match(data, at):
        return -1
    stop = _plain_form(data, at)
    if stop >= 0:
        return stop
    said = context(data, at)
    first = at + (data[at] == 0x28)
    if not said & PHONE or data[first : first + 1] == b"(":
        return -1
    stop = _after_word(data, first, near=(said >> NEAR & PHONE) > 0)
    return stop if first == at or b")" in data[first:stop] else -1


_NO_PHONES = re.compile(
    rb"97[89]S[0-9]"  # ISBN
    rb"|[0-2]?[0-9]\.[0-5][0-9]S{1,3}+[0-2]?[0-9]\.[0-5][0-9](?![0-9])"  # opening hours
    rb"|(?:19|20)[0-9]{2}S[0-9]{2}S[0-9]{2}(?![0-9])"  # year, month, day
    rb"|[0-9]{2}S[0-9]{2}S(?:19|20)[0-9]{2}(?![0-9])"
    rb"|(?:19|20)[0-9]{2}S(?:19|20)[0-9]{2}(?![0-9])"  # two years
    rb"|[0-9]{1,2}[. ][0-9]{3}[. ][0-9]{3}(?![0-9]|S[0-9])"  # an amount
    rb"|[0-9]{1,7}\.[0-9]{1,7}(?![0-9./-])".replace(b"S", _PART)  # a decimal
)


def _after_word(data: bytearray, at: int, *, near: bool) -> int:
    """Returns where a number ends that a word announced; -1 where the digits are something else."""
    if _NO_PHONES.match(data, at):
        return -1
    digits: list[int] = []
    found = -1
    for group in _groups(data, at):
        if found >= 0 and data[group.begin - 1] == 0x28:
            break
        digits += group.digits
        free = near and 7 <= len(digits) <= 16
        if (free or _is_national(digits)) and ENDS.match(data, group.end):
            found = group.end
    return found


def _is_national(digits: Digits) -> bool:
    """0 and an area, 00 and abroad, mobiles, numbers of nine or ten digits as some plans have."""
    count = len(digits)
    if digits[0] == 0:
        abroad = digits[1:2] == [0] and is_international(digits[2:])
        return abroad or (digits[1:2] != [0] and 9 <= count <= 12)
    if count == 10:
        return digits[0] >= 6 or _is_north_american(digits)
    return (count == 9 and digits[0] >= 6) or (count == 11 and digits[0] == 1 and digits[1] >= 3)
