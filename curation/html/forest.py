"""A forest of oblivious trees: how probable it is that a block belongs to the main text.

In an oblivious tree all nodes of one level ask the same question, so a tree is a list of questions
and a table of answers, without a jump (Kohavi 1994, "Bottom-up induction of oblivious, read-once
decision graphs"; as CatBoost grows them, Prokhorenkova et al. 2018, arXiv 1706.09516). Answers are
whole numbers: their sum does not depend on the order in which a processor adds.
"""

from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from curation.html.features import FEATURES
from curation.html.sums import STRIDE, Desk
from curation.text.jit import int64, lean, read_only

Ints = npt.NDArray[np.int32]

SCALE = 1024
"""Answers are log-odds in units of 1 / SCALE."""

_DEEPEST = 15
_CERTAIN = 16 * SCALE
PROBABILITY = read_only(
    np.rint(1e6 / (1 + np.exp(-np.arange(-_CERTAIN, _CERTAIN + 1) / SCALE))).astype(np.int32)
)
"""int32: probability in millionths, by log-odds from -16 to 16."""


class Forest(NamedTuple):
    """t trees of d levels."""

    features: npt.NDArray[np.int16]
    """int16[t, d]: number of the feature that each level asks for."""
    borders: npt.NDArray[np.float32]
    """float32[t, d]: the answer is yes where the value is above."""
    answers: npt.NDArray[np.int16]
    """int16[t, 2**d]: by the answers of all levels, the first one in the lowest bit."""
    bias: int
    """Added to the sum."""


def load_forest(path: Path) -> Forest:
    """Reads a model that `save_forest` wrote.

    Raises:
        ValueError: It is no such file, or for other features than these.
    """
    try:
        with path.open("rb") as opened, np.load(opened, allow_pickle=False) as file:
            names = tuple(file["names"].tolist())
            arrays = [read_only(file[name]) for name in ("features", "borders", "answers")]
            forest = Forest(arrays[0], arrays[1], arrays[2], int(file["bias"]))
    except (OSError, EOFError, KeyError, ValueError, TypeError, BadZipFile) as error:
        raise ValueError(f"{path}: no model of an extractor ({error})") from error
    if names != FEATURES:
        raise ValueError(f"{path}: made for other features ({len(names)}, here {len(FEATURES)})")
    if not _is_sound(forest):
        raise ValueError(f"{path}: its parts do not fit together; train it again")
    return forest


def _is_sound(forest: Forest) -> bool:
    """Says whether the kernel, which checks nothing, can walk a forest."""
    features, borders, answers = forest[:3]
    if [part.dtype for part in forest[:3]] != [np.int16, np.float32, np.int16]:
        return False
    if features.ndim != 2 or borders.shape != features.shape or features.shape[1] > _DEEPEST:
        return False
    known = features.min(initial=0) >= 0 and features.max(initial=0) < len(FEATURES)
    return bool(known) and answers.shape == (len(features), 1 << features.shape[1])


def save_forest(path: Path, forest: Forest) -> None:
    """Writes a model; the same one gives the same bytes."""
    names = np.array(FEATURES)
    np.savez_compressed(path, names=names, **forest._asdict())


@lean
def score_blocks(
    desk: Desk,
    blocks: int,
    forest: Forest,
    places: npt.NDArray[np.int32],
    odds: npt.NDArray[np.int32],
) -> None:
    """Finds the log-odds of all blocks of a page.

    Tree by tree, question by question, for all blocks at once: each step is one that a processor
    does for many blocks together.

    Args:
        desk: The features.
        blocks: How many blocks there are.
        forest: The trees.
        places: int32[b], room for the answers so far.
        odds: int32[b], gets the log-odds in units of 1 / SCALE.
    """
    stride = int64(desk.page[STRIDE])
    for block in range(blocks):
        odds[block] = forest.bias
    for tree in range(len(forest.features)):
        for block in range(blocks):
            places[block] = 0
        for level in range(forest.features.shape[1]):
            values = desk.values[int64(forest.features[tree, level]) * stride :]
            border, bit = forest.borders[tree, level], np.int32(1 << level)
            for block in range(blocks):
                places[block] |= bit if values[block] > border else np.int32(0)
        answers = forest.answers[tree]
        for block in range(blocks):
            odds[block] += answers[places[block]]


def plain_odds(values: npt.NDArray[np.float32], forest: Forest) -> npt.NDArray[np.int64]:
    """Returns int64[b], the log-odds of blocks, from float32[b, features]: the kernel's meaning."""
    odds = np.full(len(values), forest.bias, np.int64)
    for features, borders, answers in zip(*forest[:3], strict=True):
        place = ((values[:, features] > borders) << np.arange(len(features))).sum(axis=1)
        odds += answers[place]
    return odds
