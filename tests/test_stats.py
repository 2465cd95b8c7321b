"""Tables, distributions and pictures of datasets made by hand, so that all counts are known."""

import json
import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import audit
from curation.audit.funnels import groups, rule_effects
from curation.audit.plots import write_plots
from curation.audit.scores import histograms
from curation.errors import DataError, RecipeError
from flows.display import number
from tests.datasets import broke, row, write_dataset

HOSTILE = "https://evil.example/\x1b[2J\u202egpj.exe"
FEW = broke("q", "few_words", 4.0, 5.0)
MANY = broke("q", "many_marks", 0.5, 0.1)
TWICE = broke("exact_dedup", "exact_duplicate", 1.0, 1.0)
SPANS = pa.list_(pa.struct([("kind", pa.string()), ("start", pa.int32())]))


def scored(number: int, *broken: Any, words: int | None, marks: float | None = 0.0, **more: Any):
    columns = {"q_words": words, "q_marks": marks, "language_label": "en", "q_spans": None} | more
    return row(number, *broken, **columns)


ROWS = [
    scored(0, words=5),
    scored(1, words=9, marks=0.1, url="https://user@Web.Example.org:8080/x?y@z"),
    scored(2, words=900, marks=math.nan, url=HOSTILE, q_spans=[{"kind": "EMAIL", "start": 3}] * 5),
    scored(3, FEW, words=4),
    scored(4, FEW, MANY, words=4, marks=0.5),
    scored(5, MANY, words=70, marks=0.5, source="b", language_label="de", url=None),
    scored(6, TWICE, words=5, source="b", language_label=None, url="no url at all"),
    scored(7, broke("read", "bad_json"), words=None, marks=None, source="b"),
]
STAGES = [("read", "read"), ("q", "gopher_quality"), ("language", "language"),
          ("exact_dedup", "exact_dedup")]  # fmt: skip
RULES = {
    "q": [
        {"reason": "few_words", "column": "q_words", "low": 5, "high": None, "sources": None},
        {"reason": "many_marks", "column": "q_marks", "low": None, "high": 0.1, "sources": ["web"]},
        {"reason": "many_marks", "column": "q_marks", "low": None, "high": 0.3, "sources": ["b"]},
        {"reason": "never", "column": "q_words", "low": None, "high": 1e6, "sources": None},
    ]
}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("stats") / "out"
    return write_dataset(out, ROWS, STAGES, RULES, types={"q_spans": SPANS})


@pytest.fixture
def curate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Callable:
    """Runs a command in this process; returns exit code, output and errors."""
    from flows.cli import main

    def call(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["curate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err

    return call


def counts(found: Any) -> dict[str, tuple[int, int, int]]:
    names = ("documents_in", "documents_kept", "documents_rejected")
    return {one["name"]: tuple(one[name] for name in names) for one in found.groups}


def test_groups_add_up_to_the_dataset(dataset: Path) -> None:
    assert counts(groups(dataset, "source")) == {"web": (5, 3, 2), "b": (3, 0, 3)}
    assert counts(groups(dataset, "language")) == {
        "en": (6, 3, 3), "(none)": (1, 0, 1), "de": (1, 0, 1),
    }  # fmt: skip
    assert counts(groups(dataset, "domain")) == {
        "web.example.org": (4, 2, 2),
        "(no host)": (2, 0, 2),
        "b.example.org": (1, 0, 1),
        "evil.example": (1, 1, 0),
    }
    assert counts(groups(dataset, "stage")) == {
        "read": (8, 7, 1), "q": (7, 4, 3), "language": (4, 4, 0), "exact_dedup": (4, 3, 1),
    }  # fmt: skip
    [web, *_] = groups(dataset, "source").groups
    assert web["reasons"] == {"q.few_words": 2}
    assert web["text_bytes_kept"] == 300


def test_the_largest_groups_come_first_and_the_others_are_counted(dataset: Path) -> None:
    found = groups(dataset, "domain", most=1)
    assert [one["name"] for one in found.groups] == ["web.example.org"]
    assert found.total == 4


def test_a_registered_domain_goes_before_the_host(tmp_path: Path) -> None:
    rows = [row(0, url_filter_domain="example.org"), row(1, url_filter_domain=None)]
    out = write_dataset(tmp_path / "out", rows, [("url_filter", "url_filter")], {})
    assert set(counts(groups(out, "domain"))) == {"example.org", "web.example.org"}


def test_each_rule_with_what_only_it_rejects(dataset: Path) -> None:
    effects = {(one.stage, one.reason): one for one in rule_effects(dataset)}
    assert {key: (one.first, one.broken, one.only) for key, one in effects.items()} == {
        ("read", "bad_json"): (1, 1, 1),
        ("q", "few_words"): (2, 2, 1),
        ("q", "many_marks"): (1, 2, 1),
        ("q", "never"): (0, 0, 0),
        ("exact_dedup", "exact_duplicate"): (1, 1, 1),
    }
    assert [bound["high"] for bound in effects["q", "many_marks"].bounds] == [0.1, 0.3]


def test_histograms_count_every_score_and_part_at_the_bounds(dataset: Path) -> None:
    words, marks = histograms(dataset)
    assert (words.column, words.scored, words.low, words.high) == ("q_words", 7, 4, 900)
    assert words.log
    assert sum(words.kept) == 3
    assert sum(words.rejected) == 4
    assert 4.0 in words.edges  # the last that few_words rejects
    below = words.edges.index(4.0) + 1
    assert (sum(words.kept[:below]), sum(words.rejected[:below])) == (0, 2)
    assert (marks.scored, marks.log, marks.whole) == (6, False, False)  # NaN is no score
    inside = marks.edges.index(0.1) + 1
    assert sum(marks.kept[:inside]) == sum(marks.kept) == 2


@pytest.mark.parametrize("low", [3, 2.5])
def test_whole_numbers_have_a_bin_each(tmp_path: Path, low: float) -> None:
    rows = [row(n, q_hits=n % 7) for n in range(70)]
    rule = {"reason": "few", "column": "q_hits", "low": low, "high": None, "sources": None}
    out = write_dataset(tmp_path / "out", rows, STAGES, {"q": [rule]})
    [hits] = histograms(out, ["q_hits"])
    assert hits.edges == [0, 1, 2, 3, 4, 5]
    assert hits.kept == [10] * 7


def test_a_single_value_and_no_value(tmp_path: Path) -> None:
    rows = [row(n, q_one=1.0, q_none=None, q_yes=True) for n in range(3)]
    out = write_dataset(
        tmp_path / "out", rows, STAGES, {}, types={"q_none": pa.float64(), "q_yes": pa.bool_()}
    )
    found = {one.column: one.kept for one in histograms(out)}
    assert found == {"q_one": [3], "q_yes": [3]}
    assert len(write_plots(tmp_path / "plots", histograms(out))) == 2


def test_pictures_are_written_and_the_same_each_time(dataset: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = histograms(dataset)
    first = write_plots(tmp_path / "a", found)
    assert [path.name for path in first] == ["q_words.png", "q_marks.png"]
    second = write_plots(tmp_path / "b", found)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert first[0].read_bytes().startswith(b"\x89PNG")


def test_without_matplotlib_one_line_says_what_to_install(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(RecipeError, match=r"pip install 'curation\[plots\]'"):
        write_plots(tmp_path, histograms(dataset))


def test_what_is_not_there_is_named(dataset: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"unknown score 'q_word'; known: .*did you mean 'q_words'"):
        histograms(dataset, ["q_word"])
    out = write_dataset(tmp_path / "out", [row(0)], STAGES, {})
    with pytest.raises(DataError, match="no stage wrote language_label"):
        groups(out, "language")


def test_an_empty_dataset_has_empty_tables(tmp_path: Path, curate: Callable) -> None:
    empty = write_dataset(tmp_path / "out", [], STAGES[:1], {})
    assert histograms(empty) == []
    assert groups(empty, "source") == ("source", 0, [])
    assert rule_effects(empty) == []
    assert audit.diff(empty, empty).reasons == []
    assert curate("stats", empty, "--by", "domain", "--by", "rule", "--scores")[0] == 0


def test_a_damaged_or_foreign_audit_is_one_line(tmp_path: Path) -> None:
    out = write_dataset(tmp_path / "out", [row(0)], STAGES, {})
    path = out / "audit" / "documents-00000.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["broken"]), path)
    with pytest.raises(DataError, match="has no column 'broken', so another version made it"):
        rule_effects(out)
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DataError, match=r"audit/documents-\*\.parquet cannot be read") as error:
        rule_effects(out)
    assert "\n" not in str(error.value)


def test_the_command_prints_tables_and_is_not_fooled(
    dataset: Path, curate: Callable, tmp_path: Path
) -> None:
    kinds = [
        part for by in ("source", "domain", "language", "stage", "rule") for part in ("--by", by)
    ]
    code, out, err = curate("stats", dataset, *kinds, "--scores", "--plots", tmp_path / "p")
    assert (code, err) == (0, f"wrote 2 pictures to {tmp_path / 'p'}\n")
    for said in ("web.example.org", "(no host)", "only this", "<= 0.1 (web); <= 0.3 (b)", "█", "│"):
        assert said in out
    assert "\x1b" not in out
    code, out, _ = curate("stats", dataset, "--score", "q_words")
    assert "few_words: >= 5" in out
    assert "1 kept" in out
    code, out, _ = curate("stats", dataset, *kinds, "--scores", "--top", 1, "--json")
    values = json.loads(out)
    assert set(values["by"]) == {"source", "domain", "language", "stage", "rule"}
    assert len(values["by"]["domain"]["groups"]) == 1
    assert [one["column"] for one in values["scores"]] == ["q_words", "q_marks"]
    assert curate("stats", dataset, "--by", "colour")[0] == 2


def test_lists_and_texts_among_the_scores_are_shown_short(dataset: Path, curate: Callable) -> None:
    [route] = audit.trace(dataset, HOSTILE)
    assert len(route.hops[1].scores["q_spans"]) == 5
    code, out, err = curate("trace", dataset, HOSTILE)
    assert (code, err) == (0, "")
    assert "spans 5 [kind EMAIL start 3, kind EMAIL start 3, kind EMAIL start 3, ...]" in out
    assert "\x1b" not in out
    assert "\u202e" not in out
    code, out, _ = curate("show", dataset, "--rejected", "few_words", "--sample", 2)
    assert "q.few_words 4 (bound 5)" in out
    assert number(["x" * 100, "\x1b", {"a": 1}, 2, 3]) == f"5 [{'x' * 60}..., \ufffd, a 1, ...]"


def test_stages_whose_names_begin_alike_keep_their_scores_apart(tmp_path: Path) -> None:
    rows = [row(0, quality_words=3, quality_model_score=0.5)]
    stages = [("quality", "gopher_quality"), ("quality_model", "gopher_quality")]
    out = write_dataset(tmp_path / "out", rows, stages, {})
    [route] = audit.trace(out, rows[0]["doc_id"])
    assert [hop.scores for hop in route.hops] == [
        {"quality_words": 3},
        {"quality_model_score": 0.5},
    ]


def test_a_difference_says_why_on_both_sides(
    dataset: Path, tmp_path: Path, curate: Callable
) -> None:
    changed = [
        *ROWS[:2],
        scored(2, FEW, words=4),
        {**ROWS[3], "verdict": "kept", "stage": None, "reason": None, "broken": None},
        scored(4, MANY, words=4, marks=0.5),
        row(99, broke("unique_id", "repeated_id"), record_id="0") | {"doc_id": ROWS[0]["doc_id"]},
        {**ROWS[7], "doc_id": "0" * 32},
    ]
    changed[1] = {**ROWS[1], "text_bytes": 99}
    other = write_dataset(tmp_path / "out", changed, STAGES, RULES, types={"q_spans": SPANS})
    found = audit.diff(dataset, other)
    assert [one["doc_id"] for one in found.only_a] == [ROWS[2]["doc_id"]]
    assert [one["doc_id"] for one in found.only_b] == [ROWS[3]["doc_id"]]
    assert [(one["text_bytes_a"], one["text_bytes_b"]) for one in found.changed] == [(100, 99)]
    assert {(one["why_a"], one["why_b"]): one["documents"] for one in found.reasons} == {
        ("kept", "q.few_words"): 1,
        ("q.few_words", "kept"): 1,
        ("q.few_words", "q.many_marks"): 1,
        ("q.many_marks", "absent"): 1,
        ("exact_dedup.exact_duplicate", "absent"): 1,
        ("read.bad_json", "absent"): 1,
        ("absent", "read.bad_json"): 1,
    }
    assert [(one["source"], one["only_a"], one["otherwise"]) for one in found.sources] == [
        ("b", 0, 4), ("web", 1, 1),
    ]  # fmt: skip
    code, out, _ = curate("diff", dataset, other, "--list", 1)
    assert code == 0
    assert "q.few_words 4 (bound 5)" in out
    assert "\x1b" not in out
    listed = json.loads(curate("diff", dataset, other, "--list", 0, "--json")[1])
    assert listed["only_a"] == []
    assert len(listed["reasons"]) == 7
    assert audit.diff(dataset, dataset).sources == []
