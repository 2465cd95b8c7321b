from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest

from curation.text import jit


def test_compiled_kernels_go_with_their_sources(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("CURATION_HOME", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    before = jit.cache_directory()
    assert before.parent == tmp_path / "curation"
    copied = tmp_path / "jit.py"
    copied.write_text(Path(jit.__file__).read_text() + "\n# edited\n")
    monkeypatch.setattr(jit, "__file__", str(copied))
    assert jit.cache_directory() != before


def test_the_user_can_choose_where(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("CURATION_HOME", str(tmp_path))
    assert jit.cache_directory().parent == tmp_path


def test_a_lean_kernel_counts_no_references_and_may_make_no_array(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(jit._LEAN, "cache", False)  # numba does not show code out of the cache

    @jit.lean
    def last_of(rows: Any) -> int:
        total = 0
        for k in range(len(rows)):
            part = rows[k]
            total += part[-1]
        return total

    assert last_of(np.arange(6).reshape(2, 3)) == 7
    code = last_of.inspect_llvm(last_of.signatures[0])  # type: ignore[attr-defined]
    assert "NRT_incref" not in code

    @jit.lean
    def make() -> Any:
        return np.zeros(3)

    with pytest.raises(numba.errors.NumbaError):
        make()
