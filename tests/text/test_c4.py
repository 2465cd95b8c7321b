import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.stages.c4_quality import C4Quality
from curation.text import c4
from curation.text.c4_lines import LineRules
from tests.text.strategies import characters

RULES = {
    name: C4Quality(kind="c4_quality", definition=name).line_rules() for name in c4.DEFINITIONS
}
RULES["loose"] = RULES["datatrove"]._replace(
    end_marks=0, min_words=0, max_word_chars=3, words_after_citations=1, keep_blank=1
)
HARD = """one two three. four! five? "six" 'seven' eight… nine... [1] [23] [] [edit] [citation
    needed] ] [ javascript JavaScript java[1]script lorem ipsum LOREM { } terms of use Privacy
    Policy cookie policy uses cookies platforms é 数 \ufffd"""
PHRASES = ["[citation needed]", "lorem ipsum", " use cookies", "privacy policy", ".\n", "\r\n"]
BLANKS = " \t\n\r\x0b\x1c\x85\xa0\u2028\u3000"
hostile = st.lists(
    st.sampled_from([*HARD.split(), *PHRASES, *BLANKS, " ", " ", " ", "\n"]),
    max_size=40,
).map("".join) | st.text(characters, max_size=60)


def _clean(raw, rules, before=b""):
    data = np.frombuffer(before + raw + b"\nAnd so it goes on.", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    new_offsets, new, counts = c4.clean(offsets, data, rules)
    assert new_offsets.tolist() == [0, len(new)]
    return new.tobytes(), {name: value.item() for name, value in counts.items()}


@settings(deadline=None, max_examples=150)  # the first call may compile
@given(hostile, st.sampled_from(sorted(RULES)), st.sampled_from([b"", b"lore", b"{ \xe2\x80"]))
@example("x lorem ipsum", "dolma", b"")
@example("we use cookies.\nSee the terms of use, our privacy policy.", "datatrove", b"")
@example("[1] [2] [3]", "loose", b"")
@example("[1]\u3000a b c.", "datatrove", b"")
@example("a b c. \n\n \nd", "dclm", b"")
def test_kernel_equals_plain_python_on_any_text(text, name, before):
    new, counts = _clean(text.encode(), RULES[name], before)
    assert (new.decode(), counts) == c4.plain_clean(text, RULES[name])


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.binary(max_size=40), st.sampled_from(sorted(RULES)))
def test_malformed_bytes_are_kept_or_cut_but_never_read_beyond(raw, name):
    new, counts = _clean(raw, RULES[name])
    assert len(new) <= len(raw)
    assert _clean(raw, RULES[name], b"\xe2\x80")[1] == counts


@settings(deadline=None, max_examples=30)  # the first call may compile
@given(st.lists(hostile, max_size=6), st.integers(0, 6))
def test_texts_of_a_column_do_not_see_each_other(texts, start):
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)[start:]
    if not len(offsets):
        return
    bounds, new, counts = c4.clean(offsets, np.frombuffer(b"".join(raw), np.uint8), RULES["tfds"])
    for row, text in enumerate(raw[start:]):
        alone = new[bounds[row] : bounds[row + 1]].tobytes()
        assert (alone, {name: found[row].item() for name, found in counts.items()}) == _clean(
            text, RULES["tfds"]
        )


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("A " + "x" * 1001 + " is long.", "long_word_lines"),
        ("A " + "é" * 1001 + " is long.", "long_word_lines"),
        ("It has no end", "no_end_mark_lines"),
        ("It ends so...", "no_end_mark_lines"),
        ("It ends so…", "no_end_mark_lines"),
        ("Two words.", "few_word_lines"),
        ("You need JavaScript here.", "javascript_lines"),
        ("We use cookies here.", "policy_lines"),
        ("Read the TERMS OF USE now.", "policy_lines"),
        ("See our Privacy Policy now.", "policy_lines"),
    ],
)
def test_each_line_is_cut_by_its_own_rule(line, column):
    new, counts = _clean(f"One good line stays.\n{line}".encode(), RULES["datatrove"])
    assert new == b"One good line stays."
    assert counts[column] == 1
    assert counts["lines"] == 2


@pytest.mark.parametrize(
    ("text", "new"),
    [
        ("It was [1]late.[23]", "It was late."),
        ("Oslo[edit] is cold.[citation needed]", "Oslo is cold."),
        ("It is [sic] and [1a] here.", "It is [sic] and [1a] here."),
        ("  It was late. \r\n\n\tSo it was. ", "It was late.\nSo it was."),
        ("x " + "é" * 1000 + " is long.", "x " + "é" * 1000 + " is long."),
        ("[1] Here it is.", "Here it is."),
    ],
)
def test_text_that_stays(text, new):
    assert _clean(text.encode(), RULES["datatrove"])[0].decode() == new


def test_nothing_cut_leaves_the_text_as_it_is_where_lines_are_not_stripped():
    text = "  Here there are five words.\n\n\t Here they are once again. "
    assert _clean(text.encode(), RULES["dolma"])[0].decode() == text.replace("\n\n", "\n")
    assert _clean(text.encode(), RULES["dclm"])[0].decode() == text.strip()


@pytest.mark.parametrize(
    "unit", ["a", "a ", "[", "[1", "[1]", "{", "cookie cookie ", "\n", "lorem "]
)
def test_a_huge_line_takes_time_by_its_length(unit):
    raw = (unit * (600_000 // len(unit))).encode()
    for name in ("datatrove", "loose"):
        assert len(_clean(raw, RULES[name])[0]) <= len(raw)


def test_rules_are_numbers_only():
    assert all(isinstance(value, int) for rules in RULES.values() for value in rules)
    assert RULES["dolma"]._fields == LineRules._fields
