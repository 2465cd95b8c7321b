import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.quality.measure import area_under_curve, average_precision, calibration, measure

scores = st.lists(st.sampled_from([0.0, 0.1, 0.3, 0.55, 0.9, 1.0]), min_size=1, max_size=12)


def brute_average_precision(positive, negative):
    """The mean over the positives of the precision among what scores as much or more."""
    found = []
    for bound in positive:
        right, wrong = (sum(one >= bound for one in side) for side in (positive, negative))
        found.append(right / (right + wrong))
    return sum(found) / len(found)


@settings(deadline=None, max_examples=60)
@given(scores, scores)
def test_ranking_measures_equal_their_definitions(positive, negative):
    wins = [1.0 if p > n else 0.5 if p == n else 0.0 for p in positive for n in negative]
    both = np.array(positive + negative)
    wanted = np.arange(len(both)) < len(positive)
    assert area_under_curve(np.array(positive), np.array(negative)) == pytest.approx(np.mean(wins))
    assert average_precision(both, wanted) == pytest.approx(
        brute_average_precision(positive, negative)
    )


def test_known_scores_give_known_figures():
    positive, negative = np.array([0.9, 0.8, 0.6, 0.2]), np.array([0.7, 0.3, 0.1, 0.05])
    found = measure(positive, negative, [0.25, 0.5])
    assert (found.precision, found.recall, found.f1) == (0.75, 0.75, 0.75)
    assert found.auc == 13 / 16
    assert found.average_precision == pytest.approx((1 + 1 + 3 / 4 + 4 / 6) / 4)
    quarter, half = found.bounds
    assert (quarter.min_score, quarter.kept, quarter.precision, quarter.recall) == (
        0.8,
        0.25,
        1,
        0.5,
    )
    assert (half.min_score, half.precision, half.recall) == (0.6, 0.75, 0.75)
    assert half.negatives_kept == 0.25


def test_calibration_counts_every_score_once():
    values = np.array([0.0, 0.05, 0.1, 0.55, 1.0, 0.95])
    bins = calibration(values, np.array([False, True, False, True, True, True]))
    assert [one.documents for one in bins] == [2, 1, 0, 0, 0, 1, 0, 0, 0, 2]
    assert (bins[0].mean_score, bins[0].positive_share) == (0.025, 0.5)
    assert bins[2].mean_score is bins[2].positive_share is None


def test_perfect_probabilities_have_no_calibration_error():
    found = measure(np.array([1.0, 1.0]), np.array([0.0]))
    assert found.calibration_error == 0
    assert (found.auc, found.average_precision) == (1.0, 1.0)


def test_no_positive_at_the_bound_has_no_precision():
    found = measure(np.array([0.1]), np.array([0.2]))
    assert (found.precision, found.recall, found.f1) == (0.0, 0.0, 0.0)
