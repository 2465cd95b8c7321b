"""The stage language: the real model, its label for known texts, and what is rejected."""

# ruff: noqa: RUF001 - texts in other scripts

import json
import shutil
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import DriftError
from curation.language_model import PACKAGED_MODEL
from curation.segment import broken_rows, score_rows
from curation.stages.language import Language
from tests.conftest import make_batch
from tests.text.strategies import texts

# Article 1 of the Universal Declaration of Human Rights, and the like.
SENTENCES = {
    "en": "All human beings are born free and equal in dignity and rights.",
    "de": "Alle Menschen sind frei und gleich an Würde und Rechten geboren.",
    "fr": "Tous les êtres humains naissent libres et égaux en dignité et en droits.",
    "es": "Todos los seres humanos nacen libres e iguales en dignidad y derechos.",
    "pl": "Wszyscy ludzie rodzą się wolni i równi pod względem swej godności i swych praw.",
    "ru": "Все люди рождаются свободными и равными в своём достоинстве и правах.",
    "el": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια.",
    "ar": "يولد جميع الناس أحراراً متساوين في الكرامة والحقوق.",
    "ja": "すべての人間は、生れながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "zh": "人人生而自由，在尊严和权利上一律平等。他们赋有理性和良心，并应以兄弟关系的精神相对待。",
    "ko": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "hi": "सभी मनुष्यों को गौरव और अधिकारों के मामले में जन्मजात स्वतन्त्रता प्राप्त है।",
    "th": "มนุษย์ทั้งหลายเกิดมามีอิสระและเสมอภาคกันในเกียรติศักดิ์และสิทธิ",
}
FUNCTION = Language().open()


def labels(stage: Language, *rows: str | None) -> list[str | None]:
    return stage.open()(make_batch(rows))["language_label"].to_pylist()


def reasons(stage: Language, *rows: str) -> list[list[str]]:
    batch = make_batch(rows)
    everything = batch.column("text").is_valid().to_numpy(False)
    scored, failures = score_rows(stage, batch, everything)
    assert not len(failures.rows)
    broken: list[list[str]] = [[] for _ in rows]
    for rule in stage.rules():
        for row in broken_rows(stage.name, rule, scored, everything).rows:
            broken[row].append(rule.reason)
    return broken


def test_languages_are_recognised():
    assert labels(Language(), *SENTENCES.values()) == list(SENTENCES)


def test_probabilities_are_high_for_plain_sentences_and_at_most_one():
    values = FUNCTION(make_batch([text * 5 for text in SENTENCES.values()]))
    assert all(0.8 < value <= 1 for value in values["language_probability"].to_pylist())


@pytest.mark.parametrize("text", ["", " \n", "1234 - 56.78 %", "→ ← ↑", "😀😀", "</s>", "___"])
def test_a_text_without_letters_is_undetermined(text):
    columns = FUNCTION(make_batch([text]))
    found = columns["language_label"][0].as_py(), columns["language_probability"][0].as_py()
    assert found == ("und", 0.0)
    assert "language_probability" in reasons(Language(), text)[0]


def test_a_language_that_is_not_kept_is_rejected():
    stage = Language(keep=("en", "fr"))
    found = reasons(stage, SENTENCES["en"], SENTENCES["de"], SENTENCES["fr"], "123")
    assert found == [[], ["language"], [], ["language", "language_probability"]]


def test_an_unsure_label_is_rejected():
    mixed = " ".join(SENTENCES.values())
    assert reasons(Language(min_probability=0.9), mixed) == [["language_probability"]]
    assert reasons(Language(min_probability=0), mixed, "123") == [[], []]


def test_without_a_set_to_keep_nothing_is_said_about_it():
    assert FUNCTION(make_batch(["a b c"]))["language_allowed"].to_pylist() == [None]
    allowed = Language(keep=("en",)).open()(make_batch([SENTENCES["en"], None]))
    assert allowed["language_allowed"].to_pylist() == [1, None]


def test_only_the_head_is_looked_at():
    text = SENTENCES["en"] * 10 + SENTENCES["ru"] * 1000
    assert labels(Language(sample_chars=500), text) == ["en"]
    assert labels(Language(sample_chars=50_000), text) == ["ru"]


def test_a_head_without_letters_is_passed_over():
    assert labels(Language(sample_chars=100), "12.5 | " * 1000 + SENTENCES["fr"]) == ["fr"]


def test_line_breaks_and_end_marks_do_not_stop_the_reading():
    text = SENTENCES["de"].replace(" ", "\n")
    assert labels(Language(), f"the\n{text}", f"the </s> {text}") == ["de", "de"]


@settings(deadline=None)
@given(st.lists(st.none() | texts, max_size=5))
def test_any_text_gets_a_label_that_its_neighbours_do_not_change(rows):
    columns = FUNCTION(make_batch(rows))
    alone = [FUNCTION(make_batch([row])) for row in rows]
    for name in ("language_label", "language_probability"):
        assert columns[name].to_pylist() == [one[name].to_pylist()[0] for one in alone]
    assert all(0 <= value <= 1 for value in columns["language_probability"].drop_null().to_pylist())
    assert [value is None for value in columns["language_label"].to_pylist()] == [
        row is None for row in rows
    ]


def test_slices_and_empty_batches_give_their_own_rows():
    batch = make_batch([SENTENCES["en"], SENTENCES["de"]])
    assert FUNCTION(batch.slice(1))["language_label"].to_pylist() == ["de"]
    empty = FUNCTION(batch.slice(2))
    assert {name: (len(values), values.type) for name, values in empty.items()} == {
        field.name: (0, field.type) for field in Language().writes()
    }


@pytest.mark.parametrize(("code", "nearest"), [("eng", "en"), ("DE", "de"), ("zh-cn", "zh")])
def test_an_unknown_code_is_told_with_the_nearest(code, nearest):
    with pytest.raises(ValueError, match=f"unknown language of lid.176.ftz '{code}'; known: af"):
        Language(keep=("en", code))


@pytest.mark.parametrize(
    ("setting", "value"),
    [("min_probability", 1.1), ("sample_chars", 10), ("keep", ()), ("model_digest", "abc")],
)
def test_impossible_settings_are_refused(setting, value):
    with pytest.raises(ValueError, match=setting):
        Language(**{setting: value})


def test_the_model_s_digest_is_part_of_the_settings():
    assert Language().model_digest.startswith("8f3472cfe873")
    again = Language.model_validate(json.loads(Language(keep=("en",)).model_dump_json()))
    assert again == Language(keep=("en",))


def test_another_digest_than_the_recipe_s_is_refused():
    with pytest.raises(ValueError, match=r"model_digest is 0+, but lid.176.ftz has 8f3472"):
        Language(model_digest="0" * 64)


def test_a_model_elsewhere_is_used_and_a_changed_one_is_noticed(tmp_path):
    copy = tmp_path / "copy.ftz"
    shutil.copy(PACKAGED_MODEL, copy)
    stage = Language(model=str(copy), keep=("de",))
    assert labels(stage, SENTENCES["de"]) == ["de"]
    assert stage.model_digest == Language().model_digest
    copy.write_bytes(b"other")
    with pytest.raises(DriftError, match=r"copy.ftz has digest .*expected 8f3472"):
        stage.open()


@pytest.mark.parametrize(
    ("content", "message"), [(None, "no such file"), (b"no model at all", "is no fastText model")]
)
def test_a_model_that_cannot_be_used_is_refused(tmp_path, content, message):
    path = tmp_path / "x.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Language(model=str(path))


def test_loading_prints_nothing(capfd):
    Language(keep=("en",)).open()
    assert capfd.readouterr() == ("", "")


def extracted_pages(warc: Path, charsets: dict[str, str]) -> Iterator[tuple[str, str]]:
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    from curation.extractors import resiliparse_text

    with open(warc, "rb") as file:
        records = ArchiveIterator(file, record_types=WarcRecordType.response)
        for record in islice(records, 0, None, 3):
            record_id = record.headers.get("WARC-Record-ID")
            html = record.reader.read().decode(charsets[record_id], "replace")
            yield record_id, resiliparse_text(html.encode()).decode()


@pytest.mark.slow
@pytest.mark.shared
def test_the_head_agrees_with_the_whole_visible_text_of_real_pages(shared_data):
    (warc,) = shared_data.glob("web-warc/*.warc.gz")
    (meta,) = shared_data.glob("web-warc/*.meta.parquet")
    rows = {row["record_id"]: row for row in pq.read_table(meta).to_pylist()}
    pages = dict(extracted_pages(warc, {name: row["charset"] for name, row in rows.items()}))
    found = FUNCTION(make_batch(list(pages.values())))["language_label"].to_pylist()
    right = [
        label == rows[name]["lid176_label"]
        for name, label in zip(pages, found, strict=True)
        if rows[name]["text_chars"] >= 1000
    ]
    assert len(right) > 2000
    assert sum(right) / len(right) > 0.98
