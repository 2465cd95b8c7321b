import json
import random
import re

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation.errors import DataError, RecipeError, SchemaError
from curation.quality.lines import Draw, Spool, part_lines
from curation.quality.texts import Read, read_side
from curation.quality.train import TrainSettings, train_quality
from curation.quality_record import read_quality_record
from curation.stages.quality_model import QualityModel
from tests.conftest import SAMPLE, make_batch, write_jsonl

SMALL = TrainSettings(buckets=5000, dim=4, epochs=5, held_out=0.2)
GOOD = "patient dose therapy clinical trial infection tissue nerve blood".split()  # noqa: SIM905
BAD = "click cart login cookie menu deal shop banner subscribe price".split()  # noqa: SIM905


def texts_of(words, count, seed):
    draw = random.Random(seed)
    return [" ".join(draw.choices(words, k=30)) + f" {seed}-{number}" for number in range(count)]


@pytest.fixture
def sides(tmp_path):
    good = [{"id": k, "text": text} for k, text in enumerate(texts_of(GOOD, 120, 1))]
    bad = [{"id": k, "text": text} for k, text in enumerate(texts_of(BAD, 120, 2))]
    return write_jsonl(tmp_path / "good.jsonl", good), write_jsonl(tmp_path / "bad.jsonl", bad)


def train(sides, out, settings=SMALL):
    return train_quality([str(sides[0])], [str(sides[1])], out, settings)


def texts_in(name, paths, field="text"):
    reads = list(read_side(name, [str(path) for path in paths], field))
    texts = [text for read in reads for text in read.texts.to_pylist()]
    return texts, sum(read.unreadable for read in reads)


def test_two_sides_become_a_model_that_the_stage_runs(sides, tmp_path):
    out = tmp_path / "models" / "quality.bin"
    record = train(sides, out)
    assert record.held_out.auc > 0.95
    assert record.positive.trained == record.negative.trained
    for side in (record.positive, record.negative):
        assert side.trained + side.held_out + side.left_out == side.documents == 120
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "quality.bin", "quality.bin.json", "quality.bin.md", "quality.bin.png",
    ]  # fmt: skip
    assert read_quality_record(out, record.model_sha256) == record
    stage = QualityModel(model=str(out))
    assert stage.label == "hq"
    good, bad = stage.open()(make_batch([" ".join(GOOD), " ".join(BAD)]))["quality_model_score"]
    assert good > 0.5 > bad


def test_the_same_texts_give_the_same_bytes_whatever_files_they_lie_in(sides, tmp_path):
    rows = [json.loads(line) for line in sides[0].read_text().splitlines()]
    random.Random(3).shuffle(rows)
    for number in range(3):
        write_jsonl(tmp_path / "cut" / f"{2 - number}.jsonl", rows[number::3])
    first = train(sides, tmp_path / "a.bin")
    second = train((tmp_path / "cut" / "*.jsonl", sides[1]), tmp_path / "b.bin")
    assert first.model_sha256 == second.model_sha256
    assert first.held_out == second.held_out
    other = train(sides, tmp_path / "c.bin", SMALL.model_copy(update={"seed": 1}))
    assert other.model_sha256 != first.model_sha256


def test_a_quantised_model_is_smaller_and_measured_as_it_is_written(sides, tmp_path):
    plain = train(sides, tmp_path / "q.bin")
    small = train(sides, tmp_path / "q.ftz", SMALL.model_copy(update={"quantize": True}))
    assert small.model_bytes < plain.model_bytes / 2
    assert small.held_out.auc > 0.9
    assert QualityModel(model=str(tmp_path / "q.ftz")).label == "hq"


def test_real_texts_are_told_apart_by_a_small_model(tmp_path):
    settings = SMALL.model_copy(
        update={"limit": 200, "head_chars": 1500, "epochs": 40, "normal_form": "words"}
    )
    sides = (SAMPLE / "medquad.jsonl.gz", SAMPLE / "manpages.jsonl.gz")
    record = train(sides, tmp_path / "q.bin", settings)
    assert record.held_out.positives + record.held_out.negatives > 40
    assert record.held_out.auc > 0.98
    assert (record.normal_form, record.head_chars) == ("words", 1500)
    report = (tmp_path / "q.bin.md").read_text()
    assert "![calibration and scores](q.bin.png)" in report
    assert "| 10% |" in report
    bounds = [row.split(" | ")[1] for row in report.splitlines() if re.match(r"\| \d+% \|", row)]
    assert [float(bound) for bound in bounds] == [
        bound.min_score for bound in record.held_out.bounds
    ]


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        (texts_of(GOOD, 3, 1), texts_of(BAD, 60, 2), r"positives \(.*\): \d+ different texts"),
        (
            texts_of(GOOD, 60, 1),
            [None] * 60,
            r"negatives .* none of 60 records has a text in field",
        ),
        (texts_of(GOOD, 60, 1), [""] * 60, r"negatives \(.*\): 0 different texts"),
        (texts_of(GOOD, 60, 1), texts_of(GOOD, 60, 1), "60 left out as they are on both sides"),
        (["the same"] * 60, texts_of(BAD, 60, 2), r"positives .*name more data"),
    ],
)
def test_too_few_texts_are_told_in_one_line(tmp_path, good, bad, message):
    sides = [
        write_jsonl(tmp_path / f"{k}.jsonl", [{"text": text} for text in texts])
        for k, texts in enumerate((good, bad))
    ]
    with pytest.raises(DataError, match=message):
        train(sides, tmp_path / "q.bin")
    assert not list(tmp_path.glob(".train*"))


def test_the_suffix_says_what_is_written(sides, tmp_path):
    with pytest.raises(RecipeError, match=r"ends in '.model'; expected '.bin' without --quantize"):
        train(sides, tmp_path / "q.model")
    with pytest.raises(RecipeError, match=r"expected '.ftz' with --quantize"):
        train(sides, tmp_path / "q.bin", SMALL.model_copy(update={"quantize": True}))


def test_every_kind_of_file_is_read(tmp_path):
    pq.write_table(pa.table({"body": ["from parquet", None]}), tmp_path / "a.parquet")
    write_jsonl(tmp_path / "b.jsonl", [{"body": "from json"}, {"text": "no body"}])
    (tmp_path / "c.txt").write_text("from a file\nof text")
    table = pa.table({"body": ["from arrow", None]})
    with pa.ipc.new_file(tmp_path / "d.arrow", table.schema) as writer:
        writer.write_table(table)
    texts, unreadable = texts_in("positives", [tmp_path], "body")
    assert texts == ["from parquet", "from json", "from a file\nof text", "from arrow"]
    assert unreadable == 3


def test_what_holds_no_text_is_refused(tmp_path):
    (tmp_path / "a.warc.gz").write_bytes(b"")
    (tmp_path / "b.arrow").write_bytes(b"")
    table = pa.table({"text": ["x"]})
    with pa.ipc.new_file(tmp_path / "c.arrow", table.schema) as writer:
        writer.write_table(table)
    with pytest.raises(RecipeError, match=r"a.warc.gz: unknown kind of file '.warc'.*run a recipe"):
        texts_in("positives", [tmp_path / "a.warc.gz"])
    with pytest.raises(RecipeError, match="'positives': nothing matches path"):
        texts_in("positives", [tmp_path / "none.jsonl"])
    with pytest.raises(DataError, match="cannot be read as Arrow IPC"):
        texts_in("positives", [tmp_path / "b.arrow"])
    with pytest.raises(SchemaError, match=r"unknown text column of .*c.arrow 'body'; known: text"):
        texts_in("positives", [tmp_path / "c.arrow"], "body")


def parts_of(tmp_path, good, bad, **changes):
    draw = Draw(**{"seed": 0, "held_out": 0.3, "limit": 0, "ratio": 0, **changes})
    with Spool(tmp_path / "lines", "lines", 0) as spool:
        sides = [spool.add(iter([Read(pa.array(t, pa.large_string()), 0)])) for t in (good, bad)]
        parts = part_lines(*sides, draw)
        lines = [
            [{line.decode() for line in spool.read(side, rows)} for rows in part[:2]]
            for side, part in zip(sides, parts, strict=True)
        ]
    return parts, lines


def test_near_duplicates_are_never_torn(tmp_path):
    families = [" ".join(random.Random(k).choices(GOOD + BAD, k=200)) for k in range(30)]
    texts = [f"{text} copy{number}" for text in families for number in range(4)]
    _, [[trained, held], _] = parts_of(tmp_path, texts, ["x"])
    assert len(trained) + len(held) == len(texts)
    assert {t.rpartition(" ")[0] for t in trained} & {t.rpartition(" ")[0] for t in held} == set()
    assert held


def test_repeats_count_once_and_what_is_on_both_sides_not_at_all(tmp_path):
    texts = texts_of(GOOD, 20, 1)
    parts, lines = parts_of(tmp_path, [*texts, texts[0], f"  {texts[1]}\n"], [*texts[:5], "other"])
    assert (parts[0].repeated, parts[0].in_both, parts[1].in_both) == (2, 5, 5)
    assert lines[0][0] | lines[0][1] == set(texts[5:])
    assert lines[1][0] | lines[1][1] == {"other"}


def test_ratio_and_limit_draw_from_the_larger_side(tmp_path):
    good, bad = texts_of(GOOD, 60, 1), texts_of(BAD, 20, 2)
    (first, second), _ = parts_of(tmp_path, good, bad, ratio=1.0)
    assert len(first.train) == len(second.train)
    assert first.left_out == 60 - len(first.train) - len(first.held_out)
    (first, second), _ = parts_of(tmp_path, good, bad, limit=10)
    assert len(first.train) + len(first.held_out) == len(second.train) + len(second.held_out) == 10
