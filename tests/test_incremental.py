"""What is new is all the work there is: more files, more sources, a dataset on top of another."""

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import audit
from curation.errors import DriftError, RecipeError
from curation.manifest import Manifest, Record, read_manifest
from curation.passes import RunOptions
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import finished
from curation.shards import read_shard
from tests.conftest import write_jsonl
from tests.test_runner import make_texts, outputs, run_here

DEDUP = ({"kind": "exact_dedup"}, {"kind": "minhash_dedup"})


def recipe(directory: Path, sources: dict[str, list[str]], *stages: dict[str, Any]) -> LoadedRecipe:
    values = {
        "name": "growing",
        "seed": 3,
        "sources": [
            {"name": name, "kind": "jsonl", "paths": paths, "split_bytes": 9000}
            for name, paths in sources.items()
        ],
        "stages": [{"kind": "normalize"}, *(stages or DEDUP)],
    }
    return LoadedRecipe(parse_recipe(values), directory)


def months(seed: int) -> tuple[list[str], list[str]]:
    """Two months of texts with copies within and across, exact and edited, and chains of edits."""
    rng = random.Random(seed)
    old = make_texts(60, seed)
    new = make_texts(30, seed + 100)
    for number in range(40):
        words = rng.choice([*old, *new[30:]]).split()
        for _ in range(rng.choice([0, 0, 1, 4, 6])):
            words[rng.randrange(len(words))] = f"edit{number}"
        new.append(" ".join(words))
    return old, new


def write_month(path: Path, texts: list[str], start: int) -> None:
    rows = [{"id": f"{path.stem}-{start + k}", "text": text} for k, text in enumerate(texts)]
    write_jsonl(path, rows)


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("months")
    old, new = months(1)
    write_month(directory / "old.jsonl", old, 0)
    write_month(directory / "new.jsonl", new, 0)
    write_month(directory / "added.jsonl", make_texts(30, 9), 0)
    return directory


def segment_work(records: list[Record]) -> list[Record]:
    """The records of the first segment and of keys: work on one shard alone."""
    return [
        record for record in records if any(n.startswith(("kept", "keys")) for n in record.files)
    ]


@pytest.mark.parametrize(
    "sources",
    [
        {"a": ["old.jsonl"], "between": ["added.jsonl"], "z": ["new.jsonl"]},
        {"a": ["added.jsonl", "old.jsonl"], "z": ["new.jsonl"]},
    ],
    ids=["a source in between", "a file in between"],
)
def test_a_run_with_more_input_reads_only_that(
    corpus: Path, tmp_path: Path, sources: dict[str, list[str]]
) -> None:
    before = {"a": ["old.jsonl"], "z": ["new.jsonl"]}
    _, records = run_here(recipe(corpus, before), tmp_path / "grown")
    read = sum(any(s.kind == "read" for s in r.stages) for r in records)
    _, records = run_here(recipe(corpus, sources), tmp_path / "grown")
    run_here(recipe(corpus, sources), tmp_path / "clean")
    assert outputs(tmp_path / "grown") == outputs(tmp_path / "clean")
    reading = [record for record in records if any(s.kind == "read" for s in record.stages)]
    assert sum(record.reused for record in reading) == read
    assert 1 <= sum(not record.reused for record in reading) <= 3
    signing = [r for r in records if any(n.endswith("hashes.arrow") for n in r.files)]
    assert sum(record.reused for record in signing) >= len(signing) // 2


def test_a_changed_file_is_read_again_and_no_other(tmp_path: Path) -> None:
    for name in "abc":
        write_month(tmp_path / f"{name}.jsonl", make_texts(40, ord(name)), 0)
    sources = {name: [f"{name}.jsonl"] for name in "abc"}
    run_here(recipe(tmp_path, sources), tmp_path / "out")
    write_month(tmp_path / "b.jsonl", make_texts(41, 5), 0)
    _, records = run_here(recipe(tmp_path, sources), tmp_path / "out")
    reading = [record for record in records if any(s.kind == "read" for s in record.stages)]
    read_again = {name for record in reading if not record.reused for name in record.sources}
    assert read_again == {"b"}
    run_here(recipe(tmp_path, sources), tmp_path / "clean")
    assert outputs(tmp_path / "out") == outputs(tmp_path / "clean")


def kept(out: Path, source: str) -> list[tuple[str, str]]:
    """Ids and texts of the kept documents of a source, sorted."""
    table = pa.concat_tables(
        [read_shard(path, ["doc_id", "source", "text"]) for path in (out / "shards").iterdir()]
    )
    rows = zip(*(table.column(name).to_pylist() for name in table.column_names), strict=True)
    return sorted((doc_id, text) for doc_id, name, text in rows if name == source)


def against(*datasets: Path) -> list[dict[str, Any]]:
    return [{**stage, "against": [str(path) for path in datasets]} for stage in DEDUP]


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_a_dataset_against_another_keeps_what_one_run_over_both_keeps(
    tmp_path: Path, seed: int
) -> None:
    old, new = months(seed)
    write_month(tmp_path / "old.jsonl", old, 0)
    write_month(tmp_path / "new.jsonl", new, 0)
    run_here(recipe(tmp_path, {"old": ["old.jsonl"]}), tmp_path / "last")
    grown = recipe(tmp_path, {"new": ["new.jsonl"]}, *against(tmp_path / "last"))
    manifest, _ = run_here(grown, tmp_path / "next", partitions=3)
    order = {"source_priority": ["old", "new"]}
    both = recipe(
        tmp_path,
        {"new": ["new.jsonl"], "old": ["old.jsonl"]},
        {**DEDUP[0], "keep": ["source", "oldest"], **order},
        {**DEDUP[1], "keep": ["source", "longest", "oldest"], **order},
    )
    run_here(both, tmp_path / "clean")
    assert kept(tmp_path / "next", "new") == kept(tmp_path / "clean", "new")
    assert kept(tmp_path / "last", "old") == kept(tmp_path / "clean", "old")
    assert kept(tmp_path / "next", "old") == []
    check_the_answers(tmp_path, manifest)


def check_the_answers(directory: Path, manifest: Manifest) -> None:
    """Documents that went for one of the old dataset name it, and the audit knows where it is."""
    assert audit.verify(directory / "next") == []
    assert manifest.totals.documents_in == 70
    rows = pq.read_table(directory / "next" / "audit" / "clusters.parquet").to_pylist()
    theirs = {doc_id for doc_id, _ in kept(directory / "last", "old")}
    mine = {doc_id for doc_id, _ in kept(directory / "next", "new")}
    assert {row["kind"] for row in rows} == {"exact", "near"}
    for row in rows:
        assert row["survivor"] in (theirs if row["dataset"] == "growing" else mine)
    elsewhere = [row["member"] for row in rows if row["dataset"]]
    assert elsewhere
    for member in elsewhere:
        [route] = audit.trace(directory / "next", member)
        assert route.twin is not None
        assert route.twin["dataset"] == "growing"


def test_a_document_that_comes_again_is_traced_to_the_dataset_that_has_it(tmp_path: Path) -> None:
    texts = make_texts(60, 4)
    write_month(tmp_path / "docs.jsonl", texts, 0)
    run_here(recipe(tmp_path, {"docs": ["docs.jsonl"]}), tmp_path / "last")
    write_month(tmp_path / "docs.jsonl", [*texts, *make_texts(20, 5), texts[3] + " more"], 0)
    again = recipe(tmp_path, {"docs": ["docs.jsonl"]}, *against(tmp_path / "last"))
    run_here(again, tmp_path / "next")
    theirs = {doc_id for doc_id, _ in kept(tmp_path / "last", "docs")}
    audited = pq.read_table(tmp_path / "next" / "audit" / "documents-00000.parquet").to_pylist()
    members = [one for one in audited if one["other_id"] in theirs]
    assert len({one["other_id"] == one["doc_id"] for one in members}) == 2
    for one in members:
        [route] = audit.trace(tmp_path / "next", one["doc_id"])
        assert route.twin is not None
        assert route.twin["source"] == "dataset growing"
        assert (route.twin["doc_id"], route.twin["verdict"]) == (one["other_id"], "kept")


@pytest.mark.slow
def test_three_months_one_after_the_other(tmp_path: Path) -> None:
    texts = [*months(5), make_texts(20, 8) + months(5)[1][20:50]]
    for number, part in enumerate(texts):
        write_month(tmp_path / f"m{number}.jsonl", part, 0)
        stages = against(*(tmp_path / f"out{k}" for k in range(number)))
        run_here(
            recipe(tmp_path, {f"m{number}": [f"m{number}.jsonl"]}, *stages),
            tmp_path / f"out{number}",
        )
    order = {"keep": ["source"], "source_priority": ["m0", "m1", "m2"]}
    stages = [{**DEDUP[0], **order}, {**DEDUP[1], **order, "keep": ["source", "longest"]}]
    run_here(
        recipe(tmp_path, {f"m{k}": [f"m{k}.jsonl"] for k in range(3)}, *stages), tmp_path / "clean"
    )
    for number in range(3):
        name = f"m{number}"
        assert kept(tmp_path / f"out{number}", name) == kept(tmp_path / "clean", name)


def test_the_other_dataset_is_part_of_the_identity_wherever_it_lies(tmp_path: Path) -> None:
    for number in (1, 2):
        write_month(tmp_path / f"{number}.jsonl", make_texts(20, number), 0)
        run_here(recipe(tmp_path, {"old": [f"{number}.jsonl"]}), tmp_path / f"out{number}")
    (tmp_path / "moved").mkdir()
    (tmp_path / "out1").rename(tmp_path / "moved" / "out1")
    run_here(recipe(tmp_path, {"old": ["1.jsonl"]}), tmp_path / "out1")
    places = ("out1", "moved/out1", "out2")
    prints = [
        recipe(tmp_path, {"new": ["1.jsonl"]}, *against(tmp_path / place)).recipe.fingerprint()
        for place in places
    ]
    assert prints[0] == prints[1] != prints[2]


def test_a_dataset_that_is_none_or_was_changed_is_named(corpus: Path, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"against 'nowhere': nowhere: no manifest\.json"):
        recipe(corpus, {"new": ["new.jsonl"]}, *against(Path("nowhere")))
    run_here(recipe(corpus, {"old": ["old.jsonl"]}), tmp_path / "last")
    shard = tmp_path / "last" / read_manifest(tmp_path / "last").shards[0].path
    shard.write_bytes(shard.read_bytes()[:-8] + b"ARROWX  ")
    grown = recipe(corpus, {"new": ["new.jsonl"]}, *against(tmp_path / "last"))
    with pytest.raises(DriftError, match="of dataset 'growing' is not what its manifest says"):
        run_here(grown, tmp_path / "next")


def test_a_run_does_not_replace_what_it_is_against(corpus: Path, tmp_path: Path) -> None:
    run_here(recipe(corpus, {"old": ["old.jsonl"]}), tmp_path / "last")
    grown = make_plan(recipe(corpus, {"new": ["new.jsonl"]}, *against(tmp_path / "last")))
    with pytest.raises(DriftError, match="compares with the dataset 'growing' there"):
        finished(grown, RunOptions(tmp_path / "last"))
