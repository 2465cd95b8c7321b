import pyarrow as pa
from hypothesis import example, given, settings
from hypothesis import strategies as st

from curation.buffers import text_buffers
from curation.text.loops import LONGEST, loops, plain_loops
from tests.text.strategies import texts

stuck = st.tuples(
    st.lists(st.sampled_from(["a", "bb", "c"]), max_size=5),
    st.lists(st.sampled_from(["a", "bb", "数", "naïve,"]), min_size=1, max_size=4),
    st.integers(1, 6),
).map(lambda parts: " ".join([*parts[0], *parts[1] * parts[2], *parts[0]]))


def measured(values):
    return loops(*text_buffers(pa.array(values, pa.large_string()))).tolist()


@settings(deadline=None, max_examples=200)  # the first call may compile
@given(st.lists(texts | stuck, max_size=4))
@example(["a a a a b b b", "", "a a", "数数数"])
def test_kernel_equals_plain_python(rows):
    assert measured(rows) == [plain_loops(row) for row in rows]


def test_three_times_in_a_row_are_a_loop_and_twice_are_prose():
    unit = " ".join(f"w{k}" for k in range(LONGEST))
    assert measured(["very, very good", "no, no, no", f"{unit} {unit}", f"{unit} " * 3]) == [
        0, 1, 0, 1,
    ]  # fmt: skip


def test_an_unfinished_last_time_belongs_to_the_loop():
    assert measured(["x one two one two one two one"]) == [1 - 1 / 22]


def test_longer_units_than_are_looked_for_are_none():
    unit = " ".join(f"w{k}" for k in range(LONGEST + 1))
    assert measured([f"{unit} " * 4]) == [0]
