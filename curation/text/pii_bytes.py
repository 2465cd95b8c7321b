r"""What the patterns of personal data share: where a word or number begins and ends, and blanks.

The patterns are regular expressions on UTF-8 bytes, each tried at one place only. All repeats are
bounded and none can be split in two ways, so a try looks at a bounded number of bytes.

Letters, digits and `_` of ASCII are *word* bytes. Other scripts are none, since Chinese and
Japanese write a number between two characters without a space. Digits are those of ASCII: fullwidth
and other scripts' digits are not looked for.
"""

import re

BARRIER = 0x3E
"""`>` stands where something was found; no find reaches across it."""

WORD_BEGINS = rb"(?<![0-9A-Za-z_])"
WORD_ENDS = rb"(?![0-9A-Za-z_])"

NUMBER_BEGINS = rb"(?<![0-9A-Za-z_+$%*\\])(?<![0-9A-Za-z_][-/])(?<![0-9][.:])"
r"""A number is not the rest of a longer one, of a name or of an amount: it does not come after a
word byte, `+ $ % *` or a backslash; after `-` or `/` only where no word byte stands before
that; after `.` or `:` only where no digit does."""

NUMBER_ENDS = rb"(?![0-9A-Za-z_@%])(?!-[0-9A-Za-z_])(?!\.[0-9a-z])(?!/[0-9])"
"""Nor the start of one: no word byte, `@` or `%` follows; no `-` with a word byte, `.` with a digit
or a small letter, `/` with a digit."""

BLANK = rb"(?: |\xc2\xa0|\xe2\x80[\x87\x89\xaf])"
"""A space, also a non-breaking, figure, thin or narrow one."""

HYPHEN = rb"(?:-|\xe2\x80[\x90-\x95]|\xe2\x88\x92)"
"""A hyphen, also U+2010 to U+2015 and the minus sign."""

ENDS = re.compile(NUMBER_ENDS)


def number(pattern: bytes) -> re.Pattern[bytes]:
    """Compiles a pattern of a whole number; `_` in it is a blank, `~` a hyphen."""
    body = pattern.replace(b"_", BLANK).replace(b"~", HYPHEN)
    return re.compile(NUMBER_BEGINS + body + NUMBER_ENDS)


def digits_of(text: bytes) -> list[int]:
    """Returns the values of the ASCII digits in a text, in order."""
    return [byte - 0x30 for byte in text if 0x30 <= byte <= 0x39]
