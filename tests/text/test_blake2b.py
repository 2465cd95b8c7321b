import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.blake2b import blake2b_rows


def _digests(rows, person=b""):
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    words = np.frombuffer(person.ljust(16, b"\0"), "<u8").astype(np.uint64)
    found = blake2b_rows(offsets, np.frombuffer(b"".join(rows), np.uint8), words)
    return [row.astype("<u8").tobytes() for row in found]


def _expected(rows, person=b""):
    return [hashlib.blake2b(row, digest_size=16, person=person).digest() for row in rows]


@settings(deadline=None)  # compiles at the first call
@given(st.lists(st.binary(max_size=400), max_size=5), st.binary(max_size=16))
def test_digests_equal_those_of_hashlib(rows, person):
    assert _digests(rows, person) == _expected(rows, person)


@pytest.mark.parametrize("size", [0, 1, 127, 128, 129, 255, 256, 257, 100_000])
def test_blocks_end_where_the_bytes_do(size):
    rows = [b"\xff" * 300, b"x" * size]  # what the first leaves in the block must not matter
    assert _digests(rows) == _expected(rows)
