"""A study with real trainings that is killed, stopped, and gone on with."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from curation.study.cells import RECORD, TIME_COLUMNS
from tests.study.factory import STUDY, write_study

pytest.importorskip("torch", reason="needs: pip install 'curation[finetune]'")
pytest.importorskip("scipy", reason="needs: pip install 'curation[study]'")
pytestmark = pytest.mark.slow

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a script
ROOT = Path(__file__).resolve().parents[2]
TINY = (
    STUDY.replace("sizes = [{ depth = 1, width = 32 }, { depth = 1, width = 64 }]",
                  "sizes = [{ depth = 1, width = 32 }]")
    .replace("tokens = [4096, 8192, 16384]", "tokens = [1024, 2048]")
    .replace("seeds = [1, 2]\nseed_tokens = [8192]", "seeds = [1]")
    .replace('baseline = "bad"', 'illustrative = true\nbaseline = "bad"')
)  # fmt: skip


def start(path: Path, out: Path) -> "subprocess.Popen[str]":
    """Starts `curate study` as a user would."""
    command = [sys.executable, "-m", "flows.cli", "study", str(path), "--out", str(out)]
    return subprocess.Popen(
        [*command, "--no-prefect", "--parallel", "1", "--workers", "1"],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finish(path: Path, out: Path) -> str:
    """Runs a study to its end and returns what it printed."""
    process = start(path, out)
    said, _ = process.communicate(timeout=500)
    assert process.returncode == 0, said
    return said


def wait_for_cells(out: Path, count: int) -> None:
    """Waits until so many cells are done, and the next one is under way."""
    deadline = time.monotonic() + 400
    while time.monotonic() < deadline:
        begun = list((out / "cells").glob("*/finetune.log"))
        if len(list((out / "cells").glob(f"*/{RECORD}"))) >= count and len(begun) > count:
            return
        time.sleep(0.1)
    raise AssertionError(f"{count} cells were not done in time")


def numbers(out: Path) -> object:
    """The rows of a study without its clocks."""
    return pq.read_table(out / "runs.parquet").drop(list(TIME_COLUMNS))


@pytest.mark.timeout(900)
def test_killed_and_started_again_gives_the_same_rows_but_for_clocks(tmp_path):
    path = write_study(tmp_path, TINY)
    killed = start(path, tmp_path / "killed")
    wait_for_cells(tmp_path / "killed", 2)
    killed.kill()
    killed.communicate()
    said = finish(path, tmp_path / "killed")
    assert said.count("(reused)") in (2, 3)  # the third may have ended just before the kill
    finish(path, tmp_path / "whole")
    assert numbers(tmp_path / "killed").equals(numbers(tmp_path / "whole"))
    again = finish(path, tmp_path / "whole")
    assert again.count("(reused)") == 4


@pytest.mark.timeout(900)
def test_ctrl_c_ends_the_training_too_and_says_how_to_go_on(tmp_path):
    path = write_study(tmp_path, TINY)
    stopped = start(path, tmp_path / "out")
    wait_for_cells(tmp_path / "out", 1)
    stopped.send_signal(signal.SIGINT)
    said, _ = stopped.communicate(timeout=200)
    assert stopped.returncode == 1
    assert said.splitlines()[-1].startswith("error: stopped; what is finished is kept")
    assert "Traceback" not in said
    assert not still_training(tmp_path)


def still_training(directory: Path) -> list[str]:
    """Command lines of trainings that read jobs below a directory."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if "curation.finetune" in line and str(directory) in line:
            found.append(line)
    return found
