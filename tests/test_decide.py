"""What other bounds would have done, against runs with those bounds and by hand."""

import gzip
import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import duckdb
import pytest

from curation import audit
from curation.errors import CurationError, DataError, RecipeError
from curation.plan import make_plan
from curation.recipe import load_recipe
from curation.runner import RunOptions, drive, steps
from tests.conftest import SAMPLE, write_jsonl
from tests.datasets import broke, row, write_dataset

ALL = 1_000_000

RECIPE = """
name = "sample"
seed = 3

[[sources]]
name = "medquad"
kind = "jsonl"
paths = ["medquad.jsonl"]
split_bytes = 200_000

[[sources]]
name = "manpages"
kind = "jsonl"
paths = ["manpages.jsonl"]

[[stages]]
kind = "gopher_quality"
name = "first"
min_words = 30
min_alpha_words = 0.6

[[stages]]
kind = "exact_dedup"

[[stages]]
kind = "gopher_quality"
max_symbol_ratio = 0.02
[stages.for_source.manpages]
min_alpha_words = 0.6
"""


def run(directory: Path, out: Path, *overrides: str) -> dict[str, dict[str, Any]]:
    """Runs the recipe with settings, in this process; returns each document of the audit."""
    plan = make_plan(load_recipe(directory / "recipe.toml", overrides))
    options = RunOptions(out, work=directory / "work")
    drive(steps(plan, options), lambda step: [item.done() or item.run() for item in step.items])
    return read(out)


def read(out: Path) -> dict[str, dict[str, Any]]:
    """The audit, by doc_id."""
    table = duckdb.sql(f"SELECT * FROM '{out}/audit/documents-*.parquet'").to_arrow_table()
    return {one["doc_id"]: one for one in table.to_pylist()}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """300 real documents of two sources, some of them twice, and the dataset made of them."""
    directory = tmp_path_factory.mktemp("sample")
    for name in ("medquad", "manpages"):
        with gzip.open(SAMPLE / f"{name}.jsonl.gz", "rt", encoding="utf-8") as file:
            rows = [json.loads(line) for line in itertools.islice(file, 150)]
        twice = [{**one, "id": f"again-{one['id']}"} for one in rows[::3]]
        write_jsonl(directory / f"{name}.jsonl", [*rows, *twice])
    (directory / "recipe.toml").write_text(RECIPE)
    run(directory, directory / "out")
    return directory


def documents(outcome: audit.Outcome, fate: str) -> dict[str, dict[str, Any]]:
    return {one["doc_id"]: one for one in getattr(outcome, fate).examples}


@pytest.mark.parametrize(
    "settings",
    [
        ["gopher_quality.min_words=120"],
        ["gopher_quality.min_words=20", "gopher_quality.max_symbol_ratio=0.05"],
        ["gopher_quality.min_alpha_words=0.9", "gopher_quality.min_stop_words=4"],
        ["gopher_quality.for_source.manpages.max_mean_word_chars=5.5"],
        ["gopher_quality.max_words=300", "gopher_quality.for_source.medquad.max_words=100_000"],
    ],
)
def test_rules_after_the_last_decision_are_predicted_exactly(
    sample: Path, tmp_path: Path, settings: list[str]
) -> None:
    before = read(sample / "out")
    outcome = audit.decide(sample / "out", settings, examples=ALL)
    after = run(sample, tmp_path / "out", *[f"stages.{setting}" for setting in settings])
    kept = {one for one in before if before[one]["verdict"] == "kept"}
    predicted = kept - set(documents(outcome, "leaving")) | set(documents(outcome, "returning"))
    assert outcome.exact
    assert outcome.undecided_by == {}
    assert predicted == {one for one in after if after[one]["verdict"] == "kept"}
    assert outcome.kept_so_far == len(predicted)
    assert outcome.leaving.documents + outcome.returning.documents > 0
    for fate in ("leaving", "staying"):
        for doc_id, flip in documents(outcome, fate).items():
            new = {name: flip[f"new_{name}"] for name in ("stage", "reason", "value", "bound")}
            assert {name: after[doc_id][name] for name in new} == new


@pytest.mark.parametrize(
    "settings", [["first.min_words=100"], ["first.min_words=0", "first.min_stop_words=0"]]
)
def test_rules_before_a_decision_are_predicted_as_far_as_they_are_known(
    sample: Path, tmp_path: Path, settings: list[str]
) -> None:
    before = read(sample / "out")
    outcome = audit.decide(sample / "out", settings, examples=ALL)
    after = run(sample, tmp_path / "out", *[f"stages.{setting}" for setting in settings])
    leaving, returning = documents(outcome, "leaving"), documents(outcome, "returning")
    assert not outcome.exact
    assert outcome.decided_again == ["exact_dedup"]
    for doc_id, flip in leaving.items():
        assert after[doc_id]["reason"] == flip["new_reason"]
    for doc_id in returning:
        assert after[doc_id]["stage"] in (None, *outcome.undecided_by)
    for doc_id in before:  # nothing else flips but by the stage that decides again
        if before[doc_id]["verdict"] != after[doc_id]["verdict"]:
            assert (
                doc_id in leaving or doc_id in returning or before[doc_id]["stage"] == "exact_dedup"
            )
    assert outcome.freed == 0  # a text that is the same breaks the same bounds


def test_a_bound_as_it_was_changes_nothing(sample: Path) -> None:
    outcome = audit.decide(sample / "out", ["first.min_words=30"])
    assert outcome.bounds == []
    assert (outcome.kept_so_far, outcome.exact) == (outcome.kept, True)


QUALITY = {"kind": "gopher_quality", "name": "q", "sources": None, "version": 1}
RULE = {"reason": "few_words", "column": "q_words", "low": 50, "high": None}
LENGTH = {"reason": "odd_length", "column": "q_chars", "low": 1, "high": 9}
LATER = {"reason": "unsafe", "column": "later_hits", "low": None, "high": 3}
STAGES = [("read", "read"), ("q", "gopher_quality"), ("exact_dedup", "exact_dedup"),
          ("later", "gopher_quality")]  # fmt: skip
FEW = broke("q", "few_words", 44.0, 50.0)
ROWS = [
    row(0, q_words=60, q_chars=5, later_hits=0, language_label="en"),
    row(1, FEW, q_words=44, q_chars=5),
    row(2, FEW, q_words=44, q_chars=5, source="b"),
    row(3, FEW, broke("q", "odd_length", 10.0, 9.0), q_words=44, q_chars=10),
    row(4, FEW, q_words=44, q_chars=5, text_bytes=None),
    row(5, broke("exact_dedup", "exact_duplicate", 1.0, 1.0), q_words=61, q_chars=5),
    row(6, q_words=None, q_chars=9, later_hits=9, source="b", language_label="de"),
    row(7, q_words=float("nan"), q_chars=9, later_hits=None),
    row(8, broke("read", "bad_json")),
]
ROWS[5]["other_id"] = ROWS[0]["doc_id"]
LINK = {"survivor": ROWS[0]["doc_id"], "member": ROWS[5]["doc_id"], "kind": "exact"}


@pytest.fixture(scope="module")
def crafted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rules = {"q": [RULE, LENGTH], "later": [{**LATER, "languages": ["en"]}]}
    out = tmp_path_factory.mktemp("crafted") / "out"
    return write_dataset(out, ROWS, STAGES, rules, [], [LINK])


def fates(outcome: audit.Outcome) -> dict[str, set[int]]:
    return {
        fate: {int(one["record_id"]) for one in getattr(outcome, fate).examples}
        for fate in ("returning", "leaving", "staying", "unknown")
        if getattr(outcome, fate).documents
    }


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (["q.few_words=44"], {"returning": {1, 2}, "staying": {3}, "unknown": {4}}),
        (["q.few_words=none"], {"returning": {1, 2}, "staying": {3}, "unknown": {4}}),
        (["q.few_words=44.5"], {}),
        (["stages.q.few_words.low=.4e2"], {"returning": {1, 2}, "staying": {3}, "unknown": {4}}),
        (["q.few_words=44", "q.odd_length.high=10"], {"returning": {1, 2, 3}, "unknown": {4}}),
        (["q.few_words=62"], {"leaving": {0}, "staying": {5}}),
        (["q.few_words.high=59"], {"leaving": {0}, "staying": {5}}),
        (["q.few_words=60.5"], {"leaving": {0}}),
        (["q.odd_length.high=8"], {"leaving": {6, 7}}),
        (["q.for_source.b.few_words=10"], {"returning": {2}}),
        (["q.for_source.b.odd_length.high=8"], {"leaving": {6}}),
        (["q.few_words=10", "q.for_source.b.few_words=50"],
         {"returning": {1}, "staying": {3}, "unknown": {4}}),
        (["later.unsafe=-1"], {"leaving": {0}}),
        (["later.for_language.en.unsafe=-1"], {"leaving": {0}}),
    ],
)  # fmt: skip
def test_each_fate(crafted: Path, settings: list[str], expected: dict[str, set[int]]) -> None:
    assert fates(audit.decide(crafted, settings)) == expected


def test_what_is_not_known_is_said(crafted: Path) -> None:
    back = audit.decide(crafted, ["q.few_words=40"])
    assert back.undecided_by == {"exact_dedup": 2, "later": 2}
    assert (back.decided_again, back.freed, back.exact) == (["exact_dedup"], 0, False)
    gone = audit.decide(crafted, ["q.few_words=61"])
    assert (gone.decided_again, gone.freed, gone.exact) == (["exact_dedup"], 1, False)
    both = audit.decide(crafted, ["q.few_words=62"])
    assert (both.decided_again, both.freed, both.exact) == (["exact_dedup"], 0, False)
    late = audit.decide(crafted, ["later.unsafe=-1"])
    assert (late.decided_again, late.freed, late.exact) == ([], 0, True)
    assert (late.kept, late.kept_so_far) == (3, 2)


def test_without_score_all_later_stages_of_the_segment_are_undecided(tmp_path: Path) -> None:
    stages = [("read", "read"), ("q", "gopher_quality"), ("later", "gopher_quality")]
    out = write_dataset(tmp_path / "out", ROWS[:2], stages, {"q": [RULE], "later": [LATER]})
    assert audit.decide(out, ["q.few_words=40"]).undecided_by == {}
    manifest = json.loads((out / "manifest.json").read_text())
    manifest["recipe"]["score_all"] = False
    (out / "manifest.json").write_text(json.dumps(manifest))
    assert audit.decide(out, ["q.few_words=40"]).undecided_by == {"later": 1}


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("few_words", r"--set few_words: expected stage\.rule=value"),
        ("qq.few_words=3", "unknown stage 'qq'; known: .*; did you mean 'q'"),
        ("q.few_word=3", r"stage q has no bounds; known: later, q"),
        ("first.few_word=3", "unknown rule or setting of stage first 'few_word'; .*few_words"),
        ("first.min_word=3", "did you mean 'min_words'"),
        ("first.min_words=-1", "min_words: .*greater than or equal to 0"),
        ("first.language='de'", "decides more than a bound, so only a run can tell"),
        ("first.sources=['web']", "unknown rule or setting"),
        ("exact_dedup.few=3", "unknown rule or setting of stage exact_dedup"),
        ("first.few_words=many", "a bound is a number, or none for no bound; found 'many'"),
        ("first.few_words=true", "a bound is a number"),
        ("first.for_source.web.few_words=3", "unknown source 'web'; known: manpages, medquad"),
        ("q.odd_length=3", "bounded from 1 to 9; say which side: q.odd_length.low="),
        ("later.for_language.de.unsafe=3", "no rule of stage later is for these documents"),
    ],
)
def test_a_mistake_is_one_line(sample: Path, crafted: Path, setting: str, message: str) -> None:
    by_hand = setting.startswith(("q.", "qq.", "later."))
    with pytest.raises(RecipeError, match=message) as error:
        audit.decide(crafted if by_hand else sample / "out", [setting])
    assert "\n" not in str(error.value)


def test_a_missing_score_and_a_missing_dataset_are_named(tmp_path: Path) -> None:
    rule = {**RULE, "column": "q_gone"}
    out = write_dataset(tmp_path / "out", ROWS[:1], STAGES, {"q": [rule]})
    with pytest.raises(DataError, match="the audit has no column 'q_gone'"):
        audit.decide(out, ["q.few_words=3"])
    (out / "audit" / "documents-00000.parquet").unlink()
    with pytest.raises(DataError, match=r"has no audit/documents-\*\.parquet"):
        audit.decide(out, ["q.few_words=3"])
    with pytest.raises(CurationError, match=r"no manifest\.json"):
        audit.decide(tmp_path, ["q.few_words=3"])


def test_an_empty_dataset_has_nothing_to_flip(tmp_path: Path) -> None:
    for name in ("medquad", "manpages"):
        (tmp_path / f"{name}.jsonl").touch()
    (tmp_path / "recipe.toml").write_text(RECIPE)
    assert run(tmp_path, tmp_path / "out") == {}
    outcome = audit.decide(tmp_path / "out", ["first.min_words=3"])
    assert (outcome.kept, outcome.kept_so_far, outcome.exact) == (0, 0, True)


BY_HAND = [
    ("q", "few", "q_words", 5.0, None, None),
    ("q", "odd", "q_chars", 3.0, 15.0, ["a"]),
    ("q", "odd", "q_chars", 8.0, 12.0, ["b"]),
    ("r", "many", "r_marks", None, 12.0, None),
]


def break_rules(one: dict[str, Any], rules: list[Any]) -> list[dict[str, Any]]:
    """What a document breaks, in plain Python: the meaning of `broken`."""
    found = []
    for stage, reason, column, low, high, sources in rules:
        value = one[column]
        if sources is not None and one["source"] not in sources:
            continue
        if value is not None and low is not None and value < low:
            found.append(broke(stage, reason, value, low))
        elif value is not None and high is not None and value > high:
            found.append(broke(stage, reason, value, high))
    return found


@pytest.fixture(scope="module")
def random_dataset(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[dict[str, Any]]]:
    rng = random.Random(4)
    scores = [None, math.nan, *map(float, range(20))]
    rows = []
    for number in range(300):
        columns = {name: rng.choice(scores) for name in ("q_words", "q_chars", "r_marks")}
        one = {"source": rng.choice("ab"), **columns}
        rows.append(row(number, *break_rules(one, BY_HAND), **one))
    rules: dict[str, list[dict[str, Any]]] = {}
    for stage, *values in BY_HAND:
        names = ("reason", "column", "low", "high", "sources")
        rules.setdefault(stage, []).append(dict(zip(names, values, strict=True)))
    stages = [("read", "read"), ("q", "gopher_quality"), ("r", "gopher_quality")]
    return write_dataset(tmp_path_factory.mktemp("random") / "out", rows, stages, rules), rows


@pytest.mark.parametrize("seed", range(10))
def test_any_bounds_give_what_plain_python_gives(random_dataset: Any, seed: int) -> None:
    directory, rows = random_dataset
    rng = random.Random(seed)
    settings, rules = [], [list(rule) for rule in BY_HAND]
    for _ in range(rng.randint(1, 4)):
        index, bound = rng.randrange(len(rules)), rng.choice([None, 0, 4, 7.5, 10, 13, 19])
        stage, reason, _, low, _, sources = BY_HAND[index]
        side = rng.choice(["low", "high"]) if sources else ("low" if low is not None else "high")
        rules[index][3 if side == "low" else 4] = bound
        scope = f"for_source.{sources[0]}." if sources else ""
        settings.append(f"{stage}.{scope}{reason}.{side}={'none' if bound is None else bound}")
    outcome = audit.decide(directory, settings, examples=ALL)
    returning, leaving = set(), {}
    for one in rows:
        broken = break_rules(one, rules)
        if one["verdict"] == "kept" and broken:
            leaving[one["doc_id"]] = tuple(broken[0].values())
        if one["verdict"] == "rejected" and not broken:
            returning.add(one["doc_id"])
    assert set(documents(outcome, "returning")) == returning
    names = ("new_stage", "new_reason", "new_value", "new_bound")
    found = documents(outcome, "leaving").items()
    assert {key: tuple(flip[name] for name in names) for key, flip in found} == leaving
    assert outcome.kept_so_far == outcome.kept + len(returning) - len(leaving)
    assert outcome.exact
