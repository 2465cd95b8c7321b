"""The `curate` command as people and machines use it."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from curation import audit
from tests.test_runner import make_texts, outputs, write_corpus

signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in the background of a script
ROOT = Path(__file__).resolve().parents[1]

RECIPE = """
name = "corpus"
version = "1"
seed = 5

[[sources]]
name = "docs"
kind = "jsonl"
paths = ["a.jsonl", "b.jsonl"]
split_bytes = 4096
license = "CC0-1.0"

[[stages]]
kind = "normalize"

[[stages]]
kind = "gopher_quality"

[[stages]]
kind = "exact_dedup"

[[stages]]
kind = "minhash_dedup"

[[stages]]
kind = "split"
eval_share = 0.2
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


Curate = Callable[..., Ended]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("a project with spaces")
    write_corpus(directory, make_texts())
    (directory / "recipe.toml").write_text(RECIPE)
    return directory


@pytest.fixture(scope="module")
def dataset(project: Path) -> Path:
    out = project / "out"
    done = curate_process("run", project / "recipe.toml", "--out", out, "--no-prefect")
    assert done.code == 0, done.err
    assert "121 documents in" in done.out
    assert str(out / "shards") in done.out
    return out


def start(*arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "flows.cli", *map(str, arguments)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def curate_process(*arguments: object) -> Ended:
    """Runs the command in a process of its own."""
    process = start(*arguments)
    out, err = process.communicate(timeout=300)
    return Ended(process.returncode, out, err)


@pytest.fixture
def curate(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Curate:
    """Runs the command in this process."""
    from flows.cli import main

    def call(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["curate", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Ended(int(ended.value.code or 0), captured.out, captured.err)

    return call


@pytest.mark.slow
def test_every_command_answers_for_people_and_for_machines(dataset: Path, curate: Curate) -> None:
    recipe = dataset.parent / "recipe.toml"
    [duplicate] = audit.sample(dataset, 1, rejected="exact_duplicate")
    url = duplicate["url"]
    for arguments, said in (
        (("plan", recipe, "--out", dataset), "done: the dataset is there and whole"),
        (("stats", dataset, "--sources"), "exact_dedup"),
        (("trace", dataset, url), "kept in its place"),
        (("show", dataset, "--sample", 2), "example.org"),
        (("show", dataset, "--rejected", "exact_duplicate"), "exact_dedup.exact_duplicate"),
        (("verify", dataset), "whole; every promise holds"),
        (("diff", dataset, dataset), "settings: the same"),
        (("stats", dataset, "--by", "rule"), "gopher_quality.few_words"),
        (("stats", dataset, "--scores"), "few_words: >= 50"),
        (("decide", dataset, "--set", "gopher_quality.min_words=100"), "kept -> rejected"),
    ):
        ended = curate(*arguments)
        assert ended.code == 0, ended.err
        assert said in ended.out
        assert ended.err == ""
        machine = curate(*arguments, "--json")
        assert machine.code == 0
        json.loads(machine.out)


@pytest.mark.slow
def test_a_second_run_is_reused_and_quick(dataset: Path, curate: Curate) -> None:
    before = {path: path.stat().st_mtime_ns for path in (dataset / "shards").iterdir()}
    started = time.perf_counter()
    ended = curate(
        "run", dataset.parent / "recipe.toml", "--out", dataset, "--no-prefect", "--json"
    )
    assert ended.code == 0
    assert time.perf_counter() - started < 5
    assert {path: path.stat().st_mtime_ns for path in (dataset / "shards").iterdir()} == before
    assert json.loads(ended.out)["manifest"]["totals"]["documents_in"] == 121


@pytest.mark.slow
def test_verify_names_what_is_damaged(project: Path, tmp_path: Path, curate: Curate) -> None:
    out = tmp_path / "out"
    assert curate("run", project / "recipe.toml", "--out", out, "--no-prefect", "--json").code == 0
    shard = next((out / "shards").glob("train-*"))
    shard.write_bytes(shard.read_bytes()[:-1])
    ended = curate("verify", out)
    assert ended.code == 1
    assert f"{shard.name}: missing, or differs from its digest" in ended.out


@pytest.mark.slow
def test_diff_names_settings_and_documents(
    dataset: Path, project: Path, tmp_path: Path, curate
) -> None:
    arguments = ("--set", "stages.gopher_quality.min_words=100", "--no-prefect", "--json")
    out = tmp_path / "strict"
    assert curate("run", project / "recipe.toml", "--out", out, *arguments).code == 0
    found = json.loads(curate("diff", dataset, out, "--json").out)
    assert ["stages.gopher_quality.min_words", "50", "100"] in found["settings"]
    assert found["only_a"]
    assert not found["only_b"]
    assert {document["stage"] for document in found["only_a"]} == {"gopher_quality"}
    assert found["sources"][0]["only_a"] == len(found["only_a"])
    arguments = ("--set", "stages.gopher_quality.min_words=100", "--list", 1000, "--json")
    predicted = json.loads(curate("decide", dataset, *arguments).out)
    leaving = {one["doc_id"] for one in predicted["leaving"]["examples"]}
    assert leaving == {one["doc_id"] for one in found["only_a"]}


@pytest.mark.slow
def test_the_guard_stops_a_run_and_warns_in_another(
    project: Path, tmp_path: Path, curate: Curate
) -> None:
    arguments = ("run", project / "recipe.toml", "--out", tmp_path / "out", "--no-prefect")
    stopped = curate(*arguments, "--set", "guard.stop_above=0.01")
    assert stopped.code == 1
    assert "more than stop_above = 0.01" in stopped.err
    assert "https://example.org/" in stopped.err
    assert "Traceback" not in stopped.err
    assert not (tmp_path / "out" / "manifest.json").exists()
    warned = curate(*arguments, "--set", "guard.warn_above=0.01", "--set", "guard.stop_above=1")
    assert warned.code == 0
    assert "warning: source 'docs': " in warned.err
    assert "121 documents in" in warned.out
    assert curate("stats", tmp_path / "out").err.startswith("warning: ")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("run", "none.toml", "--out", "x"), 2, "recipe none.toml: no such file"),
        (("run", "recipe.toml"), 2, "curate run needs --out DIR"),
        (("run", "recipe.toml", "--out", "x", "--set", "sede=1"), 2, "did you mean 'seed'?"),
        (
            ("run", "recipe.toml", "--out", "x", "--set", "minhash_dedup.threshold=0.7"),
            2,
            "write --set stages.minhash_dedup.threshold=0.7",
        ),
        (
            ("run", "recipe.toml", "--out", "x", "--set", "stages.split.eval_share=3"),
            2,
            "stage 5 (split): eval_share",
        ),
        (
            ("run", "recipe.toml", "--out", "x", "--set", 'sources.docs.paths=["no/*.jsonl"]'),
            2,
            "source 'docs': nothing matches path 'no/*.jsonl'",
        ),
        (("stats", "x"), 1, "x: no manifest.json, so no finished dataset is here"),
        (("trace", "out", "https://nowhere"), 1, "no document has the id, record id or URL"),
        (("show", "out", "--rejected", "exact_dup"), 1, "did you mean 'exact_duplicate'?"),
        (("stats", "out", "--by", "language"), 1, "no stage wrote language_label"),
        (("stats", "out", "--score", "words"), 1, "unknown score 'words'; known: "),
        (("decide", "out", "--set", "gopher_quality.few_word=1"), 2, "did you mean 'few_words'?"),
        (("run", "recipe.toml", "--out", "x", "--set", "guard.stop_abov=1"), 2, "'stop_above'?"),
        (
            ("run", "recipe.toml", "--out", "x", "--no-prefect", "--finetune", "none.toml"),
            2,
            "job none.toml: no such file",
        ),
    ],
)
def test_a_mistake_is_one_line(
    dataset: Path,
    curate: Curate,
    monkeypatch: pytest.MonkeyPatch,
    arguments,
    code: int,
    message: str,
) -> None:
    monkeypatch.chdir(dataset.parent)
    ended = curate(*arguments)
    assert (ended.code, ended.out) == (code, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert message in ended.err
    assert not Path("x").exists()


def test_what_was_not_read_of_a_list_is_a_warning(
    project: Path, tmp_path: Path, curate: Curate
) -> None:
    (tmp_path / "list.txt").write_text("köln.example\nbonn.example\n", encoding="latin-1")
    text = f'{RECIPE}\n[[stages]]\nkind = "url_filter"\nblock = ["list.txt"]\n'
    (tmp_path / "recipe.toml").write_text(text.replace('"a.jsonl", "b.jsonl"', '"list.txt"'))
    ended = curate("plan", tmp_path / "recipe.toml")
    assert ended.code == 0
    assert ended.err.startswith("warning: stage url_filter: block ")
    assert "1 of 2 lines are not UTF-8 and were not read; convert the file" in ended.err
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("run",), "curate run: missing argument 'RECIPE'; see curate run --help"),
        (("nonsense",), "curate: no such command 'nonsense'; see curate --help"),
        (("shwo", "out"), "no such command 'shwo'. Did you mean 'show'?; see curate --help"),
        (("--nonsense",), "curate: no such option: --nonsense"),
        (("show", "out", "--sample", "0"),
         "curate show: invalid value for '--sample': "),
        (("show", "out", "--samples", "1"), "curate show: no such option: --samples"),
        (("stats", "out", "--by", "colour"), "'colour' is not one of 'source', 'domain'"),
        (("decide", "out"), "curate decide: missing option '--set'"),
        (("trace", "out"), "curate trace: missing argument 'DOC_ID|URL'"),
    ],
)  # fmt: skip
def test_wrong_usage_is_one_line_and_ends_with_2(
    curate: Curate, arguments: tuple[str, ...], message: str
) -> None:
    ended = curate(*arguments)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    assert ended.err.count("\n") == 1
    assert message in ended.err


def test_without_a_command_comes_the_help(curate: Curate) -> None:
    ended = curate()
    assert ended.code == 2
    assert "Usage: curate" in ended.out + ended.err


def test_every_command_has_help_with_an_example(curate: Curate) -> None:
    from flows.cli import app

    names = [command.name or command.callback.__name__ for command in app.registered_commands]
    assert set(names) >= {
        "plan", "run", "stats", "trace", "show", "decide", "diff", "verify", "finetune",
        "train-quality",
    }  # fmt: skip
    for name in names:
        ended = curate(name, "--help")
        assert ended.code == 0
        assert f"curate {name}" in ended.out
    assert "--set stages.minhash_dedup.threshold=0.7" in curate("run", "--help").out


def interrupted(project: Path, out: Path, number: int, after: str) -> Ended:
    """Starts a run, and sends it a signal once a file matches a pattern."""
    process = start("run", project / "recipe.toml", "--out", out, "--no-prefect", "--workers", 2)
    deadline = time.monotonic() + 120
    while not list(out.glob(after)) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=60)
    return Ended(process.returncode, stdout, stderr)


@pytest.mark.slow
@pytest.mark.parametrize(
    "after",
    [
        "work/00-*/shard-*.json",
        "work/01-*decide*/keys-*.json",
        "work/01-minhash_dedup-decide-*/decisions.json",
        "work/01-*/shard-*.json",
        "work/output/audit-00000.json",
    ],
)
def test_killed_in_any_step_and_run_again_gives_the_same_bytes(
    project: Path, dataset: Path, tmp_path: Path, after: str
) -> None:
    out = tmp_path / "out"
    interrupted(project, out, signal.SIGKILL, after)
    done = curate_process("run", project / "recipe.toml", "--out", out, "--no-prefect")
    assert done.code == 0, done.err
    assert outputs(out) == outputs(dataset)
    assert not list(out.rglob("*.tmp"))


@pytest.mark.slow
def test_ctrl_c_says_one_line_and_loses_nothing(
    project: Path, dataset: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    ended = interrupted(project, out, signal.SIGINT, "work/00-*/shard-*.json")
    assert ended.code == 1
    lines = [line for line in ended.err.splitlines() if line.startswith("error:")]
    assert lines == [
        "error: stopped; what is finished is kept: give the same command again to resume"
    ]
    assert "Traceback" not in ended.err
    assert list(out.glob("work/00-*/shard-*.json"))
    assert not (out / "manifest.json").exists()
    done = curate_process("run", project / "recipe.toml", "--out", out, "--no-prefect")
    assert done.code == 0, done.err
    assert outputs(out) == outputs(dataset)


@pytest.mark.slow
def test_two_runs_in_one_directory_do_not_mix(project: Path, dataset: Path, curate: Curate) -> None:
    import fcntl

    with open(dataset / "work" / ".lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ended = curate("run", project / "recipe.toml", "--out", dataset, "--no-prefect")
    assert ended.code == 1
    assert "another run is using it" in ended.err


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_loses_nothing(
    project: Path, dataset: Path, tmp_path: Path
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=400k", "none", str(disk)],
        capture_output=True,
        check=False,
    )
    if os.geteuid() != 0 or mounted.returncode != 0:
        pytest.skip("mounting a small file system needs root")
    try:
        out = disk / "out"
        ended = curate_process("run", project / "recipe.toml", "--out", out, "--no-prefect")
        assert ended.code == 1
        [line] = [line for line in ended.err.splitlines() if line.startswith("error:")]
        assert "No space left on device" in line
        assert "Traceback" not in ended.err
        assert not (out / "manifest.json").exists()
        subprocess.run(["mount", "-o", "remount,size=50m", str(disk)], check=True)
        done = curate_process("run", project / "recipe.toml", "--out", out, "--no-prefect")
        assert done.code == 0, done.err
        assert outputs(out) == outputs(dataset)
    finally:
        subprocess.run(["umount", str(disk)], check=True)
