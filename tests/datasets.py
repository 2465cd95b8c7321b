"""Finished datasets made by hand: an audit of rows that a test writes down, and its manifest."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from curation.manifest import Manifest, SourceCount, StageCount, Totals, write_json
from curation.schema import make_doc_id
from curation.verdicts import VERDICT

CLUSTERS = pa.schema(
    [("survivor", pa.string()), ("member", pa.string()), ("via", pa.string()),
     ("similarity", pa.float64()), ("kind", pa.string())]
)  # fmt: skip


def broke(stage: str, reason: str, value: float | None = None, bound: float | None = None) -> Any:
    return {"stage": stage, "reason": reason, "value": value, "bound": bound}


def row(number: int, *broken: Any, source: str = "web", **columns: Any) -> dict[str, Any]:
    """A document of the audit; it is rejected where it broke something."""
    first = broken[0] if broken else {}
    return {
        "doc_id": make_doc_id(source, str(number)),
        "source": source,
        "url": f"https://{source}.example.org/{number}",
        "verdict": "rejected" if broken else "kept",
        **{name: first.get(name) for name in ("stage", "reason", "value", "bound")},
        "broken": list(broken) or None,
        "record_id": str(number),
        "text_bytes": 100,
    } | columns


def write_dataset(
    directory: Path,
    rows: Sequence[Mapping[str, Any]],
    stages: Sequence[tuple[str, str]],
    rules: Mapping[str, Sequence[Mapping[str, Any]]],
    parts: Sequence[Mapping[str, Any]] = (),
    clusters: Sequence[Mapping[str, Any]] = (),
    types: Mapping[str, pa.DataType] | None = None,
) -> Path:
    """Writes manifest and audit; stages are (name, kind), parts the recipe's stage tables."""
    names = list(dict.fromkeys(name for one in rows or [row(0)] for name in one))
    known = {field.name: field.type for field in VERDICT} | dict(types or {})
    columns = {name: pa.array([one.get(name) for one in rows], known.get(name)) for name in names}
    for field in VERDICT:
        columns.setdefault(field.name, pa.nulls(len(rows), field.type))
    audit = directory / "audit"
    audit.mkdir(parents=True)
    pq.write_table(pa.table(columns), audit / "documents-00000.parquet")
    texts = [{"doc_id": one["doc_id"], "text": "a text"} for one in rows if one.get("stage")]
    schema = pa.schema([("doc_id", pa.string()), ("text", pa.large_string())])
    pq.write_table(pa.Table.from_pylist(texts, schema), audit / "rejected-00000.parquet")
    pq.write_table(pa.Table.from_pylist(list(clusters), CLUSTERS), audit / "clusters.parquet")
    write_json(directory / "manifest.json", _manifest(rows, stages, rules, parts))
    return directory


def _manifest(rows: Any, stages: Any, rules: Any, parts: Any) -> Manifest:
    sources: dict[str, SourceCount] = {}
    totals = Totals()
    counts = [StageCount(name=name, kind=kind) for name, kind in stages]
    for one in rows:
        for count in (totals, sources.setdefault(one["source"], SourceCount())):
            count.documents_in += 1
            count.documents_kept += one["verdict"] == "kept"
            count.documents_rejected += one["verdict"] == "rejected"
        for stage in counts:
            stage.documents_in += 1
            if stage.name == one["stage"]:
                stage.rejects[one["reason"]] = stage.rejects.get(one["reason"], 0) + 1
                break
            stage.documents_out += 1
    recipe = {"score_all": True, "sources": [{"name": name} for name in sources], "stages": parts}
    return Manifest(
        name="hand", version="1", fingerprint="0" * 64, recipe=recipe, package_version="0",
        totals=totals, sources=sources, stages=counts, rules=dict(rules),
    )  # fmt: skip
