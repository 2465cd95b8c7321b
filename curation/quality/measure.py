"""How well scores tell positives from negatives, by ranking, by bounds and as probabilities."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from curation.quality_record import BinCount, Bound, HeldOut

Scores = npt.NDArray[np.float64]

KEEP_RATES = (0.01, 0.05, 0.1, 0.2, 0.5)
_BINS = 10


def measure(positive: Scores, negative: Scores, rates: Sequence[float] = KEEP_RATES) -> HeldOut:
    """Returns the measures of scores of held-out documents.

    Args:
        positive: float64[n], one or more scores of positives, 0 to 1.
        negative: float64[m], one or more scores of negatives.
        rates: Shares to keep, for which the bounds are wanted.
    """
    scores = np.concatenate([positive, negative])
    wanted = np.arange(len(scores)) < len(positive)
    precision, recall = _at(0.5, positive, negative)
    bins = calibration(scores, wanted)
    error = sum(
        one.documents * abs(one.mean_score - one.positive_share)
        for one in bins
        if one.mean_score is not None and one.positive_share is not None
    )
    return HeldOut(
        positives=len(positive),
        negatives=len(negative),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        auc=area_under_curve(positive, negative),
        average_precision=average_precision(scores, wanted),
        calibration_error=error / len(scores),
        bins=bins,
        bounds=tuple(_bound(rate, positive, negative) for rate in rates),
    )


def area_under_curve(positive: Scores, negative: Scores) -> float:
    """Returns how often a positive scores more than a negative; ties count half."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, side="left")
    level = np.searchsorted(ordered, positive, side="right") - below
    return float((below + level / 2).sum() / (len(positive) * len(negative)))


def average_precision(scores: Scores, wanted: npt.NDArray[np.bool_]) -> float:
    """Returns the mean over the positives of the precision at the score of each."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(wanted[order])
    # Equal scores are kept together: what counts is the precision after the last of them.
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(scores) - 1)
    gained = np.diff(hits[last], prepend=0)
    return float((gained * hits[last] / (last + 1)).sum() / wanted.sum())


def calibration(scores: Scores, wanted: npt.NDArray[np.bool_]) -> tuple[BinCount, ...]:
    """Returns ten bins of equal width: of scores that say p, a share of p should be positive."""
    place = np.minimum((scores * _BINS).astype(np.int64), _BINS - 1)
    bins = []
    for number in range(_BINS):
        mine = place == number
        count = int(mine.sum())
        bins.append(
            BinCount(
                low=number / _BINS,
                high=(number + 1) / _BINS,
                documents=count,
                mean_score=float(scores[mine].mean()) if count else None,
                positive_share=float(wanted[mine].mean()) if count else None,
            )
        )
    return tuple(bins)


def _bound(rate: float, positive: Scores, negative: Scores) -> Bound:
    scores = np.sort(np.concatenate([positive, negative]))[::-1]
    bound = float(scores[math.ceil(rate * len(scores)) - 1])
    precision, recall = _at(bound, positive, negative)
    return Bound(
        keep_rate=rate,
        min_score=bound,
        kept=float((scores >= bound).mean()),
        precision=precision,
        recall=recall,
        negatives_kept=float((negative >= bound).mean()),
    )


def _at(bound: float, positive: Scores, negative: Scores) -> tuple[float, float]:
    """Returns precision and recall of what scores `bound` or more."""
    right, wrong = int((positive >= bound).sum()), int((negative >= bound).sum())
    return right / (right + wrong) if right + wrong else 0.0, right / len(positive)
