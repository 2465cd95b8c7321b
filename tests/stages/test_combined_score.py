import pyarrow as pa
import pytest
from pydantic import ValidationError

from curation.errors import SchemaError
from curation.segment import broken_rows
from curation.stages.combined_score import CombinedScore
from tests.conftest import make_batch

A = [0.2, 0.9, None, None, 0.5]
B = [0.6, 0.1, 0.4, None, 1.0]


def batch_of(a=A, b=B):
    return make_batch(
        ["x"] * len(a), a_score=pa.array(a, pa.float64()), b_score=pa.array(b, pa.float32())
    )


def combined(**options):
    stage = CombinedScore(scores=("a_score", "b_score"), **options)
    [(name, values)] = stage.open()(batch_of()).items()
    assert name == "combined_score_score"
    return values.to_pylist()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [0.4, 0.5, 0.4, None, 0.75]),
        ({"weights": (3, 1)}, [0.3, 0.7, 0.4, None, 0.625]),
        ({"how": "max"}, [0.6, 0.9, 0.4, None, 1.0]),
        ({"how": "max", "weights": (1, 0.5)}, [0.3, 0.9, 0.2, None, 0.5]),
        ({"how": "min"}, [0.2, 0.1, 0.4, None, 0.5]),
        ({"how": "product"}, [0.12, 0.09, 0.4, None, 0.5]),
        ({"how": "product", "weights": (2, 1)}, [0.024, 0.081, 0.4, None, 0.25]),
    ],
)
def test_scores_are_combined_and_missing_ones_left_out(options, expected):
    assert combined(**options) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(("bound", "reason", "row"), [
    ({"min_score": 0.45}, "low_combined_score", 0),
    ({"max_score": 0.6}, "high_combined_score", 4),
])  # fmt: skip
def test_each_bound_is_broken_by_its_own_document(bound, reason, row):
    stage = CombinedScore(scores=("a_score", "b_score"), **bound)
    batch = batch_of([A[row]], [B[row]])
    batch = batch.append_column("combined_score_score", stage.open()(batch)["combined_score_score"])
    [rule] = stage.rules()
    mask = pa.array([True]).to_numpy(zero_copy_only=False)
    assert rule.reason == reason
    assert broken_rows(stage.name, rule, batch, mask).rows.tolist() == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": (1,)}, "1 weights for 2 scores"),
        ({"weights": (1, 0)}, "a weight is not above 0"),
        ({"weights": (1, float("nan"))}, "a weight is not above 0"),
        ({"scores": ("a_score", "a_score")}, "named twice"),
        ({"min_score": 0.8, "max_score": 0.2}, "min_score is 0.8 and max_score is 0.2"),
        ({"keep_top_per": "source"}, "keep_top_per is 'source' without keep_top"),
        ({"how": "median"}, "Input should be 'mean', 'max', 'min' or 'product'"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        CombinedScore(**{"scores": ("a_score", "b_score"), **options})


def test_a_column_of_words_is_refused():
    stage = CombinedScore(scores=("url",))
    with pytest.raises(SchemaError, match="column 'url' holds string"):
        stage.open()(make_batch(["x"]))


def test_keep_top_ranks_by_the_combined_score():
    stage = CombinedScore(name="mix", scores=("a_score",), keep_top=0.2, languages=("de",))
    [top] = stage.implied()
    assert (top.name, top.score, top.share) == ("mix_top_de", "mix_score", 0.2)
    assert top.languages == ("de",)
    assert stage.reads() == {"text", "a_score", "language_label"}
