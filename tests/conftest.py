"""Factories shared by all tests: documents, batches, JSONL files and recipes."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from curation.schema import DOCUMENT, make_doc_id
from curation.segment import SegmentRun
from curation.stage import BatchStage
from curation.text.jit import cache_directory
from curation.verdicts import Verdicts

# Tests give their processes other homes; the kernels need not be compiled again in each.
os.environ.setdefault("NUMBA_CACHE_DIR", str(cache_directory()))

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"
SAMPLE = Path(__file__).resolve().parents[1] / "data" / "sample"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The large real data sets beside the checkout."""
    if not SHARED.is_dir():
        pytest.skip(f"the shared data sets are not at {SHARED}")
    return SHARED


def make_batch(texts: Sequence[str | None], **columns: Sequence[Any]) -> pa.RecordBatch:
    """A DOCUMENT batch of some texts; other columns can be given by name."""
    ids = [str(index) for index in range(len(texts))]
    values: dict[str, Any] = {name: [None] * len(texts) for name in DOCUMENT.names}
    values |= {
        "doc_id": [make_doc_id("test", record_id) for record_id in ids],
        "record_id": ids,
        "source": ["test"] * len(texts),
        "media_type": ["text/plain"] * len(texts),
        "text": list(texts),
    }
    extra = {name: value for name, value in columns.items() if name not in values}
    values |= {name: list(value) for name, value in columns.items() if name in values}
    batch = pa.RecordBatch.from_pydict(values, schema=DOCUMENT)
    for name, value in extra.items():
        batch = batch.append_column(name, pa.array(value))
    return batch


def run_stage(
    stage: BatchStage, batch: pa.RecordBatch
) -> tuple[list[dict[str, Any]], list[list[str]]]:
    """The rows as the runner leaves them, and the reasons of each."""
    verdicts = Verdicts(batch.num_rows)
    rows = SegmentRun([stage]).run(batch, verdicts).to_pylist()
    reasons: list[list[str]] = [[] for _ in rows]
    for found in verdicts.breaks:
        for row in found.rows:
            reasons[row].append(found.reason)
    return rows, reasons


def write_jsonl(path: Path, rows: Sequence[Mapping[str, Any]]) -> Path:
    """Writes rows as JSON lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path
