"""Fits the forest: CatBoost grows oblivious trees, we keep their questions and answers.

One thread and a fixed seed: the same labels and settings give the same forest.
"""

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from curation.errors import RecipeError
from curation.extraction.labels import Labelled
from curation.html.forest import SCALE, Forest


class FitSettings(BaseModel):
    """All that decides a forest, beside the labels."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    trees: int = Field(default=300, ge=1, le=5000)
    """Trees: more of them are more exact, and slower."""
    depth: int = Field(default=6, ge=1, le=10)
    """Questions in a tree."""
    learning_rate: float = Field(default=0.1, gt=0, le=1)
    """How much each tree corrects."""
    l2: float = Field(default=5.0, ge=0)
    """Regularisation of the answers."""
    seed: int = Field(default=1, ge=0, lt=2**31)
    """Of the draws of rows and features."""


def fit(pages: Sequence[Labelled], settings: FitSettings) -> Forest:
    """Fits a forest to the labels of some pages.

    Raises:
        RecipeError: CatBoost is not installed.
    """
    try:
        from catboost import CatBoost, Pool
    except ImportError as error:
        raise RecipeError(
            'CatBoost is not installed; install it with: pip install "curation[train-extractor]"'
        ) from error
    values = np.concatenate([page.blocks.values for page in pages])
    labels = np.concatenate([page.labels for page in pages])
    weights = np.concatenate([page.weights for page in pages])
    used = weights > 0
    model = CatBoost(_parameters(settings))
    model.fit(Pool(values[used], label=labels[used], weight=weights[used]))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "model.json"
        model.save_model(str(path), format="json")
        return _packed(json.loads(path.read_text()), settings)


def _parameters(settings: FitSettings) -> dict[str, Any]:
    return {
        "loss_function": "CrossEntropy",
        "iterations": settings.trees,
        "depth": settings.depth,
        "learning_rate": settings.learning_rate,
        "l2_leaf_reg": settings.l2,
        "rsm": 0.4,
        "bootstrap_type": "Bernoulli",
        "subsample": 0.8,
        "border_count": 127,
        "random_seed": settings.seed,
        "thread_count": 1,
        "allow_writing_files": False,
        "verbose": False,
    }


def _packed(model: dict[str, Any], settings: FitSettings) -> Forest:
    """Returns the forest of CatBoost's JSON; a tree that asks less has questions without effect."""
    scale, [bias] = model["scale_and_bias"]
    trees, depth = model["oblivious_trees"], settings.depth
    features = np.zeros((len(trees), depth), np.int16)
    borders = np.full((len(trees), depth), np.inf, np.float32)
    answers = np.zeros((len(trees), 1 << depth), np.int16)
    places = {
        feature["feature_index"]: feature["flat_feature_index"]
        for feature in model["features_info"]["float_features"]
    }
    for number, tree in enumerate(trees):
        for level, split in enumerate(tree["splits"]):
            features[number, level] = places[split["float_feature_index"]]
            borders[number, level] = split["border"]
        told = np.rint(np.array(tree["leaf_values"]) * scale * SCALE)
        answers[number, : len(told)] = np.clip(told, -32768, 32767)
    return Forest(features, borders, answers, round(bias * SCALE))
