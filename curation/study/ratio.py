"""What the next step in model size, in text or in epochs would do to loss, with intervals."""

from dataclasses import dataclass

import numpy as np

from curation.study.bootstrap import Interval, interval
from curation.study.forms import Array, Facts
from curation.study.law import FittedLaw

_STEP = 1e-4
"""In ln N and ln D, for central differences: their error is below 1e-8 of a derivative."""
NO_ANSWER = 0.5
"""Standard deviation of ln ratio from which a ratio says nothing: its interval spans a factor 7."""


@dataclass(frozen=True)
class Marginal:
    """Derivatives of loss at one point; negative where more of it helps.

    Draws are `[draws]`, in the same order in all: products and ratios of them keep what they share.
    """

    parameters: float
    """N of the point."""
    tokens: float
    """D of the point."""
    by_parameters: Interval
    """d loss / d ln N."""
    by_tokens: Interval
    """d loss / d ln D where the text that comes on top is new."""
    by_repeats: Interval
    """d loss / d ln D at the same text: more epochs."""
    ratio: Interval
    """by_tokens / by_parameters: above 1, a percent of text does more than a percent of model."""
    log_sd: float
    """Standard deviation of ln ratio over the draws; infinite where a draw has no such ratio, NaN
    without draws."""
    collinear: bool
    """True where the law's runs could not tell N from D: then draws agree by assumption alone."""
    parameter_draws: Array
    token_draws: Array
    repeat_draws: Array

    @property
    def identified(self) -> bool:
        """True where the runs tell N from D, and the draws agree on the ratio well enough."""
        return bool(self.log_sd <= NO_ANSWER) and not self.collinear

    def per_flop(self, flops: float | None = None) -> tuple[Interval, Interval]:
        """Returns d loss / d FLOP through a bigger model and through more text.

        Args:
            flops: Of the point's training; default 6 N D, by which both cost the same.
        """
        total = 6 * self.parameters * self.tokens if flops is None else flops
        return _divided(self.by_parameters, total), _divided(self.by_tokens, total)


def _divided(one: Interval, by: float) -> Interval:
    return Interval(one.mid / by, one.low / by, one.high / by)


def marginal(
    law: FittedLaw,
    parameters: float,
    tokens: float,
    *,
    unique_tokens: float | None = None,
    recipe: str | None = None,
    resources: float = 1.0,
) -> Marginal:
    """Returns the derivatives of a law's loss at a point, and the ratio of data to model.

    Args:
        law: A fitted or published law.
        parameters: N.
        tokens: D.
        unique_tokens: Default: all tokens are.
        recipe: Where the law tells recipes apart.
        resources: Devices.

    Raises:
        RecipeError: The recipe is not one of the law's.
    """
    unique = min(tokens, unique_tokens or tokens)
    n, d, u = np.log([parameters, tokens, unique])
    step = _STEP
    # Pairs of points around the one that is asked for; text that is new adds to D and to U. A run
    # without repeats cannot present fewer tokens than it has, so epochs are counted upwards.
    moves = np.array(
        [[n + step, d, u], [n - step, d, u], [n, d + step, u + step], [n, d - step, u - step],
         [n, d + 2 * step, u], [n, d, u]]
    )  # fmt: skip
    count = len(moves)
    size, presented, new = moves.T
    facts = Facts(
        size,
        presented,
        new,
        np.zeros(count),
        np.full(count, np.log(resources)),
        np.full(count, law.place_of(recipe), np.int64),
    )
    mid = _slopes(np.exp(law.log_loss(facts)))
    empty = np.empty((3, 0))
    drawn = _slopes(np.exp(law.log_loss(facts, draws=True))) if law.draws else empty
    spans = [interval(float(value), draws) for value, draws in zip(mid, drawn, strict=True)]
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = interval(float(mid[1] / mid[0]), drawn[1] / drawn[0])
    by_size, by_text, by_repeats = spans
    return Marginal(
        parameters=float(parameters),
        tokens=float(tokens),
        by_parameters=by_size,
        by_tokens=by_text,
        by_repeats=by_repeats,
        ratio=ratio,
        log_sd=_log_sd(drawn[1], drawn[0]),
        collinear=any(flag.startswith("collinear") for flag in law.flags),
        parameter_draws=drawn[0],
        token_draws=drawn[1],
        repeat_draws=drawn[2],
    )


def _slopes(loss: Array) -> Array:
    """Returns `[3, ...]`: by size, by new text, by epochs."""
    pairs = [(0, 1), (2, 3), (4, 5)]
    return np.stack([(loss[..., one] - loss[..., two]) / (2 * _STEP) for one, two in pairs])


def _log_sd(above: Array, below: Array) -> float:
    if not len(above):
        return float("nan")
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        logs = np.log(above / below)
    # Where the sign itself is open there is no ratio; a rare draw may miss it.
    good = np.isfinite(logs)
    return float(np.std(logs[good])) if good.mean() > 0.99 else float("inf")
