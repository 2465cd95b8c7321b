import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.stages.refinedweb_lines import RefinedwebLines
from curation.text import refinedweb
from curation.text.refinedweb_lines import LineRules
from tests.text.strategies import characters


def _rules(**options):
    return RefinedwebLines(kind="refinedweb_lines", **options).line_rules()


RULES = {name: _rules(definition=name) for name in refinedweb.DEFINITIONS}
RULES["loose"] = _rules(max_upper_ratio=1, digits=False, counters=[], min_words=0)
RULES["none"] = _rules(anywhere=[], ends=[], starts=[], short_words=0)
RULES["many"] = _rules(
    counters=["view", "views", "Überschriften"],
    anywhere=["in", "a.b", "…"],
    ends=["more", "read more", "数"],
    starts=["sign", "sign-in", "é"],
    short_words=3,
    max_upper_ratio=0.2,
)
HARD = """read more Read MORE ... . >> … sign-in SIGN-IN items in cart 3 12 1,234 1.2k 5M likes
    views überschriften HELLO a_b axb É ß 数 ²³ ٣ _x #a \ufffd \x00"""
BLANKS = " \t\n\r\x0b\x1c\x85\xa0\u2028\u3000"
hostile = st.lists(
    st.sampled_from(
        [*HARD.split(), "items in cart", "read more...", "\n3 likes\n", *BLANKS, *" " * 9]
    ),
    max_size=40,
).map("".join) | st.text(characters, max_size=60)


def _correct(raw, rules, before=b""):
    data = np.frombuffer(before + raw + b" items in cart\n3 likes", np.uint8)
    offsets = np.array([len(before), len(before) + len(raw)], np.int64)
    new_offsets, new, counts = refinedweb.correct(offsets, data, rules)
    assert new_offsets.tolist() == [0, len(new)]
    return new.tobytes(), {name: value.item() for name, value in counts.items()}


@settings(deadline=None, max_examples=300)  # the first call may compile
@given(hostile, st.sampled_from(sorted(RULES)), st.sampled_from([b"", b"sign-", b"\xe2\x80"]))
@example("Home\n  sign-in here", "dclm", b"")
@example("items in cartitems in cart", "dclm", b"")
@example("a read more数数数", "dclm", b"")
@example("\n \n\n", "paper", b"")
@example("", "dclm", b"")
@example("\n", "loose", b"")
def test_kernel_equals_plain_python_on_any_text(text, name, before):
    new, counts = _correct(text.encode(), RULES[name], before)
    assert (new.decode(), counts) == refinedweb.plain_correct(text, RULES[name])


@settings(deadline=None, max_examples=50)  # the first call may compile
@given(st.binary(max_size=40), st.sampled_from(sorted(RULES)))
def test_malformed_bytes_are_kept_or_cut_but_never_read_beyond(raw, name):
    new, counts = _correct(raw, RULES[name])
    assert len(new) <= len(raw)
    assert _correct(raw, RULES[name], b"\xe2\x80")[1] == counts


@settings(deadline=None, max_examples=30)  # the first call may compile
@given(st.lists(hostile, max_size=6), st.integers(0, 6))
def test_texts_of_a_column_do_not_see_each_other(texts, start):
    raw = [text.encode() for text in texts]
    offsets = np.cumsum([0, *map(len, raw)]).astype(np.int64)[start:]
    if not len(offsets):
        return
    data = np.frombuffer(b"".join(raw), np.uint8)
    bounds, new, counts = refinedweb.correct(offsets, data, RULES["dclm"])
    for row, text in enumerate(raw[start:]):
        alone = new[bounds[row] : bounds[row + 1]].tobytes()
        found = {name: values[row].item() for name, values in counts.items()}
        assert (alone, found) == _correct(text, RULES["dclm"])


@pytest.mark.parametrize(
    ("line", "column"),
    [
        ("ABOUT US", "upper_lines"),
        ("É ÈÀÀ x", "upper_lines"),
        ("2024", "digit_lines"),
        ("3 likes", "counter_lines"),
        ("★ 1,234.5K Views »", "counter_lines"),
        ("Home", "few_word_lines"),
    ],
)
def test_each_line_is_cut_by_its_own_rule(line, column):
    new, counts = _correct(f"One good line stays.\n{line}".encode(), RULES["dclm"])
    assert new == b"One good line stays."
    assert {name for name, count in counts.items() if count} - {"lines", "words"} <= {
        column,
        "removed_words",
    }
    assert (counts[column], counts["lines"]) == (1, 2)


@pytest.mark.parametrize(
    ("line", "left", "column"),
    [
        ("You have 3 items in cart now", "You have 3 now", "edits_anywhere"),
        ("The news of today Read more >>", "The news of today", "edits_at_end"),
        ("Sign-in to go on", "to go on", "edits_at_start"),
    ],
)
def test_short_lines_are_edited(line, left, column):
    new, counts = _correct(f"One good line stays.\n{line}".encode(), RULES["dclm"])
    assert new.decode().split("\n")[1] == left
    assert counts[column] == 1
    long = f"{line}{' and on' * 6}"
    assert _correct(long.encode(), RULES["dclm"])[0].decode() == long


@pytest.mark.parametrize(
    ("text", "dclm", "paper"),
    [
        ("A B c\nNow and then.", "A B c\nNow and then.", "Now and then."),
        ("1 2 3\nNow and then.", "1 2 3\nNow and then.", "Now and then."),
        ("So it goes read more abc", "So it goes read more abc", "So it goes read more abc"),
        ("So it goes read more >>", "So it goes", "So it goes read more >>"),
        ("So it goes read more...", "So it goes", "So it goes"),
    ],
)
def test_readings_differ(text, dclm, paper):
    assert _correct(text.encode(), RULES["dclm"])[0].decode() == dclm
    assert _correct(text.encode(), RULES["paper"])[0].decode() == paper


def test_words_of_an_edited_line_count_whole_or_in_part():
    text = "So it goes: 3 items in cart\nSo - it - was."
    assert _correct(text.encode(), RULES["dclm"])[1]["removed_words"] == 3
    counts = _correct(text.encode(), RULES["paper"])[1]
    assert (counts["words"], counts["removed_words"]) == (12, 7)
    assert _correct(text.encode(), RULES["dclm"])[1]["words"] == 10


@pytest.mark.parametrize("unit", ["a", "a ", "A", "1", "3 likes ", "items in cart", "\n", "read "])
def test_a_huge_line_takes_time_by_its_length(unit):
    raw = (unit * (600_000 // len(unit))).encode()
    for name in ("dclm", "loose"):
        assert len(_correct(raw, RULES[name])[0]) <= len(raw)


def test_rules_without_phrases_change_nothing_but_lines():
    text = "Sign-in here now\nItems in cart, read more..."
    assert _correct(text.encode(), RULES["none"])[0].decode() == text
    assert RULES["none"]._fields == LineRules._fields
