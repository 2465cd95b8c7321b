import json

import pyarrow as pa
import pytest
from pydantic import ValidationError

from curation.errors import DriftError, RecipeError
from curation.recipe import identity, parse_recipe
from curation.segment import broken_rows
from curation.shards import file_sha256
from curation.stages.quality_model import QualityModel
from tests.classifiers import OTHER, WANTED, make_classifier
from tests.conftest import make_batch


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "quality.bin"
    make_classifier(path)
    return path


@pytest.fixture(scope="module")
def topics(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "topics.bin"
    make_classifier(path, labels=("medicine", "shops", "code"))
    return path


def stage_of(path, **options):
    return QualityModel(model=str(path), **options)


def scores_of(stage, texts):
    columns = stage.open()(make_batch(texts))
    assert list(columns) == stage.writes().names
    return list(columns[stage.column("score")])


def reasons_of(stage, text):
    batch = make_batch([text])
    for name, values in stage.open()(batch).items():
        batch = batch.append_column(name, pa.array(values))
    mask = pa.array([True]).to_numpy(zero_copy_only=False)
    rules = stage.rules()
    return [rule.reason for rule in rules if len(broken_rows(stage.name, rule, batch, mask).rows)]


def record_for(path, **changes):
    side = {
        "paths": ["a"], "documents": 1, "unreadable": 0, "empty": 0, "repeated": 0, "in_both": 0,
        "left_out": 0, "trained": 1, "held_out": 0, "digest": "",
    }  # fmt: skip
    held_out = dict.fromkeys(
        ("precision", "recall", "f1", "auc", "average_precision", "calibration_error"), 1.0
    )
    record = {
        "model_sha256": file_sha256(path), "model_bytes": 1, "label": "lq", "normal_form": "words",
        "head_chars": 300, "settings": {}, "versions": {}, "positive": side, "negative": side,
        "held_out": {**held_out, "positives": 0, "negatives": 0, "bins": [], "bounds": []},
        **changes,
    }  # fmt: skip
    path.with_name(f"{path.name}.json").write_text(json.dumps(record))


def test_the_wanted_text_scores_above_the_other(model):
    stage = stage_of(model)
    good, bad = scores_of(stage, [WANTED, OTHER])
    assert (stage.label, stage.normal_form, stage.head_chars) == ("hq", "lines", 0)
    assert 0 <= bad < 0.3 < 0.7 < good <= 1
    assert stage.rules() == ()


def test_each_bound_is_broken_by_its_own_text(model):
    stage = stage_of(model, min_score=0.3, max_score=0.7)
    assert reasons_of(stage, OTHER) == ["low_quality_score"]
    assert reasons_of(stage, WANTED) == ["high_quality_score"]


def test_line_ends_and_marks_of_fasttext_do_not_count(model):
    stage = stage_of(model)
    plain, broken = scores_of(stage, [WANTED, WANTED.replace(" ", " </s>\r\n__label__lq ")])
    assert plain == broken


def test_only_the_head_counts_where_that_is_set(model):
    whole, head = stage_of(model), stage_of(model, head_chars=len(WANTED))
    texts = [WANTED, f"{WANTED} {OTHER * 3}"]
    assert scores_of(whole, texts)[1] < scores_of(whole, texts)[0] == scores_of(head, texts)[1]


def test_words_are_told_apart_from_signs_and_case_where_that_is_set(model):
    texts = [WANTED, WANTED.upper().replace(" ", "  ")]
    first, second = scores_of(stage_of(model, normal_form="words"), texts)
    assert first == second
    assert len(set(scores_of(stage_of(model), texts))) == 2


def test_the_record_beside_a_model_fills_in_what_is_not_given(tmp_path):
    path = tmp_path / "quality.bin"
    make_classifier(path)
    record_for(path)
    stage = stage_of(path)
    assert (stage.label, stage.normal_form, stage.head_chars) == ("lq", "words", 300)
    own = stage_of(path, label="__label__hq", normal_form="lines", head_chars=0)
    assert (own.label, own.normal_form, own.head_chars) == ("hq", "lines", 0)
    assert identity(own) != identity(stage)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_sha256": "0" * 64}, "is of a model with digest 000000000000..., but quality.bin"),
        ({"normal_form": "nfd"}, "cannot be read .*; train again, or delete it"),
    ],
)
def test_a_record_that_does_not_fit_is_refused(tmp_path, changes, message):
    path = tmp_path / "quality.bin"
    make_classifier(path)
    record_for(path, **changes)
    with pytest.raises(ValidationError, match=message):
        stage_of(path)


def test_a_label_must_be_known_and_clear(topics):
    with pytest.raises(ValidationError, match="known: code, shops, medicine; set label"):
        stage_of(topics)
    with pytest.raises(ValidationError, match=r"'medicin'; known: .* did you mean 'medicine'"):
        stage_of(topics, label="medicin")
    assert stage_of(topics, label="code").label == "code"


def test_what_is_no_classifier_is_refused(tmp_path, model):
    with pytest.raises(ValidationError, match="no such file; give a fastText"):
        stage_of(tmp_path / "none.bin")
    path = tmp_path / "text.bin"
    path.write_text("no model")
    with pytest.raises(ValidationError, match="its first bytes are others"):
        stage_of(path)
    with pytest.raises(ValidationError, match=r"model_digest is 000.*leave it out"):
        stage_of(model, model_digest="0" * 64)
    with pytest.raises(ValidationError, match=r"min_score is 0.8 and max_score is 0.2"):
        stage_of(model, min_score=0.8, max_score=0.2)
    with pytest.raises(ValidationError, match=r"keep_top_per is 'source' without keep_top"):
        stage_of(model, keep_top_per="source")


def test_identity_is_the_content_not_the_place(tmp_path, model):
    copy = tmp_path / "other.bin"
    copy.write_bytes(model.read_bytes())
    assert identity(stage_of(copy)) == identity(stage_of(model))


def test_a_model_that_changed_after_planning_is_told(tmp_path):
    path = tmp_path / "quality.bin"
    make_classifier(path)
    stage = stage_of(path)
    make_classifier(path, epoch=1)
    with pytest.raises(DriftError, match=r"expected .* as planned; restore it"):
        stage.open()


def test_settings_survive_a_round_trip(model):
    stage = stage_of(model, min_score=0.2)
    assert QualityModel.model_validate_json(stage.model_dump_json()) == stage


def recipe_of(model, **options):
    return parse_recipe(
        {
            "name": "r",
            "sources": [
                {"name": name, "kind": "text", "paths": [f"{name}.txt"]} for name in ("a", "b")
            ],
            "stages": [{"kind": "quality_model", "model": str(model), **options}],
        }
    )


def test_keep_top_makes_the_stage_that_keeps_the_share(model):
    _, top = recipe_of(model, keep_top=0.1, keep_top_per="source").stages
    assert (top.kind, top.name, top.score) == (
        "keep_top",
        "quality_model_top",
        "quality_model_score",
    )
    assert (top.share, top.per, top.sources) == (0.1, "source", None)


def test_sources_with_a_share_of_their_own_have_a_stage_of_their_own(model):
    recipe = recipe_of(model, keep_top=0.1, for_source={"b": {"keep_top": 0.5}})
    names = [(stage.name, stage.share) for stage in recipe.stages if stage.kind == "keep_top"]
    assert names == [("quality_model_top_a", 0.1), ("quality_model_top_b", 0.5)]


def test_an_unknown_form_is_one_line(model):
    with pytest.raises(RecipeError, match="normal_form: Input should be 'lines' or 'words'"):
        recipe_of(model, normal_form="bytes")
