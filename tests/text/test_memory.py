import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from curation.text.jit import kernel
from curation.text.memory import peek, poke, word32, word64


@kernel
def _read(data: Any, at: Any) -> Any:
    return peek(data, at), word32(data, at), word64(data, at)


@kernel
def _write(data: Any, at: Any, value: Any) -> None:
    poke(data, at, value)


@pytest.mark.parametrize("at", range(9))
def test_loads_at_every_alignment(at: int) -> None:
    data = (np.arange(17) * 37 + 200).astype(np.uint8)
    raw = data.tobytes()
    expected = (
        raw[at],
        int.from_bytes(raw[at : at + 4], "little"),
        int.from_bytes(raw[at : at + 8], "little"),
    )
    assert _read(data, at) == expected


@pytest.mark.parametrize("index", [np.uint8, np.int32, np.uint64])
def test_a_position_of_any_integer_type_is_widened_as_a_number(index: Any) -> None:
    data = np.arange(256, dtype=np.uint8)
    assert _read(data, index(200))[0] == 200


@pytest.mark.parametrize("dtype", [np.uint8, np.uint32, np.int64, np.float64])
def test_a_stored_value_is_converted_to_the_type_of_the_array(dtype: Any) -> None:
    data = np.zeros(5, dtype)
    _write(data, 3, 77)
    assert data.tolist() == [0, 0, 0, 77, 0]


_OUTSIDE = """
import numpy as np
from curation.text.jit import kernel
from curation.text.memory import peek, poke, word32, word64

@kernel
def read(data, at): return peek(data, at)
@kernel
def read32(data, at): return word32(data, at)
@kernel
def read64(data, at): return word64(data, at)
@kernel
def write(data, at): poke(data, at, 1)

data = np.zeros(16, np.uint8)
for function, last in ((read, 15), (read32, 12), (read64, 8), (write, 15)):
    function(data, 0)
    function(data, last)
    for at in (-1, last + 1):
        try:
            function(data, at)
        except IndexError:
            continue
        raise SystemExit(f"{function.__name__} took {at}")
"""


_WORDS = """
import pyarrow as pa
from curation.buffers import text_buffers
from curation.text.shingles import shingle_hashes

parts = ["a ", " a", "_", "\u0130", "\u023a", "\u03a3", "\U0001d54f ", "abcdefg", ".", "\u0301"]
texts = [(part * 40)[:size] for part in parts for size in range(40)]
texts += [first + second * size for first in parts for second in parts for size in range(6)]
for text in texts:  # each alone, so that the room is made for it
    shingle_hashes(*text_buffers(pa.array([text], pa.large_string())), 2)
"""


@pytest.mark.slow
def test_words_and_shingles_stay_within_their_room(tmp_path: Path) -> None:
    _run_checked(_WORDS, tmp_path)


def test_positions_outside_raise_where_numba_checks_bounds(tmp_path: Path) -> None:
    _run_checked(_OUTSIDE, tmp_path)


def _run_checked(code: str, tmp_path: Path) -> None:
    script = tmp_path / "checked.py"
    script.write_text(code, encoding="utf-8")
    environment = {
        **os.environ,
        "NUMBA_BOUNDSCHECK": "1",
        "NUMBA_CACHE_DIR": str(tmp_path / "cache"),
    }
    done = subprocess.run(
        [sys.executable, str(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
