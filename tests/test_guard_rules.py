"""The over-removal guard: what is unusual, when it warns, when it stops, and what that leaves."""

import pickle
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from curation.errors import RecipeError, RemovalError
from curation.limits import Guard
from curation.manifest import Manifest, Record, StageCount, read_manifest
from curation.plan import make_plan
from curation.recipe import LoadedRecipe, load_recipe, parse_recipe
from curation.removal import Removals
from curation.runner import RunOptions, finished
from curation.stages.language import Language
from tests.conftest import write_jsonl
from tests.test_runner import WORDS, outputs, run_here

PROSE = [" ".join(WORDS[i % 40 : i % 40 + 55]) + f" number {i} the and of." for i in range(100)]


def loaded(directory: Path, **changes: Any) -> LoadedRecipe:
    values: dict[str, Any] = {
        "name": "corpus",
        "sources": [
            {"name": name, "kind": "jsonl", "paths": [f"{name}.jsonl"], "split_bytes": 8192}
            for name in ("web", "other")
        ],
        "stages": [{"kind": "exact_dedup"}],
    }
    return LoadedRecipe(parse_recipe(values | changes), directory)


def write(directory: Path, texts: Sequence[str]) -> None:
    for name, mine in (("web", texts), ("other", PROSE[50:55])):
        rows = [
            {"id": i, "text": text, "url": f"https://{name}/{i}"} for i, text in enumerate(mine)
        ]
        write_jsonl(directory / f"{name}.jsonl", rows)


@pytest.fixture(scope="module")
def wiped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A source of which deduplication leaves two documents of 120."""
    directory = tmp_path_factory.mktemp("wiped")
    write(directory, [*[PROSE[0]] * 60, *[PROSE[1]] * 60])
    return directory


def test_a_wiped_out_source_stops_the_run_and_loses_no_work(wiped: Path, tmp_path: Path) -> None:
    with pytest.raises(RemovalError) as stopped:
        run_here(loaded(wiped), tmp_path)
    assert str(stopped.value) == (
        "source 'web': exact_dedup.exact_duplicate rejected 98.3% (118 of 120 documents), more "
        "than stop_above = 0.95; if that is meant, allow it with "
        "--set guard.sources.web.rules.exact_dedup.exact_duplicate.stop_above=1 and run again: "
        "finished work is kept and reused"
    )
    details = stopped.value.details
    assert details[0] == "  exact_dedup.exact_duplicate 118, e.g."
    assert [line.split()[1].startswith("https://web/") for line in details[1:]] == [True, True]
    assert not (tmp_path / "manifest.json").exists()

    allowed = {"rules": {"exact_dedup": {"exact_duplicate": {"stop_above": 1}}}}
    manifest, records = run_here(loaded(wiped, guard={"sources": {"web": allowed}}), tmp_path)
    [warning] = manifest.warnings
    assert (warning.level, warning.removed, warning.documents) == ("warn", 118, 120)
    assert [len(reason.examples) for reason in warning.reasons] == [2]
    assert "## Unusual shares removed" in (tmp_path / "README.md").read_text()
    work = [record for record in records if record.stages]
    assert work
    assert all(record.reused for record in work)
    assert read_manifest(tmp_path) == manifest


def test_the_guard_changes_no_data(wiped: Path, tmp_path: Path) -> None:
    off = loaded(wiped, guard={"stop_above": 1, "warn_above": 1})
    manifest, _ = run_here(off, tmp_path / "off")
    assert manifest.warnings == []
    on = loaded(wiped, guard={"stop_above": 1})
    assert on.recipe.fingerprint() == off.recipe.fingerprint() == loaded(wiped).recipe.fingerprint()
    run_here(on, tmp_path / "on")
    one, other = outputs(tmp_path / "off"), outputs(tmp_path / "on")
    assert {name for name in one if one[name] != other[name]} == {"README.md"}


def test_other_limits_judge_a_finished_dataset_again(wiped: Path, tmp_path: Path) -> None:
    options = RunOptions(tmp_path)
    lax, strict = (loaded(wiped, guard={"stop_above": bound}) for bound in (1, 0.9))
    run_here(lax, tmp_path)
    before = outputs(tmp_path)
    assert finished(make_plan(lax), options) is not None
    assert finished(make_plan(strict), options) is None
    with pytest.raises(RemovalError, match=r"stop_above = 0\.9;"):
        run_here(strict, tmp_path)
    assert finished(make_plan(lax), options) is not None
    assert outputs(tmp_path) == before


def test_a_dataset_made_before_there_were_limits_counts_as_finished(
    wiped: Path, tmp_path: Path
) -> None:
    few = {"sources": [{"name": "other", "kind": "jsonl", "paths": ["other.jsonl"]}]}
    run_here(loaded(wiped, **few), tmp_path)
    path = tmp_path / "manifest.json"
    manifest = read_manifest(tmp_path).model_dump(mode="json")
    del manifest["recipe"]["guard"], manifest["warnings"]
    path.write_text(Manifest.model_validate(manifest).model_dump_json(exclude={"warnings"}))
    assert finished(make_plan(loaded(wiped, **few)), RunOptions(tmp_path)) is not None


def test_pages_in_other_languages_are_no_reason_to_stop(tmp_path: Path) -> None:
    write(tmp_path, ["Das ist ein deutscher Text, und er ist nicht für jede Sammlung."] * 100)
    stages = [{"kind": "language", "keep": ["en"], "sources": ["web"]}]
    manifest, _ = run_here(loaded(tmp_path, stages=stages), tmp_path / "out")
    assert manifest.sources["web"].documents_kept == 0
    [warning] = manifest.warnings
    assert (warning.stage, warning.reason, warning.level) == ("language", "language", "warn")
    assert "language" in Language.selects


def removed(guard: Any, *segments: dict[str, Any]) -> Removals:
    """What was removed of a source of 1,000 documents, by the rejects of each segment's stages."""
    plan: Any = SimpleNamespace(
        recipe=SimpleNamespace(guard=Guard.model_validate(guard)),
        shards=[SimpleNamespace(source=SimpleNamespace(name="web"))] * 2,
        segments=[
            SimpleNamespace(decisions=(), stages=[SimpleNamespace(name="pick", selects={"no"})])
        ],
    )
    removals, left = Removals(plan), 1000
    for segment in segments:
        counts = []
        for stage, rejects in segment.items():
            counts.append(StageCount(name=stage, kind=stage, documents_in=left, rejects=rejects))
            left -= sum(rejects.values())
        empty = Record(key="", stages=[StageCount(name=name, kind=name) for name in segment])
        removals.check([Record(key="", stages=counts), empty], [])
    return removals


def judged(guard: Any, *segments: dict[str, Any]) -> list[tuple[Any, ...]]:
    """What of it is unusual."""
    try:
        removals = removed(guard, *segments)
    except RemovalError as error:
        return [("stop", str(error).split(" rejected ")[0])]
    return [
        (one.level, one.stage, one.reason, one.removed, one.documents) for one in removals.warnings
    ]


@pytest.mark.parametrize(
    ("guard", "segments", "expected"),
    [
        ({}, [{"read": {}, "a": {"x": 500}}], []),
        ({}, [{"read": {}, "a": {"x": 501}}], [("warn", "a", "x", 501, 1000)]),
        ({}, [{"read": {}, "a": {"x": 300, "y": 250}}], [("warn", "a", None, 550, 1000)]),
        ({}, [{"read": {}, "a": {"x": 300}, "b": {"x": 300}}], [("warn", None, None, 600, 1000)]),
        ({}, [{"read": {}, "a": {"x": 300}}, {"b": {"x": 300}}], [("warn", None, None, 600, 1000)]),
        ({}, [{"read": {}, "a": {"x": 951}}], [("stop", "source 'web': a.x")]),
        ({}, [{"read": {}, "a": {"x": 800, "y": 151}}], [("stop", "source 'web': a")]),
        (
            {},
            [{"read": {}, "a": {"x": 800}}, {"b": {"x": 160}}],
            [("stop", "source 'web': all stages together")],
        ),
        ({}, [{"read": {"bad_json": 960}}], [("stop", "source 'web': read.bad_json")]),
        ({}, [{"read": {"media_type": 900, "http_status": 40}}], []),
        ({}, [{"read": {}, "pick": {"no": 940}}], []),
        ({}, [{"read": {}, "pick": {"no": 1000}}], [("warn", "pick", "no", 1000, 1000)]),
        # What a selecting rule leaves is judged by itself: 40 of 100.
        ({}, [{"read": {}, "pick": {"no": 900}, "a": {"x": 40}}], []),
        ({}, [{"read": {}, "pick": {"no": 901}, "a": {"x": 99}}], []),  # too few to judge
        ({"min_documents": 50}, [{"read": {}, "pick": {"no": 901}, "a": {"x": 99}}],
         [("stop", "source 'web': a.x")]),
        ({"rules": {"a": {"x": {"stop_above": 1, "warn_above": 1}}}},
         [{"read": {}, "a": {"x": 990}}], []),
        ({"rules": {"a": {"stop_above": 1}}}, [{"read": {}, "a": {"x": 990}}],
         [("warn", "a", "x", 990, 1000)]),
        ({"sources": {"web": {"stop_above": 1}}}, [{"read": {}, "a": {"x": 990}}],
         [("warn", "a", "x", 990, 1000)]),
        ({"sources": {"other": {"stop_above": 1}}}, [{"read": {}, "a": {"x": 990}}],
         [("stop", "source 'web': a.x")]),
        ({"rules": {"a.x": {"warn_above": 0.1}}}, [{"read": {}, "a": {"x": 110, "y": 400}}],
         [("warn", "a", "x", 110, 1000)]),
        ({"sources": {"web": {"rules": {"a": {"warn_above": 0.9}}}},
          "rules": {"a": {"warn_above": 0}}},
         [{"read": {}, "a": {"x": 800}}], []),
        ({"rules": {"pick": {"stop_above": 0.5}}}, [{"read": {}, "pick": {"no": 600}}],
         [("stop", "source 'web': pick.no")]),
    ],
)  # fmt: skip
def test_what_is_unusual(guard: Any, segments: Any, expected: Any) -> None:
    assert judged(guard, *segments) == expected


@pytest.mark.parametrize(
    ("guard", "segment", "expected"),
    [
        # The share of all stages is of documents that no rule was meant to take.
        ({}, {"pick": {"no": 700}, "a": {"x": 90}, "b": {"y": 80}}, ["a.x 90", "b.y 80"]),
        ({}, {"pick": {"no": 1000}}, ["pick.no 1000"]),
        ({"rules": {"a": {"warn_above": 0.4}}}, {"a": {"x": 450}, "b": {"y": 300}},
         ["a.x 450", "b.y 300"]),
        ({"rules": {"a": {"warn_above": 0.9}}}, {"a": {"x": 500}, "b": {"y": 300}}, ["b.y 300"]),
    ],
)  # fmt: skip
def test_the_reasons_that_are_told_are_those_that_count(
    guard: Any, segment: Any, expected: list[str]
) -> None:
    for warning in removed(guard, {"read": {}, **segment}).warnings:
        found = [f"{one.stage}.{one.reason} {one.documents}" for one in warning.reasons]
        assert found == expected


@pytest.mark.parametrize(
    ("guard", "message"),
    [
        ({"warn": 1}, r"unknown setting of \[guard\] 'warn'.*warn_above"),
        ({"warn_above": 1.5}, r"guard\.warn_above: .*less than or equal to 1 \(found 1\.5\)"),
        ({"sources": {"wep": {}}}, r"unknown source in \[guard\.sources\] 'wep'.*mean 'web'"),
        ({"rules": {"exact_dup": {"stop_above": 1}}}, r"unknown stage in \[guard\.rules\]"),
        ({"rules": {"exact_dedup": {"stop_above": 2}}}, r"stop_above: .*less than or equal to 1"),
    ],
)
def test_a_wrong_limit_is_one_line(tmp_path: Path, guard: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message) as error:
        loaded(tmp_path, guard=guard)
    assert "\n" not in str(error.value)


def test_what_the_message_says_to_set_can_be_set(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'name = "r"\n[[sources]]\nname = "web"\nkind = "jsonl"\npaths = ["a"]\n'
        '[[stages]]\nkind = "exact_dedup"\n'
    )
    keys = ["sources.web", "sources.web.rules.exact_dedup.exact_duplicate", "rules.exact_dedup"]
    overrides = ["guard.stop_above=1", *[f"guard.{key}.stop_above=0.99" for key in keys]]
    guard = load_recipe(tmp_path / "r.toml", overrides).recipe.guard
    assert guard.stop_above == 1
    assert guard.sources["web"].rules["exact_dedup.exact_duplicate"].stop_above == 0.99
    assert guard.rules["exact_dedup"].stop_above == 0.99
    assert Guard.model_validate(guard.model_dump(mode="json")) == guard


def test_hostile_text_in_examples_is_harmless(capsys: pytest.CaptureFixture[str]) -> None:
    from flows.cli import _guarded

    def command() -> None:
        raise pickle.loads(pickle.dumps(RemovalError("too\nmuch", ["  \x1b[2J e.g.\r\nhttps://x"])))

    with pytest.raises(SystemExit):
        _guarded(command)
    assert capsys.readouterr().err == "error: too much\n  \ufffd[2J e.g.\ufffd https://x\n"
