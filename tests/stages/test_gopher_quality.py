import gzip
import json

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.stages.gopher_quality import STOP_WORDS, UNSPACED, GopherQuality
from curation.text.gopher import quality_of_text
from tests.conftest import make_batch

SENTENCE = "The colour of a page that people have read is seldom known to them with precision."
GOOD = "\n".join([SENTENCE] * 4)
CHINESE = "这些文件说明了如何安装和配置系统。" * 10
WORDS = ["words", "mean_word_chars", "hash_ratio", "ellipsis_ratio", "alpha_words", "stop_words"]


def _stage(**options):
    return GopherQuality(kind="gopher_quality", **options)


def _scores(stage, batch):
    columns = stage.open()(batch)
    schema = stage.writes()
    assert set(columns) == set(schema.names)
    arrays = [columns[name].cast(schema.field(name).type) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema).to_pylist()


def _labelled(texts, labels):
    return make_batch(texts, language_label=pa.array(labels, pa.string()))


def _reasons(text, label="en", **options):
    stage = _stage(**options)
    [scores] = _scores(stage, _labelled([text], [label]))
    return [
        rule.reason
        for rule in stage.rules()
        if (value := scores[rule.column]) is not None
        and not (rule.low if rule.low is not None else value)
        <= value
        <= (rule.high if rule.high is not None else value)
    ]


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("few_words", SENTENCE),
        ("many_words", " ".join([SENTENCE] * 6251)),
        ("short_words", "the of to x y z " * 20),
        ("long_words", "the and internationalisation telecommunications " * 20),
        ("many_hashes", GOOD + " #a #b #c #d #e #f #g #h"),
        ("many_ellipses", GOOD + " so... but… no... yes… or... and… well... then…"),
        ("many_bullet_lines", "\n".join([f"• {SENTENCE}"] * 9 + [f"- {SENTENCE}"])),
        ("many_ellipsis_lines", "\n".join([SENTENCE * 2] * 2 + [SENTENCE * 2 + "…"])),
        ("few_alpha_words", GOOD + " 1234" * 20),
        ("few_stop_words", "one page may show the colour when people look at it closely " * 10),
    ],
)
def test_each_bound_is_broken_by_its_own_text(reason, text):
    assert _reasons(text) == [reason]


@pytest.mark.parametrize(
    ("reason", "text"),
    [("few_letters", "这是一个很短的页面。" * 5), ("many_letters", CHINESE * 1500)],
)
def test_letters_decide_where_words_cannot_be_told_apart(reason, text):
    assert _reasons(text, "zh") == [reason]


@pytest.mark.parametrize("text", [GOOD, CHINESE])
def test_good_text_breaks_no_bound(text):
    assert _reasons(text, "en" if text is GOOD else "ja") == []


def test_text_without_words_has_too_few_and_no_ratios():
    assert _reasons("") == ["few_words", "few_stop_words"]
    [scores] = _scores(_stage(), make_batch([" \n"]))
    assert scores["gopher_quality_mean_word_chars"] is None
    assert scores["gopher_quality_bullet_lines"] is None


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (("and the " * 25).strip(), {"min_words": 50, "max_words": 50}),
        ("the and " * 30, {"min_mean_word_chars": 3, "max_mean_word_chars": 3}),
        (SENTENCE + " # … # …" + " a b" * 10, {"max_symbol_ratio": 2 / 40, "min_words": 0}),
        ("- the\n- and\n- a\nb", {"max_bullet_lines": 0.75, "min_words": 0, "min_alpha_words": 0}),
        ("the...\nand", {"max_ellipsis_lines": 0.5, "min_words": 0, "max_symbol_ratio": 1}),
        ("the and 1 2", {"min_alpha_words": 0.5, "min_words": 0}),
        ("字母", {"min_letters": 2, "max_letters": 2, "unspaced": ["en"], "stop_words": {}}),
    ],
)
def test_bounds_are_inclusive(text, options):
    options = {"min_mean_word_chars": 0, **options}
    assert _reasons(text, **options) == []


def test_label_says_whose_stop_words_count():
    batch = _labelled(
        ["der Hund und die Katze", "the dog and the cat"] * 2, ["de"] * 2 + ["en"] * 2
    )
    found = [row["gopher_quality_stop_words"] for row in _scores(_stage(), batch)]
    assert found == [3, 0, 0, 2]


def test_language_without_a_list_has_no_score_for_stop_words():
    assert _reasons("lorem ipsum dolor sit amet " * 12, "la") == []
    [scores] = _scores(_stage(), _labelled(["lorem"], ["la"]))
    assert scores["gopher_quality_stop_words"] is None
    assert scores["gopher_quality_words"] == 1


@pytest.mark.parametrize("batch", [make_batch(["der and"]), _labelled(["der and"], [None])])
@pytest.mark.parametrize(("language", "found"), [("en", 1), ("de", 1), ("la", None), ("ru", 0)])
def test_document_without_a_label_is_of_the_stated_language(batch, language, found):
    [scores] = _scores(_stage(language=language), batch)
    assert scores["gopher_quality_stop_words"] == found


@pytest.mark.parametrize("label", UNSPACED)
def test_unspaced_language_has_scores_for_lines_and_letters_only(label):
    [scores] = _scores(_stage(), _labelled(["• 说明…"], [label]))
    assert scores.pop("gopher_quality_letters") == 2
    assert scores.pop("gopher_quality_bullet_lines") == 1
    assert scores.pop("gopher_quality_ellipsis_lines") == 1
    assert scores == {f"gopher_quality_{name}": None for name in WORDS}


def test_spaced_language_has_no_score_for_letters():
    [scores] = _scores(_stage(), _labelled(["слово и дело"], ["ru"]))
    assert scores["gopher_quality_letters"] is None


@pytest.mark.parametrize("code", STOP_WORDS)
def test_every_default_word_counts_for_its_language(code):
    [scores] = _scores(_stage(), _labelled([STOP_WORDS[code].upper()], [code]))
    assert scores["gopher_quality_stop_words"] == len(STOP_WORDS[code].split())


def test_given_lists_replace_the_default_ones():
    stage = _stage(stop_words={"eo": ["la", "kaj"]})
    found = _scores(stage, _labelled(["la kaj the", "la kaj the"], ["eo", "en"]))
    assert [row["gopher_quality_stop_words"] for row in found] == [2, None]


@pytest.mark.parametrize(
    ("definition", "reason", "text"),
    [
        ("datatrove", "many_hashes", GOOD + " #" * 8),
        ("datatrove", "few_words", SENTENCE),
        ("datatrove", "many_ellipses", GOOD + " so... but… no... yes…" * 2 + " and…"),
        ("datatrove", "few_alpha_words", GOOD + " 1234" * 20),
        ("datatrove", "few_stop_words", GOOD.replace(" to ", " TO ").replace(" of ", " in ")
         .replace(" that ", " which ").replace(" with ", " By ").replace(" be ", " is ")
         .replace(" have ", " had ")),
        ("dclm", "many_symbols", GOOD + " #a #b #c #d so... but… . . . no..."),
        ("dclm", "many_bullet_lines", "\n".join([f"● {SENTENCE}"] * 10)),
        ("dclm", "few_stop_words", "one page may show the colour when people look at it closely "
         .replace("the", "a") * 10),
        ("dolma", "many_symbols", GOOD + " #a #b… #c… #d #e… #f #g… #h"),
        ("dolma", "short_words", GOOD + " a" * 70),
        ("dolma", "many_ellipsis_lines", "\n".join([SENTENCE * 2] * 2 + [SENTENCE * 2 + "…"])),
        ("curator", "many_symbols", GOOD + " # # # # ... ... (...) […]"),
        ("curator", "many_bullet_lines", "\n".join([f"• {SENTENCE}"] * 10)),
        ("curator", "many_ellipsis_lines", "\n".join([SENTENCE, SENTENCE + "\nRead more"] * 2)),
        ("curator", "long_words", "the and internationalisation telecommunications " * 20),
    ],
)  # fmt: skip
def test_bound_of_another_definition_is_broken_by_its_own_text(definition, reason, text):
    assert _reasons(text, definition=definition) == [reason]


@pytest.mark.parametrize("definition", ["datatrove", "dclm", "dolma", "curator"])
def test_every_definition_passes_good_text_and_scores_what_it_declares(definition):
    assert _reasons(GOOD, definition=definition) == []
    assert _reasons(CHINESE, "zh", definition=definition) == []
    stage = _stage(definition=definition)
    assert {rule.column for rule in stage.rules()} == set(stage.writes().names)
    first, second = _scores(stage, make_batch([GOOD, None]))
    assert None not in first.values()
    assert set(second.values()) == {None}


texts = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=80), max_size=8)


@settings(deadline=None)
@given(texts, st.integers(0, 8), st.data())
def test_scores_are_free_of_the_batch(rows, cut, data):
    labels = [data.draw(st.sampled_from(["en", "zh", "ru", "la", None])) for _ in rows]
    batch = _labelled(rows, labels)
    stage = _stage(name="q")
    whole = _scores(stage, batch)
    parts = _scores(stage, batch.slice(0, cut)) + _scores(stage, batch.slice(min(cut, len(rows))))
    assert len(whole) == len(rows)
    assert whole == parts


def test_no_rows_and_rows_without_text_are_scored_null():
    assert _scores(_stage(), make_batch([])) == []
    first, second, third = _scores(_stage(), make_batch(["the and", None, "of"]))
    assert set(second.values()) == {None}
    assert first["gopher_quality_stop_words"] == 2
    assert third["gopher_quality_stop_words"] == 1


def test_columns_carry_the_name_of_the_stage():
    stage = _stage(name="strict")
    assert all(name.startswith("strict_") for name in stage.writes().names)
    assert {rule.column for rule in stage.rules()} == set(stage.writes().names)
    assert len({rule.reason for rule in stage.rules()}) == len(stage.rules())


def test_settings_survive_a_round_trip():
    stage = _stage(min_words=3, stop_words={"en": ["a", "b"]})
    assert GopherQuality.model_validate_json(stage.model_dump_json()) == stage


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_words": 60, "max_words": 50}, r"min_words is 60 and max_words is 50.*expected"),
        (
            {"min_mean_word_chars": 11},
            r"min_mean_word_chars is 11\.0 and max_mean_word_chars is 10",
        ),
        ({"min_letters": 5, "max_letters": 4}, r"min_letters is 5 and max_letters is 4"),
        ({"max_symbol_ratio": 10}, r"max_symbol_ratio\n  Input should be less than or equal to 1"),
        ({"max_bullet_lines": 90}, r"max_bullet_lines\n  Input should be less than or equal to 1"),
        ({"max_ellipsis_lines": -1}, r"max_ellipsis_lines\n  Input should be greater than"),
        ({"min_alpha_words": float("nan")}, r"min_alpha_words\n  Input should be less than"),
        ({"min_words": -1}, r"min_words\n  Input should be greater than"),
        ({"min_stop_words": 9}, r"min_stop_words is 9, but the list of language 'en' has 8 words"),
        ({"stop_words": {"fr": ["aujourd'hui", "de"]}}, r"language 'fr': stop word 'aujourd'hui'"),
        ({"stop_words": {"zh": ["的", "是"]}}, r"language 'zh' has a list .* and is in unspaced"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        _stage(**options)


@pytest.mark.shared
def test_scores_of_real_texts_equal_plain_python(shared_data):
    with gzip.open(shared_data / "domain-text" / "wikitext2-valid.jsonl.gz", "rt") as lines:
        rows = [json.loads(line)["text"] for line in lines]
    for row, text in zip(_scores(_stage(), make_batch(rows)), rows, strict=True):
        expected = quality_of_text(text, STOP_WORDS["en"].split())
        del expected["letters"]
        assert row == {f"gopher_quality_{name}": value for name, value in expected.items()} | {
            "gopher_quality_letters": None
        }
