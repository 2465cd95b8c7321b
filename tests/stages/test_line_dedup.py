"""Lines that documents share: against brute force, rule by rule, and through whole runs."""

import tempfile
from collections import Counter, defaultdict
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation import audit
from curation.boilerplate import CUT
from curation.errors import RecipeError, SchemaError
from curation.plan import segments_of
from curation.recipe import LoadedRecipe, parse_recipe
from curation.schema import DOCUMENT
from curation.shards import read_shard
from curation.stages.line_dedup import LineDedup, hosts
from curation.text.cuts import plain_cut
from curation.text.units import Fold, plain_fold, plain_units
from tests.conftest import write_jsonl
from tests.stages.global_stage import dealt, decide, document
from tests.test_runner import outputs, run_here

MENU = "Home | Products | About us | Contact"
NOTICE = "Copyright by the people of this site."
HOSTS = [None, "https://www.a.example/1", "http://A.example:8080/2", "https://b.example/3"]


def _page(number, text, *, url="https://a.example/", created=None):
    return document(f"d{number:03}", text, created=created) | {"url": url}


def _site(count, *, share=1.0, url="https://a.example/"):
    """Pages with a text of their own below the menu."""
    return [
        _page(k, (f"{MENU}\n\n" if k < share * count else "") + f"Story number {k}.", url=url)
        for k in range(count)
    ]


def _applied(stage, shards, directory, **scratch):
    """Returns what became of each document: doc_id to its columns."""
    rows = {row["doc_id"]: row for row in decide(stage, shards, directory, **scratch)}
    found = {}
    for shard in shards:
        batch = pa.RecordBatch.from_pylist(shard, schema=DOCUMENT)
        cuts = [rows.get(doc["doc_id"], {"cut": None})["cut"] for doc in shard]
        answer = pa.RecordBatch.from_arrays([pa.array(cuts, pa.list_(CUT))], ["cut"])
        columns = dict(stage.apply(batch, answer))
        assert list(columns) == stage.writes().names
        values = {
            name: pa.array(columns[name]).cast(stage.writes().field(name).type).to_pylist()
            for name in columns
        }
        for k, doc in enumerate(shard):
            found[doc["doc_id"]] = {name: values[name][k] for name in values}
    return found


def _texts(stage, documents, directory):
    found = _applied(stage, [documents], directory)
    return [found[doc["doc_id"]]["text"] for doc in documents]


def _host(url):
    return hosts(pa.array([url], pa.string()))[0].as_py()


def _scope(doc, scope):
    return {"host": _host(doc["url"]), "source": doc["source"], "all": ""}[scope]


def _units(doc, stage):
    """Returns the content of each unit, and what it is compared as; None for short ones."""
    units = plain_units(doc["text"], paragraphs=stage.unit == "paragraph")
    contents = [unit.text.strip() for unit in units]
    fold = Fold(stage.fold_case, stage.fold_digits)
    long = [len(c) >= stage.min_chars and len(c.split()) >= stage.min_words for c in contents]
    return contents, [
        plain_fold(c, fold) if ok else None for c, ok in zip(contents, long, strict=True)
    ]


def brute_force(documents, stage):
    """What becomes of each document, from the definition: text, units cut, and who keeps them."""
    holders, members = defaultdict(set), Counter()
    for doc in documents:
        scope = _scope(doc, stage.scope)
        if scope is not None:
            members[scope] += 1
            for key in _units(doc, stage)[1]:
                holders[scope, key].add(doc["doc_id"])
    bounds = stage.bounds
    often = {
        (scope, key)
        for (scope, key), who in holders.items()
        if key is not None and len(who) >= max(bounds.documents, bounds.share * members[scope])
    }
    kept, first, result = Counter(), {}, {}
    for doc in sorted(documents, key=lambda d: (str(d["created"] or "x"), d["doc_id"])):
        contents, keys = _units(doc, stage)
        named = [(_scope(doc, stage.scope), key) for key in keys]
        cut = [k for k, key in enumerate(named) if key in often and kept[key] >= stage.keep_first]
        total = sum(map(len, contents))
        ratio = sum(len(contents[k]) for k in cut) / max(total, 1)
        keepers = [first.get(named[k]) for k in cut]
        if ratio <= stage.max_cut:
            for key in {key for k, key in enumerate(named) if k not in cut} & often:
                kept[key] += 1
                first.setdefault(key, doc["doc_id"])
        new = plain_cut(doc["text"], set(cut), paragraphs=stage.unit == "paragraph")
        result[doc["doc_id"]] = (doc["text"] if ratio > stage.max_cut else new, ratio, keepers)
    return result


LINES = [
    MENU,
    MENU.upper(),
    NOTICE,
    "Page 1 of 2",
    "page 2 of 12",
    "x",
    "} ",
    "\u039f\u0394\u039f\u03a3",
    "",
    " ",
]
texts = st.lists(st.sampled_from(LINES) | st.text("ab \n\u3000\u00e9", max_size=6), max_size=6)
stages = st.builds(
    LineDedup,
    unit=st.sampled_from(["line", "paragraph"]),
    scope=st.sampled_from(["host", "source", "all"]),
    min_documents=st.integers(3, 4),
    min_share=st.sampled_from([None, 0.0, 0.5]),
    keep_first=st.integers(0, 2),
    min_chars=st.sampled_from([1, 5]),
    min_words=st.sampled_from([1, 2]),
    fold_case=st.booleans(),
    fold_digits=st.booleans(),
    max_cut=st.sampled_from([0.3, 0.9]),
)


@settings(deadline=None, max_examples=25)
@given(
    stages,
    st.lists(st.tuples(texts, st.sampled_from(HOSTS), st.integers(2019, 2021)), max_size=14),
    st.integers(1, 3),
)
def test_answer_equals_brute_force_however_documents_are_dealt(stage, pages, shards):
    documents = [
        _page(k, "\n".join(lines), url=url, created=year if year > 2019 else None)
        for k, (lines, url, year) in enumerate(pages)
    ]
    with tempfile.TemporaryDirectory() as name:
        found = _applied(stage, dealt(documents, shards, seed=shards), Path(name))
    for doc_id, (text, ratio, keepers) in brute_force(documents, stage).items():
        row = found[doc_id]
        assert row["text"] == text
        assert row["line_dedup_cut_ratio"] == ratio
        assert row["line_dedup_cut_units"] == len(keepers)
        spans = [span["kept_in"] for span in row["line_dedup_cut_spans"]]
        assert [kept for k, kept in enumerate(keepers) if k == 0 or kept != keepers[k - 1]] == [
            kept for k, kept in enumerate(spans) if k == 0 or kept != spans[k - 1]
        ]


def test_menu_goes_from_all_pages_but_the_first(tmp_path):
    site = _site(12)
    texts = _texts(LineDedup(), site, tmp_path)
    assert texts == [site[0]["text"], *(f"Story number {k}." for k in range(1, 12))]


def test_little_memory_changes_nothing(tmp_path):
    site = _site(40)
    much = _applied(LineDedup(), [site], tmp_path / "much")
    assert much == _applied(LineDedup(), dealt(site, 3, seed=2), tmp_path / "none", memory_bytes=0)


def test_keeping_none_leaves_nothing_of_it(tmp_path):
    site = _site(12)
    stage = LineDedup(keep_first=0)
    assert _texts(stage, site, tmp_path) == [f"Story number {k}." for k in range(12)]
    row = _applied(stage, [site], tmp_path)["d000"]
    assert row["line_dedup_cut_spans"] == [{"start": 0, "end": len(MENU), "kept_in": None}]


@pytest.mark.parametrize(
    ("documents", "options"),
    [
        (_site(9), {}),  # too few documents
        (_site(50, share=0.2), {}),  # too small a share of the host
        (_site(12), {"min_chars": len(MENU) + 1}),
        (_site(12), {"min_words": 9}),
        (_site(12, url=None), {}),  # of no host
        (
            _site(6)
            + [
                page | {"doc_id": f"e{k}"}
                for k, page in enumerate(_site(6, url="https://b.example/"))
            ],
            {},
        ),
    ],
)
def test_what_is_no_boilerplate_stays(documents, options, tmp_path):
    assert decide(LineDedup(**options), [documents], tmp_path) == []


def test_a_line_of_two_pages_of_one_document_counts_once(tmp_path):
    pages = [_page(k, f"{MENU}\n" * 5 + f"Story {k}") for k in range(5)]
    assert decide(LineDedup(), [pages], tmp_path) == []


def test_a_scope_that_holds_no_names_is_one_line(tmp_path):
    with pytest.raises(SchemaError, match=r"line_dedup: scope 'origin' holds struct<.*; expected"):
        _texts(LineDedup(scope="origin"), _site(12), tmp_path)


def test_source_and_any_column_can_be_the_scope(tmp_path):
    site = [page | {"url": None} for page in _site(12)]
    assert _texts(LineDedup(scope="source"), site, tmp_path)[1] == "Story number 1."
    assert LineDedup(scope="language_label").reads() >= {"text", "created", "language_label"}
    recipe = {
        "name": "x",
        "sources": [{"name": "a", "kind": "jsonl", "paths": ["a.jsonl"]}],
        "stages": [{"kind": "line_dedup", "scope": "language_label"}],
    }
    with pytest.raises(RecipeError, match="line_dedup needs column 'language_label'"):
        parse_recipe(recipe)


def test_a_page_that_loses_too_much_is_rejected_with_its_whole_text(tmp_path):
    site = [*_site(12), _page(50, f"{MENU}\nok"), _page(51, f"\n{MENU}")]
    stage = LineDedup(max_cut=0.9)
    found = _applied(stage, [site], tmp_path)
    assert stage.rules() == (("mostly_boilerplate", "line_dedup_cut_ratio", None, 0.9),)
    assert found["d050"]["text"] == f"{MENU}\nok"
    assert found["d050"]["line_dedup_cut_ratio"] == len(MENU) / (len(MENU) + 2)
    assert found["d051"]["text"] == f"\n{MENU}"
    assert found["d051"]["line_dedup_cut_ratio"] == 1
    assert found["d011"]["line_dedup_cut_ratio"] < 0.9


def test_the_document_that_keeps_a_line_is_one_that_stays(tmp_path):
    """The second page would be the one to keep the notice, but it loses nearly all it has."""
    pages = [*_site(1), _page(1, f"{MENU}\n{NOTICE}")]
    pages += [_page(k, f"{MENU}\n{NOTICE}\nStory {k}, which is long") for k in range(2, 14)]
    found = _applied(LineDedup(max_cut=0.45), [pages], tmp_path)
    assert found["d001"]["line_dedup_cut_ratio"] > 0.45
    assert found["d001"]["text"] == f"{MENU}\n{NOTICE}"
    assert found["d002"]["text"].startswith(NOTICE)
    kept_in = [span["kept_in"] for span in found["d003"]["line_dedup_cut_spans"]]
    assert kept_in == ["d000", "d002"]


def test_a_huge_line_and_foreign_scripts(tmp_path):
    huge = "\u4e2d\u6587 \U0001f600" * 100_000
    site = [_page(k, f"{huge}\n\u00dcber uns {k} und alle anderen Seiten dazu") for k in range(10)]
    texts = _texts(LineDedup(max_cut=0.9999999), site, tmp_path)
    assert texts[0] == site[0]["text"]
    assert texts[9] == "\u00dcber uns 9 und alle anderen Seiten dazu"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://www.example.org/a", "example.org"),
        ("HTTP://User:pw@Example.ORG.:80", "example.org"),
        ("//cdn.example.org/x", "cdn.example.org"),
        ("http://[::1]:80/", "[::1]"),
        ("http://a:b@c@www.www.example.org?x//y", "www.example.org"),
        ("https://B\u00dcCHER.example/", "b\u00fccher.example"),
        ("http://...", None),
        ("https:///path", None),
        ("http://[::1", None),
        ("mailto:a@example.org", None),
        ("", None),
        (None, None),
    ],
)
def test_hosts(url, host):
    assert _host(url) == host


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep_first": 10}, "keep_first is 10 and min_documents is 10.*expected"),
        ({"max_cut": 1}, "max_cut\n  Input should be less than 1"),
        ({"min_documents": 1}, "min_documents\n  Input should be greater than or equal to 2"),
        ({"unit": "word"}, "unit\n  Input should be 'line' or 'paragraph'"),
        ({"min_share": 25}, "min_share\n  Input should be less than or equal to 1"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        LineDedup(**options)


FIELDS = {"id": "id", "text": "text", "url": "url"}
SOURCE = {"kind": "jsonl", "fields": FIELDS, "split_bytes": 1024}


def _recipe(directory, *stages, **source):
    site = [
        {
            "id": str(k),
            "text": f"{MENU}\r\n\r\nStory number {k % 9}.",
            "url": f"https://a.example/{k}",
        }
        for k in range(18)
    ]
    site.append({"id": "hollow", "text": MENU, "url": "https://a.example/hollow"})
    write_jsonl(directory / "a.jsonl", site)
    write_jsonl(directory / "b.jsonl", [row | {"id": f"b{row['id']}"} for row in site])
    values = {
        "name": "site",
        "sources": [
            {**SOURCE, "name": "a", "paths": ["a.jsonl"], **source},
            {**SOURCE, "name": "b", "paths": ["b.jsonl"]},
        ],
        "stages": [{"kind": "line_dedup", "sources": ["a"], "name": "site"}, *stages],
        "output": {"shards": 1},
    }
    return LoadedRecipe(parse_recipe(values), directory)


def _kept(out):
    table = pa.concat_tables(read_shard(path) for path in sorted((out / "shards").iterdir()))
    return {row["record_id"]: row for row in table.to_pylist()}


def test_a_run_cuts_counts_and_explains(tmp_path):
    manifest, _ = run_here(_recipe(tmp_path), tmp_path / "out")
    [stage] = [stage for stage in manifest.stages if stage.name == "site"]
    assert stage.rejects == {"mostly_boilerplate": 1}
    assert manifest.rules["site"][0]["column"] == "site_cut_ratio"
    assert audit.verify(tmp_path / "out") == []
    kept = _kept(tmp_path / "out")
    whole = [key for key, row in kept.items() if row["source"] == "a" and MENU in row["text"]]
    assert len(whole) == 1
    assert all(MENU in row["text"] for row in kept.values() if row["source"] == "b")
    assert {row["site_cut_ratio"] for row in kept.values() if row["source"] == "b"} == {None}
    [route] = audit.trace(tmp_path / "out", "hollow")
    assert route.document["reason"] == "mostly_boilerplate"
    assert (route.document["value"], route.document["bound"]) == (1.0, 0.8)
    assert route.document["other_id"] is route.document["similarity"] is None
    assert route.document["site_cut_spans"][0]["kept_in"] == kept[whole[0]]["doc_id"]
    [rejected] = audit.sample(tmp_path / "out", 5, rejected="mostly_boilerplate")
    assert rejected["text"] == MENU


def test_later_global_stages_see_the_texts_that_are_left(tmp_path):
    loaded = _recipe(tmp_path, {"kind": "exact_dedup", "sources": ["a"]})
    assert [
        [stage.kind for stage in segment.decisions] for segment in segments_of(loaded.recipe)
    ] == [
        [],
        ["unique_id", "line_dedup"],
        ["exact_dedup"],
    ]
    manifest, _ = run_here(loaded, tmp_path / "out")
    [stage] = [stage for stage in manifest.stages if stage.name == "exact_dedup"]
    assert stage.rejects == {"exact_duplicate": 8}
    assert audit.verify(tmp_path / "out") == []


def test_batches_and_splits_do_not_matter(tmp_path):
    run_here(_recipe(tmp_path), tmp_path / "one")
    run_here(_recipe(tmp_path), tmp_path / "two", batch_rows=1)
    assert outputs(tmp_path / "one") == outputs(tmp_path / "two")
    run_here(_recipe(tmp_path, split_bytes=100_000), tmp_path / "three")
    shards = [
        (tmp_path / name / "shards" / "train-00000-of-00001.arrow") for name in ("one", "three")
    ]
    assert shards[0].read_bytes() == shards[1].read_bytes()
