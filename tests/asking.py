"""Datasets that `decide` is asked about, and the runs that its answers are held against."""

import gzip
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb

from curation import audit
from curation.overriding import apply_override
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, parse_recipe
from curation.runner import RunOptions, drive, steps
from curation.stage import ExpandStage, GlobalStage
from curation.stages import KINDS
from tests.conftest import SAMPLE, write_jsonl
from tests.test_every_stage import KINDS_HERE, SETTINGS, first_records

GATES = "augmentation_gates"

NAMES = ("verdict", "stage", "reason", "value", "bound")

FIELDS = {"id": "id", "text": "text", "url": "url"}


def write_documents(directory: Path) -> None:
    """Real pages and answers, each once, and a few that break what those do not."""
    header, *pages = first_records((SAMPLE / "web.warc.gz").read_bytes(), 41)
    (directory / "web.warc.gz").write_bytes(b"".join([header, *pages]))
    with gzip.open(SAMPLE / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        answers = [json.loads(line) for line in itertools.islice(lines, 50)]
    prose = " ".join(answers[7]["text"].split() + answers[8]["text"].split())
    more = {
        "mail": f"{prose} Write to jane.doe@hospital.org, or call +1 212 555 0134.",
        "phones": f"{prose} Call {', '.join(f'+1 212 736 31{k}' for k in range(30, 36))}.",
        "brackets": f"{prose} {{ and }} are brackets.",
        "lines": "\n".join(["The same sentence stands here again and again.", prose] * 6),
        "german": "Die Krankheit ist selten, und die Ursache ist nicht bekannt. " * 9,
    }
    rows = [{"id": name, "text": text, "url": "http://a b/"} for name, text in more.items()]
    near = [
        {**answer, "id": f"near-{answer['id']}", "text": f"{answer['text']} That is all."}
        for answer in answers[::7]
    ]
    same = [{**answer, "id": f"same-{answer['id']}"} for answer in answers[::9]]
    write_jsonl(directory / "answers.jsonl", [*answers, *rows])
    write_jsonl(directory / "copies.jsonl", [*near, *same])


def recipe(directory: Path, *stages: dict[str, Any], overrides: Sequence[str] = ()) -> Any:
    """The recipe as a file would be read: with overrides as `curate run` takes them."""
    sources = [
        {"name": "web", "kind": "warc", "paths": ["web.warc.gz"]},
        {"name": "answers", "kind": "jsonl", "paths": ["answers.jsonl"], "fields": FIELDS},
        {"name": "copies", "kind": "jsonl", "paths": ["copies.jsonl"], "fields": FIELDS},
    ]
    raw = {"name": "asked", "seed": 3, "sources": sources, "guard": {"stop_above": 1}}
    raw["stages"] = json.loads(json.dumps(stages))
    for override in overrides:
        apply_override(raw, override)
    return LoadedRecipe(parse_recipe(raw), directory)


def run(loaded: LoadedRecipe, out: Path) -> dict[str, dict[str, Any]]:
    """Runs a recipe in this process; returns each document of the audit."""
    options = RunOptions(out, work=loaded.base / "work")
    plan = make_plan(loaded)
    drive(steps(plan, options), lambda step: [item.done() or item.run() for item in step.items])
    table = duckdb.sql(f"SELECT * FROM '{out}/audit/documents-*.parquet'").to_arrow_table()
    return {one["doc_id"]: one for one in table.to_pylist()}


OTHERWISE: dict[str, dict[str, Any]] = {"split": {"cluster_columns": None}}
"""Settings of some kinds where no duplicates are looked for."""


def batch_stages(directory: Path) -> list[dict[str, Any]]:
    """Each kind that looks at documents one by one, those apart that make some or judge those."""
    stages = []
    for kind in KINDS_HERE:
        if not issubclass(KINDS[kind], GlobalStage | ExpandStage) and kind != GATES:
            settings = SETTINGS[kind]
            given = settings(directory) if callable(settings) else settings
            stages.append({"kind": kind, **given} | OTHERWISE.get(kind, {}))
    return stages


AUGMENTING_STAGES: list[dict[str, Any]] = [
    {"kind": "normalize"},
    {"kind": "noise", "rates": {"keyboard": 0.02, "word_swap": 0.05, "sentence_drop": 0.1}},
    {"kind": "augmentation_gates"},
]

GLOBAL_STAGES: list[dict[str, Any]] = [
    {"kind": "extract", "sources": ["web"]},
    {"kind": "normalize"},
    {"kind": "language", "min_probability": 0.3},
    {"kind": "gopher_quality", "name": "early", "min_words": 40, "min_alpha_words": 0.6,
     "for_source": {"copies": {"min_words": 60}}},
    {"kind": "exact_dedup"},
    {"kind": "minhash_dedup", "threshold": 0.6},
    {"kind": "keep_top", "score": "early_words", "share": 0.9},
    {"kind": "line_dedup", "scope": "all", "min_documents": 3, "min_share": 0, "max_cut": 0.5},
    {"kind": "domain_cap", "max_documents": 9},
    {"kind": "gopher_quality", "name": "late", "min_words": 80, "min_stop_words": 3,
     "for_language": {"de": {"min_words": 10}}},
    {"kind": "fineweb_quality", "max_char_dup_ratio": 0.5, "min_line_punct_ratio": 0.05},
    {"kind": "split", "eval_share": 0.1},
]  # fmt: skip


class Asked:
    """A dataset, and the same with other settings, made as the tests ask for it."""

    def __init__(self, directory: Path, stages: list[dict[str, Any]]) -> None:
        self.directory, self.stages = directory, stages
        self.out = directory / f"out-{len(stages)}"
        self.before = run(recipe(directory, *stages), self.out)

    def again(self, settings: Sequence[str], out: Path) -> dict[str, dict[str, Any]]:
        overrides = [f"stages.{setting}" for setting in settings]
        return run(recipe(self.directory, *self.stages, overrides=overrides), out)


def predicted(before: dict[str, dict[str, Any]], outcome: audit.Outcome) -> dict[str, Any]:
    """Every document's verdict, stage, reason, value and bound, as the answer has it."""
    found = {doc_id: tuple(one[name] for name in NAMES) for doc_id, one in before.items()}
    for fate in ("leaving", "staying", "returning"):
        for flip in getattr(outcome, fate).examples:
            new = [flip[f"new_{name}"] for name in NAMES[1:]]
            found[flip["doc_id"]] = ("kept" if new[0] is None else "rejected", *new)
    return found


def assert_agrees(asked: Asked, outcome: audit.Outcome, after: dict[str, dict[str, Any]]) -> None:
    """What is called exact is what the run does; else all that differs is said to be unknown."""
    found = {doc_id: tuple(one[name] for name in NAMES) for doc_id, one in after.items()}
    expected = predicted(asked.before, outcome)
    for doc_id, one in expected.items():  # another bound, but the same one
        if one[:4] == found[doc_id][:4] == tuple(asked.before[doc_id][name] for name in NAMES[:4]):
            expected[doc_id] = found[doc_id]
    differ = {doc_id for doc_id in found if found[doc_id] != expected[doc_id]}
    if outcome.exact:
        assert not differ, [(expected[one], found[one]) for one in sorted(differ)[:3]]
        assert outcome.kept_so_far == sum(one[0] == "kept" for one in found.values())
        return
    again = {*outcome.decided_again, *outcome.undecided_by}
    if "line_dedup" in again:  # it may cut other lines, so what follows may score other texts
        names = [stage.get("name", stage["kind"]) for stage in asked.stages]
        again.update(names[names.index("line_dedup") :])
    unknown = {flip["doc_id"] for flip in outcome.unknown.examples}
    for doc_id in differ - unknown:
        stages = {asked.before[doc_id]["stage"], found[doc_id][1]}
        assert stages & again, (expected[doc_id], found[doc_id], again)
