"""What holds for the code as a whole: sizes, and what can be imported where."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MODULES = sorted(
    path
    for top in ("curation", "flows", "tests", "benchmarks")
    for path in (ROOT / top).rglob("*.py")
)

# Everything that an extra brings, or only the tests: none of it may be needed by curation alone.
BEYOND_CORE = (
    "prefect", "fastapi", "torch", "transformers", "tokenizers", "accelerate", "safetensors",
    "wordllama", "trafilatura", "ftfy", "matplotlib", "datasets", "datasketch", "polars", "warcio",
    "pytest", "kenlm", "sentencepiece",
)  # fmt: skip

IMPORT_ALL = """
import importlib, pkgutil, sys
for name in {blocked!r}:
    sys.modules[name] = None
import curation
names = [m.name for m in pkgutil.walk_packages(curation.__path__, "curation.", onerror=print)]
names = [n for n in names if not n.startswith("curation.finetune") and not n.endswith("__main__")]
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def in_fresh_process(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: PLW1510 - the tests look at the return code
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_module_is_short(path):
    lines = len(path.read_text(encoding="utf-8").splitlines())
    limit = 60 if path.name == "__init__.py" else 400
    assert lines <= limit, f"{path}: {lines} lines, expected at most {limit}; split it by its nouns"


def test_curation_alone_imports_without_any_extra():
    run = in_fresh_process(IMPORT_ALL.format(blocked=BEYOND_CORE))
    assert run.returncode == 0, run.stderr
    assert int(run.stdout) > 20


def test_command_line_imports_without_any_extra():
    blocked = f"import sys\nfor name in {BEYOND_CORE!r}: sys.modules[name] = None\n"
    run = in_fresh_process(blocked + "import flows.cli")
    assert run.returncode == 0, run.stderr


@pytest.mark.parametrize("package", ["torch", "transformers", "prefect"])
def test_runner_does_not_import_what_it_does_not_need(package):
    run = in_fresh_process(f"import curation.runner, sys; sys.exit({package!r} in sys.modules)")
    assert run.returncode == 0, run.stderr or f"curation.runner imports {package}"


def test_kernels_import_nothing_but_numpy_and_numba():
    code = (
        "import curation.text, pkgutil, importlib, sys\n"
        "for module in pkgutil.iter_modules(curation.text.__path__, 'curation.text.'):\n"
        "    if not module.name.endswith('__main__'): importlib.import_module(module.name)\n"
        "print([name for name in ('pyarrow', 'pydantic', 'duckdb') if name in sys.modules])"
    )
    run = in_fresh_process(code)
    assert (run.returncode, run.stdout.strip()) == (0, "[]"), run.stderr
