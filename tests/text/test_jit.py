from pathlib import Path

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
