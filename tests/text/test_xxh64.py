import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.text.xxh64 import plain_xxh64, xxh64_rows

PUBLISHED = [
    # Values of the reference implementation.
    (b"", 0, 0xEF46DB3751D8E999),
    (b"a", 0, 0xD24EC4F1A98C6E5B),
    (b"abc", 0, 0x44BC2CF5AD770999),
    (b"Nobody inspects the spammish repetition", 0, 0xFBCEA83C8A378BF1),
]


@pytest.mark.parametrize(("data", "seed", "expected"), PUBLISHED)
def test_plain_hash_gives_the_published_values(data, seed, expected):
    assert plain_xxh64(data, seed) == expected


@given(st.binary(max_size=200), st.integers(0, 2**64 - 1))
def test_plain_hash_equals_the_xxhash_package(data, seed):
    xxhash = pytest.importorskip("xxhash")
    assert plain_xxh64(data, seed) == xxhash.xxh64_intdigest(data, seed)


@settings(deadline=None)  # compiles at the first call
@given(st.lists(st.binary(max_size=100), max_size=5), st.integers(0, 2**31))
def test_kernel_equals_the_plain_hash(rows, seed):
    offsets = np.cumsum([0, *map(len, rows)], dtype=np.int64)
    data = np.frombuffer(b"".join(rows), np.uint8)
    found = xxh64_rows(offsets, data, seed)
    assert found.tolist() == [plain_xxh64(row, seed) for row in rows]
