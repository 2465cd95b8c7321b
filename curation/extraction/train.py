"""Trains the extractor on gold pages, and measures it on sites that it has not seen.

The pages of a site, or of a family of manuals, are all on one side: in each of the folds a forest
is grown from the pages of the other groups, and the held-out pages go through the whole extractor
with it. The model that is written has seen all pages.
"""

import hashlib
import platform
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from pydantic import Field

from curation import __version__
from curation.buffers import text_buffers
from curation.errors import DataError
from curation.extraction.fit import FitSettings, fit
from curation.extraction.gold import GoldPage, GoldSet
from curation.extraction.labels import Labelled, label_pages
from curation.extraction.measure import Score, score_texts
from curation.extraction.others import known_engines, texts_of
from curation.extraction.record import Confidence, ExtractorRecord, Scores, SetRecord
from curation.html.blocks import Lexicon
from curation.html.features import FEATURES
from curation.html.forest import Forest, save_forest
from curation.html.pages import CHOICE, Extractor, Knowledge
from curation.html.tokens import Names
from curation.manifest import installed_versions, write_json
from curation.shards import file_sha256

BOUNDS = (0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
"""Bounds of confidence in the record."""
LEAST_GROUPS = 5

Told = Callable[[str], None]


class TrainSettings(FitSettings):
    """All that decides a model and its scores, beside the gold."""

    folds: int = Field(default=5, ge=2, le=20)
    """Parts that the groups are measured in; the model does not depend on them."""
    repeats: int = Field(default=1, ge=1, le=20)
    """Seeds that it is measured with: this one and those after it. One forest tells its own luck,
    the mean of several what such forests do."""


class Found(NamedTuple):
    """The main text of a page, found by a model that has not seen its group."""

    text: str
    confidence: float
    fold: int


def train_extractor(
    sets: Sequence[GoldSet],
    out: Path,
    settings: TrainSettings,
    *,
    measure: bool = True,
    tell: Told = lambda _: None,
) -> ExtractorRecord:
    """Trains a model, and writes it with its record beside it.

    Args:
        sets: The gold.
        out: The model's file; `<out>.json` gets the record.
        settings: All else.
        measure: Cross-validates, and asks the other engines that are installed.
        tell: Is told what is being done.

    Raises:
        RecipeError: CatBoost is not installed.
        DataError: There are too few groups of pages to hold some of them out.
    """
    pages = [page for gold in sets for page in gold.pages]
    if measure and len({page.group for page in pages}) < LEAST_GROUPS:
        raise DataError(
            f"gold: {len(pages)} pages of {len({page.group for page in pages})} sites; expected "
            f"{LEAST_GROUPS} sites or more, to hold some out; add pages, or leave measuring out"
        )
    tell(f"reading and labelling {len(pages):,} pages")
    labelled = label_pages(pages)
    seeds = range(settings.seed, settings.seed + settings.repeats) if measure else ()
    found = [_held_out(labelled, _seeded(settings, seed), tell) for seed in seeds]
    tell("growing the forest")
    forest = fit(labelled, settings)
    out.parent.mkdir(parents=True, exist_ok=True)
    save_forest(out, forest)
    record = ExtractorRecord(
        model_sha256=file_sha256(out),
        model_bytes=out.stat().st_size,
        features=len(FEATURES),
        settings=settings.model_dump(mode="json"),
        versions={
            "curation": __version__,
            "python": platform.python_version(),
            **installed_versions(("catboost", "numpy", "trafilatura", "resiliparse")),
        },
        blocks=sum(int((page.weights > 0).sum()) for page in labelled),
        sets=list(_set_records(sets, found, settings, tell)),
        confidence=_confidence(pages, found),
    )
    write_json(out.with_name(f"{out.name}.json"), record)
    return record


def fold_of(group: str, folds: int) -> int:
    """Returns the fold in which a group is held out."""
    digest = hashlib.blake2b(group.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") % folds


def _seeded(settings: TrainSettings, seed: int) -> TrainSettings:
    return settings.model_copy(update={"seed": seed})


def _held_out(labelled: Sequence[Labelled], settings: TrainSettings, tell: Told) -> list[Found]:
    """Returns what is found on each page by a model that has not seen its group."""
    folds = [fold_of(one.page.group, settings.folds) for one in labelled]
    found: dict[int, Found] = {}
    for fold in range(settings.folds):
        tell(f"seed {settings.seed}, fold {fold + 1} of {settings.folds}")
        forest = fit([one for one, of in zip(labelled, folds, strict=True) if of != fold], settings)
        places = [place for place, of in enumerate(folds) if of == fold]
        texts = find_texts([labelled[place].page.html for place in places], forest)
        for place, (text, confidence) in zip(places, texts, strict=True):
            found[place] = Found(text, confidence, fold)
    return [found[place] for place in range(len(labelled))]


def find_texts(pages: Sequence[str], forest: Forest) -> Iterator[tuple[str, float]]:
    """Yields main text and confidence of pages by a forest."""
    extractor = Extractor(Knowledge(Names(), Lexicon(), forest, CHOICE))
    for page in pages:
        data = pa.array([page.encode("utf-8", "replace")], pa.large_binary())
        texts = extractor(*text_buffers(data.cast(pa.large_string())))
        yield texts.data.tobytes().decode(), float(texts.confidence[0])


def _set_records(
    sets: Sequence[GoldSet],
    found: Sequence[Sequence[Found]],
    settings: TrainSettings,
    tell: Told,
) -> Iterator[SetRecord]:
    starts = np.cumsum([0, *(len(gold.pages) for gold in sets)]).tolist()
    for gold, (begin, end) in zip(sets, pairwise(starts), strict=True):
        mine = [of_seed[begin:end] for of_seed in found]
        yield SetRecord(
            name=gold.name,
            kind=gold.pages[0].kind if gold.pages else "",
            files=gold.files,
            licence=gold.licence,
            pages=len(gold.pages),
            groups=len({page.group for page in gold.pages}),
            scores=_scores(gold.pages, mine),
            f1_by_seed=[
                scores.f1 for of_seed in mine if (scores := _scores(gold.pages, [of_seed]))
            ],
            folds=[_fold(gold.pages, mine, fold) for fold in range(settings.folds)] if mine else [],
            slices=_slices(gold.pages, mine),
            others=_others(gold.pages, tell) if mine else {},
        )


def _scores(pages: Sequence[GoldPage], found: Sequence[Sequence[Found]]) -> Scores | None:
    """Scores what the forests of all seeds found, each page once for each of them."""
    texts = [one.text for of_seed in found for one in of_seed]
    score = score_texts([*pages] * len(found), texts)
    return score and _recorded(score._replace(pages=len(pages)))


def _recorded(score: Score) -> Scores:
    precision, recall, f1 = (round(value, 4) for value in (score.precision, score.recall, score.f1))
    return Scores(pages=score.pages, precision=precision, recall=recall, f1=f1)


def _some(
    pages: Sequence[GoldPage], found: Sequence[Sequence[Found]], places: Sequence[int]
) -> Scores | None:
    """Scores the pages at some places."""
    chosen = [[of_seed[place] for place in places] for of_seed in found]
    return _scores([pages[place] for place in places], chosen)


def _fold(pages: Sequence[GoldPage], found: Sequence[Sequence[Found]], fold: int) -> Scores | None:
    return _some(pages, found, [place for place, one in enumerate(found[0]) if one.fold == fold])


def _slices(pages: Sequence[GoldPage], found: Sequence[Sequence[Found]]) -> dict[str, Scores]:
    names = sorted({name for page in pages for name in page.slices}) if found else []
    scored = {}
    for name in names:
        places = [place for place, page in enumerate(pages) if name in page.slices]
        scores = _some(pages, found, places)
        assert scores is not None
        scored[name] = scores
    return scored


def _others(pages: Sequence[GoldPage], tell: Told) -> dict[str, Scores]:
    scored = {}
    for engine in known_engines():
        tell(f"{engine} on {len(pages):,} pages")
        score = score_texts(pages, texts_of(engine, [page.html for page in pages]))
        if score is not None:
            scored[engine] = _recorded(score)
    return scored


def _confidence(pages: Sequence[GoldPage], found: Sequence[Sequence[Found]]) -> list[Confidence]:
    """Says how much worse pages are that the model is not sure of."""
    known = [
        (one.confidence, score.f1)
        for of_seed in found
        for page, one in zip(pages, of_seed, strict=True)
        if page.text and (score := score_texts([page], [one.text])) is not None
    ]
    if not known:
        return []
    sure, f1 = np.array(known).T
    return [
        Confidence(
            below=bound,
            share=round(float((sure < bound).mean()), 4),
            f1=_mean(f1[sure < bound]),
            f1_rest=_mean(f1[sure >= bound]),
        )
        for bound in BOUNDS
    ]


def _mean(values: np.ndarray) -> float | None:
    return round(float(values.mean()), 4) if len(values) else None
