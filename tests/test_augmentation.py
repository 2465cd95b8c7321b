"""Whole recipes with augmentation: what comes in by it is curated like all else."""

import gzip
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from curation import audit
from curation import recipe as recipes
from curation.audit.tables import connect, rows
from curation.errors import DataError
from curation.recipe import LoadedRecipe, parse_recipe
from curation.schema import make_doc_id
from curation.stages import KINDS
from flows.cli import app
from tests.conftest import SAMPLE, write_jsonl
from tests.reword import WORDS, Reword
from tests.test_runner import outputs, run_here

QUESTION = (
    "A patient with fever and a stiff neck arrives in the emergency room late at night; which of "
    "the following tests should be ordered first to rule out a bleeding in the brain?"
)
IN_OTHER_WORDS = (
    "A patient having fever plus a stiff neck arrives within the emergency room late at night; "
    "what among the following tests ought to be ordered first to exclude a haemorrhage of the "
    "brain?"
)
BACK = {
    "having": "with", "plus": "and", "within": "in", "what among": "which of",
    "ought to": "should", "exclude a haemorrhage of": "rule out a bleeding in",
}  # fmt: skip
PROSE = (
    "The ward keeps a book of all that happens between the evening and the morning. On quiet "
    "nights nobody writes a line, but most weeks have one page that the doctors read aloud. "
)
DECONTAMINATE = {"kind": "decontaminate", "evals": ["evals.jsonl"], "fields": ["question"]}

Load = Callable[..., LoadedRecipe]


@pytest.fixture
def load(monkeypatch: pytest.MonkeyPatch) -> Load:
    kinds = {**{kind: KINDS[kind] for kind in KINDS}, "reword": Reword}
    monkeypatch.setattr(recipes, "STAGE_KINDS", kinds)

    def recipe(directory: Path, *stages: dict[str, Any], reverse: bool = False) -> LoadedRecipe:
        source = {
            "name": "docs", "kind": "jsonl", "split_bytes": 8192,
            "paths": ["a.jsonl", "b.jsonl"][:: -1 if reverse else 1],
            "fields": {"id": "id", "text": "text", "label": "label", "target": "target"},
        }  # fmt: skip
        values = {"name": "augmented", "seed": 5, "sources": [source], "stages": list(stages)}
        values |= {"output": {"shards": 2}, "guard": {"stop_above": 1}}
        resolved = json.loads(json.dumps(values).replace("evals.jsonl", f"{directory}/evals.jsonl"))
        return LoadedRecipe(parse_recipe(resolved), directory)

    return recipe


def answers(count: int) -> list[dict[str, Any]]:
    with gzip.open(SAMPLE / "medquad.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in itertools.islice(lines, count)]


def write(directory: Path, documents: list[dict[str, Any]]) -> None:
    write_jsonl(directory / "evals.jsonl", [{"id": "q1", "question": QUESTION}])
    write_jsonl(directory / "a.jsonl", documents[::2])
    write_jsonl(directory / "b.jsonl", documents[1::2])


def run(loaded: LoadedRecipe, out: Path, **options: Any) -> dict[str, dict[str, Any]]:
    """Runs a recipe; returns the audit by record id."""
    run_here(loaded, out, **options)
    assert audit.verify(out) == []
    with connect(out) as connection:
        return {row["record_id"]: row for row in rows(connection, "SELECT * FROM documents")}


def child_of(record_id: str, stage: str = "reword") -> str:
    return f"{record_id}#{stage}:0@5"


def test_a_test_question_that_a_paraphrase_brings_back_is_caught(load: Load, tmp_path: Path):
    planted = {"id": "planted", "text": f"{PROSE}{IN_OTHER_WORDS} {PROSE}"}
    other = "Fever plus a cough, having no cause within reach, ought to be told plus written down. "
    write(tmp_path, [planted, {"id": "other", "text": other * 2}])
    stages = [
        DECONTAMINATE,
        {"kind": "reword", "words": BACK},
        {"kind": "augmentation_gates"},
        {**DECONTAMINATE, "name": "decontaminate_again"},
    ]
    found = run(load(tmp_path, *stages), tmp_path / "out")
    parent, child = found["planted"], found[child_of("planted")]
    assert (parent["verdict"], parent["decontaminate_overlap"]) == ("kept", 0)
    assert (child["stage"], child["reason"]) == ("decontaminate_again", "contaminated")
    assert child["parent_id"] == parent["doc_id"]
    assert (child["decontaminate_again_set"], child["decontaminate_again_id"]) == ("evals", "q1")
    assert child["augmentation_gates_chrf"] > 35
    assert found[child_of("other")]["verdict"] == "kept"


def said(word: str, *, every_other: str = "") -> str:
    """Sixty words, every second one of them another."""
    return " ".join(f"{every_other if every_other and k % 2 else word}{k}" for k in range(60))


def test_children_are_no_duplicates_of_anybody_and_nobody_goes_for_a_child(
    load: Load, tmp_path: Path
):
    """One child nearly equals its parent, one another document, and two equal each other."""
    documents = [
        {"id": "near-parent", "text": f"{said('a')} seldom"},
        {"id": "real", "text": said("b")},
        {"id": "near-real", "text": f"{said('b', every_other='c')} end"},
        {"id": "one", "text": said("d", every_other="e")},
        {"id": "two", "text": said("d", every_other="f")},
    ]
    words = {"seldom": "rarely if ever", "end": "end of it all"}
    words |= {f"{old}{k}": f"{new}{k}" for old, new in ("cb", "ed", "fd") for k in range(60)}
    write(tmp_path, documents)
    stages = [
        {"kind": "minhash_dedup"},
        {"kind": "reword", "words": words},
        {"kind": "exact_dedup", "name": "exact_again"},
        {"kind": "minhash_dedup", "name": "near_again", "keep": ["longest"]},
    ]
    found = run(load(tmp_path, *stages), tmp_path / "out")
    assert {found[one["id"]]["verdict"] for one in documents} == {"kept"}
    for name, twin in (("near-parent", "near-parent"), ("near-real", "real")):
        child = found[child_of(name)]
        assert (child["reason"], child["other_id"]) == ("near_duplicate", found[twin]["doc_id"])
        assert child["text_bytes"] > found[twin]["text_bytes"]
    twins = [found[child_of(name)] for name in ("one", "two")]
    assert sorted(one["reason"] or "" for one in twins) == ["", "exact_duplicate"]


STAGES = [
    {"kind": "normalize"},
    {"kind": "exact_dedup"},
    {"kind": "minhash_dedup"},
    {"kind": "split", "eval_share": 0.25},
    {"kind": "reword"},
    {"kind": "augmentation_gates", "max_chrf": 92},
    {"kind": "exact_dedup", "name": "exact_again"},
    {"kind": "minhash_dedup", "name": "near_again"},
]


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    documents = [
        {
            "id": f"d{number}", "text": one["text"][:3000], "label": f"class {number % 3}",
            "target": f"summary {number}",
        }
        for number, one in enumerate(answers(80))
    ]  # fmt: skip
    documents.append({"id": "few", "text": f"{PROSE * 3} It rained and rained."})
    write(tmp_path, documents)
    return tmp_path


def test_no_eval_document_has_a_child_in_train_and_labels_are_carried_along(
    load: Load, corpus: Path
):
    found = run(load(corpus, *STAGES), corpus / "out")
    by_id = {row["doc_id"]: row for row in found.values()}
    children = [row for row in found.values() if row["parent_id"]]
    assert len(children) > 40
    for child in children:
        parent = by_id[child["parent_id"]]
        assert (parent["split"], child["split"]) == ("train", "train")
        assert child["label"] == parent["label"]
        assert parent["verdict"] == "kept"
    assert sum(row["split"] == "eval" for row in found.values()) > 8
    kept = {row["record_id"]: row for row in audit.pairs(corpus / "out", 100)}
    assert len(kept) == sum(child["verdict"] == "kept" for child in children) > 20
    reasons = {child["reason"] for child in children if child["verdict"] == "rejected"}
    assert "nothing_new" in reasons
    assert found["few"]["split"] == "eval" or found[child_of("few")]["reason"] == "nothing_new"


def test_the_same_bytes_whatever_the_batches_and_the_order(load: Load, corpus: Path):
    run(load(corpus, *STAGES), corpus / "one")
    run(load(corpus, *STAGES), corpus / "two", batch_rows=1)
    run(load(corpus, *STAGES, reverse=True), corpus / "three", batch_rows=7)
    expected = outputs(corpus / "one")
    for other in ("two", "three"):
        found = outputs(corpus / other)
        assert set(found) == set(expected)
        assert [n for n in found if found[n] != expected[n] and n != "README.md"] == []


def test_gates_behind_a_decision_are_refused(load: Load, corpus: Path):
    stages = [{"kind": "reword"}, {"kind": "exact_dedup"}, {"kind": "augmentation_gates"}]
    with pytest.raises(recipes.RecipeError, match=r"augmentation_gates .*parent_text"):
        load(corpus, *stages)
    with pytest.raises(recipes.RecipeError, match="augmentation_gates needs column 'made_by'"):
        load(corpus, {"kind": "augmentation_gates"})


def test_families_pairs_and_operations_are_told(load: Load, corpus: Path):
    out = corpus / "out"
    found = run(load(corpus, *STAGES), out)
    children = [row for row in found.values() if row["parent_id"]]
    parent = next(row for row in found.values() if row["doc_id"] == children[0]["parent_id"])
    for asked in (parent, children[0]):
        [route] = audit.trace(out, asked["doc_id"])
        assert [member["doc_id"] for member in route.family] == [
            parent["doc_id"], children[0]["doc_id"],
        ]  # fmt: skip
        assert route.family[1]["made_by"] == "reword"
    alone = next(row for row in found.values() if row["split"] == "eval")
    assert audit.trace(out, alone["doc_id"])[0].family == []

    [operation] = audit.operations(out)
    assert (operation.stage, operation.made) == ("reword", len(children))
    assert operation.kept + sum(operation.reasons.values()) == operation.made
    assert operation.scores["reword_replaced"] > 1
    assert 35 < operation.scores["augmentation_gates_chrf"] < 97
    assert operation.seconds_per_thousand is not None
    assert operation.seconds_per_thousand > 0

    some = audit.pairs(out, 5, seed=2)
    assert some == audit.pairs(out, 5, seed=2) != audit.pairs(out, 5, seed=3)
    for pair in some:
        assert pair["parent_text"] != pair["text"]
        assert pair["parent_verdict"] == "kept"
        for word in set(WORDS) - {"for", "or"}:  # which stand in what replaces them
            assert f" {word} " not in pair["text"]
    [first, *_] = audit.pairs(out, 3, rejected="nothing_new")
    assert first["reason"] == "nothing_new"
    assert first["text"]
    assert first["parent_text"]
    assert make_doc_id("docs", first["record_id"]) == first["doc_id"]


def test_commands_tell_the_same_to_machines(load: Load, corpus: Path):
    out = corpus / "out"
    run(load(corpus, *STAGES), out)

    def answer(*arguments: str) -> Any:
        found = CliRunner().invoke(app, [*arguments, "--json"], catch_exceptions=False)
        assert found.exit_code == 0
        return json.loads(found.stdout)

    [operation] = answer("stats", str(out), "--augmented")["augmented"]
    assert operation == audit.operations(out)[0]._asdict()
    [pair] = answer("show", str(out), "--augmented", "--sample", "1")
    assert {pair["made_by"], pair["verdict"]} == {"reword", "kept"}
    assert pair["parent_text"] != pair["text"]
    [route] = answer("trace", str(out), pair["doc_id"])
    assert [member["doc_id"] for member in route["family"]] == [pair["parent_id"], pair["doc_id"]]
    shown = CliRunner().invoke(app, ["show", str(out), "--augmented", "--sample", "1"])
    assert "{+" in shown.stdout
    assert f"child {pair['doc_id'][:12]} (kept)" in shown.stdout
    shown = CliRunner().invoke(app, ["trace", str(out), pair["doc_id"]])
    assert "family of 2" in shown.stdout


def test_a_dataset_without_children_says_so(load: Load, corpus: Path):
    run(load(corpus, {"kind": "exact_dedup"}), corpus / "out")
    for ask in (audit.operations, lambda out: audit.pairs(out, 1)):
        with pytest.raises(DataError, match="no stage of its recipe made documents"):
            ask(corpus / "out")
