"""What a JOB.toml may say, and how it is told what it may not."""

import pytest

from curation.errors import RecipeError
from curation.job import Job, load_job, parse_job


def test_smallest_job_gets_documented_defaults():
    job = parse_job({"name": "a"})
    assert (job.model.size, job.tokenizer.kind, job.training.precision) == ("tiny", "train", "auto")
    assert job.training.batch_size == "auto"
    assert job.learning_rate == 3e-3


def test_one_seed_sets_all_three():
    assert parse_job({"name": "a", "seed": 5}).seed.model_dump() == {
        "init": 5,
        "order": 5,
        "sampling": 5,
    }


def test_seeds_can_be_moved_one_at_a_time():
    seed = parse_job({"name": "a", "seed": {"order": 9}}).seed
    assert (seed.init, seed.order, seed.sampling) == (17, 9, 17)


def test_checkpoint_brings_its_tokenizer_and_a_lower_rate():
    job = parse_job({"name": "a", "model": {"checkpoint": "somewhere"}})
    assert (job.tokenizer.kind, job.model.size, job.learning_rate) == ("checkpoint", None, 5e-5)


def test_hub_checkpoint_is_told_from_a_path():
    model = parse_job({"name": "a", "model": {"checkpoint": "hub:org/model@abc"}}).model
    assert model.hub_id == "org/model@abc"
    assert parse_job({"name": "a", "model": {"checkpoint": "org/model"}}).model.hub_id is None


def test_tokenizer_path_needs_no_kind():
    assert parse_job({"name": "a", "tokenizer": {"path": "t"}}).tokenizer.kind == "path"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ({"trainin": {}}, r"unknown setting 'trainin'; known: .*; did you mean 'training'\?"),
        (
            {"training": {"batchsize": 4}},
            r"unknown setting of \[training\] 'batchsize'; .*did you mean 'batch_size'\?",
        ),
        ({"model": {"size": "tinny"}}, r"unknown model size 'tinny'; .*did you mean 'tiny'\?"),
        ({"model": {"size": "tiny", "depth": 2}}, "model: size and depth are both given"),
        ({"model": {"checkpoint": "x", "width": 64}}, "width goes with size or depth"),
        ({"model": {"checkpoint": "x"}, "tokenizer": {"vocab_size": 300}}, "leave .tokenizer. out"),
        ({"tokenizer": {"kind": "checkpoint"}}, "needs model.checkpoint"),
        ({"tokenizer": {"kind": "path"}}, "give path alone"),
        ({"tokenizer": {"vocab_size": 257}}, r"tokenizer.vocab_size: .*258 .*\(found 257\)"),
        ({"data": {"epochs": 1, "token_budget": 5}}, "epochs and token_budget are both given"),
        ({"data": {"mode": "supervised"}}, r"data.mode: .*'text'.*\(found 'supervised'\)"),
        ({"data": {"sequence_length": 4}}, r"data.sequence_length: .*8 \(found 4\)"),
        (
            {"training": {"batch_size": 6, "gradient_accumulation": 4}},
            "batch_size 6 is not a multiple of gradient_accumulation 4",
        ),
        ({"training": {"batch_size": 0}}, r'batch_size: expected "auto" or a whole .*\(found 0\)'),
        ({"training": {"batch_size": "small"}}, r"batch_size: expected .*\(found 'small'\)$"),
        ({"training": {"batch_size": True}}, r"batch_size: expected .*\(found True\)"),
        ({"training": {"schedule": "step"}}, r"training.schedule: .*'cosine'.*\(found 'step'\)"),
        ({"seed": -1}, r"seed.init: .*greater than or equal to 0 \(found -1\)"),
        ({"name": "a/b"}, r"name: .*pattern.*\(found 'a/b'\)"),
        ({"model": 3}, r"model: .*\(found 3\)"),
    ],
)
def test_impossible_job_is_refused_in_one_line(raw, message):
    with pytest.raises(RecipeError, match=message) as caught:
        parse_job({"name": "a", **raw}, "job x.toml")
    assert str(caught.value).startswith("job x.toml: ")
    assert "\n" not in str(caught.value)


def test_relative_paths_start_from_the_job_file(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text('name = "a"\n[model]\ncheckpoint = "models/x"\n[tokenizer]\npath = "../t"\n')
    job = load_job(path)
    assert job.model.checkpoint == str(tmp_path / "models" / "x")
    assert job.tokenizer.path == str(tmp_path.parent / "t")


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "no such file"), (b'name = "a', "is not valid TOML"), (b"\xff\xfe", "cannot be read")],
)
def test_unreadable_job_file_is_named(tmp_path, content, message):
    path = tmp_path / "job.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(RecipeError, match=message) as caught:
        load_job(path)
    assert str(path) in str(caught.value)


def test_job_survives_json(tmp_path):
    job = parse_job({"name": "a", "seed": 2, "training": {"warmup": 10, "schedule": "wsd"}})
    assert Job.model_validate_json(job.model_dump_json()) == job


def test_demo_job_of_the_repository_is_valid(request):
    job = load_job(request.config.rootpath / "data" / "jobs" / "demo.toml")
    assert job.name == "demo"
    assert job.model.hub_id is None
