from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.errors import SchemaError, StageError
from curation.schema import score
from curation.segment import SegmentRun, Verdicts
from curation.stage import BatchFunction, BatchStage, Rule
from tests.conftest import make_batch


class Length(BatchStage):
    """Scores the number of characters, and rejects what is too short or too long."""

    kind: Literal["length"] = "length"
    low: int = 2
    high: int = 5

    def writes(self) -> pa.Schema:
        return pa.schema([score(self.column("chars"), pa.int32(), "Characters.")])

    def rules(self) -> tuple[Rule, ...]:
        return (Rule("length", self.column("chars"), self.low, self.high),)

    def open(self) -> BatchFunction:
        return lambda batch: {
            self.column("chars"): [len(text) for text in batch.column("text").to_pylist()]
        }


class Upper(BatchStage):
    """Rewrites the text; raises on a text that asks for it."""

    kind: Literal["upper"] = "upper"

    def writes(self) -> pa.Schema:
        return pa.schema([pa.field("text", pa.large_string())])

    def open(self) -> BatchFunction:
        def upper(batch: pa.RecordBatch) -> Mapping[str, Any]:
            texts = batch.column("text").to_pylist()
            if "boom" in texts:
                raise ValueError("asked to fail")
            return {"text": pa.array([text.upper() for text in texts], pa.large_string())}

        return upper


class Wrong(Length):
    """Returns a column that it did not declare."""

    kind: Literal["wrong"] = "wrong"  # type: ignore[assignment]

    def open(self) -> BatchFunction:
        return lambda batch: {"other": np.zeros(batch.num_rows)}


def run(stages: list[BatchStage], batch: pa.RecordBatch, **options: bool) -> Any:
    verdicts = Verdicts(batch.num_rows)
    segment = SegmentRun(stages, **options)
    return segment.run(batch, verdicts), verdicts, segment.counts


def test_every_broken_bound_is_named_and_the_first_one_decides() -> None:
    stages = [Length(name="a", low=3), Length(name="b", low=2)]
    _, verdicts, counts = run(stages, make_batch(["x", "xx", "xxx", "xxxxxx"]))
    table = {name: column.to_pylist() for name, column in verdicts.table().items()}
    assert verdicts.rejected.tolist() == [True, True, False, True]
    assert table["stage"] == ["a", "a", "a"]
    assert table["value"] == [1.0, 2.0, 6.0]
    assert table["bound"] == [3.0, 3.0, 5.0]
    assert [[item["stage"] for item in broken] for broken in table["broken"]] == [
        ["a", "b"],
        ["a"],
        ["a", "b"],
    ]
    assert (counts["a"].documents_in, counts["a"].documents_out) == (4, 1)
    assert counts["a"].rejects == {"length": 3}
    assert (counts["b"].documents_in, counts["b"].documents_out) == (1, 1)
    assert counts["b"].rejects == {}


def test_without_score_all_a_rejected_document_meets_no_later_stage() -> None:
    stages = [Length(name="a", low=3), Length(name="b", low=2)]
    batch, verdicts, _ = run(stages, make_batch(["x", "xxx"]), score_all=False)
    assert batch.column("b_chars").to_pylist() == [None, 3]
    assert [len(broken) for broken in verdicts.table()["broken"].to_pylist()] == [1]


def test_a_stage_meets_only_its_sources_and_rows_with_a_text() -> None:
    batch = make_batch(["x", None, "y"], source=["web", "web", "books"])
    scored, verdicts, _ = run([Length(sources=("web",)), Upper(sources=("books",))], batch)
    assert scored.column("length_chars").to_pylist() == [1, None, None]
    assert scored.column("text").to_pylist() == ["x", None, "Y"]
    assert verdicts.rejected.tolist() == [True, False, False]


def test_one_stage_kind_can_have_other_bounds_for_other_sources() -> None:
    batch = make_batch(["xx", "xx"], source=["web", "books"])
    stages = [Length(sources=("web",), low=3), Length(sources=("books",), low=1)]
    scored, verdicts, _ = run(stages, batch)
    assert scored.column("length_chars").to_pylist() == [2, 2]
    assert verdicts.rejected.tolist() == [True, False]


def test_a_document_on_which_a_stage_raises_is_a_reject_and_its_neighbours_survive() -> None:
    scored, verdicts, counts = run(
        [Upper(), Length()], make_batch(["ab", "cd", "boom", "ef", "gh"])
    )
    assert scored.column("text").to_pylist() == ["AB", "CD", None, "EF", "GH"]
    table = {name: column.to_pylist() for name, column in verdicts.table().items()}
    assert table["reason"] == ["upper_error"]
    assert table["detail"] == ["ValueError: asked to fail"]
    assert counts["upper"].rejects == {"upper_error": 1}


def test_a_stage_that_fails_on_most_documents_stops_the_run() -> None:
    with pytest.raises(StageError, match=r"stage upper failed on .* the last error is ValueError"):
        run([Upper()], make_batch(["boom"] * 40))


def test_a_stage_that_breaks_its_word_is_named() -> None:
    with pytest.raises(SchemaError, match=r"stage wrong gave columns \['other'\]; it declares"):
        run([Wrong()], make_batch(["x"]))


@given(st.lists(st.text(max_size=8), max_size=30), st.integers(1, 30))
def test_batches_can_be_cut_anywhere(texts: list[str], cut: int) -> None:
    batch = make_batch(texts)
    stages: list[BatchStage] = [Length(), Upper()]
    scored, verdicts, _ = run(stages, batch)
    parts = [run(stages, batch.slice(at, cut))[:2] for at in range(0, len(texts), cut)]
    rows = [row for part, _ in parts for row in part.to_pylist()]
    rejected = [flag for _, part in parts for flag in part.rejected.tolist()]
    assert rows == scored.to_pylist()
    assert rejected == verdicts.rejected.tolist()
