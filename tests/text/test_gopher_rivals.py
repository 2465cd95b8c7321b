import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text.definitions import DEFINITIONS
from curation.text.gopher_rivals import rival_quality
from curation.text.plain_gopher_rivals import rival_quality_of_text
from curation.text.stop_words import stop_table
from tests.text.strategies import texts

ENGLISH = ("the", "be", "to", "of", "and", "that", "have", "with")
# fmt: off
SIGNS = (
    'the The THE of-the "the" with, # #tag ## ... .... .. … a… (...) [...] […] -» Read more '
    "read more.. • ‣ ● * - -5 -- é ½ ² _x x_1 e.g. J. it's a.B 1,2 ( ) » 日本 ་ ۔ \x01 \u0301 "  # noqa: RUF001
)
# fmt: on
PIECES = SIGNS.split()
GAPS = [" ", " ", "\n", "\n\n", " \n ", "\r\n", "\x0b", "\x1d", "\x85", "\u2028", "\u3000", ". . ."]
hostile = st.lists(st.sampled_from(PIECES) | texts | st.sampled_from(GAPS), max_size=40).map(
    "".join
)
RIVALS = DEFINITIONS[1:]


def measure(rows, definition, chosen=0):
    raw = [row if isinstance(row, bytes) else row.encode() for row in rows]
    offsets = np.cumsum([4, *map(len, raw)]).astype(np.int64)
    data = np.frombuffer(b"the." + b"".join(raw) + b"..\n", np.uint8)
    table = stop_table([ENGLISH], exact=definition != "dclm")
    found = rival_quality(offsets, data, definition, table, np.full(len(raw), chosen, np.int64))
    return [{name: v[k].item() for name, v in found._asdict().items()} for k in range(len(raw))]


@pytest.mark.parametrize("definition", RIVALS)
@settings(deadline=None, max_examples=60)  # the first call may compile
@given(st.lists(hostile, min_size=1, max_size=3))
@example(["", " \n", "\r", "a\r\n\r"])
@example(["…", "...", "a bb ccc dddd"])
def test_kernel_equals_plain_python_on_any_text(definition, rows):
    for found, text in zip(measure(rows, definition), rows, strict=True):
        for name, value in rival_quality_of_text(text, definition, ENGLISH).items():
            same = math.isclose(found[name], value, rel_tol=1e-12)
            assert same or (math.isnan(found[name]) and math.isnan(value)), (name, text)


@pytest.mark.parametrize("definition", RIVALS)
@settings(deadline=None, max_examples=30)
@given(st.lists(st.binary(max_size=5) | st.sampled_from([b"the ", b"\n", b"\xe2\x80", b"\xc2"])))
def test_malformed_bytes_are_measured_without_the_neighbours(definition, parts):
    raw = b"".join(parts)
    [alone], [_, after, _] = (
        measure([raw], definition),
        measure([b"\xe2", raw, b"\x80\xa6"], definition),
    )
    assert repr(alone) == repr(after)


@pytest.mark.parametrize("definition", RIVALS)
def test_no_list_finds_no_stop_words(definition):
    assert measure(["the and of"], definition, -1)[0]["stop_words"] == 0


def test_one_endless_word_has_a_median():
    assert measure([b"x" * 3_000_000], "dolma")[0]["word_chars"] == 3_000_000
