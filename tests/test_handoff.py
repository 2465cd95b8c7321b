"""A job and its corpus are tied by digests, and by nothing else."""

import json
import shutil
from importlib.metadata import PackageNotFoundError

import pytest

from curation import manifest
from curation.errors import DataError, RecipeError
from curation.handoff import prepare_job, read_job
from tests.finetune.factory import micro_job, sentences, write_dataset


@pytest.fixture
def dataset(tmp_path):
    return write_dataset(tmp_path / "data", sentences(6), sentences(2))


def digest_of(job, dataset, out):
    return read_job(prepare_job(job, dataset, out)).digest


def test_job_json_names_the_corpus_by_digest_and_absolute_path(dataset, tmp_path):
    prepared = read_job(prepare_job(micro_job(), dataset, tmp_path / "out"))
    assert prepared.dataset == dataset
    assert prepared.output == tmp_path / "out"
    assert prepared.corpus.fingerprint == "f" * 64
    assert len(prepared.corpus.manifest_sha256) == len(prepared.corpus.shards_digest) == 64


def test_digest_does_not_depend_on_where_things_lie(dataset, tmp_path):
    first = digest_of(micro_job(), dataset, tmp_path / "a")
    moved = shutil.copytree(dataset, tmp_path / "elsewhere")
    assert digest_of(micro_job(), moved, tmp_path / "b") == first


def test_digest_does_not_depend_on_timings_in_the_manifest(dataset, tmp_path):
    first = digest_of(micro_job(), dataset, tmp_path / "a")
    manifest = json.loads((dataset / "manifest.json").read_text())
    manifest["wall_seconds"], manifest["created"] = 99.0, "later"
    (dataset / "manifest.json").write_text(json.dumps(manifest))
    assert digest_of(micro_job(), dataset, tmp_path / "b") == first


@pytest.mark.parametrize(
    "tables",
    [
        {"seed": 4},
        {"data": {"sequence_length": 64}},
        {"training": {"batch_size": 8}},
        {"model": {"width": 64}},
        {"tokenizer": {"vocab_size": 301}},
    ],
)
def test_digest_depends_on_every_setting(dataset, tmp_path, tables):
    first = digest_of(micro_job(), dataset, tmp_path)
    assert digest_of(micro_job(**tables), dataset, tmp_path) != first


def test_digest_depends_on_the_documents(dataset, tmp_path):
    other = write_dataset(tmp_path / "other", sentences(7)[1:], sentences(2))
    first = digest_of(micro_job(), dataset, tmp_path / "a")
    assert digest_of(micro_job(), other, tmp_path / "a") != first


def test_digest_depends_on_the_content_of_a_checkpoint_not_on_its_path(dataset, tmp_path):
    for name, weights in (("one", b"w"), ("two", b"w"), ("three", b"other")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(weights)
    digests = [
        digest_of(
            micro_job(model={"checkpoint": str(tmp_path / name), "depth": None, "width": None},
                      tokenizer={"kind": "checkpoint"}),
            dataset,
            tmp_path / "out",
        )
        for name in ("one", "two", "three")
    ]  # fmt: skip
    assert digests[0] == digests[1] != digests[2]


def test_job_can_be_prepared_where_the_trainer_is_not_installed(dataset, tmp_path, monkeypatch):
    first = digest_of(micro_job(), dataset, tmp_path)

    def not_installed(_name):
        raise PackageNotFoundError

    monkeypatch.setattr(manifest, "version", not_installed)
    assert digest_of(micro_job(), dataset, tmp_path) != first


def test_missing_checkpoint_is_told_before_anything_runs(dataset, tmp_path):
    job = micro_job(
        model={"checkpoint": "no/such", "depth": None, "width": None},
        tokenizer={"kind": "checkpoint"},
    )
    with pytest.raises(RecipeError, match=r"model.checkpoint .*no/such: no such.*'hub:owner/name'"):
        prepare_job(job, dataset, tmp_path / "out")


def test_missing_tokenizer_is_told_before_anything_runs(dataset, tmp_path):
    job = micro_job(tokenizer={"kind": "path", "path": str(tmp_path / "none")})
    with pytest.raises(RecipeError, match=r"tokenizer.path .*none: no such file"):
        prepare_job(job, dataset, tmp_path / "out")


def test_directory_without_manifest_is_no_dataset(tmp_path):
    with pytest.raises(DataError, match=r"no manifest\.json"):
        prepare_job(micro_job(), tmp_path, tmp_path / "out")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "cannot be read"), ("{}", "is not a job.json"), ("{", "is not a job.json")],
)
def test_unusable_job_json_is_refused(tmp_path, content, message):
    path = tmp_path / "job.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DataError, match=message):
        read_job(path)


def test_job_json_of_another_format_is_refused(dataset, tmp_path):
    path = prepare_job(micro_job(), dataset, tmp_path / "out")
    path.write_text(json.dumps({**json.loads(path.read_text()), "format": 99}))
    with pytest.raises(DataError, match=r"has format 99, this version reads 2"):
        read_job(path)


def test_moved_held_out_set_is_named_only_where_there_is_one(dataset, tmp_path):
    apart = write_dataset(tmp_path / "apart", sentences(9)[6:])
    job = micro_job(data={"held_out": str(apart)})
    prepared = read_job(prepare_job(job, dataset, tmp_path / "out"))
    moved = prepared.with_held_out(tmp_path / "elsewhere")
    assert moved.job.data.held_out == str(tmp_path / "elsewhere")
    assert moved.digest == prepared.digest
    alone = read_job(prepare_job(micro_job(), dataset, tmp_path / "alone"))
    with pytest.raises(RecipeError, match=r"--held-out .*eval documents of its own corpus"):
        alone.with_held_out(tmp_path / "elsewhere")
