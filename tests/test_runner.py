"""Promises of a run: every document accounted for, same recipe same bytes, resume, drift."""

import random
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from curation import audit
from curation.errors import CurationError, DriftError, RecipeError
from curation.local import run_plan
from curation.manifest import Manifest, Record, read_manifest
from curation.passes import RunOptions, Step
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import drive, finished, steps
from curation.shards import read_shard
from tests.conftest import write_jsonl

WORDS = [
    f"{a}{b}"
    for a in ("band", "deck", "kilo", "lorn", "must", "rain", "sold", "tide")
    for b in "abdeiklmnorstu"
]


def make_texts(documents: int = 120, seed: int = 1) -> list[str]:
    """Random prose with exact duplicates (every 10th), near ones (every 7th) and short texts."""
    rng = random.Random(seed)
    texts: list[str] = []
    for number in range(documents):
        if number % 10 == 9:
            texts.append(rng.choice(texts))
        elif number % 7 == 6:
            words = rng.choice([text for text in texts if len(text) > 300]).split()
            words[len(words) // 2] = "changed"
            texts.append(" ".join(words))
        elif number % 13 == 12:
            texts.append("too short to keep")
        else:
            texts.append(" ".join(rng.choices(WORDS, k=rng.randint(80, 160))) + " the and to of.")
    return texts


def write_corpus(directory: Path, texts: Sequence[str]) -> None:
    """Two JSONL files with one bad line."""
    rows = [
        {"id": f"d{i}", "text": text, "url": f"https://example.org/{i}"}
        for i, text in enumerate(texts)
    ]
    half = len(rows) // 2
    write_jsonl(directory / "a.jsonl", rows[:half])
    path = write_jsonl(directory / "b.jsonl", rows[half:])
    with path.open("a") as file:
        file.write('{"id": "bad", "text": \n')


SOURCE = {"name": "docs", "kind": "jsonl", "split_bytes": 8192}


def loaded(directory: Path, **changes: Any) -> LoadedRecipe:
    values: dict[str, Any] = {
        "name": "corpus",
        "seed": 5,
        "sources": [{**SOURCE, "paths": ["a.jsonl", "b.jsonl"]}],
        "stages": [
            {"kind": "normalize"},
            {"kind": "gopher_quality"},
            {"kind": "exact_dedup"},
            {"kind": "minhash_dedup"},
            {"kind": "split", "eval_share": 0.2},
        ],
        "output": {"shards": 4},
    }
    return LoadedRecipe(parse_recipe(values | changes), directory)


def run_here(recipe: LoadedRecipe, out: Path, **options: Any) -> tuple[Manifest, list[Record]]:
    """Runs all items in this process, and returns the records too."""
    records: list[Record] = []

    def execute(step: Step) -> list[Record]:
        made = [item.done() or item.run() for item in step.items]
        records.extend(made)
        return made

    return drive(steps(make_plan(recipe), RunOptions(out, **options)), execute), records


def outputs(out: Path) -> dict[str, bytes]:
    """The bytes of everything that a dataset consists of, but for the manifest's times."""
    files = [*(out / "shards").iterdir(), *(out / "audit").iterdir(), out / "README.md"]
    return {path.name: path.read_bytes() for path in files}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("corpus")
    write_corpus(directory, make_texts())
    return directory


@pytest.fixture(scope="module")
def dataset(corpus: Path) -> Path:
    run_here(loaded(corpus), corpus / "out")
    return corpus / "out"


def test_every_document_is_accounted_for(dataset: Path) -> None:
    manifest = read_manifest(dataset)
    totals = manifest.totals
    assert totals.documents_in == 121
    assert totals.documents_kept + totals.documents_rejected == 121
    assert manifest.sources["docs"].documents_in == 121
    rejects = {reason: n for stage in manifest.stages for reason, n in stage.rejects.items()}
    assert rejects["bad_json"] == 1
    assert rejects["exact_duplicate"] > 5
    assert rejects["near_duplicate"] > 5
    assert sum(rejects.values()) == totals.documents_rejected
    assert audit.verify(dataset) == []
    for before, after in zip(manifest.stages, manifest.stages[1:], strict=False):
        assert before.documents_out == after.documents_in


def test_one_query_tells_what_happened_to_any_page(dataset: Path) -> None:
    rows = (
        duckdb.sql(f"SELECT * FROM '{dataset}/audit/documents-*.parquet'")
        .to_arrow_table()
        .to_pylist()
    )
    assert len(rows) == 121
    kept = {row["doc_id"] for row in rows if row["verdict"] == "kept"}
    for row in rows:
        assert (row["verdict"] == "kept") == (row["stage"] is None)
        if row["reason"] in ("exact_duplicate", "near_duplicate"):
            assert row["similarity"] >= 0.8
            [route] = audit.trace(dataset, row["url"])
            assert route.twin is not None
            assert route.twin["doc_id"] in kept
        if row["reason"] == "bad_json":
            assert row["detail"]
            assert row["origin"]["file"] == "b.jsonl"
        if row["stage"] == "gopher_quality":
            assert row["gopher_quality_words"] < 50
            assert {"stage": "gopher_quality", "reason": row["reason"]}.items() <= row["broken"][
                0
            ].items()
    scores = [row["gopher_quality_words"] for row in rows if row["verdict"] == "kept"]
    assert all(score >= 50 for score in scores)


def test_shards_are_equal_and_read_by_others(dataset: Path) -> None:
    import polars as pl

    manifest = read_manifest(dataset)
    train = [shard for shard in manifest.shards if shard.split == "train"]
    assert [shard.path for shard in train] == [
        f"shards/train-{index:05d}-of-00004.arrow" for index in range(4)
    ]
    counts = [shard.documents for shard in train]
    assert max(counts) - min(counts) <= 1
    table = read_shard(dataset / train[0].path)
    assert pl.read_ipc(dataset / train[0].path).height == table.num_rows
    assert duckdb.from_arrow(table).aggregate("count(*)").fetchall() == [(table.num_rows,)]


@pytest.mark.slow
def test_shards_load_as_a_hub_dataset(dataset: Path, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    files = {split: str(dataset / "shards" / f"{split}-*.arrow") for split in ("train", "eval")}
    loaded_set = datasets.load_dataset("arrow", data_files=files, cache_dir=str(tmp_path))
    totals = read_manifest(dataset).totals
    assert loaded_set["train"].num_rows + loaded_set["eval"].num_rows == totals.documents_kept
    assert "text" in loaded_set["train"].column_names


def test_no_cluster_lies_on_both_sides_of_the_split(dataset: Path) -> None:
    table = pa.concat_tables(read_shard(path) for path in sorted((dataset / "shards").iterdir()))
    sides: dict[str, set[str]] = {}
    for cluster, split in zip(
        table.column("minhash_dedup_cluster").to_pylist(),
        table.column("split").to_pylist(),
        strict=True,
    ):
        if cluster is not None:
            sides.setdefault(cluster, set()).add(split)
    assert sides
    assert all(len(split) == 1 for split in sides.values())


@pytest.mark.parametrize(
    ("changes", "options"),
    [
        ({}, {"batch_rows": 1}),
        ({}, {"batch_rows": 7, "partitions": 5}),
        ({}, {"partitions": 16, "memory_bytes": 1 << 20}),
        ({"sources": [{**SOURCE, "paths": ["b.jsonl", "a.jsonl"]}]}, {}),
    ],
    ids=[
        "rows one by one",
        "batches of 7, 5 ranges",
        "16 ranges, no memory",
        "paths in another order",
    ],
)
def test_same_recipe_same_bytes(
    corpus: Path, dataset: Path, tmp_path: Path, changes: Any, options: Any
) -> None:
    run_here(loaded(corpus, **changes), tmp_path, **options)
    expected = outputs(dataset)
    found = outputs(tmp_path)
    assert set(found) == set(expected)
    different = [name for name, data in found.items() if data != expected[name]]
    assert different == (
        [] if not changes else ["README.md"]
    )  # the card shows the recipe as written


def test_the_cut_of_the_input_does_not_change_the_shards(
    corpus: Path, dataset: Path, tmp_path: Path
) -> None:
    sources = [{"name": "docs", "kind": "jsonl", "paths": ["*.jsonl"], "split_bytes": 3000}]
    run_here(loaded(corpus, sources=sources), tmp_path)
    for path in (dataset / "shards").iterdir():
        assert (tmp_path / "shards" / path.name).read_bytes() == path.read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_worker_processes_give_the_same_bytes(
    corpus: Path, dataset: Path, tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", str(workers))
    run_plan(make_plan(loaded(corpus)), RunOptions(tmp_path, workers=workers))
    assert outputs(tmp_path) == outputs(dataset)


def test_a_run_stopped_at_any_item_resumes_to_the_same_bytes(
    corpus: Path, dataset: Path, tmp_path: Path
) -> None:
    plan = make_plan(loaded(corpus))
    for stop_after in (1, 5, 12, 20):

        def execute(step: Step, left: list[int] = [stop_after]) -> list[Record]:  # noqa: B006
            made = []
            for item in step.items:
                record = item.done()
                if record is None:
                    left[0] -= 1
                    if left[0] < 0:
                        raise CurationError("stopped here")
                    record = item.run()
                made.append(record)
            return made

        with pytest.raises(CurationError, match="stopped here"):
            drive(steps(plan, RunOptions(tmp_path)), execute)
        assert not (tmp_path / "manifest.json").exists()
    run_here(loaded(corpus), tmp_path)
    assert outputs(tmp_path) == outputs(dataset)


def test_a_second_run_does_nothing_and_damage_is_mended(corpus: Path, tmp_path: Path) -> None:
    plan, options = make_plan(loaded(corpus)), RunOptions(tmp_path)
    manifest, _ = run_here(loaded(corpus), tmp_path)
    assert finished(plan, options) == read_manifest(tmp_path) == manifest
    before = outputs(tmp_path)
    shard = next((tmp_path / "shards").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-100])
    assert finished(plan, options) is None
    _, records = run_here(loaded(corpus), tmp_path)
    assert outputs(tmp_path) == before
    assert sum(not record.reused for record in records) == 1


@pytest.mark.parametrize(
    "pattern", ["00-*/kept-*.arrow", "01-*/rejected-*.arrow", "01-*/decisions-*.arrow"]
)
def test_a_half_written_work_file_is_made_again_and_never_read(
    corpus: Path, dataset: Path, tmp_path: Path, pattern: str
) -> None:
    run_here(loaded(corpus), tmp_path)
    shutil.rmtree(tmp_path / "shards")
    for path in (tmp_path / "work").glob(pattern):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    run_here(loaded(corpus), tmp_path)
    assert outputs(tmp_path) == outputs(dataset)


def test_a_changed_setting_reuses_the_unchanged_prefix(corpus: Path, tmp_path: Path) -> None:
    run_here(loaded(corpus), tmp_path)
    changed = loaded(corpus)
    stages = [
        *changed.recipe.stages[:-1],
        changed.recipe.stages[-1].model_copy(update={"eval_share": 0.4}),
    ]
    recipe = changed.recipe.model_copy(update={"stages": tuple(stages)})
    _, records = run_here(LoadedRecipe(recipe, corpus), tmp_path)
    reused = [record for record in records if record.reused]
    shards = len(make_plan(changed).shards)
    assert len(reused) >= shards * 4 + 3  # first segment, keys and answers of three decisions
    assert audit.verify(tmp_path) == []
    assert read_manifest(tmp_path).stages[0].cpu_seconds > 0


def test_a_changed_input_file_is_read_again(tmp_path: Path) -> None:
    texts = make_texts(40)
    write_corpus(tmp_path, texts)
    run_here(loaded(tmp_path), tmp_path / "out")
    write_corpus(tmp_path, [*texts, " ".join(WORDS) + " the and"])
    plan = make_plan(loaded(tmp_path))
    assert finished(plan, RunOptions(tmp_path / "out")) is None
    manifest, _ = run_here(loaded(tmp_path), tmp_path / "out")
    assert manifest.totals.documents_in == 42


def test_a_new_run_removes_its_own_old_files_and_no_others(corpus: Path, tmp_path: Path) -> None:
    run_here(loaded(corpus), tmp_path)
    (tmp_path / "shards" / "notes.txt").write_text("mine")
    manifest, _ = run_here(loaded(corpus, output={"shards": 2}), tmp_path)
    found = {f"shards/{path.name}" for path in (tmp_path / "shards").iterdir()}
    assert found == {shard.path for shard in manifest.shards} | {"shards/notes.txt"}


def test_another_dataset_in_the_directory_is_not_overwritten(corpus: Path, dataset: Path) -> None:
    plan = make_plan(loaded(corpus, name="other"))
    with pytest.raises(
        DriftError, match="holds dataset 'corpus', the recipe makes 'other'; choose"
    ):
        finished(plan, RunOptions(dataset))


def test_repeated_ids_are_rejected_and_both_are_in_the_audit(tmp_path: Path) -> None:
    texts = make_texts(8)
    write_jsonl(tmp_path / "a.jsonl", [{"id": "same", "text": text} for text in texts[:2]])
    write_jsonl(tmp_path / "b.jsonl", [{"id": "same", "text": texts[2]}])
    manifest, _ = run_here(loaded(tmp_path), tmp_path / "out")
    table = pa.concat_tables(
        pq.read_table(p) for p in sorted((tmp_path / "out/audit").glob("doc*"))
    )
    assert table.num_rows == manifest.totals.documents_in == 3
    assert sorted(table.column("reason").to_pylist(), key=str) == [
        None,
        "repeated_id",
        "repeated_id",
    ]


def test_a_missing_path_is_named(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=r"source 'docs': nothing matches path 'a\.jsonl'"):
        make_plan(loaded(tmp_path))


def test_sources_without_documents_give_an_empty_dataset(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    (tmp_path / "b.jsonl").touch()
    manifest, _ = run_here(loaded(tmp_path), tmp_path / "out")
    assert manifest.totals.documents_in == 0
    assert manifest.shards == []
    assert audit.verify(tmp_path / "out") == []
