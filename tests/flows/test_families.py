"""Parents and children in the terminal."""

import io
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console, RenderableType

from curation.audit import Operation
from flows import families
from flows.display import plain


def printed(*parts: RenderableType, width: int = 120, colours: bool = False) -> str:
    out = io.StringIO()
    console = Console(
        file=out, width=width, force_terminal=colours, color_system="standard" if colours else None,
        highlight=False,
    )  # fmt: skip
    for part in parts:
        console.print(part)
    return out.getvalue()


def pair(**columns: Any) -> dict[str, Any]:
    return {
        "doc_id": "c" * 32, "parent_id": "a" * 32, "source": "docs", "made_by": "noise",
        "operation": "noise", "verdict": "kept", "parent_verdict": "kept", "stage": None,
        "reason": None, "value": None, "bound": None,
        "parent_text": "one two three", "text": "one too three",
    } | columns  # fmt: skip


def test_words_that_differ_are_marked_on_their_side():
    parent, child = families.changed_words("one two three", "one too three four", marks=True)
    assert parent.plain == "one [-two-] three"
    assert child.plain == "one {+too+} three{+ four+}"
    assert [str(span.style) for span in parent.spans] == ["red strike"]
    assert [str(span.style) for span in child.spans] == ["bold green"] * 2


@given(st.text(max_size=60), st.text(max_size=60))
def test_all_that_is_shown_is_the_two_texts_made_harmless(one, two):
    parent, child = families.changed_words(one, two)
    assert (parent.plain, child.plain) == (plain(one), plain(two))


def test_no_control_character_and_no_markup_gets_out():
    hostile = "\x1b[31mred\x1b[0m \u202eevil [bold]x[/bold] \x07"
    shown = printed(
        families.side_by_side(pair(text=hostile, source="\x1b]0;t"), chars=99, marks=True)
    )
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert "\x07" not in shown
    assert "[bold]" in shown


def test_colours_where_there_are_some_and_marks_where_not():
    shown = pair()
    coloured = printed(families.side_by_side(shown, chars=99, marks=False), colours=True)
    assert "\x1b[9;31mtwo\x1b[0m" in coloured
    assert "\x1b[1;32mtoo\x1b[0m" in coloured
    marked = printed(families.side_by_side(shown, chars=99, marks=True))
    assert "[-two-]" in marked
    assert "{+too+}" in marked


def test_long_texts_are_cut_and_missing_ones_are_blank():
    shown = printed(
        families.side_by_side(pair(text="x " * 5000, parent_text=None), chars=10, marks=True)
    )
    assert "... (10,000 characters)" in shown
    assert shown.count("x") < 20


def test_a_rejected_child_says_why():
    why = {"stage": "gates", "reason": "numbers_lost", "value": 0.5, "bound": 0.9}
    shown = printed(families.side_by_side(pair(verdict="rejected", **why), chars=99, marks=True))
    assert "gates.numbers_lost 0.5 (bound 0.9)" in shown
    assert "child cccccccccccc (rejected)" in shown


def test_a_family_has_a_line_for_each_and_says_how_many_more():
    parent = pair(doc_id="a" * 32, parent_id=None, made_by=None, operation=None)
    members = [parent, *(pair(doc_id=str(k) * 32, operation="swap") for k in range(1, 5))]
    lines = printed(*families.family(members, "1" * 32, most=4)).splitlines()
    assert lines[0] == "  family of 5"
    assert lines[1].split() == ["a" * 32, "as", "it", "was", "read", "KEPT"]
    assert lines[2].split() == ["1" * 32, "noise", "swap", "KEPT"]
    assert lines[-1].strip() == "and 1 more"


MEANS = {"noise_rate": 0.051, "gates_chrf": 91.26, "gates_names": 0.7}


def test_operations_in_a_table():
    found = [
        Operation("noise", "swap", 1200, 1000, 99, {"gates.loops": 200}, 12.34, MEANS),
        Operation("back_translate", "back_translate", 0, 0, 0, {}, None, {}),
    ]  # fmt: skip
    shown = printed(families.operations_table(found), width=160)
    assert "noise swap" in shown
    for cell in ("1,200", "1,000", "200", "12.3", "gates.loops 200", "rate 0.051", "chrf 91.3"):
        assert cell in shown
    assert "1,200 documents made, 1,000 kept (83.3%)" in shown
