"""What a global stage decided, as the next segment applies it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from curation.answers import Applying, alive_rows, spread_decisions
from curation.plan import segments_of
from curation.recipe import parse_recipe
from curation.schema import DECISION, DOCUMENT, score
from curation.shards import write_shard
from curation.shuffle import decisions
from curation.stage import (
    BatchFunction,
    Columns,
    GlobalStage,
    KeyShard,
    Rule,
    Scratch,
    Texts,
)
from curation.stages.exact_dedup import ExactDedup
from tests.conftest import make_batch

_NOTHING = pa.scalar("", pa.large_string())


class Prefix(GlobalStage):
    """Puts a word of the answer before each text; fails on one word."""

    kind: Literal["prefix"] = "prefix"

    def writes(self) -> pa.Schema:
        length = score(self.column("chars"), pa.int64(), "Length of the new text.")
        return pa.schema([DOCUMENT.field("text"), length])

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("long_text", self.column("chars"), high=8),)

    def keys(self) -> BatchFunction:
        raise NotImplementedError

    def decide(self, shards: Sequence[KeyShard], texts: Texts, scratch: Scratch) -> pa.Table:
        raise NotImplementedError

    def apply(self, batch: pa.RecordBatch, answer: pa.RecordBatch) -> Columns:
        words = answer.column("word").fill_null("")
        if "boom" in words.to_pylist():
            raise ValueError("boom")
        text = pc.binary_join_element_wise(words.cast(pa.large_string()), batch["text"], _NOTHING)
        return {"text": text, self.column("chars"): pc.utf8_length(text)}


def _answer(path: Path, rows: list[int], **columns: list) -> Path:
    table = decisions(pa.table({"row": rows, **columns}), shard=1, rejected=False)
    for name, values in columns.items():
        if name not in DECISION.names:
            table = table.append_column(name, pa.array(values))
    write_shard(path, table.drop_columns(["shard"]))
    return path


def _applied(
    directory: Path, batch: pa.RecordBatch, *decided: tuple[GlobalStage, Path], batch_rows: int = 2
) -> tuple[pa.Table, list[list[dict]], Applying]:
    write_shard(directory / "kept.arrow", pa.Table.from_batches([batch]))
    applying = Applying(directory / "kept.arrow", decided, batch_rows)
    batches, broken = [], []
    for part, verdicts in applying:
        batches.append(part)
        found = iter(verdicts.table()["broken"].to_pylist())
        broken += [next(found) if rejected else [] for rejected in verdicts.rejected]
    return pa.Table.from_batches(batches), broken, applying


@pytest.mark.parametrize("batch_rows", [1, 2, 9])
def test_a_stage_rewrites_texts_and_its_rules_are_asked(tmp_path: Path, batch_rows: int) -> None:
    batch = make_batch(["one", "two", None, "four", "five"])
    answer = _answer(tmp_path / "answer.arrow", [0, 3], word=["a-", "very-long-"])
    table, broken, applying = _applied(tmp_path, batch, (Prefix(), answer), batch_rows=batch_rows)
    assert table["text"].to_pylist() == ["a-one", "two", None, "very-long-four", "five"]
    assert table["prefix_chars"].to_pylist() == [5, 3, None, 14, 4]
    assert table.schema.field("text").type == pa.large_string()
    assert [[item["reason"] for item in row] for row in broken] == [[], [], [], ["long_text"], []]
    assert (broken[3][0]["value"], broken[3][0]["bound"]) == (14, 8)
    [count] = applying.counts()
    assert (count.documents_in, count.documents_out, count.rejects) == (5, 4, {"long_text": 1})


def test_a_stage_leaves_other_sources_and_what_was_rejected_before(tmp_path: Path) -> None:
    batch = make_batch(["one", "two", "three"], source=["a", "b", "a"])
    first = _answer(
        tmp_path / "first.arrow", [0], rejected=[True], reason=["exact_duplicate"],
        similarity=[1.0], bound=[1.0], other_id=["x"], cluster=["x"],
    )  # fmt: skip
    second = _answer(tmp_path / "second.arrow", [0, 1, 2], word=["a-", "b-", "c-"])
    stages = (ExactDedup(), first), (Prefix(sources=("a",)), second)
    table, broken, _ = _applied(tmp_path, batch, *stages)
    assert table["text"].to_pylist() == ["one", "two", "c-three"]
    assert table["prefix_chars"].to_pylist() == [None, None, 7]
    assert table["exact_dedup_similarity"].to_pylist() == [1.0, None, None]
    assert [len(row) for row in broken] == [1, 0, 0]
    assert alive_rows([first, second], 3).tolist() == [False, True, True]


def test_a_document_on_which_a_stage_fails_is_a_reject(tmp_path: Path) -> None:
    batch = make_batch([str(k) for k in range(20)])
    answer = _answer(tmp_path / "answer.arrow", [3, 4], word=["boom", "a-"])
    table, broken, applying = _applied(tmp_path, batch, (Prefix(), answer), batch_rows=20)
    assert [k for k, row in enumerate(broken) if row] == [3]
    assert broken[3][0]["reason"] == "prefix_error"
    assert table["text"].to_pylist()[2:6] == ["2", None, "a-4", "5"]
    assert applying.counts()[0].rejects == {"prefix_error": 1}


def test_rows_about_which_nothing_was_decided_are_null(tmp_path: Path) -> None:
    answer = _answer(tmp_path / "answer.arrow", [0, 3], word=["a-", "b-"])
    assert spread_decisions(answer, 5)["word"].to_pylist() == ["a-", None, None, "b-", None]
    answer = _answer(tmp_path / "none.arrow", [], word=pa.array([], pa.string()))
    assert spread_decisions(answer, 2)["word"].to_pylist() == [None, None]
    assert np.all(alive_rows([], 3))


def test_stages_share_a_segment_unless_one_has_to_see_what_another_writes() -> None:
    kinds = ["exact_dedup", "line_dedup", "minhash_dedup", "split"]
    recipe = parse_recipe(
        {
            "name": "x",
            "sources": [{"name": "a", "kind": "jsonl", "paths": ["a.jsonl"]}],
            "stages": [{"kind": kind} for kind in kinds],
        }
    )
    layout = [[stage.kind for stage in segment.decisions] for segment in segments_of(recipe)]
    assert layout == [[], ["unique_id", "exact_dedup", "line_dedup"], ["minhash_dedup"]]
