"""Whole runs that choose by a model and mix sources: what is written, how often, and where."""

from collections import Counter
from itertools import pairwise
from pathlib import Path

import pyarrow as pa
import pytest

from curation.audit import trace, verify
from curation.finetune.corpus import Split
from curation.manifest import Manifest
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import RunOptions, drive, steps
from curation.shards import read_shard
from tests.classifiers import OTHER, WANTED, make_classifier
from tests.conftest import write_jsonl

STAGES = [
    {"kind": "split", "eval_share": 0.2},
    {"kind": "mix", "weights": {"good": 1, "bad": 1}, "max_repeats": 3},
]


def write_sources(directory: Path) -> None:
    for name, text, count in (("good", WANTED, 40), ("bad", OTHER, 200)):
        rows = [{"id": str(k), "text": f"{text} {name} {k:04}"} for k in range(count)]
        write_jsonl(directory / f"{name}.jsonl", rows)


def run(directory: Path, stages, out: str = "out", **options) -> Manifest:
    recipe = {
        "name": "mixed",
        "seed": 4,
        "sources": [
            {"name": name, "kind": "jsonl", "paths": [f"{name}.jsonl"], "split_bytes": 2048}
            for name in ("good", "bad")
        ],
        "stages": stages,
        "output": {"shards": 3},
    }
    plan = make_plan(LoadedRecipe(parse_recipe(recipe), directory))
    # In this process: what workers change is tested elsewhere.
    return drive(
        steps(plan, RunOptions(out=directory / out, **options)),
        lambda step: [item.run() for item in step.items],
    )


def rows_of(directory: Path, manifest: Manifest, split: str = "train") -> list[dict]:
    tables = [read_shard(directory / s.path) for s in manifest.shards if s.split == split]
    return pa.concat_tables(tables).to_pylist()


@pytest.fixture(scope="module")
def mixed(tmp_path_factory):
    directory = tmp_path_factory.mktemp("mixed")
    write_sources(directory)
    return directory, run(directory, STAGES)


def test_each_source_has_its_share_of_the_training_text(mixed):
    directory, manifest = mixed
    rows = rows_of(directory / "out", manifest)
    size = Counter()
    for row in rows:
        size[row["source"]] += len(row["text"])
    assert abs(size["good"] - size["bad"]) <= max(len(row["text"]) for row in rows)
    assert all(row["copy"] == 0 for row in rows_of(directory / "out", manifest, "eval"))


def test_copies_are_told_apart_and_lie_apart(mixed):
    directory, manifest = mixed
    rows = rows_of(directory / "out", manifest)
    places: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        if row["source"] == "good":
            places.setdefault(row["doc_id"], []).append(place)
    assert {len(of) for of in places.values()} == {3}
    assert all(row["mix_copies"] == 3 for row in rows if row["source"] == "good")
    copies = {(row["doc_id"], row["copy"]) for row in rows}
    assert len(copies) == len(rows)
    neighbours = sum(b - a == 1 for of in places.values() for a, b in pairwise(of))
    assert neighbours < len(places) / 2


def test_documents_are_counted_once_and_rows_apart(mixed):
    directory, manifest = mixed
    totals = manifest.totals
    assert totals.documents_in == 240 == totals.documents_kept + totals.documents_rejected
    assert totals.rows_written == sum(shard.documents for shard in manifest.shards)
    assert totals.rows_written > totals.documents_kept
    [count] = [stage for stage in manifest.stages if stage.kind == "mix"]
    assert count.rejects == {"sampled_out": totals.documents_rejected}
    assert verify(directory / "out") == []


def test_the_trainer_reads_every_copy_at_a_place_of_its_own(mixed):
    directory, manifest = mixed
    tables = [read_shard(directory / "out" / s.path) for s in manifest.shards if s.split == "train"]
    read = [document.doc_id for document in Split(tables, 0)]
    assert Counter(read) == Counter(row["doc_id"] for row in rows_of(directory / "out", manifest))
    assert sum(a == b for a, b in pairwise(read)) < len(set(read)) / 2


def test_a_mix_has_the_same_bytes_however_it_is_run(mixed):
    directory, manifest = mixed
    other = run(directory, STAGES, "other", batch_rows=7)
    assert [shard.sha256 for shard in other.shards] == [shard.sha256 for shard in manifest.shards]


def test_keep_top_keeps_the_best_by_a_model_and_says_what_was_needed(tmp_path):
    write_sources(tmp_path)
    make_classifier(tmp_path / "q.bin")
    stages = [{"kind": "quality_model", "model": str(tmp_path / "q.bin"), "keep_top": 0.1}]
    manifest = run(tmp_path, stages)
    kept = rows_of(tmp_path / "out", manifest)
    assert len(kept) == 24
    assert {row["source"] for row in kept} == {"good"}
    assert verify(tmp_path / "out") == []
    bound = min(row["quality_model_score"] for row in kept)
    [route] = trace(tmp_path / "out", "199")
    assert (route.document["stage"], route.document["reason"]) == (
        "quality_model_top", "below_top_share",
    )  # fmt: skip
    assert route.document["bound"] == bound >= route.document["value"]
    assert route.document["other_id"] is route.document["similarity"] is None
