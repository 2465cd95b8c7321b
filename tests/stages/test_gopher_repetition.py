import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.stages.gopher_repetition import GopherRepetition
from curation.text.repetition import DEFINITIONS, DUPLICATE_SIZES
from tests.conftest import make_batch

COUNT = iter(range(10**9))


def fresh(words):
    """Words that no other call gives."""
    return " ".join(f"w{next(COUNT)}" for _ in range(words))


def _stage(**options):
    return GopherRepetition(kind="gopher_repetition", **options)


def _scores(stage, batch):
    columns = stage.open()(batch)
    schema = stage.writes()
    assert set(columns) == set(schema.names)
    arrays = [columns[name].cast(schema.field(name).type) for name in schema.names]
    return pa.RecordBatch.from_arrays(arrays, schema=schema).to_pylist()


def _reasons(text, **options):
    stage = _stage(**options)
    [scores] = _scores(stage, make_batch([text]))
    return [
        rule.reason
        for rule in stage.rules()
        if scores[rule.column] is not None and scores[rule.column] > rule.high
    ]


def _only(size):
    """Settings under which no shorter n-gram decides."""
    return {f"max_duplicate_{n}grams": 99 for n in DUPLICATE_SIZES if n < size}


def _runs(size):
    """Runs of `size` words that stand twice, with other words between; no longer run does."""
    runs = [fresh(size) for _ in range(12)]
    return " ".join(f"{run} {fresh(2)}" for run in runs + runs[::-1])


LONG = [fresh(12) for _ in range(6)]
TEXTS = {
    "many_duplicate_lines": ("\n".join(["ab"] * 4 + [fresh(20) for _ in range(5)]), {}),
    "many_duplicate_line_chars": (
        "\n".join([*(line for line in LONG[:2] for _ in (0, 1)), *(fresh(8) for _ in range(5))]),
        _only(11),
    ),
    "many_duplicate_paragraphs": (
        "\n\n".join(fresh(20) if k % 2 else "ab" for k in range(8)),
        {"max_duplicate_lines": 99},
    ),
    "many_duplicate_paragraph_chars": (
        "\n\n".join([*LONG[:2], *LONG[:2], *(fresh(6) for _ in range(6))]),
        {**_only(11), "max_duplicate_line_chars": 99},
    ),
    "frequent_2gram": (" ".join(f"over there {fresh(1)}" for _ in range(9)), {}),
    "frequent_3gram": (" ".join(f"ab cd efg {fresh(2)}" for _ in range(9)), {"max_top_2gram": 0.4}),
    "frequent_4gram": (
        " ".join(f"a b cd efg {fresh(3)}" for _ in range(9)),
        {"max_top_2gram": 1, "max_top_3gram": 1},
    ),
    **{f"many_duplicate_{n}grams": (_runs(n), _only(n)) for n in DUPLICATE_SIZES},
}


@pytest.mark.parametrize("reason", [rule.reason for rule in _stage().rules()])
def test_each_bound_is_broken_by_its_own_text(reason):
    text, options = TEXTS[reason]
    assert _reasons(text, **options) == [reason]


def test_text_that_does_not_repeat_itself_breaks_no_bound():
    text = "\n\n".join(f"{fresh(9)}\n{fresh(12)}" for _ in range(9))
    assert _reasons(text) == []


@pytest.mark.parametrize("text", ["", " \n\n", "word"])
def test_text_without_ngrams_breaks_no_bound(text):
    assert _reasons(text) == []


def test_bounds_are_inclusive():
    text = "a\na\nb\nc"
    assert _reasons(text, max_duplicate_lines=0.25, max_duplicate_line_chars=0.25) == []
    assert _reasons(text, max_duplicate_lines=0.24, max_duplicate_line_chars=0.25) == [
        "many_duplicate_lines"
    ]


def test_short_text_that_repeats_nothing_fails_where_single_ngrams_count():
    text = "Seven brown foxes quickly jumped over lazy dogs near some old barns."
    rejected = {name: bool(_reasons(text, definition=name)) for name in DEFINITIONS}
    assert rejected == {
        "paper": False, "datatrove": True, "dclm": False, "dolma": True, "curator": True
    }  # fmt: skip


def test_unspaced_language_has_scores_for_lines_only():
    batch = make_batch(["一样\n一样"] * 2, language_label=pa.array(["zh", None], pa.string()))
    first, second = _scores(_stage(), batch)
    assert first["gopher_repetition_duplicate_lines"] == 0.5
    assert first["gopher_repetition_top_2gram"] is None
    assert second["gopher_repetition_top_2gram"] == 0


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.text(st.sampled_from("ab \n"), max_size=40), max_size=8),
    st.integers(0, 8),
    st.sampled_from(["paper", "datatrove", "dclm", "dolma", "curator"]),
)
def test_scores_are_free_of_the_batch(rows, cut, definition):
    batch, stage = make_batch(rows), _stage(name="r", definition=definition)
    whole = _scores(stage, batch)
    parts = _scores(stage, batch.slice(0, cut)) + _scores(stage, batch.slice(min(cut, len(rows))))
    assert whole == parts


def test_no_rows_and_rows_without_text_are_scored_null():
    assert _scores(_stage(), make_batch([])) == []
    first, second, third = _scores(_stage(), make_batch(["a\na", None, "b\nb"]))
    assert set(second.values()) == {None}
    assert first == third


def test_columns_carry_the_name_of_the_stage():
    stage = _stage(name="strict")
    assert all(name.startswith("strict_") for name in stage.writes().names)
    assert [rule.column for rule in stage.rules()] == stage.writes().names
    assert len({rule.reason for rule in stage.rules()}) == 13


def test_settings_survive_a_round_trip():
    stage = _stage(definition="dclm", max_top_2gram=0.3)
    assert GopherRepetition.model_validate_json(stage.model_dump_json()) == stage


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"definition": "gopher"}, r"definition\n  Input should be 'paper', 'datatrove'"),
        ({"max_top_2gram": -0.1}, r"max_top_2gram\n  Input should be greater than"),
        ({"max_duplicate_lines": float("inf")}, r"max_duplicate_lines\n  Input should be a finite"),
        ({"max_top_5gram": 0.1}, r"max_top_5gram\n  Extra inputs"),
    ],
)
def test_impossible_settings_are_refused(options, message):
    with pytest.raises(ValidationError, match=message):
        _stage(**options)
