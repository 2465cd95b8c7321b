import gzip
import json
from pathlib import Path

import pytest
from pydantic import ValidationError

from curation.segment import SegmentRun, Verdicts
from curation.stages.fineweb_quality import FinewebQuality
from curation.text.fineweb import BY_SPACE, END_CHARS, measure_of_text
from tests.conftest import make_batch

FIXTURE = json.loads(Path(__file__).with_name("conformance_lines.json").read_text("utf-8"))
LINE = "The harbour was closed for the winter, and no ship {} could leave."
GOOD = "\n".join(LINE.format(number) for number in range(10))


def _stage(**options):
    return FinewebQuality(kind="fineweb_quality", **options)


def _run(stage, batch):
    verdicts = Verdicts(batch.num_rows)
    rows = SegmentRun([stage]).run(batch, verdicts).to_pylist()
    reasons = [[] for _ in rows]
    for found in verdicts.breaks:
        for row in found.rows:
            reasons[row].append(found.reason)
    return rows, reasons


@pytest.mark.parametrize(
    ("reason", "text"),
    [
        ("empty", " \n\n"),
        ("line_punct_ratio", GOOD.replace(".", "")),
        ("short_line_ratio", GOOD + "".join(f"\nHe left on day {number}." for number in range(22))),
        ("char_dup_ratio", GOOD + "\n" + LINE.format(3)),
        (
            "list_ratio",
            "\n\n\n\n".join(
                f"Abcdefghijklmnopqrstuvwxyz{number} eats fish." for number in range(9)
            ),
        ),
    ],
)
def test_each_bound_is_broken_by_its_own_text(reason, text):
    assert _run(_stage(), make_batch([text]))[1] == [[reason]]


def test_good_text_breaks_no_bound_and_null_text_has_no_scores():
    rows, reasons = _run(_stage(), make_batch([GOOD, None]))
    assert reasons == [[], []]
    assert {value for name, value in rows[1].items() if name.startswith("fineweb")} == {None}


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (GOOD + "\nHe left", {"min_line_punct_ratio": 10 / 11}),
        ("x" * 30 + ".\n" + "x" * 29 + ".", {"max_short_line_ratio": 0.5}),
        (f"{GOOD}\n{LINE.format(3)}", {"max_char_dup_ratio": 1 / 11}),
        ("One\ntwo.", {"max_list_ratio": 1 / 3, "max_short_line_ratio": 1}),
    ],
)
def test_bounds_are_inclusive(text, options):
    assert _run(_stage(**options), make_batch([text]))[1] == [[]]


def test_bound_of_the_paper_can_be_had():
    text = "\n".join(
        [GOOD, "He sat there for a while and left."] * 1 + ["He sat there for a while and left."]
    )
    assert _run(_stage(), make_batch([text]))[1] == [["char_dup_ratio"]]
    assert _run(_stage(max_char_dup_ratio=0.1), make_batch([text]))[1] == [[]]


def test_text_without_end_marks_is_kept_where_asked():
    text = GOOD.replace(".", "")
    rows, reasons = _run(
        _stage(allow_no_punct=True), make_batch([text, text + "\nEnd." + "\nx" * 20])
    )
    assert reasons[0] == []
    assert rows[0]["fineweb_quality_line_punct_ratio"] is None
    assert "line_punct_ratio" in reasons[1]


@pytest.mark.parametrize(("words", "count"), [("tokens", 6), ("unicode", 4), ("whitespace", 3)])
def test_words_are_counted_as_chosen(words, count):
    rows, _ = _run(_stage(words=words), make_batch(["Don't over-use\n(it)"]))
    assert rows[0]["fineweb_quality_words"] == count + (words == "tokens")


@pytest.mark.parametrize(("kind", "bound"), [("fineweb", 0.01), ("fineweb_paper", 0.1)])
def test_verdicts_are_those_of_datatrove(kind, bound):
    batch = make_batch([row["text"] for row in FIXTURE["texts"]])
    _, reasons = _run(_stage(max_char_dup_ratio=bound), batch)
    first = [found[0] if found else "kept" for found in reasons]
    assert first == [row[kind] for row in FIXTURE["texts"]]


def test_settings_survive_a_round_trip():
    stage = _stage(words="unicode", end_chars=".!", name="lines")
    assert FinewebQuality.model_validate_json(stage.model_dump_json()) == stage
    assert all(name.startswith("lines_") for name in stage.writes().names)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_short_line_ratio": 67}, r"max_short_line_ratio\n  Input should be less than"),
        ({"end_chars": ""}, r"end_chars\n  String should have at least 1 character"),
        ({"words": "spacy"}, r"Input should be 'tokens', 'unicode' or 'whitespace'"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        _stage(**options)


def test_rows_are_free_of_the_batch():
    texts = ["a.\na.", GOOD, "", "x\n\ny", GOOD + "\n" + GOOD]
    whole, _ = _run(_stage(), make_batch(texts))
    assert whole == [
        {**row, "doc_id": whole[at]["doc_id"], "record_id": whole[at]["record_id"]}
        for at, text in enumerate(texts)
        for row in _run(_stage(), make_batch([text]))[0]
    ]


@pytest.mark.shared
def test_scores_of_real_texts_equal_plain_python(shared_data):
    with gzip.open(shared_data / "domain-text" / "medquad.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(150), strict=False)]
    rows, _ = _run(_stage(words="whitespace"), make_batch([text[:1500] for text in texts]))
    for row, text in zip(rows, texts, strict=True):
        expected = measure_of_text(text[:1500], END_CHARS, 30, BY_SPACE)
        assert {name: row[f"fineweb_quality_{name}"] for name in expected} == expected
