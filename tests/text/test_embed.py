import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.embed import LARGEST, embed, largest_number, plain_embed, whole_numbers

tables = st.integers(1, 5).flatmap(
    lambda dimensions: st.lists(
        st.lists(
            st.integers(-LARGEST, LARGEST), min_size=dimensions, max_size=dimensions
        ),
        min_size=1,
        max_size=6,
    )
)  # fmt: skip


def embedded(rows, table, largest):
    bounds = np.cumsum([0, *map(len, rows)])
    tokens = np.array([token for row in rows for token in row], np.int32)
    return embed(tokens, bounds, np.array(table, np.int16), largest).tolist()


@settings(deadline=None)
@given(tables, st.data(), st.integers(1, LARGEST))
def test_kernel_equals_the_plain_embedding(table, data, largest):
    token = st.integers(0, len(table) - 1)
    rows = data.draw(st.lists(st.lists(token, max_size=9), max_size=4))
    found = embedded(rows, table, largest)
    assert found == [plain_embed(row, table, largest) for row in rows]
    assert found == embedded([row[::-1] for row in rows], table, largest)


def test_the_largest_number_is_scaled_to_what_is_asked_for_and_nothing_stays_nothing():
    rows = [[0, 0, 1], [], [0, 2]]
    assert embedded(rows, [[3, -1], [-1, 0], [-3, 1]], 2896) == [[2896, -1158], [0, 0], [0, 0]]


@pytest.mark.parametrize("dimensions", [1, 8, 64, 256, 384, 1024, 4096])
def test_products_of_embeddings_fit_into_32_bits(dimensions):
    largest = largest_number(dimensions)
    assert largest == LARGEST or (largest + 1) ** 2 * dimensions >= 1 << 31
    assert largest**2 * dimensions < 1 << 31


@pytest.mark.parametrize("kind", [np.float16, np.float32, np.float64, np.int8])
def test_vectors_of_any_kind_of_number_become_whole_numbers_by_one_factor(kind):
    whole = whole_numbers(np.array([[64, -32], [-128, 1]], kind))
    assert whole.tolist() == [[16384, -8192], [-32767, 256]]


def test_vectors_without_any_number_stay_so():
    assert whole_numbers(np.zeros((2, 3), np.float32)).tolist() == [[0] * 3] * 2


def test_a_long_text_does_not_overflow():
    rows = [[0] * 300_000]
    assert embedded(rows, [[LARGEST, -LARGEST, 1]], LARGEST) == [[LARGEST, -LARGEST, 1]]
