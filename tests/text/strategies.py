"""Texts that find faults in kernels: arbitrary Unicode, and dense where lower case is hard."""

import unicodedata

from hypothesis import strategies as st

from curation.text.unicode import ASSIGNED, UNICODE_VERSION, char_class

SAME_UNICODE = unicodedata.unidata_version == UNICODE_VERSION

# U+0130, sigmas with their neighbours, letters whose lower case is longer or shorter in UTF-8,
# ligatures, marks, all kinds of digits and spaces, astral letters with and without case.
HARD = (
    "aA zZ_09\u0130\u0131\u03a3\u03c3\u03c2'.\u0301\u0307\u00ad\u02b0\u023a\u2c65\u212a\u1e9e\u00df"
    "\ufb01\u24b6\u2167\u00b2\u00bd\u0662\u4e00\u0e01\u0e31\u200d\u2003\u0085\x1c\n\ufffd\ufeff"
    "\U00010400\U00010428\U0001d7d8\U0001f600"
)


def _is_shared(char: str) -> bool:
    """Says whether our tables and the running Python know the same of a character."""
    return SAME_UNICODE or char_class(ord(char)) & ASSIGNED > 0


characters = st.characters(exclude_categories=["Cs"]).filter(_is_shared)
texts = st.text(characters, max_size=60) | st.text(st.sampled_from(HARD), max_size=60)
