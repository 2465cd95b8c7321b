"""The stage normalize: what it rewrites, what it counts, and when it rejects."""

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.segment import broken_rows, score_rows
from curation.stages import normalize
from curation.stages.normalize import Normalize
from tests.conftest import make_batch
from tests.text.strategies import texts

FUNCTION = Normalize().open()


def rewritten(stage: Normalize, *rows: str) -> list[str]:
    return stage.open()(make_batch(rows))["text"].to_pylist()


def test_a_text_is_composed_and_tidied():
    assert rewritten(Normalize(), "Cafe\u0301\xa0 noir \r\n\r\n\r\n\x00ende") == [
        "Café noir\n\nende"
    ]


def test_composition_sees_through_what_was_dropped():
    assert rewritten(Normalize(), "e\u200b\u0301", "\u1100\ufeff\u1161") == ["é", "가"]


def test_characters_are_counted_before_and_after():
    batch = make_batch(["a  é\u200b", "e\u0301", "clean", "\u0958"])
    columns = FUNCTION(batch)
    assert columns["normalize_chars"].to_pylist() == [3, 1, 5, 2]
    assert columns["normalize_removed_chars"].to_pylist() == [2, 1, 0, -1]


def test_a_target_is_rewritten_by_the_same_rules():
    columns = FUNCTION(make_batch(["a", "b", "c"], target=["x\xa0 y", None, "e\u0301"]))
    assert columns["target"].to_pylist() == ["x y", None, "é"]
    assert FUNCTION(make_batch(["a"]))["target"].to_pylist() == [None]


@pytest.mark.parametrize("text", ["", " \n\t", "\ufeff\u200b", "\x00\x1f"])
def test_a_text_of_which_nothing_is_left_is_rejected(text):
    stage = Normalize()
    batch = make_batch([text, "a"])
    scored, _ = score_rows(stage, batch, batch.column("text").is_valid().to_numpy(False))
    (rule,) = stage.rules()
    found = broken_rows(stage.name, rule, scored, batch.column("text").is_valid().to_numpy(False))
    assert (found.reason, found.rows.tolist(), found.values.tolist()) == ("empty_text", [0], [0])


@settings(deadline=None)
@given(
    st.lists(st.none() | texts, max_size=5),
    st.builds(
        Normalize,
        plain_spaces=st.booleans(),
        collapse_spaces=st.booleans(),
        keep_indentation=st.booleans(),
    ),
)
def test_a_second_pass_changes_nothing_and_neighbours_do_not_matter(rows, stage):
    function = stage.open()
    once = function(make_batch(rows))["text"]
    again = function(make_batch(once.to_pylist()))
    assert again["text"].equals(once)
    assert set(again["normalize_removed_chars"].drop_null().to_pylist()) <= {0}
    assert once.to_pylist() == [function(make_batch([row]))["text"].to_pylist()[0] for row in rows]
    once.validate(full=True)


def test_slices_and_empty_batches_give_their_own_rows():
    batch = make_batch(["a ", " e\u0301", None, "c  d"])
    assert FUNCTION(batch.slice(1))["text"].to_pylist() == ["é", None, "c d"]
    empty = FUNCTION(batch.slice(4))
    assert {name: len(values) for name, values in empty.items()} == dict.fromkeys(
        Normalize().writes().names, 0
    )


def test_columns_have_the_declared_types():
    columns = FUNCTION(make_batch(["a"], target=["b"]))
    assert {name: values.type for name, values in columns.items()} == {
        field.name: field.type for field in Normalize().writes()
    }


def test_options_reach_the_text():
    assert rewritten(Normalize(plain_spaces=False), "a\xa0b") == ["a\xa0b"]
    assert rewritten(Normalize(collapse_spaces=False), "a  b") == ["a  b"]
    assert rewritten(Normalize(keep_indentation=False), "a\n  b") == ["a\nb"]


def test_mojibake_is_repaired_on_request_only():
    broken = "plain ascii\nSchÃ¶ne GrÃ¼Ã\x9fe\nrichtig: Größe"
    fixed = "plain ascii\nSchöne Grüße\nrichtig: Größe"
    assert rewritten(Normalize(fix_mojibake=True), broken, "x") == [fixed, "x"]
    assert "SchÃ¶ne" in rewritten(Normalize(), broken)[0]


def test_mojibake_without_ftfy_is_told_with_its_remedy(monkeypatch):
    monkeypatch.setattr(normalize, "find_spec", lambda _: None)
    with pytest.raises(ValueError, match=r"ftfy is not installed; .*curation\[precise\]"):
        Normalize(fix_mojibake=True)


def test_texts_of_another_string_type_are_read():
    batch = pa.RecordBatch.from_pydict(
        {"text": pa.array(["a  b"], pa.string()), "target": pa.array([None], pa.string())}
    )
    assert FUNCTION(batch)["text"].to_pylist() == ["a b"]
