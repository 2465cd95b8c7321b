"""Training the extractor: reproducible, measured on unseen sites, and of use to the stage."""

import json
from pathlib import Path

import numpy as np
import pytest

from curation.errors import DataError
from curation.extraction import train
from curation.extraction.fit import FitSettings, fit
from curation.extraction.gold import GoldSet, read_gold
from curation.extraction.labels import label_pages
from curation.extraction.record import ExtractorRecord
from curation.extraction.train import TrainSettings, find_texts, train_extractor
from curation.html.forest import load_forest
from curation.shards import file_sha256
from tests.extraction.factory import main_text_of, write_gold

pytest.importorskip("catboost", reason='needs: pip install "curation[train-extractor]"')

SMALL = TrainSettings(trees=12, depth=3, folds=3)


@pytest.fixture(scope="module")
def gold(tmp_path_factory: pytest.TempPathFactory) -> GoldSet:
    return read_gold(write_gold(tmp_path_factory.mktemp("gold"), "small", range(30)))


@pytest.fixture(scope="module")
def trained(
    gold: GoldSet, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, ExtractorRecord]:
    out = tmp_path_factory.mktemp("model") / "small.npz"
    return out, train_extractor([gold], out, SMALL)


def test_same_gold_and_settings_give_the_same_file(gold, trained, tmp_path):
    again = train_extractor([gold], tmp_path / "again.npz", SMALL, measure=False)
    assert (tmp_path / "again.npz").read_bytes() == trained[0].read_bytes()
    assert again.model_sha256 == trained[1].model_sha256 == file_sha256(trained[0])


def test_several_seeds_are_measured_and_the_first_is_written(gold, trained, tmp_path):
    settings = SMALL.model_copy(update={"repeats": 2})
    record = train_extractor([gold], tmp_path / "two.npz", settings)
    [one], [once] = record.sets, trained[1].sets
    assert len(one.f1_by_seed) == 2
    assert one.f1_by_seed[0] == once.f1_by_seed[0] == once.scores.f1
    assert one.scores.f1 == pytest.approx(sum(one.f1_by_seed) / 2, abs=2e-3)
    assert one.scores.pages == 30
    assert sum(fold.pages for fold in one.folds if fold) == 30
    assert record.model_sha256 == trained[1].model_sha256


def test_another_seed_gives_another_forest(gold, trained, tmp_path):
    settings = SMALL.model_copy(update={"seed": 2})
    other = train_extractor([gold], tmp_path / "other.npz", settings, measure=False)
    assert other.model_sha256 != trained[1].model_sha256


def test_main_text_of_unseen_sites_is_found(trained):
    _, record = trained
    [one] = record.sets
    assert one.scores is not None
    assert one.scores.f1 > 0.99
    assert (one.pages, one.groups) == (30, 10)
    assert sum(fold.pages for fold in one.folds if fold) == 30
    assert set(one.others) == {"trafilatura", "resiliparse"}
    assert set(one.slices) == {"short"}
    assert one.licence == "CC0-1.0"


def test_record_lies_beside_the_model(trained):
    out, record = trained
    beside = json.loads(out.with_name("small.npz.json").read_text())
    assert ExtractorRecord.model_validate(beside) == record
    assert [one.below for one in record.confidence] == [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert record.settings["trees"] == 12


def test_no_page_is_measured_by_a_forest_that_saw_its_site(gold, tmp_path, monkeypatch):
    seen: list[set[str]] = []
    measured: list[set[str]] = []
    groups = {page.html: page.group for page in gold.pages}

    def fit_and_tell(labelled, settings):
        seen.append({one.page.group for one in labelled})
        return fit(labelled, settings)

    def find_and_tell(pages, forest):
        measured.append({groups[page] for page in pages})
        return find_texts(pages, forest)

    monkeypatch.setattr(train, "fit", fit_and_tell)
    monkeypatch.setattr(train, "find_texts", find_and_tell)
    train_extractor([gold], tmp_path / "m.npz", SMALL)

    assert len(measured) == SMALL.folds
    assert set.union(*measured) == set(groups.values())
    assert all(not a & b for a, b in zip(seen[:-1], measured, strict=True))
    assert seen[-1] == set(groups.values())  # the model that is written has seen all


def test_forest_answers_as_catboost_does(gold, tmp_path):
    """The packed forest is compared with the library on every block of the training pages."""
    from catboost import CatBoost, Pool

    from curation.extraction.fit import _parameters
    from curation.html.forest import SCALE

    labelled = label_pages(gold.pages)
    settings = FitSettings(trees=20, depth=4)
    forest = fit(labelled, settings)
    values = np.concatenate([page.blocks.values for page in labelled])
    labels = np.concatenate([page.labels for page in labelled])
    weights = np.concatenate([page.weights for page in labelled])
    used = weights > 0
    model = CatBoost(_parameters(settings))
    model.fit(Pool(values[used], label=labels[used], weight=weights[used]))
    raw = model.predict(values[used], prediction_type="RawFormulaVal")
    ours = np.full(int(used.sum()), float(forest.bias))
    for features, borders, answers in zip(
        forest.features, forest.borders, forest.answers, strict=True
    ):
        bits = (values[used][:, features] > borders).astype(int)
        ours += answers[bits @ (1 << np.arange(len(features)))]
    assert np.abs(ours / SCALE - raw).max() < 0.5 * len(forest.answers) / SCALE + 1e-6


def test_written_model_is_read_back_and_used(trained, gold):
    texts = list(find_texts([page.html for page in gold.pages[:4]], load_forest(trained[0])))
    for (text, confidence), seed in zip(texts, range(4), strict=True):
        assert [line for line in text.split("\n") if line] == main_text_of(seed).split("\n")
        assert 0.5 < confidence <= 1


def test_too_few_sites_to_hold_any_out(tmp_path):
    small = read_gold(write_gold(tmp_path, "few", range(6)))
    with pytest.raises(DataError, match="6 pages of 2 sites; expected 5 sites or more"):
        train_extractor([small], tmp_path / "few.npz", SMALL)
    assert not (tmp_path / "few.npz").exists()
    train_extractor([small], tmp_path / "few.npz", SMALL, measure=False)
    assert (tmp_path / "few.npz").exists()
