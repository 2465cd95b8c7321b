"""What `decide` says, against runs with the same change: the same settings, word for word.

A new kind of stage that has rules needs a line in `CHANGES`: settings that make documents flip on
the sample, or in `ONLY_A_RUN`, where what follows from them cannot be known from the audit.
"""

import gzip
import itertools
import json
import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from curation import audit
from curation.errors import RecipeError
from curation.overriding import apply_override
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import RunOptions, drive, steps
from curation.stage import GlobalStage
from curation.stages import KINDS
from tests.conftest import SAMPLE, write_jsonl
from tests.test_every_stage import SETTINGS, first_records

ALL = 1_000_000
NAMES = ("verdict", "stage", "reason", "value", "bound")

CHANGES: dict[str, list[list[str]]] = {
    "url_filter": [
        ["url_filter.max_soft_words=0"],
        ["url_filter.reject_malformed=true", "url_filter.max_soft_words=2"],
    ],
    "extract": [["extract.max_html_chars=9000"]],
    "language": [["language.min_probability=0.9"]],
    "gopher_repetition": [
        ["gopher_repetition.max_duplicate_5grams=0.3", "gopher_repetition.max_top_4gram=0.03"],
        ["gopher_repetition.max_duplicate_lines=0.9", "gopher_repetition.max_duplicate_6grams=0"],
    ],
    "gopher_quality": [
        ["gopher_quality.min_words=150"],
        ["gopher_quality.max_mean_word_chars=5"],
        ["gopher_quality.for_language.de.max_mean_word_chars=6"],
        ["gopher_quality.for_source.web.min_stop_words=7", "gopher_quality.min_words=0"],
        ["gopher_quality.min_words=700", "gopher_quality.max_words=900"],
    ],
    "c4_quality": [
        ["c4_quality.min_sentences=9"],
        ["c4_quality.curly_bracket=false", "c4_quality.max_chars=3000"],  # a reason, too
        ["c4_quality.min_sentences=0", "c4_quality.min_paragraphs=2"],
    ],
    "fineweb_quality": [
        ["fineweb_quality.min_line_punct_ratio=0.6", "fineweb_quality.max_list_ratio=0.1"],
        ["fineweb_quality.max_char_dup_ratio=1", "fineweb_quality.max_short_line_ratio=0.9"],
    ],
    "quality_model": [["quality_model.min_score=0.5"], ["quality_model.max_score=0.5"]],
    "personal_data": [
        ['personal_data.email="reject"'],
        ['personal_data.phone="redact"', "personal_data.max_hits={}"],
        ["personal_data.max_hits={phone=0}"],
        ["personal_data.max_hits.phone=1"],
    ],
    "combined_score": [["combined_score.min_score=0.9"], ["combined_score.max_score=0.99"]],
    "decontaminate": [
        ["decontaminate.max_overlap=1"],
        ["decontaminate.max_overlap=0.01", "decontaminate.max_ngrams=0"],
        ["decontaminate.max_paragraph_overlap=0"],
    ],
    "domain_cap": [
        ["domain_cap.max_documents=2"],
        ["domain_cap.max_documents=30"],
        ["domain_cap.max_share=0.02"],
        ["domain_cap.max_share=0.5", "late.min_words=120"],
    ],
}

ONLY_A_RUN = {
    "gopher_quality": ['definition="datatrove"', 'stop_words={en=["the", "of"]}', "language='de'"],
    "gopher_repetition": ['definition="dclm"'],
    "language": ['keep=["en"]', "sample_chars=100"],
    "c4_quality": ["min_words=9", 'javascript="document"', "min_paragraph_chars=9"],
    "fineweb_quality": ["short_line_chars=9", "allow_no_punct=true"],
    "quality_model": ["keep_top=0.5", "head_chars=9"],
    "combined_score": ["weights=[1.0, 2.0]", 'how="min"', "keep_top=0.5"],
    "personal_data": ['ip="reject"', 'phone="count"', 'wallet_key="reject"'],
    "decontaminate": ["ngram=20", "max_sharing=1"],
    "extract": ["timeout_seconds=1", 'engine="trafilatura"'],
    "url_filter": ['strict_definition="datatrove"'],
    "normalize": ["plain_spaces=false"],
    "line_dedup": ["max_cut=0.1", "mostly_boilerplate=0.1", "min_documents=5"],
    "exact_dedup": ['normalize="text"'],
    "keep_top": ["share=0.1"],
    "domain_cap": ['order_by="early_words"'],
    "split": ["eval_share=0.1"],
}

FIELDS = {"id": "id", "text": "text", "url": "url"}


def write_documents(directory: Path) -> None:
    """Real pages and answers, each once, and a few that break what those do not."""
    header, *pages = first_records((SAMPLE / "web.warc.gz").read_bytes(), 41)
    (directory / "web.warc.gz").write_bytes(b"".join([header, *pages]))
    with gzip.open(SAMPLE / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line) for line in itertools.islice(lines, 50)]
    prose = " ".join(answers[7]["text"].split() + answers[8]["text"].split())
    more = {
        "mail": f"{prose} Write to jane.doe@hospital.org, or call +1 212 555 0134.",
        "phones": f"{prose} Call {', '.join(f'+1 212 736 31{k}' for k in range(30, 36))}.",
        "brackets": f"{prose} {{ and }} are brackets.",
        "lines": "\n".join(["The same sentence stands here again and again.", prose] * 6),
        "german": "Die Krankheit ist selten, und die Ursache ist nicht bekannt. " * 9,
    }
    rows = [{"id": name, "text": text, "url": "http://a b/"} for name, text in more.items()]
    near = [
        {**answer, "id": f"near-{answer['id']}", "text": f"{answer['text']} That is all."}
        for answer in answers[::7]
    ]
    same = [{**answer, "id": f"same-{answer['id']}"} for answer in answers[::9]]
    write_jsonl(directory / "answers.jsonl", [*answers, *rows])
    write_jsonl(directory / "copies.jsonl", [*near, *same])


def recipe(directory: Path, *stages: dict[str, Any], overrides: Sequence[str] = ()) -> Any:
    """The recipe as a file would be read: with overrides as `curate run` takes them."""
    sources = [
        {"name": "web", "kind": "warc", "paths": ["web.warc.gz"]},
        {"name": "answers", "kind": "jsonl", "paths": ["answers.jsonl"], "fields": FIELDS},
        {"name": "copies", "kind": "jsonl", "paths": ["copies.jsonl"], "fields": FIELDS},
    ]
    raw = {"name": "asked", "seed": 3, "sources": sources, "guard": {"stop_above": 1}}
    raw["stages"] = json.loads(json.dumps(stages))
    for override in overrides:
        apply_override(raw, override)
    return LoadedRecipe(parse_recipe(raw), directory)


def run(loaded: LoadedRecipe, out: Path) -> dict[str, dict[str, Any]]:
    """Runs a recipe in this process; returns each document of the audit."""
    options = RunOptions(out, work=loaded.base / "work")
    plan = make_plan(loaded)
    drive(steps(plan, options), lambda step: [item.done() or item.run() for item in step.items])
    table = duckdb.sql(f"SELECT * FROM '{out}/audit/documents-*.parquet'").to_arrow_table()
    return {one["doc_id"]: one for one in table.to_pylist()}


def batch_stages(directory: Path) -> list[dict[str, Any]]:
    """Each kind that looks at documents one by one."""
    stages = []
    for kind in KINDS:
        if not issubclass(KINDS[kind], GlobalStage):
            settings = SETTINGS[kind]
            stages.append(
                {"kind": kind, **(settings(directory) if callable(settings) else settings)}
            )
    return stages


GLOBAL_STAGES: list[dict[str, Any]] = [
    {"kind": "extract", "sources": ["web"]},
    {"kind": "normalize"},
    {"kind": "language", "min_probability": 0.3},
    {"kind": "gopher_quality", "name": "early", "min_words": 40, "min_alpha_words": 0.6,
     "for_source": {"copies": {"min_words": 60}}},
    {"kind": "exact_dedup"},
    {"kind": "minhash_dedup", "threshold": 0.6},
    {"kind": "keep_top", "score": "early_words", "share": 0.9},
    {"kind": "line_dedup", "scope": "all", "min_documents": 3, "min_share": 0, "max_cut": 0.5},
    {"kind": "domain_cap", "max_documents": 9},
    {"kind": "gopher_quality", "name": "late", "min_words": 80, "min_stop_words": 3,
     "for_language": {"de": {"min_words": 10}}},
    {"kind": "fineweb_quality", "max_char_dup_ratio": 0.5, "min_line_punct_ratio": 0.05},
    {"kind": "split", "eval_share": 0.1},
]  # fmt: skip


class Asked:
    """A dataset, and the same with other settings, made as the tests ask for it."""

    def __init__(self, directory: Path, stages: list[dict[str, Any]]) -> None:
        self.directory, self.stages = directory, stages
        self.out = directory / f"out-{len(stages)}"
        self.before = run(recipe(directory, *stages), self.out)

    def again(self, settings: Sequence[str], out: Path) -> dict[str, dict[str, Any]]:
        overrides = [f"stages.{setting}" for setting in settings]
        return run(recipe(self.directory, *self.stages, overrides=overrides), out)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("asked")
    write_documents(directory)
    return directory


@pytest.fixture(scope="module")
def one_by_one(directory: Path) -> Asked:
    made = directory / "made"
    made.mkdir()
    return Asked(directory, batch_stages(made))


@pytest.fixture(scope="module")
def between(directory: Path) -> Asked:
    return Asked(directory, GLOBAL_STAGES)


def predicted(before: dict[str, dict[str, Any]], outcome: audit.Outcome) -> dict[str, Any]:
    """Every document's verdict, stage, reason, value and bound, as the answer has it."""
    found = {doc_id: tuple(one[name] for name in NAMES) for doc_id, one in before.items()}
    for fate in ("leaving", "staying", "returning"):
        for flip in getattr(outcome, fate).examples:
            new = [flip[f"new_{name}"] for name in NAMES[1:]]
            found[flip["doc_id"]] = ("kept" if new[0] is None else "rejected", *new)
    return found


def assert_agrees(asked: Asked, outcome: audit.Outcome, after: dict[str, dict[str, Any]]) -> None:
    """What is called exact is what the run does; else all that differs is said to be unknown."""
    found = {doc_id: tuple(one[name] for name in NAMES) for doc_id, one in after.items()}
    expected = predicted(asked.before, outcome)
    for doc_id, one in expected.items():  # another bound, but the same one
        if one[:4] == found[doc_id][:4] == tuple(asked.before[doc_id][name] for name in NAMES[:4]):
            expected[doc_id] = found[doc_id]
    differ = {doc_id for doc_id in found if found[doc_id] != expected[doc_id]}
    if outcome.exact:
        assert not differ, [(expected[one], found[one]) for one in sorted(differ)[:3]]
        assert outcome.kept_so_far == sum(one[0] == "kept" for one in found.values())
        return
    again = {*outcome.decided_again, *outcome.undecided_by}
    if "line_dedup" in again:  # it may cut other lines, so what follows may score other texts
        names = [stage.get("name", stage["kind"]) for stage in asked.stages]
        again.update(names[names.index("line_dedup") :])
    unknown = {flip["doc_id"] for flip in outcome.unknown.examples}
    for doc_id in differ - unknown:
        stages = {asked.before[doc_id]["stage"], found[doc_id][1]}
        assert stages & again, (expected[doc_id], found[doc_id], again)


def kinds_with_rules(*datasets: Asked) -> set[str]:
    recipes = [recipe(asked.directory, *asked.stages).recipe for asked in datasets]
    return {stage.kind for one in recipes for stage in one.stages if stage.rules()}


def test_every_kind_with_rules_is_asked(one_by_one: Asked, between: Asked) -> None:
    missing = kinds_with_rules(one_by_one, between) - set(CHANGES) - set(ONLY_A_RUN)
    assert not missing, f"add a line for {sorted(missing)} to CHANGES or ONLY_A_RUN of {__file__}"


@pytest.mark.parametrize(
    "settings",
    [pytest.param(one, id=" ".join(one)) for kind in CHANGES for one in CHANGES[kind]],
)
def test_what_is_called_exact_is_what_a_run_does(
    one_by_one: Asked, between: Asked, tmp_path: Path, settings: list[str]
) -> None:
    asked = between if settings[0].startswith("domain_cap") else one_by_one
    outcome = audit.decide(asked.out, settings, examples=ALL)
    assert outcome.exact
    assert outcome.leaving.documents + outcome.returning.documents + outcome.staying.documents
    assert_agrees(asked, outcome, asked.again(settings, tmp_path))


@pytest.mark.parametrize(
    "setting", [f"{kind}.{one}" for kind in ONLY_A_RUN for one in ONLY_A_RUN[kind]]
)
def test_what_only_a_run_can_tell_is_refused(
    one_by_one: Asked, between: Asked, setting: str
) -> None:
    kind = setting.partition(".")[0]
    asked = between if kind in {one["kind"] for one in GLOBAL_STAGES[4:9]} else one_by_one
    with pytest.raises(RecipeError, match="only a run can tell") as error:
        audit.decide(asked.out, [setting])
    assert "\n" not in str(error.value)


CHOICES = {
    "early.min_words": [0, 30, 70, 120, 250],
    "early.for_source.copies.min_words": [0, 90, 200],
    "early.for_source.web.max_words": [300, 900],
    "early.min_alpha_words": [0, 0.8],
    "language.min_probability": [0, 0.7, 0.9],
    "extract.max_html_chars": [9000, 40_000],
    "domain_cap.max_documents": [2, 5, 20],
    "domain_cap.max_share": [0.02, 0.1],
    "late.min_words": [0, 60, 150],
    "late.for_language.de.min_words": [0, 200],
    "late.for_source.answers.for_language.en.min_stop_words": [0, 9],
    "fineweb_quality.max_short_line_ratio": [0.3, 1],
}


@pytest.mark.parametrize("seed", range(12))
def test_what_is_known_and_what_is_not_holds_for_any_settings(
    between: Asked, tmp_path: Path, seed: int
) -> None:
    rng = random.Random(seed)
    keys = rng.sample(sorted(CHOICES), rng.choice([1, 1, 2, 3]))
    settings = [f"{key}={rng.choice(CHOICES[key])}" for key in keys]
    outcome = audit.decide(between.out, settings, examples=ALL)
    assert_agrees(between, outcome, between.again(settings, tmp_path))


APART: list[dict[str, Any]] = [
    {"kind": "extract", "sources": ["web"]},
    {"kind": "gopher_quality", "name": "q", "sources": ["web"], "definition": "dolma"},
    {"kind": "gopher_quality", "name": "q", "sources": ["copies"], "min_words": 20,
     "for_language": {"en": {"min_words": 70}}},
    {"kind": "keep_top", "name": "long", "score": "q_words", "share": 0.7},
    {"kind": "fineweb_quality", "min_line_punct_ratio": 0, "max_char_dup_ratio": 1,
     "max_list_ratio": 0.2},
    {"kind": "gopher_quality", "name": "q", "sources": ["answers"], "min_words": 80},
    {"kind": "domain_cap", "max_documents": 20},
]  # fmt: skip


@pytest.fixture(scope="module")
def apart(directory: Path) -> Asked:
    """Stages of one name, each for another source: other columns, other places, other segments."""
    return Asked(directory, [{"kind": "language", "min_probability": 0}, *APART])


@pytest.mark.parametrize(
    "settings",
    [
        ["q.min_words=90"],
        ["q.max_mean_word_chars=5", "fineweb_quality.max_list_ratio=0.02"],
        ["q.for_source.answers.min_words=150", "fineweb_quality.max_list_ratio=0.05"],
        ["q.for_source.web.min_mean_word_chars=4.5"],
        ["q.for_source.copies.for_language.en.min_words=0"],
        ["domain_cap.max_documents=3", "domain_cap.max_share=0.2"],
    ],
    ids=" ".join,
)
def test_stages_of_one_name_are_each_where_they_stand(
    apart: Asked, tmp_path: Path, settings: list[str]
) -> None:
    outcome = audit.decide(apart.out, settings, examples=ALL)
    assert outcome.bounds
    assert_agrees(apart, outcome, apart.again(settings, tmp_path))


def test_a_stage_that_would_meet_fewer_rejected_documents_decides_again(
    apart: Asked, tmp_path: Path
) -> None:
    """Nobody who was kept leaves before `keep_top`; but its share is of fewer documents."""
    lost = {one["doc_id"] for one in apart.before.values() if one["stage"] == "long"}
    words = sorted(apart.before[one]["q_words"] for one in lost)
    setting = f"q.for_source.web.min_words={words[len(words) // 2]}"
    outcome = audit.decide(apart.out, [setting], examples=ALL)
    assert outcome.leaving.documents == 0
    assert {flip["doc_id"] for flip in outcome.staying.examples} & lost
    assert outcome.decided_again == ["long", "domain_cap"]
    assert not outcome.exact
    after = apart.again([setting], tmp_path)
    assert_agrees(apart, outcome, after)
    assert outcome.kept_so_far != sum(one["verdict"] == "kept" for one in after.values())


def test_a_dataset_is_asked_without_the_files_of_its_recipe(one_by_one: Asked) -> None:
    settings = ["url_filter.max_soft_words=0", "decontaminate.max_ngrams=3",
                "quality_model.min_score=0.2", "language.min_probability=0.5"]  # fmt: skip
    expected = audit.decide(one_by_one.out, settings)
    made = one_by_one.directory / "made"
    made.rename(made.with_name("moved"))
    try:
        assert audit.decide(one_by_one.out, settings) == expected
    finally:
        made.with_name("moved").rename(made)


def test_a_rule_that_comes_to_an_early_stage_may_reject_who_comes_back(between: Asked) -> None:
    loose = audit.decide(between.out, ["early.min_words=0"])
    assert loose.returning.documents
    assert {"exact_dedup", "late"} <= set(loose.undecided_by)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("gopher_quality.min_words=200000", "min_words is 200000 and max_words is 100000"),
        ("combined_score.min_score=nan", "a bound is a number, or none for no bound; found nan"),
        ("quality_model.min_score=2", "min_score: Input should be less than or equal to 1"),
        ("personal_data.max_hits.phones=3", "decides more than a bound"),
    ],
)
def test_what_a_run_would_refuse_is_refused(one_by_one: Asked, setting: str, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        audit.decide(one_by_one.out, [setting])
    assert "\n" not in str(error.value)


def test_bounds_that_leave_nothing_are_refused_together(one_by_one: Asked) -> None:
    settings = ["quality_model.min_score=0.8", "quality_model.max_score=0.2"]
    with pytest.raises(RecipeError, match=r"max_score=0\.2: quality_model_score would have to be"):
        audit.decide(one_by_one.out, settings)


def test_decisions_over_all_documents_have_no_settings_for_some(between: Asked) -> None:
    for scope in ("for_source.web", "for_language.de"):
        with pytest.raises(RecipeError, match="decides over all documents at once"):
            audit.decide(between.out, [f"domain_cap.{scope}.max_documents=3"])


def test_a_table_for_a_language_that_would_hide_another_is_refused(between: Asked) -> None:
    setting = "late.for_source.web.for_language.de.max_words=900"
    with pytest.raises(RecipeError, match=r"would replace for_language\.de for this source"):
        audit.decide(between.out, [setting])


def test_what_an_older_version_did_not_record_is_said(between: Asked, tmp_path: Path) -> None:
    shutil.copytree(between.out / "audit", tmp_path / "audit")
    manifest = json.loads((between.out / "manifest.json").read_text())
    del manifest["overrides"]
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    for setting in ("domain_cap.domain_cap=3", "late.min_words=3"):
        with pytest.raises(RecipeError, match="an older version made this dataset"):
            audit.decide(tmp_path, [setting])
    assert audit.decide(tmp_path, ["late.few_words=90"]).exact
