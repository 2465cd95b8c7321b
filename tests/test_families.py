"""Children: who has some, what they have of their parents, and where they go."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import audit
from curation import recipe as recipes
from curation.errors import RecipeError
from curation.families import child_counts
from curation.manifest import Manifest
from curation.recipe import LoadedRecipe, parse_recipe
from curation.schema import make_doc_id, score
from curation.segment import SegmentRun
from curation.shards import read_shard
from curation.stage import BatchFunction, BatchStage, Columns, ExpandStage, Rule
from curation.stages import KINDS
from curation.verdicts import Break, Verdicts
from tests.conftest import make_batch, write_jsonl
from tests.test_runner import outputs, run_here


class Echo(ExpandStage):
    """A child says its parent's text backwards; some texts ask for what can go wrong."""

    kind: Literal["echo"] = "echo"
    seed: int | None = 4

    def writes(self) -> pa.Schema:
        return pa.schema([score(self.column("chars"), pa.int64(), "Characters.")])

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("short", self.column("chars"), low=3),)

    def open(self) -> BatchFunction:
        return self._echo

    def _echo(self, batch: pa.RecordBatch) -> Columns:
        texts = batch.column("text").to_pylist()
        if "boom" in texts:
            raise ValueError("asked to fail")
        numbers = batch.column("child").to_pylist()
        made = [f"{t[::-1]}{n}" for t, n in zip(texts, numbers, strict=True)]
        there = [None if t == "nothing" else m for t, m in zip(texts, made, strict=True)]
        return {
            "text": pa.array(there),
            "error": pa.array(["refused" if t == "refuse" else None for t in texts], pa.string()),
            "operation": pa.array([f"reverse-{number}" for number in numbers]),
            self.column("chars"): pa.array([len(text) for text in made]),
        }


class Parented(BatchStage):
    """Measures against the parent's text."""

    kind: Literal["parented"] = "parented"
    needs = frozenset({"text", "parent_text"})

    def writes(self) -> pa.Schema:
        return pa.schema([score(self.column("same"), pa.bool_(), "Same as the parent.")])

    def open(self) -> BatchFunction:
        return lambda batch: {
            self.column("same"): pa.array(
                [
                    None if parent is None else text == parent
                    for text, parent in zip(
                        batch.column("text").to_pylist(),
                        batch.column("parent_text").to_pylist(),
                        strict=True,
                    )
                ]
            )
        }


def run(
    stages: list[Any], batch: pa.RecordBatch, reject: tuple[int, ...] = ()
) -> tuple[list[dict[str, Any]], Verdicts, Any]:
    verdicts = Verdicts(batch.num_rows)
    verdicts.rejected[list(reject)] = True
    segment = SegmentRun(stages)
    return segment.run(batch, verdicts).to_pylist(), verdicts, segment.counts


def test_each_child_stands_behind_its_parent_with_what_it_has_of_it() -> None:
    batch = make_batch(
        ["one", "two"], url=["u1", "u2"], label=["a", "b"], target=["x", None],
        meta=['{"p":1}'] * 2,
        quality_score=[0.5, 0.6], near_cluster=["c", None], split=["train", "train"],
        language_label=["en", "de"],
    )  # fmt: skip
    rows, verdicts, counts = run([Echo(share=2), Parented()], batch)
    assert [row["text"] for row in rows] == ["one", "eno0", "eno1", "two", "owt0", "owt1"]
    parent, child, other = rows[:3]
    for name in ("source", "url", "label", "target", "meta", "near_cluster", "split"):
        assert child[name] == parent[name], name
    assert child["language_label"] == "en"
    assert child["quality_score"] is None
    assert child["parent_id"] == child["root_id"] == parent["doc_id"]
    assert (child["made_by"], child["operation"]) == ("echo", "reverse-0")
    assert child["record_id"] == "0#echo:0@4"
    assert child["doc_id"] == make_doc_id("test", "0#echo:0@4") != other["doc_id"]
    assert (child["echo_chars"], parent["echo_chars"], parent["made_by"]) == (4, None, None)
    assert (child["parent_text"], child["parented_same"], parent["parented_same"]) == (
        "one", False, None,
    )  # fmt: skip
    count = counts["echo"]
    assert (count.documents_in, count.documents_made, count.documents_out) == (2, 4, 6)
    assert not verdicts.rejected.any()


def test_no_children_of_eval_rejected_missing_or_augmented_documents() -> None:
    batch = make_batch(
        ["aaa", "bbb", None, "ccc", "ddd"],
        split=["eval", "train", "train", "train", None],
        parent_id=[None, None, None, "p", None],
    )
    rows, verdicts, _ = run([Echo()], batch, reject=(1,))
    assert [row["text"] for row in rows] == ["aaa", "bbb", None, "ccc", "ddd", "ddd0"]
    assert verdicts.rejected.tolist() == [False, True, False, False, False, False]


def test_children_of_children_know_their_root() -> None:
    stages = [Echo(), Echo(name="again", from_children=True)]
    rows, _, _ = run(stages, make_batch(["one"]))
    assert [row["text"] for row in rows] == ["one", "eno0", "eno0", "0one0"]
    [grandchild] = [row for row in rows if row["record_id"].count("#") == 2]
    assert grandchild["root_id"] == rows[0]["doc_id"] != grandchild["parent_id"]


def test_what_cannot_be_made_is_a_reject_beside_its_parent_and_harms_nobody() -> None:
    batch = make_batch(["one", "boom", "refuse", "nothing", "x"])
    rows, verdicts, counts = run([Echo()], batch)
    kept = [row["text"] for row, gone in zip(rows, verdicts.rejected, strict=True) if not gone]
    assert kept == ["one", "eno0", "boom", "refuse", "nothing", "x"]
    table = {name: column.to_pylist() for name, column in verdicts.table().items()}
    assert table["reason"] == ["echo_error", "refused", "short"]
    assert table["detail"][0] == "ValueError: asked to fail"
    assert counts["echo"].rejects == {"echo_error": 1, "refused": 1, "short": 1}
    assert (counts["echo"].documents_made, counts["echo"].documents_out) == (4, 6)
    [boom] = [place for place, row in enumerate(rows) if row["text"] == "boom"]
    assert rows[boom + 1]["parent_id"] == rows[boom]["doc_id"]


def test_breaks_of_earlier_stages_stay_with_their_rows() -> None:
    batch = make_batch(["one", "two", "three"])
    verdicts = Verdicts(3)
    verdicts.add(_break(1))
    rows = SegmentRun([Echo()]).run(batch, verdicts).to_pylist()
    assert [row["text"] for row in rows] == ["one", "eno0", "two", "three", "eerht0"]
    assert verdicts.rejected.tolist() == [False, False, True, False, False]
    assert verdicts.table()["reason"].to_pylist() == ["early"]


def _break(row: int) -> Any:
    return Break("before", "early", np.array([row]))


IDS = [make_doc_id("s", str(number)) for number in range(4000)]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 1, 2.25])
def test_share_is_met_within_chance(share: float) -> None:
    counts = child_counts(Echo(share=share), IDS)
    spread = (share % 1) * (1 - share % 1)
    assert abs(counts.mean() - share) <= 4 * (spread / len(IDS)) ** 0.5
    assert set(counts) <= {int(share), int(share) + 1}


@given(st.floats(0, 3), st.floats(0, 3))
@settings(max_examples=20, deadline=None)
def test_larger_share_only_adds_children(one: float, other: float) -> None:
    low, high = sorted((one, other))
    ids = IDS[:200]
    assert (child_counts(Echo(share=low), ids) <= child_counts(Echo(share=high), ids)).all()


def test_children_need_a_seed() -> None:
    with pytest.raises(RecipeError, match="stage echo has no seed; expected"):
        child_counts(Echo(seed=None), IDS[:1])


@pytest.fixture
def with_echo(monkeypatch: pytest.MonkeyPatch) -> Callable[..., LoadedRecipe]:
    kinds = {**{kind: KINDS[kind] for kind in KINDS}, "echo": Echo}
    monkeypatch.setattr(recipes, "STAGE_KINDS", kinds)

    def load(directory: Path, *stages: dict[str, Any], reverse: bool = False) -> LoadedRecipe:
        values = {
            "name": "families",
            "seed": 5,
            "sources": [
                {
                    "name": "docs", "kind": "jsonl", "split_bytes": 8192,
                    "paths": ["a.jsonl", "b.jsonl"][:: -1 if reverse else 1],
                }
            ],
            "stages": list(stages),
            "output": {"shards": 3},
        }  # fmt: skip
        return LoadedRecipe(parse_recipe(values), directory)

    return load


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    texts = [f"text number {number} of {'a ' * (number % 17)}corpus" for number in range(300)]
    texts[7], texts[11] = "boom", "x"
    rows = [{"id": str(number), "text": text} for number, text in enumerate([*texts, texts[0]])]
    write_jsonl(tmp_path / "a.jsonl", rows[:150])
    write_jsonl(tmp_path / "b.jsonl", rows[150:])
    return tmp_path


def documents(out: Path) -> list[dict[str, Any]]:
    files = sorted((out / "audit").glob("documents-*.parquet"))
    return pa.concat_tables(
        [pq.read_table(f) for f in files], promote_options="default"
    ).to_pylist()


SPLIT = {"kind": "split", "eval_share": 0.3}
ECHO = {"kind": "echo", "share": 1.5}


@pytest.mark.parametrize(
    "stages",
    [
        ({"kind": "exact_dedup"}, SPLIT, ECHO),
        ({"kind": "exact_dedup"}, SPLIT, ECHO, {**ECHO, "name": "again", "from_children": True}),
        ({"kind": "exact_dedup"}, ECHO, SPLIT),
        ({"kind": "exact_dedup"}, SPLIT, ECHO, {"kind": "minhash_dedup"}),
    ],
)
def test_a_child_of_an_eval_document_is_nowhere_in_the_shards(
    corpus: Path, with_echo: Callable[..., LoadedRecipe], stages: tuple[dict[str, Any], ...]
) -> None:
    manifest: Manifest = run_here(with_echo(corpus, *stages), corpus / "out")[0]
    assert audit.verify(corpus / "out") == []
    totals = manifest.totals
    assert totals.documents_in == 301
    assert totals.documents_made > 200
    assert totals.documents_kept + totals.documents_rejected == 301 + totals.documents_made
    for stage in manifest.stages:
        into = stage.documents_in + stage.documents_made
        assert into == stage.documents_out + sum(stage.rejects.values()), stage.name
    shards = [read_shard(corpus / "out" / shard.path) for shard in manifest.shards]
    rows = [row for shard in shards for row in shard.to_pylist()]
    assert "parent_text" not in shards[0].column_names
    eval_ids = {row["doc_id"] for row in rows if row["split"] == "eval"}
    children = [row for row in rows if row["parent_id"] is not None]
    assert len(eval_ids) > 50
    assert len(children) > 100
    assert [row for row in children if row["split"] == "eval"] == []
    assert [row for row in children if row["root_id"] in eval_ids] == []
    route = audit.trace(corpus / "out", children[0]["doc_id"])[0]
    assert route.hops[0].stage == children[0]["made_by"]
    [failed] = [row for row in documents(corpus / "out") if row["reason"] == "echo_error"][:1]
    assert failed["parent_id"] == make_doc_id("docs", "7")


def test_same_bytes_whatever_the_batches_and_the_order(
    corpus: Path, with_echo: Callable[..., LoadedRecipe]
) -> None:
    stages = (ECHO, {"kind": "text_statistics", "min_words": 7}, {"kind": "exact_dedup"})
    run_here(with_echo(corpus, *stages), corpus / "one")
    run_here(with_echo(corpus, *stages), corpus / "two", batch_rows=1)
    run_here(with_echo(corpus, *stages, reverse=True), corpus / "three", batch_rows=7)
    expected = outputs(corpus / "one")
    for other in ("two", "three"):
        found = outputs(corpus / other)
        assert set(found) == set(expected)
        assert [n for n in found if found[n] != expected[n] and n != "README.md"] == []


def test_clusters_between_children_and_split_are_refused(
    corpus: Path, with_echo: Callable[..., LoadedRecipe]
) -> None:
    with pytest.raises(RecipeError, match=r"exact_dedup stands between echo and split.*put split"):
        with_echo(corpus, ECHO, {"kind": "exact_dedup"}, SPLIT)


def test_a_document_fewer_is_a_parent_fewer_so_the_answer_is_not_exact(
    corpus: Path, with_echo: Callable[..., LoadedRecipe], monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = ({"kind": "text_statistics", "min_words": 5}, ECHO)
    run_here(with_echo(corpus, *stages), corpus / "out")
    for module in ("audit.order", "audit.pieces", "audit.recorded", "audit.changes"):
        name = f"curation.{module}.KINDS"
        monkeypatch.setattr(name, {**{kind: KINDS[kind] for kind in KINDS}, "echo": Echo})
    outcome = audit.decide(corpus / "out", ["text_statistics.min_words=8"])
    assert outcome.decided_again == ["echo"]
    assert not outcome.exact


def test_each_source_can_have_settings_of_its_own() -> None:
    stages = [Echo(share=1, sources=("test",)), Echo(share=2, sources=("other",))]
    batch = make_batch(["one", "two"], source=["test", "other"])
    rows, _, counts = run(stages, batch)
    assert [row["text"] for row in rows] == ["one", "eno0", "two", "owt0", "owt1"]
    count = counts["echo"]
    assert (count.documents_in, count.documents_made, count.documents_out) == (2, 3, 5)
