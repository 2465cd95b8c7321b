import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.text.ccnet import ccnet_rows, plain_ccnet, replacements
from tests.text.strategies import characters

HARD = (
    "Aé É İıẞßΣΟΣ ΟΣ. Σ'a ǅ Ⅷ ²½٣\uff11\uff12 한글 各 \u00b4„“«—\uff0e…\uff05►\u2019 "
    "\x00\x1f\x7f\x85\n\t\r\u0301\u0327\u200d"
)
texts = st.text(st.sampled_from(HARD), max_size=60) | st.text(characters, max_size=60)
forms = st.tuples(st.booleans(), st.booleans())


def _rows(raws, cased, keep_lines, before=b""):
    offsets = len(before) + np.cumsum([0, *map(len, raws)]).astype(np.int64)
    data = np.frombuffer(before + b"".join(raws) + "Σ".encode(), np.uint8)
    bounds, new = ccnet_rows(offsets, data, replacements(cased=cased, keep_lines=keep_lines))
    assert bounds[-1] == len(new)
    return [new[bounds[k] : bounds[k + 1]].tobytes() for k in range(len(raws))]


@settings(deadline=None, max_examples=300)  # the first call may compile
@given(st.lists(texts, max_size=4), forms, st.sampled_from([b"", b"a", b"\xce"]))
@example(["ΟΔΟΣ", "Σ", "Σ", "ΟΣ\nΔ"], (False, True), b"")
@example([""], (False, False), b"")
def test_kernel_equals_plain_python_on_any_text(rows, form, before):
    cased, keep_lines = form
    found = _rows([text.encode() for text in rows], cased, keep_lines, before)
    assert [raw.decode() for raw in found] == [
        plain_ccnet(text, cased=cased, keep_lines=keep_lines) for text in rows
    ]


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.binary(max_size=40), forms)
def test_malformed_bytes_are_replaced_but_never_read_beyond(raw, form):
    [new] = _rows([raw], *form)
    assert new.decode() == plain_ccnet(
        raw.decode("utf-8", "replace"), cased=form[0], keep_lines=form[1]
    )


@pytest.mark.parametrize(
    ("text", "plain", "cased"),
    [
        ("Café 1999", "cafe 0000", "Café 0000"),
        ("„So“ — ja…", '"so"  -  ja...', '"So"  -  ja...'),
        ("ΌΣΟΣ \uff11\uff12\uff05", "οσος 00%", "ΌΣΟΣ 00%"),
        ("a\nb\tc\x85", "abc", "abc"),
        ("Straße İx", "straße ix", "Straße İx"),
    ],
)
def test_examples(text, plain, cased):
    assert _rows([text.encode()], False, False) == [plain.encode()]
    assert _rows([text.encode()], True, False) == [cased.encode()]


def test_lines_stay_where_asked():
    assert _rows([b"A\nB"], False, True) == [b"a\nb"]


@pytest.mark.parametrize("unit", ["A", "é", "Σ", "\u0301", "Σ.", "…", "한"])
def test_a_huge_text_takes_time_by_its_length(unit):
    [new] = _rows([(unit * 200_000).encode()], False, True)
    assert len(new) <= 4 * len(unit.encode()) * 200_000
