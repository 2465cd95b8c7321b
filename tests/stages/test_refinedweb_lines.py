import hashlib
import json
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.stages.refinedweb_lines import RefinedwebLines
from curation.text.refinedweb import COUNTERS, DEFINITIONS
from tests.conftest import make_batch, run_stage

FIXTURE = json.loads(Path(__file__).with_name("conformance_refinedweb.json").read_text("utf-8"))
GOOD = "\n".join(
    [
        "The harbour was closed for the winter, and no ship could leave before the ice was gone.",
        "A clerk wrote down the price of grain every morning, and sent the letters by sledge.",
        "Nobody knows who read the letters after him, but a second hand is in the margins.",
    ]
)


def _stage(**options):
    return RefinedwebLines(kind="refinedweb_lines", **options)


def _run(stage, texts):
    return run_stage(stage, make_batch(texts))


@pytest.mark.parametrize(
    ("reason", "text", "options"),
    [
        ("no_words", '"So" (it) -was-', {}),
        ("no_text_left", "Home\nNEWS\n2024", {"max_removed_ratio": 1}),
        ("many_removed_words", GOOD + "\nHome\nNews\nSport", {}),
    ],
)
def test_each_bound_is_broken_by_its_own_text(reason, text, options):
    assert _run(_stage(**options), [text])[1] == [[reason]]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_good_text_breaks_no_bound_and_stays_as_it_is(definition):
    [row], [reasons] = _run(_stage(definition=definition), [GOOD])
    assert reasons == []
    assert row["text"] == GOOD
    assert (row["refinedweb_lines_chars"], row["refinedweb_lines_cut_chars"]) == (len(GOOD), 0)


def test_what_is_cut_is_counted_by_reason():
    extra = (
        "ABOUT US\n2024\n3 likes\nHome\nYou have 3 items in cart\nGo on read more...\nSign-in here"
    )
    [row], [reasons] = _run(_stage(max_removed_ratio=0.5), [f"{GOOD}\n\n{extra}"])
    assert reasons == []
    assert row["text"] == f"{GOOD}\n\nYou have 3\nGo on\nhere"
    found = {name.removeprefix("refinedweb_lines_"): value for name, value in row.items()}
    for name in ("upper", "digit", "counter", "few_word"):
        assert found[f"{name}_lines"] == 1, name
    for name in ("anywhere", "at_end", "at_start"):
        assert found[f"edits_{name}"] == 1, name
    assert (found["lines"], found["removed_words"]) == (10, 12)
    assert found["removed_ratio"] == 12 / found["words"]
    assert found["page_chars"] == found["chars"] + found["cut_chars"]


def test_the_bound_is_inclusive():
    text = " ".join(["word"] * 19) + "\nHome"
    [row], [reasons] = _run(_stage(), [text])
    assert (row["refinedweb_lines_removed_ratio"], reasons) == (0.05, [])


def test_document_without_any_line_left_keeps_its_text_and_is_rejected():
    rows, reasons = _run(_stage(), ["Home\nNews", "", None])
    assert [row["text"] for row in rows] == ["Home\nNews", "", None]
    assert reasons == [["no_text_left", "many_removed_words"], ["no_words", "no_text_left"], []]
    assert {value for name, value in rows[2].items() if name.startswith("refinedweb_lines")} == {
        None
    }


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"max_upper_ratio": 1}, "ABOUT US"),
        ({"digits": False, "min_words": 0}, "2024"),
        ({"counters": []}, "3 likes"),
        ({"min_words": 1}, "Home"),
        ({"anywhere": []}, "You have 3 items in cart"),
        ({"ends": []}, "The news of today read more..."),
        ({"starts": []}, "Sign-in here"),
        ({"short_words": 2}, "Sign-in here now"),
    ],
)
def test_every_switch_lets_its_line_through(options, line):
    text = f"{GOOD}\n{line}"
    assert _run(_stage(**options), [text])[0][0]["text"] == text
    assert _run(_stage(), [text])[0][0]["text"] != text


def test_phrases_of_other_languages_can_be_given():
    stage = _stage(counters=["Gefällt-mir-Angaben"], ends=["Weiterlesen…"], max_removed_ratio=1)
    [row], _ = _run(stage, [f"{GOOD}\n12 Gefällt-mir-Angaben\nSo geht es weiterlesen…"])
    assert row["text"] == f"{GOOD}\nSo geht es"


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_settings_survive_a_round_trip(definition):
    stage = _stage(definition=definition, min_words=3, name="lines")
    assert RefinedwebLines.model_validate_json(stage.model_dump_json()) == stage
    assert all(name == "text" or name.startswith("lines_") for name in stage.writes().names)
    assert stage.counters == COUNTERS


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"definition": "falcon"}, r"Input should be 'dclm' or 'paper'"),
        ({"max_upper_ratio": 2}, r"max_upper_ratio\n  Input should be less than"),
        ({"min_words": -1}, r"min_words\n  Input should be greater than"),
        ({"ends": ["a\nb"]}, r"ends.0\n  String should match pattern"),
        ({"starts": [" "]}, r"starts.0\n  String should match pattern"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        _stage(**options)


texts = st.lists(st.text(st.sampled_from("aB 3.\n"), max_size=60), max_size=8)


@settings(deadline=None, max_examples=50)
@given(texts, st.integers(0, 8), st.sampled_from(sorted(DEFINITIONS)))
def test_rows_are_free_of_the_batch(rows, cut, definition):
    stage = _stage(definition=definition, max_removed_ratio=0.5)
    whole, parts = _run(stage, rows), [_run(stage, rows[:cut]), _run(stage, rows[cut:])]
    scores = [
        [{k: v for k, v in row.items() if k == "text" or k.startswith("refined")} for row in found]
        for found, _ in (whole, *parts)
    ]
    assert scores[0] == scores[1] + scores[2]
    assert whole[1] == parts[0][1] + parts[1][1]
    assert all(row["text"].strip() or reasons for row, reasons in zip(*whole, strict=True))


def test_no_rows_are_scored():
    columns = _stage().open()(make_batch([]))
    assert set(columns) == set(_stage().writes().names)
    assert isinstance(columns["text"], pa.Array)


def test_verdicts_and_texts_are_those_of_datacomp_lm():
    rows, reasons = _run(_stage(), [entry["text"] for entry in FIXTURE["texts"]])
    kept = 0
    for row, found, entry in zip(rows, reasons, FIXTURE["texts"], strict=True):
        verdict, digest = entry["dclm"]
        assert (verdict == "kept") == (not found), row
        if digest:
            kept += 1
            assert hashlib.blake2b(row["text"].encode(), digest_size=8).hexdigest() == digest, row
    assert (len(rows), kept) == (80, 63)
