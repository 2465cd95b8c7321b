"""The committed sample is what its table says, and shows what the demo is meant to show."""

import csv
import gzip
import hashlib
import importlib.util
import json
from collections import Counter
from pathlib import Path

import duckdb
import pytest

from curation.local import run_plan
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import load_recipe
from curation.sources import KINDS

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data" / "sample"
RECIPES = ROOT / "data" / "recipes"
LICENCES = {
    "CC-BY-4.0", "MIT", "PSF-2.0", "Linux-man-pages-copyleft", "BSD-3-Clause", "BSD-4-Clause-UC",
}  # fmt: skip


def table():
    with (SAMPLE / "LICENSES.tsv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def whole_files():
    return [row for row in table() if row["part"] == "all"]


def jsonl_names():
    return [row["file"] for row in whole_files() if row["file"].endswith(".jsonl.gz")]


def lines_of(name):
    with gzip.open(SAMPLE / name, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_web():
    source = KINDS["warc"](kind="warc", name="web", paths=("web.warc.gz",))
    skipped = Counter()
    shards = source.shards(source.files(SAMPLE))
    records = [
        record for shard in shards for split in shard for record in source.read(split, skipped)
    ]
    return records, skipped


@pytest.mark.parametrize("row", whole_files(), ids=lambda row: row["file"])
def test_table_states_each_file_as_it_is(row):
    content = (SAMPLE / row["file"]).read_bytes()
    assert len(content) == int(row["bytes"])
    assert hashlib.sha256(content).hexdigest() == row["sha256"]
    assert all(row[column] for column in ("source", "licence", "holder", "purpose"))


def test_table_names_every_data_file():
    found = {path.name for path in SAMPLE.iterdir() if path.suffix == ".gz"}
    assert found == {row["file"] for row in whole_files()}


def test_sample_is_small_enough_to_be_cloned():
    assert sum(path.stat().st_size for path in SAMPLE.iterdir()) < 6_000_000


@pytest.mark.parametrize("name", jsonl_names())
def test_domain_documents_name_source_and_licence(name):
    rows = lines_of(name)
    stated = next(row for row in whole_files() if row["file"] == name)
    assert len(rows) == int(stated["documents"])
    assert len({row["id"] for row in rows}) == len(rows)
    assert {row["licence"] for row in rows} <= LICENCES
    assert all(row["text"] and row["url"].startswith("http") and row["source"] for row in rows)


def test_manual_pages_carry_their_copyright():
    with (SAMPLE / "manpages_licences.tsv").open(encoding="utf-8") as file:
        notices = {row["name"]: row for row in csv.DictReader(file, delimiter="\t")}
    for row in lines_of("manpages.jsonl.gz"):
        notice = notices[row["meta"]["name"]]
        assert (row["licence"], row["meta"]["copyright"]) == (
            notice["licence"],
            notice["copyright"],
        )


def test_web_parts_cover_all_pages_of_the_archive():
    rows = [row for row in table() if row["file"] == "web.warc.gz"]
    whole, *parts = rows
    assert sum(int(row["documents"]) for row in parts) == int(whole["documents"])
    records, _ = read_web()
    for row in parts:
        pages = [record for record in records if (record.url or "").startswith(row["part"])]
        ids = {record.record_id for record in pages if record.error is None}
        assert len(ids) == int(row["documents"])


def test_web_has_what_a_crawl_has_besides_pages():
    records, skipped = read_web()
    errors = Counter(record.error for record in records if record.error)
    assert errors["http_status"] == 1  # a redirect
    assert errors["media_type"] == 1  # a script
    assert skipped["request"] == 1
    assert skipped["metadata"] == 1


def test_web_ends_in_a_truncated_record_that_is_seen():
    records, _ = read_web()
    assert records[-1].error is not None
    assert records[-1].text is None
    assert records[-1].offset + records[-1].length == (SAMPLE / "web.warc.gz").stat().st_size
    assert records[-2].error is None


def test_web_repeats_records_and_bodies():
    records, _ = read_web()
    ids = Counter(record.record_id for record in records)
    assert sum(count - 1 for count in ids.values()) == 2
    texts = Counter(record.text for record in records if record.text)
    assert sum(count - 1 for count in texts.values()) >= 12


def test_web_has_other_charsets_than_utf8():
    records, _ = read_web()
    charsets = Counter(record.meta["charset"] for record in records if record.text)
    assert charsets["euc-kr"] >= 5
    assert charsets["iso-8859-1"] + charsets["windows-1252"] >= 10


def test_every_recipe_can_be_planned():
    demo = make_plan(load_recipe(RECIPES / "demo.toml"))
    assert {name for name, _ in demo.inputs} == {
        "web", "medquad", "pubmedqa", "manpages", "python-docs",
    }  # fmt: skip
    override = f"sources.web.paths=['{SAMPLE}/web.warc.gz']"
    web = make_plan(load_recipe(RECIPES / "web.toml", [override]))
    assert [stage.kind for stage in web.recipe.stages] == [
        "extract", "normalize", "language", "gopher_quality", "exact_dedup",
        "minhash_dedup", "split",
    ]  # fmt: skip


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    plan = make_plan(load_recipe(RECIPES / "demo.toml"))
    return out, run_plan(plan, RunOptions(out=out, workers=2))


@pytest.mark.slow
def test_demo_rejects_for_every_reason_that_the_sample_was_made_for(demo):
    out, _ = demo
    found = duckdb.execute(
        "SELECT DISTINCT reason FROM read_parquet(?) WHERE verdict = 'rejected'",
        [f"{out}/audit/documents-*.parquet"],
    ).fetchall()
    assert {reason for (reason,) in found} >= {
        "truncated_record", "http_status", "media_type", "language",
        "language_probability", "few_words", "few_alpha_words", "few_stop_words", "repeated_id",
        "exact_duplicate", "near_duplicate",
    }  # fmt: skip


@pytest.mark.slow
def test_demo_accounts_for_every_document_and_keeps_enough_to_learn_from(demo):
    _, manifest = demo
    totals = manifest.totals
    domain = sum(int(row["documents"]) for row in whole_files() if row["file"] in jsonl_names())
    records, _ = read_web()
    assert totals.documents_in == domain + len(records)
    assert totals.documents_kept + totals.documents_rejected == totals.documents_in
    assert 3_000_000 < totals.text_bytes_kept < 8_000_000
    for name, count in manifest.sources.items():
        assert count.documents_kept >= 0.5 * (count.documents_kept + count.documents_rejected), name


@pytest.mark.slow
def test_demo_drops_no_duplicate_without_a_kept_twin(demo):
    # The kept one of equal texts may itself be near to a third, so links are followed to the end.
    out, _ = demo
    rows = duckdb.execute(
        "SELECT doc_id, verdict, reason, other_id FROM read_parquet(?)",
        [f"{out}/audit/documents-*.parquet"],
    ).fetchall()
    kept = {doc_id for doc_id, verdict, _, _ in rows if verdict == "kept"}
    links = {row[0]: row[3] for row in rows if row[2] in {"exact_duplicate", "near_duplicate"}}
    assert links
    for dropped in links:
        end = dropped
        for _ in range(3):
            end = links.get(end, end)
        assert end in kept, dropped


@pytest.mark.shared
def test_sample_can_be_made_again_from_the_full_data(tmp_path, shared_data):
    spec = importlib.util.spec_from_file_location("make_sample", ROOT / "data" / "make_sample.py")
    make_sample = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_sample)
    make_sample.main(shared_data, tmp_path)
    for row in whole_files():
        made, committed = tmp_path / row["file"], SAMPLE / row["file"]
        if made.suffixes[0] == ".jsonl":  # compressed bytes follow the zlib version, lines do not
            assert gzip.decompress(made.read_bytes()) == gzip.decompress(committed.read_bytes())
        else:
            assert made.read_bytes() == committed.read_bytes()
