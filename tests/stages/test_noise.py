"""The noise stage: what its children are, that chance is all theirs, and what is refused."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.errors import DataError, DriftError
from curation.noising import LEVELS, OPERATIONS, codespell_dictionary, read_misspellings
from curation.segment import SegmentRun
from curation.stages.noise import Noise
from curation.text.edits import plain_distance
from curation.verdicts import Verdicts
from tests.conftest import make_batch
from tests.text.strategies import texts

PROSE = (
    "The clerk of the harbour wrote that ships could not leave, and that the ropes were frozen. "
    "Which winter was it? Nobody knew; the paper was old!\nTheir answer came a year later, in May."
)
QUIET = {"keep_unchanged": True}


def children(
    parents: list[str | None], rates: dict[str, float], **options: Any
) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """The children of some documents as the runner leaves them, and what was rejected."""
    columns = {name: options.pop(name) for name in ("target", "split") if name in options}
    stage = Noise(rates=rates, **{"seed": 3, **options})
    batch = make_batch(parents, **columns)
    verdicts = Verdicts(batch.num_rows)
    run = SegmentRun([stage])
    rows = run.run(batch, verdicts).to_pylist()
    kept = [r for r, gone in zip(rows, verdicts.rejected, strict=True) if not gone]
    return [row for row in kept if row["parent_id"]], run.counts["noise"].rejects


def test_a_child_has_noise_and_says_how_much() -> None:
    [child], rejects = children([PROSE], {"keyboard": 0.05, "word_swap": 0.05})
    assert child["text"] != PROSE
    assert child["noise_char_rate"] == plain_distance(PROSE, child["text"]) / len(PROSE)
    words = PROSE.split()
    assert child["noise_word_rate"] == plain_distance(words, child["text"].split()) / len(words)
    assert (child["noise_changed"], child["noise_chars"]) == (True, len(child["text"]))
    assert child["operation"] == "word_swap+keyboard"
    assert child["noise_mask_rate"] is None
    assert rejects == {}


@pytest.mark.parametrize("name", [name for name in OPERATIONS if name != "span_mask"])
def test_every_operation_does_something(name: str) -> None:
    accented = "D\u00e9j\u00e0 vu\u0301. " + PROSE
    found, _ = children([accented] * 8, {name: 0.6})
    assert {child["operation"] for child in found} == {name}
    assert len(found) >= 3


def test_a_child_without_noise_is_a_reject_unless_it_is_wanted() -> None:
    assert children(["12345"], {"homoglyph": 1.0}) == ([], {"unchanged": 1})
    [child], _ = children(["12345"], {"homoglyph": 1.0}, keep_unchanged=True, task="clean")
    assert (child["text"], child["target"], child["noise_char_rate"]) == ("12345", "12345", 0)


def test_nothing_left_is_a_reject() -> None:
    assert children(["abc def"], {"word_delete": 1.0}) == ([], {"no_text_left": 1})


@settings(deadline=None, max_examples=40)
@given(st.lists(texts, min_size=1, max_size=5), st.integers(0, 2**63 - 1))
def test_text_stays_valid_unicode_whatever_the_noise(parents: list[str], seed: int) -> None:
    rates = {
        name: 0.9 / len(names)
        for level, names in LEVELS.items() if level != "spans"
        for name in names if name != "word_misspell"
    }  # fmt: skip
    found, rejects = children([*parents], rates, seed=seed)
    for child in found:
        assert child["text"].encode("utf-8").decode("utf-8") == child["text"]
    assert len(found) + sum(rejects.values()) == len(parents)


@settings(deadline=None, max_examples=10)
@given(st.permutations(range(6)), st.integers(0, 6), st.sampled_from(["all", "one"]))
def test_noise_is_free_of_order_and_of_neighbours(order: list[int], cut: int, how: str) -> None:
    rates = {"delete": 0.05, "word_repeat": 0.05, "sentence_shuffle": 0.5}
    stage = Noise(rates=rates, choose=how, seed=3, share=2)
    batch = make_batch([f"{PROSE} {number}" for number in range(6)])

    def run(part: pa.RecordBatch) -> dict[str, str]:
        rows = SegmentRun([stage]).run(part, Verdicts(part.num_rows)).to_pylist()
        return {row["doc_id"]: row["text"] for row in rows}

    mixed = batch.take(pa.array(order))
    assert run(mixed.slice(0, cut)) | run(mixed.slice(cut)) == run(batch)


def test_another_seed_child_or_name_is_other_noise() -> None:
    rates = {"keyboard": 0.2}
    one = children([PROSE], rates, share=2)[0]
    other = children([PROSE], rates, seed=4)[0] + children([PROSE], rates, seed=3)[0]
    assert len({child["text"] for child in [*one, *other]}) == 3
    assert one[0]["text"] == other[1]["text"]


def test_one_operation_for_each_child() -> None:
    rates = {"keyboard": 0.1, "word_delete": 0.1, "case": 0.1}
    found, _ = children([PROSE] * 90, rates, choose="one")
    counts = {name: [c["operation"] for c in found].count(name) for name in rates}
    assert sum(counts.values()) == 90
    assert min(counts.values()) > 15


def test_t5_and_bart_pairs() -> None:
    [child], _ = children([PROSE], {"span_mask": 0.15}, task="t5")
    sentinels = [word for word in child["text"].split() if word.startswith("<extra_id_")]
    assert sentinels == [f"<extra_id_{n}>" for n in range(len(sentinels))]
    restored = child["text"]
    for number in range(len(sentinels)):
        _, _, rest = child["target"].partition(f"<extra_id_{number}> ")
        restored = restored.replace(
            f"<extra_id_{number}>", rest.partition(f" <extra_id_{number + 1}>")[0]
        )
    assert restored == PROSE
    words = len(PROSE.split())
    assert child["noise_mask_rate"] == round(0.15 * words) / words
    [child], _ = children([PROSE], {"span_mask": 0.3, "sentence_shuffle": 1}, task="bart")
    assert child["target"] == PROSE
    assert "<mask>" in child["text"]


def test_what_can_have_no_target_is_a_reject_with_a_reason() -> None:
    rates = {"span_mask": 0.5}
    holds = "this holds <extra_id_7> already"
    found, rejects = children([PROSE, holds], rates, task="t5", target=["a summary", None])
    assert (found, rejects) == ([], {"has_target": 1, "has_mask": 1})
    _, rejects = children(["a b c d " * 30], rates, task="t5", max_spans=5)
    assert rejects == {"many_spans": 1}
    _, rejects = children([PROSE], {"case": 0.2}, task="clean", target=["a summary"])
    assert rejects == {"has_target": 1}


def test_a_supervised_document_keeps_its_target() -> None:
    [child], _ = children([PROSE], {"case": 0.2}, target=["a summary"])
    assert child["target"] == "a summary"


def test_bounds_reject_by_measured_rate() -> None:
    _, rejects = children([PROSE], {"repeat": 0.9}, max_char_rate=0.05)
    assert rejects == {"much_noise": 1}
    _, rejects = children([PROSE], {"word_delete": 0.9}, max_word_rate=0.05)
    assert rejects == {"many_word_errors": 1}


def test_own_list_of_misspellings(tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("# ours\nharbor->harbour\nteh->the\nnodoby->nobody, somebody,\n")
    [child], _ = children([PROSE], {"word_misspell": 1}, misspellings=str(path))
    assert "Teh clerk of teh harbor" in child["text"]
    assert "Nodoby knew" in child["text"]
    stage = Noise(rates={"word_misspell": 1}, misspellings=str(path), seed=1)
    path.write_text("het->the\n")
    with pytest.raises(DriftError, match="stage noise"):
        stage.open()
    with pytest.raises(ValidationError, match="misspellings_digest"):
        Noise(**stage.model_dump())


def test_list_without_a_usable_line(tmp_path: Path) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text("no arrows here\n")
    with pytest.raises(DataError, match=r"no line holds 'wrong->right'.*give a list"):
        read_misspellings(path, "x")
    with pytest.raises(DataError, match="cannot be read"):
        read_misspellings(tmp_path / "gone.txt", "x")


def test_missing_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("curation.stages.noise.codespell_dictionary", lambda: None)
    with pytest.raises(ValidationError, match=r"needs that package; install it.*curation\[noise\]"):
        Noise(rates={"word_misspell": 0.1})
    assert Noise(rates={"word_swap": 0.1}).misspellings_digest == ""


def test_the_packages_list_is_large() -> None:
    path = codespell_dictionary()
    if path is None:
        pytest.skip("codespell is not installed")
    assert len(read_misspellings(path, "")) > 10_000


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rates": {"keybord": 0.1}}, "operation in rates 'keybord'.*did you mean 'keyboard'"),
        ({"rates": {"keyboard": 1.1}}, "rate of keyboard is 1.1, expected 0 to 1"),
        ({"rates": {"keyboard": 0}}, "no operation above 0"),
        ({"rates": {"keyboard": 0.6, "case": 0.6}}, "rates of characters add up to 1.2"),
        ({"rates": {"case": 0.1}, "layout": "qwerti"}, "layout 'qwerti'.*qwerty"),
        ({"rates": {"span_mask": 0.1}}, 'span_mask is for task = "t5" or "bart"'),
        ({"rates": {"case": 0.1}, "task": "t5"}, "and these need it"),
        ({"rates": {"case": 0.1, "span_mask": 0.1}, "task": "t5"}, "takes span_mask alone"),
        ({"rates": {"span_mask": 0.1}, "task": "bart", "choose": "one"}, "do not go together"),
        ({"rates": {"span_mask": 0.1}, "task": "t5", "mask": "<m>"}, "mask is '<m>'; expected"),
        ({"rates": {"word_misspell": 0.1}, "misspellings": "/no/file"}, "no such file"),
    ],
)
def test_impossible_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        Noise(**settings)


def test_settings_survive_a_round_trip() -> None:
    stage = Noise(rates={"keyboard": 0.1, "word_misspell": 0.2}, layout="azerty", seed=5)
    assert Noise.model_validate_json(stage.model_dump_json()) == stage


def test_no_documents_no_children() -> None:
    batch = make_batch([])
    rows = SegmentRun([Noise(rates={"case": 0.5}, seed=1)]).run(batch, Verdicts(0))
    assert rows.num_rows == 0
    assert np.all([name in rows.schema.names for name in ("root_id", "noise_char_rate")])
