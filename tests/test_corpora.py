"""Whole runs over real corpora whose ground truth is known."""

from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from curation import audit
from curation.local import run_plan
from curation.manifest import Manifest, read_manifest
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, load_recipe, parse_recipe
from curation.shards import read_shard
from curation.stage import BatchStage
from curation.stages.line_dedup import LineDedup

pytestmark = [pytest.mark.slow, pytest.mark.shared]

ROOT = Path(__file__).resolve().parents[1]
PAGES = 8_681

# What Debian's manuals put on a quarter of their pages or more, read line by line.
FURNITURE = {
    "Cette page documente LilyPond-2.24.1 (branche stable).",
    "Contributing to Rsyslog:",
    "Copyright 2008-2020 Rainer Gerhards (Großrinderfeld), and Others.",
    "Documentation: rsyslog-doc project README",
    "GitHub: rsyslog source project - detailed questions, reporting issues that are believed to "
    "be bugs with Rsyslog",
    "Help with configuring/using Rsyslog:",
    "Mailing list - best route for general questions",
    "Part of the git(1) suite",
    "Source project: rsyslog project README.",
    "Stack Exchange (View, Ask) - experimental support from rsyslog community",
}
"""Lines that the extractor leaves and that `line_dedup` cuts; each was read."""


def run(recipe: LoadedRecipe, out: Path) -> Manifest:
    return run_plan(make_plan(recipe), RunOptions(out, workers=2))


def documents(out: Path) -> pa.Table:
    files = sorted((out / "audit").glob("documents-*.parquet"))
    return pa.concat_tables([pq.read_table(path) for path in files], promote_options="default")


def texts(out: Path) -> dict[str, str]:
    """Texts of kept and rejected documents, by doc_id."""
    shards = [read_shard(path, ["doc_id", "text"]) for path in sorted((out / "shards").iterdir())]
    files = sorted((out / "audit").glob("rejected-*.parquet"))
    table = pa.concat_tables([*shards, *[pq.read_table(path) for path in files]])
    return dict(zip(table["doc_id"].to_pylist(), table["text"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def pages(shared_data: Path) -> pa.Table:
    return pq.read_table(next((shared_data / "web-warc").glob("*.meta.parquet")))


@pytest.fixture(scope="module")
def web(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The web recipe over a real folder of archives."""
    out = tmp_path_factory.mktemp("web")
    override = f"sources.web.paths=['{shared_data}/web-warc/*.warc.gz']"
    recipe = load_recipe(ROOT / "data" / "recipes" / "web.toml", [override])
    # In a process of its own: steps of one item run in the caller, whose memory is measured, too.
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
        alone.submit(run, recipe, out).result()
    return out


def test_every_page_is_accounted_for(web: Path) -> None:
    totals = read_manifest(web).totals
    assert totals.documents_in == PAGES
    assert totals.documents_kept + totals.documents_rejected == PAGES
    assert totals.documents_kept > 6_500
    assert audit.verify(web) == []
    assert read_manifest(web).peak_rss_bytes < 1.5e9


def test_languages_are_those_of_the_whole_visible_text(web: Path, pages: pa.Table) -> None:
    table = documents(web).select(["record_id", "language_label"])
    joined = table.join(pages.select(["record_id", "lid176_label", "text_chars"]), "record_id")
    assert joined.num_rows == PAGES
    long = joined.filter(pc.greater_equal(joined["text_chars"], 1000))
    long = long.filter(pc.is_valid(long["language_label"]))
    labels = pc.replace_substring(long["lid176_label"], "__label__", "")
    share = pc.mean(pc.equal(long["language_label"], labels).cast(pa.float64())).as_py()
    assert long.num_rows > 6_700
    assert share >= 0.97


def test_repeated_pages_go_with_a_kept_twin_of_the_same_text(
    shared_data: Path, pages: pa.Table, tmp_path: Path
) -> None:
    recipe = parse_recipe(
        {
            "name": "exact",
            "sources": [
                {"name": "web", "kind": "warc", "paths": [f"{shared_data}/web-warc/*.warc.gz"]}
            ],
            "stages": [{"kind": "extract"}, {"kind": "exact_dedup"}],
        }
    )
    assert run(LoadedRecipe(recipe, tmp_path), tmp_path).totals.documents_in == PAGES
    rows = {row["record_id"]: row for row in documents(tmp_path).to_pylist()}
    by_id = {row["doc_id"]: row for row in rows.values()}
    found = texts(tmp_path)
    groups: dict[str, list[dict[str, Any]]] = {}
    for page in pages.select(["record_id", "dup_of_body", "body_sha256"]).to_pylist():
        groups.setdefault(page["body_sha256"], []).append(rows[page["record_id"]])
    repeated = [group for group in groups.values() if len(group) > 1]
    assert sum(len(group) - 1 for group in repeated) == 298
    marked = pages.filter(pc.is_valid(pages["dup_of_body"]))["record_id"].to_pylist()
    assert len(marked) == 298
    for record_id in marked:
        assert rows[record_id]["reason"] == "exact_duplicate"
        assert by_id[rows[record_id]["other_id"]]["verdict"] == "kept"
    for group in repeated:
        kept = [row for row in group if row["verdict"] == "kept"]
        assert len(kept) <= 1
        for row in group:
            if row["reason"] == "exact_duplicate":
                assert by_id[row["other_id"]]["verdict"] == "kept"
            else:
                assert row["verdict"] == "kept" or row["reason"] == "extract_empty"
    duplicates = [row for row in rows.values() if row["reason"] == "exact_duplicate"]
    assert len(duplicates) >= 290
    for row in duplicates:
        assert found[row["doc_id"]] == found[row["other_id"]]


def test_arc_and_warc_of_one_crawl_give_the_same_documents(
    shared_data: Path, tmp_path: Path
) -> None:
    kept: dict[str, list[tuple[str, str]]] = {}
    for suffix in ("arc", "warc"):
        path = shared_data / "warc-real" / f"ia-IAH-20080430204825-blackbook.{suffix}.gz"
        values = {
            "name": "crawl",
            "sources": [{"name": "web", "kind": "warc", "paths": [str(path)]}],
            "stages": [{"kind": "extract"}, {"kind": "normalize"}, {"kind": "exact_dedup"}],
        }
        out = tmp_path / suffix
        manifest = run(LoadedRecipe(parse_recipe(values), tmp_path), out)
        assert manifest.totals.documents_in == 299
        shards = [read_shard(file, ["url", "text"]) for file in (out / "shards").iterdir()]
        kept[suffix] = sorted(
            (row["text"], row["url"]) for row in pa.concat_tables(shards).to_pylist()
        )
    assert len(kept["arc"]) > 80
    assert [text for text, _ in kept["arc"]] == [text for text, _ in kept["warc"]]


def test_near_duplicates_of_three_manual_versions(shared_data: Path, tmp_path: Path) -> None:
    """Every removed document has a kept one at 0.8; of near pairs not one in a hundred survives."""
    corpus = shared_data / "near-dup" / "pydoc-versions.parquet"
    values = {
        "name": "pydoc",
        "sources": [{"name": "pydoc", "kind": "parquet", "paths": [str(corpus)]}],
        "stages": [{"kind": "minhash_dedup", "threshold": 0.8, "recall": 0.99}],
    }
    run(LoadedRecipe(parse_recipe(values), tmp_path), tmp_path)
    rows = documents(tmp_path).to_pylist()
    record_of = {row["doc_id"]: row["record_id"] for row in rows}
    kept = {row["record_id"] for row in rows if row["verdict"] == "kept"}
    pairs = pq.read_table(shared_data / "near-dup" / "pydoc-pairs.parquet").to_pylist()
    jaccard = {frozenset((pair["id_a"], pair["id_b"])): pair["jaccard"] for pair in pairs}
    removed = [row for row in rows if row["reason"] == "near_duplicate"]
    assert len(rows) == 1_487
    assert len(removed) > 550
    for row in removed:
        twin = record_of[row["other_id"]]
        assert twin in kept
        exact = jaccard[frozenset((row["record_id"], twin))]
        assert exact >= 0.8
        assert row["similarity"] == pytest.approx(exact, abs=1e-9)
    near = [pair for pair, value in jaccard.items() if value >= 0.8]
    together = sum(pair <= kept for pair in near)
    assert len(near) == 854
    assert together <= 0.01 * len(near)


def test_furniture_of_sites_goes_and_nothing_else(
    shared_data: Path, web: Path, tmp_path: Path
) -> None:
    """Every line that is cut was read: footers, navigation, names of the manual; no prose."""
    override = f"sources.web.paths=['{shared_data}/web-warc/*.warc.gz']"
    recipe, base = load_recipe(ROOT / "data" / "recipes" / "web.toml", [override])
    scored = tuple(stage for stage in recipe.stages if isinstance(stage, BatchStage))[:-1]
    changed = recipe.model_copy(update={"stages": (*scored, LineDedup())})
    loaded, work = LoadedRecipe(changed, base), web / "work"
    run_plan(make_plan(loaded), RunOptions(tmp_path, work=work, workers=2))
    assert audit.verify(tmp_path) == []
    before = {
        row["doc_id"]: row["text"]
        for path in work.glob("00-*/kept-*.arrow")
        for row in read_shard(path, ["doc_id", "text"]).to_pylist()
    }
    cut: Counter[str] = Counter()
    for row in documents(tmp_path).to_pylist():
        for span in row["line_dedup_cut_spans"] or ():
            lines = before[row["doc_id"]][span["start"] : span["end"]].splitlines()
            cut.update(line.strip() for line in lines if line.strip())
            assert span["kept_in"] != row["doc_id"]
    assert set(cut) <= FURNITURE
    assert len(cut) >= 8
    assert sum(cut.values()) > 2_500
    assert 5 <= read_manifest(tmp_path).stages[-1].rejects["mostly_boilerplate"] <= 40
