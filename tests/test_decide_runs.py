"""What `decide` says, against runs with the same change: the same settings, word for word.

A new kind of stage that has rules needs a line in `CHANGES`: settings that make documents flip on
the sample, or in `ONLY_A_RUN`, where what follows from them cannot be known from the audit.
"""

import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from curation import audit
from curation.errors import RecipeError
from tests.asking import (
    AUGMENTING_STAGES,
    GATES,
    GLOBAL_STAGES,
    Asked,
    assert_agrees,
    batch_stages,
    recipe,
    write_documents,
)
from tests.test_every_stage import KINDS_HERE

ALL = 1_000_000

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
    "text_statistics": [
        ["text_statistics.max_digit_ratio=0.01"],
        ["text_statistics.min_chars=600", "text_statistics.max_special_ratio=0.9"],
    ],
    "refinedweb_lines": [["refinedweb_lines.max_removed_ratio=0.01"]],
    "perplexity": [["perplexity.max_perplexity=60"]],
    "decontaminate": [
        ["decontaminate.max_overlap=1"],
        ["decontaminate.max_overlap=0.01", "decontaminate.max_ngrams=0"],
        ["decontaminate.max_paragraph_overlap=0"],
    ],
    GATES: [
        [f"{GATES}.min_names=0.95"],
        [f"{GATES}.max_chrf=85", f"{GATES}.min_numbers=0"],
        [f"{GATES}.min_chrf=0", f"{GATES}.min_negations=0", f"{GATES}.max_chrf=100"],
    ],
    "domain_cap": [
        ["domain_cap.max_documents=2"],
        ["domain_cap.max_documents=30"],
        ["domain_cap.max_share=0.02"],
        ["domain_cap.max_share=0.5", "late.min_words=120"],
    ],
}

ONLY_A_RUN = {
    "noise": ["share=0.5", "rates={case=0.1}"],
    GATES: ["bleu=true"],
    "gopher_quality": ['definition="datatrove"', 'stop_words={en=["the", "of"]}', "language='de'"],
    "gopher_repetition": ['definition="dclm"'],
    "language": ['keep=["en"]', "sample_chars=100"],
    "c4_quality": ["min_words=9", 'javascript="document"', "min_paragraph_chars=9"],
    "fineweb_quality": ["short_line_chars=9", "allow_no_punct=true"],
    "quality_model": ["keep_top=0.5", "head_chars=9"],
    "combined_score": ["weights=[1.0, 2.0]", 'how="min"', "keep_top=0.5"],
    "text_statistics": ['definition="curator"'],
    "refinedweb_lines": ["min_words=4", "digits=false"],
    "perplexity": ["join_lines=true"],
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


@pytest.fixture(scope="module")
def augmented(directory: Path) -> Asked:
    return Asked(directory, AUGMENTING_STAGES)


@pytest.fixture
def asked_about(request: pytest.FixtureRequest) -> Callable[[str], Asked]:
    """The dataset that has a kind of stage, made when it is needed."""

    def find(kind: str) -> Asked:
        name = "one_by_one"
        if kind in {one["kind"] for one in AUGMENTING_STAGES[1:]}:
            name = "augmented"
        elif kind in {one["kind"] for one in GLOBAL_STAGES[4:9]}:
            name = "between"
        asked: Asked = request.getfixturevalue(name)
        return asked

    return find


def kinds_with_rules(*datasets: Asked) -> set[str]:
    recipes = [recipe(asked.directory, *asked.stages).recipe for asked in datasets]
    return {stage.kind for one in recipes for stage in one.stages if stage.rules()}


def test_every_kind_with_rules_is_asked(
    one_by_one: Asked, between: Asked, augmented: Asked
) -> None:
    missing = kinds_with_rules(one_by_one, between, augmented) - set(CHANGES) - set(ONLY_A_RUN)
    assert not missing, f"add a line for {sorted(missing)} to CHANGES or ONLY_A_RUN of {__file__}"


@pytest.mark.parametrize(
    "settings",
    [pytest.param(one, id=" ".join(one)) for kind in CHANGES for one in CHANGES[kind]],
)
def test_what_is_called_exact_is_what_a_run_does(
    asked_about: Callable[[str], Asked], tmp_path: Path, settings: list[str]
) -> None:
    kind = settings[0].partition(".")[0]
    if kind not in KINDS_HERE:
        pytest.skip(f"what {kind} needs is not installed")
    asked = asked_about(kind)
    outcome = audit.decide(asked.out, settings, examples=ALL)
    assert outcome.exact
    assert outcome.leaving.documents + outcome.returning.documents + outcome.staying.documents
    assert_agrees(asked, outcome, asked.again(settings, tmp_path))


@pytest.mark.parametrize(
    "setting", [f"{kind}.{one}" for kind in ONLY_A_RUN for one in ONLY_A_RUN[kind]]
)
def test_what_only_a_run_can_tell_is_refused(
    asked_about: Callable[[str], Asked], setting: str
) -> None:
    kind = setting.partition(".")[0]
    if kind not in KINDS_HERE:
        pytest.skip(f"what {kind} needs is not installed")
    asked = asked_about(kind)
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
    {"kind": "gopher_quality", "name": "early", "min_words": 0, "min_alpha_words": 0},
    {"kind": "keep_top", "name": "long", "score": "early_words", "share": 0.7},
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
    lost = {
        one["doc_id"]: one["early_words"] for one in apart.before.values()
        if one["stage"] == "long" and one["source"] == "answers"
    }  # fmt: skip
    setting = f"early.for_source.answers.min_words={sorted(lost.values())[len(lost) // 2]}"
    outcome = audit.decide(apart.out, [setting], examples=ALL)
    assert outcome.leaving.documents == 0
    assert {flip["doc_id"] for flip in outcome.staying.examples} & set(lost)
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
