import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.buffers import text_buffers

rows = st.lists(st.none() | st.text(st.characters(exclude_categories=["Cs"])), max_size=6)


def texts_of(buffers):
    data = buffers.data.tobytes()
    spans = zip(buffers.offsets[:-1], buffers.offsets[1:], strict=True)
    return [data[start:end].decode() for start, end in spans]


@given(rows, st.integers(0, 6), st.sampled_from([pa.string(), pa.large_string(), pa.string_view()]))
def test_rows_of_any_string_column_are_found_from_any_offset(values, start, dtype):
    column = pa.array(values, dtype).slice(start)
    assert texts_of(text_buffers(column)) == [value or "" for value in values[start:]]


def test_a_large_string_column_is_not_copied():
    column = pa.array(["ab", "c"], pa.large_string())
    buffers = text_buffers(column)
    assert buffers.data.ctypes.data == column.buffers()[2].address
    assert not buffers.data.flags.writeable


def test_a_column_of_numbers_is_cast():
    assert texts_of(text_buffers(pa.array([12, 3]))) == ["12", "3"]


def test_a_column_that_is_no_text_is_refused():
    with pytest.raises(pa.ArrowNotImplementedError, match="cast"):
        text_buffers(pa.array([[1]]))
