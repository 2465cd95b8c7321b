"""The extractor on real pages: Lexbor's blocks, and main texts of sites that it has not seen."""

from collections import Counter
from itertools import islice
from pathlib import Path

import pytest

from curation.extraction.fit import fit
from curation.extraction.gold import GoldPage, read_archive, read_gold, read_templates
from curation.extraction.labels import label_pages
from curation.extraction.measure import score_texts
from curation.extraction.others import texts_of
from curation.extraction.record import ExtractorRecord
from curation.extraction.train import TrainSettings, find_texts, fold_of
from curation.html.pages import MODEL
from curation.html.reader import Reader
from curation.shards import file_sha256
from tests.html.lexbor import lexbor_blocks

GOLD = Path(__file__).resolve().parents[2] / "data" / "gold"


def agreement(archive: Path, most: int) -> float:
    """Share of blocks that the scan and Lexbor's tree have in common."""
    reader, same, total = Reader(), 0, 0
    for _, html in islice(read_archive(archive), most):
        ours = Counter(" ".join(text.split()) for text in reader.read(html.encode()).texts)
        theirs = Counter(lexbor_blocks(html))
        same += (ours & theirs).total()
        total += max(ours.total(), theirs.total())
    return same / total


def test_blocks_are_those_of_lexbor_on_the_committed_pages():
    assert agreement(GOLD / "more-gold.warc.gz", 300) >= 0.9995


@pytest.mark.slow
@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "floor"),
    [
        ("html-extraction/trafilatura-eval", 0.9999),
        ("html-extraction/scrapinghub-aeb", 0.9999),
        ("web-warc/DEBDOCS-SHARED-20250520-00000", 0.9999),
    ],
)
def test_blocks_are_those_of_lexbor(shared_data, name, floor):
    assert agreement(shared_data / f"{name}.warc.gz", 400) >= floor


def test_record_is_of_the_model_that_is_shipped():
    record = ExtractorRecord.model_validate_json(Path(f"{MODEL}.json").read_text())
    assert record.model_sha256 == file_sha256(MODEL)
    assert record.model_bytes == MODEL.stat().st_size < 50_000


def test_record_names_the_gold_that_is_committed():
    record = ExtractorRecord.model_validate_json(Path(f"{MODEL}.json").read_text())
    files = {name: digest for one in record.sets for name, digest in one.files.items()}
    for name in ("more-gold.gold.jsonl", "more-gold.warc.gz", "documentation.toml"):
        assert files[name] == file_sha256(GOLD / name), name


BARS = {"scrapinghub-aeb": 0.945, "trafilatura-eval": 0.935, "documentation": 0.95}


def test_recorded_scores_hold_the_bars():
    record = ExtractorRecord.model_validate_json(Path(f"{MODEL}.json").read_text())
    scores = {one.name: one.scores for one in record.sets}
    for name, bar in BARS.items():
        assert scores[name] is not None
        assert scores[name].f1 >= bar, name
    assert set(BARS) < set(scores)


@pytest.mark.slow
@pytest.mark.shared
def test_unseen_sites_are_extracted_better_than_by_resiliparse(shared_data):
    """One of the five folds of the record, grown anew with half of the trees."""
    pytest.importorskip("catboost", reason='needs: pip install "curation[train-extractor]"')
    public = shared_data / "html-extraction"
    archives = sorted((shared_data / "web-warc").glob("*.warc.gz"))
    sets = [
        read_gold(public / "scrapinghub-aeb.gold.jsonl"),
        read_gold(public / "trafilatura-eval.gold.jsonl"),
        read_templates(GOLD / "documentation.toml", archives),
    ]
    labelled = label_pages([page for gold in sets for page in gold.pages])
    seen = [one for one in labelled if fold_of(one.page.group, 5) != 0]
    forest = fit(seen, TrainSettings(trees=150))

    def scores(pages: list[GoldPage]) -> tuple[float, float]:
        ours = [text for text, _ in find_texts([page.html for page in pages], forest)]
        theirs = texts_of("resiliparse", [page.html for page in pages])
        return score_texts(pages, ours).f1, score_texts(pages, theirs).f1

    for gold, floor in zip(sets, (0.92, 0.915, 0.95), strict=True):
        ours, theirs = scores([page for page in gold.pages if fold_of(page.group, 5) == 0])
        assert ours >= floor, gold.name
        assert ours > theirs, gold.name
