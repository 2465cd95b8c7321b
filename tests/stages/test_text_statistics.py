import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.stages.text_statistics import TextStatistics
from curation.text.text_statistics import DEFINITIONS
from tests.conftest import make_batch, run_stage

FIXTURE = json.loads(Path(__file__).with_name("conformance_statistics.json").read_text("utf-8"))
GOOD = (
    "The harbour was closed for the winter, and no ship could leave.\n"
    "A clerk wrote down the price of grain every morning, and sent it by sledge."
)
MEASURED = {
    "few_chars": "chars",
    "few_words": "words",
    "many_words": "words",
    "long_word": "longest_word_chars",
    "short_lines": "mean_line_chars",
    "short_longest_line": "longest_line_chars",
    "few_alphanumerics": "alphanumeric_ratio",
    "many_digits": "digit_ratio",
    "much_white_space": "white_space_ratio",
    "many_special_chars": "special_ratio",
    "many_parentheses": "parenthesis_ratio",
    "many_url_chars": "url_ratio",
    "few_end_marks": "no_end_mark_ratio",
    "much_boilerplate": "boilerplate_ratio",
}


def _stage(**options):
    return TextStatistics(kind="text_statistics", **options)


def _run(stage, texts):
    return run_stage(stage, make_batch(texts))


@pytest.mark.parametrize(
    ("reason", "text", "options"),
    [
        ("few_chars", GOOD, {"min_chars": 1000}),
        ("many_chars", GOOD, {"max_chars": 100}),
        ("few_words", GOOD, {"min_words": 50}),
        ("many_words", GOOD, {"max_words": 10}),
        ("long_word", GOOD + " " + "x" * 50, {"max_longest_word_chars": 49}),
        ("short_lines", GOOD + "\na\nb\nc", {"min_mean_line_chars": 30}),
        ("long_lines", GOOD, {"max_mean_line_chars": 50}),
        ("short_longest_line", "a b\nc d", {"min_longest_line_chars": 4}),
        ("long_line", GOOD, {"max_longest_line_chars": 70}),
        ("few_alphanumerics", GOOD + " --- ///" * 9, {"min_alphanumeric_ratio": 0.7}),
        ("many_digits", GOOD + " 1999" * 9, {"max_digit_ratio": 0.15}),
        ("many_upper", GOOD.upper(), {"max_upper_ratio": 0.5}),
        ("much_white_space", GOOD + " \t" * 40, {"max_white_space_ratio": 0.3}),
        ("many_special_chars", GOOD + " ==>" * 20, {"max_special_ratio": 0.25}),
        ("many_parentheses", GOOD + " (a) [b]" * 9, {"max_parenthesis_ratio": 0.1}),
        ("many_url_chars", GOOD + " http://a.example/b" * 5, {"max_url_ratio": 0.2}),
        ("few_end_marks", GOOD + "\nHome\nNews", {"max_no_end_mark_ratio": 0.4}),
        ("much_boilerplate", GOOD + "\n\nWe use cookies.", {"max_boilerplate_ratio": 0.4}),
    ],
)
def test_each_bound_is_broken_by_its_own_text(reason, text, options):
    assert _run(_stage(**options), [text])[1] == [[reason]]
    assert _run(_stage(), [text])[1] == [[]]


def test_bounds_are_inclusive():
    text = "ab 12"
    found = _run(_stage(max_digit_ratio=0.4, min_words=2, max_words=2), [text])
    assert (found[0][0]["text_statistics_digit_ratio"], found[1]) == (0.4, [[]])


def test_shares_without_a_whole_are_null_and_break_nothing():
    rows, reasons = _run(_stage(max_upper_ratio=0, max_digit_ratio=0), ["", "...", None])
    found = [{name[16:]: value for name, value in row.items()} for row in rows]
    assert [row["upper_ratio"] for row in found] == [None] * 3
    assert [row["digit_ratio"] for row in found] == [None, 0, None]
    assert [row["chars"] for row in found] == [0, 3, None]
    assert reasons == [[]] * 3


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_good_text_breaks_no_bound(definition):
    assert _run(_stage(definition=definition), ["\n".join([GOOD] * 3)])[1] == [[]]


def test_definition_fills_in_what_is_not_given():
    assert _stage().rules() == ()
    assert _stage(definition="curator").min_words == 50
    assert _stage(definition="curator", min_words=4).min_words == 4
    assert _stage(definition="curator", min_words=None).min_words is None
    assert _stage(definition="data_juicer").max_special_ratio == 0.25


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_settings_survive_a_round_trip(definition):
    stage = _stage(definition=definition, max_chars=200, name="lengths")
    assert TextStatistics.model_validate_json(stage.model_dump_json()) == stage
    assert all(name.startswith("lengths_") for name in stage.writes().names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"definition": "nemo"}, r"Input should be 'unicode', 'curator' or 'data_juicer'"),
        ({"max_digit_ratio": 2}, r"max_digit_ratio\n  Input should be less than"),
        ({"min_chars": 9, "max_chars": 3}, r"min_chars is 9 and max_chars is 3, so no"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        _stage(**options)


texts = st.lists(st.text(st.sampled_from("aB 3.(\n:/htp"), max_size=60), max_size=8)


@settings(deadline=None, max_examples=50)
@given(texts, st.integers(0, 8), st.sampled_from(sorted(DEFINITIONS)))
def test_rows_are_free_of_the_batch(rows, cut, definition):
    stage = _stage(definition=definition)
    batch = make_batch(rows)
    score = stage.open()
    whole, head, tail = (
        {name: values.to_pylist() for name, values in score(part).items()}
        for part in (batch, batch.slice(0, cut), batch.slice(cut))
    )
    assert whole == {name: head[name] + tail[name] for name in whole}
    assert list(whole) == stage.writes().names


@pytest.mark.parametrize(("definition", "values"), [("curator", 209), ("data_juicer", 141)])
def test_values_and_verdicts_are_those_of_the_programs(definition, values):
    rows, reasons = _run(
        _stage(definition=definition), [entry["text"] for entry in FIXTURE["texts"]]
    )
    for row, found, entry in zip(rows, reasons, FIXTURE["texts"], strict=True):
        for name, theirs in entry[definition].items():
            ours = row[f"text_statistics_{name}"]
            if theirs is not None and ours is not None:  # words, lines and characters are there
                assert ours == pytest.approx(theirs, abs=1e-9), (row["text"], name)
                values -= 1
        if entry["text"].strip():
            assert {MEASURED[reason] for reason in found} == set(entry[f"{definition}_breaks"])
    assert values == 0


def test_bounds_in_the_docs_are_the_codes():
    page = Path(__file__).parents[2] / "docs" / "text-statistics.md"
    shown, definition = {name: {} for name in DEFINITIONS}, "unicode"
    for line in page.read_text(encoding="utf-8").splitlines():
        cells = [cell.strip(" `*") for cell in line.split("|")]
        if len(cells) == 6 and cells[1].startswith(("NeMo", "Data-Juicer")):
            definition = "curator" if cells[1].startswith("NeMo") else "data_juicer"
        elif len(cells) == 6 and cells[3].replace(".", "").isdigit():
            shown[definition][cells[2]] = float(cells[3])
    assert shown == {name: how.settings for name, how in DEFINITIONS.items()}
