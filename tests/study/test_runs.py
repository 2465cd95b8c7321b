"""The table of runs: any CSV or Parquet in, unusable rows kept with their reason."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.errors import DataError, RecipeError
from curation.study.points import points_of
from curation.study.runs import RUN_COLUMNS, make_runs, read_runs, write_runs


def write(tmp_path, text, name="runs.csv"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


def test_names_of_the_file_are_mapped(tmp_path):
    path = write(tmp_path, "N,val,D,x\n1e6,2.5,2e7,?\n3e6,2.25,6e7,?\n")
    table = read_runs(path, {"parameters": "N", "loss": "val", "tokens": "D"})
    assert table.schema.equals(RUN_COLUMNS)
    assert table["parameters"].to_pylist() == [1_000_000, 3_000_000]
    assert table["status"].to_pylist() == ["done", "done"]


def test_tokens_follow_from_flops_and_the_table_says_so(tmp_path):
    path = write(tmp_path, "parameters,flops,loss\n1000,6e9,2.5\n")
    table = read_runs(path)
    assert table["tokens"].to_pylist() == [1_000_000]
    assert table.schema.metadata == {b"derived": b"tokens = flops / (6 parameters)"}


def test_a_bad_row_is_kept_with_its_reason_and_harms_no_other(tmp_path):
    path = write(
        tmp_path,
        "parameters,tokens,loss\n10,20,nan\n10,twenty,2\n10,20,-1\n10,20,\n10,20,2.5\n0,20,2\n",
    )
    table = read_runs(path)
    assert table["status"].to_pylist() == ["failed"] * 4 + ["done", "failed"]
    assert table["reason"].to_pylist() == [
        "loss is 'nan', not a finite number",
        "tokens is 'twenty', not a finite number",
        "loss is -1.0, not above 0",
        "loss is missing",
        None,
        "parameters is 0, not above 0",
    ]
    points, out = points_of(table)
    assert len(points) == 1
    assert len(out) == 5


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("parameters,tokens,loss\n", "no rows"),
        ("parameters,tokens\n1,2\n", "no column 'loss' among parameters, tokens"),
        ("parameters,tokens,loss\n1,2\n", "run 1 has 2 values, expected 3"),
        ("loss,loss,tokens\n1,2,3\n", "two columns are named 'loss'"),
    ],
)
def test_a_file_that_is_no_table_of_runs_is_one_line(tmp_path, text, message):
    with pytest.raises(DataError, match=message) as error:
        read_runs(write(tmp_path, text))
    assert "\n" not in str(error.value)


def test_damaged_files_are_one_line(tmp_path):
    for name in ("runs.parquet", "runs.csv"):
        path = tmp_path / name
        path.write_bytes(b"PAR1\xff\xfe\x00nothing")
        with pytest.raises(DataError, match="cannot be read"):
            read_runs(path)
        with pytest.raises(DataError, match="cannot be read"):
            read_runs(tmp_path / f"missing-{name}")


def test_an_unknown_column_in_the_mapping_is_named(tmp_path):
    path = write(tmp_path, "parameters,tokens,loss\n1,2,3\n")
    with pytest.raises(RecipeError, match=r"unknown column of runs 'los'; .*did you mean 'loss'"):
        read_runs(path, {"los": "loss"})
    with pytest.raises(RecipeError, match="unknown column 'los'; known: loss, parameters, tokens"):
        read_runs(path, {"loss": "los"})


def test_runs_survive_their_file(tmp_path):
    table = make_runs([{"parameters": 10, "tokens": 20, "loss": 2.5, "recipe": "raw"}, {}])
    write_runs(tmp_path / "runs.parquet", table)
    write_runs(tmp_path / "again.parquet", table)
    assert read_runs(tmp_path / "runs.parquet").equals(table)
    assert (tmp_path / "runs.parquet").read_bytes() == (tmp_path / "again.parquet").read_bytes()
    assert (
        table["reason"].to_pylist()[1]
        == "loss is missing; parameters is missing; tokens is missing"
    )


def test_a_parquet_file_of_others_needs_no_more_columns(tmp_path):
    pq.write_table(
        pa.table({"parameters": [10.0], "tokens": [20.4], "loss": [2.5]}), tmp_path / "r.parquet"
    )
    table = read_runs(tmp_path / "r.parquet")
    assert table["tokens"].to_pylist() == [20]


@given(order=st.permutations(list(range(6))))
@settings(max_examples=20, deadline=None)
def test_points_do_not_depend_on_the_order_of_rows(order):
    rows = [{"parameters": 10 + k // 2, "tokens": 20, "loss": 2.5 + k // 2} for k in range(6)]
    first, _ = points_of(make_runs(rows))
    second, _ = points_of(make_runs([rows[place] for place in order]))
    assert first.digest() == second.digest()


def test_runs_are_left_out_by_rules():
    rows = [
        {"parameters": 10, "tokens": 20, "loss": loss, "recipe": recipe}
        for loss, recipe in [(2.0, "a"), (3.0, "b"), (4.0, "a"), (5.0, "a")]
    ]
    table = make_runs(rows)
    for rules, kept in {
        ("loss>3.5",): [2.0, 3.0],
        ("recipe=a",): [3.0],
        ("recipe!=a", "loss <= 2"): [4.0, 5.0],
        ("highest-loss=1",): [2.0, 3.0, 4.0],
        ("highest-loss=1", "loss>=5"): [2.0, 3.0],
    }.items():
        points, out = points_of(table, rules)
        assert sorted(points.loss) == kept
        assert len(out) == 4 - len(kept)
        assert {why for _, why in out} <= set(rules)


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("loss", "is no rule"),
        ("los>3", "did you mean 'loss'"),
        ("loss>x", "'x' is no number, expected one for loss"),
    ],
)
def test_a_rule_that_cannot_be_read_is_one_line(rule, message):
    table = make_runs([{"parameters": 10, "tokens": 20, "loss": 2.0}])
    with pytest.raises(RecipeError, match=message):
        points_of(table, [rule])


def test_nothing_left_is_an_error_that_says_why():
    table = make_runs([{"parameters": 10, "tokens": 20, "loss": 2.0}] * 2)
    with pytest.raises(DataError, match="none of 2 can be fitted \\(loss>1: 2\\)"):
        points_of(table, ["loss>1"])
