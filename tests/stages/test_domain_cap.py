from collections import Counter

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from pydantic import ValidationError

from curation.answers import Applying
from curation.errors import SchemaError
from curation.local import run_plan
from curation.plan import make_plan, segments_of
from curation.recipe import load_recipe
from curation.runner import RunOptions
from curation.schema import DOCUMENT
from curation.shards import write_shard
from curation.stage import KeyShard, Scratch
from curation.stages.domain_cap import DomainCap
from tests.conftest import write_jsonl
from tests.stages.global_stage import FakeTexts, dealt, document, write_keys

URLS = [
    "http://www.a.co.uk/{}",
    "https://news.a.co.uk/{}",
    "http://b.example/{}",
    "http://[::1]/{}",
]


def cap(**options):
    return DomainCap(kind="domain_cap", **options)


def page(doc_id, url, *, source="web", worth=None):
    return {**document(doc_id, f"text {doc_id}"), "url": url, "source": source, "worth": worth}


def pages(number):
    return [
        page(f"d{k:03}", URLS[min(k % 5, 3)].format(k), worth=float(k % 7)) for k in range(number)
    ]


def decide(stage, shards, directory, **scratch):
    """The answers by doc_id, and which documents the rules reject."""
    directory.mkdir(parents=True, exist_ok=True)
    schema = DOCUMENT.append(pa.field("worth", pa.float64()))
    batches = [pa.RecordBatch.from_pylist(rows, schema=schema) for rows in shards]
    keys = []
    for number, batch in enumerate(batches):
        if batch.num_rows:
            keys.append(KeyShard(number, directory / f"keys-{number}.arrow"))
            write_keys(stage, batch, keys[-1].path)
    (directory / "scratch").mkdir()
    answer = stage.decide(keys, FakeTexts(batches), Scratch(directory / "scratch", **scratch))
    path = directory / "decisions.arrow"
    rejected, rows = {}, {}
    for number, batch in enumerate(batches):
        if batch.num_rows:
            upstream = directory / f"up-{number}.arrow"
            write_shard(upstream, pa.Table.from_batches([batch]))
            write_shard(path, answer.filter(pc.equal(answer.column("shard"), number)))
            for part, verdicts in Applying(upstream, [(stage, path)], batch_rows=4):
                names = part.column("doc_id").to_pylist()
                rows |= dict(zip(names, part.select(stage.writes().names).to_pylist(), strict=True))
                for found in verdicts.breaks:
                    rejected |= {names[row]: found.reason for row in found.rows}
    return rejected, rows


def kept(stage, shards, directory):
    rejected, _ = decide(stage, shards, directory)
    return sorted({row["doc_id"] for shard in shards for row in shard} - set(rejected))


def test_a_domain_keeps_as_many_as_it_may(tmp_path):
    rejected, rows = decide(cap(max_documents=3), [pages(20)], tmp_path)
    assert set(rejected.values()) == {"domain_cap"}
    left = Counter(row["url"].split("/")[2] for row in pages(20) if row["doc_id"] not in rejected)
    assert left["www.a.co.uk"] + left["news.a.co.uk"] == 3
    assert (left["b.example"], left["[::1]"]) == (3, 3)
    assert sorted(
        row["domain_cap_rank"] for row in rows.values() if row["domain_cap_domain"] == "a.co.uk"
    ) == list(range(1, 9))


def test_hosts_can_be_capped_instead(tmp_path):
    names = kept(cap(max_documents=1, by="host"), [pages(20)], tmp_path)
    assert len(names) == 4


def test_share_is_of_the_source_and_leaves_one(tmp_path):
    few = [page(f"x{k}", "http://c.example/", source="small") for k in range(3)]
    rejected, rows = decide(cap(max_share=0.2), [pages(20), few], tmp_path)
    assert set(rejected.values()) == {"domain_share"}
    assert sum(name.startswith("x") for name in rejected) == 2
    assert len([name for name in rejected if rows[name]["domain_cap_domain"] == "a.co.uk"]) == 4
    inside = [rows[name] for name in ("d002", "d007", "d012", "d017")]
    assert sorted(row["domain_cap_rank"] for row in inside) == [1, 2, 3, 4]
    assert {row["domain_cap_domain"] for row in inside} == {"b.example"}


@pytest.mark.parametrize("most", [1, 2, 5])
def test_ranks_tell_what_any_other_bound_would_do(tmp_path, most):
    shards = [pages(40)]
    _, rows = decide(cap(max_documents=1000), shards, tmp_path / "all")
    assert all(row["domain_cap_rank"] is not None for row in rows.values())
    expected = [name for name, row in rows.items() if row["domain_cap_rank"] <= most]
    assert kept(cap(max_documents=most), shards, tmp_path / "few") == sorted(expected)
    least = [name for name, row in rows.items() if row["domain_cap_share"] <= most / 40]
    assert kept(cap(max_share=most / 40), shards, tmp_path / "share") == sorted(least)


@pytest.mark.parametrize(("column", "kind"), [("text", "large_string"), ("created", "timestamp")])
def test_an_order_by_what_is_no_number_is_one_line(tmp_path, column, kind):
    message = f"order_by '{column}' holds {kind}.*; expected numbers; name a score column"
    with pytest.raises(SchemaError, match=message):
        decide(cap(max_documents=1, order_by=column), [pages(5)], tmp_path)


def test_sources_are_capped_by_themselves(tmp_path):
    shards = [
        [page(f"{source}{k}", "http://c.example", source=source) for k in range(4)]
        for source in "ab"
    ]
    names = kept(cap(max_documents=2), shards, tmp_path)
    assert Counter(name[0] for name in names) == {"a": 2, "b": 2}


@pytest.mark.parametrize(("best", "names"), [("highest", ["c", "d"]), ("lowest", ["a", "c"])])
def test_a_score_decides_who_stays(tmp_path, best, names):
    worth = {"a": 1.0, "b": None, "c": 2.0, "d": 3.0, "e": float("nan")}
    worth["c"] = 3.0 if best == "highest" else 2.0
    shard = [page(name, "http://c.example", worth=value) for name, value in worth.items()]
    stage = cap(max_documents=2, order_by="worth", best=best)
    assert kept(stage, [shard], tmp_path) == names


def test_documents_without_a_host_are_never_capped(tmp_path):
    shard = [page(f"d{k}", url) for k, url in enumerate([None, None, "mailto:a", "nothing", ""])]
    assert decide(cap(max_documents=1), [shard], tmp_path)[0] == {}
    assert decide(cap(max_documents=1), [[], []], tmp_path / "empty") == ({}, {})


def test_the_draw_depends_on_seed_and_id_alone(tmp_path):
    documents = pages(60)
    answers = [
        kept(cap(max_documents=5), dealt(documents, number, seed=number), tmp_path / str(number))
        for number in range(1, 5)
    ]
    assert all(answer == answers[0] for answer in answers)
    other = kept(cap(max_documents=5, seed=1), [documents], tmp_path / "other")
    assert len(other) == len(answers[0])
    assert other != answers[0]
    fewer = kept(cap(max_documents=4), [documents], tmp_path / "fewer")
    assert set(fewer) < set(answers[0])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "has no bound; set max_documents"),
        ({"max_share": 0}, "greater than 0"),
        ({"max_documents": 0}, "greater than or equal to 1"),
        ({"max_documents": 1, "suffix_list": "nowhere"}, "no such file"),
        ({"max_documents": 1, "suffix_digest": "0" * 64}, "but the file has"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        cap(**options)


RECIPE = """
name = "capped"
seed = 3
[[sources]]
name = "web"
kind = "jsonl"
paths = ["rows.jsonl"]
[[stages]]
kind = "url_filter"
block = ["bad.txt"]
[[stages]]
kind = "decontaminate"
evals = ["evals.jsonl"]
fields = ["question"]
[[stages]]
kind = "domain_cap"
max_documents = 4
order_by = "decontaminate_ngrams"
best = "lowest"
[[stages]]
kind = "exact_dedup"
"""


@pytest.mark.slow
def test_recipe_with_lists_evaluation_sets_and_cap_runs(tmp_path):
    question = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    rows = [{"id": str(k), "url": f"http://x{k}.a.example/", "text": f"page {k}"} for k in range(9)]
    rows += [{"id": "q", "url": "http://c.example/", "text": f"see: {question.upper()}?"}]
    rows += [{"id": "b", "url": "http://www.bad.example/", "text": "bad"}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    write_jsonl(tmp_path / "evals.jsonl", [{"id": "e7", "question": question}])
    (tmp_path / "bad.txt").write_text("bad.example\n")
    (tmp_path / "recipe.toml").write_text(RECIPE)
    loaded = load_recipe(tmp_path / "recipe.toml")
    assert [len(segment.decisions) for segment in segments_of(loaded.recipe)] == [0, 2, 1]
    run_plan(make_plan(loaded), RunOptions(out=tmp_path / "out", workers=1))
    found = duckdb.sql(
        "SELECT reason, value, bound, domain_cap_rank AS rank, decontaminate_id AS item "
        f"FROM '{tmp_path}/out/audit/documents-*.parquet'"
    )
    rows = found.to_arrow_table().to_pylist()
    reasons = Counter(row["reason"] for row in rows)
    assert reasons == {None: 4, "domain_cap": 5, "contaminated": 1, "blocked_domain": 1}
    assert {row["item"] for row in rows if row["reason"] == "contaminated"} == {"e7"}
    capped = [row for row in rows if row["reason"] == "domain_cap"]
    assert sorted(row["rank"] for row in capped) == list(range(5, 10))
    assert all((row["value"], row["bound"]) == (row["rank"], 4) for row in capped)
